//! A body comes in: credential, size, mapping, one durable commit, and only then an answer.

use super::body;
use super::credentials::{Granted, refusal};
use super::{Problem, Web};
use crate::domain::{Digest, Redactor};
use crate::engine::intake::Receipt;
use crate::sources::clean::{beginning, clean_json};
use crate::sources::{AlertSource, Delivery, Mapping, Normalised, SourceError, form, read_json};
use crate::store::DeadLetter;
use crate::telemetry;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// So much of a body in which nothing was recognised is kept.
const MAX_LETTER: usize = 64 << 10;
/// Longest header that a mapping gets to see.
const MAX_HEADER: usize = 1 << 10;

/// Whose body is expected.
#[derive(Debug, Clone)]
pub(super) enum Whose {
    /// This sender's.
    Of(Arc<dyn AlertSource>),
    /// Whoever's shape it has; who has none calls itself so.
    Any {
        /// What the sender calls itself.
        hint: Option<String>,
    },
    /// A path with a name that no sender has.
    Unknown(String),
}

impl Whose {
    /// The sender that a credential must be for, and its kind.
    fn name(&self) -> Option<(&str, &str)> {
        match self {
            Self::Of(sender) => Some((sender.name(), sender.kind())),
            Self::Any { .. } => None,
            Self::Unknown(name) => Some((name, "")),
        }
    }

    fn is_let_in_by(&self, granted: &Granted) -> bool {
        match self {
            Self::Of(sender) => granted.covers(sender.name(), sender.kind()),
            Self::Any { .. } | Self::Unknown(_) => !granted.is_nobody(),
        }
    }
}

/// A body in our words.
struct Taken {
    sender: Arc<dyn AlertSource>,
    normalised: Normalised,
}

/// Why a body was not taken.
enum Not {
    /// Nothing could be made of it. What is to be kept of it comes along.
    Understood(SourceError, Option<DeadLetter>),
    /// The credential is another sender's.
    Granted,
    /// Its sender sends too much; seconds to wait.
    Now(String, u32),
}

/// Takes in one body and counts what became of it.
pub(super) async fn receive(web: &Arc<Web>, whose: Whose, headers: &HeaderMap, body: Body) -> Result<Receipt, Problem> {
    let received = take_in(web, whose, headers, body).await;
    match &received {
        Ok((kind, receipt)) => {
            for (outcome, alerts) in receipt.counters.by_outcome() {
                telemetry::alerts_accepted(kind, outcome.as_str(), alerts as u64);
            }
        }
        Err(problem) => telemetry::body_refused(problem.status.as_u16()),
    }
    received.map(|(_, receipt)| receipt)
}

async fn take_in(
    web: &Arc<Web>,
    whose: Whose,
    headers: &HeaderMap,
    body: Body,
) -> Result<(&'static str, Receipt), Problem> {
    let access = web.access.load_full();
    let shown = access.shown(headers)?;
    // Nothing is read of whoever shows nothing that could let it in.
    let is_shown = whose.is_let_in_by(&shown);
    if !is_shown && !access.may_be_signed(headers, whose.name()) {
        return Err(refusal(false));
    }
    if let Whose::Unknown(name) = &whose {
        let names = web.senders.names().join(", ");
        let name = beginning(name, 80).to_owned();
        return Err(Problem::not_found(format!(
            "No sender is called `{name}`. There is {names}; others are described in `intake.sources`, or send to \
             /webhook/generic?source={name}."
        )));
    }
    let (bytes, _room) = body::read_with_room(&web.gates.bodies, body).await?;
    let (signed, is_stale) = access.signed(headers, &bytes, web.clock.now());
    let granted = shown.and(signed);
    if !whose.is_let_in_by(&granted) {
        return Err(refusal(is_stale));
    }
    let size = bytes.len();
    let mapping = {
        let (web, headers) = (web.clone(), told(headers));
        tokio::task::spawn_blocking(move || map(&web, &whose, &granted, &headers, &bytes))
    };
    let Taken { sender, normalised } = match mapping.await.map_err(|_| Problem::internal())? {
        Ok(taken) => taken,
        Err(Not::Granted) => return Err(refusal(is_stale)),
        Err(Not::Now(source, wait_s)) => return Err(too_many(&source, wait_s)),
        Err(Not::Understood(error, letter)) => {
            tracing::warn!(bytes = size, %error, "a body was refused");
            if let Some(letter) = letter {
                web.store.dead_letter(letter).await?;
            }
            return Err(error.into());
        }
    };
    let source = sender.name();
    let (truncated, group) = (normalised.truncated, normalised.group.clone());
    let receipt = web.intake.accept(source, normalised).await?;
    let taken = receipt.counters.sum() - receipt.counters.ignored;
    if is_capped(sender.as_ref()) {
        web.storm.took(source, taken, web.clock.now());
    }
    if truncated > 0 {
        tracing::warn!(source, left_out = truncated, "the sender left alerts out");
        if let (Some(rest), Some(group)) = (&web.rest, group) {
            rest.fetch(group);
        }
    }
    tracing::info!(
        source,
        bytes = size,
        accepted = receipt.counters.accepted,
        merged = receipt.counters.merged,
        resolved = receipt.counters.resolved,
        ignored = receipt.counters.ignored,
        quarantined = receipt.counters.quarantined,
        "alerts taken in"
    );
    Ok((sender.kind(), receipt))
}

