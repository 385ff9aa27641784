//! What a verification found, as data and as lines.

use crate::cli::text::{line, plural};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// Failures that are listed.
const MOST: usize = 100;

/// What is checked, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Who signed the checkpoints.
    Signature,
    /// The tree over the log gives the roots that were signed.
    Tree,
    /// No checkpoint is missing between them, and others remember the same.
    Consistency,
    /// Links, hashes, ends, and their place in the log.
    Chains,
    /// Payloads are what was committed to.
    Payloads,
    /// Policies are those that decided.
    Policies,
    /// What was done may be done.
    Semantics,
    /// Input and policies give the answer that was recorded.
    Decisions,
    /// What nobody signed yet.
    UnsignedTail,
}

impl Check {
    const fn title(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Tree => "tree",
            Self::Consistency => "consistency",
            Self::Chains => "chains",
            Self::Payloads => "payloads",
            Self::Policies => "policies",
            Self::Semantics => "semantics",
            Self::Decisions => "decisions",
            Self::UnsignedTail => "unsigned tail",
        }
    }
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it belongs to.
    pub check: Check,
    /// The chain, where it concerns one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub chain: String,
    /// The entry at which it was noticed, where it concerns one.
    pub entry: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// The last checkpoint, as it was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// The log's name.
    pub origin: String,
    /// The key's hash.
    pub key: String,
    /// Lines of the log.
    pub size: u64,
    /// The root in base64.
    pub root: String,
    /// When.
    pub at: Timestamp,
}

/// What the verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Nothing is wrong.
    pub pass: bool,
    /// The last checkpoint; `None` when there is none that could be opened.
    pub checkpoint: Option<Signed>,
    /// Checkpoints that were opened.
    pub checkpoints: u64,
    /// When the first one was made.
    pub first_checkpoint_at: Option<Timestamp>,
    /// How often one key handed the log on to another.
    pub rotations: u64,
    /// Checkpoints that others remember and that were compared.
    pub witnessed: u64,
    /// Size and time of the checkpoint that the caller kept: the log only grew since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grew_since: Option<(u64, Timestamp)>,
    /// Lines of the log.
    pub leaves: u64,
    /// Chains that were read.
    pub chains: u64,
    /// Of those, investigations.
    pub investigations: u64,
    /// Entries that were read.
    pub entries: u64,
    /// Chains of the log that an export leaves out.
    pub left_out: u64,
    /// Payloads that are what was committed to.
    pub payloads_match: u64,
    /// Payloads that were deleted, as an entry says.
    pub payloads_redacted: u64,
    /// Entries that say so.
    pub declarations: u64,
    /// Payloads that are gone, and no entry says so.
    pub payloads_missing: u64,
    /// Bundles of policies that are what decided.
    pub policies: u64,
    /// Decisions that were made again from input and policies, and are the same.
    pub decisions: u64,
    /// Decisions that could not be made again, by reason.
    pub decisions_not_made_again: BTreeMap<&'static str, u64>,
    /// Calls that were made, each behind an allowing ruling.
    pub reads: u64,
    /// Changes that were begun, each behind a decision about exactly that.
    pub changes: u64,
    /// Entries that no checkpoint covers.
    pub unsigned_tail: u64,
    /// What does not hold, the first hundred.
    pub failures: Vec<Finding>,
    /// How many there are, by check.
    pub failed: BTreeMap<Check, u64>,
    /// Investigations whose semantics could not be checked because their chain is broken.
    pub unchecked: u64,
}

impl Audit {
    pub(super) fn fail(&mut self, check: Check, chain: &str, entry: Option<u64>, what: impl Into<String>) {
        *self.failed.entry(check).or_default() += 1;
        if self.failures.len() < MOST {
            self.failures.push(Finding { check, chain: chain.to_owned(), entry, what: what.into() });
        }
    }

