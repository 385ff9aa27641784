//! Policies of the past, ready to judge again what they judged.

use super::{ActionInput, Bundle, Decision, InputKind, Policy, RegoPolicy, RiskInput};
use crate::domain::{DecisionId, Digest, PolicyRef, RiskDecision, Ruling};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Time for one decision: nobody waits for it.
const LIMIT: Duration = Duration::from_secs(10);

/// Policies as they were kept.
#[derive(Debug, Clone)]
pub struct KeptPolicy(Arc<RegoPolicy>);

impl KeptPolicy {
    /// The policies in `files`, which were kept under `digest`.
    ///
    /// # Errors
    /// Why this program cannot decide by them as the one that kept them did.
    pub fn load(files: BTreeMap<String, String>, digest: &Digest) -> Result<Self, &'static str> {
        let bundle = Bundle::from_files(files);
        if bundle.digest() != digest {
            return Err("it was made with another interpreter or contract");
        }
        let policy = RegoPolicy::load(&bundle).map_err(|_| "this version does not load its policies any more")?;
        Ok(Self(Arc::new(policy.with_limit(LIMIT))))
    }

    /// These policies, asked about `input` as it was recorded. What they are asked with says which question it
    /// is and nothing else: an older program wrote other keys.
    pub fn about(&self, input: Value) -> Arc<dyn Policy> {
        Arc::new(OfRecord { policy: self.0.clone(), input })
    }
}

#[derive(Debug)]
struct OfRecord {
    policy: Arc<RegoPolicy>,
    input: Value,
}

impl Policy for OfRecord {
    fn assess(&self, id: DecisionId, input: &RiskInput) -> RiskDecision {
        match self.policy.decide_as_it_is(id, InputKind::Risk, &self.input) {
            Decision::Risk(decision) => decision,
            Decision::Action(_) => self.policy.assess(id, input),
        }
    }

    fn rule(&self, id: DecisionId, input: &ActionInput) -> Ruling {
        match self.policy.decide_as_it_is(id, InputKind::Action, &self.input) {
            Decision::Action(ruling) => ruling,
            Decision::Risk(_) => self.policy.rule(id, input),
        }
    }

    fn reference(&self) -> PolicyRef {
        self.policy.reference()
    }
}
