//! Alerts become work: each gets its route and its keys, all of a body are committed together, and
//! only then is anybody answered.

use super::routes::{Route, Routes};
use crate::domain::{Clock, Digest, Entropy, EventId, InvestigationId, Severity, SreEvent};
use crate::journal::{Actor, Body, Draft, Quarantined};
use crate::sources::clean::beginning;
use crate::sources::{AlertSource as _, Alertmanager, Mapped, Normalised};
use crate::store::{Admitted, Arrival, Blob, DeadLetter, Fate, Kin, LetterKind, Store, StoreError, StormCap};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// So much of a quarantined alert is kept to be read again, in bytes.
const MAX_LETTER: usize = 64 << 10;
/// Rows that an answer shows; the counters count all.
pub const ROWS: usize = 1_000;

/// Where alerts are taken in.
#[derive(Debug)]
pub struct Intake {
    store: Arc<dyn Store>,
    routes: Arc<ArcSwap<Routes>>,
    cap: Option<StormCap>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Alerts are polled, too: those and the sent ones look for each other.
    is_polled: AtomicBool,
}

/// One alert in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The event under which it is kept, the first delivery's for a repeat; none when it is no alert.
    pub event_id: Option<EventId>,
    /// The investigation, if it belongs to one.
    pub job_id: Option<InvestigationId>,
    /// The sender.
    pub source: String,
    /// How loud.
    pub severity: Option<Severity>,
    /// Whom it concerns.
    pub subject: Option<String>,
    /// What became of it.
    pub outcome: Fate,
    /// Why it is quarantined, or no alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The alert's name.
    #[serde(skip)]
    pub alert_name: Option<String>,
}

/// How many alerts of a body met which fate. Disjoint; they sum to the alerts of the body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Those that opened an investigation.
    pub accepted: usize,
    /// Those that joined one.
    pub merged: usize,
    /// Those that ended an alert.
    pub resolved: usize,
    /// Repeats, and what is none of our business.
    pub ignored: usize,
    /// Those that could not be mapped.
    pub quarantined: usize,
}

impl Counters {
    /// Each outcome with its alerts.
    pub fn by_outcome(&self) -> [(Fate, usize); 5] {
        [
            (Fate::Opened, self.accepted),
            (Fate::Merged, self.merged),
            (Fate::Resolved, self.resolved),
            (Fate::Ignored, self.ignored),
            (Fate::Quarantined, self.quarantined),
        ]
    }

    fn count(&mut self, fate: Fate) {
        *match fate {
            Fate::Opened => &mut self.accepted,
            Fate::Merged => &mut self.merged,
            Fate::Resolved => &mut self.resolved,
            Fate::Ignored => &mut self.ignored,
            Fate::Quarantined => &mut self.quarantined,
        } += 1;
    }

    /// All alerts of the body.
    pub const fn sum(&self) -> usize {
        self.accepted + self.merged + self.resolved + self.ignored + self.quarantined
    }
}

