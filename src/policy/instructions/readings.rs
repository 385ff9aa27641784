//! A text as its readers might take it: without look-alike letters, and with what is encoded in it.

use super::super::text::fold_field;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Bytes that come of decoding one text.
const MOST_DECODED: usize = 64 << 10;
/// How deep encodings lie in each other.
const DEPTH: u32 = 2;
/// Shorter tokens hold no sentence.
const SHORTEST_TOKEN: usize = 20;
/// So many characters that nobody sees are no accident.
const HIDDEN: usize = 8;

/// Tag characters, which repeat ASCII without a shape.
fn tag(c: char) -> Option<char> {
    let code = u32::from(c).checked_sub(0xe0000)?;
    char::from_u32(code).filter(|c| (' '..='~').contains(c))
}

/// Letters are written in characters without a shape: tags, or selectors one behind the other.
pub(super) fn hides(text: &str) -> bool {
    let tags = text.chars().filter(|c| tag(*c).is_some()).take(HIDDEN).count();
    let mut run = 0;
    let selectors = text.chars().any(|c| {
        run = if matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}') { run + 1 } else { 0 };
        run >= HIDDEN
    });
    tags >= HIDDEN || selectors
}

/// Every reading, folded: one case, one kind of space, no disguise of letters.
pub(super) fn of(text: &str) -> Vec<String> {
    let mut all = vec![];
    folded_readings(text, &mut all);
    let mut text = decoded(text);
    for _ in 0..DEPTH {
        if text.is_empty() {
            break;
        }
        folded_readings(&text, &mut all);
        text = decoded(&text);
    }
    all
}

fn folded_readings(text: &str, all: &mut Vec<String>) {
    let line = fold_field(text, usize::MAX);
    let mut push = |reading: Option<String>| all.extend(reading.filter(|reading| !reading.is_empty()));
    if !line.two_faced.is_empty() {
        let mut bytes = line.text.clone().into_bytes();
        line.two_faced.iter().for_each(|at| bytes[*at] = b'r');
        push(String::from_utf8(bytes).ok());
    }
    push(unleet(&line.text));
    push(unspaced(&line.text));
    push(turned(&line.text, &["vtaber", "qvfertneq", "vafgehpgvba", "nccebiny", "nccebirq"], |text| {
        text.chars().map(rot13).collect()
    }));
    push(turned(&line.text, &["snoitcurtsni", "erongi", "suoiverp", "lavorppa"], |text| text.chars().rev().collect()));
    push(Some(line.text));
}

fn rot13(c: char) -> char {
    match c {
        'a'..='m' => char::from_u32(u32::from(c) + 13).unwrap_or(c),
        'n'..='z' => char::from_u32(u32::from(c) - 13).unwrap_or(c),
        c => c,
    }
}

/// The text as `turn` makes it, where one of `signs` says that somebody turned it.
fn turned(text: &str, signs: &[&str], turn: impl Fn(&str) -> String) -> Option<String> {
    signs.iter().any(|sign| text.contains(sign)).then(|| turn(text))
}

/// Words in which digits and signs stand for letters; nothing where no word mixes them.
fn unleet(text: &str) -> Option<String> {
    let is_sign = |c: char| matches!(c, '0' | '1' | '3' | '4' | '5' | '7' | '@' | '$');
    let mixes = |word: &str| {
        word.len() >= 4 && word.contains(is_sign) && word.chars().filter(char::is_ascii_lowercase).count() >= 2
    };
    if !text.split(' ').any(mixes) {
        return None;
    }
    let letter = |c| match c {
        '0' => 'o',
        '1' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        c => c,
    };
    Some(text.chars().map(letter).collect())
}

