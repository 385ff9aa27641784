//! From method and path to an answer, in the shapes of GitHub's documentation.

use super::Asked;
use super::git::Commit;
use super::repository::{Comment, Issue, Refusal, Repository, refusal};
use super::tell::{self, packed};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Status, body, and whether there is another page.
pub(super) type Answer = Result<(u16, Value, bool), Refusal>;

/// Who asks, whatever the token is.
const LOGIN: &str = "firewarden";

fn fine(body: Value) -> Answer {
    Ok((200, body, false))
}

fn made(body: Value) -> Answer {
    Ok((201, body, false))
}

pub(super) fn answer(repo: &mut Repository, asked: &Asked<'_>) -> Answer {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["user"] => fine(json!({"login": LOGIN, "id": 1, "type": "User"})),
        ["rate_limit"] => {
            let core = json!({"limit": 5000, "remaining": 4999, "reset": asked.now.as_second() + 3600, "used": 1});
            fine(json!({"resources": {"core": core}, "rate": core}))
        }
        ["search", "code"] => search(repo, asked),
        ["repos", owner, name, rest @ ..] if format!("{owner}/{name}").eq_ignore_ascii_case(&repo.name) => {
            match asked.method {
                "GET" => look(repo, asked, rest),
                "POST" if asked.writable => make(repo, asked, rest),
                "POST" => refusal(403, "This recorded repository takes no changes."),
                _ => refusal(405, "This recorded repository does not answer that."),
            }
        }
        _ => refusal(404, "Not Found"),
    }
}

fn look(repo: &Repository, asked: &Asked<'_>, path: &[&str]) -> Answer {
    let issue = |n: &str| n.parse().ok().and_then(|n| repo.issue(n));
    let pull = |n: &str| issue(n).filter(|issue| issue.pull.is_some());
    let found = match path {
        [] => Some(tell::repository(repo)),
        ["contents", rest @ ..] => return contents(repo, &rest.join("/"), asked.text("ref").unwrap_or("HEAD")),
        ["commits"] => return listed(asked, commits(repo, asked)?),
        ["commits", at] => match repo.resolve(at) {
            Some(id) => tell::commit(repo, &id, true),
            None => return refusal(422, &format!("No commit found for SHA: {at}")),
        },
        ["git", "trees", at] => tell::tree(repo, at, asked.text("recursive").is_some()),
        ["git", "blobs", id] => repo
            .objects
            .blob(id)
            .map(|bytes| json!({"sha": id, "size": bytes.len(), "encoding": "base64", "content": packed(bytes)})),
        ["git", "commits", id] => tell::git_commit(repo, id),
        ["git", "ref", name @ ..] => {
            let name = name.join("/");
            repo.refs.get(&name).map(|id| tell::reference(&name, id))
        }
        ["pulls"] => return listed(asked, pulls(repo, asked)),
        ["pulls", n] => pull(n).map(|issue| tell::issue(repo, issue, true)),
        ["pulls", n, "files"] => match pull(n).and_then(|issue| issue.pull.as_ref()) {
            Some(ends) => return listed(asked, repo.pull_changes(ends)),
            None => None,
        },
        ["issues"] => return listed(asked, issues(repo, asked)),
        ["issues", n] => issue(n).map(|issue| tell::issue(repo, issue, false)),
        ["issues", n, "comments"] => match issue(n) {
            Some(issue) => return listed(asked, comments(repo, issue, asked)),
            None => None,
        },
        _ => None,
    };
    found.map_or_else(|| refusal(404, "Not Found"), fine)
}

