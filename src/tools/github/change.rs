//! What a commit or pull request changes, in few words.

use super::{field, items, lines};
use crate::edge::github::answers::Changed;
use crate::tools::render::clip;
use crate::tools::runbooks::html::visible;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Files of one change that are told in a list, and of one that was asked for alone.
pub(super) const FEW: usize = 12;
pub(super) const MANY: usize = 300;
/// Most bytes of the patch of one file, and of all patches of a call.
const PATCH: usize = 8 << 10;
const PATCHES: usize = 48 << 10;
/// Most characters of a line of a patch.
const LINE: usize = 400;

/// Files that are changed: those at or below `path` first, at most `most`, and the number of all.
/// Patches stay only with `patches`, and only as far as there is room.
pub(super) fn files(mut files: Vec<Changed>, path: &str, most: usize, patches: bool) -> (Vec<Value>, usize) {
    let total = files.len();
    // Stable: within each half the order is GitHub's.
    files.sort_by_key(|file| !file.touches(path));
    let mut room = PATCHES;
    let told = files.into_iter().take(most).map(|mut file| {
        let patch = file.patch.take().filter(|_| patches);
        let has_patch = patch.is_some();
        file.patch = patch.map(|patch| cut(patch, PATCH.min(room))).filter(|patch| !patch.is_empty());
        room = room.saturating_sub(file.patch.as_ref().map_or(0, String::len));
        let left_out = has_patch && file.patch.is_none();
        let mut told = json!(file);
        if left_out {
            told["patch_left_out"] = true.into();
        }
        told
    });
    (told.collect(), total)
}

/// The whole lines at the beginning of `patch` that fit into `bytes`.
fn cut(patch: String, bytes: usize) -> String {
    if patch.len() <= bytes {
        return patch;
    }
    let mut end = 0;
    for line in patch.split_inclusive('\n') {
        if end + line.len() > bytes {
            break;
        }
        end += line.len();
    }
    if end == 0 {
        return String::new();
    }
    let left = patch[end..].lines().count();
    format!("{}[{left} more lines of this change]", &patch[..end])
}

/// The files below a change, a line for each, and the patches that there are.
pub(super) fn shown(out: &mut String, change: &Value) {
    let mut told = 0;
    for file in items(change, "files") {
        told += 1;
        let before = file["previous_filename"].as_str().map_or(String::new(), |name| format!(" (was {name})"));
        let line = format!(
            "    {} {}{before} +{} -{}",
            field(file, "status"),
            field(file, "filename"),
            file["additions"],
            file["deletions"]
        );
        let _ = writeln!(out, "{}", clip(&visible(&line), LINE));
        for line in lines(field(file, "patch"), LINE) {
            let _ = writeln!(out, "        {line}");
        }
        if file["patch_left_out"] == true {
            let _ = writeln!(out, "        [its change is left out: `path` shows it alone]");
        }
    }
    let total = change["total_files"].as_u64().unwrap_or(told);
    if total > told {
        let _ = writeln!(out, "    and {} more files", total - told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(name: &str, patch: &str) -> Changed {
        Changed {
            filename: name.into(),
            status: "modified".into(),
            additions: 1,
            deletions: 2,
            previous_filename: None,
            patch: Some(patch.into()),
        }
    }

    #[test]
    fn patches_are_bounded_one_by_one_and_together() {
        let line = "+0123456789\n";
        let large: Vec<Changed> = (0..20).map(|n| changed(&format!("f{n}"), &line.repeat(1000))).collect();
        let (told, total) = files(large.clone(), "f7", 300, true);
        assert_eq!((told.len(), total), (20, 20));
        assert_eq!(field(&told[0], "filename"), "f7", "what was asked for stands first");
        let sizes: Vec<usize> = told.iter().map(|file| field(file, "patch").len()).collect();
        assert!(sizes.iter().sum::<usize>() <= PATCHES + 20 * 60 && sizes[0] <= PATCH + 60, "{sizes:?}");
        assert!(field(&told[0], "patch").ends_with(" more lines of this change]"));
        assert_eq!(told[19]["patch_left_out"], true);
        let (told, total) = files(large, "", 3, false);
        assert!((told.len(), total) == (3, 20) && told.iter().all(|file| file["patch"].is_null()));
    }
}
