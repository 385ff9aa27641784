//! A body comes in: credential, size, mapping, one durable commit, and only then an answer.

use super::body;
use super::credentials::{Granted, refusal};
use super::letters::{self, MAX_LETTER};
use super::{Problem, Web, auth};
use crate::domain::{EventId, Redactor};
use crate::engine::intake::Receipt;
pub(super) use crate::sources::UNKNOWN;
use crate::sources::clean::{beginning, clean_json};
use crate::sources::cloudevents::is_binary;
use crate::sources::{AlertSource, Delivery, Mapping, Normalised, SourceError, form, read_json};
use crate::store::DeadLetter;
use crate::telemetry;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Units of what may wait for the disk at once. A body is one, and its alerts are more: they take their time.
/// It is about what is written within half a second, so that whoever is let in waits no longer, and whoever
/// is not can come again.
pub(super) const WAITING: usize = 512;
/// Alerts that make up a unit.
const ALERTS_OF_A_UNIT: usize = 4;
/// Largest body of whoever shows no credential and only signs: it is read before it is let in.
const MOST_UNPROVEN: usize = 4 << 20;
/// The largest body finds room beside others.
const MOST_OF_A_BODY: usize = WAITING / 2;
/// A body that is no larger is understood sooner than a thread for it is found.
const AT_ONCE: usize = 16 << 10;
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
    Understood(SourceError, Option<Box<DeadLetter>>),
    /// The credential is another sender's.
    Granted {
        /// A signature fits and is too old.
        is_stale: bool,
    },
    /// Its attributes stand in headers, and only its body is signed.
    Signed,
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
    if !is_shown && is_binary(|name| headers.contains_key(name)) {
        return Err(binary_is_not_signed());
    }
    // Whoever has yet to prove itself takes no room away from those who have, and little from its like.
    let (gate, most) = match is_shown {
        true => (&web.gates.bodies, web.gates.max_body),
        false => (&web.gates.unproven, web.gates.max_body.min(MOST_UNPROVEN)),
    };
    let (bytes, _room) = body::read_with_room(gate, body, most).await?;
    if web.gates.commits.available_permits() == 0 {
        // Not worth understanding: it could not be written. It is read, so that its sender gets to read the answer.
        return Err(too_much());
    }
    let size = bytes.len();
    let understood = {
        let (web, headers) = (web.clone(), headers.clone());
        move || understand(&web, &whose, shown, is_shown, &headers, &bytes)
    };
    let understood = match size <= AT_ONCE {
        true => Ok(understood()),
        false => tokio::task::spawn_blocking(understood).await,
    };
    let Taken { sender, normalised } = match understood.map_err(|_| Problem::internal())? {
        Ok(taken) => taken,
        Err(Not::Granted { is_stale }) => return Err(refusal(is_stale)),
        Err(Not::Signed) => return Err(binary_is_not_signed()),
        Err(Not::Now(source, wait_s)) => return Err(too_many(&source, wait_s)),
        Err(Not::Understood(error, letter)) => {
            tracing::warn!(bytes = size, %error, "a body was refused");
            if let Some(letter) = letter {
                web.store.keep_letters(vec![*letter]).await?;
            }
            return Err(error.into());
        }
    };
    let source = sender.name();
    let (truncated, group) = (normalised.truncated, normalised.group.clone());
    let units = (1 + normalised.items.len() / ALERTS_OF_A_UNIT).min(MOST_OF_A_BODY);
    let accepted = match web.gates.commits.try_acquire_many(u32::try_from(units).unwrap_or(u32::MAX)) {
        Ok(_waiting) => web.intake.accept(source, normalised).await.map_err(Problem::from),
        Err(_) => Err(too_much()),
    };
    let taken = accepted.as_ref().map_or(0, |receipt| receipt.counters.sum() - receipt.counters.ignored);
    if is_capped(sender.as_ref()) {
        web.storm.took(source, taken, web.clock.now());
    }
    let receipt = accepted?;
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

/// Proves a body and maps it; CPU only.
fn understand(
    web: &Web,
    whose: &Whose,
    shown: Granted,
    is_shown: bool,
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<Taken, Not> {
    // A credential that covers the sender needs no signature beside it; one on a path for any sender may
    // be another's.
    let (signed, is_stale) = match whose {
        Whose::Of(_) if is_shown => Default::default(),
        Whose::Any { .. } if shown.is_everyone() => Default::default(),
        _ => web.access.load().signed(headers, bytes, web.clock.now()),
    };
    let is_signed_alone = is_binary(|name| headers.contains_key(name)).then(|| shown.clone());
    let granted = shown.and(signed);
    if !whose.is_let_in_by(&granted) {
        return Err(Not::Granted { is_stale });
    }
    let taken = map(web, whose, &granted, is_stale, &told(headers), bytes)?;
    let (name, kind) = (taken.sender.name(), taken.sender.kind());
    // The attributes are of whoever wrote the headers, which nobody signed.
    match is_signed_alone.is_some_and(|shown| !shown.covers(name, kind)) {
        true => Err(Not::Signed),
        false => Ok(taken),
    }
}

/// Alertmanager would not understand the answer, and would send the same again at every interval.
fn is_capped(sender: &dyn AlertSource) -> bool {
    sender.kind() != "alertmanager"
}

fn too_much() -> Problem {
    Problem::overloaded(
        "More alerts come than can be written right now; nothing of this body was taken. Send it again.",
    )
}

fn binary_is_not_signed() -> Problem {
    let detail = "A signature is of the body alone, and the attributes of a binary CloudEvent stand in headers that \
                  anybody on the way may write. Send it in its structured form, or show a credential. Nothing was stored.";
    Problem::unauthorized(auth::CHALLENGE, detail)
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
    is_stale: bool,
    headers: &BTreeMap<String, String>,
    bytes: &[u8],
) -> Result<Taken, Not> {
    let redactor = web.redactor.load();
    let at = web.clock.now();
    let name = match whose {
        Whose::Of(sender) => sender.name().to_owned(),
        Whose::Any { .. } | Whose::Unknown(_) => UNKNOWN.to_owned(),
    };
    let letter = |source: String, error: &SourceError, body: String| {
        let id = EventId::new(web.entropy.uuid(at));
        Box::new(letters::of_body(id, source, error.to_string(), bytes, &body, at))
    };
    let json = form::unwrap(headers.get("content-type").map(String::as_str), bytes);
    let value = read_json(&json)
        .map_err(|error| Not::Understood(error.clone(), Some(letter(name, &error, as_text(bytes, &redactor)))))?;
    let delivery = Delivery { body: &value, raw: bytes, headers };
    let sender = match whose {
        Whose::Of(sender) => sender.clone(),
        Whose::Any { hint } => web.senders.detect(&delivery, hint.as_deref()),
        Whose::Unknown(_) => return Err(Not::Granted { is_stale }),
    };
    if !granted.covers(sender.name(), sender.kind()) {
        return Err(Not::Granted { is_stale });
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
            Err(Not::Understood(error.clone(), Some(letter(sender.name().to_owned(), &error, body))))
        }
    }
}

/// Twice the bound is redacted, so that no secret is cut in half before it is seen.
fn as_text(bytes: &[u8], redactor: &Redactor) -> String {
    let begin = bytes.get(..2 * MAX_LETTER).unwrap_or(bytes);
    redactor.text(&String::from_utf8_lossy(begin)).0.into_owned()
}