fn make(repo: &mut Repository, asked: &Asked<'_>, path: &[&str]) -> Answer {
    let (body, now) = (asked.body, asked.now);
    let issue = |repo: &Repository, n: u64, as_pull: bool| {
        repo.issue(n).map_or(Value::Null, |issue| tell::issue(repo, issue, as_pull))
    };
    match path {
        ["git", "blobs"] => {
            let text = body["content"].as_str().unwrap_or_default();
            let bytes = match body["encoding"].as_str() {
                Some("base64") => BASE64_STANDARD.decode(text).ok(),
                _ => Some(text.as_bytes().to_vec()),
            };
            let Some(bytes) = bytes else { return refusal(422, "content is not valid Base64") };
            made(json!({"sha": repo.make_blob(bytes)?, "url": ""}))
        }
        ["git", "trees"] => {
            let id = repo.make_tree(body)?;
            made(tell::tree(repo, &id, false).unwrap_or_default())
        }
        ["git", "commits"] => {
            let id = repo.make_commit(body, now)?;
            made(tell::git_commit(repo, &id).unwrap_or_default())
        }
        ["git", "refs"] => {
            let (name, id) = repo.make_ref(body)?;
            made(tell::reference(&name, &id))
        }
        ["pulls"] => {
            let number = repo.make_pull(body, LOGIN, now)?;
            made(issue(repo, number, true))
        }
        ["issues"] => {
            let number = repo.make_issue(body, LOGIN, now)?;
            made(issue(repo, number, false))
        }
        ["issues", n, "comments"] => {
            let comment = repo.comment(n.parse().unwrap_or(0), body, LOGIN, now)?;
            made(tell::comment(repo, &comment))
        }
        _ => refusal(404, "Not Found"),
    }
}

/// One page of `all`.
fn listed(asked: &Asked<'_>, all: Vec<Value>) -> Answer {
    let number = |key: &str, or: usize| asked.text(key).and_then(|text| text.parse().ok()).unwrap_or(or);
    let (size, page) = (number("per_page", 30).clamp(1, 100), number("page", 1).clamp(1, 10_000));
    let more = all.len() > size * page;
    Ok((200, all.into_iter().skip(size * (page - 1)).take(size).collect(), more))
}

fn contents(repo: &Repository, path: &str, at: &str) -> Answer {
    let Some(commit) = repo.resolve(at) else {
        return refusal(404, &format!("No commit found for the ref {at}"));
    };
    let files = repo.objects.files_of(&commit);
    let named = |path: &str, kind: &str, sha: &str, size: usize| {
        json!({"type": kind, "size": size, "name": path.rsplit('/').next(), "path": path, "sha": sha,
               "html_url": format!("{}/blob/{at}/{path}", tell::page(repo))})
    };
    let bytes = |id: &str| repo.objects.blob(id).unwrap_or_default();
    if let Some((_, id)) = files.get(path) {
        let mut told = named(path, "file", id, bytes(id).len());
        told["content"] = packed(bytes(id)).into();
        told["encoding"] = "base64".into();
        return fine(told);
    }
    let below = if path.is_empty() { String::new() } else { format!("{path}/") };
    let mut entries: BTreeMap<String, Value> = BTreeMap::new();
    for (name, (_, id)) in &files {
        match name.strip_prefix(&below).map(|rest| rest.split_once('/')) {
            None => {}
            Some(None) => {
                entries.insert(name.clone(), named(name, "file", id, bytes(id).len()));
            }
            Some(Some((folder, _))) => {
                let path = format!("{below}{folder}");
                entries.entry(path.clone()).or_insert_with(|| named(&path, "dir", "", 0));
            }
        }
    }
    match entries.is_empty() {
        true => refusal(404, "Not Found"),
        false => fine(entries.into_values().collect()),
    }
}

fn commits(repo: &Repository, asked: &Asked<'_>) -> Result<Vec<Value>, Refusal> {
    let Some(head) = repo.resolve(asked.text("sha").unwrap_or("HEAD")) else { return refusal(404, "Not Found") };
    let (since, until) = (asked.time("since"), asked.time("until"));
    let path = asked.text("path").unwrap_or_default();
    let fits = |commit: &Commit| {
        let date = commit.committer.date;
        let parent = commit.parents.first().map_or("", String::as_str);
        let within = |file: &Value| {
            let name = file["filename"].as_str().unwrap_or_default();
            name == path || name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
        };
        since.is_none_or(|since| date >= since)
            && until.is_none_or(|until| date <= until)
            && (path.is_empty() || tell::changed(repo, parent, commit).iter().any(within))
    };
    let history = repo.objects.history(&head).into_iter();
    Ok(history
        .filter(|id| repo.objects.commit(id).is_some_and(fits))
        .filter_map(|id| tell::commit(repo, &id, false))
        .collect())
}

