//! What would change, in lines that a person reads before saying yes.

use super::super::template::{self, Differs};
use crate::domain::Preview;
use serde_json::{Value, json};

/// The difference that the server made in its trial, from `before` to `after`, below `root`.
pub(super) fn of(root: &str, before: &Value, after: &Value) -> Preview {
    let (changes, more) = template::diff(&json!({root: before}), &json!({root: after}));
    let mut preview = Preview { kind: "server_dry_run".to_owned(), ..Preview::default() };
    let mut lines = vec![];
    for change in &changes {
        let (line, change) = template::line(change);
        *match change {
            Differs::Added => &mut preview.adds,
            Differs::Changed => &mut preview.changes,
            Differs::Removed => &mut preview.removes,
        } += 1;
        lines.push(line);
    }
    if more > 0 {
        preview.changes += more as u64;
        lines.push(format!("and {more} more differences"));
    }
    preview.text = lines.join("\n");
    preview
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_tells_what_comes_goes_and_changes() {
        let before = json!({"replicas": 2, "paused": true, "same": 1});
        let after = json!({"replicas": 5, "minReadySeconds": 3, "same": 1});
        let seen = of("spec", &before, &after);
        assert_eq!(seen.text, "spec.minReadySeconds: added 3\nspec.paused: removed true\nspec.replicas: 2 -> 5");
        assert_eq!((seen.adds, seen.changes, seen.removes), (1, 1, 1));
        assert_eq!(of("spec", &before, &before).text, "");
    }
}
