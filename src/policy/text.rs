//! The alert's words in the form that patterns are matched against: one case, one kind of space,
//! nothing invisible, no look-alike letters. For matching only; nobody is shown this text.

/// Longest text that patterns see, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 64 * 1024;
/// Longest share of one field, so that one field cannot push the others out.
const MAX_FIELD_BYTES: usize = 16 * 1024;

/// Text for patterns, and whether something had to be left out of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Folded {
    pub(super) text: String,
    pub(super) truncated: bool,
}

/// Folds `fields` into one text, a line per field.
pub(super) fn fold<'a>(fields: impl IntoIterator<Item = &'a str>) -> Folded {
    let mut out = Folded::default();
    for field in fields {
        let room = MAX_FIELD_BYTES.min(MAX_TEXT_BYTES.saturating_sub(out.text.len() + 1));
        let (folded, complete) = fold_field(field, room);
        out.truncated |= !complete;
        if !folded.is_empty() {
            if !out.text.is_empty() {
                out.text.push('\n');
            }
            out.text.push_str(&folded);
        }
    }
    out
}

/// One field in at most `room` bytes, and whether it fitted.
fn fold_field(field: &str, room: usize) -> (String, bool) {
    let mut out = String::new();
    let mut gap = false;
    for c in field.chars().filter(|c| !is_invisible(*c)).flat_map(|c| look_alike(c).to_lowercase()) {
        // Lower-casing may yield what folding removes, a combining dot for instance.
        let c = look_alike(c);
        if is_invisible(c) {
            continue;
        }
        if c.is_whitespace() || c.is_control() {
            gap = !out.is_empty();
            continue;
        }
        if out.len() + c.len_utf8() + usize::from(gap) > room {
            return (out, false);
        }
        if std::mem::take(&mut gap) {
            out.push(' ');
        }
        out.push(c);
    }
    (out, true)
}

/// Characters that no reader sees: zero-width, bidirectional control, combining, tag characters.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}')
}

/// The ASCII character that `c` is a costume of, else `c`. Covers what compatibility
/// normalisation maps to ASCII and that is cheap to compute, and the common Cyrillic and Greek
/// doubles of Latin letters.
fn look_alike(c: char) -> char {
    let ascii = |code: u32| char::from_u32(code).unwrap_or(c);
    let code = u32::from(c);
    match c {
        '\u{ff01}'..='\u{ff5e}' => ascii(code - 0xff01 + 0x21),
        '\u{1d400}'..='\u{1d6a3}' => match (code - 0x1d400) % 52 {
            upper @ 0..26 => ascii(upper + 0x41),
            lower => ascii(lower - 26 + 0x61),
        },
        '\u{1d7ce}'..='\u{1d7ff}' => ascii((code - 0x1d7ce) % 10 + 0x30),
        '\u{24b6}'..='\u{24cf}' => ascii(code - 0x24b6 + 0x61),
        '\u{24d0}'..='\u{24e9}' => ascii(code - 0x24d0 + 0x61),
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => '-',
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2032}' => '\'',
        '\u{201c}' | '\u{201d}' | '\u{2033}' => '"',
        '\u{2044}' | '\u{2215}' | '\u{29f8}' => '/',
        'а' | 'А' | 'α' | 'Α' => 'a',
        'В' | 'Β' => 'b',
        'с' | 'С' => 'c',
        'ԁ' => 'd',
        'е' | 'Е' | 'Ε' | 'ё' => 'e',
        'һ' | 'Н' | 'Η' => 'h',
        'і' | 'І' | 'ı' | 'Ι' | 'ι' => 'i',
        'ј' | 'Ј' => 'j',
        'К' | 'κ' | 'к' | 'Κ' => 'k',
        'ӏ' | 'Ӏ' => 'l',
        'М' | 'м' | 'Μ' => 'm',
        'Ν' => 'n',
        'о' | 'О' | 'ο' | 'Ο' => 'o',
        'р' | 'Р' | 'ρ' | 'Ρ' => 'p',
        'ѕ' | 'Ѕ' => 's',
        'Т' | 'т' | 'Τ' | 'τ' => 't',
        'ν' | 'ѵ' => 'v',
        'ԝ' => 'w',
        'х' | 'Х' | 'χ' | 'Χ' => 'x',
        'у' | 'У' | 'Υ' => 'y',
        'Ζ' => 'z',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn costumes_come_off() {
        for (given, expected) in [
            ("  RM \u{a0}\t -rf\n\n/ ", "rm -rf /"),
            ("r\u{200b}m\u{202e} -r\u{301}f", "rm -rf"),
            ("ＤＲＯＰ　ｔａｂｌｅ", "drop table"),
            ("𝐝𝐫𝐨𝐩 𝓉able", "drop table"),
            ("ⓦⓘⓟⓔ", "wipe"),
            ("dеlеtе аll", "delete all"),
            ("rm \u{2013}rf", "rm -rf"),
            ("İ", "i"),
            ("Überlauf", "überlauf"),
        ] {
            assert_eq!(fold([given]).text, expected, "{given:?}");
        }
    }

    #[test]
    fn one_long_field_does_not_push_out_the_next() {
        let long = "x".repeat(1_000_000);
        let folded = fold([long.as_str(), "rm -rf /"]);
        assert!(folded.truncated && folded.text.ends_with("\nrm -rf /"));
        assert!(!fold(["short"]).truncated);
    }

    proptest! {
        #[test]
        fn folding_is_bounded_and_settled(fields in prop::collection::vec("\\PC{0,60}", 0..8)) {
            let once = fold(fields.iter().map(String::as_str));
            prop_assert!(once.text.len() <= MAX_TEXT_BYTES);
            let lines: Vec<_> = once.text.split('\n').collect();
            prop_assert_eq!(&fold(lines).text, &once.text);
        }
    }
}
