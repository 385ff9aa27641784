//! `firewarden audit verify --checkpoint`: a checkpoint and its proof, without the log.

use super::trust::kept;
use crate::audit::{Hash, VerifierKey, merkle};
use crate::cli::output::{Format, Output};
use crate::cli::{Exit, Failure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};
use std::path::Path;

/// Hashes that a proof may have: a log is shorter than 2^64 lines.
const MOST: usize = 128;

/// Whether the checkpoint in `now` is signed, and the log only grew since that in `since`.
///
/// # Errors
/// When a file holds no checkpoint that one of `keys` signed, or nobody reads.
pub(super) fn run(
    now: &Path,
    since: Option<&Path>,
    keys: &[VerifierKey],
    format: Format,
    out: &Output,
) -> Result<Exit, Failure> {
    let (new, signer, answer) = kept(now, keys)?;
    let mut lines = vec![format!("signature      ok   {}, size {}, {}", new.origin, new.size, new.at)];
    let mut wrong = None;
    let mut from = Value::Null;
    if let Some(since) = since {
        let (old, before, _) = kept(since, keys)?;
        from = json!({"size": old.size, "time": old.at});
        let proof = proof(&answer);
        wrong = match &proof {
            _ if old.origin != new.origin => Some(format!("they are of two logs, {} and {}", old.origin, new.origin)),
            // A key signs nothing more once it handed the log on.
            _ if signer < before => Some(format!(
                "{} entries were signed by {}, and these by {}, the key before it",
                old.size, keys[before], keys[signer]
            )),
            _ if old.size > new.size => {
                Some(format!("{} entries were signed before, {} are now: the end is missing", old.size, new.size))
            }
            None if old.size < new.size => Some(format!(
                "the proof since {} is missing: `firewarden audit checkpoint --consistency-from {} -o json`, or \
                 /api/v1/audit/checkpoint?consistency_from={}, gives it",
                old.size, old.size, old.size
            )),
            proof => {
                let path = proof.as_deref().unwrap_or_default();
                let holds = merkle::is_consistent(old.size, new.size, path, &old.root, &new.root);
                (!holds).then(|| format!("the log does not begin with the {} entries of {}", old.size, old.at))
            }
        };
        lines.push(match &wrong {
            None => format!("consistency    ok   grew only since {} of {}", old.size, old.at),
            Some(what) => format!("consistency    FAIL {what}"),
        });
    }
    let pass = wrong.is_none();
    lines.push(if pass { "PASS" } else { "FAIL" }.to_owned());
    let value = json!({
        "pass": pass, "origin": new.origin, "size": new.size, "root": new.root_text(), "time": new.at, "since": from,
        "failure": wrong,
    });
    out.value(format, &value, || lines.iter().map(|line| crate::cli::text::line(line, 400)).collect())?;
    Ok(if pass { Exit::Fine } else { Exit::Found })
}

/// The proof in what `audit checkpoint --consistency-from` or the API answered.
fn proof(answer: &Value) -> Option<Vec<Hash>> {
    let hashes = answer["consistency"]["proof"].as_array().filter(|hashes| hashes.len() <= MOST)?;
    hashes.iter().map(|hash| BASE64.decode(hash.as_str()?).ok()?.try_into().ok()).collect()
}
