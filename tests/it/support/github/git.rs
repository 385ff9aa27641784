//! Git's objects as git itself makes them: the same bytes, so the same ids.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Files of a commit: path to mode and id.
pub type Files = BTreeMap<String, (String, String)>;

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    Blob(Vec<u8>),
    /// Name, mode and id of each, in git's order.
    Tree(Vec<(String, String, String)>),
    Commit(Commit),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub tree: String,
    pub parents: Vec<String>,
    pub author: Signature,
    pub committer: Signature,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub name: String,
    pub email: String,
    pub date: jiff::Timestamp,
}

impl Signature {
    /// As a request writes it; `fallback` for what it leaves out.
    pub fn read(value: &Value, fallback: &Self) -> Self {
        let text = |key: &str, or: &str| value[key].as_str().unwrap_or(or).to_owned();
        let date = value["date"].as_str().and_then(|at| at.parse().ok()).unwrap_or(fallback.date);
        Self { name: text("name", &fallback.name), email: text("email", &fallback.email), date }
    }

    pub fn json(&self) -> Value {
        json!({"name": self.name, "email": self.email, "date": self.date.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()})
    }

    fn line(&self) -> String {
        format!("{} <{}> {} +0000", self.name, self.email, self.date.as_second())
    }
}

/// Everything that a repository holds.
#[derive(Debug, Clone, Default)]
pub struct Objects(BTreeMap<String, Object>);

impl Objects {
    /// Keeps `object`, and gives its id.
    pub fn put(&mut self, object: Object) -> String {
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

    pub fn blob(&self, id: &str) -> Option<&[u8]> {
        match self.0.get(id) {
            Some(Object::Blob(bytes)) => Some(bytes),
            _ => None,
        }
    }

    pub fn commit(&self, id: &str) -> Option<&Commit> {
        match self.0.get(id) {
            Some(Object::Commit(commit)) => Some(commit),
            _ => None,
        }
    }

    /// Every commit.
    pub fn commits(&self) -> impl Iterator<Item = (&String, &Commit)> {
        self.0.iter().filter_map(|(id, object)| match object {
            Object::Commit(commit) => Some((id, commit)),
            _ => None,
        })
    }

    pub fn tree(&self, id: &str) -> Option<&[(String, String, String)]> {
        match self.0.get(id) {
            Some(Object::Tree(entries)) => Some(entries),
            _ => None,
        }
    }

    /// The one commit whose id begins so.
    pub fn commit_like(&self, prefix: &str) -> Option<String> {
        let hex = prefix.len() >= 7 && prefix.bytes().all(|b| b.is_ascii_hexdigit());
        let mut found =
            self.0.iter().filter(|(id, object)| id.starts_with(prefix) && matches!(object, Object::Commit(_)));
        match (found.next(), found.next()) {
            (Some((id, _)), None) if hex => Some(id.clone()),
            _ => None,
        }
    }

    /// Every file below the tree `id`.
    pub fn files(&self, id: &str) -> Files {
        let mut found = Files::new();
        self.walk(id, "", &mut found);
        found
    }

    fn walk(&self, id: &str, below: &str, found: &mut Files) {
        for (name, mode, id) in self.tree(id).unwrap_or_default() {
            let path = format!("{below}{name}");
            match mode.as_str() {
                "40000" => self.walk(id, &format!("{path}/"), found),
                _ => {
                    found.insert(path, (mode.clone(), id.clone()));
                }
            }
        }
    }

    /// The files of a commit.
    pub fn files_of(&self, commit: &str) -> Files {
        self.commit(commit).map(|commit| self.files(&commit.tree)).unwrap_or_default()
    }

    /// The tree that holds `files`, with all trees below it.
    pub fn put_files(&mut self, files: &Files) -> String {
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
            here.insert(folder, ("40000".to_owned(), id));
        }
        let mut entries: Vec<(String, String, String)> =
            here.into_iter().map(|(name, (mode, id))| (name, mode, id)).collect();
        // Git compares the name of a folder as if a slash stood behind it.
        let key = |entry: &(String, String, String)| {
            format!("{}{}", entry.0, if entry.1 == "40000" { "/" } else { "" }).into_bytes()
        };
        entries.sort_by_key(key);
        self.put(Object::Tree(entries))
    }

