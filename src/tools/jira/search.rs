//! Issues that fit a query.

use super::{Tracker, named, target};
use crate::tools::render::clip;
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec, arguments, given};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

/// Issues of one answer where the call does not say.
const LIMIT: usize = 20;
const FIELDS: [&str; 9] =
    ["summary", "status", "issuetype", "priority", "labels", "assignee", "created", "updated", "resolution"];

/// `jira_search`.
#[derive(Debug, Clone)]
pub struct Search(pub(super) Tracker);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    jql: Option<String>,
    text: Option<String>,
    limit: Option<usize>,
}

#[async_trait]
impl ReadTool for Search {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, _: &Value) -> Vec<Value> {
        target(&Value::Null, "search")
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let words = given(&args.text).map(|words| format!("text ~ {}", crate::edge::jira::jql::quoted(words)));
        let jql = match (given(&args.jql), words) {
            (Some(_), Some(_)) => return Err(ToolError::invalid("send either `text` or `jql`")),
            (Some(jql), None) => jql.to_owned(),
            (None, words) => words.unwrap_or_default(),
        };
        let found = self.0.reader.search(&jql, &FIELDS, args.limit.unwrap_or(LIMIT)).await?;
        let issues: Vec<Value> = found.issues.iter().map(row).collect();
        let mut seen = Seen::all(json!({"issues": issues}));
        if found.more {
            seen.truncated = true;
            seen.notes.push("there are more issues: narrow the query, or raise `limit`".into());
        }
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let issues = seen.data["issues"].as_array().map_or(&[][..], Vec::as_slice);
        match issues {
            [] => format!("no issue of {} fits", self.0.reader.projects().join(", ")),
            [only] => format!("1 issue: {} {}", word(only, "key"), clip(word(only, "summary"), 120)),
            [first, ..] => {
                let (key, summary) = (word(first, "key"), clip(word(first, "summary"), 100));
                format!("{} issues, first {key} {summary}", issues.len())
            }
        }
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let mut out = String::new();
        for issue in seen.data["issues"].as_array().into_iter().flatten() {
            let labels: Vec<&str> =
                issue["labels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            out.push_str(&format!(
                "{} [{}] {} ({}, created {}, updated {}, for {}{})\n",
                word(issue, "key"),
                word(issue, "status"),
                clip(word(issue, "summary"), 200),
                word(issue, "type"),
                day(word(issue, "created")),
                day(word(issue, "updated")),
                word(issue, "assignee"),
                if labels.is_empty() { String::new() } else { format!(", {}", clip(&labels.join(" "), 100)) },
            ));
        }
        out
    }
}

/// What is kept of an issue.
fn row(issue: &Value) -> Value {
    let fields = &issue["fields"];
    json!({
        "key": issue["key"], "summary": fields["summary"], "status": named(&fields["status"]),
        "type": named(&fields["issuetype"]), "priority": named(&fields["priority"]), "labels": fields["labels"],
        "assignee": named(&fields["assignee"]), "resolution": named(&fields["resolution"]),
        "created": fields["created"], "updated": fields["updated"],
    })
}

fn word<'a>(issue: &'a Value, field: &str) -> &'a str {
    issue[field].as_str().unwrap_or("-")
}

/// The minute of a time as Jira writes it.
fn day(time: &str) -> &str {
    time.get(..16).unwrap_or(time)
}