/// All of them are open: nobody merges or closes anything in a recording.
fn pulls(repo: &Repository, asked: &Asked<'_>) -> Vec<Value> {
    let is_wanted = |issue: &&Issue| {
        issue.pull.as_ref().is_some_and(|(head, base)| {
            asked.text("state").unwrap_or("open") != "closed"
                && asked.text("head").is_none_or(|wanted| wanted == format!("{}:{head}", repo.owner()))
                && asked.text("base").is_none_or(|wanted| wanted == base)
        })
    };
    repo.issues.iter().rev().filter(is_wanted).map(|issue| tell::issue(repo, issue, true)).collect()
}

fn issues(repo: &Repository, asked: &Asked<'_>) -> Vec<Value> {
    let is_wanted = |issue: &&Issue| {
        asked.text("state").unwrap_or("open") != "closed" && asked.text("creator").is_none_or(|by| by == issue.by)
    };
    repo.issues.iter().rev().filter(is_wanted).map(|issue| tell::issue(repo, issue, false)).collect()
}

fn comments(repo: &Repository, issue: &Issue, asked: &Asked<'_>) -> Vec<Value> {
    let since = asked.time("since");
    let is_young = |comment: &&Comment| since.is_none_or(|since| comment.at >= since);
    issue.comments.iter().filter(is_young).map(|comment| tell::comment(repo, comment)).collect()
}

/// Files of the default branch that hold every quoted word.
fn search(repo: &Repository, asked: &Asked<'_>) -> Answer {
    let query = asked.text("q").unwrap_or_default().to_lowercase();
    // Every second part stands between quotation marks.
    let quoted: Vec<(&str, &str)> =
        query.split('"').collect::<Vec<_>>().chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let is_path = |before: &str| before.ends_with("path:");
    let folder = quoted.iter().find(|(before, _)| is_path(before)).map_or("", |(_, path)| path);
    let words: Vec<&str> = quoted.iter().filter(|(before, _)| !is_path(before)).map(|(_, word)| *word).collect();
    let files = repo.resolve("HEAD").map(|head| repo.objects.files_of(&head)).unwrap_or_default();
    let found: Vec<Value> = files
        .iter()
        .filter(|(name, _)| name.to_lowercase().starts_with(folder))
        .filter_map(|(name, (_, id))| {
            let text = String::from_utf8_lossy(repo.objects.blob(id)?).into_owned();
            let holds = |line: &str, word: &&str| line.to_lowercase().contains(*word);
            let all = !words.is_empty() && words.iter().all(|word| holds(&text, word));
            let lines = text.lines().filter(|line| words.iter().any(|word| holds(line, word)));
            let fragment = lines.collect::<Vec<_>>().join("\n");
            all.then(|| {
                json!({"name": name.rsplit('/').next(), "path": name, "sha": id, "repository": tell::repository(repo),
                       "text_matches": [{"fragment": fragment, "property": "content"}]})
            })
        })
        .collect();
    let total = found.len();
    let (status, items, more) = listed(asked, found)?;
    Ok((status, json!({"total_count": total, "incomplete_results": false, "items": items}), more))
}

#[cfg(test)]
mod tests {
    use super::super::Hub;
    use super::*;

    fn hub() -> Hub {
        Hub::small(&[("README.md", "# platform\n"), ("clusters/lab/graph.yaml", "a: 1\nstorage: 20Gi\nb: 2\n")])
    }

    fn get(hub: &mut Hub, path: &str) -> (u16, Value) {
        hub.ask("GET", path, &Value::Null)
    }

