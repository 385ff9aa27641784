//! `firewarden audit checkpoint`.

use crate::audit::{Checkpoint, VerifierKey};
use crate::cli::output::{Format, Output};
use crate::cli::text::plural;
use crate::cli::{Exit, Failure};
use crate::store::{KeptCheckpoint, Store};
use serde_json::json;

/// Prints the last checkpoint of `store`.
///
/// # Errors
/// When there is none, or the store does not answer.
pub(super) async fn run(
    store: &dyn Store,
    key: Option<VerifierKey>,
    format: Format,
    out: &Output,
) -> Result<Exit, Failure> {
    let (kept, checkpoint) = last(store).await?;
    let length = store.log_before(i64::MAX.unsigned_abs(), 1).await?.first().map_or(0, |line| line.position);
    let waiting = length.saturating_sub(checkpoint.size);
    let key = key.map(|key| key.to_string());
    let value = json!({
        "note": kept.note, "key": key, "origin": checkpoint.origin, "size": checkpoint.size,
        "root": checkpoint.root_text(), "time": checkpoint.at, "after": checkpoint.after, "line": checkpoint.line(),
        "unsigned_tail": waiting,
    });
    out.value(format, &value, || {
        let key = key.unwrap_or_else(|| "not here: the signing key's file is missing".into());
        let mut lines: Vec<String> = kept.note.lines().map(str::to_owned).collect();
        lines.extend([String::new(), format!("key   {key}"), format!("line  {}", checkpoint.line())]);
        lines.push(format!("since then {}", plural(waiting, "entry")));
        lines.iter().map(|line| crate::cli::text::line(line, 400)).collect()
    })?;
    Ok(Exit::Fine)
}

/// The last checkpoint of `store`, as it is kept and as it reads.
///
/// # Errors
/// When there is none, it cannot be read, or the store does not answer.
pub(super) async fn last(store: &dyn Store) -> Result<(KeptCheckpoint, Checkpoint), Failure> {
    let kept = store.last_checkpoint().await?.ok_or_else(none)?;
    let checkpoint = Checkpoint::read(&kept.note).map_err(|error| {
        Failure::new(
            Exit::Found,
            format!("the last checkpoint cannot be read: {error}"),
            "`firewarden audit verify` tells the extent",
        )
    })?;
    Ok((kept, checkpoint))
}

/// There is no checkpoint.
fn none() -> Failure {
    let help = "`firewarden serve` and `firewarden investigate` make one when they start";
    Failure::does_not_load("no checkpoint was made in this store yet", help)
}
