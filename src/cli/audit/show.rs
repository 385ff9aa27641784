//! `firewarden audit show`: an investigation, a decision or a change as the journal has it.

use crate::cli::output::{Format, Output};
use crate::cli::render::Watcher;
use crate::cli::text::{block, line};
use crate::cli::{Exit, Failure};
use crate::domain::{ActionId, DecisionId, InvestigationId};
use crate::journal::Entry;
use crate::store::{Store, StoreError};
use serde_json::{Value, json};

/// Entries that are read at once.
const PAGE: u32 = 500;
/// Entries that may speak of one decision or change.
const MOST: u32 = 1_000;

/// Shows what `id` names.
///
/// # Errors
/// When it names nothing, or the store does not answer.
pub(super) async fn run(store: &dyn Store, id: &str, format: Format, out: &Output) -> Result<Exit, Failure> {
    let entries = match (id.parse::<InvestigationId>(), id.parse::<DecisionId>(), id.parse::<ActionId>()) {
        (Ok(investigation), _, _) => whole(store, &investigation.to_string()).await?,
        (_, Ok(_), _) | (_, _, Ok(_)) => speaking_of(store, id).await?,
        _ => {
            let what = format!("`{}` is no id of an investigation, a decision or a change", line(id, 60));
            return Err(Failure::usage(what, "write inv_…, dec_… or act_…, as lists and reports show them"));
        }
    };
    if entries.is_empty() {
        return Err(Failure::usage(
            format!("the journal knows no {}", line(id, 60)),
            "`firewarden investigations list` shows what there is",
        ));
    }
    let value = json!({"id": id, "entries": entries});
    out.value(format, &value, || lines(id, &entries, out))?;
    Ok(Exit::Fine)
}

async fn whole(store: &dyn Store, chain: &str) -> Result<Vec<Entry>, StoreError> {
    let mut entries: Vec<Entry> = vec![];
    loop {
        let page = store.entries(chain, entries.len() as u64, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        entries.extend(page);
        if is_last {
            return Ok(entries);
        }
    }
}

async fn speaking_of(store: &dyn Store, id: &str) -> Result<Vec<Entry>, StoreError> {
    let mut entries = vec![];
    for (chain, seq) in store.mentions(&format!("\"{id}\""), MOST).await? {
        entries.extend(store.entries(&chain, seq.saturating_sub(1), 1).await?);
    }
    Ok(entries)
}

fn lines(id: &str, entries: &[Entry], out: &Output) -> Vec<String> {
    let is_whole = id.starts_with("inv_");
    let mut watcher = Watcher::new(out.colour);
    let mut lines = vec![];
    for entry in entries {
        lines.push(format!(
            "{} entry {}  {}  {}  by {}",
            line(&entry.chain, 60),
            entry.seq,
            entry.at,
            entry.body.kind(),
            line(&entry.actor.to_string(), 60)
        ));
        match is_whole {
            true => lines.extend(watcher.lines(entry).into_iter().map(|text| format!("  {text}"))),
            false => lines.extend(fields(entry)),
        }
        lines.push(format!("  hash {}", entry.hash));
    }
    lines
}

/// What an entry says, one value a line.
fn fields(entry: &Entry) -> Vec<String> {
    let mut lines = vec![];
    if let Ok(Value::Object(body)) = serde_json::to_value(&entry.body) {
        for (key, value) in body.iter().filter(|(key, _)| *key != "type") {
            told(key, value, 1, &mut lines);
        }
    }
    lines
}

/// Deeper values stand in one line.
const DEEP: usize = 4;

fn told(key: &str, value: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if depth < DEEP && !fields.is_empty() => {
            lines.push(format!("{indent}{}", line(key, 60)));
            fields.iter().for_each(|(key, value)| told(key, value, depth + 1, lines));
        }
        Value::Array(items) if depth < DEEP && items.iter().any(Value::is_object) => {
            for (n, item) in items.iter().enumerate() {
                told(&format!("{key} {}", n + 1), item, depth, lines);
            }
        }
        Value::String(text) if text.contains('\n') => {
            lines.push(format!("{indent}{}", line(key, 60)));
            lines.extend(block(text, 4_000).lines().map(|text| format!("{indent}  {text}")));
        }
        Value::String(text) => lines.push(format!("{indent}{} {}", line(key, 60), line(text, 400))),
        other => lines.push(format!("{indent}{} {}", line(key, 60), line(&other.to_string(), 400))),
    }
}