    #[test]
    fn what_stands_there_is_told_as_github_tells_it() {
        let mut hub = hub();
        for (path, pointer, expected) in [
            ("user", "/login", json!("firewarden")),
            ("repos/ACME/platform", "/default_branch", json!("main")),
            ("repos/acme/platform/contents/README.md", "/content", json!("IyBwbGF0Zm9ybQo=\n")),
            ("repos/acme/platform/contents/clusters/lab", "/0/path", json!("clusters/lab/graph.yaml")),
            ("repos/acme/platform/contents", "/1/type", json!("dir")),
            ("repos/acme/platform/commits?path=clusters", "/0/commit/message", json!("Begin")),
            ("repos/acme/platform/commits/main", "/files/0/additions", json!(1)),
            ("repos/acme/platform/git/trees/HEAD?recursive=1", "/tree/1/path", json!("clusters/lab/graph.yaml")),
            ("search/code?q=%22storage%3A%22%20repo%3Aacme%2Fplatform", "/total_count", json!(1)),
            ("search/code?q=%22storage%3A%22%20path%3A%22docs%22", "/total_count", json!(0)),
            ("repos/acme/platform/pulls", "", json!([])),
        ] {
            let (status, told) = get(&mut hub, path);
            assert_eq!((status, told.pointer(pointer)), (200, Some(&expected)), "{path}: {told}");
        }
        for path in ["repos/acme/other", "repos/acme/platform/contents/nope", "repos/acme/platform/git/ref/heads/x"] {
            assert_eq!(get(&mut hub, path).0, 404, "{path}");
        }
    }

    #[test]
    fn a_pull_request_is_made_step_by_step_and_once() {
        let mut hub = hub();
        let here = "repos/acme/platform";
        let (_, head) = get(&mut hub, &format!("{here}/git/ref/heads/main"));
        let parent = head["object"]["sha"].clone();
        let mut post = |path: &str, body: Value| hub.ask("POST", &format!("{here}/{path}"), &body);
        let sha = |(status, told): (u16, Value)| {
            assert_eq!(status, 201, "{told}");
            told["sha"].clone()
        };
        let blob = sha(post("git/blobs", json!({"content": "YTogMQo=", "encoding": "base64"})));
        let entry = json!({"path": "clusters/lab/graph.yaml", "mode": "100644", "type": "blob", "sha": blob});
        let tree = sha(post("git/trees", json!({"base_tree": parent, "tree": [entry]})));
        let commit = sha(post("git/commits", json!({"message": "Less", "tree": tree, "parents": [parent]})));
        let refer = json!({"ref": "refs/heads/fix", "sha": commit});
        assert_eq!(post("git/refs", refer.clone()).0, 201);
        assert_eq!(post("git/refs", refer).0, 422, "it is there");
        let pull = json!({"title": "Less", "head": "fix", "base": "main", "body": "why"});
        assert_eq!(post("pulls", pull.clone()).1["html_url"], "https://github.example/acme/platform/pull/1");
        let (status, told) = post("pulls", pull);
        assert_eq!((status, told["message"].as_str()), (422, Some("Validation Failed")), "{told}");
        assert_eq!(post("issues/1/comments", json!({"body": "seen"})).0, 201);
        assert_eq!(post("pulls", json!({"title": "None", "head": "main", "base": "main"})).0, 422);
        let (_, files) = get(&mut hub, &format!("{here}/pulls/1/files"));
        assert_eq!(files[0]["deletions"], 2, "{files}");
        let ledger = hub.ledger();
        assert_eq!((ledger.len(), ledger[0].branch.as_str()), (1, "fix"));
        assert!(ledger[0].diff.contains("-storage: 20Gi"), "{}", ledger[0].diff);

        hub.writable = false;
        let (status, told) = hub.ask("POST", &format!("{here}/issues"), &json!({"title": "x"}));
        assert_eq!(status, 403, "{told}");
    }

    #[test]
    fn moments_bound_what_is_listed() {
        let mut hub = hub();
        let late = "2030-01-01T00:00:00Z";
        let (_, told) = get(&mut hub, &format!("repos/acme/platform/commits?since={late}"));
        assert_eq!(told, json!([]));
    }
}
