//! Reading on in what was seen before: the rest of a result that was shown in part. Nothing is asked of
//! the world; the investigation's own journal is read.

use super::spec::{ReadTool, Seen, ToolError, ToolSpec};
use crate::domain::Observation;
use crate::domain::excerpt::passage;
use async_trait::async_trait;
use regex::RegexBuilder;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The tool.
pub const EVIDENCE_READ: &str = "evidence_read";
/// What a manifest can run.
pub const BUILTINS: [&str; 1] = [EVIDENCE_READ];

/// Lines of one passage unless another number is asked for.
const LINES: usize = 200;
/// Characters of one passage.
const CHARS: usize = 31_000;
const MAX_REGEX: usize = 1 << 20;

/// What to call to read evidence `id` from line `from` on, in words for a model.
pub fn call_to_read(id: &str, from: usize) -> String {
    format!("{EVIDENCE_READ} {}", json!({"id": id, "from": from}))
}

/// Which part of which evidence.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    id: String,
    from: Option<usize>,
    lines: Option<usize>,
    grep: Option<String>,
}

impl Which {
    fn of(args: &Value) -> Result<Self, ToolError> {
        Self::deserialize(args).map_err(|e| ToolError::invalid(format!("the arguments cannot be read: {e}")))
    }
}

/// The id of the evidence that a call of [`EVIDENCE_READ`] wants to read on in.
pub fn wanted(args: &Value) -> Option<&str> {
    args.get("id").and_then(Value::as_str)
}

/// The part of `kept` that `args` ask for.
///
/// # Errors
/// [`ToolError::Invalid`] when the pattern is none.
pub fn read(args: &Value, kept: &Observation) -> Result<Seen, ToolError> {
    let which = Which::of(args)?;
    let pattern = which.grep.as_deref().map(str::trim).filter(|pattern| !pattern.is_empty());
    let pattern = pattern
        .map(|pattern| RegexBuilder::new(pattern).case_insensitive(true).size_limit(MAX_REGEX).build())
        .transpose()
        .map_err(|e| ToolError::invalid(format!("grep: is no regular expression: {e}")))?;
    let wanted = |line: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(line));
    let found = passage(kept.whole(), which.from.unwrap_or(1), which.lines.unwrap_or(LINES), CHARS, wanted);
    let rest = found.to < found.total;
    let mut seen = Seen::all(
        json!({"of": which.id, "from": found.from, "to": found.to, "total": found.total, "lines": found.lines}),
    );
    if rest {
        seen.notes.push(format!("it goes on: {}", call_to_read(&which.id, found.to + 1)));
    }
    Ok(seen)
}

/// The tool that `spec` runs, if it is ours.
pub fn build(spec: Arc<ToolSpec>) -> Option<Box<dyn ReadTool>> {
    (spec.builtin == EVIDENCE_READ).then(|| Box::new(ReadOn { spec }) as Box<dyn ReadTool>)
}

#[derive(Debug)]
struct ReadOn {
    spec: Arc<ToolSpec>,
}

#[async_trait]
impl ReadTool for ReadOn {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        vec![json!({"kind": "Evidence", "name": wanted(args), "verb": "get"})]
    }

    async fn read(&self, _: &Value) -> Result<Seen, ToolError> {
        Err(ToolError::invalid("there is no evidence outside an investigation"))
    }

    fn gist(&self, args: &Value, seen: &Seen) -> String {
        let part = |key: &str| seen.data[key].as_u64().unwrap_or(0);
        let grep = args["grep"].as_str().map(|grep| format!(" that match {grep:?}")).unwrap_or_default();
        let lines = seen.data["lines"].as_array().map_or(0, Vec::len);
        format!(
            "{}: {lines} lines{grep} of lines {} to {} of {}",
            seen.data["of"].as_str().unwrap_or_default(),
            part("from"),
            part("to"),
            part("total")
        )
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let lines = seen.data["lines"].as_array().into_iter().flatten().filter_map(Value::as_str);
        lines.collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(lines: usize) -> Observation {
        let whole = (1..=lines).map(|n| format!("{n} {}\n", if n % 10 == 0 { "ERROR" } else { "ok" })).collect();
        Observation { data: json!(null), text: "cut".into(), whole, truncated: true, redacted: 0 }
    }

    #[test]
    fn it_reads_on_from_a_line_and_says_where_it_goes_on() {
        let seen = read(&json!({"id": "E7", "from": 201}), &kept(1_000)).unwrap();
        assert_eq!((seen.data["from"].as_u64(), seen.data["to"].as_u64()), (Some(201), Some(400)));
        assert_eq!(seen.data["lines"][0], "201 ok");
        assert_eq!(seen.notes, [r#"it goes on: evidence_read {"id":"E7","from":401}"#]);
        let end = read(&json!({"id": "E7", "from": 990}), &kept(1_000)).unwrap();
        assert_eq!((end.data["lines"].as_array().unwrap().len(), end.notes.len()), (11, 0));
    }

    #[test]
    fn it_finds_lines_in_any_case_and_refuses_what_is_no_pattern() {
        let seen = read(&json!({"id": "E7", "grep": "error", "lines": 3}), &kept(1_000)).unwrap();
        assert_eq!(seen.data["lines"], json!(["10 ERROR", "20 ERROR", "30 ERROR"]));
        assert_eq!(seen.data["to"], 39);
        let none = read(&json!({"id": "E7", "grep": "panic"}), &kept(50)).unwrap();
        assert_eq!((none.data["lines"].as_array().unwrap().len(), none.data["to"].as_u64()), (0, Some(50)));
        assert!(read(&json!({"id": "E7", "grep": "("}), &kept(5)).unwrap_err().for_reader().contains("grep"));
        let short = Observation { whole: String::new(), text: "a\nb".into(), ..kept(0) };
        assert_eq!(read(&json!({"id": "E1"}), &short).unwrap().data["lines"], json!(["a", "b"]));
    }
}
