//! The files that a pull request would change: what is wanted, applied to what a commit holds. Judged is
//! the tree that would come of it: no symlink, no submodule, no path that only looks like one.

use super::diff::{self, Diff};
use crate::domain::{Digest, Redactor};
use crate::edge::github::answers::TreeEntry;
use crate::edge::github::{Reader, Repo, names};
use crate::tools::render::clip;
use crate::tools::runbooks::html::visible;
use crate::tools::spec::ToolError;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// Files of one pull request.
const FILES: usize = 30;
/// Bytes of a file, before and after.
const FILE_BYTES: usize = 512 << 10;
/// Bytes of all of them.
const ALL_BYTES: usize = 1 << 20;
/// A plain file.
const PLAIN: &str = "100644";
/// What stands where a secret stood.
const BLANK: &str = "[redacted]";

/// One wanted change.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    path: String,
    content: Option<String>,
    find: Option<String>,
    replace: Option<String>,
    delete: Option<bool>,
}

/// What is to become of a file.
enum Edit<'w> {
    Write(&'w str),
    Replace(&'w str, &'w str),
    Delete,
}

/// One file that would be another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed {
    /// From the root.
    pub path: String,
    /// Its mode.
    pub mode: String,
    /// What it holds.
    pub before: Option<String>,
    /// What it would hold; `None` when it would be gone.
    pub after: Option<String>,
    /// The difference.
    pub diff: Diff,
}

/// What stands at a path.
enum Found {
    Nothing,
    File { sha: String, mode: String, size: u64 },
}

/// A file while changes are applied to it.
struct Draft {
    mode: String,
    before: Option<String>,
    after: Option<String>,
}

/// The tree of a commit, read folder by folder as far as it is needed.
struct Trees<'r> {
    reader: &'r Reader,
    repo: &'r Repo,
    root: &'r str,
    read: HashMap<String, Vec<TreeEntry>>,
}

/// `wanted`, applied to the tree `root`.
///
/// # Errors
/// When it cannot be applied, would change nothing, or is nothing that a pull request may hold.
pub(super) async fn resolved(
    reader: &Reader,
    repo: &Repo,
    root: &str,
    wanted: &[Wanted],
) -> Result<Vec<Changed>, ToolError> {
    let mut trees = Trees { reader, repo, root, read: HashMap::new() };
    let mut drafts: BTreeMap<String, Draft> = BTreeMap::new();
    for one in wanted {
        let path = plain(&one.path)?;
        let edit = edit(one)?;
        if !drafts.contains_key(path) {
            drafts.insert(path.to_owned(), trees.draft(path).await?);
        }
        if let Some(draft) = drafts.get_mut(path) {
            apply(draft, path, &edit)?;
        }
    }
    let changed: Vec<Changed> = drafts
        .into_iter()
        .filter(|(_, draft)| draft.before != draft.after)
        .map(|(path, Draft { mode, before, after })| {
            let diff = diff::of(&path, before.as_deref(), after.as_deref());
            Changed { path, mode, before, after, diff }
        })
        .collect();
    bounds(&changed)?;
    Ok(changed)
}

/// Names exactly these files with exactly these contents.
pub(super) fn digest(changed: &[Changed]) -> Digest {
    let parts = changed.iter().flat_map(|file| {
        let state = if file.after.is_some() { file.mode.as_str() } else { "gone" };
        [file.path.as_str(), state, file.after.as_deref().unwrap_or_default()]
    });
    Digest::of_parts(parts)
}

/// No secret is written anywhere, and nothing that stands where one stood.
pub(super) fn without_secrets(changed: &[Changed], redactor: &Redactor) -> Result<(), ToolError> {
    for file in changed {
        let new = file.diff.new_lines.join("\n");
        if new.contains(BLANK) {
            return Err(ToolError::invalid(format!(
                "changes: {} would say `{BLANK}` where a secret stands; change only the lines that need it, with `find` and \
                 `replace`",
                file.path
            )));
        }
        if redactor.text(&new).1 > 0 || redactor.text(&file.path).1 > 0 {
            return Err(ToolError::invalid(format!(
                "changes: what would come into {} looks like a secret; refer to a secret by its name",
                file.path
            )));
        }
    }
    Ok(())
}