/// The answer to a body, once everything in it is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Always `success`.
    pub status: &'static str,
    /// How many met which fate.
    #[serde(flatten)]
    pub counters: Counters,
    /// The first [`ROWS`] alerts, in the order of the body.
    #[serde(rename = "events")]
    pub rows: Vec<Row>,
    /// Alerts that `events` does not show.
    pub events_omitted: usize,
    /// Alerts that the sender itself left out of the body.
    #[serde(rename = "truncated_alerts", skip_serializing_if = "is_zero")]
    pub truncated: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Intake {
    /// An intake into `store` by `routes`.
    pub fn new(
        store: Arc<dyn Store>,
        routes: Arc<ArcSwap<Routes>>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { store, routes, cap: None, clock, entropy, is_polled: AtomicBool::new(false) }
    }

    /// The same, where a storm opens no more investigations than `cap` says.
    pub fn capped(self, cap: Option<StormCap>) -> Self {
        Self { cap, ..self }
    }

    /// The routes in force.
    pub fn routes(&self) -> Arc<Routes> {
        self.routes.load_full()
    }

    /// Puts other routes in force. Investigations that are open keep theirs.
    pub fn set_routes(&self, routes: Routes) {
        self.routes.store(Arc::new(routes));
    }

    /// Says whether alerts are polled, too.
    pub fn set_polled(&self, is_polled: bool) {
        self.is_polled.store(is_polled, Ordering::Relaxed);
    }

    /// Takes in all alerts of one body of `source`: one commit for what is mapped, one for what is
    /// quarantined, then the answer.
    ///
    /// # Errors
    /// When the store cannot commit. The sender is to repeat the body then: what was committed
    /// already is known by its delivery key and taken once.
    pub async fn accept(&self, source: &str, normalised: Normalised) -> Result<Receipt, StoreError> {
        let now = self.clock.now();
        let routes = self.routes.load();
        let mut rows = Vec::with_capacity(normalised.items.len());
        // Which of them the store decides about.
        let mut waits = Vec::with_capacity(normalised.items.len());
        let mut arrivals = vec![];
        let mut drafts = vec![];
        let (mut payloads, mut letters) = (vec![], vec![]);
        for item in normalised.items {
            match item {
                Mapped::Alert { event, raw } => {
                    rows.push(Row {
                        event_id: Some(event.id),
                        job_id: None,
                        source: event.source.clone(),
                        severity: Some(event.severity),
                        subject: Some(event.subject.clone()),
                        outcome: Fate::Ignored,
                        reason: None,
                        alert_name: Some(event.name.clone()),
                    });
                    waits.push(true);
                    let blob = Blob { reference: event.raw.clone(), salt: raw.salt, bytes: raw.bytes };
                    arrivals.push(self.arrival(*event, blob, &routes, now));
                }
                Mapped::Quarantined { index, reason, payload } => {
                    let text = payload.to_string();
                    letters.push(DeadLetter {
                        id: EventId::new(self.entropy.uuid(now)),
                        digest: Digest::of_parts([source, text.as_str()]),
                        kind: LetterKind::Alert,
                        source: source.to_owned(),
                        reason: reason.clone(),
                        body: beginning(&text, MAX_LETTER).to_owned(),
                        received_at: now,
                        times: 1,
                        replayed: None,
                    });
                    let payload = Blob::new(self.entropy.salt(), text.into_bytes());
                    let body = Body::Quarantined(Quarantined {
                        source: source.to_owned(),
                        reason: format!("alert {index}: {reason}"),
                        payload: payload.reference.clone(),
                    });
                    drafts.push(Draft::new(Actor::Sender(source.to_owned()), body));
                    payloads.push(payload);
                    rows.push(Row {
                        event_id: None,
                        job_id: None,
                        source: source.to_owned(),
                        severity: None,
                        subject: None,
                        outcome: Fate::Quarantined,
                        reason: Some(reason),
                        alert_name: None,
                    });
                    waits.push(false);
                }
                Mapped::Notice { reason, severity, subject } => {
                    rows.push(Row {
                        event_id: None,
                        job_id: None,
                        source: source.to_owned(),
                        severity: Some(severity),
                        subject,
                        outcome: Fate::Ignored,
                        reason: Some(reason),
                        alert_name: None,
                    });
                    waits.push(false);
                }
            }
        }
        let admitted = match arrivals.is_empty() {
            true => vec![],
            false => self.store.admit(arrivals, self.cap, now).await?,
        };
        if !drafts.is_empty() {
            self.store.append_system(drafts, payloads, now).await?;
            let ids = self.store.keep_letters(letters).await?;
            let quarantined = rows.iter_mut().filter(|row| row.outcome == Fate::Quarantined);
            quarantined.zip(ids).for_each(|(row, id)| row.event_id = Some(id));
        }
        Ok(receipt(rows, &waits, admitted, normalised.truncated))
    }

    fn arrival(&self, event: SreEvent, raw: Blob, routes: &Routes, now: Timestamp) -> Arrival {
        let route = routes.route_for(&event);
        let correlation_key = correlation_key(route, &event);
        Arrival {
            incident_key: Digest::of_parts([correlation_key.as_str(), &event.starts_at.to_string()]),
            correlation_key,
            route: route.name.clone(),
            candidate: InvestigationId::new(self.entropy.uuid(now)),
            kin: self.is_polled.load(Ordering::Relaxed).then(|| kin(route, &event)).flatten(),
            raw,
            event,
        }
    }
}

/// What alerts of one incident share: the labels that the route names, else the sender's group, else
/// name and namespace. Two senders never share a key; two routes do only when neither has a rule.
pub fn correlation_key(route: &Route, event: &SreEvent) -> String {
    let label = |name: &String| (name.clone(), event.labels.get(name).cloned().unwrap_or_default());
    let parts: Vec<(String, String)> = match (&route.correlate[..], &event.group_key) {
        ([], Some(group)) => return format!("{}/group:{group}", event.source),
        ([], None) => return by_name(event),
        (names, _) => names.iter().map(label).collect(),
    };
    labelled(&route.name, &parts)
}

fn by_name(event: &SreEvent) -> String {
    let namespace = event.resource.namespace.clone().unwrap_or_default();
    labelled(&event.source, &[("alertname".to_owned(), event.name.clone()), ("namespace".to_owned(), namespace)])
}

fn labelled(scope: &str, parts: &[(String, String)]) -> String {
    let pairs: Vec<String> = parts.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{scope}/labels:{}", pairs.join(","))
}

/// Alertmanager's webhook tells a group, its API none. Without a rule of the route, what comes by one way would
/// never join what came by the other, so both also go by name and namespace: but only to the other way, or
/// groups that the sender keeps apart would become one.
fn kin(route: &Route, event: &SreEvent) -> Option<Kin> {
    if !route.correlate.is_empty() || event.source != Alertmanager.name() {
        return None;
    }
    let (sent, polled) = (format!("sent/{}", by_name(event)), format!("polled/{}", by_name(event)));
    match (&event.via, &event.group_key) {
        (Some(_), None) => Some(Kin { own: polled, others: sent }),
        (None, Some(_)) => Some(Kin { own: sent, others: polled }),
        (Some(_), Some(_)) | (None, None) => None,
    }
}

