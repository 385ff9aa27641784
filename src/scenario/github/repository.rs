//! One repository and what may be done with it.

use super::git::{Commit, Files, Object, Objects, Signature};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most objects that it holds, and most pull requests and issues: nobody needs more in a recording.
const OBJECTS: usize = 20_000;
const ISSUES: usize = 1_000;
const COMMENTS: u64 = 10_000;

/// Why something is refused: status, message, and what stands in `errors`.
pub(crate) type Refusal = (u16, String, Vec<Value>);

pub(crate) fn refusal<T>(status: u16, message: &str) -> Result<T, Refusal> {
    Err((status, message.to_owned(), vec![]))
}

fn invalid<T>(resource: &str, field: &str, message: Option<String>) -> Result<T, Refusal> {
    let error = match message {
        Some(message) => json!({"resource": resource, "code": "custom", "message": message}),
        None => json!({"resource": resource, "field": field, "code": "invalid"}),
    };
    Err((422, "Validation Failed".to_owned(), vec![error]))
}

/// A pull request or an issue: they share their numbers.
#[derive(Debug, Clone)]
pub(crate) struct Issue {
    pub number: u64,
    pub title: String,
    pub body: Option<String>,
    pub labels: Vec<String>,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub by: String,
    pub comments: Vec<Comment>,
    /// Head and base, when it is a pull request.
    pub pull: Option<(String, String)>,
}

/// A comment on one.
#[derive(Debug, Clone)]
pub(crate) struct Comment {
    pub id: u64,
    pub by: String,
    pub text: String,
    pub at: Timestamp,
}

/// A repository with its history, its pull requests and its issues; all of them are open.
#[derive(Debug, Clone, Default)]
pub(crate) struct Repository {
    /// `owner/name`.
    pub name: String,
    /// The default branch.
    pub branch: String,
    pub objects: Objects,
    /// `heads/main` and so on.
    pub refs: BTreeMap<String, String>,
    pub issues: Vec<Issue>,
    comments: u64,
}

impl Repository {
    pub(crate) fn new(name: &str, branch: &str) -> Self {
        Self { name: name.to_owned(), branch: branch.to_owned(), ..Self::default() }
    }

