//! From method and path to an answer, in the shapes of GitHub's documentation.

use super::git::{Commit, Object};
use super::repository::{Comment, Issue, Refusal, Repository, refusal};
use super::{Inner, READER, STRANGER, TOKEN, Told};
use axum::http::{HeaderMap, Method, Uri};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;

type Answer = Result<(u16, Value), Refusal>;

/// A request, taken apart.
struct Asked<'a> {
    method: &'a str,
    path: Vec<String>,
    query: BTreeMap<String, String>,
    body: &'a Value,
    now: jiff::Timestamp,
    /// Who asks, and whether they may write.
    login: &'static str,
    owner: bool,
}

impl Asked<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.query.get(key).map(String::as_str)
    }

    fn number(&self, key: &str, or: usize) -> usize {
        self.text(key).and_then(|text| text.parse().ok()).unwrap_or(or)
    }

    /// One page of `all`, and whether there is another.
    fn page(&self, all: Vec<Value>) -> (Vec<Value>, bool) {
        let (size, page) = (self.number("per_page", 30).min(100), self.number("page", 1).max(1));
        let more = all.len() > size * page;
        (all.into_iter().skip(size * (page - 1)).take(size).collect(), more)
    }
}

pub(super) fn handle(inner: &mut Inner, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Value) -> Told {
    let token = headers.get("authorization").and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    let url = reqwest::Url::parse(&format!("http://h{uri}")).unwrap();
    let path = url.path().trim_start_matches("/api/v3").split('/').filter(|part| !part.is_empty());
    let asked = Asked {
        method: method.as_str(),
        path: path.map(decoded).collect(),
        query: url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect(),
        body,
        now: inner.now.unwrap_or_else(jiff::Timestamp::now),
        login: match token {
            Some(TOKEN) => "octo",
            Some(STRANGER) => "mallory",
            _ => "reader",
        },
        owner: matches!(token, Some(TOKEN | STRANGER)),
    };
    let mut link = false;
    let answered = match token {
        Some(TOKEN | READER | STRANGER) => top(inner, &asked, &mut link),
        Some(_) => refusal(401, "Bad credentials"),
        None => refusal(401, "Requires authentication"),
    };
    let mut headers = vec![("x-ratelimit-limit", "5000".to_owned()), ("x-ratelimit-remaining", "4999".to_owned())];
    if link {
        headers.push(("link", "<http://h/?page=next>; rel=\"next\"".to_owned()));
    }
    let (status, body) = answered.unwrap_or_else(|(status, message, errors)| {
        let mut body = json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string()});
        if !errors.is_empty() {
            body["errors"] = errors.into();
        }
        (status, body)
    });
    Told { status, headers, body }
}

fn decoded(part: &str) -> String {
    // A part of a path is a query's value without `+`.
    let pairs = format!("x={}", part.replace('+', "%2B"));
    reqwest::Url::parse(&format!("http://h/?{pairs}")).unwrap().query_pairs().next().unwrap().1.into_owned()
}

fn top(inner: &mut Inner, asked: &Asked<'_>, link: &mut bool) -> Answer {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    let name = match path.as_slice() {
        ["user"] => {
            return Ok((200, json!({"login": asked.login, "id": 1, "type": "User"})));
        }
        ["rate_limit"] => {
            let core = json!({"limit": 5000, "remaining": 4999, "reset": asked.now.as_second() + 3600, "used": 1});
            return Ok((200, json!({"resources": {"core": core}, "rate": core})));
        }
        ["search", "code"] => return search(inner, asked),
        ["repos", owner, name, ..] => format!("{owner}/{name}"),
        _ => return refusal(404, "Not Found"),
    };
    let found = inner.repositories.values_mut().find(|repo| repo.name.eq_ignore_ascii_case(&name));
    let Some(repo) = found.filter(|repo| asked.owner || !repo.private) else { return refusal(404, "Not Found") };
    if asked.method != "GET" && !asked.owner {
        return refusal(403, "Resource not accessible by personal access token");
    }
    if asked.method != "GET" && repo.archived {
        return refusal(403, "Repository was archived so is read-only.");
    }
    route(repo, asked, &path[3..], link)
}

