//! The form of a line: what stays when numbers, ids and times are taken out.

use super::gist::is_error;
use std::collections::HashMap;

/// What stands where lines of one form differ.
const GAP: &str = "<*>";
/// Bytes of a line that make its form; what follows differs more than it tells.
const FORM: usize = 240;
/// Forms that are told apart.
const FORMS: usize = 256;
/// Forms that are told apart beyond those when they speak of an error.
const ERRORS: usize = 64;
/// From so many characters on, a word of hexadecimal digits or of mixed case is an id.
const HEX: usize = 8;
const MIXED: usize = 20;
/// A longer word is none.
const WORD: usize = 80;

/// Writes the form of `line` into `out`.
pub fn form(line: &str, out: &mut String) {
    out.clear();
    let bytes = line.as_bytes();
    let mut at = 0;
    // Where the last gap began to be followed by one separator: `<*>` `.` `<*>` is one gap.
    let mut joined: Option<usize> = None;
    while at < bytes.len() && at < FORM {
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        if at > start {
            if differs(&bytes[start..at]) {
                match joined.take() {
                    Some(gap_end) => out.truncate(gap_end),
                    None => out.push_str(GAP),
                }
                joined = Some(out.len());
                // At most one separator after a gap; see below.
                if at < bytes.len() && matches!(bytes[at], b'.' | b':' | b',' | b'/' | b'+') {
                    out.push(char::from(bytes[at]));
                    at += 1;
                }
                continue;
            }
            joined = None;
            // Words are cut at bytes of ASCII or at whole characters: bytes above 127 are word bytes.
            out.push_str(&line[start..at]);
            continue;
        }
        joined = None;
        out.push(char::from(bytes[at]));
        at += 1;
    }
    if at < bytes.len() {
        out.push('…');
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || byte >= 128
}

/// Whether a word says which one rather than what.
fn differs(word: &[u8]) -> bool {
    let (mut digits, mut upper, mut lower, mut hex) = (0, 0, 0, 0);
    for byte in word {
        digits += usize::from(byte.is_ascii_digit());
        upper += usize::from(byte.is_ascii_uppercase());
        lower += usize::from(byte.is_ascii_lowercase());
        hex += usize::from(byte.is_ascii_hexdigit());
    }
    word.len() > WORD
        || digits > 0
        || (word.len() >= HEX && hex == word.len())
        || (word.len() >= MIXED && upper > 2 && lower > 2)
}

/// How often which form was seen.
#[derive(Debug, Default)]
pub struct Forms {
    known: HashMap<String, usize>,
    seen: Vec<Form>,
    errors: usize,
    /// Lines of forms that came when no more could be told apart.
    pub others: u64,
    scratch: String,
}

#[derive(Debug)]
struct Form {
    count: u64,
    shown: String,
}

impl Forms {
    /// Counts `line`. Its form is told as that of what `clean` makes of the line when it is the first.
    pub fn add(&mut self, line: &str, clean: impl Fn(&str) -> String) {
        let mut scratch = std::mem::take(&mut self.scratch);
        form(line, &mut scratch);
        match self.known.get(scratch.as_str()) {
            Some(at) => self.seen[*at].count += 1,
            None => {
                let error = is_error(line);
                let room = self.seen.len() - self.errors < FORMS || (error && self.errors < ERRORS);
                if room {
                    self.errors += usize::from(error && self.seen.len() - self.errors >= FORMS);
                    let mut shown = String::new();
                    form(&clean(line), &mut shown);
                    self.known.insert(scratch.clone(), self.seen.len());
                    self.seen.push(Form { count: 1, shown });
                } else {
                    self.others += 1;
                }
            }
        }
        self.scratch = scratch;
    }

    /// Forms with their counts: those that speak of an error first, then the most frequent.
    pub fn sorted(self) -> Vec<(u64, String)> {
        let mut forms: Vec<(u64, String)> = self.seen.into_iter().map(|form| (form.count, form.shown)).collect();
        forms.sort_by_key(|(count, text)| (!is_error(text), std::cmp::Reverse(*count)));
        forms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> String {
        let mut out = String::new();
        form(line, &mut out);
        out
    }

    #[test]
    fn what_differs_is_a_gap_and_what_tells_stays() {
        for (line, told) in [
            ("2026-11-21T00:00:00.123Z ERROR conn 7 timed out after 30ms", "<*> ERROR conn <*> timed out after <*>"),
            ("dial tcp 10.0.0.1:5432: connection refused", "dial tcp <*>: connection refused"),
            ("GET /api/orders/4711 status=200", "GET /api/orders/<*> status=<*>"),
            ("trace deadbeefcafe user anna", "trace <*> user anna"),
            ("panicked at src/main.rs:17", "panicked at src/main.rs:<*>"),
            ("schlüssel öffnet 3 türen", "schlüssel öffnet <*> türen"),
            ("", ""),
        ] {
            assert_eq!(of(line), told, "{line}");
        }
    }

    #[test]
    fn forms_are_counted_errors_first_and_bounded() {
        let mut forms = Forms::default();
        for n in 0..500 {
            forms.add(&format!("took {n} ms"), str::to_owned);
        }
        let letters =
            |n: u32| -> String { format!("{n:010b}").chars().map(|c| if c == '1' { 'x' } else { 'y' }).collect() };
        for n in 0..600 {
            forms.add(&format!("word {}", letters(n)), str::to_owned);
        }
        forms.add("error: disk is full", str::to_owned);
        forms.add("error: disk is full", |_| "error: [redacted]".to_owned());
        assert_eq!(forms.others, 600 - 255);
        let sorted = forms.sorted();
        assert_eq!(sorted[0], (2, "error: disk is full".to_owned()));
        assert_eq!(sorted[1], (500, "took <*> ms".to_owned()));
        assert_eq!(sorted.len(), FORMS + 1);
    }

    #[test]
    fn a_form_holds_no_line_of_a_key() {
        let key = "MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu";
        assert!(of(key).len() < 20, "{}", of(key));
    }

    proptest::proptest! {
        #[test]
        fn any_line_has_a_short_form(line in "\\PC{0,400}") {
            proptest::prop_assert!(of(&line).len() <= FORM * 4);
        }
    }
}