fn bounds(changed: &[Changed]) -> Result<(), ToolError> {
    let size = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    if changed.is_empty() {
        return Err(ToolError::invalid("changes: the files are so already; nothing would change"));
    }
    if changed.len() > FILES {
        return Err(ToolError::invalid(format!("changes: at most {FILES} files of one pull request")));
    }
    if let Some(file) = changed.iter().find(|file| size(&file.after) > FILE_BYTES) {
        return Err(ToolError::invalid(format!("changes: {} would be larger than {FILE_BYTES} bytes", file.path)));
    }
    if changed.iter().map(|file| size(&file.after)).sum::<usize>() > ALL_BYTES {
        return Err(ToolError::invalid(format!("changes: more than {ALL_BYTES} bytes together; make it smaller")));
    }
    if let Some((file, line)) = changed.iter().find_map(|file| Some((file, file.diff.unseen.as_ref()?))) {
        return Err(ToolError::invalid(format!(
            "changes: a line of {} holds what nobody can see (zero-width, bidirectional or control characters): `{}`",
            file.path,
            clip(line, 200)
        )));
    }
    // On many disks two names that differ in their case are one file.
    let mut names: HashMap<String, &str> = HashMap::new();
    for file in changed.iter().filter(|file| file.after.is_some()) {
        let ends = file.path.match_indices('/').map(|(at, _)| at).chain([file.path.len()]);
        for name in ends.map(|end| &file.path[..end]) {
            let other = *names.entry(name.to_lowercase()).or_insert(name);
            if other != name {
                let text = format!("changes: {name} differs from {other} only in upper and lower case");
                return Err(ToolError::invalid(text));
            }
        }
    }
    // One file cannot be another one's folder.
    for file in changed.iter().filter(|file| file.after.is_some()) {
        let below = format!("{}/", file.path);
        if changed.iter().any(|other| other.after.is_some() && other.path.starts_with(&below)) {
            return Err(ToolError::invalid(format!("changes: {} cannot be a file and a folder", file.path)));
        }
    }
    Ok(())
}

fn edit(wanted: &Wanted) -> Result<Edit<'_>, ToolError> {
    match (&wanted.content, &wanted.find, &wanted.replace, wanted.delete) {
        (Some(text), None, None, None | Some(false)) => Ok(Edit::Write(text)),
        (None, Some(find), Some(replace), None | Some(false)) if !find.is_empty() => Ok(Edit::Replace(find, replace)),
        (None, None, None, Some(true)) => Ok(Edit::Delete),
        _ => Err(ToolError::invalid(format!(
            "changes: of {} give either `content`, or `find` and `replace`, or `delete: true`",
            clip(&wanted.path, 200)
        ))),
    }
}

fn apply(draft: &mut Draft, path: &str, edit: &Edit<'_>) -> Result<(), ToolError> {
    match (edit, &draft.after) {
        (Edit::Write(text), _) if text.contains('\0') => {
            return Err(ToolError::invalid(format!("changes: {path} would be no text")));
        }
        (Edit::Write(text), _) => draft.after = Some((*text).to_owned()),
        (Edit::Replace(..) | Edit::Delete, None) => {
            return Err(ToolError::invalid(format!("changes: there is no {path}; github_tree lists what there is")));
        }
        (Edit::Replace(find, replace), Some(text)) => match text.matches(find).count() {
            1 => draft.after = Some(text.replacen(find, replace, 1)),
            0 => {
                return Err(ToolError::invalid(format!(
                    "changes: {path} does not hold the text of `find`; github_file shows its lines, spaces included"
                )));
            }
            n => {
                return Err(ToolError::invalid(format!(
                    "changes: {path} holds the text of `find` {n} times; take more lines around it"
                )));
            }
        },
        (Edit::Delete, Some(_)) => draft.after = None,
    }
    Ok(())
}

/// A path as git has it, and as every system shows and keeps it.
fn plain(path: &str) -> Result<&str, ToolError> {
    let wrong = |why: &str| ToolError::invalid(format!("changes: `{}` {why}", clip(&visible(path), 200)));
    let checked = names::path(path).map_err(wrong)?;
    let odd = |part: &str| {
        let lower = part.to_lowercase();
        lower == ".git" || lower.starts_with("git~") || part.ends_with(['.', ' ']) || part.starts_with(' ')
    };
    match checked.is_empty()
        || checked != path
        || visible(path) != path
        || path.contains(['\\', ':'])
        || path.split('/').any(odd)
    {
        true => Err(wrong("is no plain path: write it from the root of the repository, as github_tree shows it")),
        false => Ok(path),
    }
}

