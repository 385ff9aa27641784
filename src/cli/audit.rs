//! `firewarden audit`: is the journal as it was written, and may what it says happen?
//!
//! - [`verify`](mod@verify): the walk over all of it; [`lines`]: over the log; [`signed`]: who signed;
//!   [`decisions`]: those made again; [`found`]: what it found
//! - [`trust`]: whom the caller believes; [`proof`]: a checkpoint without the log
//! - [`ledger`]: where it is read from: a store, or an export ([`offline`], of [`files`])
//! - [`export`]: writes one; [`show`]: entries for people; [`checkpoint`]: the last one
//! - [`key`]: which keys signed, and the change from one to the next

mod checkpoint;
mod decisions;
mod export;
mod files;
mod found;
mod key;
mod ledger;
mod lines;
mod offline;
mod proof;
mod show;
mod signed;
mod trust;
mod verify;

pub use ledger::OfStore;

use super::output::{Format, Output};
use super::session::Session;
use super::{Exit, Failure, Written, logging};
use crate::app;
use crate::audit::{Format as Words, VerifierKey};
use crate::config::Places;
use crate::domain::InvestigationId;
use crate::store::Store;
use files::Folder;
use jiff::Timestamp;
use ledger::Ledger;
use std::path::PathBuf;
use trust::Trusted;
use verify::Terms;

/// Verify, read and export the journal
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check signatures, tree, every chain, every payload and what the entries say, and make the decisions again;
    /// beside a running server, too
    Verify(Box<Verify>),
    /// Show an investigation, a decision or a change as the journal has it
    Show {
        /// inv_…, dec_… or act_…
        id: String,
        #[command(flatten)]
        written: Written,
    },
    /// Write the journal into a folder, to be verified elsewhere or read by other systems
    Export {
        /// A folder that is not there yet, or empty
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Only chains with an entry at or after this time (RFC 3339)
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
        /// Only this investigation; may be given again
        #[arg(long, value_name = "inv_…")]
        investigation: Vec<InvestigationId>,
        /// jsonl can be verified; cloudevents, ocsf and opa (decisions, as OPA logs them) are for other systems
        #[arg(long, value_parser = words, default_value = "jsonl", value_name = "FORMAT")]
        format: Words,
    },
    /// Print the last checkpoint and the key that knows its signature
    Checkpoint {
        /// Add the proof that the log only grew since it had so many entries
        #[arg(long, value_name = "SIZE", value_parser = clap::value_parser!(u64).range(1..))]
        consistency_from: Option<u64>,
        #[command(flatten)]
        written: Written,
    },
    /// Which keys sign the journal, and the change from one to the next
    #[command(subcommand)]
    Key(key::Key),
}

/// The arguments of `audit verify`.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// An export instead of the store: no database and no configuration is needed
    #[arg(long, value_name = "DIR", requires = "trusted")]
    export: Option<PathBuf>,
    /// A checkpoint with its proof instead of the store, as `audit checkpoint --consistency-from SIZE -o json` and
    /// the API give it
    #[arg(long, value_name = "FILE", requires = "trusted", conflicts_with_all = ["export", "witness", "investigation"])]
    checkpoint: Option<PathBuf>,
    #[command(flatten)]
    trusted: Trusted,
    /// A checkpoint that you kept: the log only grew since
    #[arg(long, value_name = "FILE")]
    from_checkpoint: Option<PathBuf>,
    /// A text that names checkpoints, of Jira, pull requests or a mailbox for instance
    #[arg(long, value_name = "FILE")]
    witness: Vec<PathBuf>,
    /// Only this investigation, beside what concerns all
    #[arg(long, value_name = "inv_…")]
    investigation: Option<InvestigationId>,
    /// The export may leave chains out
    #[arg(long, requires = "export")]
    partial: bool,
    /// Do not make the decisions again, which takes most of the time
    #[arg(long)]
    skip_decisions: bool,
    #[command(flatten)]
    written: Written,
}

fn words(word: &str) -> Result<Words, String> {
    Words::named(word).ok_or_else(|| format!("expected {}", Words::NAMES))
}

impl Command {
    /// Runs it.
    ///
    /// # Errors
    /// When there is no store, it does not answer, or nobody reads.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        match self {
            Self::Verify(verify) => verify.run(session).await,
            Self::Show { id, written } => {
                let (store, _) = opened(session).await?;
                show::run(&store, &id, written.output, &session.out).await
            }
            Self::Export { out, since, investigation, format } => {
                let (store, places) = opened(session).await?;
                let wanted = export::Wanted { since, only: investigation, format };
                export::run(&store, &trust::configured(&places)?, &out, &wanted, &session.out).await
            }
            Self::Checkpoint { consistency_from, written } => {
                let (store, places) = opened(session).await?;
                let keys = trust::configured(&places)?;
                checkpoint::run(&store, &keys, consistency_from, written.output, &session.out).await
            }
            Self::Key(key) => key.run(session).await,
        }
    }
}

impl Verify {
    async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let (named, format) = (self.trusted.named()?, self.written.output);
        if let (Some(checkpoint), Some(keys)) = (&self.checkpoint, &named) {
            return proof::run(checkpoint, self.from_checkpoint.as_deref(), keys, format, &session.out);
        }
        if let (Some(dir), Some(keys)) = (&self.export, &named) {
            let terms = self.terms(keys.clone())?;
            if !dir.is_dir() {
                return Err(Failure::usage(format!("{} is no folder", dir.display()), "name an export"));
            }
            let folder = Folder(dir.clone());
            return report(&offline::Export::new(&folder, keys), &terms, format, &session.out).await;
        }
        let (store, places) = opened(session).await?;
        let keys = match named {
            Some(keys) => keys,
            None => trust::configured(&places)?,
        };
        report(&OfStore(&store), &self.terms(keys)?, format, &session.out).await
    }

    fn terms(&self, keys: Vec<VerifierKey>) -> Result<Terms, Failure> {
        let since = self.from_checkpoint.as_ref().map(|file| trust::kept(file, &keys)).transpose()?;
        Ok(Terms {
            witnessed: trust::remembered(&self.witness, &keys)?,
            since: since.map(|(checkpoint, ..)| checkpoint),
            partial: self.partial,
            only: self.investigation,
            skip_decisions: self.skip_decisions,
            keys,
        })
    }
}

async fn opened(session: &Session) -> Result<(impl Store + use<>, Places), Failure> {
    let loaded = session.loaded()?;
    logging::begin(loaded.log(), logging::COMMAND);
    let places = loaded.places()?;
    Ok((app::reader(&places.store).await?, places))
}

/// Verifies the store at `places` and prints.
///
/// # Errors
/// When the store does not answer or nobody reads.
pub async fn report_of_store(places: &Places, format: Format, out: &Output) -> Result<Exit, Failure> {
    let store = app::reader(&places.store).await?;
    let terms = Terms { keys: trust::configured(places)?, ..Terms::default() };
    report(&OfStore(&store), &terms, format, out).await
}

async fn report(ledger: &dyn Ledger, terms: &Terms, format: Format, out: &Output) -> Result<Exit, Failure> {
    let audit = verify::verify(ledger, terms).await?;
    out.value(format, &audit, || audit.lines())?;
    Ok(if audit.pass { Exit::Fine } else { Exit::Found })
}

#[cfg(test)]
mod tests;
