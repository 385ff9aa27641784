//! What a container said.

use super::{Cluster, arguments, gist, given};
use crate::edge::kube::{LogKeep, LogQuery};
use crate::tools::render::clip;
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Lines without `head` or `tail`.
const LINES: usize = 300;
const LINES_MAX: usize = 5000;
/// Lines that a filter looks through.
const FILTERED: u32 = 20_000;
/// Most bytes of a log.
const LOG_BYTES: usize = 4 << 20;
/// Most characters of a line.
const LINE: usize = 4000;

/// `kubernetes_logs`.
#[derive(Debug, Clone)]
pub struct Logs(pub(super) Cluster);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    namespace: String,
    pod: String,
    container: Option<String>,
    #[serde(default)]
    previous: bool,
    head: Option<usize>,
    tail: Option<usize>,
    grep: Option<String>,
}

#[async_trait]
impl ReadTool for Logs {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        let Ok(args) = arguments::<Args>(args) else { return Vec::new() };
        let mut target = self.0.target("get", "Pod", Some("v1"), Some(&args.namespace), Some(&args.pod));
        target["subresource"] = "log".into();
        vec![target]
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        if args.head.is_some() && args.tail.is_some() {
            return Err(ToolError::invalid("`head` and `tail` together are not possible: call once with each"));
        }
        let filter = given(&args.grep).map(filter);
        let wanted = args.head.or(args.tail).unwrap_or(LINES).clamp(1, LINES_MAX);
        let first = args.head.is_some();
        let query = LogQuery {
            container: given(&args.container).map(str::to_owned),
            previous: args.previous,
            tail_lines: match (first, &filter) {
                (true, _) => None,
                (false, Some(_)) => Some(FILTERED),
                (false, None) => u32::try_from(wanted).ok(),
            },
            keep: if first { LogKeep::First } else { LogKeep::Last },
            max_bytes: LOG_BYTES,
        };
        let pod = args.pod.trim();
        let log = self.0.reader.logs(args.namespace.trim(), pod, &query).await?;
        let all: Vec<String> = log.text.lines().map(plain).collect();
        let total = all.len();
        let mut lines: Vec<String> = match &filter {
            Some(filter) => all.into_iter().filter(|line| filter.is_match(line)).collect(),
            None => all,
        };
        let matching = lines.len();
        match first {
            true => lines.truncate(wanted),
            false => drop(lines.drain(..matching.saturating_sub(wanted))),
        }
        let (count, cut) = (lines.len(), log.cut);
        let mut seen = Seen::all(json!({
            "pod": pod, "container": log.container, "previous": args.previous, "lines": lines, "total_lines": total,
        }));
        if cut {
            seen.notes.push(format!("the log is larger than {LOG_BYTES} bytes; the other end was not read"));
        }
        if filter.is_some() && matching > count {
            seen.notes.push(format!("{matching} lines match, {count} are shown"));
        }
        seen.truncated = cut || matching > count;
        Ok(seen)
    }

    fn gist(&self, args: &Value, seen: &Seen) -> String {
        gist::log(&seen.data, args["grep"].as_str().is_some_and(|g| !g.trim().is_empty()))
    }

    fn text(&self, args: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let lines: Vec<&str> = data["lines"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let which = if data["previous"] == true { "previous log" } else { "log" };
        let end = if args["head"].is_number() { "oldest first, from the start" } else { "oldest first, up to the end" };
        let filter =
            args["grep"].as_str().filter(|g| !g.is_empty()).map(|g| format!(" matching `{g}`")).unwrap_or_default();
        let mut out = format!(
            "{which} of pod {} container {}: {} of {} lines read{filter}, {end}\n",
            data["pod"].as_str().unwrap_or_default(),
            data["container"].as_str().unwrap_or_default(),
            lines.len(),
            data["total_lines"],
        );
        let mut at = 0;
        while at < lines.len() {
            let same = lines[at..].iter().take_while(|line| **line == lines[at]).count();
            out.push_str(lines[at]);
            if same > 1 {
                let _ = write!(out, "  (x{same})");
            }
            out.push('\n');
            at += same;
        }
        out
    }
}

/// Which lines are wanted; in any case of letters.
enum Filter {
    Pattern(Regex),
    Literal(String),
}

impl Filter {
    fn is_match(&self, line: &str) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.is_match(line),
            Self::Literal(text) => line.to_lowercase().contains(text),
        }
    }
}

/// The pattern; one that is no pattern, or too large a one, is looked for as it stands.
fn filter(pattern: &str) -> Filter {
    match RegexBuilder::new(pattern).case_insensitive(true).size_limit(1 << 20).build() {
        Ok(pattern) => Filter::Pattern(pattern),
        Err(_) => Filter::Literal(pattern.to_lowercase()),
    }
}

/// A line without colours and control characters, and not longer than anyone reads.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len().min(LINE));
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                // A control sequence: parameters up to its final letter.
                if chars.as_str().starts_with('[') {
                    let _ = chars.by_ref().skip(1).find(|c| ('\u{40}'..='\u{7e}').contains(c));
                }
            }
            '\t' => out.push('\t'),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    clip(&out, LINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_is_none_is_taken_literally() {
        assert!(filter("OOM|panic").is_match("fatal: PANIC at"));
        assert!(filter("conn[").is_match("bad conn[7]") && !filter("conn[").is_match("conn 7"));
        assert!(!filter(&"(a{1000}){1000}".repeat(3)).is_match("aaa"));
    }

    #[test]
    fn colours_and_bells_do_not_reach_a_reader() {
        assert_eq!(plain("\u{1b}[31mERROR\u{1b}[0m\t\u{7}done\r"), "ERROR\tdone");
        assert_eq!(plain(&"x".repeat(9000)).chars().count(), LINE);
    }
}