/// Joins what was sent with what became of it: what is quarantined or no alert was decided already, the
/// others, which `waits` tells, are answered in their order.
fn receipt(mut rows: Vec<Row>, waits: &[bool], admitted: Vec<Admitted>, truncated: u64) -> Receipt {
    let mut counters = Counters::default();
    let mut admitted = admitted.into_iter();
    for (row, waits) in rows.iter_mut().zip(waits) {
        if *waits && let Some(answer) = admitted.next() {
            row.event_id = Some(answer.event);
            row.job_id = answer.investigation;
            row.outcome = answer.fate;
        }
        counters.count(row.outcome);
    }
    let events_omitted = rows.len().saturating_sub(ROWS);
    rows.truncate(ROWS);
    Receipt { status: "success", counters, rows, events_omitted, truncated }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn event(labels: serde_json::Value, group_key: Option<&str>) -> SreEvent {
        serde_json::from_value(json!({
            "id": "evt_00000000-0000-0000-0000-000000000001", "source": "alertmanager", "fingerprint": "f",
            "group_key": group_key, "status": "firing", "severity": "warning", "name": "A", "subject": "s",
            "resource": {"type": "unknown", "id": "", "namespace": "shop", "cluster": null}, "title": "t",
            "description": "d", "labels": labels, "annotations": {}, "starts_at": "2026-11-20T00:00:00Z",
            "ends_at": null, "received_at": "2026-11-20T00:00:00Z", "links": [],
            "raw": {"commitment": "sha256:00", "bytes": 0}, "raw_hmac": ""
        }))
        .unwrap()
    }

    #[test]
    fn the_correlation_key_is_the_rule_then_the_group_then_name_and_namespace() {
        let rule = Route { correlate: vec!["team".into(), "namespace".into()], ..Route::named("r") };
        let none = Route::named("default");
        let labels = json!({"team": "db", "namespace": "shop"});
        for (route, group, key) in [
            (&rule, Some("{}:{a=\"b\"}"), r#"r/labels:team="db",namespace="shop""#),
            (&none, Some("{}:{a=\"b\"}"), r#"alertmanager/group:{}:{a="b"}"#),
            (&none, None, r#"alertmanager/labels:alertname="A",namespace="shop""#),
        ] {
            assert_eq!(correlation_key(route, &event(labels.clone(), group)), key);
        }
        let tricky = Route { correlate: vec!["a".into(), "b".into()], ..Route::named("r") };
        let one = correlation_key(&tricky, &event(json!({"a": "1\",b=\"2"}), None));
        assert_ne!(one, correlation_key(&tricky, &event(json!({"a": "1", "b": "2"}), None)));
    }

    #[test]
    fn what_was_sent_and_what_was_polled_look_for_each_other_where_no_rule_joins_them() {
        let none = Route::named("default");
        let polled = SreEvent { via: Some("poller:am".into()), ..event(json!({}), None) };
        let found = kin(&none, &polled).unwrap();
        let grouped = kin(&none, &event(json!({}), Some("{}:{}"))).unwrap();
        assert_eq!((&found.own, &found.others), (&grouped.others, &grouped.own));
        assert_ne!(found.own, found.others);
        assert_eq!(correlation_key(&none, &polled), r#"alertmanager/labels:alertname="A",namespace="shop""#);
        // A rule makes one key of both already; another sender has no poller.
        assert_eq!(kin(&Route { correlate: vec!["team".into()], ..Route::named("r") }, &polled), None);
        assert_eq!(kin(&none, &SreEvent { source: "grafana".into(), ..event(json!({}), Some("g")) }), None);
        assert_eq!(kin(&none, &event(json!({}), None)), None);
    }

    fn fate() -> impl Strategy<Value = Fate> {
        prop::sample::select(vec![Fate::Opened, Fate::Merged, Fate::Resolved, Fate::Ignored, Fate::Quarantined])
    }

    proptest! {
        #[test]
        fn counters_sum_to_the_alerts_and_rows_keep_their_order(fates in prop::collection::vec(fate(), 0..1_500)) {
            let row = |outcome| Row {
                event_id: None, job_id: None, source: "s".into(), severity: None, subject: None, reason: None,
                alert_name: None, outcome,
            };
            let waits: Vec<bool> = fates.iter().map(|fate| *fate != Fate::Quarantined).collect();
            let rows = fates.iter().map(|f| row(if *f == Fate::Quarantined { *f } else { Fate::Ignored })).collect();
            let id = EventId::new(uuid::Uuid::from_u128(1));
            let admitted = fates.iter().filter(|f| **f != Fate::Quarantined);
            let admitted = admitted.map(|fate| Admitted { event: id, investigation: None, fate: *fate }).collect();
            let receipt = receipt(rows, &waits, admitted, 0);
            prop_assert_eq!(receipt.counters.sum(), fates.len());
            prop_assert_eq!(receipt.rows.len() + receipt.events_omitted, fates.len());
            prop_assert!(receipt.rows.iter().zip(&fates).all(|(row, fate)| row.outcome == *fate));
        }
    }
}
