//! One issue with what belongs to it.

use super::{Tracker, named, plain, target};
use crate::tools::render::clip;
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec, arguments};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

const FIELDS: [&str; 12] = [
    "summary",
    "description",
    "status",
    "issuetype",
    "priority",
    "labels",
    "assignee",
    "reporter",
    "created",
    "updated",
    "resolution",
    "issuelinks",
];
/// Comments that are shown where the call does not say.
const COMMENTS: usize = 10;
/// Characters of one comment, and of the description.
const COMMENT: usize = 2_000;
const DESCRIPTION: usize = 6_000;
/// Links that are shown.
const LINKS: usize = 20;

/// `jira_issue`.
#[derive(Debug, Clone)]
pub struct Issue(pub(super) Tracker);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    key: String,
    comments: Option<usize>,
}

#[async_trait]
impl ReadTool for Issue {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        target(&args["key"], "get")
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let (reader, key) = (&self.0.reader, args.key.trim());
        let issue = reader.issue(key, &FIELDS, "").await?;
        let (comments, ways, links) =
            tokio::join!(reader.comments(key), reader.transitions(key), reader.remote_links(key, None));
        let mut seen = Seen::all(Value::Null);
        let mut missing = |what: &str, why: String| seen.notes.push(format!("{what} could not be read: {why}"));
        let (comments, total) = comments.unwrap_or_else(|error| {
            missing("comments", error.to_string());
            (vec![], 0)
        });
        let ways = ways.unwrap_or_else(|error| {
            missing("ways on", error.to_string());
            vec![]
        });
        let links = links.unwrap_or_else(|error| {
            missing("links", error.to_string());
            vec![]
        });
        let most = args.comments.unwrap_or(COMMENTS);
        let last = &comments[comments.len().saturating_sub(most)..];
        if total > last.len() as u64 {
            seen.truncated = true;
            seen.notes.push(format!("{} of {total} comments are shown, the last ones", last.len()));
        }
        let fields = &issue["fields"];
        seen.data = json!({
            "key": issue["key"], "summary": fields["summary"], "status": named(&fields["status"]),
            "type": named(&fields["issuetype"]), "priority": named(&fields["priority"]), "labels": fields["labels"],
            "assignee": named(&fields["assignee"]), "reporter": named(&fields["reporter"]),
            "resolution": named(&fields["resolution"]), "created": fields["created"], "updated": fields["updated"],
            "description": clip(&plain(&fields["description"]), DESCRIPTION),
            "comments": last.iter().map(comment).collect::<Vec<_>>(),
            "transitions": ways.iter().map(way).collect::<Vec<_>>(),
            "links": fields["issuelinks"].as_array().into_iter().flatten().filter_map(linked).take(LINKS).collect::<Vec<_>>(),
            "remote_links": links.iter().take(LINKS).map(|link| link["object"]["title"].clone()).collect::<Vec<_>>(),
        });
        Ok(seen)
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let word = |field: &str| seen.data[field].as_str().unwrap_or("-");
        format!("{} is {}: {}", word("key"), word("status"), clip(word("summary"), 150))
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let word = |field: &str| data[field].as_str().unwrap_or("-");
        let all = |field: &str| data[field].as_array().into_iter().flatten();
        let mut out = format!(
            "{}, {} priority, for {}, reported by {}, created {}, updated {}, resolution {}\n",
            word("type"),
            word("priority"),
            word("assignee"),
            word("reporter"),
            word("created"),
            word("updated"),
            word("resolution"),
        );
        let ways: Vec<String> = all("transitions")
            .map(|way| format!("{} (to {})", named(way), way["to"].as_str().unwrap_or("-")))
            .collect();
        if !ways.is_empty() {
            out.push_str(&format!("ways on: {}\n", ways.join(", ")));
        }
        for link in all("links").chain(all("remote_links")).filter_map(Value::as_str) {
            out.push_str(&format!("link: {}\n", clip(link, 200)));
        }
        if !word("description").is_empty() {
            out.push_str(&format!("description:\n{}\n", word("description")));
        }
        for comment in all("comments") {
            let of = |field: &str| comment[field].as_str().unwrap_or("-");
            out.push_str(&format!("comment of {}, {}:\n{}\n", of("author"), of("created"), of("text")));
        }
        out
    }
}

fn comment(comment: &Value) -> Value {
    json!({
        "author": named(&comment["author"]), "created": comment["created"],
        "text": clip(&plain(&comment["body"]), COMMENT),
    })
}

fn way(way: &Value) -> Value {
    json!({"name": way["name"], "to": named(&way["to"])})
}

/// `blocks OPS-3 (Open) Title`.
fn linked(link: &Value) -> Option<String> {
    let (how, issue) = match link["outwardIssue"].is_object() {
        true => (&link["type"]["outward"], &link["outwardIssue"]),
        false => (&link["type"]["inward"], &link["inwardIssue"]),
    };
    let (key, fields) = (issue["key"].as_str()?, &issue["fields"]);
    let summary = fields["summary"].as_str().unwrap_or_default();
    Some(format!("{} {key} ({}) {summary}", how.as_str().unwrap_or("-"), named(&fields["status"])))
}
