//! Walks the whole journal: checkpoints, chains, payloads, semantics; then the log ([`super::lines`]).

use super::decisions::Decisions;
use super::found::{Audit, Check, Signed};
use super::ledger::Ledger;
use super::signed::{self, Signatures};
use crate::audit::bundle::KeptBundle;
use crate::audit::checkpoint::Witnessed;
use crate::audit::{Checkpoint, Hash, VerifierKey};
use crate::domain::{Digest, InvestigationId};
use crate::journal::chain::{SYSTEM, follow};
use crate::journal::{Body, Entry, Head, semantics};
use crate::store::StoreError;
use std::collections::{BTreeMap, BTreeSet};

/// Rows that are read at once.
pub(super) const PAGE: u32 = 500;
/// What the caller knows, and what he puts up with.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Whose signatures count, in the order in which each took over from the one before. Without any,
    /// checkpoints are no proof.
    pub keys: Vec<VerifierKey>,
    /// What others remember of the log.
    pub witnessed: Vec<Witnessed>,
    /// A checkpoint that the caller kept: the log only grew since.
    pub since: Option<Checkpoint>,
    /// Chains may be left out.
    pub partial: bool,
    /// Only this investigation, beside the system chain.
    pub only: Option<InvestigationId>,
    /// Decisions are not made again.
    pub skip_decisions: bool,
}

/// Verifies what `ledger` holds.
///
/// # Errors
/// When it does not answer. What is damaged is no error but a finding.
pub async fn verify(ledger: &dyn Ledger, terms: &Terms) -> Result<Audit, StoreError> {
    let mut walk = Walk {
        ledger,
        terms,
        audit: Audit::default(),
        read: BTreeMap::new(),
        gone: vec![],
        declared: BTreeSet::new(),
        signatures: Signatures::default(),
        decisions: Decisions::default(),
    };
    // What is appended from here on waits for checkpoints that are not read any more.
    let length = ledger.length().await?;
    let signed = walk.checkpoints().await?;
    walk.chains().await?;
    walk.log(&signed, length).await?;
    let covered = signed.last_key_value().map_or(0, |(size, _)| *size);
    walk.signatures.check(&terms.keys, covered, &mut walk.audit);
    walk.declared();
    for stray in ledger.strays(terms.only.is_some())? {
        walk.audit.fail(Check::Payloads, "", None, format!("{stray} belongs to nothing that was read"));
    }
    let mut audit = walk.audit;
    audit.pass = audit.failed.is_empty();
    Ok(audit)
}

/// A chain as it was read.
#[derive(Default)]
pub(super) struct Read {
    pub(super) hashes: Vec<Digest>,
    pub(super) broken: bool,
}

pub(super) struct Walk<'a> {
    pub(super) ledger: &'a dyn Ledger,
    pub(super) terms: &'a Terms,
    pub(super) audit: Audit,
    pub(super) read: BTreeMap<String, Read>,
    /// Payloads that are not there: chain, entry, commitment.
    gone: Vec<(String, u64, Digest)>,
    /// Payloads of which an entry says that they were deleted.
    declared: BTreeSet<Digest>,
    pub(super) signatures: Signatures,
    decisions: Decisions,
}

