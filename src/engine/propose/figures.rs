//! Figures in a sentence, and whether a text holds them.
//!
//! The comparison forgives what people do to figures (rounding, thousands separators, another unit
//! of the same thing) and nothing else. A figure that names something (a port, an exit code, the
//! number of a pull request) is compared exactly, and seconds are never per cent.

use std::collections::HashSet;

/// Bytes of one text that are compared.
const MAX_BYTES: usize = 512 << 10;
/// Integers up to this one, without a unit, are counts as often as readings.
const SMALL: f64 = 9.0;
/// Words before a number that names something: it is not rounded.
const NAMING: [&str; 24] = [
    "build",
    "code",
    "codes",
    "errno",
    "error",
    "exit",
    "gid",
    "http",
    "id",
    "issue",
    "line",
    "no",
    "number",
    "pid",
    "port",
    "ports",
    "pr",
    "request",
    "revision",
    "signal",
    "status",
    "uid",
    "generation",
    "ticket",
];
/// Number words from ten on; smaller ones are counts that people estimate in words.
const SPELLED: [(&str, f64); 18] = [
    ("ten", 10.0),
    ("eleven", 11.0),
    ("twelve", 12.0),
    ("thirteen", 13.0),
    ("fourteen", 14.0),
    ("fifteen", 15.0),
    ("sixteen", 16.0),
    ("seventeen", 17.0),
    ("eighteen", 18.0),
    ("nineteen", 19.0),
    ("twenty", 20.0),
    ("thirty", 30.0),
    ("forty", 40.0),
    ("fifty", 50.0),
    ("sixty", 60.0),
    ("seventy", 70.0),
    ("eighty", 80.0),
    ("ninety", 90.0),
];
const DIGITS: [&str; 9] = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
/// Words of size that stand for no figure in particular; a claim may use them where the evidence does.
const SIZES: [&str; 10] =
    ["dozen", "dozens", "hundred", "hundreds", "thousand", "thousands", "million", "millions", "billion", "billions"];

/// A number as it stands in a text.
#[derive(Debug, Clone, PartialEq)]
struct Figure {
    /// As written, without its unit.
    text: String,
    value: f64,
    decimals: i32,
    unit: &'static str,
    /// It names something, as a port does.
    exact: bool,
}

/// A text, ready to be compared: its figures, and itself in lower case.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    numbers: Vec<Figure>,
    text: String,
}

impl Figures {
    /// Reads `text`, at most its first 512 KiB.
    pub fn of(text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(MAX_BYTES)];
        let mut known = HashSet::new();
        let mut numbers: Vec<Figure> = scan(text, true).into_iter().filter_map(Token::number).collect();
        numbers.retain(|figure| known.insert((figure.value.to_bits(), figure.unit)));
        Self { numbers, text: text.to_lowercase() }
    }

    /// The text in lower case.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn holds(&self, figure: &Figure) -> bool {
        self.numbers.iter().any(|seen| agree(figure, seen))
    }
}

/// The first figure of `claim` that is in none of the texts where it should be: in one of `cited`,
/// or for a small count in any of `all`.
pub fn unsupported(claim: &str, cited: &[&Figures], all: &[&Figures]) -> Option<String> {
    scan(claim, false).into_iter().find_map(|token| match token {
        Token::Literal(text) => (!cited.iter().any(|seen| stands(&seen.text, &text))).then_some(text),
        Token::Number(figure) => {
            let count = figure.unit.is_empty() && figure.decimals == 0 && figure.value <= SMALL;
            let held =
                cited.iter().any(|seen| seen.holds(&figure)) || (count && all.iter().any(|seen| seen.holds(&figure)));
            (!held).then(|| format!("{} {}", figure.text, figure.unit).trim_end().to_owned())
        }
    })
}

/// Whether `literal` stands in `text` and is no part of a longer number.
fn stands(text: &str, literal: &str) -> bool {
    text.match_indices(literal).any(|(at, found)| {
        let mut before = text[..at].chars().rev();
        let glued = match before.next() {
            Some('.') => before.next().is_some_and(|c| c.is_ascii_digit()),
            Some(c) => c.is_numeric(),
            None => false,
        };
        !glued && !text[at + found.len()..].starts_with(char::is_numeric)
    })
}

