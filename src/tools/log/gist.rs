//! What a log says, in a line.

use crate::tools::gist::{CHARS, counted, quoted};
use jiff::Timestamp;
use serde_json::Value;

/// The gist of `data` as [`super::fold::Folded::data`] gives it.
pub fn log(data: &Value, filtered: bool) -> String {
    let lines: Vec<&str> = data["lines"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let read = data["total_lines"].as_u64().unwrap_or(0);
    let said = |line: &&&str| line.chars().any(|c| !c.is_whitespace());
    let telling = lines.iter().rev().find(|line| is_error(line)).map(|line| ("last error", line));
    let Some((what, line)) = telling.or_else(|| lines.iter().rev().find(said).map(|line| ("last", line))) else {
        return match filtered && read > 0 {
            true => format!("none of {read} lines matches"),
            false => "no lines: the log is empty".to_owned(),
        };
    };
    let head = match filtered {
        true => format!("{} of {read} lines, {what}: ", lines.len()),
        false => format!("{}; {what}: ", counted(lines.len(), "line", "lines")),
    };
    let room = CHARS - head.chars().count().min(CHARS);
    format!("{head}{}", quoted(&message(line), room))
}

/// Whether a line speaks of an error.
pub fn is_error(line: &str) -> bool {
    let line = line.to_lowercase();
    ["error", "panic", "fatal", "exception"].iter().any(|word| line.contains(word))
}

/// What a line of a log says, without its time; of JSON the message.
fn message(line: &str) -> String {
    let line = line.trim();
    if line.starts_with('{')
        && let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(line)
        && let Some(said) = ["message", "msg", "error", "err"].iter().find_map(|key| fields.get(*key)?.as_str())
    {
        return said.to_owned();
    }
    match line.split_once(' ') {
        Some((time, rest)) if time.trim_matches(['[', ']']).parse::<Timestamp>().is_ok() => rest.trim().to_owned(),
        _ => line.to_owned(),
    }
}
