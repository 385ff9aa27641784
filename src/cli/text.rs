//! Text for terminals: untrusted text made harmless, wrapped and cut to columns. Pure.

/// Whether colours are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// They are.
    On,
    /// They are not.
    Off,
}

/// How a piece of text looks. Colours are for levels and verdicts only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Headings.
    Bold,
    /// Fine.
    Green,
    /// Take care.
    Yellow,
    /// Danger.
    Red,
    /// Greatest danger.
    BoldRed,
}

impl Colour {
    /// `text` in `style`, when colours are written.
    pub fn paint(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Bold => "1",
            Style::Green => "32",
            Style::Yellow => "33",
            Style::Red => "31",
            Style::BoldRed => "1;31",
        };
        match self {
            Self::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Off => text.to_owned(),
        }
    }
}

/// One harmless line of at most `most` characters: no control characters, no terminal sequences, no
/// marks that reorder or hide text; white space in a row becomes one blank.
pub fn line(text: &str, most: usize) -> String {
    let clean = strip(text);
    let mut out = String::new();
    let mut length = 0;
    for word in clean.split_whitespace() {
        if !out.is_empty() {
            if length >= most {
                return ellipsis(out);
            }
            out.push(' ');
            length += 1;
        }
        for c in word.chars() {
            if length >= most {
                return ellipsis(out);
            }
            out.push(c);
            length += 1;
        }
    }
    out
}

/// Harmless text of at most `most` characters that keeps its lines and indentation.
pub fn block(text: &str, most: usize) -> String {
    let cut: String = text.chars().take(most).collect();
    cut.lines().map(|line| strip(&line.replace('\t', "    ")).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Takes out what is no text. Newlines and other white space become blanks.
fn strip(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(4096));
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => match chars.next() {
                // CSI: up to its final byte.
                Some('[') => skip_csi(&mut chars),
                // OSC, DCS, SOS, PM, APC: up to BEL or ST.
                Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut chars),
                // Two-byte sequences such as `ESC c`; charset selections take one more.
                Some('(' | ')' | '*' | '+' | '#' | '%') => {
                    chars.next();
                }
                Some(_) | None => {}
            },
            '\u{9b}' => skip_csi(&mut chars),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut chars),
            c if c.is_whitespace() => out.push(' '),
            c if c.is_control() || hides(c) => {}
            c => out.push(c),
        }
    }
    out
}

fn skip_csi(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(c) = chars.peek().copied() {
        // Anything that cannot stand in a sequence ends it, and stays.
        if !(' '..='~').contains(&c) {
            return;
        }
        chars.next();
        if ('@'..='~').contains(&c) {
            return;
        }
    }
}

fn skip_string(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(c) = chars.next() {
        match c {
            '\x07' | '\u{9c}' => return,
            '\x1b' if chars.peek() == Some(&'\\') => {
                chars.next();
                return;
            }
            // An unfinished one must not swallow the rest of the text.
            '\n' => return,
            _ => {}
        }
    }
}

/// JSON with escapes for what acts on terminals or hides there: the same values in harmless bytes.
/// JSON itself escapes the other control characters.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match (c != '\n' && c.is_control()) || hides(c) {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            false => out.push(c),
        }
    }
    out
}

/// JSON as [`json`] has it, for readers of YAML: they know `\U0001F600` and no pairs of surrogates.
pub fn yaml_flow(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match ((c != '\n' && c.is_control()) || hides(c), u32::from(c)) {
            (false, _) => out.push(c),
            (true, code @ 0..=0xffff) => out.push_str(&format!("\\u{code:04x}")),
            (true, code) => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out
}

/// Whether something in `text` acts on a terminal or hides there.
pub fn acts(text: &str) -> bool {
    text.chars().any(|c| (!matches!(c, '\n' | '\t') && c.is_control()) || hides(c))
}

/// Characters that reorder, join or hide their neighbours.
fn hides(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}' | '\u{e0000}'..='\u{e0fff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

fn ellipsis(mut text: String) -> String {
    text.pop();
    let end = text.trim_end().len();
    text.truncate(end);
    text.push('…');
    text
}

/// `text` cut to `columns`, with `…` where something is missing.
pub fn cut(text: &str, columns: usize) -> String {
    match text.chars().count() > columns {
        true => ellipsis(text.chars().take(columns).collect()),
        false => text.to_owned(),
    }
}

/// `text` padded with blanks to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(missing))
}

/// Wraps `text` between words. A word that is longer than a line is broken.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(8);
    let mut lines = vec![];
    let mut current = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if length > 0 && length + 1 + word.len() > columns {
            lines.push(std::mem::take(&mut current));
            length = 0;
        }
        while word.len() > columns {
            lines.push(word.drain(..columns).collect());
        }
        if length > 0 {
            current.push(' ');
            length += 1;
        }
        length += word.len();
        current.extend(word);
    }
    if !current.is_empty() {
        lines.push(current);
    }
    lines
}

/// `1 entry`, `2 entries`.
pub fn plural(n: u64, word: &str) -> String {
    match (n, word.strip_suffix('y')) {
        (1, _) => format!("1 {word}"),
        (_, Some(stem)) => format!("{n} {stem}ies"),
        (_, None) => format!("{n} {word}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_on_a_terminal_gets_through() {
        for (dirty, clean) in [
            ("plain", "plain"),
            ("\x1b[31mred\x1b[0m", "red"),
            ("a\x1b]0;title\x07b", "ab"),
            ("a\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "alink"),
            ("a\x1b]0;never ended\nb", "ab"),
            ("\u{9b}2Jcleared", "cleared"),
            ("\x1bcreset", "reset"),
            ("\x1b(0lines", "lines"),
            ("one\r\ntwo\tthree\n\n  four", "one two three four"),
            ("abc\x08\x08\x7f", "abc"),
            ("user\u{202e}txt.exe", "usertxt.exe"),
            ("a\u{2066}b\u{2069}\u{200b}\u{feff}c", "abc"),
            ("\x1b[", ""),
            ("\x1b", ""),
            ("\x1b[12ümlaut", "ümlaut"),
        ] {
            assert_eq!(line(dirty, 100), clean, "{dirty:?}");
        }
        assert_eq!(line("one two three", 8), "one two…");
        // The blank between words counts, too.
        assert_eq!((line("a b", 1).as_str(), line("a b", 2).as_str()), ("…", "a…"));
        assert_eq!(block("a\tb\x1b[1m\n  c  \n", 100), "a    b\n  c");
    }

    #[test]
    fn lines_are_wrapped_between_words() {
        assert_eq!(wrap("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("abcdefghijkl mn", 8), ["abcdefgh", "ijkl mn"]);
        assert!(wrap("  ", 10).is_empty());
        assert_eq!((pad("ab", 4).as_str(), cut("abcdef", 4).as_str()), ("ab  ", "abc…"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_becomes_one_harmless_line(text: String, most in 1usize..80) {
            let clean = line(&text, most);
            proptest::prop_assert!(clean.chars().count() <= most);
            proptest::prop_assert!(!clean.chars().any(|c| c.is_control() || hides(c)));
            proptest::prop_assert!(wrap(&clean, 20).iter().all(|l| l.chars().count() <= 20));
        }
    }
}