enum Token {
    Number(Figure),
    /// A time of day, a date, an address, a word of size: compared letter by letter.
    Literal(String),
}

impl Token {
    fn number(self) -> Option<Figure> {
        match self {
            Self::Number(figure) => Some(figure),
            Self::Literal(_) => None,
        }
    }
}

/// The figures of `text`. With `everywhere`, digits inside names and times count, too: evidence is
/// read generously, claims are read as sentences.
fn scan(text: &str, everywhere: bool) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let digit = |i: usize| chars.get(i).is_some_and(char::is_ascii_digit);
    let mut out = Vec::new();
    let mut i = 0;
    // Where the time of a timestamp begins, behind its `T`.
    let mut time_at = None;
    while i < chars.len() {
        if !digit(i) {
            i = word(&chars, i, everywhere, &mut out);
            continue;
        }
        let start = i;
        // `typedb-0`, `E7`, `v1.2`: part of a name.
        let before = start.checked_sub(1).map(|b| chars[b]);
        let in_name = match before {
            _ if time_at.take() == Some(start) => false,
            Some('-' | '.' | '/') => start >= 2 && chars[start - 2].is_alphanumeric() && !follows_number(&chars, start),
            Some(c) => c.is_alphanumeric() || c == '_',
            None => false,
        };
        let mut digits = String::new();
        let mut decimals = 0;
        while digit(i)
            || (chars.get(i) == Some(&',') && !digits.is_empty() && (1..=3).all(|k| digit(i + k)) && !digit(i + 4))
        {
            if chars[i] != ',' {
                digits.push(chars[i]);
            }
            i += 1;
        }
        let dotted = |i: usize| chars.get(i) == Some(&'.') && digit(i + 1);
        let literal_end = match chars.get(i) {
            Some(':') if digit(i + 1) && digit(i + 2) && !digit(i + 3) && digits.len() <= 2 => Some(i + 3),
            Some('-') if digit(i + 1) && digits.len() == 4 => Some(run(&chars, i, |c| c.is_ascii_digit() || c == '-')),
            Some('.') if dotted(i) => {
                let end = run(&chars, i, |c| c.is_ascii_digit() || c == '.');
                (chars[i..end].iter().filter(|c| **c == '.').count() > 1 && digit(end - 1)).then_some(end)
            }
            _ => None,
        };
        if let (Some(end), false) = (literal_end, everywhere) {
            if !in_name {
                out.push(Token::Literal(chars[start..end].iter().collect()));
            }
            // The seconds of a time are not compared.
            i = run(&chars, end, |c| c.is_ascii_digit() || c == ':' || c == '.');
            if !in_name && matches!(chars.get(i), Some('T' | 't')) && digit(i + 1) {
                i += 1;
                time_at = Some(i);
            }
            continue;
        }
        if dotted(i) {
            digits.push('.');
            i += 1;
            while digit(i) {
                digits.push(chars[i]);
                decimals += 1;
                i += 1;
            }
        }
        // 2.1e+10, as Prometheus writes it.
        if matches!(chars.get(i), Some('e' | 'E')) {
            let sign = usize::from(matches!(chars.get(i + 1), Some('+' | '-')));
            let end = run(&chars, i + 1 + sign, |c| c.is_ascii_digit());
            if digit(i + 1 + sign) && end - i <= 5 {
                digits.extend(&chars[i..end]);
                i = end;
            }
        }
        let (unit, end) = unit(&chars, i);
        let glued_name = unit.is_none() && chars.get(i).is_some_and(|c| c.is_alphanumeric() || *c == '_');
        let counts = everywhere || !(in_name || glued_name);
        if let (true, Ok(value)) = (counts, digits.parse::<f64>()) {
            let exact = unit.is_none() && decimals == 0 && names_something(&chars, start);
            let unit = unit.unwrap_or_default();
            out.push(Token::Number(Figure { text: digits, value, decimals, unit, exact }));
        }
        i = if glued_name && !everywhere {
            run(&chars, i, |c| c.is_alphanumeric() || c == '_' || c == '-')
        } else {
            end.max(i)
        };
    }
    out
}

