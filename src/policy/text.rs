//! The alert's words in the form that patterns are matched against: one case, one kind of space,
//! nothing invisible, no look-alike letters. For matching only; nobody is shown this text.
//!
//! The Cyrillic `р` and the Greek `ρ` look like a `p` and are read as an `r`: a word with one
//! of them stands there in both readings, in lines of their own.

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

/// Folds `fields` into one text: a line per field, and behind it a line for each further reading.
pub(super) fn fold<'a>(fields: impl IntoIterator<Item = &'a str>) -> Folded {
    let mut out = Folded::default();
    for field in fields {
        let room = MAX_FIELD_BYTES.min(MAX_TEXT_BYTES.saturating_sub(out.text.len() + 1));
        let Line { text, two_faced, complete } = fold_field(field, room);
        out.truncated |= !complete;
        let room = room - text.len();
        let readings = further_readings(&text, &two_faced, room);
        out.truncated |= readings.is_none();
        for line in std::iter::once(text).chain(readings.unwrap_or_default()).filter(|line| !line.is_empty()) {
            if !out.text.is_empty() {
                out.text.push('\n');
            }
            out.text.push_str(&line);
        }
    }
    out
}

/// One field, folded.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) text: String,
    /// Where in `text` a `p` stands that may be an `r`.
    pub(super) two_faced: Vec<usize>,
    /// All of it fitted.
    pub(super) complete: bool,
}

/// One field in at most `room` bytes.
pub(super) fn fold_field(field: &str, room: usize) -> Line {
    let text = String::with_capacity(field.len().min(room));
    let mut out = Line { text, complete: true, ..Line::default() };
    let mut gap = false;
    for given in field.chars().filter(|c| !is_invisible(*c)) {
        // Most text is plain, and nothing in that wears a costume.
        if given.is_ascii() {
            out.put(given.to_ascii_lowercase(), &mut gap, room);
        } else {
            for c in look_alike(given).to_lowercase() {
                // Lower-casing may yield what folding removes, a combining dot for instance.
                let c = look_alike(c);
                if !is_invisible(c) && out.put(c, &mut gap, room) && is_two_faced(given) {
                    out.two_faced.push(out.text.len() - c.len_utf8());
                }
            }
        }
        if !out.complete {
            break;
        }
    }
    out
}

fn is_two_faced(c: char) -> bool {
    matches!(c, 'р' | 'Р' | 'ρ' | 'Ρ' | 'ϱ')
}

impl Line {
    /// Adds a character, and the gap before it; whether it stands there now. What means nothing opens a gap,
    /// and what does not fit ends the line.
    fn put(&mut self, c: char, gap: &mut bool, room: usize) -> bool {
        if c.is_whitespace() || c.is_control() {
            *gap = !self.text.is_empty();
            return false;
        }
        self.complete &= self.text.len() + c.len_utf8() + usize::from(*gap) <= room;
        if self.complete {
            if std::mem::take(gap) {
                self.text.push(' ');
            }
            self.text.push(c);
        }
        self.complete
    }
}

/// Letters with two faces that are tried in every combination.
const FACES_AT_ONCE: usize = 4;
/// Words on either side of them that a reading holds, too.
const WORDS_AROUND: usize = 8;

/// Every other reading of the words with a two-faced letter, with the words around them; `None` when that is
/// more than `room` bytes. Words that keep foreign letters are what they seem: nobody reads them as English.
fn further_readings(text: &str, two_faced: &[usize], room: usize) -> Option<Vec<String>> {
    // Each word is looked at once: where it ends, and whether it is Latin.
    let mut word = (0, false);
    let mut is_latin = |at: usize| {
        if at >= word.0 {
            let from = text[..at].rfind(' ').map_or(0, |gap| gap + 1);
            let to = text[at..].find(' ').map_or(text.len(), |gap| at + gap);
            word = (to, text[from..to].is_ascii());
        }
        word.1
    };
    let places: Vec<usize> = two_faced.iter().copied().filter(|at| is_latin(*at)).collect();
    let mut left = room;
    let mut readings = vec![];
    for group in places.chunks(FACES_AT_ONCE) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let from = text[..*first].rmatch_indices(' ').nth(WORDS_AROUND).map_or(0, |(gap, _)| gap + 1);
        let to = text[*last..].match_indices(' ').nth(WORDS_AROUND).map_or(text.len(), |(gap, _)| last + gap);
        for faces in 1..1usize << group.len() {
            left = left.checked_sub(to - from + 1)?;
            let is_r = |at: usize| group.iter().position(|place| *place == at).is_some_and(|n| faces >> n & 1 == 1);
            let read = |(at, c): (usize, char)| if is_r(from + at) { 'r' } else { c };
            readings.push(text[from..to].char_indices().map(read).collect());
        }
    }
    Some(readings)
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
        'р' | 'Р' | 'ρ' | 'Ρ' | 'ϱ' => 'p',
        'г' | 'ᴦ' | 'я' | 'Я' | 'ꭇ' | 'ʀ' => 'r',
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
            ("dгoр", "drop\ndror"),
            ("dρop it", "dpop it\ndrop it"),
            ("рабочий рот", "paбoчий pot\npaбoчий rot"),
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

    #[test]
    fn a_letter_with_two_faces_is_read_both_ways_in_every_combination() {
        let folded = fold(["wiрe the cluster, dрoр the ρоol"]);
        for reading in ["wipe the cluster", "drop the pool", "dror the rool", "wire the cluster, dpop the pool"] {
            assert!(folded.text.contains(reading), "{reading}: {}", folded.text);
        }
        assert_eq!((folded.text.lines().count(), folded.truncated), (16, false));
        // More than can be tried counts as unread, and foreign prose is no riddle.
        assert!(fold(["рm ".repeat(4_000).as_str()]).truncated);
        assert!(!fold(["Перезапустите сервер приложений, параметры проверены. ".repeat(40).as_str()]).truncated);
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