    /// `commit` and all that it grew from, youngest first.
    pub fn history(&self, commit: &str) -> Vec<String> {
        let (mut seen, mut left, mut found) = (BTreeSet::new(), vec![commit.to_owned()], vec![]);
        while let Some(id) = left.pop() {
            if let Some(commit) = self.commit(&id).filter(|_| seen.insert(id.clone())) {
                left.extend(commit.parents.iter().cloned());
                found.push(id);
            }
        }
        let depth = |id: &str| self.depth(id);
        found.sort_by_key(|id| {
            let date = self.commit(id).map(|commit| commit.committer.date);
            (std::cmp::Reverse(date), std::cmp::Reverse(depth(id)))
        });
        found
    }

    fn depth(&self, commit: &str) -> usize {
        let parents = self.commit(commit).map(|commit| commit.parents.clone()).unwrap_or_default();
        parents.iter().map(|parent| 1 + self.depth(parent)).max().unwrap_or(0)
    }

    /// What changed between two sets of files, as the API tells it.
    pub fn changes(&self, before: &Files, after: &Files) -> Vec<Value> {
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

/// One hunk: from the first line that differs to the last, with three lines around it.
fn patch(old: &str, new: &str) -> (String, usize, usize) {
    const AROUND: usize = 3;
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let first = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - first;
    let last = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let (gone, came) = (&old[first..old.len() - last], &new[first..new.len() - last]);
    let (before, after) = (&old[first - first.min(AROUND)..first], &old[old.len() - last..][..last.min(AROUND)]);
    let around = before.len() + after.len();
    let range = |lines: usize| match (first - before.len(), lines) {
        (start, 0) => format!("{start},0"),
        (start, 1) => format!("{}", start + 1),
        (start, lines) => format!("{},{lines}", start + 1),
    };
    let mut out = format!("@@ -{} +{} @@", range(gone.len() + around), range(came.len() + around));
    for (mark, lines) in [(' ', before), ('-', gone), ('+', came), (' ', after)] {
        lines.iter().for_each(|line| out.push_str(&format!("\n{mark}{line}")));
    }
    (out, came.len(), gone.len())
}

fn tree_bytes(entries: &[(String, String, String)]) -> Vec<u8> {
    let mut bytes = vec![];
    for (name, mode, id) in entries {
        bytes.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        bytes.extend((0..id.len() / 2).map(|n| u8::from_str_radix(&id[2 * n..2 * n + 2], 16).unwrap()));
    }
    bytes
}

fn commit_bytes(commit: &Commit) -> Vec<u8> {
    let parents: String = commit.parents.iter().map(|parent| format!("parent {parent}\n")).collect();
    let (author, committer) = (commit.author.line(), commit.committer.line());
    format!("tree {}\n{parents}author {author}\ncommitter {committer}\n\n{}", commit.tree, commit.message).into_bytes()
}

#[test]
fn patches_are_those_of_git() {
    for (old, new, expected) in [
        ("", "a\n", "@@ -0,0 +1 @@\n+a"),
        ("a\nb\n", "", "@@ -1,2 +0,0 @@\n-a\n-b"),
        (
            "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
            "1\n2\n3\n4\nx\n6\n7\n8\n9\n",
            "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8",
        ),
    ] {
        assert_eq!(patch(old, new).0, expected);
    }
}

#[test]
fn ids_are_those_of_git() {
    let mut objects = Objects::default();
    let blob = objects.put(Object::Blob(b"# platform\n".to_vec()));
    assert_eq!(blob, "967dd487a6b70860a9350af2a699e91b1a0259f5");
    assert_eq!(objects.put_files(&Files::new()), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    let entry = ("100644".to_owned(), blob);
    // `a.b` stands before `a/`, which stands before `a0`.
    let names = ["a/x", "a.b", "a0"];
    let files: Files = names.iter().map(|name| ((*name).to_owned(), entry.clone())).collect();
    let tree = objects.put_files(&files);
    assert_eq!(tree, "f98211553f021358da1ba9597f978b0fb7fd5896");
    let who = Signature {
        name: "Jane".into(),
        email: "jane@example.org".into(),
        date: jiff::Timestamp::from_second(1_763_000_000).unwrap(),
    };
    let commit = Commit { tree, parents: vec![], author: who.clone(), committer: who, message: "Begin".into() };
    assert_eq!(objects.put(Object::Commit(commit)), "580f457099389e017744e92a5a5bca9522453bda");
    assert_eq!(objects.files_of("580f457099389e017744e92a5a5bca9522453bda"), files);
}