/// Reads what begins at `i` and is no digit, up to the next word or digit.
fn word(chars: &[char], i: usize, everywhere: bool, out: &mut Vec<Token>) -> usize {
    let c = chars[i];
    if c.is_numeric() {
        // Digits of other scripts, fractions, powers: nobody's evidence writes them.
        let end = run(chars, i, char::is_numeric);
        if !everywhere {
            out.push(Token::Literal(chars[i..end].iter().flat_map(|c| c.to_lowercase()).collect()));
        }
        return end;
    }
    if !c.is_alphabetic() || (i > 0 && (chars[i - 1].is_alphanumeric() || chars[i - 1] == '_')) {
        return i + 1;
    }
    let end = run(chars, i, char::is_alphabetic);
    if !(3..=10).contains(&(end - i)) || chars.get(end).is_some_and(|c| c.is_numeric() || *c == '_') {
        return end;
    }
    let word: String = chars[i..end].iter().map(char::to_ascii_lowercase).collect();
    if !everywhere && SIZES.contains(&word.as_str()) {
        out.push(Token::Literal(word));
        return end;
    }
    let Some((_, tens)) = SPELLED.iter().find(|(spelled, _)| *spelled == word) else { return end };
    let second_end = run(chars, end + 1, char::is_alphabetic);
    let second: String = chars.get(end + 1..second_end).unwrap_or_default().iter().collect();
    let ones =
        DIGITS.iter().position(|digit| *digit == second).filter(|_| *tens >= 20.0 && chars.get(end) == Some(&'-'));
    let (value, end) = ones.map_or((*tens, end), |ones| (tens + ones as f64 + 1.0, second_end));
    let (unit, after) = unit(chars, end);
    let text = chars[i..end].iter().collect();
    out.push(Token::Number(Figure { text, value, decimals: 0, unit: unit.unwrap_or_default(), exact: false }));
    after.max(end)
}

/// Whether what the number at `start` is joined to is itself a number: `10-40`, `3/5`.
fn follows_number(chars: &[char], start: usize) -> bool {
    let joined = |c: &&char| c.is_alphanumeric() || matches!(**c, '-' | '.' | '/' | '_');
    chars[..start].iter().rev().take_while(joined).all(|c| c.is_ascii_digit() || matches!(c, '-' | '.' | '/'))
}

/// Whether the word before the number at `start` says that it is a name: `port 8080`, `#4711`.
fn names_something(chars: &[char], start: usize) -> bool {
    let mut at = start;
    while at > 0 && matches!(chars[at - 1], ' ' | ':' | '=' | '#' | '.' | '(') {
        at -= 1;
        if chars[at] == '#' {
            return true;
        }
    }
    let begin = (0..at).rev().take_while(|k| chars[*k].is_alphabetic()).last().unwrap_or(at);
    let word: String = chars[begin..at].iter().flat_map(|c| c.to_lowercase()).collect();
    at < start && NAMING.contains(&word.as_str())
}

fn run(chars: &[char], from: usize, part: impl Fn(char) -> bool) -> usize {
    let rest = chars.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|c| part(**c)).count()
}

/// The unit that follows, in one spelling, and where it ends.
fn unit(chars: &[char], at: usize) -> (Option<&'static str>, usize) {
    let spaced = usize::from(matches!(chars.get(at), Some(' ' | '\u{a0}' | '\u{202f}')));
    let from = at + spaced;
    if chars.get(from) == Some(&'%') {
        return (Some("%"), from + 1);
    }
    let end = run(chars, from, char::is_alphabetic);
    let word: String = chars[from.min(chars.len())..end].iter().take(12).collect();
    let known = match (word.as_str(), spaced) {
        ("percent", _) => "%",
        ("B" | "bytes" | "byte", _) => "B",
        ("Ki" | "KiB" | "k" | "K" | "kB" | "KB", _) => "Ki",
        ("Mi" | "MiB" | "MB", _) | ("M", 0) => "Mi",
        ("Gi" | "GiB" | "GB", _) | ("G", 0) => "Gi",
        ("Ti" | "TiB" | "TB", _) | ("T", 0) => "Ti",
        ("ms" | "milliseconds" | "millisecond", _) => "ms",
        ("s" | "sec" | "seconds" | "second", _) => "s",
        ("min" | "mins" | "minutes" | "minute", _) => "min",
        // `5m` is minutes or thousandths of a CPU.
        ("m", 0) => "m",
        ("h" | "hours" | "hour", _) => "h",
        ("d" | "days" | "day", _) => "d",
        _ => return (None, at),
    };
    (Some(known), end)
}

