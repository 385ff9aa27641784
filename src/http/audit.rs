//! The journal for strangers: its last checkpoint, its log, and all of it in the words of other systems.

use super::params::Params;
use super::{Problem, Viewer, Web};
use crate::audit::{Checkpoint, Format, Hash, merkle};
use crate::engine::checkpoints::{MAX_PROOF, hole, leaves};
use crate::engine::decision_log;
use crate::engine::recorded::Inputs;
use crate::journal::Entry;
use crate::store::{Logged, Page, Store, StoreError};
use axum::Json;
use axum::body::{Body as HttpBody, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;

/// Lines of the log that are read at once.
const PAGE: u32 = 500;

/// The last checkpoint with its text.
async fn last(web: &Web) -> Result<(String, Checkpoint), Problem> {
    let none = || {
        Problem::not_found("No checkpoint was made yet. The first one follows the first start of `firewarden serve`.")
    };
    let kept = web.store.last_checkpoint().await?.ok_or_else(none)?;
    let checkpoint = Checkpoint::read(&kept.note).map_err(|error| {
        tracing::error!(%error, "the last checkpoint is none");
        Problem::internal()
    })?;
    Ok((kept.note, checkpoint))
}

/// `GET /api/v1/audit/checkpoint?consistency_from=&inclusion_of=`: the signed note, or JSON by `Accept`. With a
/// size, JSON with the proof that the log only grew since; with a line's position, with the proof that it is
/// in the log.
pub(super) async fn checkpoint(
    State(web): State<Arc<Web>>,
    _: Viewer,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = params.only(&["consistency_from", "inclusion_of"])?;
    let from = params.read::<u64>("consistency_from", "the size of an earlier checkpoint")?;
    let of = params.read::<u64>("inclusion_of", "the `position` of a line of the log")?;
    let (note, checkpoint) = last(&web).await?;
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if from.is_none() && of.is_none() && !accept.contains("json") {
        return Ok(
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::VARY, "accept")], note).into_response()
        );
    }
    let mut answer = json!({
        "note": note, "key": (web.status)().audit_key, "origin": checkpoint.origin, "size": checkpoint.size,
        "root": checkpoint.root_text(), "time": checkpoint.at, "after": checkpoint.after,
    });
    let within = |n: u64| (1..=checkpoint.size).contains(&n);
    if let Some(n) = from.into_iter().chain(of).find(|n| !within(*n)) {
        let detail = format!("{n} is out of bounds: the checkpoint covers 1 to {}.", checkpoint.size);
        return Err(Problem::bad_request(detail));
    }
    if from.is_some() || of.is_some() {
        if checkpoint.size > MAX_PROOF {
            let detail =
                format!("The log has more than {MAX_PROOF} lines: `firewarden audit export` makes proofs of such.");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too-large", "Too large", detail));
        }
        let leaves = leaves(&*web.store, checkpoint.size).await?;
        let place = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let shown = |proof: Option<Vec<Hash>>| {
            proof.map(|proof| proof.iter().map(|hash| BASE64.encode(hash)).collect::<Vec<_>>())
        };
        if let Some(from) = from {
            answer["consistency"] = json!({"from": from, "proof": shown(merkle::consistency(&leaves, place(from)))});
        }
        if let Some(of) = of {
            answer["inclusion"] = json!({"of": of, "proof": shown(merkle::inclusion(&leaves, place(of - 1)))});
        }
    }
    Ok(([(header::VARY, "accept")], Json(answer)).into_response())
}

/// `GET /api/v1/audit/entries?after=&limit=&cursor=`: every entry of every chain with its place in the
/// log; newest first, or oldest first behind `after`.
pub(super) async fn entries(
    State(web): State<Arc<Web>>,
    _: Viewer,
    params: Params,
) -> Result<Json<Page<Value>>, Problem> {
    let params = params.only(&["after", "limit", "cursor"])?;
    let expected = "the `position` of a line of the log";
    let (after, cursor) = (params.read::<u64>("after", expected)?, params.read::<u64>("cursor", expected)?);
    let limit = params.limit()?;
    let mut lines = match after {
        Some(after) => web.store.log(cursor.unwrap_or(after).max(after), limit + 1).await?,
        None => web.store.log_before(cursor.unwrap_or(i64::MAX.unsigned_abs()), limit + 1).await?,
    };
    let more = lines.len() > limit as usize;
    lines.truncate(limit as usize);
    let next_cursor = lines.last().filter(|_| more).map(|line| line.position.to_string());
    let mut items = vec![];
    for line in &lines {
        let entry = entry(&*web.store, line).await?;
        items.push(json!({"position": line.position, "entry": entry}));
    }
    Ok(Json(Page { items, next_cursor }))
}

/// The entry of a line.
async fn entry(store: &dyn Store, line: &Logged) -> Result<Entry, StoreError> {
    let found = store.entries(&line.chain, line.seq.saturating_sub(1), 1).await?.pop();
    found.filter(|entry| entry.seq == line.seq).ok_or_else(|| hole(line.position))
}

/// `GET /api/v1/audit/export?format=jsonl|cloudevents|ocsf|opa&since=`: one entry or decision a line, in the order of the log,
/// as far as the last checkpoint covers it.
pub(super) async fn export(State(web): State<Arc<Web>>, _: Viewer, params: Params) -> Result<Response, Problem> {
    let params = params.only(&["format", "since"])?;
    let word = params.text("format").unwrap_or_else(|| "jsonl".into());
    let format = Format::named(&word).ok_or_else(|| {
        let shown: String = word.chars().take(80).collect();
        Problem::bad_request(format!("`format={shown}` is not understood. Expected: {}.", Format::NAMES))
    })?;
    let since = params.read::<Timestamp>("since", "an RFC 3339 time, 2026-01-31T12:00:00Z for instance")?;
    let (_, checkpoint) = last(&web).await?;
    let (waiting, inputs) = (VecDeque::new(), Inputs::default());
    let lines = Lines { web, checkpoint, format, since, after: 0, waiting, inputs };
    let stream = futures::stream::unfold(Some(lines), |lines| async move {
        let mut lines = lines?;
        match lines.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(lines))),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(%error, "an export ends early");
                // The body breaks off: whoever reads it must not take it for whole.
                Some((Err(std::io::Error::other("the export ends early")), None))
            }
        }
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((headers, HttpBody::from_stream(stream)).into_response())
}

/// An export on its way.
struct Lines {
    web: Arc<Web>,
    checkpoint: Checkpoint,
    format: Format,
    since: Option<Timestamp>,
    after: u64,
    waiting: VecDeque<Logged>,
    inputs: Inputs,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            if self.waiting.is_empty() {
                self.waiting.extend(self.web.store.log(self.after, PAGE).await?);
            }
            let Some(line) = self.waiting.pop_front().filter(|line| line.position <= self.checkpoint.size) else {
                return Ok(None);
            };
            self.after = line.position;
            let entry = entry(&*self.web.store, &line).await?;
            if self.since.is_some_and(|since| entry.at < since) {
                continue;
            }
            let (store, of) = (&*self.web.store, (line.position, self.checkpoint.origin.as_str()));
            let told = decision_log::told(store, &mut self.inputs, self.format, &entry, of).await?;
            if !told.is_empty() {
                let lines: String = told.iter().map(|line| format!("{line}\n")).collect();
                return Ok(Some(lines.into()));
            }
        }
    }
}