fn route(repo: &mut Repository, asked: &Asked<'_>, path: &[&str], link: &mut bool) -> Answer {
    let (body, now) = (asked.body, asked.now);
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    let mut listed = |all: Vec<Value>| {
        let (page, more) = asked.page(all);
        *link = more;
        Ok((200, Value::from(page)))
    };
    match (asked.method, path) {
        ("GET", []) => Ok((200, about(repo))),
        ("GET", ["contents", rest @ ..]) => contents(repo, &rest.join("/"), asked.text("ref").unwrap_or("HEAD")),
        ("GET", ["commits"]) => listed(commits(repo, asked)?),
        ("GET", ["commits", at]) => match repo.resolve(at) {
            Some(id) => Ok((200, commit(repo, &id, true))),
            None => refusal(422, &format!("No commit found for SHA: {at}")),
        },
        ("GET", ["git", "trees", at]) => tree(repo, at, asked.text("recursive").is_some()),
        ("POST", ["git", "trees"]) => {
            let id = repo.make_tree(body)?;
            let (_, told) = tree(repo, &id, false)?;
            Ok((201, told))
        }
        ("POST", ["git", "blobs"]) => {
            let text = body["content"].as_str().unwrap_or_default();
            let bytes = match body["encoding"].as_str() {
                Some("base64") => BASE64_STANDARD.decode(text).unwrap_or_default(),
                _ => text.as_bytes().to_vec(),
            };
            Ok((201, json!({"sha": repo.objects.put(Object::Blob(bytes)), "url": ""})))
        }
        ("GET", ["git", "blobs", id]) => match repo.objects.blob(id) {
            Some(bytes) => {
                Ok((200, json!({"sha": id, "size": bytes.len(), "encoding": "base64", "content": packed(bytes)})))
            }
            None => refusal(404, "Not Found"),
        },
        ("POST", ["git", "commits"]) => {
            let id = repo.make_commit(body, now)?;
            Ok((201, git_commit(repo, &id)))
        }
        ("GET", ["git", "commits", id]) if repo.objects.commit(id).is_some() => Ok((200, git_commit(repo, id))),
        ("GET", ["git", "ref", name @ ..]) => match repo.refs.get(&name.join("/")) {
            Some(id) => Ok((200, reference(&name.join("/"), id))),
            None => refusal(404, "Not Found"),
        },
        ("POST", ["git", "refs"]) => {
            let name = repo.make_ref(body)?;
            Ok((201, reference(&name, &repo.refs[&name])))
        }
        ("PATCH", ["git", "refs", name @ ..]) => {
            repo.move_ref(&name.join("/"), body)?;
            Ok((200, reference(&name.join("/"), &repo.refs[&name.join("/")])))
        }
        ("DELETE", ["git", "refs", name @ ..]) => match repo.refs.remove(&name.join("/")) {
            Some(_) => Ok((204, Value::Null)),
            None => refusal(422, "Reference does not exist"),
        },
        ("GET", ["pulls"]) => listed(pulls(repo, asked)),
        ("POST", ["pulls"]) => {
            let number = repo.make_pull(body, asked.login, now)?;
            Ok((201, told(repo, number, true)))
        }
        ("GET", ["pulls", n]) if repo.issue(number(n)).is_some_and(|one| one.pull.is_some()) => {
            Ok((200, told(repo, number(n), true)))
        }
        ("GET", ["pulls", n, "files"]) => match repo.issue(number(n)).and_then(|one| one.pull.as_ref()) {
            Some(pull) => listed(repo.pull_changes(pull)),
            None => refusal(404, "Not Found"),
        },
        ("PUT", ["pulls", n, "merge"]) => {
            let id = repo.merge(number(n), body, now)?;
            Ok((200, json!({"sha": id, "merged": true, "message": "Pull Request successfully merged"})))
        }
        ("PATCH", [kind @ ("pulls" | "issues"), n]) => {
            repo.edit(number(n), body, now)?;
            Ok((200, told(repo, number(n), *kind == "pulls")))
        }
        ("GET", ["issues"]) => {
            let state = asked.text("state").unwrap_or("open");
            let creator = asked.text("creator");
            let fits = |issue: &&Issue| {
                (state == "all" || issue.state == state) && creator.is_none_or(|creator| creator == issue.by)
            };
            listed(repo.issues.iter().rev().filter(fits).map(|issue| told(repo, issue.number, false)).collect())
        }
        ("POST", ["issues"]) => {
            let number = repo.make_issue(body, asked.login, now)?;
            Ok((201, told(repo, number, false)))
        }
        ("GET", ["issues", n]) if repo.issue(number(n)).is_some() => Ok((200, told(repo, number(n), false))),
        ("GET", ["issues", n, "comments"]) => match repo.issue(number(n)) {
            Some(issue) => {
                let since = asked.text("since").and_then(|at| at.parse::<jiff::Timestamp>().ok());
                let young = |comment: &&Comment| since.is_none_or(|since| comment.at >= since);
                listed(issue.comments.iter().filter(young).map(|one| comment(repo, one)).collect())
            }
            None => refusal(404, "Not Found"),
        },
        ("POST", ["issues", n, "comments"]) => {
            let id = repo.comment(number(n), body, asked.login, now)?;
            let made = repo.issue(number(n)).and_then(|issue| issue.comments.iter().find(|one| one.id == id));
            Ok((201, made.map_or(Value::Null, |made| comment(repo, made))))
        }
        ("POST", ["issues", n, "labels"]) => {
            let added = body["labels"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let Some(issue) = repo.issue_mut(number(n)) else { return refusal(404, "Not Found") };
            issue.labels.extend(added.map(str::to_owned));
            issue.labels.sort();
            issue.labels.dedup();
            Ok((200, told(repo, number(n), false)["labels"].clone()))
        }
        _ => refusal(404, "Not Found"),
    }
}

fn about(repo: &Repository) -> Value {
    json!({"id": 1, "name": repo.name.rsplit('/').next(), "full_name": repo.name, "private": repo.private, "archived": repo.archived,
           "owner": {"login": repo.owner()}, "default_branch": "main", "html_url": format!("https://github.example/{}", repo.name)})
}

fn when(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Base64 in lines of sixty, as GitHub sends it.
fn packed(bytes: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(bytes);
    text.as_bytes().chunks(60).map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect()
}

fn contents(repo: &Repository, path: &str, at: &str) -> Answer {
    let Some(commit) = repo.resolve(at) else {
        return refusal(404, &format!("No commit found for the ref {at}"));
    };
    let files = repo.objects.files_of(&commit);
    let html = |path: &str| format!("https://github.example/{}/blob/{at}/{path}", repo.name);
    let entry = |path: &str, id: &str| {
        let size = repo.objects.blob(id).unwrap_or_default().len();
        json!({"type": "file", "size": size, "name": path.rsplit('/').next(), "path": path, "sha": id, "html_url": html(path)})
    };
    if let Some((_, id)) = files.get(path) {
        let mut told = entry(path, id);
        told["content"] = packed(repo.objects.blob(id).unwrap_or_default()).into();
        told["encoding"] = "base64".into();
        return Ok((200, told));
    }
    let below = if path.is_empty() { String::new() } else { format!("{path}/") };
    let mut entries: BTreeMap<String, Value> = BTreeMap::new();
    for (name, (_, id)) in files.iter().filter(|(name, _)| name.starts_with(&below)) {
        match name[below.len()..].split_once('/') {
            None => entries.insert(name.clone(), entry(name, id)),
            Some((folder, _)) => {
                let path = format!("{below}{folder}");
                let told =
                    json!({"type": "dir", "size": 0, "name": folder, "path": path, "sha": "", "html_url": html(&path)});
                entries.insert(path, told)
            }
        };
    }
    match entries.is_empty() {
        true => refusal(404, "Not Found"),
        false => Ok((200, entries.into_values().collect())),
    }
}

fn tree(repo: &Repository, at: &str, recursive: bool) -> Answer {
    let commit = repo.resolve(at).and_then(|id| repo.objects.commit(&id).map(|commit| commit.tree.clone()));
    let id = commit.unwrap_or_else(|| at.to_owned());
    let Some(entries) = repo.objects.tree(&id) else { return refusal(404, "Not Found") };
    let told = |path: &str, mode: &str, id: &str| match repo.objects.blob(id) {
        Some(_) if mode == "160000" => json!({"path": path, "mode": mode, "type": "commit", "sha": id}),
        Some(bytes) => json!({"path": path, "mode": mode, "type": "blob", "sha": id, "size": bytes.len()}),
        None => json!({"path": path, "mode": "040000", "type": "tree", "sha": id}),
    };
    let all: Vec<Value> = match recursive {
        false => entries.iter().map(|(name, mode, id)| told(name, mode, id)).collect(),
        true => repo.objects.files(&id).iter().map(|(path, (mode, id))| told(path, mode, id)).collect(),
    };
    Ok((200, json!({"sha": id, "tree": all, "truncated": false})))
}

fn commits(repo: &Repository, asked: &Asked<'_>) -> Result<Vec<Value>, Refusal> {
    if repo.refs.is_empty() {
        return refusal(409, "Git Repository is empty.");
    }
    let Some(head) = repo.resolve(asked.text("sha").unwrap_or("HEAD")) else { return refusal(404, "Not Found") };
    let time = |key: &str| asked.text(key).and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let (since, until) = (time("since"), time("until"));
    let path = asked.text("path").unwrap_or_default();
    let fits = |commit: &Commit| {
        let date = commit.committer.date;
        let touched = |parent: &str| changed(repo, parent, commit).iter().any(|file| within(file, path));
        let touches = match commit.parents.as_slice() {
            [] => touched(""),
            parents => parents.iter().all(|parent| touched(parent)),
        };
        since.is_none_or(|since| date >= since)
            && until.is_none_or(|until| date <= until)
            && (path.is_empty() || touches)
    };
    let history = repo.objects.history(&head).into_iter();
    Ok(history.filter(|id| repo.objects.commit(id).is_some_and(fits)).map(|id| commit(repo, &id, false)).collect())
}

fn changed(repo: &Repository, parent: &str, commit: &Commit) -> Vec<Value> {
    repo.objects.changes(&repo.objects.files_of(parent), &repo.objects.files(&commit.tree))
}

fn within(file: &Value, path: &str) -> bool {
    let name = file["filename"].as_str().unwrap_or_default();
    name == path || name.starts_with(&format!("{path}/"))
}

fn git_commit(repo: &Repository, id: &str) -> Value {
    let Some(commit) = repo.objects.commit(id) else { return Value::Null };
    let parents: Vec<Value> = commit.parents.iter().map(|id| json!({"sha": id})).collect();
    json!({"sha": id, "author": commit.author.json(), "committer": commit.committer.json(), "message": commit.message,
           "tree": {"sha": commit.tree}, "parents": parents})
}

fn commit(repo: &Repository, id: &str, files: bool) -> Value {
    let Some(of) = repo.objects.commit(id) else { return Value::Null };
    let mut body = git_commit(repo, id);
    let parents = body["parents"].take();
    let mut told = json!({"sha": id, "commit": body, "parents": parents, "author": {"login": repo.owner()},
                          "html_url": format!("https://github.example/{}/commit/{id}", repo.name)});
    if files {
        told["files"] = changed(repo, of.parents.first().map_or("", String::as_str), of).into();
    }
    told
}

fn reference(name: &str, id: &str) -> Value {
    json!({"ref": format!("refs/{name}"), "node_id": "", "url": "", "object": {"type": "commit", "sha": id, "url": ""}})
}

fn comment(repo: &Repository, of: &Comment) -> Value {
    json!({"id": of.id, "body": of.text, "user": {"login": of.by}, "created_at": when(of.at), "updated_at": when(of.at),
           "html_url": format!("https://github.example/{}/issues#issuecomment-{}", repo.name, of.id)})
}

fn pulls(repo: &Repository, asked: &Asked<'_>) -> Vec<Value> {
    let state = asked.text("state").unwrap_or("open");
    let fits = |issue: &&Issue| {
        issue.pull.as_ref().is_some_and(|pull| {
            let head = asked.text("head").is_none_or(|head| head == format!("{}:{}", repo.owner(), pull.head));
            (state == "all" || issue.state == state) && head && asked.text("base").is_none_or(|base| base == pull.base)
        })
    };
    let mut found: Vec<&Issue> = repo.issues.iter().filter(fits).collect();
    let updated = asked.text("sort") == Some("updated");
    found.sort_by_key(|issue| (if updated { issue.updated } else { issue.created }, issue.number));
    if asked.text("direction") != Some("asc") {
        found.reverse();
    }
    found.into_iter().map(|issue| told(repo, issue.number, true)).collect()
}

/// An issue, or a pull request as one.
fn told(repo: &Repository, number: u64, as_pull: bool) -> Value {
    let Some(issue) = repo.issue(number) else { return Value::Null };
    let kind = if issue.pull.is_some() { "pull" } else { "issues" };
    let labels: Vec<Value> = issue.labels.iter().map(|name| json!({"name": name})).collect();
    let mut told = json!({
        "id": 1000 + number, "number": number, "title": issue.title, "body": issue.body, "state": issue.state, "labels": labels,
        "locked": false, "user": {"login": issue.by}, "created_at": when(issue.created), "updated_at": when(issue.updated),
        "closed_at": (issue.state == "closed").then(|| when(issue.updated)), "comments": issue.comments.len(),
        "html_url": format!("https://github.example/{}/{kind}/{number}", repo.name),
    });
    if issue.pull.is_some() && !as_pull {
        told["pull_request"] = json!({"url": ""});
    }
    if let Some(pull) = issue.pull.as_ref().filter(|_| as_pull) {
        let (base, head) = repo.ends(pull);
        told["draft"] = pull.draft.into();
        told["merged_at"] = pull.merged.as_ref().map(|(at, _)| when(*at)).into();
        told["merge_commit_sha"] = pull.merged.as_ref().map(|(_, id)| id.clone()).into();
        told["merged"] = pull.merged.is_some().into();
        let end = |name: &str, sha: &str| json!({"label": format!("{}:{name}", repo.owner()), "ref": name, "sha": sha, "repo": about(repo)});
        told["head"] = end(&pull.head, &head);
        told["base"] = end(&pull.base, &base);
    }
    told
}

/// Files of the default branch that hold every quoted or plain word.
fn search(inner: &Inner, asked: &Asked<'_>) -> Answer {
    let query = asked.text("q").unwrap_or_default();
    let mut words = vec![];
    let (mut of, mut path) = (None, String::new());
    for (n, part) in query.split('"').enumerate() {
        // Every second part stands between quotation marks.
        match n % 2 {
            1 if words.last().is_some_and(|word| word == "path:") => {
                words.pop();
                path = part.to_owned();
            }
            1 => words.push(part.to_owned()),
            _ => words.extend(part.split_whitespace().map(str::to_owned)),
        }
    }
    words.retain(|word| match word.strip_prefix("repo:") {
        Some(repo) if !query.contains(&format!("\"{word}\"")) => {
            of = Some(repo.to_owned());
            false
        }
        _ => true,
    });
    let mut items = vec![];
    for repo in inner.repositories.values().filter(|repo| asked.owner || !repo.private) {
        if of.as_ref().is_some_and(|of| !of.eq_ignore_ascii_case(&repo.name)) {
            continue;
        }
        let files = repo.resolve("HEAD").map(|head| repo.objects.files_of(&head)).unwrap_or_default();
        for (name, (_, id)) in files.iter().filter(|(name, _)| name.starts_with(&path)) {
            let text = String::from_utf8_lossy(repo.objects.blob(id).unwrap_or_default()).into_owned();
            let holds = |word: &String| text.to_lowercase().contains(&word.to_lowercase());
            if words.iter().all(holds) {
                let lines = text
                    .lines()
                    .filter(|line| words.iter().any(|word| line.to_lowercase().contains(&word.to_lowercase())));
                let fragment: Vec<&str> = lines.collect();
                items.push(json!({"name": name.rsplit('/').next(), "path": name, "sha": id, "repository": about(repo),
                                  "text_matches": [{"fragment": fragment.join("\n"), "property": "content"}]}));
            }
        }
    }
    let total = items.len();
    let (items, _) = asked.page(items);
    Ok((200, json!({"total_count": total, "incomplete_results": false, "items": items})))
}
