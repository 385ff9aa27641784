//! L3: no call without a ruling.
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

use crate::domain::{DecisionId, Effect, Reason, RiskDecision, Ruling, Verdict};
use crate::journal::Call;
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
