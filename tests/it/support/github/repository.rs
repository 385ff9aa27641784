//! One repository and what may be done with it.

use super::git::{Commit, Files, Object, Objects, Signature};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Why something is refused: status, message, and what stands in `errors`.
pub type Refusal = (u16, String, Vec<Value>);

pub fn refusal<T>(status: u16, message: &str) -> Result<T, Refusal> {
    Err((status, message.to_owned(), vec![]))
}

fn invalid<T>(resource: &str, field: &str, message: Option<&str>) -> Result<T, Refusal> {
    let error = match message {
        Some(message) => json!({"resource": resource, "code": "custom", "message": message}),
        None => json!({"resource": resource, "field": field, "code": "invalid"}),
    };
    Err((422, "Validation Failed".to_owned(), vec![error]))
}

/// A pull request or an issue: they share their numbers.
#[derive(Debug, Clone)]
pub struct Issue {
    pub number: u64,
    pub title: String,
    pub body: Option<String>,
    pub state: String,
    pub labels: Vec<String>,
    pub created: jiff::Timestamp,
    pub updated: jiff::Timestamp,
    pub by: String,
    pub comments: Vec<Comment>,
    pub pull: Option<Pull>,
}

/// A comment on one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub id: u64,
    pub by: String,
    pub text: String,
    pub at: jiff::Timestamp,
}

/// What there is, to be counted: the only witness of what was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Number, who opened it, branch and state.
    pub pulls: Vec<(u64, String, String, String)>,
    /// Number, who opened it and title of what is no pull request.
    pub issues: Vec<(u64, String, String)>,
    /// Number and who wrote it.
    pub comments: Vec<(u64, String)>,
    /// Branches beside main, and their commits.
    pub branches: BTreeMap<String, String>,
    /// Commits that carry an `Action-Id`.
    pub commits: Vec<String>,
    /// Bodies of pull requests, issues and comments.
    pub texts: Vec<String>,
}

impl Ledger {
    pub(super) fn of(repo: &Repository) -> Self {
        let pulls = repo
            .issues
            .iter()
            .filter_map(|one| Some((one.number, one.by.clone(), one.pull.as_ref()?.head.clone(), one.state.clone())));
        let issues = repo.issues.iter().filter(|one| one.pull.is_none());
        let comments = repo.issues.iter().flat_map(|one| one.comments.iter().map(|c| (one.number, c.by.clone())));
        let branches =
            repo.refs.iter().filter_map(|(name, id)| Some((name.strip_prefix("heads/")?.to_owned(), id.clone())));
        let texts = repo.issues.iter().flat_map(|one| one.body.iter().chain(one.comments.iter().map(|c| &c.text)));
        Self {
            pulls: pulls.collect(),
            issues: issues.map(|one| (one.number, one.by.clone(), one.title.clone())).collect(),
            comments: comments.collect(),
            branches: branches.filter(|(name, _)| name != "main").collect(),
            commits: repo
                .objects
                .commits()
                .filter(|(_, c)| c.message.contains("Action-Id: "))
                .map(|(id, _)| id.clone())
                .collect(),
            texts: texts.cloned().collect(),
        }
    }
}

/// What an issue is more when it is a pull request.
#[derive(Debug, Clone)]
pub struct Pull {
    pub head: String,
    pub base: String,
    pub draft: bool,
    /// When, and by which commit.
    pub merged: Option<(jiff::Timestamp, String)>,
    /// The commits of head and base when it was closed.
    pub ends: Option<(String, String)>,
}

#[derive(Debug, Clone, Default)]
pub struct Repository {
    pub name: String,
    pub private: bool,
    pub archived: bool,
    pub objects: Objects,
    /// `heads/main` and so on.
    pub refs: BTreeMap<String, String>,
    pub issues: Vec<Issue>,
    pub comments: u64,
}