/// What a unit multiplies to its base: bytes in both countings, seconds, thousandths.
fn factors(unit: &str) -> &'static [f64] {
    const KI: f64 = 1024.0;
    match unit {
        "%" => &[0.01],
        "Ki" => &[KI, 1e3],
        "Mi" => &[KI * KI, 1e6],
        "Gi" => &[KI * KI * KI, 1e9],
        "Ti" => &[KI * KI * KI * KI, 1e12],
        "ms" => &[1e-3],
        "min" => &[60.0],
        "m" => &[60.0, 1e-3],
        "h" => &[3_600.0],
        "d" => &[86_400.0],
        _ => &[1.0],
    }
}

/// What a figure with this unit measures; two of different kinds never agree.
fn kind(unit: &str) -> Option<&'static str> {
    match unit {
        "%" => Some("share"),
        "B" | "Ki" | "Mi" | "Gi" | "Ti" => Some("size"),
        "ms" | "s" | "min" | "h" | "d" => Some("time"),
        _ => None,
    }
}

fn agree(claim: &Figure, seen: &Figure) -> bool {
    if let (Some(said), Some(is)) = (kind(claim.unit), kind(seen.unit))
        && said != is
    {
        return false;
    }
    let comparable = claim.unit == seen.unit || claim.unit.is_empty() || seen.unit.is_empty();
    if claim.value == seen.value && comparable {
        return true;
    }
    if claim.exact {
        return false;
    }
    let close = |a: f64, b: f64, tolerance: f64| (a - b).abs() <= tolerance * (1.0 + 1e-9);
    let tolerance = tolerance(claim);
    if comparable && close(claim.value, seen.value, tolerance) {
        return true;
    }
    // A bare 0 or 1 is a count as often as a share.
    if claim.unit == "%" && seen.unit.is_empty() && seen.decimals == 0 {
        return false;
    }
    factors(claim.unit).iter().any(|factor| {
        let base = claim.value * factor;
        let in_seen_unit =
            factors(seen.unit).iter().any(|seen_factor| close(base, seen.value * seen_factor, tolerance * factor));
        in_seen_unit || (seen.unit.is_empty() && close(base, seen.value, tolerance * factor))
    })
}

