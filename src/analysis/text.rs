//! Words for people, and care with words from outside.

use jiff::Timestamp;

/// Longest quotation of a log line or message in a statement, in characters.
const QUOTE_CHARS: usize = 160;

/// Text from outside as a quotation: one line, bounded, without control or direction characters.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", clip(text, QUOTE_CHARS).replace('"', "'"))
}

/// One line of at most `max` characters.
pub(super) fn clip(text: &str, max: usize) -> String {
    let mut line = String::new();
    let mut chars = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control() || is_format(c)).filter(|w| !w.is_empty()) {
        if chars > 0 {
            line.push(' ');
            chars += 1;
        }
        for c in word.chars() {
            if chars + 1 >= max {
                line.push('…');
                return line;
            }
            line.push(c);
            chars += 1;
        }
    }
    line
}

/// Characters that change how text is shown without being seen.
pub(super) fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}')
}

/// A statement without its details: the first clause. What is quoted is no clause.
pub(super) fn gist(statement: &str) -> &str {
    let mut quoted = false;
    let end = statement.char_indices().find(|(at, c)| {
        quoted ^= *c == '"';
        !quoted && statement[*at..].starts_with("; ")
    });
    end.map_or(statement, |(at, _)| &statement[..at])
}

/// `14.0 GiB`.
pub(super) fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value.abs() >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match value.fract().abs() < 0.05 {
        true => format!("{value:.0} {}", UNITS[unit]),
        false => format!("{value:.1} {}", UNITS[unit]),
    }
}

/// `78 %`, rounded down so that "100 %" means full.
pub(super) fn percent(ratio: f64) -> String {
    format!("{:.0} %", (ratio * 100.0 + 1e-6).floor())
}

/// A measured value in at most four telling digits: `77.35`, `0.002`, `1.2e9`.
pub(super) fn figure(value: f64) -> String {
    let size = value.abs();
    let (digits, plain) = match size {
        0.0 => return "0".into(),
        s if !(1e-4..1e7).contains(&s) => (2, false),
        s => ((3 - s.log10().floor() as i32).clamp(0, 7) as usize, true),
    };
    match plain {
        false => format!("{value:.digits$e}"),
        true => {
            let text = format!("{value:.digits$}");
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
    }
}

/// `3.5 h`, `20 min`, `2.1 d`.
pub(super) fn hours(hours: f64) -> String {
    match hours {
        h if h < 2.0 => format!("{:.0} min", h * 60.0),
        h if h < 48.0 => format!("{h:.1} h"),
        h => format!("{:.1} d", h / 24.0),
    }
}

/// `2026-04-01 01:00 UTC`.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Seconds from `a` to `b`.
pub(super) fn seconds_between(a: Timestamp, b: Timestamp) -> i64 {
    b.as_second().saturating_sub(a.as_second())
}

/// `a, b and 3 more`.
pub(super) fn some_of(names: &[String], show: usize) -> String {
    match names.len() {
        n if n <= show => names.join(", "),
        n => format!("{} and {} more", names[..show].join(", "), n - show),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotations_are_one_bounded_line_that_shows_what_it_says() {
        assert_eq!(quote("a\n\u{202e}b\t\"c\""), "\"a b 'c'\"");
        assert_eq!(quote(&"x".repeat(500)).chars().count(), 162);
        assert_eq!(clip("  ", 5), "");
    }

    #[test]
    fn a_gist_is_the_first_clause() {
        for (statement, first) in
            [("a; b; c", "a"), ("a \"x; y\"; b", "a \"x; y\""), ("a", "a"), ("", ""), ("é; b", "é")]
        {
            assert_eq!(gist(statement), first);
        }
    }

    #[test]
    fn figures_read_as_people_say_them() {
        assert_eq!(bytes(15.0 * 1024.0 * 1024.0 * 1024.0), "15 GiB");
        assert_eq!(bytes(1536.0), "1.5 KiB");
        assert_eq!(percent(0.999), "99 %");
        assert_eq!(percent(0.78), "78 %");
        for (value, text) in
            [(77.346, "77.35"), (0.002, "0.002"), (75.0, "75"), (123_456.0, "123456"), (2e9, "2.00e9"), (-0.5, "-0.5")]
        {
            assert_eq!(figure(value), text);
        }
        assert_eq!(hours(0.5), "30 min");
        assert_eq!(hours(72.0), "3.0 d");
    }
}
