//! What a sender's file found out about an alert becomes our event: the same for all senders.

use super::clean::{LabelBounds, beginning, one_line};
use super::resource::resource;
use super::{Kept, Mapped, Mapping};
use crate::domain::{AlertStatus, BlobRef, Digest, EventId, Link, Severity, SreEvent};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::Sha256;
use std::collections::BTreeMap;

/// Longest name, subject, fingerprint, in bytes.
pub(super) const MAX_NAME: usize = 256;
/// Longest group key, in bytes: it holds the matchers of a whole branch of routes.
pub(super) const MAX_GROUP_KEY: usize = 8 << 10;
/// Longest address that is kept.
pub(super) const MAX_URL: usize = 4 << 10;
/// Where what we have to say about an alert stands among its annotations.
pub(super) const NOTE: &str = "firewarden_note";

/// One alert, as its sender's file read it. All texts are redacted already.
#[derive(Debug)]
pub(super) struct Draft {
    /// Firing or resolved.
    pub status: AlertStatus,
    /// How loud it is while it fires; without it, by the label `severity`.
    pub severity: Option<Severity>,
    /// The sender's identity of the alert; without it, made of the labels.
    pub fingerprint: Option<String>,
    /// The sender's group.
    pub group_key: Option<String>,
    /// Its name; without it, the label `alertname`, else what is said.
    pub name: Option<String>,
    /// Whom it concerns; without it, a label.
    pub subject: Option<String>,
    /// Labels; other values than texts become texts.
    pub labels: Map<String, Value>,
    /// Free text; `summary` and `description` are what is said.
    pub annotations: Map<String, Value>,
    /// Start of the episode, where the sender knows it.
    pub starts_at: Option<Timestamp>,
    /// End of the episode, where the sender knows it.
    pub ends_at: Option<Timestamp>,
    /// Addresses by what they are.
    pub links: Vec<(&'static str, Option<String>)>,
    /// What is to be noted about it.
    pub notes: Vec<String>,
}

impl Draft {
    /// One of which nothing is known but whether it holds.
    pub(super) fn new(status: AlertStatus) -> Self {
        Self {
            status,
            severity: None,
            fingerprint: None,
            group_key: None,
            name: None,
            subject: None,
            labels: Map::new(),
            annotations: Map::new(),
            starts_at: None,
            ends_at: None,
            links: vec![],
            notes: vec![],
        }
    }

    /// Adds a label, if there is a value and the sender has none of this name.
    pub(super) fn label(&mut self, key: &str, value: Option<&str>) {
        set(&mut self.labels, key, value);
    }

    /// Adds an annotation, if there is a value and the sender has none of this name.
    pub(super) fn annotation(&mut self, key: &str, value: Option<&str>) {
        set(&mut self.annotations, key, value);
    }

