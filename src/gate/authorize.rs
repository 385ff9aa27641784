//! From a planned change to the authority to make it.

use super::warrant::{Refused, Warrant};
use super::{Gate, mismatched};
use crate::domain::{
    Action, DecisionId, Digest, Effect, Grant, InvestigationId, Marker, Reason, Requirement, Risk, Ruling, Verdict,
    floor, is_met,
};
use crate::journal::{Body, RulingPhase};
use crate::policy::ActionInput;
use crate::store::Store;
use jiff::Timestamp;

/// A planned change that wants to happen.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The change as it is planned now.
    pub action: &'a Action,
    /// Whose it is.
    pub investigation: InvestigationId,
    /// The level as it stands.
    pub level: Risk,
    /// What policy is asked; its call has to be this change.
    pub input: &'a ActionInput,
    /// Who agreed to exactly this, and to what they agreed.
    pub agreed: Option<(&'a Digest, &'a [Grant])>,
    /// Before anybody is asked, or right before it is made.
    pub phase: RulingPhase,
}

/// What the gate says.
#[derive(Debug)]
pub enum Answer {
    /// It does not happen.
    Denied,
    /// These people have to agree first.
    Ask(Vec<Requirement>),
    /// It may happen: journal the intent, then [`Gate::mint`].
    Cleared(Box<Clearance>),
}

/// A change that policy, and people where they were asked, let happen. Not yet the authority to make
/// it: that needs the intent on disk.
#[derive(Debug)]
pub struct Clearance {
    action: Action,
    decision: DecisionId,
    digest: Digest,
    investigation: InvestigationId,
}

impl Clearance {
    /// The decision that lets it happen.
    pub fn decision(&self) -> DecisionId {
        self.decision
    }

    /// What exactly may happen.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The change.
    pub fn action(&self) -> &Action {
        &self.action
    }
}

impl Gate {
    /// Judges a change afresh. Any failure denies; what people agreed to counts only for exactly what
    /// they saw, and only as far as the policy that is in force now asks no more of them.
    pub fn authorize(&self, id: DecisionId, wanted: &Wanted<'_>) -> (Ruling, Answer) {
        let Wanted { action, investigation, level, input, agreed, phase } = wanted;
        let mut ruling = self.policy().rule(id, input);
        let digest = action.digest(*investigation, *level);
        let lowest = floor(*level, action.effect);
        let objection = mismatched(action, *level, *phase, input, &digest)
            .map(|why| ("engine/mismatch", why.to_owned()))
            .or_else(|| beyond_duties(&ruling, action))
            .or_else(|| (lowest == Verdict::Deny).then(|| ("engine/floor", "never possible at this level".to_owned())));
        if let Some((rule, why)) = objection {
            ruling.verdict = Verdict::Deny;
            ruling.requirements.clear();
            let reason = Reason { rule: rule.into(), effect: "deny".into(), reason: why, at: None };
            ruling.reasons.insert(0, reason);
            ruling.for_model.get_or_insert_with(|| "This change is not possible here.".to_owned());
        }
        // What the floor asks for and nobody may answer does not happen.
        if ruling.verdict.max(lowest) == Verdict::Ask && ruling.requirements.is_empty() {
            ruling.verdict = Verdict::Deny;
            let reason = "a person's approval is needed and nobody may give it".to_owned();
            let rule = "engine/unsatisfiable".into();
            ruling.reasons.insert(0, Reason { rule, effect: "deny".into(), reason, at: None });
        }
        let clearance = || Clearance {
            action: (*action).clone(),
            decision: ruling.id,
            digest: digest.clone(),
            investigation: *investigation,
        };
        let answer = match ruling.verdict.max(lowest) {
            Verdict::Deny => Answer::Denied,
            Verdict::Allow => Answer::Cleared(Box::new(clearance())),
            Verdict::Ask => match agreed {
                Some((to, grants)) if **to == digest && is_met(&ruling.requirements, grants) => {
                    Answer::Cleared(Box::new(clearance()))
                }
                _ => Answer::Ask(ruling.requirements.clone()),
            },
        };
        (ruling, answer)
    }

    /// The authority to make a change whose intent is in the journal: read back from the store, so
    /// that nothing leaves the house that a restart would not know of.
    ///
    /// # Errors
    /// When the last entry of the chain is not exactly this intent, or the store does not answer.
    pub async fn mint(
        &self,
        store: &dyn Store,
        seq: u64,
        clearance: Clearance,
        marker: Marker,
    ) -> Result<Warrant, Refused> {
        let Clearance { action, decision, digest, investigation } = clearance;
        let none = |why: String| Refused::NoIntent { why };
        let chain = investigation.to_string();
        let found = store.entries(&chain, seq.saturating_sub(1), 1).await.map_err(|e| none(e.to_string()))?;
        let Some(entry) = found.first().filter(|entry| entry.seq == seq) else {
            return Err(none(format!("{chain} has no entry {seq}")));
        };
        match &entry.body {
            Body::ActionStarted { action: intended, decision: by, digest: of, send_by, .. }
                if *intended == action.id && *by == decision && *of == digest =>
            {
                Ok(Warrant::mint(action, marker, digest, *send_by))
            }
            other => Err(none(format!("entry {seq} of {chain} is {}, or another one", other.kind()))),
        }
    }
}

/// What a duty forbids: a plan that the target did not try itself, or one that touches too much.
fn beyond_duties(ruling: &Ruling, action: &Action) -> Option<(&'static str, String)> {
    let duties = ruling.duties;
    if duties.dry_run_first && action.preview.kind != "server_dry_run" {
        return Some(("engine/dry-run", "policy demands a dry run, and the target has none for this".into()));
    }
    let radius = &action.blast_radius;
    match duties.max_pods {
        Some(most) if !radius.known => {
            Some(("engine/blast-radius", format!("at most {most} Pods may be touched; how many would be is not known")))
        }
        Some(most) if radius.pods > most => Some((
            "engine/blast-radius",
            format!("at most {most} Pods may be touched; this would touch {}", radius.pods),
        )),
        _ => None,
    }
}

/// When an approved or allowed change has to have left the house.
pub fn send_by(now: Timestamp, within_s: i64) -> Timestamp {
    now.checked_add(jiff::SignedDuration::from_secs(within_s)).unwrap_or(now)
}

/// Whether `effect` is one that a model may be offered at `level` at all.
pub fn is_possible(level: Risk, effect: Effect) -> bool {
    floor(level, effect) != Verdict::Deny
}