impl Repository {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    pub fn owner(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    fn someone(&self, at: jiff::Timestamp) -> Signature {
        Signature { name: self.owner().to_owned(), email: format!("{}@example.org", self.owner()), date: at }
    }

    pub fn write(
        &mut self,
        branch: &str,
        at: jiff::Timestamp,
        message: &str,
        files: &[(&str, Option<&str>)],
    ) -> String {
        let name = format!("heads/{branch}");
        let parent = self.refs.get(&name).or(self.refs.get("heads/main")).cloned();
        let mut all = parent.as_deref().map(|parent| self.objects.files_of(parent)).unwrap_or_default();
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
        let id = self.commit_files(&all, parent.into_iter().collect(), at, message);
        self.refs.insert(name, id.clone());
        id
    }

    fn commit_files(&mut self, files: &Files, parents: Vec<String>, at: jiff::Timestamp, message: &str) -> String {
        let tree = self.objects.put_files(files);
        let who = self.someone(at);
        let commit = Commit { tree, parents, author: who.clone(), committer: who, message: message.to_owned() };
        self.objects.put(Object::Commit(commit))
    }

    /// The commit that a branch, a tag, `HEAD` or an id names.
    pub fn resolve(&self, name: &str) -> Option<String> {
        let name = name.strip_prefix("refs/").unwrap_or(name);
        let name = if name == "HEAD" || name.is_empty() { "main" } else { name };
        let there = |name: &str| self.refs.get(name).cloned();
        there(name)
            .or_else(|| there(&format!("heads/{name}")))
            .or_else(|| there(&format!("tags/{name}")))
            .or_else(|| self.objects.commit_like(name))
    }

    pub fn make_tree(&mut self, body: &Value) -> Result<String, Refusal> {
        let mut files = match body["base_tree"].as_str() {
            None => Files::new(),
            Some(base) => {
                let tree =
                    self.objects.commit(base).map(|commit| commit.tree.clone()).unwrap_or_else(|| base.to_owned());
                if self.objects.tree(&tree).is_none() {
                    return refusal(422, "base_tree is not a valid tree oid");
                }
                self.objects.files(&tree)
            }
        };
        let entries = body["tree"].as_array().cloned().unwrap_or_default();
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
            if !["100644", "100755", "040000", "160000", "120000"].contains(&mode.as_str()) {
                return refusal(422, "Must supply a valid tree.mode");
            }
            let id = match (&entry["sha"], entry["content"].as_str()) {
                (Value::Null, Some(text)) => self.objects.put(Object::Blob(text.as_bytes().to_vec())),
                (Value::Null, None) if files.remove(&path).is_some() => continue,
                (Value::Null, None) => return refusal(422, "GitRPC::BadObjectState"),
                (id, _) => id.as_str().unwrap_or_default().to_owned(),
            };
            if self.objects.blob(&id).is_none() {
                return refusal(422, "tree.sha is not a valid blob");
            }
            files.insert(path, (mode, id));
        }
        Ok(self.objects.put_files(&files))
    }

    pub fn make_commit(&mut self, body: &Value, now: jiff::Timestamp) -> Result<String, Refusal> {
        let tree = body["tree"].as_str().unwrap_or_default().to_owned();
        if self.objects.tree(&tree).is_none() {
            return refusal(422, "Tree SHA does not exist");
        }
        let parents: Vec<String> =
            body["parents"].as_array().into_iter().flatten().filter_map(|p| p.as_str().map(str::to_owned)).collect();
        if parents.iter().any(|parent| self.objects.commit(parent).is_none()) {
            return refusal(422, "Parent SHA does not exist or is not a commit object");
        }
        let author = Signature::read(&body["author"], &self.someone(now));
        let committer = Signature::read(&body["committer"], &author);
        let message = body["message"].as_str().unwrap_or_default().to_owned();
        Ok(self.objects.put(Object::Commit(Commit { tree, parents, author, committer, message })))
    }

    pub fn make_ref(&mut self, body: &Value) -> Result<String, Refusal> {
        let name = body["ref"].as_str().unwrap_or_default();
        let Some(name) = name.strip_prefix("refs/").filter(|name| name.contains('/')) else {
            return refusal(422, "Reference name must start with 'refs/'");
        };
        let sha = body["sha"].as_str().unwrap_or_default();
        if self.objects.commit(sha).is_none() {
            return refusal(422, "Object does not exist");
        }
        if self.refs.contains_key(name) {
            return refusal(422, "Reference already exists");
        }
        self.refs.insert(name.to_owned(), sha.to_owned());
        Ok(name.to_owned())
    }