/// Letters that stand apart put together, each run one word of many: `i g n o r e`, `i.g.n.o.r.e`. The words
/// in it are no longer apart; [`super::patterns`] knows them so, too.
fn unspaced(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
    let is_gap = |at: usize| bytes.get(at).is_some_and(|c| matches!(c, b' ' | b'.' | b'-' | b'_' | b'*' | b'|' | b'/'));
    let mut out = String::new();
    let mut at = 0;
    while at < bytes.len() {
        let (from, mut run) = (at, String::new());
        while is_letter(at) && !is_letter(at + 1) && (at == 0 || !is_letter(at - 1)) {
            run.extend(bytes.get(at).map(|letter| char::from(*letter)));
            at += 1;
            // Between words the gap is wider.
            let gap = (0..3).take_while(|n| is_gap(at + n)).count();
            if gap == 0 || !is_letter(at + gap) {
                break;
            }
            at += gap;
        }
        if run.len() >= 8 {
            out.push_str(&run);
            out.push(' ');
        }
        at = at.max(from + 1);
    }
    Some(out)
}

/// What is encoded in `text`: base64, hexadecimal digits, escapes of URLs, of JSON and of HTML, tags.
fn decoded(text: &str) -> String {
    let mut out = String::new();
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    let tokens = text.split(|c| !is_token(c)).filter(|token| token.len() >= SHORTEST_TOKEN);
    for token in tokens {
        if out.len() >= MOST_DECODED {
            break;
        }
        let end = token.len().min(MOST_DECODED);
        for bytes in [hex(&token[..end]), base64(&token[..end])].into_iter().flatten() {
            if let Some(told) = readable(&bytes) {
                out.push_str(&told);
                out.push('\n');
            }
        }
    }
    if text.chars().any(|c| tag(c).is_some()) {
        out.extend(text.chars().filter_map(tag).take(MOST_DECODED));
        out.push('\n');
    }
    if let Some(plain) = unescaped(text) {
        out.push_str(&plain);
    }
    out
}

fn hex(token: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        token.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    Some(digits?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn base64(token: &str) -> Option<Vec<u8>> {
    let whole = &token[..token.len() - usize::from(token.len() % 4 == 1)];
    STANDARD_NO_PAD.decode(whole).or_else(|_| URL_SAFE_NO_PAD.decode(whole)).ok()
}

/// The text that bytes are, where they are one.
fn readable(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let shown = text.chars().filter(|c| !c.is_control() || c.is_whitespace()).count();
    (shown == text.chars().count() && text.len() >= 8).then(|| text.to_owned())
}

/// The text with its escapes resolved; nothing where it has few.
fn unescaped(text: &str) -> Option<String> {
    const FEW: usize = 4;
    // Each escape begins with one of these.
    if text.bytes().filter(|byte| matches!(byte, b'%' | b'\\' | b'&')).take(FEW).count() < FEW {
        return None;
    }
    let (mut out, mut escapes) = (Vec::with_capacity(text.len()), 0);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match escape(rest) {
            Some((code, length)) => {
                escapes += 1;
                match code {
                    Code::Byte(byte) => out.push(byte),
                    Code::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
                rest = &rest[length..];
            }
            None => {
                out.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    (escapes >= FEW).then(|| String::from_utf8_lossy(&out).into_owned())
}

enum Code {
    Byte(u8),
    Char(char),
}

/// The escape that `text` begins with, and its length: `%69`, `\x69`, `\u0069`, `&#105;`, `&#x69;`.
fn escape(text: &str) -> Option<(Code, usize)> {
    let number = |from: usize, to: usize, radix| u32::from_str_radix(text.get(from..to)?, radix).ok();
    let letter = |code, length| Some((Code::Char(char::from_u32(code)?), length));
    if text.starts_with('%') {
        return Some((Code::Byte(u8::try_from(number(1, 3, 16)?).ok()?), 3));
    }
    if text.starts_with("\\x") {
        return Some((Code::Byte(u8::try_from(number(2, 4, 16)?).ok()?), 4));
    }
    if text.starts_with("\\u") {
        return letter(number(2, 6, 16)?, 6);
    }
    if text.starts_with("&#") {
        let end = text.bytes().take(10).position(|b| b == b';')?;
        let hex = matches!(text.as_bytes().get(2), Some(b'x' | b'X'));
        let code = if hex { number(3, end, 16)? } else { number(2, end, 10)? };
        return letter(code, end + 1);
    }
    None
}
