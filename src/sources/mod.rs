//! L2: senders' formats. One file per sender turns a body into alerts in our words.
//!
//! - [`form`]: JSON that came in a form is taken out of it
//! - [`json`]: a body becomes a JSON value, within bounds, or says why not
//! - [`clean`]: the one place where text from outside is cut and redacted, before anything is kept
//! - [`draft`]: what a sender's file found out about an alert becomes our event
//! - [`fields`], [`times`]: fields, words and times as senders write them
//! - [`resource`]: what an alert is about, by its labels, its name and its text
//! - [`alertmanager`], [`cloudevents`], [`datadog`], [`generic`], [`grafana`], [`opsgenie`], [`pagerduty`], [`sentry`],
//!   [`uptime_kuma`]: one sender each
//! - [`mapped`]: any JSON, by a mapping of the configuration
//! - [`senders`]: all of them, by name and by the shape of a body
//!
//! One alert that makes no sense is quarantined with its reason, and the others of the body go on.

pub mod alertmanager;
pub mod clean;
pub mod cloudevents;
pub mod datadog;
mod draft;
mod fields;
pub mod form;
pub mod generic;
pub mod grafana;
pub mod json;
pub mod mapped;
pub mod opsgenie;
pub mod pagerduty;
pub mod resource;
pub mod senders;
pub mod sentry;
mod times;
pub mod uptime_kuma;

pub use alertmanager::Alertmanager;
pub use generic::Generic;
pub(crate) use generic::{UNKNOWN, is_reserved, sender_name};
pub use json::read_json;
pub use mapped::JsonMapping;
pub use senders::Senders;

use crate::domain::{Entropy, Redactor, Severity, SreEvent};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// Most alerts of one body.
pub const MAX_ALERTS: usize = 20_000;

/// Why nothing could be made of a body. The texts are answers to the sender: they say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// It is nested too deeply; refused before anything looked at it.
    #[error("the body is nested deeper than {limit} levels. Send plain alert JSON; nothing else is read here.")]
    TooDeep {
        /// Most levels.
        limit: usize,
    },
    /// It is no JSON, not even with broken characters replaced.
    #[error("the body is not JSON: {why}. Send one JSON document, whatever the Content-Type.")]
    NotJson {
        /// What the parser said.
        why: String,
    },
    /// One key stands twice in an object of it: readers differ in which of the two counts.
    #[error(
        "the body has the key `{key}` twice in one object, and it cannot be told which is meant. Send each key once."
    )]
    Ambiguous {
        /// The key.
        key: String,
    },
    /// It is JSON, but nothing that could hold an alert.
    #[error("the body is {found}, and no alert can be in that. Send the sender's own JSON object.")]
    Nothing {
        /// What it is.
        found: &'static str,
    },
    /// It is JSON, but not of this sender.
    #[error(
        "nothing was recognised: {expected}, and this body is {found}. Check which path the sender is configured for; a body \
         of the sender's own making needs a mapping in `intake.sources`."
    )]
    NotRecognised {
        /// What would have been understood.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// It holds too many alerts.
    #[error(
        "the body holds {alerts} alerts, and at most {limit} are taken at once. Set `max_alerts` at the receiver, or group by more labels."
    )]
    TooMany {
        /// How many.
        alerts: usize,
        /// How many would be taken.
        limit: usize,
    },
}

/// What a mapping may use: no clock and no dice of its own.
#[derive(Debug, Clone, Copy)]
pub struct Mapping<'a> {
    /// When the body was received.
    pub at: Timestamp,
    /// Where ids and salts come from.
    pub entropy: &'a dyn Entropy,
    /// What blanks out secrets.
    pub redactor: &'a Redactor,
    /// The key under which the original bytes are vouched for.
    pub hmac_key: &'a [u8],
}

/// A payload that an event commits to, with its salt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The salt of the commitment.
    pub salt: [u8; 16],
    /// The payload: redacted JSON.
    pub bytes: Vec<u8>,
}

/// What became of one alert of a body.
#[derive(Debug, Clone, PartialEq)]
pub enum Mapped {
    /// An alert in our words.
    Alert {
        /// The alert.
        event: Box<SreEvent>,
        /// Its full form as received, redacted; `event.raw` commits to it.
        raw: Kept,
    },
    /// It could not be mapped.
    Quarantined {
        /// Its place in the body, from 0.
        index: usize,
        /// Why, for people.
        reason: String,
        /// The alert, redacted.
        payload: Value,
    },
    /// It is understood and is no alert: a test, an acknowledgement, maintenance.
    Notice {
        /// What it is, for people.
        reason: String,
        /// How loud it would be.
        severity: Severity,
        /// Whom it concerns.
        subject: Option<String>,
    },
}

/// All alerts of a body, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Normalised {
    /// One for each alert of the body.
    pub items: Vec<Mapped>,
    /// Alerts that the sender itself left out.
    pub truncated: u64,
    /// What names the group, where alerts of it were left out.
    pub group: Option<Group>,
}

/// A group of Alertmanager's, as its own API is asked for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The receiver that was told.
    pub receiver: Option<String>,
    /// The labels that its alerts share.
    pub labels: BTreeMap<String, String>,
    /// Its key, by which its alerts belong together.
    pub key: Option<String>,
    /// Where the sender says that it is.
    pub external_url: Option<String>,
}

static NO_HEADERS: BTreeMap<String, String> = BTreeMap::new();

/// A body, and what was said beside it.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The body, parsed.
    pub body: &'a Value,
    /// The body as it came.
    pub raw: &'a [u8],
    /// Headers by their names in lower case.
    pub headers: &'a BTreeMap<String, String>,
}

impl<'a> Delivery<'a> {
    /// A body of which nothing else is known.
    pub fn plain(body: &'a Value, raw: &'a [u8]) -> Self {
        Self { body, raw, headers: &NO_HEADERS }
    }

    /// The header called `name`.
    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A sender's format.
///
/// Contract: every alert of a body is answered by exactly one [`Mapped`], in order; every text in it
/// is redacted and bounded; nothing panics, whatever the body holds.
pub trait AlertSource: Send + Sync + std::fmt::Debug {
    /// The sender's name, as events carry it.
    fn name(&self) -> &str {
        self.kind()
    }

    /// The name of its kind in the figures: one of a few, whatever callers say.
    fn kind(&self) -> &'static str;

    /// Whether the body has this sender's shape and no other's.
    fn recognises(&self, delivery: &Delivery<'_>) -> bool;

    /// Refuses a body without this sender's shape; `expected` says what that is.
    ///
    /// # Errors
    /// When it has not.
    fn is_of_its_shape(&self, delivery: &Delivery<'_>, expected: &'static str) -> Result<(), SourceError> {
        let found = match delivery.body {
            _ if self.recognises(delivery) => return Ok(()),
            Value::Object(_) => "another object",
            other => kind_of(other),
        };
        Err(SourceError::NotRecognised { expected, found })
    }

    /// The body that would hold `alert` alone, as one of this sender's stands in it.
    fn around(&self, alert: Value) -> Value {
        alert
    }

    /// Maps the delivery.
    ///
    /// # Errors
    /// When the body as a whole is none of this sender's.
    fn normalise(&self, delivery: &Delivery<'_>, mapping: &Mapping<'_>) -> Result<Normalised, SourceError>;
}

/// What a value is, for people.
pub(crate) const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
