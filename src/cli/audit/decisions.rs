//! Decisions, made again from what is kept of them.

use super::found::{Audit, Check};
use super::ledger::Ledger;
use crate::audit::bundle::KeptBundle;
use crate::domain::{BlobRef, Digest};
use crate::engine::again::{Again, again};
use crate::engine::recorded::{self, Input, Inputs, Recorded};
use crate::journal::{Body, Entry};
use crate::policy::KeptPolicy;
use crate::store::StoreError;
use std::collections::{BTreeMap, VecDeque};

/// Bundles that are held ready; investigations follow each other in time, and so do bundles.
const READY: usize = 8;

/// What decided, ready to decide again or not; why not.
type Judge = Result<KeptPolicy, &'static str>;

/// The bundles that decided, and the work with them.
#[derive(Default)]
pub(super) struct Decisions {
    /// Every bundle that was in force, and where it is kept.
    bundles: BTreeMap<Digest, Option<BlobRef>>,
    ready: VecDeque<(Digest, Judge)>,
    inputs: Inputs,
}

impl Decisions {
    /// Notes which bundle decides from an entry of the system chain on.
    pub(super) fn governed_by(&mut self, entry: &Entry) {
        let (policy, bundle) = match &entry.body {
            Body::Started(started) => (&started.policy, &started.bundle),
            // What is only tried decides nothing.
            Body::PolicyActivated(activated) if !activated.shadow => (&activated.policy, &activated.bundle),
            _ => return,
        };
        let known = self.bundles.entry(policy.digest.clone()).or_default();
        *known = bundle.clone().or_else(|| known.take());
    }

    /// Counts the decisions of one chain as not asked for.
    pub(super) fn skip(&self, entries: &[Entry], audit: &mut Audit) {
        let skipped = recorded::decisions(entries).len() as u64;
        if skipped > 0 {
            *audit.decisions_not_made_again.entry("it was not asked for").or_default() += skipped;
        }
    }

    /// Makes the decisions of one chain again.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub(super) async fn check(
        &mut self,
        ledger: &dyn Ledger,
        entries: &[Entry],
        audit: &mut Audit,
    ) -> Result<(), StoreError> {
        for recorded in recorded::decisions(entries) {
            match self.made_again(ledger, &recorded).await? {
                Again::Same => audit.decisions += 1,
                Again::Cannot(why) => *audit.decisions_not_made_again.entry(why).or_default() += 1,
                Again::Differs(what) => {
                    let what = format!("{} ({}): {what}", recorded.id, recorded.about);
                    audit.fail(Check::Decisions, &recorded.investigation, Some(recorded.seq), what);
                }
            }
        }
        Ok(())
    }

    async fn made_again(&mut self, ledger: &dyn Ledger, recorded: &Recorded) -> Result<Again, StoreError> {
        let payload = match self.inputs.lacking(recorded) {
            None => None,
            Some(blob) => match ledger.blob(blob).await {
                Ok(payload) => payload,
                // Told of its payload already.
                Err(StoreError::Corrupt { .. }) => return Ok(Again::Cannot("its input is damaged")),
                Err(error) => return Err(error),
            },
        };
        let input = match self.inputs.of(recorded, payload.as_deref()) {
            Input::Exact(input) => input,
            Input::Gone if recorded.payload().is_none() => return Ok(Again::Cannot("its input was never kept")),
            Input::Gone => return Ok(Again::Cannot("its input was deleted")),
            Input::Other => return Ok(Again::Differs("what is kept is not what it says was judged".into())),
        };
        let digest = &recorded.decision.policy().digest;
        Ok(match self.judge(ledger, digest).await? {
            Some(Ok(policy)) => again(&policy, recorded, &input),
            Some(Err(why)) => Again::Cannot(why),
            // Another policy may have been put in force since the system chain was read.
            None if ledger.is_live() => Again::Cannot("its policies are not named yet"),
            None => Again::Differs(format!("it names the policies {}…, by which nobody began", digest.short(12))),
        })
    }

    /// What decided under this digest; `None` when no entry names it.
    async fn judge(&mut self, ledger: &dyn Ledger, digest: &Digest) -> Result<Option<Judge>, StoreError> {
        if let Some((_, judge)) = self.ready.iter().find(|(known, _)| known == digest) {
            return Ok(Some(judge.clone()));
        }
        let Some(kept) = self.bundles.get(digest) else { return Ok(None) };
        let judge = match kept {
            None => Err("its policies were never kept"),
            Some(blob) => match ledger.blob(blob).await {
                Ok(None) => Err("its policies were deleted"),
                Ok(Some(bytes)) => match serde_json::from_slice::<KeptBundle>(&bytes) {
                    Ok(bundle) if bundle.digest() == *digest => KeptPolicy::load(bundle.files, digest),
                    // Told of its bundle already.
                    Ok(_) | Err(_) => Err("its policies are damaged"),
                },
                Err(StoreError::Corrupt { .. }) => Err("its policies are damaged"),
                Err(error) => return Err(error),
            },
        };
        if self.ready.len() == READY {
            self.ready.pop_front();
        }
        self.ready.push_back((digest.clone(), judge.clone()));
        Ok(Some(judge))
    }
}
