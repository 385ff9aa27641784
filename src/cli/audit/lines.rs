//! Walks the log with its tree, and compares it with what was read of the chains.

use super::found::{Audit, Check};
use super::verify::{PAGE, Walk};
use crate::audit::{Frontier, Hash, Witnessed, leaf_text, merkle};
use crate::domain::{Clock as _, Digest};
use crate::edge::SystemClock;
use crate::journal::chain::SYSTEM;
use crate::store::{Logged, StoreError};
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};

/// Entries that may wait for their checkpoint in a store: those of two, and what a crash leaves.
const WAITING: u64 = 512;
/// Beside a writer, any number may wait that was written within this time.
const FRESH: SignedDuration = SignedDuration::from_secs(60);

impl Walk<'_> {
    /// The log holds every entry that was read, once and in order, and gives the roots that were signed.
    pub(super) async fn log(&mut self, signed: &BTreeMap<u64, Hash>, length: u64) -> Result<(), StoreError> {
        let mut tree = Tree { frontier: Frontier::default(), signed, told: false };
        let mut lengths: BTreeMap<String, u64> = BTreeMap::new();
        let mut left_out: BTreeSet<String> = BTreeSet::new();
        let mut witnessed: Vec<Witnessed> = self.terms.witnessed.clone();
        let since = self.terms.since.as_ref().map(|since| Witnessed { size: since.size, root: since.root });
        witnessed.extend(since);
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
                    self.audit.witnessed += right.iter().filter(|seen| Some(***seen) != since).count() as u64;
                    if let Some(kept) = self.terms.since.as_ref().filter(|kept| kept.size == size && kept.root == root)
                    {
                        self.audit.grew_since = Some((kept.size, kept.at));
                    }
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
        if line.chain == SYSTEM {
            self.signatures.stands_at(line.seq, position);
        }
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
            None if self.ledger.is_live() && self.terms.only.is_none() => {}
            None if self.terms.partial || self.terms.only.is_some() => {
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
