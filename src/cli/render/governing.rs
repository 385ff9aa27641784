//! Changes of policy as the terminal shows them.

use super::{Watcher, line};
use crate::journal::{Body, Entry};

/// Errors that are shown.
const ERRORS: usize = 3;

impl Watcher {
    /// The lines for an entry about policies themselves; other entries have none here.
    pub(super) fn governing(&self, entry: &Entry) -> Vec<String> {
        match &entry.body {
            Body::PolicyActivated(now) => {
                let which = if now.shadow { "tried beside the active one" } else { "in force" };
                let (bundle, digest) = (line(&now.policy.bundle, 60), now.policy.digest.short(12));
                self.text("policy", &format!("{bundle} {digest} is {which} ({})", line(&now.trigger, 20)))
            }
            Body::PolicyRejected(refused) => {
                let kept = line(&refused.kept.bundle, 60);
                let mut lines = self.text("policy", &format!("a changed policy was refused; {kept} stays in force"));
                lines.extend(refused.errors.iter().take(ERRORS).flat_map(|error| self.below(&line(error, 300))));
                lines
            }
            Body::ShadowDiffered(other) => {
                let (about, active, shadow) =
                    (line(&other.about, 60), line(&other.active, 20), line(&other.shadow, 20));
                self.text("shadow", &format!("{about}: {active}, the policy that is tried says {shadow}"))
            }
            _ => vec![],
        }
    }
}
