//! `firewarden audit`: is the journal as it was written, and may what it says happen?
//!
//! - [`verify`](mod@verify): the walk over all of it; [`found`]: what it found
//! - [`ledger`]: where it is read from: a store, or an export ([`offline`], of [`files`])
//! - [`export`]: writes one; [`show`]: entries for people; [`checkpoint`]: the last one

mod checkpoint;
mod export;
mod files;
mod found;
mod ledger;
mod offline;
mod show;
mod verify;

pub use ledger::OfStore;

use super::output::{Format, Output};
use super::session::Session;
use super::{Exit, Failure, Written, logging};
use crate::app;
use crate::audit::checkpoint::witnessed;
use crate::audit::note::NoteError;
use crate::audit::{Format as Words, VerifierKey};
use crate::config::Places;
use crate::store::Store;
use files::Folder;
use jiff::Timestamp;
use ledger::Ledger;
use std::path::{Path, PathBuf};
use verify::Terms;

/// Verify, read and export the journal
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check signatures, tree, every chain, every payload and what the entries say; beside a running server, too
    Verify {
        /// An export instead of the store: no database and no configuration is needed
        #[arg(long, value_name = "DIR", requires = "key")]
        export: Option<PathBuf>,
        /// Whose signature counts, NAME+HASH+BASE64 [default for the store: the configured key]
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// A text that names checkpoints, of Jira, pull requests or a mailbox for instance
        #[arg(long, value_name = "FILE")]
        witness: Vec<PathBuf>,
        /// The export may leave chains out
        #[arg(long, requires = "export")]
        partial: bool,
        #[command(flatten)]
        written: Written,
    },
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
        /// jsonl can be verified; cloudevents and ocsf are for other systems
        #[arg(long, value_parser = words, default_value = "jsonl", value_name = "FORMAT")]
        format: Words,
    },
    /// Print the last checkpoint and the key that knows its signature
    Checkpoint {
        #[command(flatten)]
        written: Written,
    },
}

fn words(word: &str) -> Result<Words, String> {
    Words::named(word).ok_or_else(|| "expected jsonl, cloudevents or ocsf".into())
}

impl Command {
    /// Runs it.
    ///
    /// # Errors
    /// When there is no store, it does not answer, or nobody reads.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        match self {
            Self::Verify { export: Some(dir), key: Some(key), witness, partial, written } => {
                let key = parsed(&key)?;
                let terms = Terms { witnessed: remembered(&witness, Some(&key))?, key: Some(key.clone()), partial };
                if !dir.is_dir() {
                    return Err(Failure::usage(format!("{} is no folder", dir.display()), "name an export"));
                }
                let folder = Folder(dir);
                report(&offline::Export::new(&folder, key.to_string()), &terms, written.output, &session.out).await
            }
            Self::Verify { key, witness, written, .. } => {
                let (store, places) = opened(session).await?;
                let key = match key {
                    Some(key) => Some(parsed(&key)?),
                    None => configured(&places)?,
                };
                let terms = Terms { witnessed: remembered(&witness, key.as_ref())?, key, partial: false };
                report(&OfStore(&store), &terms, written.output, &session.out).await
            }
            Self::Show { id, written } => {
                let (store, _) = opened(session).await?;
                show::run(&store, &id, written.output, &session.out).await
            }
            Self::Export { out, since, format } => {
                let (store, places) = opened(session).await?;
                export::run(&store, configured(&places)?, &out, since, format, &session.out).await
            }
            Self::Checkpoint { written } => {
                let (store, places) = opened(session).await?;
                checkpoint::run(&store, configured(&places)?, written.output, &session.out).await
            }
        }
    }
}

async fn opened(session: &Session) -> Result<(impl Store + use<>, Places), Failure> {
    let loaded = session.loaded()?;
    logging::begin(loaded.log(), logging::COMMAND);
    let places = loaded.places()?;
    Ok((app::reader(&places.store).await?, places))
}

/// What knows the signatures of the configured key; `None` when there is no such file.
fn configured(places: &Places) -> Result<Option<VerifierKey>, Failure> {
    app::signing::verifier(&places.signing_key())
        .map_err(|error| Failure::does_not_load(error, "`--key` names its public part, where the command takes one"))
}

fn parsed(key: &str) -> Result<VerifierKey, Failure> {
    let help =
        "`firewarden audit checkpoint` prints it beside the store; keep it where the store's host cannot change it";
    key.parse().map_err(|error: NoteError| Failure::usage(format!("--key: {error}"), help))
}

/// What others remember, in files that the caller names.
fn remembered(files: &[PathBuf], key: Option<&VerifierKey>) -> Result<Vec<crate::audit::Witnessed>, Failure> {
    let mut all = vec![];
    for file in files {
        let origin = key.map_or("", VerifierKey::name);
        let found = witnessed(&text_of(file)?, origin);
        if found.is_empty() {
            let what = format!("{} names no checkpoint of {origin}", file.display());
            return Err(Failure::usage(what, "a checkpoint is a line `NAME SIZE ROOT`, or a signed note"));
        }
        all.extend(found);
    }
    Ok(all)
}

fn text_of(file: &Path) -> Result<String, Failure> {
    let bytes = std::fs::read(file);
    let bytes = bytes.map_err(|e| Failure::usage(format!("{} cannot be read: {e}", file.display()), "name a text"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Verifies the store at `places` and prints.
///
/// # Errors
/// When the store does not answer or nobody reads.
pub async fn report_of_store(places: &Places, format: Format, out: &Output) -> Result<Exit, Failure> {
    let store = app::reader(&places.store).await?;
    let terms = Terms { key: configured(places)?, ..Terms::default() };
    report(&OfStore(&store), &terms, format, out).await
}

async fn report(ledger: &dyn Ledger, terms: &Terms, format: Format, out: &Output) -> Result<Exit, Failure> {
    let audit = verify::verify(ledger, terms).await?;
    out.value(format, &audit, || audit.lines())?;
    Ok(if audit.pass { Exit::Fine } else { Exit::Found })
}

#[cfg(test)]
mod tests;
