//! `firewarden audit key`: which keys held the log, and handing it on to the next.

use super::{opened, trust};
use crate::app::handover;
use crate::audit::VerifierKey;
use crate::cli::session::Session;
use crate::cli::text::plural;
use crate::cli::{Exit, Failure, Written};
use crate::journal::{Body, KeyRotated, chain::SYSTEM};
use crate::store::{Store, StoreError};
use jiff::Timestamp;
use serde_json::json;

/// Entries that are read at once.
const PAGE: u32 = 500;
/// Longest reason, in characters.
const MAX_REASON: usize = 500;

/// Which keys sign the journal, and the change from one to the next
#[derive(Debug, clap::Subcommand)]
pub enum Key {
    /// Every key that held the log, oldest first, one a line: what `--known-keys` takes
    List {
        #[command(flatten)]
        written: Written,
    },
    /// Let a new key take over: the old one signs the entry that says so, and is gone then. No server may run
    Rotate {
        /// Why, for the journal
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        #[command(flatten)]
        written: Written,
    },
}

impl Key {
    /// Runs it.
    ///
    /// # Errors
    /// When there is no store or key, somebody holds the store, or a file cannot be written.
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        match self {
            Self::List { written } => {
                let (store, places) = opened(session).await?;
                let keys = trust::configured(&places)?;
                if keys.is_empty() {
                    return Err(Failure::does_not_load("the signing key's file is missing", "put it back"));
                }
                let since = taken_over(&store).await?;
                let held = |key: &VerifierKey| since.iter().find(|(_, rotated)| rotated.key == key.to_string());
                let items: Vec<_> = keys
                    .iter()
                    .zip(1..)
                    .map(|(key, n)| {
                        let (at, reason) = held(key).map(|(at, rotated)| (*at, rotated.reason.clone())).unzip();
                        json!({"key": key.to_string(), "since": at, "reason": reason, "signs": n == keys.len()})
                    })
                    .collect();
                let value = json!({"items": items, "next_cursor": null});
                session.out.value(written.output, &value, || keys.iter().map(VerifierKey::to_string).collect())?;
                Ok(Exit::Fine)
            }
            Self::Rotate { reason, written } => {
                if reason.chars().count() > MAX_REASON {
                    return Err(Failure::usage(format!("--reason has more than {MAX_REASON} characters"), "say less"));
                }
                let places = session.loaded()?.places()?;
                let rotation = handover::rotate(&places, &reason).await.map_err(told)?;
                let (before, key) = (rotation.before.to_string(), rotation.key.to_string());
                let value = json!({"before": before, "key": key, "size": rotation.size});
                session.out.value(written.output, &value, || {
                    vec![
                        format!("before  {before}"),
                        format!("        signed {} to the end, and is gone", plural(rotation.size, "entry")),
                        format!("now     {key}"),
                        "Keep both where the host of the store cannot change them: each part of the log verifies with \
                         the key of its time."
                            .into(),
                    ]
                })?;
                Ok(Exit::Fine)
            }
        }
    }
}

/// The entries by which keys took over.
async fn taken_over(store: &dyn Store) -> Result<Vec<(Timestamp, KeyRotated)>, StoreError> {
    let (mut after, mut found) = (0, vec![]);
    loop {
        let page = store.entries(SYSTEM, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = last.seq;
        found.extend(page.into_iter().filter_map(|entry| match entry.body {
            Body::KeyRotated(rotated) => Some((entry.at, rotated)),
            _ => None,
        }));
    }
}

/// Who holds the store has to let go of it first.
fn told(error: crate::app::AppError) -> Failure {
    match error {
        crate::app::AppError::Store(error @ StoreError::Locked { .. }) => {
            Failure::new(Exit::Internal, error, "stop the server, rotate, and start it again: alerts are sent again")
        }
        other => other.into(),
    }
}
