//! Walks the whole journal: checkpoints, chains, payloads, semantics, and the log with its tree.

use super::found::{Audit, Check, Signed};
use super::ledger::Ledger;
use crate::audit::bundle::KeptBundle;
use crate::audit::checkpoint::Witnessed;
use crate::audit::{Checkpoint, Frontier, Hash, VerifierKey, leaf_text, merkle};
use crate::domain::{Clock as _, Digest};
use crate::edge::SystemClock;
use crate::journal::chain::{SYSTEM, follow};
use crate::journal::{Body, Entry, Head, semantics};
use crate::store::{Logged, StoreError};
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};

/// Rows that are read at once.
const PAGE: u32 = 500;
/// Entries that may wait for their checkpoint in a store: those of two, and what a crash leaves.
const WAITING: u64 = 512;
/// Beside a writer, any number may wait that was written within this time.
const FRESH: SignedDuration = SignedDuration::from_secs(60);

/// What the caller knows, and what he puts up with.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Whose signature counts. Without one, checkpoints are no proof.
    pub key: Option<VerifierKey>,
    /// What others remember of the log.
    pub witnessed: Vec<Witnessed>,
    /// Chains may be left out.
    pub partial: bool,
}

/// Verifies what `ledger` holds.
///
/// # Errors
/// When it does not answer. What is damaged is no error but a finding.
pub async fn verify(ledger: &dyn Ledger, terms: &Terms) -> Result<Audit, StoreError> {
    let mut walk =
        Walk { ledger, terms, audit: Audit::default(), read: BTreeMap::new(), gone: vec![], declared: BTreeSet::new() };
    // What is appended from here on waits for checkpoints that are not read any more.
    let length = ledger.length().await?;
    let signed = walk.checkpoints().await?;
    walk.chains().await?;
    walk.log(&signed, length).await?;
    walk.declared();
    for stray in ledger.strays()? {
        walk.audit.fail(Check::Payloads, "", None, format!("{stray} belongs to nothing that was read"));
    }
    let mut audit = walk.audit;
    audit.pass = audit.failed.is_empty();
    Ok(audit)
}

/// A chain as it was read.
#[derive(Default)]
struct Read {
    hashes: Vec<Digest>,
    broken: bool,
}

