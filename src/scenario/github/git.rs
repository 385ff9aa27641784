//! Git's objects as git itself makes them: the same bytes, so the same ids.

use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Files of a commit: path to mode and id.
pub(crate) type Files = BTreeMap<String, (String, String)>;

/// The mode of a folder, as git writes it.
const FOLDER: &str = "40000";

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Object {
    Blob(Vec<u8>),
    /// Name, mode and id of each, in git's order.
    Tree(Vec<(String, String, String)>),
    Commit(Commit),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    pub tree: String,
    pub parents: Vec<String>,
    pub author: Signature,
    pub committer: Signature,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    pub name: String,
    pub email: String,
    pub date: Timestamp,
}

impl Signature {
    /// As a request writes it; `fallback` for what it leaves out.
    pub(crate) fn read(value: &Value, fallback: &Self) -> Self {
        let text = |key: &str, or: &str| value[key].as_str().unwrap_or(or).to_owned();
        let date = value["date"].as_str().and_then(|at| at.parse().ok()).unwrap_or(fallback.date);
        Self { name: text("name", &fallback.name), email: text("email", &fallback.email), date }
    }

    pub(crate) fn json(&self) -> Value {
        json!({"name": self.name, "email": self.email, "date": self.date.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()})
    }

    fn line(&self) -> String {
        format!("{} <{}> {} +0000", self.name, self.email, self.date.as_second())
    }
}

/// Everything that a repository holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Objects(BTreeMap<String, Object>);

impl Objects {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Keeps `object`, and gives its id.
    pub(crate) fn put(&mut self, object: Object) -> String {
        let (kind, bytes) = match &object {
            Object::Blob(bytes) => ("blob", bytes.clone()),
            Object::Tree(entries) => ("tree", tree_bytes(entries)),
            Object::Commit(commit) => ("commit", commit_bytes(commit)),
        };
        let whole = [format!("{kind} {}\0", bytes.len()).as_bytes(), &bytes].concat();
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &whole);
        let id: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.insert(id.clone(), object);
        id
    }

    pub(crate) fn blob(&self, id: &str) -> Option<&[u8]> {
        match self.0.get(id) {
            Some(Object::Blob(bytes)) => Some(bytes),
            _ => None,
        }
    }

    pub(crate) fn commit(&self, id: &str) -> Option<&Commit> {
        match self.0.get(id) {
            Some(Object::Commit(commit)) => Some(commit),
            _ => None,
        }
    }

    pub(crate) fn tree(&self, id: &str) -> Option<&[(String, String, String)]> {
        match self.0.get(id) {
            Some(Object::Tree(entries)) => Some(entries),
            _ => None,
        }
    }

    /// The one commit whose id begins so.
    pub(crate) fn commit_like(&self, prefix: &str) -> Option<String> {
        let hex = prefix.len() >= 7 && prefix.bytes().all(|b| b.is_ascii_hexdigit());
        let mut found =
            self.0.iter().filter(|(id, object)| id.starts_with(prefix) && matches!(object, Object::Commit(_)));
        match (found.next(), found.next()) {
            (Some((id, _)), None) if hex => Some(id.clone()),
            _ => None,
        }
    }

    /// Every file below the tree `id`.
    pub(crate) fn files(&self, id: &str) -> Files {
        let mut found = Files::new();
        let mut waiting = vec![(id.to_owned(), String::new())];
        while let Some((id, below)) = waiting.pop() {
            for (name, mode, id) in self.tree(&id).unwrap_or_default() {
                let path = format!("{below}{name}");
                match mode.as_str() {
                    FOLDER => waiting.push((id.clone(), format!("{path}/"))),
                    _ => {
                        found.insert(path, (mode.clone(), id.clone()));
                    }
                }
            }
        }
        found
    }

    /// The files of a commit; none where there is no such commit.
    pub(crate) fn files_of(&self, commit: &str) -> Files {
        self.commit(commit).map(|commit| self.files(&commit.tree)).unwrap_or_default()
    }

    /// The tree that holds `files`, with all trees below it.
    pub(crate) fn put_files(&mut self, files: &Files) -> String {
        let mut here: BTreeMap<String, (String, String)> = BTreeMap::new();
        let mut below: BTreeMap<String, Files> = BTreeMap::new();
        for (path, entry) in files {
            match path.split_once('/') {
                None => {
                    here.insert(path.clone(), entry.clone());
                }
                Some((folder, rest)) => {
                    below.entry(folder.to_owned()).or_default().insert(rest.to_owned(), entry.clone());
                }
            }
        }
        for (folder, files) in below {
            let id = self.put_files(&files);
            here.insert(folder, (FOLDER.to_owned(), id));
        }
        let mut entries: Vec<(String, String, String)> =
            here.into_iter().map(|(name, (mode, id))| (name, mode, id)).collect();
        // Git compares the name of a folder as if a slash stood behind it.
        entries.sort_by_key(|(name, mode, _)| format!("{name}{}", if mode == FOLDER { "/" } else { "" }).into_bytes());
        self.put(Object::Tree(entries))
    }

    /// `commit` and all that it grew from, youngest first; of two of the same second the nearer one.
    pub(crate) fn history(&self, commit: &str) -> Vec<String> {
        let (mut seen, mut found) = (BTreeSet::new(), vec![]);
        let mut waiting = std::collections::VecDeque::from([commit.to_owned()]);
        while let Some(id) = waiting.pop_front() {
            if let Some(commit) = self.commit(&id).filter(|_| seen.insert(id.clone())) {
                waiting.extend(commit.parents.iter().cloned());
                found.push((std::cmp::Reverse(commit.committer.date), id));
            }
        }
        found.sort_by_key(|(date, _)| *date);
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// What changed between two sets of files, as the API tells it.
    pub(crate) fn changes(&self, before: &Files, after: &Files) -> Vec<Value> {
        let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let text = |entry: Option<&(String, String)>| -> String {
            let bytes = entry.and_then(|(_, id)| self.blob(id)).unwrap_or_default();
            String::from_utf8_lossy(bytes).into_owned()
        };
        let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
        let told = changed.map(|path| {
            let (old, new) = (before.get(path), after.get(path));
            let status = match (old, new) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "modified",
            };
            let (patch, additions, deletions) = patch(&text(old), &text(new));
            json!({"filename": path, "status": status, "additions": additions, "deletions": deletions,
                   "changes": additions + deletions, "sha": new.or(old).map(|(_, id)| id), "patch": patch})
        });
        told.collect()
    }
}