impl Trees<'_> {
    async fn draft(&mut self, path: &str) -> Result<Draft, ToolError> {
        match self.find(path).await? {
            Found::Nothing => Ok(Draft { mode: PLAIN.to_owned(), before: None, after: None }),
            Found::File { size, .. } if size > FILE_BYTES as u64 => {
                Err(ToolError::invalid(format!("changes: {path} is larger than {FILE_BYTES} bytes")))
            }
            Found::File { sha, mode, .. } => {
                let text = String::from_utf8(self.reader.git_blob(self.repo, &sha).await?).ok();
                let Some(text) = text.filter(|text| !text.contains('\0')) else {
                    return Err(ToolError::invalid(format!("changes: {path} is no text")));
                };
                Ok(Draft { mode, before: Some(text.clone()), after: Some(text) })
            }
        }
    }

    async fn find(&mut self, path: &str) -> Result<Found, ToolError> {
        let mut at = self.root.to_owned();
        let mut so_far = String::new();
        let parts: Vec<&str> = path.split('/').collect();
        for (n, part) in parts.iter().enumerate() {
            let last = n + 1 == parts.len();
            so_far = if so_far.is_empty() { (*part).to_owned() } else { format!("{so_far}/{part}") };
            let entries = self.folder(&at).await?;
            let Some(entry) = entries.iter().find(|entry| entry.path == *part) else {
                // On many disks two names that differ in their case are one file.
                let folded = part.to_lowercase();
                return match entries.iter().find(|entry| entry.path.to_lowercase() == folded) {
                    Some(other) => Err(ToolError::invalid(format!(
                        "changes: {so_far} differs from {} only in upper and lower case",
                        other.path
                    ))),
                    None => Ok(Found::Nothing),
                };
            };
            match (entry.kind.as_str(), entry.mode.as_str(), last) {
                ("blob", PLAIN | "100755", true) => {
                    let (sha, mode) = (entry.sha.clone(), entry.mode.clone());
                    return Ok(Found::File { sha, mode, size: entry.size.unwrap_or(0) });
                }
                ("tree", _, false) => at.clone_from(&entry.sha),
                ("tree", _, true) => return Err(ToolError::invalid(format!("changes: {so_far} is a folder"))),
                ("blob", PLAIN | "100755", false) => {
                    return Err(ToolError::invalid(format!("changes: {so_far} is a file and no folder")));
                }
                (kind, _, _) => {
                    let what = if kind == "commit" { "a submodule" } else { "a symlink" };
                    let text = format!("changes: {so_far} is {what}; change what it leads to, where that is");
                    return Err(ToolError::invalid(text));
                }
            }
        }
        Ok(Found::Nothing)
    }

    async fn folder(&mut self, id: &str) -> Result<&[TreeEntry], ToolError> {
        if !self.read.contains_key(id) {
            let tree = self.reader.git_tree(self.repo, id).await?;
            if tree.truncated {
                return Err(ToolError::failed("a folder holds more than GitHub tells", false));
            }
            self.read.insert(id.to_owned(), tree.tree);
        }
        Ok(self.read.get(id).map(Vec::as_slice).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_plain_paths_are_changed() {
        for path in ["clusters/prod/app.yaml", "a b/ö.yaml", ".gitignore", "a/.github/x"] {
            assert_eq!(plain(path), Ok(path));
        }
        for path in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            "../a",
            "a/../b",
            "./a",
            "a\\b",
            ".git/config",
            "a/.GIT/x",
            "git~1/x",
            "a./b",
            "a /b",
            "a\u{202e}b",
            "a\nb",
            "C:/x",
        ] {
            assert!(plain(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn an_edit_is_one_thing_and_finds_its_place_once() {
        let wanted = |more: serde_json::Value| {
            let mut all = json!({"path": "a"});
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value::<Wanted>(all).unwrap()
        };
        let draft = |text: Option<&str>| Draft {
            mode: PLAIN.into(),
            before: text.map(str::to_owned),
            after: text.map(str::to_owned),
        };
        for (more, before, expected) in [
            (json!({"content": "x\n"}), None, Ok(Some("x\n"))),
            (json!({"content": "x\n", "delete": false}), Some("y"), Ok(Some("x\n"))),
            (json!({"find": "b", "replace": ""}), Some("abc"), Ok(Some("ac"))),
            (json!({"delete": true}), Some("abc"), Ok(None)),
            (json!({"find": "b", "replace": "x"}), Some("abb"), Err("2 times")),
            (json!({"find": "z", "replace": "x"}), Some("abb"), Err("does not hold")),
            (json!({"find": "z", "replace": "x"}), None, Err("there is no a")),
            (json!({"delete": true}), None, Err("there is no a")),
            (json!({"content": "a\u{0}b"}), None, Err("no text")),
            (json!({"find": "", "replace": "x"}), Some("a"), Err("give either")),
            (json!({"find": "a"}), Some("a"), Err("give either")),
            (json!({"content": "x", "delete": true}), Some("a"), Err("give either")),
            (json!({}), Some("a"), Err("give either")),
        ] {
            let (wanted, mut draft) = (wanted(more.clone()), draft(before));
            let done = edit(&wanted).and_then(|edit| apply(&mut draft, "a", &edit));
            match expected {
                Ok(after) => assert_eq!((done, draft.after.as_deref()), (Ok(()), after), "{more}"),
                Err(words) => assert!(done.unwrap_err().for_reader().contains(words), "{more}"),
            }
        }
    }

    fn changed(path: &str, before: Option<&str>, after: Option<&str>) -> Changed {
        Changed {
            path: path.into(),
            mode: PLAIN.into(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            diff: diff::of(path, before, after),
        }
    }

    #[test]
    fn secrets_are_neither_written_nor_blanked_out() {
        let redactor = Redactor::new(["s3cr3t-value"]).unwrap();
        for (before, after, fine) in [
            ("a: 1\npassword: hunter2hunter2\n", "a: 2\npassword: hunter2hunter2\n", true),
            ("a: 1\npassword: hunter2hunter2\n", "a: 2\npassword: [redacted]\n", false),
            ("a: 1\n", "a: s3cr3t-value\n", false),
            ("a: 1\n", "a: 1\npassword: hunter2hunter2\n", false),
            ("a: 1\n", "a: 2\n", true),
        ] {
            let files = [changed("x", Some(before), Some(after))];
            assert_eq!(without_secrets(&files, &redactor).is_ok(), fine, "{after}");
        }
        assert!(without_secrets(&[changed("s3cr3t-value", None, Some(""))], &redactor).is_err());
    }

    #[test]
    fn what_would_come_is_bounded_and_named() {
        let one = |text: &str| vec![changed("a", None, Some(text))];
        assert!(bounds(&one("x")).is_ok());
        assert!(bounds(&[]).is_err());
        assert!(bounds(&one(&"x".repeat(FILE_BYTES + 1))).is_err());
        let many = |n: usize| (0..n).map(|n| changed(&format!("f{n}"), None, Some("x"))).collect::<Vec<_>>();
        assert!(bounds(&many(FILES)).is_ok() && bounds(&many(FILES + 1)).is_err());
        assert!(bounds(&[changed("a", None, Some("x")), changed("a/b", None, Some("x"))]).is_err());
        assert!(bounds(&[changed("a", Some("x"), None), changed("a/b", None, Some("x"))]).is_ok());
        let both = |a: &str, b: &str| bounds(&[changed(a, None, Some("x")), changed(b, None, Some("x"))]);
        for (a, b, fine) in [
            ("a/x", "a/y", true),
            ("a/x", "a/X", false),
            ("a/x", "A/y", false),
            ("Ö", "ö", false),
            ("a/b/x", "a/B/c/y", false),
        ] {
            assert_eq!(both(a, b).is_ok(), fine, "{a} {b}");
        }
        assert!(bounds(&[changed("a", Some("x"), None), changed("A", None, Some("x"))]).is_ok(), "a new name for it");
        assert!(bounds(&one("a\u{202e}b")).unwrap_err().for_reader().contains("nobody can see"));
        assert_eq!(digest(&one("x")), digest(&one("x")));
        for other in [one("y"), vec![changed("b", None, Some("x"))], vec![changed("a", Some("x"), None)]] {
            assert_ne!(digest(&other), digest(&one("x")));
        }
    }
}
