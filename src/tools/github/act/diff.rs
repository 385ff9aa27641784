//! What a person reads before saying yes: a unified diff, and its figures.

use crate::template::fence;
use crate::tools::runbooks::html::visible;
use similar::{Algorithm, ChangeTag, TextDiff};
use std::time::Duration;

/// Work on one file's difference; afterwards it is told more coarsely.
const PATIENCE: Duration = Duration::from_millis(500);

/// How one file changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Diff {
    /// The unified diff, without anything that cannot be seen.
    pub text: String,
    /// Lines that come.
    pub added: u64,
    /// Lines that go.
    pub removed: u64,
    /// What comes, line by line.
    pub new_lines: Vec<String>,
    /// The first line that comes of which `text` does not show everything, as it is shown.
    pub unseen: Option<String>,
}

/// From `before` to `after`; `None` is a file that is not there.
pub(super) fn of(path: &str, before: Option<&str>, after: Option<&str>) -> Diff {
    let (old, new) = (before.unwrap_or_default(), after.unwrap_or_default());
    let diff = TextDiff::configure().algorithm(Algorithm::Myers).timeout(PATIENCE).diff_lines(old, new);
    let mut told = Diff { text: String::new(), added: 0, removed: 0, new_lines: vec![], unseen: None };
    for change in diff.iter_all_changes() {
        match change.tag() {
            ChangeTag::Insert => {
                told.added += 1;
                let value = change.value();
                let line = value.strip_suffix('\n').unwrap_or(value);
                let line = line.strip_suffix('\r').filter(|_| value.ends_with('\n')).unwrap_or(line);
                if told.unseen.is_none() && !is_seen_whole(line) {
                    told.unseen = Some(visible(line));
                }
                told.new_lines.push(line.to_owned());
            }
            ChangeTag::Delete => told.removed += 1,
            ChangeTag::Equal => {}
        }
    }
    let name = |there: Option<&str>, side: &str| match there {
        Some(_) => format!("{side}/{path}"),
        None => "/dev/null".to_owned(),
    };
    let text = diff.unified_diff().context_radius(3).header(&name(before, "a"), &name(after, "b")).to_string();
    told.text = text.lines().map(|line| format!("{}\n", visible(line))).collect();
    told
}

/// Whether a person sees all of a line: no control characters but tabs, nothing that hides, joins or turns
/// round.
fn is_seen_whole(line: &str) -> bool {
    visible(line) == line && fence::visible(line) == line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_tells_what_comes_and_goes() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\n";
        let new = "a\nb\nc\nd\nE\nf\ng\nh\ni\n";
        let diff = of("x/y.yaml", Some(old), Some(new));
        assert_eq!((diff.added, diff.removed, diff.new_lines), (2, 1, vec!["E".to_owned(), "i".to_owned()]));
        assert_eq!(diff.text, "--- a/x/y.yaml\n+++ b/x/y.yaml\n@@ -2,7 +2,8 @@\n b\n c\n d\n-e\n+E\n f\n g\n h\n+i\n");
        let gone = of("x", Some("a\n"), None);
        assert!(gone.text.starts_with("--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"), "{}", gone.text);
        let came = of("x", None, Some("a\u{202e}b"));
        assert!((came.added, came.removed) == (1, 0) && came.text.contains("+ab\n"), "{}", came.text);
    }
    #[test]
    fn a_line_that_shows_less_than_it_holds_is_told() {
        for (new, seen) in [
            ("a\tb\n", None),
            ("a\r\nb\r\n", None),
            ("größe: 1 # размер, 大小, גודל, \u{9ab}\u{9bf}\u{9a8}\n", None),
            ("ok # \u{1f600}\n", None),
            ("no newline", None),
            ("ok\nif is_admin\u{202e}\u{2066}// check\u{2069}:\n", Some("if is_admin// check:")),
            ("a\u{200b}b\n", Some("ab")),
            ("a\u{feff}b\n", Some("ab")),
            ("a\u{3164}b\n", Some("a\u{3164}b")),
            ("a\u{1b}[8mb\n", Some("a[8mb")),
            ("a\u{e0061}\n", Some("a")),
            ("a\rb\n", Some("a")),
            ("a\r", Some("a")),
        ] {
            assert_eq!(of("x", Some("ok\n"), Some(new)).unseen.as_deref(), seen, "{new:?}");
        }
        let odd = "a\u{200b}b\nc\n";
        assert_eq!(of("x", Some(odd), Some("a\u{200b}b\nd\n")).unseen, None, "what stands there already");
        assert_eq!(of("x", Some(odd), None).unseen, None);
    }
}
