//! Who may send alerts, and what JSON of one's own means.

use super::{Resolver, at};
use crate::config::senders as file;
use crate::config::tree::Step;
use crate::config::{Intake, IntakeToken};
use crate::domain::Secret;
use crate::engine::Coalesce;
use crate::http::Signed;
use crate::sources::{JsonMapping, Senders, is_reserved, mapped::Pointers};
use crate::store::StormCap;
use jiff::SignedDuration;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Longest window in which a signed request may be repeated.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Longest `intake.coalesce.at_most`.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Largest `intake.storm.per_source_per_minute`.
const MOST: u32 = 1_000_000;
/// Largest `intake.storm.max_open`.
const MOST_OPEN: u32 = 10_000;
/// What `intake.storm.window` may be.
const WINDOW: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(3600);
/// Most keys of one mapping.
const LABELS: usize = 64;

impl Resolver<'_> {
    pub(super) fn intake(&mut self) -> Intake {
        let intake = &self.loaded.file.intake;
        let mut tokens: Vec<IntakeToken> =
            intake.tokens.iter().enumerate().filter_map(|(n, token)| self.intake_token(n, token)).collect();
        if intake.tokens.is_empty()
            && let Some(value) = self.variable("FLEET_EVENTS_TOKEN")
        {
            let token = Secret::new(value, "env:FLEET_EVENTS_TOKEN");
            tokens.push(IntakeToken { source: "*".into(), token, signed: None });
        }
        let storm_per_minute = intake.storm.per_source_per_minute;
        if storm_per_minute > MOST {
            let key = at!["intake", "storm", "per_source_per_minute"];
            self.problem(key, "is more than 1000000", "120 is usual; 0 sets no cap");
        }
        let storm = self.storm_cap();
        let mut names = BTreeSet::new();
        let sources = intake.sources.clone();
        sources.iter().enumerate().for_each(|(n, source)| self.source(n, source, &mut names));
        let coalesce = self.coalesce();
        Intake { tokens, allow_anonymous: intake.allow_anonymous, storm_per_minute, storm, coalesce, sources }
    }

    fn coalesce(&mut self) -> Coalesce {
        let of = &self.loaded.file.intake.coalesce;
        let (wait, at_most) = (of.wait.0, of.at_most.0);
        if at_most > LONGEST_WAIT {
            self.problem(at!["intake", "coalesce", "at_most"], "is more than 1h", "2m is usual");
        }
        if wait > at_most {
            let help = "write `at_most` as well: the longest that an incident may wait in all";
            self.problem(at!["intake", "coalesce", "wait"], "is longer than `at_most`", help);
        }
        let signed = |duration: Duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::ZERO);
        Coalesce { wait: signed(wait), at_most: signed(at_most) }
    }

    fn storm_cap(&mut self) -> Option<StormCap> {
        let (max_open, window) = (self.loaded.file.intake.storm.max_open, self.loaded.file.intake.storm.window.0);
        if max_open == 1 || max_open > MOST_OPEN {
            let help = "50 is usual; 0 sets no cap; with 1 nothing would be investigated by itself";
            self.problem(at!["intake", "storm", "max_open"], format!("is not 0 or between 2 and {MOST_OPEN}"), help);
        }
        if !WINDOW.contains(&window) {
            self.problem(at!["intake", "storm", "window"], "is not between 1m and 1h", "10m is usual");
        }
        let window = SignedDuration::try_from(window).unwrap_or(SignedDuration::from_mins(10));
        (max_open > 0).then_some(StormCap { max_open, window })
    }

    fn intake_token(&mut self, n: usize, token: &file::IntakeToken) -> Option<IntakeToken> {
        let key = |key: &'static str| at!["intake", "tokens", n, key].to_vec();
        let (secret, signed) = match (&token.token, &token.hmac) {
            (Some(shown), None) => (self.secret(&key("token"), shown), None),
            (None, Some(hmac)) => {
                let usual = Signed::of(&token.source);
                let signed = Signed {
                    header: token.header.as_ref().map_or(usual.header, |name| name.to_ascii_lowercase()),
                    timestamp_header: token.timestamp_header.as_ref().map(|name| name.to_ascii_lowercase()),
                    tolerance: token.tolerance.0,
                };
                (self.secret(&key("hmac"), hmac), Some(signed))
            }
            (None, None) | (Some(_), Some(_)) => {
                let help = "`token` is shown in a header, `hmac` is the key of a signature";
                self.problem(at!["intake", "tokens", n], "needs either `token` or `hmac`", help);
                return None;
            }
        };
        for (name, header) in [("header", &token.header), ("timestamp_header", &token.timestamp_header)] {
            let Some(header) = header else { continue };
            if signed.is_none() {
                self.problem(&key(name), "stands beside `token`", "it belongs to `hmac`; take it out");
            }
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if header.is_empty() || header.len() > 100 || !header.chars().all(is_name) {
                self.problem(&key(name), "is no name of a header", "`X-Signature` for instance");
            }
        }
        if !(Duration::from_secs(1)..=LONGEST).contains(&token.tolerance.0) {
            self.problem(&key("tolerance"), "is not between 1s and 24h", "5m is usual");
        }
        Some(IntakeToken { source: token.source.clone(), token: secret, signed })
    }

    fn source(&mut self, n: usize, source: &JsonMapping, names: &mut BTreeSet<String>) {
        let key = |key: &'static str| at!["intake", "sources", n, key].to_vec();
        self.name(&key("name"), &source.name, names);
        if Senders::default().named(&source.name).is_some() || source.name == "alert" {
            self.problem(&key("name"), format!("is taken: `{}` is built in", source.name), "give it another name");
        }
        if is_reserved(&source.name) {
            let help = "give it another name: `unknown` is whose sender is not known, `poller:` begins what was polled";
            self.problem(&key("name"), format!("is reserved: `{}`", source.name), help);
        }
        let Pointers { name, subject, summary, description, .. } = &source.fields;
        if [name, subject, summary, description].iter().all(|field| field.is_none()) {
            let help = "add at least one of `name`, `subject`, `summary` and `description`: a JSON pointer, `/check/name` for \
                        instance";
            self.problem(&key("fields"), "do not say what an alert is", help);
        }
        for (field, pointer) in source.fields.each() {
            self.pointer(at!["intake", "sources", n, "fields", field], pointer);
        }
        self.pointer(&key("alerts"), source.alerts.as_deref());
        if source.labels.len() > LABELS {
            self.problem(&key("labels"), "are more than 64", "map what routes and policies look at");
        }
        for (label, pointer) in &source.labels {
            self.pointer(at!["intake", "sources", n, "labels", label.as_str()], Some(pointer));
        }
    }

    fn pointer(&mut self, key: &[Step], pointer: Option<&str>) {
        let wrong = |text: &str| !text.is_empty() && !text.starts_with('/') || text.len() > 500;
        if pointer.is_some_and(wrong) {
            self.problem(key, "is no JSON pointer", "begin with a slash and name key after key: `/event/host`");
        }
    }
}
