//! Changes of policy as the terminal shows them.

use super::{Watcher, line};
use crate::domain::Excepted;
use crate::journal::{Body, Entry};

/// Errors that are shown.
const ERRORS: usize = 3;

impl Watcher {
    /// What an exception took out of a decision.
    pub(super) fn excepted(&self, used: &[Excepted]) -> Vec<String> {
        let told = used.iter().map(|Excepted { id, rule, owner, until, .. }| {
            let (id, rule, owner) = (line(id, 60), line(rule, 80), line(owner, 60));
            self.below(&format!("{rule} does not count: exception {id} of {owner}, until {until}"))
        });
        told.flatten().collect()
    }

    /// The lines for an entry about policies themselves; other entries have none here.
    pub(super) fn governing(&self, entry: &Entry) -> Vec<String> {
        match &entry.body {
            Body::PolicyActivated(now) => {
                let which = if now.shadow { "tried beside the active one" } else { "in force" };
                let (bundle, digest) = (line(&now.policy.bundle, 60), now.policy.digest.short(12));
                let by = now.promotion.is_some().then(|| format!(" by {}", line(&now.by.join(", "), 60)));
                let trigger = line(&now.trigger, 20);
                self.text("policy", &format!("{bundle} {digest} is {which} ({trigger}{})", by.unwrap_or_default()))
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
            Body::ShadowEnded(ended) => {
                let (bundle, why) = (line(&ended.policy.bundle, 60), line(&ended.why, 200));
                self.text("shadow", &format!("{bundle} is not tried any more: {why}"))
            }
            _ => vec![],
        }
    }
}
