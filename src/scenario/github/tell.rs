//! Things of a repository in the words of the REST interface.

use super::git::Commit;
use super::repository::{Comment, Issue, Repository};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Where people would see the repository.
pub(super) fn page(repo: &Repository) -> String {
    format!("https://github.example/{}", repo.name)
}

pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Base64 in lines of sixty, as GitHub sends it.
pub(super) fn packed(bytes: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(bytes);
    text.as_bytes().chunks(60).map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect()
}

pub(super) fn repository(repo: &Repository) -> Value {
    json!({"id": 1, "name": repo.name.rsplit('/').next(), "full_name": repo.name, "private": true, "archived": false,
           "owner": {"login": repo.owner()}, "default_branch": repo.branch, "html_url": page(repo)})
}

/// The tree that `at` names: a branch, a commit, or itself.
pub(super) fn tree(repo: &Repository, at: &str, recursive: bool) -> Option<Value> {
    let commit = repo.resolve(at).and_then(|id| repo.objects.commit(&id).map(|commit| commit.tree.clone()));
    let id = commit.unwrap_or_else(|| at.to_owned());
    let entries = repo.objects.tree(&id)?;
    let told = |path: &str, mode: &str, id: &str| match repo.objects.blob(id) {
        Some(bytes) => json!({"path": path, "mode": mode, "type": "blob", "sha": id, "size": bytes.len()}),
        None => json!({"path": path, "mode": "040000", "type": "tree", "sha": id}),
    };
    let all: Vec<Value> = match recursive {
        false => entries.iter().map(|(name, mode, id)| told(name, mode, id)).collect(),
        true => repo.objects.files(&id).iter().map(|(path, (mode, id))| told(path, mode, id)).collect(),
    };
    Some(json!({"sha": id, "tree": all, "truncated": false}))
}

pub(super) fn changed(repo: &Repository, parent: &str, commit: &Commit) -> Vec<Value> {
    repo.objects.changes(&repo.objects.files_of(parent), &repo.objects.files(&commit.tree))
}

/// A commit as git keeps it.
pub(super) fn git_commit(repo: &Repository, id: &str) -> Option<Value> {
    let commit = repo.objects.commit(id)?;
    let parents: Vec<Value> = commit.parents.iter().map(|id| json!({"sha": id})).collect();
    Some(
        json!({"sha": id, "author": commit.author.json(), "committer": commit.committer.json(), "message": commit.message,
               "tree": {"sha": commit.tree}, "parents": parents}),
    )
}

/// A commit as GitHub shows it.
pub(super) fn commit(repo: &Repository, id: &str, files: bool) -> Option<Value> {
    let of = repo.objects.commit(id)?;
    let mut body = git_commit(repo, id)?;
    let parents = body["parents"].take();
    let mut told = json!({"sha": id, "commit": body, "parents": parents, "author": null,
                          "html_url": format!("{}/commit/{id}", page(repo))});
    if files {
        told["files"] = changed(repo, of.parents.first().map_or("", String::as_str), of).into();
    }
    Some(told)
}

pub(super) fn reference(name: &str, id: &str) -> Value {
    json!({"ref": format!("refs/{name}"), "node_id": "", "url": "", "object": {"type": "commit", "sha": id, "url": ""}})
}

pub(super) fn comment(repo: &Repository, of: &Comment) -> Value {
    json!({"id": of.id, "body": of.text, "user": {"login": of.by}, "created_at": moment(of.at),
           "updated_at": moment(of.at), "html_url": format!("{}/issues#issuecomment-{}", page(repo), of.id)})
}

/// An issue, or a pull request as one.
pub(super) fn issue(repo: &Repository, issue: &Issue, as_pull: bool) -> Value {
    let kind = if issue.pull.is_some() { "pull" } else { "issues" };
    let labels: Vec<Value> = issue.labels.iter().map(|name| json!({"name": name})).collect();
    let mut told = json!({
        "id": 1000 + issue.number, "number": issue.number, "title": issue.title, "body": issue.body, "state": "open",
        "labels": labels, "locked": false, "user": {"login": issue.by}, "created_at": moment(issue.created),
        "updated_at": moment(issue.updated), "closed_at": null, "comments": issue.comments.len(),
        "html_url": format!("{}/{kind}/{}", page(repo), issue.number),
    });
    match &issue.pull {
        Some(pull) if as_pull => {
            let (head, base) = repo.ends(pull);
            let end = |name: &str, sha: &str| json!({"label": format!("{}:{name}", repo.owner()), "ref": name, "sha": sha, "repo": repository(repo)});
            told["draft"] = false.into();
            told["merged"] = false.into();
            told["merged_at"] = Value::Null;
            told["head"] = end(&pull.0, &head);
            told["base"] = end(&pull.1, &base);
        }
        Some(_) => told["pull_request"] = json!({"url": ""}),
        None => {}
    }
    told
}
