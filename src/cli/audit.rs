//! `firewarden audit verify`: were all chains written as they stand, and may what they say happen?

use super::output::{Format, Output};
use super::session::Session;
use super::{Exit, Failure, Written, logging};
use crate::app;
use crate::domain::BlobRef;
use crate::journal::chain::{SYSTEM, follow};
use crate::journal::{Entry, Head, semantics};
use crate::store::{Store, StoreError};
use async_trait::async_trait;
use serde::Serialize;

/// Rows that are read at once.
const PAGE: u32 = 500;
/// Failures that are listed.
const MOST: usize = 100;

/// Verify the journal
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check every chain, every payload and what the entries say; beside a running server, too
    Verify {
        #[command(flatten)]
        written: Written,
    },
}

impl Command {
    /// Runs it.
    ///
    /// # Errors
    /// When there is no store, it does not answer, or nobody reads.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let Self::Verify { written } = self;
        let loaded = session.loaded()?;
        logging::begin(loaded.log(), logging::COMMAND);
        let store = app::reader(&loaded.places()?.store).await?;
        report(&OfStore(&store), written.output, &session.out).await
    }
}

/// What is read to verify; nothing is changed.
#[async_trait]
pub trait Ledger: Sync {
    /// Names and heads of the chains after `after`.
    async fn chains(&self, after: &str, limit: u32) -> Result<Vec<(String, Head)>, StoreError>;
    /// Entries of `chain` after `after`.
    async fn entries(&self, chain: &str, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError>;
    /// The payload, if it is still there.
    async fn blob(&self, reference: &BlobRef) -> Result<Option<Vec<u8>>, StoreError>;
}

/// A store is a ledger.
#[derive(Debug)]
pub struct OfStore<'a>(pub &'a dyn Store);

#[async_trait]
impl Ledger for OfStore<'_> {
    async fn chains(&self, after: &str, limit: u32) -> Result<Vec<(String, Head)>, StoreError> {
        crate::store::StoreReader::chains(self.0, after, limit).await
    }

    async fn entries(&self, chain: &str, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        crate::store::Journal::entries(self.0, chain, after, limit).await
    }

    async fn blob(&self, reference: &BlobRef) -> Result<Option<Vec<u8>>, StoreError> {
        crate::store::Blobs::blob(self.0, reference).await
    }
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `chains`, `payloads` or `semantics`.
    pub check: &'static str,
    /// The chain.
    pub chain: String,
    /// The entry at which it was noticed, where it concerns one.
    pub entry: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// What the verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Nothing is wrong.
    pub pass: bool,
    /// Chains that were read.
    pub chains: u64,
    /// Of those, investigations.
    pub investigations: u64,
    /// Entries that were read.
    pub entries: u64,
    /// Payloads that are what was committed to.
    pub payloads_match: u64,
    /// Payloads that are gone.
    pub payloads_missing: u64,
    /// Calls that were made, each behind an allowing ruling.
    pub reads: u64,
    /// What does not hold, the first hundred.
    pub failures: Vec<Finding>,
    /// How many there are, by check.
    pub failed: std::collections::BTreeMap<&'static str, u64>,
    /// Investigations whose semantics could not be checked because their chain is broken.
    pub unchecked: u64,
}

impl Audit {
    fn fail(&mut self, check: &'static str, chain: &str, entry: Option<u64>, what: impl Into<String>) {
        *self.failed.entry(check).or_default() += 1;
        if self.failures.len() < MOST {
            self.failures.push(Finding { check, chain: chain.to_owned(), entry, what: what.into() });
        }
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let row = |check: &str, figures: String, holds: &str| match self.failed.get(check) {
            Some(n) => format!("{check:<14} FAIL {figures}, {n} wrong"),
            None => format!("{check:<14} ok   {figures}{holds}"),
        };
        let unchecked = match self.unchecked {
            0 => String::new(),
            n => format!(", {n} not checked: the chain is broken"),
        };
        let n = |n: u64, word: &str| super::text::plural(n, word);
        let semantics = format!("{}, {}{unchecked}", n(self.investigations, "investigation"), n(self.reads, "read"));
        let chains = format!("{}, {}", n(self.chains, "chain"), n(self.entries, "entry"));
        let mut lines = vec![
            row("chains", chains, ", no gaps"),
            row("payloads", format!("{} match · {} missing", self.payloads_match, self.payloads_missing), ""),
            row("semantics", semantics, ": each allowed by a ruling, one result each"),
        ];
        lines.extend(self.failures.iter().map(|f| {
            let entry = f.entry.map_or(String::new(), |n| format!(" entry {n}"));
            format!("  {}{entry}: {}", super::text::line(&f.chain, 60), super::text::line(&f.what, 300))
        }));
        let failed: u64 = self.failed.values().sum();
        if failed > self.failures.len() as u64 {
            lines.push(format!("  and {} more", failed - self.failures.len() as u64));
        }
        lines.push(if self.pass { "PASS" } else { "FAIL" }.to_owned());
        lines
    }
}