    pub(crate) fn owner(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// Commits files (path and text; `None` removes) to the default branch.
    pub(crate) fn write(&mut self, who: Signature, message: String, files: &[(&str, Option<&str>)]) {
        let name = format!("heads/{}", self.branch);
        let parents: Vec<String> = self.refs.get(&name).cloned().into_iter().collect();
        let mut all: Files = parents.iter().flat_map(|parent| self.objects.files_of(parent)).collect();
        for (path, text) in files {
            match text {
                Some(text) => {
                    let id = self.objects.put(Object::Blob(text.as_bytes().to_vec()));
                    all.insert((*path).to_owned(), ("100644".to_owned(), id));
                }
                None => {
                    all.remove(*path);
                }
            }
        }
        let tree = self.objects.put_files(&all);
        let commit = Commit { tree, parents, author: who.clone(), committer: who, message };
        let id = self.objects.put(Object::Commit(commit));
        self.refs.insert(name, id);
    }

    /// The commit that a branch, `HEAD` or an id names.
    pub(crate) fn resolve(&self, name: &str) -> Option<String> {
        let name = name.strip_prefix("refs/").unwrap_or(name);
        let name = if name == "HEAD" || name.is_empty() { self.branch.as_str() } else { name };
        let there = |name: &str| self.refs.get(name).cloned();
        there(name).or_else(|| there(&format!("heads/{name}"))).or_else(|| self.objects.commit_like(name))
    }

    /// Room for one thing more.
    fn room(&self) -> Result<(), Refusal> {
        match self.objects.count() < OBJECTS && self.issues.len() < ISSUES && self.comments < COMMENTS {
            true => Ok(()),
            false => refusal(403, "This recorded repository is full."),
        }
    }

    pub(crate) fn make_blob(&mut self, bytes: Vec<u8>) -> Result<String, Refusal> {
        self.room()?;
        Ok(self.objects.put(Object::Blob(bytes)))
    }

    pub(crate) fn make_tree(&mut self, body: &Value) -> Result<String, Refusal> {
        self.room()?;
        let mut files = match body["base_tree"].as_str() {
            None => Files::new(),
            Some(base) => {
                let tree = self.objects.commit(base).map_or_else(|| base.to_owned(), |commit| commit.tree.clone());
                if self.objects.tree(&tree).is_none() {
                    return refusal(422, "base_tree is not a valid tree oid");
                }
                self.objects.files(&tree)
            }
        };
        let entries = body["tree"].as_array().map(Vec::as_slice).unwrap_or_default();
        if entries.is_empty() {
            return refusal(422, "Invalid tree info");
        }
        for entry in entries {
            let path = entry["path"].as_str().unwrap_or_default().to_owned();
            let wrong = |part: &str| part.is_empty() || matches!(part, "." | ".." | ".git");
            if path.split('/').any(wrong) {
                return refusal(422, "tree.path contains a malformed path component");
            }
            let mode = entry["mode"].as_str().unwrap_or_default().to_owned();
            if !["100644", "100755"].contains(&mode.as_str()) {
                return refusal(422, "Must supply a valid tree.mode");
            }
            let id = match entry["sha"].as_str() {
                None if files.remove(&path).is_some() => continue,
                None => return refusal(422, "GitRPC::BadObjectState"),
                Some(id) => id.to_owned(),
            };
            if self.objects.blob(&id).is_none() {
                return refusal(422, "tree.sha is not a valid blob");
            }
            files.insert(path, (mode, id));
        }
        Ok(self.objects.put_files(&files))
    }

    pub(crate) fn make_commit(&mut self, body: &Value, now: Timestamp) -> Result<String, Refusal> {
        self.room()?;
        let tree = body["tree"].as_str().unwrap_or_default().to_owned();
        if self.objects.tree(&tree).is_none() {
            return refusal(422, "Tree SHA does not exist");
        }
        let parents = body["parents"].as_array().into_iter().flatten();
        let parents: Vec<String> = parents.filter_map(|parent| parent.as_str().map(str::to_owned)).collect();
        if parents.iter().any(|parent| self.objects.commit(parent).is_none()) {
            return refusal(422, "Parent SHA does not exist or is not a commit object");
        }
        let owner = self.owner();
        let someone = Signature { name: owner.to_owned(), email: format!("{owner}@example.org"), date: now };
        let author = Signature::read(&body["author"], &someone);
        let committer = Signature::read(&body["committer"], &author);
        let message = body["message"].as_str().unwrap_or_default().to_owned();
        Ok(self.objects.put(Object::Commit(Commit { tree, parents, author, committer, message })))
    }

    /// A branch. One that is there stays where it is.
    pub(crate) fn make_ref(&mut self, body: &Value) -> Result<(String, String), Refusal> {
        let name = body["ref"].as_str().unwrap_or_default();
        let Some(name) = name.strip_prefix("refs/").filter(|name| name.starts_with("heads/")) else {
            return refusal(422, "Reference name must start with 'refs/heads/'");
        };
        let sha = body["sha"].as_str().unwrap_or_default();
        if self.objects.commit(sha).is_none() {
            return refusal(422, "Object does not exist");
        }
        if self.refs.contains_key(name) {
            return refusal(422, "Reference already exists");
        }
        self.room()?;
        self.refs.insert(name.to_owned(), sha.to_owned());
        Ok((name.to_owned(), sha.to_owned()))
    }

    pub(crate) fn make_issue(&mut self, body: &Value, by: &str, now: Timestamp) -> Result<u64, Refusal> {
        self.room()?;
        let Some(title) = body["title"].as_str().filter(|title| !title.trim().is_empty()) else {
            return invalid("Issue", "title", None);
        };
        let number = self.issues.len() as u64 + 1;
        let labels = body["labels"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.issues.push(Issue {
            number,
            title: title.to_owned(),
            body: body["body"].as_str().map(str::to_owned),
            labels: labels.map(str::to_owned).collect(),
            created: now,
            updated: now,
            by: by.to_owned(),
            comments: vec![],
            pull: None,
        });
        Ok(number)
    }

    pub(crate) fn make_pull(&mut self, body: &Value, by: &str, now: Timestamp) -> Result<u64, Refusal> {
        const OF: &str = "PullRequest";
        let text = |key: &str| body[key].as_str().unwrap_or_default();
        let (head, base) = (text("head"), text("base"));
        let branch = head.strip_prefix(&format!("{}:", self.owner())).unwrap_or(head).to_owned();
        let at = |name: &str| self.refs.get(&format!("heads/{name}"));
        let Some(base_at) = at(base) else { return invalid(OF, "base", None) };
        let Some(head_at) = at(&branch) else { return invalid(OF, "head", None) };
        if self.objects.history(base_at).contains(head_at) {
            return invalid(OF, "head", Some(format!("No commits between {base} and {branch}")));
        }
        let ends = (branch, base.to_owned());
        if self.issues.iter().any(|issue| issue.pull.as_ref() == Some(&ends)) {
            let message = format!("A pull request already exists for {}:{}.", self.owner(), ends.0);
            return invalid(OF, "head", Some(message));
        }
        let number = self.make_issue(body, by, now)?;
        if let Some(issue) = self.issues.last_mut() {
            issue.pull = Some(ends);
        }
        Ok(number)
    }

    pub(crate) fn comment(&mut self, number: u64, body: &Value, by: &str, now: Timestamp) -> Result<Comment, Refusal> {
        self.room()?;
        let Some(text) = body["body"].as_str().filter(|text| !text.is_empty()).map(str::to_owned) else {
            return invalid("IssueComment", "body", None);
        };
        let id = self.comments + 1;
        let Some(issue) = self.issues.iter_mut().find(|issue| issue.number == number) else {
            return refusal(404, "Not Found");
        };
        let comment = Comment { id, by: by.to_owned(), text, at: now };
        issue.comments.push(comment.clone());
        (issue.updated, self.comments) = (now, id);
        Ok(comment)
    }

    pub(crate) fn issue(&self, number: u64) -> Option<&Issue> {
        self.issues.iter().find(|issue| issue.number == number)
    }

    /// The commits of head and base of a pull request.
    pub(crate) fn ends(&self, (head, base): &(String, String)) -> (String, String) {
        let at = |name: &str| self.refs.get(&format!("heads/{name}")).cloned().unwrap_or_default();
        (at(head), at(base))
    }

    /// What a pull request changes, from where it began to its head.
    pub(crate) fn pull_changes(&self, pull: &(String, String)) -> Vec<Value> {
        let (head, base) = self.ends(pull);
        let known = self.objects.history(&base);
        let fork = self.objects.history(&head).into_iter().find(|id| known.contains(id)).unwrap_or_default();
        self.objects.changes(&self.objects.files_of(&fork), &self.objects.files_of(&head))
    }
}
