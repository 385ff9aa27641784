//! What a tool that reads many things could not read. A gap is told, and hides nothing else.

use crate::edge::EdgeError;
use crate::tools::spec::Seen;
use serde_json::{Value, json};

/// The gaps of one look.
#[derive(Debug, Default)]
pub(super) struct Unread(Vec<(String, String)>);

impl Unread {
    /// What was read, or nothing and a gap called `what`.
    pub(super) fn take<T>(&mut self, what: &str, answer: Result<T, EdgeError>) -> Option<T> {
        answer.inspect_err(|e| self.0.push((what.to_owned(), e.to_string()))).ok()
    }

    /// Puts the gaps into `seen`: `data.unread`, and a note for each.
    pub(super) fn tell(self, seen: &mut Seen) {
        let rows: Vec<Value> = self.0.iter().map(|(what, why)| json!({"what": what, "why": why})).collect();
        seen.data["unread"] = rows.into();
        seen.notes.extend(self.0.into_iter().map(|(what, why)| format!("{what} could not be read: {why}")));
    }
}
