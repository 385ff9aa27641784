//! The recorded world's Jira: one project of a Jira Server, by version 2 of its API.

use super::error::{Place, ScenarioError};
use super::folder::Folder;
use super::{about, serve::pairs};
use crate::edge::jira::is_project;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const FILE: &str = "jira.yaml";
const MAX_ISSUES: usize = 1_000;
const MAX_COMMENTS: usize = 1_000;
const MAX_PROPERTIES: usize = 100;
/// Longest summary, and longest text.
const SUMMARY: usize = 255;
const TEXT: usize = 32_767;

/// `jira.yaml`: what there is before the incident.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    /// The key of the project.
    project: String,
    /// Types of its issues.
    issue_types: Vec<String>,
    /// Who asks.
    account: String,
    /// The number of the first new issue.
    next: u64,
}

/// An issue as it stands in a recorded world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedIssue {
    /// Its key.
    pub key: String,
    /// Its summary.
    pub summary: String,
}

#[derive(Debug, Clone)]
struct Issue {
    key: String,
    fields: Map<String, Value>,
    properties: BTreeMap<String, Value>,
    comments: Vec<Comment>,
}

#[derive(Debug, Clone)]
struct Comment {
    id: String,
    body: String,
    at: Timestamp,
    properties: BTreeMap<String, Value>,
}

/// The recorded Jira.
#[derive(Debug, Clone)]
pub(crate) struct Jira {
    about: About,
    issues: Vec<Issue>,
    writable: bool,
}

type Answer = (u16, Value);

fn absent() -> Answer {
    (404, json!({"errorMessages": ["It does not exist or you do not have permission to see it."], "errors": {}}))
}

fn wrong(field: &str, why: &str) -> Answer {
    (400, json!({"errorMessages": [], "errors": {field: why}}))
}

/// The Jira of a world, if it has one.
pub(crate) fn read(folder: &Folder) -> Result<Option<Jira>, ScenarioError> {
    let place = Place { scenario: &folder.name, file: FILE };
    let Some(text) = folder.files.get(FILE) else { return Ok(None) };
    let about: About = about::parse(place, text)?;
    if !is_project(&about.project) || about.issue_types.is_empty() || about.next == 0 {
        return Err(place.broken("content", "needs a key of a project, a type of issues, and `next` from 1"));
    }
    Ok(Some(Jira { about, issues: vec![], writable: false }))
}

impl Jira {
    /// The same one, taking changes.
    pub(crate) fn writable(self) -> Self {
        Self { writable: true, ..self }
    }

    /// The key of its project.
    pub(crate) fn project(&self) -> &str {
        &self.about.project
    }

    /// Every issue.
    pub(crate) fn ledger(&self) -> Vec<RecordedIssue> {
        let summary =
            |issue: &Issue| issue.fields.get("summary").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.issues.iter().map(|issue| RecordedIssue { key: issue.key.clone(), summary: summary(issue) }).collect()
    }