struct Walk<'a> {
    ledger: &'a dyn Ledger,
    terms: &'a Terms,
    audit: Audit,
    read: BTreeMap<String, Read>,
    /// Payloads that are not there: chain, entry, commitment.
    gone: Vec<(String, u64, Digest)>,
    /// Payloads of which an entry says that they were deleted.
    declared: BTreeSet<Digest>,
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
                let Some(key) = &self.terms.key else {
                    strangers += 1;
                    continue;
                };
                let checkpoint = match Checkpoint::open(&kept.note, key) {
                    Ok(checkpoint) if checkpoint.size == kept.size => checkpoint,
                    Ok(checkpoint) => {
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
                self.audit.checkpoints += 1;
                self.audit.first_checkpoint_at.get_or_insert(checkpoint.at);
                self.audit.checkpoint = Some(Signed {
                    origin: checkpoint.origin.clone(),
                    key: key.short(),
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
        let mut after = String::new();
        loop {
            let page = self.ledger.chains(&after, PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after.clone_from(last);
            for (chain, head) in &page {
                self.chain(chain, head).await?;
            }
        }
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
                if chain != SYSTEM {
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

    /// The log holds every entry that was read, once and in order, and gives the roots that were signed.
    async fn log(&mut self, signed: &BTreeMap<u64, Hash>, length: u64) -> Result<(), StoreError> {
        let mut tree = Tree { frontier: Frontier::default(), signed, told: false };
        let mut lengths: BTreeMap<String, u64> = BTreeMap::new();
        let mut left_out: BTreeSet<String> = BTreeSet::new();
        let mut witnessed: Vec<Witnessed> = self.terms.witnessed.clone();
        let last = signed.last_key_value().map_or(0, |(size, _)| *size);
        let mut waits_longest: Option<(String, u64)> = None;
        'log: loop {
            let page = match self.ledger.log(tree.frontier.size(), PAGE).await {
                Ok(page) => page,
                Err(StoreError::Corrupt { what, why, .. }) => {
                    self.audit.fail(Check::Tree, "", None, format!("{what} cannot be read: {why}"));
                    break;
                }
                Err(error) => return Err(error),
            };
            if page.is_empty() {
                break;
            }
            for line in page {
                let position = tree.frontier.size() + 1;
                let Some(hash) = line.hash.as_ref().filter(|_| line.position == position) else {
                    let what = match line.position == position {
                        true => format!(
                            "line {position} of the log names entry {} of {}, which is missing",
                            line.seq, line.chain
                        ),
                        false => format!("line {position} of the log is missing"),
                    };
                    self.audit.fail(Check::Tree, "", None, what);
                    break 'log;
                };
                if position == last + 1 {
                    waits_longest = Some((line.chain.clone(), line.seq));
                }
                self.line(&line, hash, &mut lengths, &mut left_out);
                tree.push(&line, hash, &mut self.audit);
                let size = tree.frontier.size();
                let here = |seen: &Witnessed| seen.size == size;
                if witnessed.iter().any(here) {
                    let root = tree.frontier.root();
                    let (right, wrong): (Vec<&Witnessed>, Vec<&Witnessed>) =
                        witnessed.iter().filter(|seen| here(seen)).partition(|seen| seen.root == root);
                    self.audit.witnessed += right.len() as u64;
                    for _ in wrong {
                        let what = format!("others remember another root over the first {size} entries");
                        self.audit.fail(Check::Consistency, "", None, what);
                    }
                    witnessed.retain(|seen| !here(seen));
                }
            }
        }
        let size = tree.frontier.size();
        self.audit.leaves = size;
        for seen in witnessed {
            let what = format!("others remember {} entries, the log has {size}", seen.size);
            self.audit.fail(Check::Consistency, "", None, what);
        }
        if last > size {
            let what = format!("{last} entries were signed, the log has {size}: its end is missing");
            self.audit.fail(Check::Tree, "", None, what);
        }
        for (chain, read) in &self.read {
            let logged = lengths.get(chain).copied().unwrap_or(0);
            if !read.broken && (read.hashes.len() as u64) > logged {
                self.audit.fail(Check::Chains, chain, Some(logged + 1), "stands in no line of the log");
            }
        }
        self.audit.left_out = left_out.len() as u64;
        self.audit.unsigned_tail = size.min(length).saturating_sub(last);
        let live = self.ledger.is_live();
        let tolerated = if live { WAITING } else { 0 };
        if self.audit.unsigned_tail > tolerated && !(live && self.is_fresh(waits_longest).await?) {
            let what = format!("{} entries were never signed; at most {tolerated} may wait", self.audit.unsigned_tail);
            self.audit.fail(Check::UnsignedTail, "", None, what);
        }
        Ok(())
    }

    /// Whether the entry was written so lately that whoever writes may just not have signed it yet: in a
    /// storm of alerts many are.
    async fn is_fresh(&self, entry: Option<(String, u64)>) -> Result<bool, StoreError> {
        let Some((chain, seq)) = entry else { return Ok(false) };
        let found = self.ledger.entries(&chain, seq.saturating_sub(1), 1).await?;
        Ok(found.first().is_some_and(|entry| SystemClock.now().duration_since(entry.at) < FRESH))
    }

    /// A line names the next entry of its chain, and that is the one that was read.
    fn line(
        &mut self,
        line: &Logged,
        hash: &Digest,
        lengths: &mut BTreeMap<String, u64>,
        left_out: &mut BTreeSet<String>,
    ) {
        let position = line.position;
        let length = lengths.entry(line.chain.clone()).or_default();
        if line.seq != *length + 1 {
            let what = format!("line {position} of the log names entry {} of {} behind {length}", line.seq, line.chain);
            self.audit.fail(Check::Tree, "", None, what);
        }
        *length = line.seq;
        let place = usize::try_from(line.seq).unwrap_or(usize::MAX).saturating_sub(1);
        match self.read.get(&line.chain) {
            // What breaks it was told already.
            Some(read) if read.broken => {}
            Some(read) => match read.hashes.get(place) {
                Some(own) if own == hash => {}
                Some(_) => {
                    let what = format!("is not the one that line {position} of the log names");
                    self.audit.fail(Check::Chains, &line.chain, Some(line.seq), what);
                }
                // Appended while this was read.
                None if self.ledger.is_live() => {}
                None => {
                    let what = format!("is missing; line {position} of the log names it");
                    self.audit.fail(Check::Chains, &line.chain, Some(line.seq), what);
                }
            },
            // Opened while this was read.
            None if self.ledger.is_live() => {}
            None if self.terms.partial => {
                left_out.insert(line.chain.clone());
            }
            None => {
                if left_out.insert(line.chain.clone()) {
                    self.audit.fail(Check::Chains, &line.chain, Some(line.seq), "is missing with its whole chain");
                }
            }
        }
    }
}

/// The tree as it grows along the log.
struct Tree<'a> {
    frontier: Frontier,
    signed: &'a BTreeMap<u64, Hash>,
    told: bool,
}

impl Tree<'_> {
    fn push(&mut self, line: &Logged, hash: &Digest, audit: &mut Audit) {
        let from = self.frontier.size();
        self.frontier.push(merkle::leaf(leaf_text(&line.chain, line.seq, hash).as_bytes()));
        let size = self.frontier.size();
        let Some(root) = self.signed.get(&size) else { return };
        // What is wrong once stays wrong in every later root.
        if *root != self.frontier.root() && !self.told {
            self.told = true;
            let sound = self.signed.range(..=from).next_back().map_or(0, |(size, _)| *size);
            let what = format!("the first {size} entries do not give the root that was signed; the first {sound} do");
            audit.fail(Check::Tree, "", None, what);
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