/// Alertmanager would not understand the answer, and would send the same again at every interval.
fn is_capped(sender: &dyn AlertSource) -> bool {
    sender.kind() != "alertmanager"
}

fn too_many(source: &str, wait_s: u32) -> Problem {
    let detail = format!(
        "`{}` has sent more alerts than `intake.storm.per_source_per_minute` allows; nothing of this body was taken. \
         Send it again in {wait_s} s.",
        beginning(source, 80)
    );
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "storm", "Too many alerts in a minute", detail);
    Problem { retry_after_s: Some(wait_s), ..problem }
}

/// The headers that a mapping may look at: none that carries a credential.
fn told(headers: &HeaderMap) -> BTreeMap<String, String> {
    let wanted =
        |name: &str| name.starts_with("ce-") || name == header::CONTENT_TYPE.as_str() || name == "sentry-hook-resource";
    let text = |name: &axum::http::HeaderName, value: &axum::http::HeaderValue| {
        let value = value.to_str().ok().filter(|value| value.len() <= MAX_HEADER)?;
        wanted(name.as_str()).then(|| (name.as_str().to_owned(), value.to_owned()))
    };
    headers.iter().take(200).filter_map(|(name, value)| text(name, value)).collect()
}

/// Parses and maps a body; CPU only. What nothing can be made of comes with its letter.
fn map(
    web: &Web,
    whose: &Whose,
    granted: &Granted,
    headers: &BTreeMap<String, String>,
    bytes: &[u8],
) -> Result<Taken, Not> {
    let redactor = web.redactor.load();
    let at = web.clock.now();
    let name = match whose {
        Whose::Of(sender) => sender.name().to_owned(),
        Whose::Any { .. } | Whose::Unknown(_) => "unknown".to_owned(),
    };
    let json = form::unwrap(headers.get("content-type").map(String::as_str), bytes);
    let value = read_json(&json).map_err(|error| {
        let letter = letter(name, &error, bytes, as_text(bytes, &redactor), at);
        Not::Understood(error, Some(letter))
    })?;
    let delivery = Delivery { body: &value, raw: bytes, headers };
    let sender = match whose {
        Whose::Of(sender) => sender.clone(),
        Whose::Any { hint } => web.senders.detect(&delivery, hint.as_deref()),
        Whose::Unknown(_) => return Err(Not::Granted),
    };
    if !granted.covers(sender.name(), sender.kind()) {
        return Err(Not::Granted);
    }
    if is_capped(sender.as_ref()) {
        web.storm.may(sender.name(), at).map_err(|wait_s| Not::Now(sender.name().to_owned(), wait_s))?;
    }
    let mapping = Mapping { at, entropy: &*web.entropy, redactor: &redactor, hmac_key: &web.hmac_key };
    match sender.normalise(&delivery, &mapping) {
        Ok(normalised) => Ok(Taken { sender, normalised }),
        Err(error @ SourceError::TooMany { .. }) => Err(Not::Understood(error, None)),
        Err(error) => {
            let body = match bytes.len() <= 4 * MAX_LETTER {
                true => clean_json(&value, &redactor).to_string(),
                false => as_text(bytes, &redactor),
            };
            let letter = letter(sender.name().to_owned(), &error, bytes, body, at);
            Err(Not::Understood(error, Some(letter)))
        }
    }
}

fn letter(source: String, error: &SourceError, bytes: &[u8], body: String, at: Timestamp) -> DeadLetter {
    DeadLetter {
        digest: Digest::of(bytes),
        source,
        reason: error.to_string(),
        body: beginning(&body, MAX_LETTER).to_owned(),
        received_at: at,
        times: 1,
    }
}

/// Twice the bound is redacted, so that no secret is cut in half before it is seen.
fn as_text(bytes: &[u8], redactor: &Redactor) -> String {
    let begin = bytes.get(..2 * MAX_LETTER).unwrap_or(bytes);
    redactor.text(&String::from_utf8_lossy(begin)).0.into_owned()
}
