//! Silencing, and ending what we silenced. Both know our silences by who made them, by the mark in their
//! comment, and by what they silence.
//!
//! - [`matching`]: what may be silenced at all, and what one silence would silence now.
//! - [`silence`], [`expire`]: the tools.

mod expire;
pub(super) mod matching;
mod silence;

use super::shown;
use crate::domain::{Effect, Marker, Redactor, Target};
use crate::edge::EdgeError;
use crate::edge::alertmanager::{AlertmanagerReader, AlertmanagerWriter, Held, Matcher};
use crate::tools::act::{ActError, ActTool};
use crate::tools::spec::ToolSpec;
use arc_swap::ArcSwap;
use std::sync::Arc;

/// What a manifest can run, with what it does to the world.
pub const BUILTINS: [(&str, Effect); 2] =
    [("alertmanager_silence", Effect::Write), ("alertmanager_expire_silence", Effect::Write)];
/// Whose our silences are.
pub const OWNER: &str = "firewarden";
/// What the line with the mark begins with.
const MARK: &str = "firewarden action ";

/// What every tool here works with.
#[derive(Debug, Clone)]
pub struct Hand {
    spec: Arc<ToolSpec>,
    writer: AlertmanagerWriter,
    redactor: Arc<ArcSwap<Redactor>>,
}

/// The tool that `spec` runs, if it is one of ours.
pub fn build(
    spec: Arc<ToolSpec>,
    writer: AlertmanagerWriter,
    redactor: &Arc<ArcSwap<Redactor>>,
) -> Option<Box<dyn ActTool>> {
    let builtin = spec.builtin.clone();
    let hand = Hand { spec, writer, redactor: redactor.clone() };
    Some(match builtin.as_str() {
        "alertmanager_silence" => Box::new(silence::Silence(hand)),
        "alertmanager_expire_silence" => Box::new(expire::Expire(hand)),
        _ => return None,
    })
}

impl Hand {
    fn reader(&self) -> &AlertmanagerReader {
        self.writer.reader()
    }

    /// Without secrets.
    fn clean(&self, text: &str) -> String {
        self.redactor.load().text(text).0.into_owned()
    }

    /// A silence of `matchers`. It counts as one of the namespace that it names.
    fn target(&self, matchers: &[Matcher], name: &str, verb: &str) -> Target {
        let namespace = matchers.iter().find(|matcher| matcher.name == "namespace" && !matcher.is_regex);
        Target {
            system: "alertmanager".into(),
            cluster: self.reader().host().to_owned(),
            namespace: namespace.map(|matcher| matcher.value.clone()).unwrap_or_default(),
            kind: "Silence".into(),
            name: name.to_owned(),
            verb: verb.to_owned(),
            ..Target::default()
        }
    }

    /// Silences of exactly `matchers` that we made, whatever became of them.
    async fn ours(&self, matchers: &[Matcher]) -> Result<Vec<Held>, EdgeError> {
        // One that has to be there word for word is enough to find them.
        let anchor: Vec<Matcher> = matchers.iter().find(|matcher| !matcher.is_regex).cloned().into_iter().collect();
        let mut found = self.reader().silences(&anchor).await?;
        found.retain(|held| held.created_by == OWNER && mark_of(held).is_some() && held.is_of(matchers));
        found.sort_by_key(|held| (held.starts_at, held.id.clone()));
        Ok(found)
    }
}

/// The line by which we know a silence of ours.
fn mark(marker: &Marker) -> String {
    format!("{MARK}{marker}")
}

/// The marker that a silence bears, on a line of its own.
fn mark_of(held: &Held) -> Option<&str> {
    held.comment
        .lines()
        .rev()
        .find_map(|line| line.trim_end().strip_prefix(MARK))
        .filter(|mark| mark.starts_with("fw-"))
}

/// A look before anything was sent that failed.
fn not_looked(error: &EdgeError) -> ActError {
    ActError::not_looked("Alertmanager", error)
}