    pub fn move_ref(&mut self, name: &str, body: &Value) -> Result<(), Refusal> {
        let sha = body["sha"].as_str().unwrap_or_default().to_owned();
        let Some(old) = self.refs.get(name).cloned() else { return refusal(422, "Reference does not exist") };
        if self.objects.commit(&sha).is_none() {
            return refusal(422, "Object does not exist");
        }
        if body["force"] != true && !self.objects.history(&sha).contains(&old) {
            return refusal(422, "Update is not a fast forward");
        }
        self.refs.insert(name.to_owned(), sha);
        Ok(())
    }

    /// The commits between base and head: what a pull request is about.
    pub fn between(&self, base: &str, head: &str) -> Vec<String> {
        let known = self.objects.history(base);
        self.objects.history(head).into_iter().filter(|id| !known.contains(id)).collect()
    }

    /// The youngest commit that both grew from.
    fn fork(&self, base: &str, head: &str) -> Option<String> {
        let known = self.objects.history(base);
        self.objects.history(head).into_iter().find(|id| known.contains(id))
    }

    /// What stands at `path` of a branch: its mode and text.
    pub fn file(&self, branch: &str, path: &str) -> Option<(String, String)> {
        let (mode, id) = self.objects.files_of(&self.resolve(branch)?).get(path)?.clone();
        Some((mode, String::from_utf8_lossy(self.objects.blob(&id)?).into_owned()))
    }

    /// Puts something with a mode of its own into main.
    pub fn put(&mut self, path: &str, mode: &str, text: &str) {
        let parent = self.refs["heads/main"].clone();
        let mut files = self.objects.files_of(&parent);
        let id = self.objects.put(Object::Blob(text.as_bytes().to_vec()));
        files.insert(path.to_owned(), (mode.to_owned(), id));
        let at = self.objects.commit(&parent).unwrap().committer.date;
        let id = self.commit_files(&files, vec![parent], at, "Put");
        self.refs.insert("heads/main".to_owned(), id);
    }

