//! L3: no call without a ruling, no change without a [`Warrant`].
//!
//! - [`Gate::read`] judges a reading call and gives a [`Pass`];
//! - [`authorize`]: [`Gate::authorize`] judges a change, [`Gate::mint`] gives the [`Warrant`] for it when
//!   the intent is on disk;
//! - [`warrant`]: the warrant becomes a [`Permit`], which every changing method of the edge asks for.
//!
//! Only this module can make a [`Pass`], and no tool can be called without one. A pass is for one
//! call: it carries the tool and the arguments that were judged, so what was allowed is what runs.
//! It cannot be copied, stored or built elsewhere:
//!
//! ```compile_fail
//! fn copy(pass: firewarden::gate::Pass) -> (firewarden::gate::Pass, firewarden::gate::Pass) {
//!     (pass.clone(), pass)
//! }
//! ```
//! ```compile_fail
//! use firewarden::{gate::Pass, journal::Call};
//! let forged = Pass { call: Call { id: "c".into(), tool: "t".into(), args: ().into(), need: ().into() } };
//! ```
//! ```compile_fail
//! # async fn twice(pass: firewarden::gate::Pass, tools: firewarden::tools::Registry) {
//! let first = tools.call(pass).await;
//! let second = tools.call(pass).await;
//! # }
//! ```

pub mod authorize;
pub mod warrant;

pub use authorize::{Answer, Clearance, Wanted, is_possible};
pub use warrant::{Permit, Refused, Warrant};

use crate::domain::{Action, DecisionId, Digest, Effect, Reason, Risk, RiskDecision, Ruling, Verdict};
use crate::journal::{Call, RulingPhase};
use crate::policy::{ActionInput, Policy, RiskInput};
use std::sync::Arc;

/// The permission to make one reading call.
#[derive(Debug)]
pub struct Pass {
    call: Call,
}

impl Pass {
    /// The call that was judged.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Gives up the permission for the call.
    pub fn redeem(self) -> Call {
        self.call
    }
}

/// The one place where policy meets the world.
#[derive(Debug, Clone)]
pub struct Gate {
    policy: Arc<dyn Policy>,
}

impl Gate {
    /// A gate that `policy` watches.
    pub fn new(policy: Arc<dyn Policy>) -> Self {
        Self { policy }
    }

    /// The policy that is in force.
    pub fn policy(&self) -> &dyn Policy {
        self.policy.as_ref()
    }

    /// How dangerous the incident is. Any failure of the policy is CRITICAL.
    pub fn assess(&self, id: DecisionId, input: &RiskInput) -> RiskDecision {
        self.policy.assess(id, input)
    }

    /// Judges a reading call. The ruling goes into the journal either way; there is a pass only when
    /// it allows.
    pub fn read(&self, id: DecisionId, call: &Call, input: &ActionInput) -> (Ruling, Option<Pass>) {
        let mut ruling = self.policy.rule(id, input);
        if let Some(why) = mismatch(call, input) {
            ruling.verdict = Verdict::Deny;
            ruling.reasons.insert(
                0,
                Reason { rule: "engine/mismatch".into(), effect: "deny".into(), reason: why.into(), at: None },
            );
        }
        let pass = match ruling.verdict {
            Verdict::Allow => Some(Pass { call: call.clone() }),
            Verdict::Ask | Verdict::Deny => None,
        };
        (ruling, pass)
    }
}

/// What was judged must be what runs, and a pass is for looking only.
fn mismatch(call: &Call, input: &ActionInput) -> Option<&'static str> {
    if input.call.effect != Effect::Read {
        return Some("a pass is for reading calls; everything else needs a warrant");
    }
    let same = input.call.tool == call.tool && call.args.as_object() == Some(&input.call.args);
    (!same).then_some("the call that was judged is not the call that was asked for")
}

/// What was judged must be what would happen.
fn mismatched(
    action: &Action,
    level: Risk,
    phase: RulingPhase,
    input: &ActionInput,
    digest: &Digest,
) -> Option<&'static str> {
    let call = &input.call;
    let same_targets = || {
        let told = action.targets.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
        told.is_ok_and(|told| told == call.targets)
    };
    match () {
        () if action.effect == Effect::Read => Some("a change that changes nothing is no change"),
        () if action.targets.is_empty() => Some("the change names nothing that it touches"),
        () if call.effect != action.effect || call.tool != action.tool => Some("another call was judged"),
        () if action.args.as_object() != Some(&call.args) => Some("other arguments were judged"),
        () if !same_targets() => Some("other objects were judged"),
        () if call.action_digest != digest.as_str() => Some("another plan was judged"),
        () if input.risk.level != level || input.phase != phase.as_str() => Some("it was judged for another moment"),
        () => None,
    }
}

#[cfg(test)]
mod tests;