/// Half of the last digit that the claim shows. Trailing zeros of an integer may be rounding, up to
/// half a per cent; a figure with a unit is a reading, which is forgiven as much.
fn tolerance(claim: &Figure) -> f64 {
    let size = claim.value.abs();
    let shown = (0.5 * 10f64.powi(-claim.decimals)).min(size.max(1.0) * 0.05);
    let rounded = claim.decimals > 0 || !claim.unit.is_empty() || size % 10.0 == 0.0;
    if rounded { shown.max(size * 0.005) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(claim: &str, evidence: &str) -> Option<String> {
        let figures = Figures::of(evidence);
        unsupported(claim, &[&figures], &[&figures])
    }

    #[test]
    fn figures_are_found_however_they_are_written() {
        for (claim, evidence) in [
            ("97 % full", "used ratio 0.9713"),
            ("97% full", "97.1 percent"),
            ("19.4 GiB of 20 GiB used", "kubelet_volume_stats_used_bytes 20830591385, capacity 20Gi"),
            ("restarted 1,843 times", "restartCount: 1843"),
            ("about 1,800 restarts", "restartCount: 1803"),
            ("12 minutes before", "age 720 s"),
            ("for 2 h", "7210.5 seconds"),
            ("at 10:42 UTC", "2025-11-20T10:42:13Z"),
            ("since 2025-11-20", "2025-11-20T10:42:13Z"),
            ("address 10.42.0.7 refuses", "dial tcp 10.42.0.7:1729: refused"),
            ("port 1729", "dial tcp 10.42.0.7:1729: refused"),
            ("20.8 GB", "2.083e+10"),
            ("exit code 137", "exitCode: 137"),
            ("limit 512Mi", "memory: 536870912"),
            ("1.73 cores", "1.7312"),
            ("twelve restarts", "restartCount: 12"),
            ("after twenty-one minutes", "age 21 min"),
            ("the pod waits 5m", "for: 5 minutes"),
            ("250m of a CPU", "cpu: 0.25"),
            ("port 8080", "containerPort: 8080"),
            ("about 4,700 requests", "4711"),
            ("10-40 % of requests", "from 10 to 40 %"),
            ("at 2025-11-20T10:42:00Z", "2025-11-20 10:42:13"),
            ("chart 1.28.3", "image app:1.28.3-alpine"),
            ("full (100 %)", "100.0 % used"),
        ] {
            assert_eq!(missing(claim, evidence), None, "{claim} | {evidence}");
        }
    }

    #[test]
    fn invented_figures_are_named() {
        for (claim, evidence, figure) in [
            ("97 % full", "used ratio 0.42", "97 %"),
            ("restarted 1843 times", "restartCount: 12", "1843"),
            ("40 GiB volume", "capacity 20Gi", "40 Gi"),
            ("at 11:17", "2025-11-20T10:42:13Z", "11:17"),
            ("exit code 137", "exitCode: 1", "137"),
            ("port 5432", "dial tcp 10.42.0.7:1729", "5432"),
            ("7 of 9 nodes", "9 nodes Ready", "7"),
            ("15 minutes", "720 s", "15 min"),
            // Another unit, another kind, another thing.
            ("97 % full", "took 97 seconds", "97 %"),
            ("for 5 hours", "5 minutes", "5 h"),
            ("a 20 MiB volume", "capacity 20Gi", "20 Mi"),
            ("512 ms", "memory: 512Mi", "512 ms"),
            ("50 % full", "took 0.5 s", "50 %"),
            ("100 % full", "ready 1 of 1", "100 %"),
            // Figures that name something are not rounded.
            ("port 8080", "dial tcp 10.42.0.7:8085", "8080"),
            ("port 5432", "dial tcp 10.42.0.7:5433", "5432"),
            ("PR #4700", "PR #4711", "4700"),
            ("status 503", "HTTP 502", "503"),
            ("restarted 4711 times", "restartCount: 4703", "4711"),
            // Ranges have two ends.
            ("between 10 and 40 %", "from 10 to 20 %", "40 %"),
            ("10-40 % of requests", "10 % to 20 %", "40 %"),
            ("10–40 % of requests", "10 % to 20 %", "40 %"),
            // Part of a longer number is another number.
            ("10.42.0.7 refuses", "dial tcp 10.42.0.71:80", "10.42.0.7"),
            ("chart 1.28.3", "chart 11.28.35", "1.28.3"),
            ("at 10:42", "at 10:423", "10:42"),
            // The time of a timestamp counts as much as its date.
            ("at 2025-11-20T11:17:00Z", "2025-11-20T10:42:13Z", "11:17"),
            ("since 2025-11-21", "2025-11-20T10:42:13Z", "2025-11-21"),
            // Other ways to write a figure are no way around.
            ("restarted ninety-nine times", "restartCount: 12", "ninety-nine"),
            ("restarted twelve times", "restartCount: 3", "twelve"),
            ("hundreds of pods fail", "3 pods fail", "hundreds"),
            ("restarted ９９ times", "restartCount: 12", "９９"),
            ("½ of the pods", "3 pods", "½"),
        ] {
            assert_eq!(missing(claim, evidence).as_deref(), Some(figure), "{claim} | {evidence}");
        }
    }

    #[test]
    fn digits_of_names_are_no_figures() {
        for claim in [
            "typedb-0 fails",
            "see E7",
            "v1.28.3 of the chart",
            "pod web-7f9c4d-x2x4z",
            "ip6 fe80",
            "sha256:ab12",
            "node_2 is gone",
        ] {
            assert_eq!(missing(claim, "nothing"), None, "{claim}");
        }
    }

    #[test]
    fn a_small_count_may_stand_in_other_evidence_and_a_large_one_may_not() {
        let (cited, other) = (Figures::of("x"), Figures::of("3 nodes, 300 pods"));
        let (cited, all) = ([&cited], [&cited, &other]);
        assert_eq!(unsupported("3 nodes", &cited, &all), None);
        assert_eq!(unsupported("300 pods", &cited, &all), Some("300".to_owned()));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_and_holds_its_own_figures(text in "[0-9a-zE.,:;%+_/ \\-äGi]{0,40}", other in ".*") {
            let _ = missing(&text, &other);
            let _ = missing(&other, &text);
            proptest::prop_assert_eq!(missing(&text, &text), None);
        }
    }
}
