//! Why and when what was reported goes on to a further revision.

use super::state::Investigation;
use crate::domain::{AlertStatus, Class, Risk, SreEvent};
use jiff::{SignedDuration, Timestamp};

/// The correlation key of a storm: no alert has it, since those begin with a sender or a route and say what
/// their alerts share.
pub const STORM_KEY: &str = "storm/";
/// The route of a storm: it is nobody's alone, so it takes the one that takes the rest.
pub const STORM_ROUTE: &str = "default";
/// What a storm is called where an alert's name stands.
pub const STORM_ALERT: &str = "AlertStorm";
/// What a storm is called where its subject stands.
pub const STORM_SUBJECT: &str = "storm";
/// Revisions of a storm lie so far apart, however many alerts join it.
pub const STORM_REST: SignedDuration = SignedDuration::from_mins(5);
/// Revisions on what comes and goes lie so far apart.
pub const FLAP_REST: SignedDuration = SignedDuration::from_mins(30);

/// What a later alert asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Again {
    pub(super) reason: String,
    /// Not before then; at once without one.
    pub(super) from: Option<Timestamp>,
}

impl Again {
    fn now(reason: String) -> Self {
        Self { reason, from: None }
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now)
    }
}

impl Investigation {
    /// Whether it stands for all causes beyond the cap.
    pub fn is_storm(&self) -> bool {
        self.correlation_key == STORM_KEY
    }

    /// The name of what it is about: its opening alert's, unless it is a storm.
    pub fn alert(&self) -> &str {
        if self.is_storm() { STORM_ALERT } else { self.opening().map_or("", |event| &event.name) }
    }

    /// Whom it concerns: whom its opening alert concerns, unless it is a storm.
    pub fn subject(&self) -> &str {
        if self.is_storm() { STORM_SUBJECT } else { self.opening().map_or("", |event| &event.subject) }
    }

    /// It comes and goes, whatever kind of incident it is beside that.
    pub(super) fn flaps(&self) -> bool {
        self.flapping || self.class == Some(Class::ServiceFlapping)
    }

    /// Takes in what became known of its alerts.
    pub(super) fn classify(&mut self, flapping: bool) {
        self.flapping |= flapping;
        self.class = self.class_now();
    }
}

/// Why what was reported goes on: a later alert raised the risk, names something that the report does not
/// know, comes and goes, or joined a storm.
pub(super) fn again(inv: &Investigation) -> Option<Again> {
    if inv.cancelled.is_some() {
        let critical = inv.risk == Some(Risk::Critical) && inv.declined.is_none();
        return critical.then(|| Again::now("a later alert raised the risk to CRITICAL".to_owned()));
    }
    let report = inv.report.as_ref()?;
    let (known, later) = inv.events.split_at(report.events.min(inv.events.len()));
    // Which of the counted ones are over is not known: those that fire may be earlier ones.
    let counted = inv.counted.alerts.len().saturating_sub(report.counted).min(inv.counted.firing);
    let firing = |event: &&SreEvent| event.status == AlertStatus::Firing;
    let storm = || {
        // Each is a cause of its own, and people have to hear of it, whoever looks into it.
        let joined = later.iter().filter(firing).count() + counted;
        let reason = format!("the storm goes on: {joined} further alerts joined it");
        (joined > 0).then_some(Again { reason, from: Some(report.at + STORM_REST) })
    };
    let flapping = || {
        let back = later.iter().rfind(firing);
        if !inv.flaps() || (back.is_none() && counted == 0) {
            return None;
        }
        let name = &back.or(inv.opening())?.name;
        let again =
            back.map_or(format!("{counted} further alerts"), |back| format!("it fires again since {}", back.starts_at));
        let reason = format!("{name} comes and goes: {again}");
        // That it does so is news once; how often, now and then.
        Some(Again { reason, from: report.flapping.then(|| report.at + FLAP_REST) })
    };
    if inv.declined.is_some() {
        // Nobody looks into it, so what people are told is all that happens.
        return if inv.is_storm() { storm() } else { flapping() };
    }
    if inv.risk > report.risk {
        let level = inv.risk.map_or("unknown", Risk::as_str);
        return Some(Again::now(format!("a later alert raised the risk to {level}")));
    }
    if inv.is_storm() {
        return storm();
    }
    let is_new =
        |event: &&SreEvent| !event.resource.id.is_empty() && known.iter().all(|k| k.resource != event.resource);
    if let Some(new) = later.iter().filter(firing).find(is_new) {
        let reason = format!("{} names {}, which the report does not know", new.name, new.resource.id);
        return Some(Again::now(reason));
    }
    // What is only counted may name something new, too.
    let unread = (counted > 0 && inv.is_told_apart_in_full()).then(|| Again {
        reason: format!("{counted} further alerts joined, more than are told apart"),
        from: Some(report.at + FLAP_REST),
    });
    flapping().or(unread)
}
