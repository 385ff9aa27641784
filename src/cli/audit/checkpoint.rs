//! `firewarden audit checkpoint`.

use crate::audit::{Checkpoint, VerifierKey, merkle};
use crate::cli::output::{Format, Output};
use crate::cli::text::plural;
use crate::cli::{Exit, Failure};
use crate::engine::checkpoints::{MAX_PROOF, leaves};
use crate::store::{KeptCheckpoint, Store};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::json;

/// Prints the last checkpoint of `store`, and the proof that the log only grew since it had so many entries.
///
/// # Errors
/// When there is none, it covers fewer, or the store does not answer.
pub(super) async fn run(
    store: &dyn Store,
    keys: &[VerifierKey],
    consistency_from: Option<u64>,
    format: Format,
    out: &Output,
) -> Result<Exit, Failure> {
    let (kept, checkpoint) = last(store).await?;
    let length = store.log_before(i64::MAX.unsigned_abs(), 1).await?.first().map_or(0, |line| line.position);
    let waiting = length.saturating_sub(checkpoint.size);
    // The one that signed it; another one may have taken over since.
    let signed = keys.iter().find(|key| Checkpoint::open(&kept.note, key).is_ok()).or(keys.last());
    let key = signed.map(VerifierKey::to_string);
    let proof = match consistency_from {
        None => None,
        Some(from) => Some(proof(store, from, checkpoint.size).await?),
    };
    let mut value = json!({
        "note": kept.note, "key": key, "origin": checkpoint.origin, "size": checkpoint.size,
        "root": checkpoint.root_text(), "time": checkpoint.at, "after": checkpoint.after, "line": checkpoint.line(),
        "unsigned_tail": waiting,
    });
    if let (Some(from), Some(proof)) = (consistency_from, &proof) {
        value["consistency"] = json!({"from": from, "proof": proof});
    }
    out.value(format, &value, || {
        let key = key.unwrap_or_else(|| "not here: the signing key's file is missing".into());
        let mut lines: Vec<String> = kept.note.lines().map(str::to_owned).collect();
        lines.extend([String::new(), format!("key   {key}"), format!("line  {}", checkpoint.line())]);
        lines.push(format!("since then {}", plural(waiting, "entry")));
        lines.extend(proof.into_iter().flatten().map(|hash| format!("proof {hash}")));
        lines.iter().map(|line| crate::cli::text::line(line, 400)).collect()
    })?;
    Ok(Exit::Fine)
}

/// Proves that the log only grew since it had `from` entries, in base64.
async fn proof(store: &dyn Store, from: u64, size: u64) -> Result<Vec<String>, Failure> {
    if from > size {
        let what = format!("--consistency-from: the last checkpoint covers {size} entries, not {from}");
        return Err(Failure::usage(what, "name the size of an earlier checkpoint, its second line"));
    }
    if size > MAX_PROOF {
        let what = format!("the log has more than {MAX_PROOF} entries, too many to prove on demand");
        return Err(Failure::usage(what, "`firewarden audit export`, and verify with --from-checkpoint"));
    }
    let leaves = leaves(store, size).await?;
    let proof = merkle::consistency(&leaves, usize::try_from(from).unwrap_or(usize::MAX));
    Ok(proof.unwrap_or_default().iter().map(|hash| BASE64.encode(hash)).collect())
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
