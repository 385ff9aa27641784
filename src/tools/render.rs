//! Tables, ages and a readable form of objects, for people and models.

use jiff::Timestamp;
use serde_json::Value;
use std::fmt::Write as _;

/// Most characters of a cell, and of the last cell of a row.
const CELL: usize = 120;
const LAST_CELL: usize = 400;
/// Most characters of one string in [`yaml`].
const STRING: usize = 4000;

/// Columns that line up. Cells lose line breaks and are cut at a sensible width.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let cell = |text: &str, last: bool| -> String {
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        clip(&flat, if last { LAST_CELL } else { CELL })
    };
    let all: Vec<Vec<String>> = std::iter::once(head.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>())
        .chain(rows.iter().cloned())
        .map(|row| {
            let last = row.len().saturating_sub(1);
            row.iter().enumerate().map(|(i, text)| cell(text, i == last)).collect()
        })
        .collect();
    let width = |column: usize| all.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    for row in &all {
        let mut line = String::new();
        for (text, width) in row.iter().zip(&widths) {
            let text = if text.is_empty() { "-" } else { text };
            let _ = write!(line, "{text:<width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// `text` in at most `chars` characters.
pub fn clip(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some(_) => {
            let end = text.char_indices().nth(chars.saturating_sub(1)).map_or(0, |(at, _)| at);
            format!("{}…", &text[..end])
        }
    }
}

/// How long ago the RFC 3339 time in `value` was, as kubectl says it: `45s`, `12m`, `5h`, `3d4h`.
pub fn age(value: &Value, now: Timestamp) -> String {
    let Some(then) = value.as_str().and_then(|t| t.parse::<Timestamp>().ok()) else {
        return String::new();
    };
    span(now.as_second() - then.as_second())
}

/// Seconds as people say them.
pub fn span(seconds: i64) -> String {
    let (sign, seconds) = if seconds < 0 { ("-", -seconds) } else { ("", seconds) };
    let text = match seconds {
        s if s < 120 => format!("{s}s"),
        s if s < 7200 => format!("{}m", s / 60),
        s if s < 172_800 => format!("{}h", s / 3600),
        s => match (s / 86_400, s % 86_400 / 3600) {
            (days, hours) if days < 8 && hours > 0 => format!("{days}d{hours}h"),
            (days, _) => format!("{days}d"),
        },
    };
    format!("{sign}{text}")
}

/// A value as YAML that people read; long strings are cut.
pub fn yaml(value: &Value) -> String {
    let mut out = String::new();
    block(&mut out, value, 0);
    out
}

fn block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) => {
            for (key, item) in map {
                out.push_str(&" ".repeat(indent));
                entry(out, &format!("{}:", scalar(key)), item, indent);
            }
        }
        Value::Array(items) => {
            for item in items {
                out.push_str(&" ".repeat(indent));
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        let mut inner = String::new();
                        block(&mut inner, item, indent + 2);
                        out.push_str("- ");
                        out.push_str(inner.trim_start_matches(' '));
                    }
                    item => entry(out, "-", item, indent),
                }
            }
        }
        other => {
            out.push_str(&" ".repeat(indent));
            out.push_str(&inline(other));
            out.push('\n');
        }
    }
}

fn entry(out: &mut String, lead: &str, item: &Value, indent: usize) {
    match item {
        Value::Object(map) if !map.is_empty() => {
            let _ = writeln!(out, "{lead}");
            block(out, item, indent + 2);
        }
        Value::Array(items) if !items.is_empty() => {
            let _ = writeln!(out, "{lead}");
            block(out, item, if lead == "-" { indent + 2 } else { indent });
        }
        Value::String(text) if text.trim_end().contains('\n') => {
            let _ = writeln!(out, "{lead} |");
            for line in clip(text.trim_end(), STRING).lines() {
                let _ = writeln!(out, "{}{line}", " ".repeat(indent + 2));
            }
        }
        other => {
            let _ = writeln!(out, "{lead} {}", inline(other));
        }
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Object(_) => "{}".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        other => other.to_string(),
    }
}

/// A string without quotes where YAML would read it back as this string.
fn scalar(text: &str) -> String {
    let text = clip(text, STRING);
    let first = text.chars().next();
    let odd_start = first.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '/' | '_' | '.' | '(' | '<')));
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "~", "<<"]
        .contains(&text.to_ascii_lowercase().as_str());
    // Whatever could be a number in some YAML: 0x1f, 1_000, 1:30, .inf.
    let numeric = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | '_' | '+' | '-' | ':' | 'x' | 'X' | 'o' | 'O');
    let number = first.is_some_and(|c| c == '.' || (c.is_numeric() && text.chars().all(numeric)));
    let odd =
        text.contains(": ") || text.contains(" #") || text.ends_with([':', ' ']) || text.contains(['\n', '\r', '\t']);
    match odd_start || reserved || number || odd {
        true => Value::String(text).to_string(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_reads_back_as_the_same_value() {
        let value = json!({"a": {"b": [1, "x: y", "true", "", {"c": null, "d": []}, ["n"]]}, "k:ey": "1.5", "e": {}, "s": "-x", "t": "12Gi"});
        let back: Value = serde_saphyr::from_str(&yaml(&value)).unwrap();
        assert_eq!(back, value, "{}", yaml(&value));
    }

    #[test]
    fn ages_are_short() {
        for (seconds, text) in
            [(5, "5s"), (119, "119s"), (600, "10m"), (7200, "2h"), (180_000, "2d2h"), (900_000, "10d"), (-30, "-30s")]
        {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn tables_line_up_and_stay_on_their_lines() {
        let rows = vec![vec!["a".into(), "x\ny".into()], vec!["longer".into(), String::new()]];
        assert_eq!(table(&["NAME", "WHAT"], &rows), "NAME    WHAT\na       x y\nlonger  -\n");
    }

    proptest::proptest! {
        #[test]
        fn any_string_survives_yaml(text in "[ -~äö\n]{0,30}") {
            let value = json!({"k": [text.trim(), {"n": text.trim()}]});
            if !text.trim().contains('\n') {
                let back: Value = serde_saphyr::from_str(&yaml(&value)).unwrap();
                proptest::prop_assert_eq!(back, value);
            }
        }
    }
}