/// The hunks between two texts, and how many lines came and went.
fn patch(old: &str, new: &str) -> (String, usize, usize) {
    let diff = similar::TextDiff::from_lines(old, new);
    let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    let (came, gone) = (count(similar::ChangeTag::Insert), count(similar::ChangeTag::Delete));
    (diff.unified_diff().context_radius(3).to_string().trim_end().to_owned(), came, gone)
}

fn tree_bytes(entries: &[(String, String, String)]) -> Vec<u8> {
    let mut bytes = vec![];
    for (name, mode, id) in entries {
        bytes.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        let pairs = (0..id.len() / 2).filter_map(|n| id.get(2 * n..2 * n + 2));
        bytes.extend(pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()));
    }
    bytes
}

fn commit_bytes(commit: &Commit) -> Vec<u8> {
    let parents: String = commit.parents.iter().map(|parent| format!("parent {parent}\n")).collect();
    let (author, committer) = (commit.author.line(), commit.committer.line());
    format!("tree {}\n{parents}author {author}\ncommitter {committer}\n\n{}", commit.tree, commit.message).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_git() {
        let mut objects = Objects::default();
        let blob = objects.put(Object::Blob(b"# platform\n".to_vec()));
        assert_eq!(blob, "967dd487a6b70860a9350af2a699e91b1a0259f5");
        assert_eq!(objects.put_files(&Files::new()), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
        let entry = ("100644".to_owned(), blob);
        // `a.b` stands before `a/`, which stands before `a0`.
        let files: Files = ["a/x", "a.b", "a0"].iter().map(|name| ((*name).to_owned(), entry.clone())).collect();
        let tree = objects.put_files(&files);
        assert_eq!(tree, "f98211553f021358da1ba9597f978b0fb7fd5896");
        let date = Timestamp::from_second(1_763_000_000).unwrap();
        let who = Signature { name: "Jane".into(), email: "jane@example.org".into(), date };
        let commit = Commit { tree, parents: vec![], author: who.clone(), committer: who, message: "Begin".into() };
        let id = objects.put(Object::Commit(commit));
        assert_eq!(id, "580f457099389e017744e92a5a5bca9522453bda");
        assert_eq!(objects.files_of(&id), files);
    }

    #[test]
    fn patches_count_what_came_and_went() {
        let (text, came, gone) = patch("1\n2\n3\n4\n5\n", "1\n2\nx\n4\n5\n");
        assert_eq!((text.as_str(), came, gone), ("@@ -1,5 +1,5 @@\n 1\n 2\n-3\n+x\n 4\n 5", 1, 1));
    }
}