impl Walk<'_> {
    /// Opens every checkpoint. Answers what each says of the log.
    async fn checkpoints(&mut self) -> Result<BTreeMap<u64, Hash>, StoreError> {
        let mut signed = BTreeMap::new();
        let (mut after, mut before) = (0, 0);
        let mut strangers = 0_u64;
        loop {
            let page = match self.ledger.checkpoints(after, PAGE).await {
                Ok(page) => page,
                Err(StoreError::Corrupt { what, why, .. }) => {
                    self.audit.fail(Check::Signature, "", None, format!("{what} cannot be read: {why}"));
                    break;
                }
                Err(error) => return Err(error),
            };
            let Some(last) = page.last() else { break };
            after = last.size;
            for kept in &page {
                if self.terms.keys.is_empty() {
                    strangers += 1;
                    continue;
                }
                let (checkpoint, signer) = match signed::opened(&kept.note, &self.terms.keys) {
                    Ok((checkpoint, signer)) if checkpoint.size == kept.size => (checkpoint, signer),
                    Ok((checkpoint, _)) => {
                        let what =
                            format!("the checkpoint of {} entries is kept as one of {}", checkpoint.size, kept.size);
                        self.audit.fail(Check::Signature, "", None, what);
                        continue;
                    }
                    Err(error) => {
                        let what = format!("the checkpoint of {} entries does not hold: {error}", kept.size);
                        self.audit.fail(Check::Signature, "", None, what);
                        continue;
                    }
                };
                if checkpoint.after != before {
                    let what = format!(
                        "the checkpoint of {} entries follows one of {}; the one before it here has {before}",
                        checkpoint.size, checkpoint.after
                    );
                    self.audit.fail(Check::Consistency, "", None, what);
                }
                before = checkpoint.size;
                self.signatures.signed(&checkpoint, signer);
                self.audit.checkpoints += 1;
                self.audit.first_checkpoint_at.get_or_insert(checkpoint.at);
                self.audit.checkpoint = Some(Signed {
                    origin: checkpoint.origin.clone(),
                    key: self.terms.keys.get(signer).map(VerifierKey::short).unwrap_or_default(),
                    size: checkpoint.size,
                    root: checkpoint.root_text(),
                    at: checkpoint.at,
                });
                signed.insert(checkpoint.size, checkpoint.root);
            }
        }
        if strangers > 0 {
            let what = format!("{strangers} checkpoints, and no key to check them with: --key names one");
            self.audit.fail(Check::Signature, "", None, what);
        }
        Ok(signed)
    }

    async fn chains(&mut self) -> Result<(), StoreError> {
        let only = self.terms.only.map(|id| id.to_string());
        let mut listed: Vec<(String, Head)> = vec![];
        let mut after = String::new();
        loop {
            let page = self.ledger.chains(&after, PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            let wanted = |chain: &str| chain == SYSTEM || only.as_ref().is_none_or(|only| only == chain);
            listed.extend(page.into_iter().filter(|(chain, _)| wanted(chain)));
        }
        // The system chain says by which policies the others were decided.
        listed.sort_by(|a, b| (a.0 != SYSTEM, &a.0).cmp(&(b.0 != SYSTEM, &b.0)));
        for (chain, head) in &listed {
            self.chain(chain, head).await?;
        }
        if let Some(only) = only.filter(|only| !self.read.contains_key(only)) {
            self.audit.fail(Check::Chains, &only, None, "is nowhere in this journal");
        }
        Ok(())
    }

    async fn chain(&mut self, chain: &str, listed: &Head) -> Result<(), StoreError> {
        self.audit.chains += 1;
        let mut head = Head::genesis(chain);
        let mut entries: Vec<Entry> = vec![];
        let mut read = Read::default();
        'chain: loop {
            let page = match self.ledger.entries(chain, head.seq, PAGE).await {
                Ok(page) => page,
                Err(StoreError::Corrupt { what, why, .. }) => {
                    let what = format!("{what} cannot be read: {why}");
                    self.audit.fail(Check::Chains, chain, Some(head.seq + 1), what);
                    read.broken = true;
                    break;
                }
                Err(error) => return Err(error),
            };
            if page.is_empty() {
                break;
            }
            for entry in page {
                match follow(&head, chain, &entry) {
                    Ok(next) => head = next,
                    Err(broken) => {
                        self.audit.fail(Check::Chains, chain, Some(broken.seq), broken.what);
                        read.broken = true;
                        break 'chain;
                    }
                }
                if entry.seq == listed.seq && entry.hash != listed.hash {
                    self.audit.fail(Check::Chains, chain, Some(entry.seq), "is not the head that the store lists");
                    read.broken = true;
                }
                self.audit.entries += 1;
                self.payloads(&entry).await?;
                read.hashes.push(entry.hash.clone());
                // The system chain has no semantics, and no end.
                if chain == SYSTEM {
                    self.decisions.governed_by(&entry);
                    self.signatures.handed_on(&entry);
                } else {
                    entries.push(entry);
                }
            }
        }
        // A server may have appended since the list was read; less than listed is a missing tail.
        if !read.broken && head.seq < listed.seq {
            let what = format!("is missing: the chain ends at {}, the store lists {}", head.seq, listed.seq);
            self.audit.fail(Check::Chains, chain, Some(head.seq + 1), what);
        }
        if chain != SYSTEM {
            self.semantics(chain, &entries, read.broken);
            match self.terms.skip_decisions {
                true => self.decisions.skip(&entries, &mut self.audit),
                false => self.decisions.check(self.ledger, &entries, &mut self.audit).await?,
            }
        }
        self.read.insert(chain.to_owned(), read);
        Ok(())
    }

    fn semantics(&mut self, chain: &str, entries: &[Entry], broken: bool) {
        self.audit.investigations += 1;
        let count = |is: fn(&Body) -> bool| entries.iter().filter(|entry| is(&entry.body)).count() as u64;
        self.audit.reads += count(|body| matches!(body, Body::ReadStarted { .. }));
        self.audit.changes += count(|body| matches!(body, Body::ActionStarted { .. }));
        if broken {
            self.audit.unchecked += 1;
            return;
        }
        for violation in semantics::violations(chain, entries) {
            let what = violation.strip_prefix(chain).unwrap_or(&violation).trim_start_matches(':').trim();
            let (entry, what) = numbered(what);
            self.audit.fail(Check::Semantics, chain, entry, what);
        }
    }

    async fn payloads(&mut self, entry: &Entry) -> Result<(), StoreError> {
        if let (Body::PayloadsDeleted(deleted), SYSTEM) = (&entry.body, entry.chain.as_str()) {
            self.audit.declarations += 1;
            self.declared.extend(deleted.commitments.iter().cloned());
        }
        for reference in entry.body.payloads() {
            let name = reference.commitment.short(12);
            let (chain, seq) = (&entry.chain, Some(entry.seq));
            match self.ledger.blob(reference).await {
                Ok(Some(bytes)) if bytes.len() as u64 == reference.bytes => {
                    self.audit.payloads_match += 1;
                    self.policy(entry, &bytes);
                }
                Ok(Some(bytes)) => {
                    let what =
                        format!("its payload {name}… has {} bytes, {} were committed to", bytes.len(), reference.bytes);
                    self.audit.fail(Check::Payloads, chain, seq, what);
                }
                Ok(None) => self.gone.push((chain.clone(), entry.seq, reference.commitment.clone())),
                Err(StoreError::Corrupt { why, .. }) => {
                    let what = format!("its payload {name}… is damaged: {why}");
                    self.audit.fail(Check::Payloads, chain, seq, what);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The policies that a process began with, or took meanwhile, are those that its decisions name.
    fn policy(&mut self, entry: &Entry, bytes: &[u8]) {
        let named = match &entry.body {
            Body::Started(started) => &started.policy.digest,
            Body::PolicyActivated(activated) => &activated.policy.digest,
            _ => return,
        };
        match serde_json::from_slice::<KeptBundle>(bytes) {
            Ok(bundle) if bundle.digest() == *named => self.audit.policies += 1,
            Ok(bundle) => {
                let kept = bundle.digest();
                let what = format!("its policies have the digest {}…, it names {}…", kept.short(12), named.short(12));
                self.audit.fail(Check::Policies, &entry.chain, Some(entry.seq), what);
            }
            Err(error) => {
                let what = format!("its policies cannot be read: {error}");
                self.audit.fail(Check::Policies, &entry.chain, Some(entry.seq), what);
            }
        }
    }

    /// What is not there is either declared or missing.
    fn declared(&mut self) {
        for (chain, seq, commitment) in std::mem::take(&mut self.gone) {
            if self.declared.contains(&commitment) {
                self.audit.payloads_redacted += 1;
            } else {
                self.audit.payloads_missing += 1;
                let name = commitment.short(12);
                let what = format!("its payload {name}… is missing, and no entry says that it was deleted");
                self.audit.fail(Check::Payloads, &chain, Some(seq), what);
            }
        }
    }
}

/// `entry 7: text` apart.
fn numbered(text: &str) -> (Option<u64>, &str) {
    let split = text.strip_prefix("entry ").and_then(|rest| rest.split_once(": "));
    match split.and_then(|(n, what)| n.parse().ok().map(|n| (n, what))) {
        Some((n, what)) => (Some(n), what),
        None => (None, text),
    }
}