    /// The event of `source`, made of `alert`, the full alert, redacted; `raw_hmac` vouches for what came.
    pub(super) fn finish(
        mut self,
        source: &str,
        alert: &Value,
        raw_hmac: &str,
        mapping: &Mapping<'_>,
    ) -> Result<Mapped, String> {
        // By these two, routes and policies know alerts of every sender.
        let (name, severity) = (self.name.clone(), self.severity);
        self.label("alertname", name.as_deref());
        self.label("severity", severity.map(Severity::as_str));
        let mut bounds = LabelBounds::default();
        let (labels, labels_left_out) = bounds.take(&self.labels);
        let (mut annotations, annotations_left_out) = bounds.take(&self.annotations);
        // Two that are longer than the room for them may begin alike.
        let fitting = |text: String| match text.len() > MAX_NAME {
            true => Digest::of(&text).short(32).to_owned(),
            false => one_line(&text, MAX_NAME),
        };
        let given = self.fingerprint.map(fitting).filter(|text| !text.is_empty());
        if labels.is_empty() && annotations.is_empty() && given.is_none() {
            return Err(
                "the alert has neither labels nor annotations nor a fingerprint: nothing says what it is".into()
            );
        }
        // A text that nobody can see says nothing.
        let seen = |text: &&str| !one_line(text, MAX_NAME).is_empty();
        let label = |key: &str| labels.get(key).map(String::as_str).filter(seen);
        let annotation = |key: &str| annotations.get(key).map(String::as_str).filter(seen);
        let said = annotation("summary").or_else(|| annotation("description"));
        let own_name = self.name.as_deref().filter(seen).or_else(|| label("alertname"));
        let name = own_name.or(said).unwrap_or("unnamed alert");
        let by_label = || ["service", "instance", "job"].iter().find_map(|key| label(key));
        let subject = self.subject.as_deref().filter(seen).or_else(by_label).unwrap_or(name);
        let text = [annotation("summary"), annotation("description")].map(Option::unwrap_or_default).join("\n");
        let resource = resource(&labels, name, &text);
        let description = match &resource.namespace {
            Some(namespace) => format!("[{namespace}] {}", said.unwrap_or(name)),
            None => said.unwrap_or(name).to_owned(),
        };
        let severity = match self.status {
            AlertStatus::Resolved => Severity::Info,
            AlertStatus::Firing => {
                severity.unwrap_or_else(|| Severity::from_sender(labels.get("severity").map_or("", String::as_str)))
            }
        };
        let name = one_line(name, MAX_NAME);
        let subject = one_line(subject, MAX_NAME);
        let title = one_line(said.unwrap_or(&name), MAX_NAME);
        let notes = [(labels_left_out, "labels"), (annotations_left_out, "annotations")];
        let notes = notes.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what} were left out"));
        let notes: Vec<String> = notes.chain(self.notes).collect();
        if !notes.is_empty() {
            annotations.insert(NOTE.to_owned(), notes.join("; "));
        }
        let bytes =
            serde_json::to_vec(alert).map_err(|error| format!("the alert cannot be written as JSON: {error}"))?;
        let raw = Kept { salt: mapping.entropy.salt(), bytes };
        let links = self.links.into_iter();
        let event = SreEvent {
            id: EventId::new(mapping.entropy.uuid(mapping.at)),
            source: source.to_owned(),
            fingerprint: given.unwrap_or_else(|| fingerprint_of(source, &labels, &subject)),
            group_key: self.group_key,
            status: self.status,
            severity,
            name,
            subject,
            resource,
            title,
            description,
            labels,
            annotations,
            starts_at: self.starts_at.unwrap_or(mapping.at),
            ends_at: match self.status {
                AlertStatus::Firing => None,
                AlertStatus::Resolved => Some(self.ends_at.unwrap_or(mapping.at)),
            },
            received_at: mapping.at,
            links: links
                .filter_map(|(rel, url)| {
                    url.filter(|url| is_web_address(url)).map(|url| Link { rel: rel.to_owned(), url })
                })
                .collect(),
            raw: BlobRef::commit(&raw.salt, &raw.bytes),
            raw_hmac: raw_hmac.to_owned(),
            via: None,
            ended_by: None,
        };
        Ok(Mapped::Alert { event: Box::new(event), raw })
    }
}

fn set(map: &mut Map<String, Value>, key: &str, value: Option<&str>) {
    if let Some(value) = value.filter(|value| !value.trim().is_empty()) {
        map.entry(key).or_insert_with(|| value.into());
    }
}

/// Only addresses that a page may link to: nothing that runs, nothing that hides its end.
fn is_web_address(url: &str) -> bool {
    let lower = beginning(url, 8).to_ascii_lowercase();
    (lower.starts_with("http://") || lower.starts_with("https://"))
        && url.len() <= MAX_URL
        && !url.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// What identifies an alert whose sender gives no fingerprint.
fn fingerprint_of(source: &str, labels: &BTreeMap<String, String>, subject: &str) -> String {
    let parts = [source].into_iter().chain(labels.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]));
    let digest = match labels.is_empty() {
        true => Digest::of_parts([source, subject]),
        false => Digest::of_parts(parts),
    };
    digest.short(16).to_owned()
}

/// HMAC-SHA256 in hexadecimal.
pub(super) fn hmac_hex(key: &[u8], bytes: &[u8]) -> String {
    // HMAC takes a key of any length; the error is for ciphers that do not.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(bytes);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