    /// How many decisions were made again, and why others were not.
    fn made_again(&self) -> String {
        let cannot: u64 = self.decisions_not_made_again.values().sum();
        let all = self.decisions + cannot + self.failed.get(&Check::Decisions).copied().unwrap_or(0);
        let why = self.decisions_not_made_again.iter().map(|(why, n)| format!("{n} not: {why}"));
        let why: String = why.map(|why| format!("; {why}")).collect();
        format!("{} of {} made again, alike{why}", self.decisions, plural(all, "decision"))
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let row = |check: Check, figures: String, holds: &str| match self.failed.get(&check) {
            Some(n) => format!("{:<14} FAIL {figures}, {n} wrong", check.title()),
            None => format!("{:<14} ok   {figures}{holds}", check.title()),
        };
        let n = |n: u64, word: &str| plural(n, word);
        let signature = match &self.checkpoint {
            None => "no checkpoint yet".to_owned(),
            Some(last) => format!("{}, size {}, {}, key {}", line(&last.origin, 60), last.size, last.at, last.key),
        };
        let signature = match self.rotations {
            0 => signature,
            some => format!("{signature}, handed on {}", n(some, "time")),
        };
        let root = self.checkpoint.as_ref().map_or(String::new(), |last| format!(", root {}", last.root));
        let oldest = self.first_checkpoint_at.map_or(String::new(), |at| format!(" (the oldest of {at})"));
        let earlier = n(self.checkpoints.saturating_sub(1), "earlier checkpoint");
        let witnessed = match self.witnessed {
            0 => String::new(),
            some => format!(", {some} that others remember"),
        };
        let grew = self.grew_since.map_or(String::new(), |(size, at)| format!(", grew only since {size} of {at}"));
        let left_out = match self.left_out {
            0 => String::new(),
            some => format!("; {} of the log left out", n(some, "chain")),
        };
        let unchecked = match self.unchecked {
            0 => String::new(),
            n => format!(", {n} not checked: the chain is broken"),
        };
        let redacted = match self.payloads_redacted {
            0 => "0 redacted".to_owned(),
            some => format!("{some} redacted (declared in {})", n(self.declarations, "entry")),
        };
        let payloads = format!("{} match · {redacted} · {} missing", self.payloads_match, self.payloads_missing);
        let (reads, changes) = (n(self.reads, "read"), n(self.changes, "change"));
        let semantics = format!("{}, {reads}, {changes}{unchecked}", n(self.investigations, "investigation"));
        let chains = format!("{}, {}{left_out}", n(self.chains, "chain"), n(self.entries, "entry"));
        let mut lines = vec![
            row(Check::Signature, signature, ""),
            row(Check::Tree, format!("{}{root}", n(self.leaves, "line")), ""),
            row(Check::Consistency, format!("with {earlier}{oldest}{witnessed}{grew}"), ""),
            row(Check::Chains, chains, ", no gaps"),
            row(Check::Payloads, payloads, ""),
            row(Check::Policies, n(self.policies, "bundle"), ", digests match"),
            row(Check::Semantics, semantics, ": each allowed by a ruling, one result each"),
            row(Check::Decisions, self.made_again(), ""),
            row(Check::UnsignedTail, n(self.unsigned_tail, "entry"), ""),
        ];
        lines.extend(self.failures.iter().map(|f| {
            let place = match (f.chain.is_empty(), f.entry) {
                (true, _) => f.check.title().to_owned(),
                (false, None) => line(&f.chain, 60),
                (false, Some(n)) => format!("{} entry {n}", line(&f.chain, 60)),
            };
            format!("  {place}: {}", line(&f.what, 300))
        }));
        let failed: u64 = self.failed.values().sum();
        if failed > self.failures.len() as u64 {
            lines.push(format!("  and {} more", failed - self.failures.len() as u64));
        }
        lines.push(if self.pass { "PASS" } else { "FAIL" }.to_owned());
        lines
    }
}