    /// Answers one request to `target`, path and query, of somebody who has shown a token or not.
    pub(crate) fn answer(
        &mut self,
        method: &str,
        target: &str,
        with_token: bool,
        body: &[u8],
        now: Timestamp,
    ) -> Answer {
        if !with_token {
            return (401, json!({"errorMessages": ["You are not authenticated."], "errors": {}}));
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let Some(rest) = path.strip_prefix("/rest/api/2/") else { return absent() };
        let parts: Vec<&str> = rest.split('/').collect();
        match (method, parts.as_slice()) {
            ("GET", ["myself"]) => (200, self.me()),
            ("GET", ["project", key]) if *key == self.about.project => {
                let types = self.about.issue_types.iter().map(|name| json!({"name": name}));
                (200, json!({"key": key, "issueTypes": types.collect::<Vec<_>>()}))
            }
            ("GET", ["mypermissions"]) => {
                let have = json!({"havePermission": self.writable});
                let names = ["CREATE_ISSUES", "ADD_COMMENTS", "TRANSITION_ISSUES", "LINK_ISSUES"];
                let mut permissions: Map<String, Value> =
                    names.iter().map(|name| ((*name).to_owned(), have.clone())).collect();
                permissions.insert("BROWSE_PROJECTS".into(), json!({"havePermission": true}));
                (200, json!({"permissions": permissions}))
            }
            ("POST", ["search"]) => self.search(&body),
            ("POST" | "PUT", _) if !self.writable => {
                (403, json!({"errorMessages": ["This recorded Jira takes no changes."], "errors": {}}))
            }
            ("POST", ["issue"]) => self.create(&body),
            ("GET", ["comment", id, "properties", name]) => {
                let mut comments = self.issues.iter().flat_map(|issue| &issue.comments);
                let found = comments.find(|comment| comment.id == *id).and_then(|c| c.properties.get(*name));
                found.map_or_else(absent, |value| (200, json!({"key": name, "value": value})))
            }
            (method, ["issue", key, rest @ ..]) => match self.issues.iter().position(|issue| issue.key == *key) {
                Some(at) => self.of_issue(at, method, rest, &pairs(query), &body, now),
                None => absent(),
            },
            _ => absent(),
        }
    }

    fn me(&self) -> Value {
        json!({"key": self.about.account, "name": self.about.account, "displayName": self.about.account})
    }

    fn of_issue(
        &mut self,
        at: usize,
        method: &str,
        rest: &[&str],
        query: &[(String, String)],
        body: &Value,
        now: Timestamp,
    ) -> Answer {
        let (me, written) = (self.me(), self.issues.iter().map(|issue| issue.comments.len()).sum::<usize>());
        let Some(issue) = self.issues.get_mut(at) else { return absent() };
        match (method, rest) {
            ("GET", []) => (200, json!({"key": issue.key, "fields": issue.fields, "changelog": {"histories": []}})),
            ("GET", ["properties", name]) => {
                let found = issue.properties.get(*name);
                found.map_or_else(absent, |value| (200, json!({"key": name, "value": value})))
            }
            ("PUT", ["properties", _]) if issue.properties.len() >= MAX_PROPERTIES => wrong("property", "too many"),
            ("PUT", ["properties", name]) => match issue.properties.insert((*name).to_owned(), body.clone()) {
                None => (201, json!({})),
                Some(_) => (200, json!({})),
            },
            ("GET", ["comment"]) => {
                let number = |name: &str| query.iter().find(|(key, _)| key == name)?.1.parse::<usize>().ok();
                let (start, most) = (number("startAt").unwrap_or(0), number("maxResults").unwrap_or(50));
                let page = issue.comments.iter().skip(start).take(most).map(|comment| {
                    let created = comment.at.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string();
                    json!({"id": comment.id, "author": me, "created": created, "body": comment.body})
                });
                let page: Vec<Value> = page.collect();
                (200, json!({"startAt": start, "total": issue.comments.len(), "comments": page}))
            }
            ("POST", ["comment"]) => match body["body"].as_str().filter(|text| text.chars().count() <= TEXT) {
                None => wrong("comment", "is not valid"),
                Some(_) if written >= MAX_COMMENTS => wrong("comment", "this recorded Jira is full"),
                Some(text) => {
                    let (id, properties) = ((10_001 + written).to_string(), properties(&body["properties"]));
                    let comment = Comment { id: id.clone(), body: text.to_owned(), at: now, properties };
                    issue.comments.push(comment);
                    (201, json!({"id": id, "author": me}))
                }
            },
            ("GET", ["transitions"]) => (200, json!({"transitions": []})),
            ("GET", ["remotelink"]) => (200, json!([])),
            _ => absent(),
        }
    }

    fn create(&mut self, body: &Value) -> Answer {
        let fields = &body["fields"];
        let text = |key: &str| fields[key].as_str().unwrap_or_default();
        let summary = text("summary");
        if self.issues.len() >= MAX_ISSUES {
            return wrong("project", "this recorded Jira is full");
        }
        if fields["project"]["key"] != self.about.project {
            return wrong("project", "valid project is required");
        }
        if !self.about.issue_types.iter().any(|name| fields["issuetype"]["name"] == name.as_str()) {
            return wrong("issuetype", "Specify a valid issue type");
        }
        if summary.is_empty() || summary.contains('\n') || summary.chars().count() > SUMMARY {
            return wrong("summary", "You must specify a summary of the issue.");
        }
        if text("description").chars().count() > TEXT {
            return wrong("description", "is too long");
        }
        let key = format!("{}-{}", self.about.project, self.about.next);
        self.about.next += 1;
        let mut fields = fields.as_object().cloned().unwrap_or_default();
        fields.insert("status".into(), json!({"id": "1", "name": "Open"}));
        fields.insert("creator".into(), self.me());
        fields.insert("reporter".into(), self.me());
        let properties = properties(&body["properties"]);
        self.issues.push(Issue { key: key.clone(), fields, properties, comments: vec![] });
        (201, json!({"id": self.about.next.to_string(), "key": key}))
    }

    /// Only what our own queries say is understood: a label, words.
    fn search(&self, body: &Value) -> Answer {
        let jql = body["jql"].as_str().unwrap_or_default();
        let value = |name: &str| jql.split_once(name)?.1.split('"').nth(1);
        let (label, words) = (value("labels = "), value("text ~ "));
        let fits = |issue: &&Issue| {
            let labels = issue.fields.get("labels").and_then(Value::as_array);
            let has = |wanted: &str| labels.into_iter().flatten().any(|label| label == wanted);
            let says = |wanted: &str| Value::from(issue.fields.clone()).to_string().contains(wanted);
            label.is_none_or(has) && words.is_none_or(says)
        };
        let found = self.issues.iter().filter(fits).map(|issue| json!({"key": issue.key, "fields": issue.fields}));
        let found: Vec<Value> = found.collect();
        (200, json!({"total": found.len(), "issues": found}))
    }
}

fn properties(list: &Value) -> BTreeMap<String, Value> {
    let list = list.as_array().into_iter().flatten().take(MAX_PROPERTIES);
    list.filter_map(|property| Some((property["key"].as_str()?.to_owned(), property["value"].clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jira() -> Jira {
        let types = vec!["Task".to_owned()];
        let about = About { project: "OPS".into(), issue_types: types, account: "firewarden".into(), next: 7 };
        Jira { about, issues: vec![], writable: true }
    }

    #[test]
    fn an_issue_is_made_found_and_commented() {
        let mut jira = jira();
        let now = "2026-04-01T13:00:00Z".parse().unwrap();
        let mut ask = |method: &str, rest: &str, body: Value| {
            jira.answer(method, &format!("/rest/api/2/{rest}"), true, body.to_string().as_bytes(), now)
        };
        let fields = json!({"project": {"key": "OPS"}, "issuetype": {"name": "Task"}, "summary": "A volume fills",
                            "description": "why", "labels": ["fw-1"]});
        let property = json!([{"key": "fw", "value": {"marker": "fw-1"}}]);
        let (status, told) = ask("POST", "issue", json!({"fields": fields, "properties": property}));
        assert_eq!((status, &told["key"]), (201, &json!("OPS-7")), "{told}");
        for (jql, expected) in [("labels = \"fw-1\"", 1), ("labels = \"fw-2\"", 0), ("text ~ \"volume\"", 1)] {
            let query = json!({"jql": format!("project in (\"OPS\") AND ({jql})")});
            assert_eq!(ask("POST", "search", query).1["total"], expected, "{jql}");
        }
        assert_eq!(ask("GET", "issue/OPS-7/properties/fw", Value::Null).1["value"]["marker"], "fw-1");
        let (status, made) = ask("POST", "issue/OPS-7/comment", json!({"body": "seen", "properties": property}));
        assert_eq!(status, 201);
        let of = format!("comment/{}/properties/fw", made["id"].as_str().unwrap());
        assert_eq!(ask("GET", &of, Value::Null).0, 200);
        assert_eq!(ask("GET", "issue/OPS-7/comment", Value::Null).1["comments"][0]["body"], "seen");
        assert_eq!(ask("PUT", "issue/OPS-7/properties/x", json!(1)).0, 201);
        assert_eq!(ask("PUT", "issue/OPS-7/properties/x", json!(2)).0, 200);
        for (wrong, value) in [
            ("project", json!({"key": "HR"})),
            ("issuetype", json!({"name": "Epic"})),
            ("summary", json!("two\nlines")),
        ] {
            let mut fields = fields.clone();
            fields[wrong] = value;
            let (status, told) = ask("POST", "issue", json!({"fields": fields}));
            assert_eq!((status, told["errors"][wrong].is_string()), (400, true), "{told}");
        }
        assert_eq!(jira.ledger(), [RecordedIssue { key: "OPS-7".into(), summary: "A volume fills".into() }]);
    }

    #[test]
    fn a_recording_takes_no_changes_and_nobody_without_a_token_sees_it() {
        let mut jira = Jira { writable: false, ..jira() };
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(jira.answer("POST", "/rest/api/2/issue", true, b"{}", now).0, 403);
        assert_eq!(jira.answer("POST", "/rest/api/2/search", true, b"{}", now).0, 200);
        assert_eq!(jira.answer("GET", "/rest/api/2/myself", false, b"", now).0, 401);
    }
}