    pub fn make_issue(&mut self, body: &Value, by: &str, now: jiff::Timestamp) -> Result<u64, Refusal> {
        let Some(title) = body["title"].as_str().filter(|title| !title.trim().is_empty()) else {
            return invalid("Issue", "title", None);
        };
        let number = self.issues.len() as u64 + 1;
        let labels = body["labels"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.issues.push(Issue {
            number,
            title: title.to_owned(),
            body: body["body"].as_str().map(str::to_owned),
            state: "open".to_owned(),
            labels: labels.map(str::to_owned).collect(),
            created: now,
            updated: now,
            by: by.to_owned(),
            comments: vec![],
            pull: None,
        });
        Ok(number)
    }

    pub fn make_pull(&mut self, body: &Value, by: &str, now: jiff::Timestamp) -> Result<u64, Refusal> {
        const OF: &str = "PullRequest";
        let text = |key: &str| body[key].as_str().unwrap_or_default();
        let (head, base) = (text("head"), text("base"));
        let branch = head.strip_prefix(&format!("{}:", self.owner())).unwrap_or(head).to_owned();
        let at = |name: &str| self.refs.get(&format!("heads/{name}")).cloned();
        let Some(base_at) = at(base) else { return invalid(OF, "base", None) };
        let Some(head_at) = at(&branch) else { return invalid(OF, "head", None) };
        if self.between(&base_at, &head_at).is_empty() {
            return invalid(OF, "head", Some(&format!("No commits between {base} and {branch}")));
        }
        let same = |issue: &Issue| {
            issue.state == "open" && issue.pull.as_ref().is_some_and(|pull| pull.head == branch && pull.base == base)
        };
        if self.issues.iter().any(same) {
            let message = format!("A pull request already exists for {}:{branch}.", self.owner());
            return invalid(OF, "head", Some(&message));
        }
        let base = base.to_owned();
        let number = self.make_issue(body, by, now)?;
        let draft = body["draft"] == true;
        if let Some(issue) = self.issue_mut(number) {
            issue.pull = Some(Pull { head: branch, base, draft, merged: None, ends: None });
        }
        Ok(number)
    }

    pub fn issue(&self, number: u64) -> Option<&Issue> {
        self.issues.iter().find(|issue| issue.number == number)
    }

    pub fn issue_mut(&mut self, number: u64) -> Option<&mut Issue> {
        self.issues.iter_mut().find(|issue| issue.number == number)
    }

    /// The commits of base and head of a pull request.
    pub fn ends(&self, pull: &Pull) -> (String, String) {
        let at = |name: &str| self.refs.get(&format!("heads/{name}")).cloned().unwrap_or_default();
        pull.ends.clone().unwrap_or_else(|| (at(&pull.base), at(&pull.head)))
    }

    /// What a pull request changes, from where it began to its head.
    pub fn pull_changes(&self, pull: &Pull) -> Vec<Value> {
        let (base, head) = self.ends(pull);
        let fork = self.fork(&base, &head).unwrap_or_default();
        self.objects.changes(&self.objects.files_of(&fork), &self.objects.files_of(&head))
    }

    pub fn edit(&mut self, number: u64, body: &Value, now: jiff::Timestamp) -> Result<(), Refusal> {
        let ends = self.issue(number).and_then(|issue| issue.pull.as_ref()).map(|pull| self.ends(pull));
        let Some(issue) = self.issue_mut(number) else { return refusal(404, "Not Found") };
        if let Some(title) = body["title"].as_str() {
            issue.title = title.to_owned();
        }
        if let Some(text) = body["body"].as_str() {
            issue.body = Some(text.to_owned());
        }
        if let Some(state) = body["state"].as_str() {
            issue.state = state.to_owned();
            if let Some(pull) = issue.pull.as_mut() {
                pull.ends = ends.filter(|_| state == "closed");
            }
        }
        issue.updated = now;
        Ok(())
    }

    pub fn comment(&mut self, number: u64, body: &Value, by: &str, now: jiff::Timestamp) -> Result<u64, Refusal> {
        let Some(text) = body["body"].as_str().filter(|text| !text.is_empty()).map(str::to_owned) else {
            return invalid("IssueComment", "body", None);
        };
        self.comments += 1;
        let id = self.comments;
        let Some(issue) = self.issue_mut(number) else { return refusal(404, "Not Found") };
        issue.comments.push(Comment { id, by: by.to_owned(), text, at: now });
        issue.updated = now;
        Ok(id)
    }

    pub fn merge(&mut self, number: u64, body: &Value, now: jiff::Timestamp) -> Result<String, Refusal> {
        let Some(issue) = self.issue(number).cloned() else { return refusal(404, "Not Found") };
        let Some(pull) = issue.pull.clone().filter(|_| issue.state == "open") else {
            return refusal(405, "Pull Request is not mergeable");
        };
        let (base, head) = self.ends(&pull);
        if body["sha"].as_str().is_some_and(|sha| sha != head) {
            return refusal(409, "Head branch was modified. Review and try the merge again.");
        }
        let fork = self.fork(&base, &head).unwrap_or_default();
        let (old, new) = (self.objects.files_of(&fork), self.objects.files_of(&head));
        let mut files = self.objects.files_of(&base);
        old.keys().filter(|path| !new.contains_key(*path)).for_each(|path| {
            files.remove(path);
        });
        files.extend(new.into_iter().filter(|(path, entry)| old.get(path) != Some(entry)));
        let message = format!("Merge pull request #{number} from {}/{}\n\n{}", self.owner(), pull.head, issue.title);
        let id = self.commit_files(&files, vec![base.clone(), head.clone()], now, &message);
        self.refs.insert(format!("heads/{}", pull.base), id.clone());
        if let Some(issue) = self.issue_mut(number) {
            (issue.state, issue.updated) = ("closed".to_owned(), now);
            if let Some(pull) = issue.pull.as_mut() {
                (pull.merged, pull.ends) = (Some((now, id.clone())), Some((base, head)));
            }
        }
        Ok(id)
    }
}