/// Walks every chain: links, payloads, semantics.
///
/// # Errors
/// When the store does not answer. What is damaged is no error but a finding.
pub async fn verify(ledger: &dyn Ledger) -> Result<Audit, StoreError> {
    let mut audit = Audit::default();
    let mut after = String::new();
    loop {
        let page = ledger.chains(&after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after.clone_from(last);
        for (chain, head) in &page {
            verify_chain(ledger, chain, head, &mut audit).await?;
        }
    }
    audit.pass = audit.failed.is_empty();
    Ok(audit)
}

async fn verify_chain(ledger: &dyn Ledger, chain: &str, listed: &Head, audit: &mut Audit) -> Result<(), StoreError> {
    audit.chains += 1;
    let mut head = Head::genesis(chain);
    let mut entries: Vec<Entry> = vec![];
    let mut whole = true;
    'chain: loop {
        let page = match ledger.entries(chain, head.seq, PAGE).await {
            Ok(page) => page,
            Err(StoreError::Corrupt { what, why, .. }) => {
                audit.fail("chains", chain, Some(head.seq + 1), format!("{what} cannot be read: {why}"));
                whole = false;
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
                    audit.fail("chains", chain, Some(broken.seq), broken.what);
                    whole = false;
                    break 'chain;
                }
            }
            if entry.seq == listed.seq && entry.hash != listed.hash {
                let what = "is not the head that the store lists";
                audit.fail("chains", chain, Some(entry.seq), what);
                whole = false;
            }
            audit.entries += 1;
            payloads(ledger, &entry, audit).await?;
            entries.push(entry);
        }
    }
    // A server may have appended since the list was read; less than listed is a missing tail.
    if whole && head.seq < listed.seq {
        let what = format!("is missing: the chain ends at {}, the store lists {}", head.seq, listed.seq);
        audit.fail("chains", chain, Some(head.seq + 1), what);
    }
    if chain != SYSTEM {
        audit.investigations += 1;
        let reads = |e: &&Entry| matches!(e.body, crate::journal::Body::ReadStarted { .. });
        audit.reads += entries.iter().filter(reads).count() as u64;
        if whole {
            for violation in semantics::violations(chain, &entries) {
                let what = violation.strip_prefix(chain).unwrap_or(&violation).trim_start_matches(':').trim();
                let (entry, what) = numbered(what);
                audit.fail("semantics", chain, entry, what);
            }
        } else {
            audit.unchecked += 1;
        }
    }
    Ok(())
}

/// `entry 7: text` apart.
fn numbered(text: &str) -> (Option<u64>, &str) {
    let split = text.strip_prefix("entry ").and_then(|rest| rest.split_once(": "));
    match split.and_then(|(n, what)| n.parse().ok().map(|n| (n, what))) {
        Some((n, what)) => (Some(n), what),
        None => (None, text),
    }
}

async fn payloads(ledger: &dyn Ledger, entry: &Entry, audit: &mut Audit) -> Result<(), StoreError> {
    for reference in entry.body.payloads() {
        let name = reference.commitment.short(12);
        match ledger.blob(reference).await {
            Ok(Some(bytes)) if bytes.len() as u64 == reference.bytes => audit.payloads_match += 1,
            Ok(Some(bytes)) => {
                let what =
                    format!("its payload {name}… has {} bytes, {} were committed to", bytes.len(), reference.bytes);
                audit.fail("payloads", &entry.chain, Some(entry.seq), what);
            }
            Ok(None) => {
                audit.payloads_missing += 1;
                let what = format!("its payload {name}… is missing, and no entry says that it was deleted");
                audit.fail("payloads", &entry.chain, Some(entry.seq), what);
            }
            Err(StoreError::Corrupt { why, .. }) => {
                audit.fail("payloads", &entry.chain, Some(entry.seq), format!("its payload {name}… is damaged: {why}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Verifies and prints.
///
/// # Errors
/// When the store does not answer or nobody reads.
pub async fn report(ledger: &dyn Ledger, format: Format, out: &Output) -> Result<Exit, Failure> {
    let audit = verify(ledger).await?;
    out.value(format, &audit, || audit.lines())?;
    Ok(if audit.pass { Exit::Fine } else { Exit::Found })
}

#[cfg(test)]
mod tests;
