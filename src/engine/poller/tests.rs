//! Polls against a peer that answers as it is told to, into a real store.

use super::*;
use crate::edge::EdgeError;
use crate::edge::http::tests::{Asked, http, peer};
use crate::edge::{EdgeErrorKind, SystemEntropy};
use crate::engine::routes::{Route, Routes};
use crate::sources::Mapping;
use crate::store::sqlite::SqliteStore;
use crate::store::{EventFilter, Events as _, Page, Polls as _, StoreReader as _, StoredEvent};
use jiff::SignedDuration;
use std::sync::Mutex;

#[derive(Debug)]
struct ByHand(Mutex<Timestamp>);

impl Clock for ByHand {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

impl ByHand {
    fn forward(&self, seconds: i64) {
        *self.0.lock().unwrap() += SignedDuration::from_secs(seconds);
    }
}

/// What the Alertmanager answers.
#[derive(Clone)]
struct Answers {
    status: u16,
    alerts: String,
    started: Option<&'static str>,
}

struct World {
    folder: tempfile::TempDir,
    answers: Arc<Mutex<Answers>>,
    asked: Asked,
    address: String,
    store: Arc<SqliteStore>,
    intake: Arc<Intake>,
    clock: Arc<ByHand>,
    noting: Arc<tokio::sync::Mutex<()>>,
}

const STARTED: &str = "2026-11-20T23:00:00.000Z";

fn alert(name: &str, starts_at: &str) -> Value {
    json!({
        "labels": {"alertname": name, "namespace": "shop", "severity": "warning", "service": name},
        "annotations": {"summary": "s3cr3t-value"}, "fingerprint": format!("f-{name}"), "startsAt": starts_at,
        "endsAt": "2026-11-20T23:38:00.098Z", "updatedAt": "2026-11-20T23:34:00Z", "generatorURL": "http://p",
        "receivers": [{"name": "r"}], "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
    })
}

fn silenced(mut alert: Value) -> Value {
    alert["status"] = json!({"state": "suppressed", "silencedBy": ["s"], "inhibitedBy": []});
    alert
}

const EARLY: &str = "2026-11-20T23:30:30.098Z";

impl World {
    async fn new(routes: Vec<Route>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let answers = Answers { status: 200, alerts: "[]".into(), started: Some(STARTED) };
        let answers = Arc::new(Mutex::new(answers));
        let shared = answers.clone();
        let (address, asked) = peer(move |request| {
            let Answers { status, alerts, started } = shared.lock().unwrap().clone();
            match (request.starts_with("GET /api/v2/status"), started) {
                (true, Some(started)) => {
                    http(200, "application/json", json!({"uptime": started}).to_string().as_bytes())
                }
                (true, None) => http(404, "text/plain", b"404 page not found"),
                (false, _) => http(status, "application/json", alerts.as_bytes()),
            }
        });
        let store = Arc::new(SqliteStore::open(&folder.path().join("x.db"), &SystemEntropy::default()).await.unwrap());
        let clock = Arc::new(ByHand(Mutex::new("2026-11-21T00:00:00Z".parse().unwrap())));
        let routes = Arc::new(ArcSwap::from_pointee(Routes::new(routes).unwrap()));
        let intake = Arc::new(Intake::new(store.clone(), routes, clock.clone(), Arc::new(SystemEntropy::default())));
        intake.set_polled(true);
        Self { folder, answers, asked, address, store, intake, clock, noting: Arc::default() }
    }

    fn poller(&self, name: &str) -> Poller {
        Poller {
            name: name.into(),
            reader: AlertmanagerReader::new(&self.address, None).unwrap(),
            matchers: vec![],
            severities: vec![],
            every: Duration::from_secs(60),
            sightings: Mutex::default(),
            shared: Shared {
                intake: self.intake.clone(),
                store: self.store.clone(),
                redactor: Arc::new(ArcSwap::from_pointee(Redactor::new(["s3cr3t-value"]).unwrap())),
                hmac_key: (*b"key").into(),
                clock: self.clock.clone(),
                entropy: Arc::new(SystemEntropy::default()),
                places: Arc::new(Semaphore::new(1)),
                noting: self.noting.clone(),
            },
        }
    }

    fn tells(&self, alerts: &[Value]) {
        self.answers.lock().unwrap().alerts = Value::from(alerts.to_vec()).to_string();
    }

    fn answers(&self, change: impl Fn(&mut Answers)) {
        change(&mut self.answers.lock().unwrap());
    }

    /// A webhook's body, taken in.
    async fn sent(&self, group: Option<&str>, alerts: Vec<Value>) -> Receipt {
        let body = json!({"version": "4", "status": "firing", "groupKey": group, "alerts": alerts});
        let (redactor, entropy) = (Redactor::new([""; 0]).unwrap(), SystemEntropy::default());
        let mapping = Mapping { at: self.clock.now(), entropy: &entropy, redactor: &redactor, hmac_key: b"key" };
        let raw = body.to_string().into_bytes();
        let normalised = Alertmanager.normalise(&Delivery::plain(&body, &raw), &mapping).unwrap();
        self.intake.accept("alertmanager", normalised).await.unwrap()
    }

    async fn events(&self) -> Vec<StoredEvent> {
        let Page { items, .. } =
            self.store.events(&EventFilter { limit: 100, ..EventFilter::default() }).await.unwrap();
        items
    }

    /// Each alert with how it stands, by name.
    async fn stands(&self) -> Vec<String> {
        let mut all: Vec<String> =
            self.events().await.iter().map(|row| format!("{} {}", row.event.name, row.event.status)).collect();
        all.sort();
        all
    }
}

/// accepted, merged, resolved, ignored, quarantined.
fn counts(polled: &Polled) -> [usize; 5] {
    polled.receipt.as_ref().map_or([0; 5], |receipt| receipt.counters.by_outcome().map(|(_, n)| n))
}

fn sent_alert(name: &str, starts_at: &str, status: &str) -> Value {
    let mut alert = alert(name, starts_at);
    alert["status"] = status.into();
    alert["endsAt"] = "0001-01-01T00:00:00Z".into();
    alert
}

#[tokio::test]
async fn what_fires_is_taken_in_once_and_what_is_not_told_any_more_is_over() {
    let world = World::new(vec![]).await;
    let poller = world.poller("am");
    world.tells(&[alert("A", EARLY), alert("B", EARLY), silenced(alert("C", EARLY))]);
    let first = poller.poll().await.unwrap();
    assert_eq!((first.told, counts(&first), first.lacks), (3, [2, 0, 0, 0, 0], None));
    let kept = world.events().await;
    assert!(kept.iter().all(|row| row.event.via.as_deref() == Some("poller:am") && row.event.source == "alertmanager"));
    assert!(kept.iter().all(|row| row.event.description.contains("[redacted]")), "{kept:#?}");
    // Told again, nothing is written.
    let again = poller.poll().await.unwrap();
    assert_eq!((again.receipt, world.stands().await), (None, vec!["A firing".to_owned(), "B firing".into()]));
    // A becomes silenced, B ends, C is not silenced any more.
    world.tells(&[silenced(alert("A", EARLY)), alert("C", EARLY)]);
    world.clock.forward(60);
    assert_eq!(counts(&poller.poll().await.unwrap()), [1, 0, 1, 0, 0]);
    assert_eq!(world.stands().await, ["A firing", "B resolved", "C firing"]);
    let ended = world.events().await.into_iter().find(|row| row.event.name == "B").unwrap();
    assert_eq!(ended.event.ends_at, Some(world.clock.now()));
    // A new episode between two polls: the one before is over, and the new one is another alert.
    world.tells(&[silenced(alert("A", EARLY)), alert("C", "2026-11-20T23:50:00Z")]);
    assert_eq!(counts(&poller.poll().await.unwrap()), [0, 1, 1, 0, 0]);
    world.tells(&[]);
    assert_eq!(counts(&poller.poll().await.unwrap()), [0, 0, 2, 0, 0]);
    assert!(world.stands().await.iter().all(|stands| stands.ends_with("resolved")));
    assert!(world.store.noted("am").await.unwrap().is_empty());
    assert!(world.asked.lock().unwrap().iter().any(|asked| asked.contains("silenced=true")));
}

#[tokio::test]
async fn a_restarted_server_knows_what_was_polled() {
    let world = World::new(vec![]).await;
    world.tells(&[alert("A", EARLY), alert("B", EARLY)]);
    world.poller("am").poll().await.unwrap();
    let World { folder, answers, asked, address, store, intake, clock, noting } = world;
    drop((store, intake));
    let store = Arc::new(SqliteStore::open(&folder.path().join("x.db"), &SystemEntropy::default()).await.unwrap());
    let routes = Arc::new(ArcSwap::from_pointee(Routes::default()));
    let intake = Arc::new(Intake::new(store.clone(), routes, clock.clone(), Arc::new(SystemEntropy::default())));
    let world = World { folder, answers, asked, address, store, intake, clock, noting };
    // A ended while nobody asked, C began.
    world.tells(&[alert("B", EARLY), alert("C", EARLY)]);
    assert_eq!(counts(&world.poller("am").poll().await.unwrap()), [1, 0, 1, 0, 0]);
    assert_eq!(world.stands().await, ["A resolved", "B firing", "C firing"]);
}

#[tokio::test]
async fn a_poll_that_fails_or_lacks_something_ends_nothing() {
    let world = World::new(vec![]).await;
    let poller = world.poller("am");
    world.tells(&[alert("A", EARLY), alert("B", EARLY)]);
    poller.poll().await.unwrap();
    for (status, body) in [
        (200, "{}"),
        (200, "null"),
        (200, "\"oops\""),
        (200, "{\"status\":\"success\",\"data\":[]}"),
        (200, "<html>[]</html>"),
        (200, ""),
        (204, ""),
        (400, "\"bad matcher\""),
        (401, "no"),
        (404, "404 page not found"),
        (503, ""),
    ] {
        world.answers(|answers| {
            answers.status = status;
            answers.alerts = body.into();
        });
        let error = poller.poll().await.unwrap_err();
        assert!(matches!(&error, ToldError::Edge(_)), "{status} {body}: {error}");
        if status == 200 {
            assert_eq!(error.kind(), format!("{:?}", EdgeErrorKind::BadBody), "{body}: {error}");
        }
    }
    world.answers(|answers| answers.status = 200);
    // One of them makes no sense: it may be A.
    world.tells(&[alert("B", EARLY), json!({"labels": {}, "status": {"state": "active"}}), alert("C", EARLY)]);
    let partly = poller.poll().await.unwrap();
    assert_eq!((counts(&partly), partly.lacks.is_some_and(|lacks| lacks.is_unreadable)), ([1, 0, 0, 0, 0], true));
    // More than can be taken in at once: the first are, and nothing is over.
    let many: Vec<Value> = (0..MAX_ALERTS + 1).map(|n| silenced(alert(&format!("N{n}"), EARLY))).collect();
    world.tells(&many);
    let cut = poller.poll().await.unwrap();
    assert_eq!((cut.told, cut.lacks.map(|lacks| lacks.left_out)), (MAX_ALERTS + 1, Some(1)));
    assert_eq!(world.stands().await, ["A firing", "B firing", "C firing"]);
    world.tells(&[]);
    assert_eq!(counts(&poller.poll().await.unwrap()), [0, 0, 3, 0, 0]);
}

#[tokio::test]
async fn an_alertmanager_that_was_started_anew_is_given_time() {
    let world = World::new(vec![]).await;
    let poller = world.poller("am");
    world.tells(&[alert("A", EARLY), alert("B", EARLY)]);
    poller.poll().await.unwrap();
    // It started again a moment ago, and Prometheus has told it of B alone.
    world.answers(|answers| answers.started = Some("2026-11-21T00:00:00.000Z"));
    world.tells(&[alert("B", EARLY)]);
    let young = poller.poll().await.unwrap();
    assert_eq!((counts(&young), young.waiting), ([0; 5], 1));
    // What the new one told itself is over as soon as it does not tell it any more.
    world.tells(&[]);
    let later = poller.poll().await.unwrap();
    assert_eq!((counts(&later), later.waiting), ([0, 0, 1, 0, 0], 1));
    assert_eq!(world.stands().await, ["A firing", "B resolved"]);
    world.clock.forward(judge::GRACE.as_secs());
    assert_eq!(counts(&poller.poll().await.unwrap()), [0, 0, 1, 0, 0]);
    // One that does not say since when it runs is taken at its word.
    world.tells(&[alert("C", EARLY)]);
    world.answers(|answers| answers.started = None);
    poller.poll().await.unwrap();
    world.tells(&[]);
    assert_eq!(counts(&poller.poll().await.unwrap()), [0, 0, 1, 0, 0]);
}

#[tokio::test]
async fn what_a_poll_ended_wrongly_fires_again_when_it_is_told_again() {
    let world = World::new(vec![]).await;
    let poller = world.poller("am");
    world.tells(&[alert("A", EARLY), alert("B", EARLY)]);
    let first = poller.poll().await.unwrap().receipt.unwrap();
    // Prometheus does not reach Alertmanager: it forgets.
    world.tells(&[]);
    world.clock.forward(600);
    assert_eq!(counts(&poller.poll().await.unwrap()), [0, 0, 2, 0, 0]);
    // It reaches it again, and tells the same start. The investigation is open: both join it.
    world.tells(&[alert("A", EARLY), alert("B", EARLY)]);
    world.clock.forward(60);
    let again = poller.poll().await.unwrap().receipt.unwrap();
    assert_eq!(again.counters.merged, 2);
    assert_eq!(again.rows[0].job_id, first.rows[0].job_id);
    assert_ne!(again.rows[0].event_id, first.rows[0].event_id, "another alert: the one before had its end");
    assert_eq!(world.stands().await, ["A firing", "A resolved", "B firing", "B resolved"]);
    // Once. Its sender's word for it is known, and so is its end, which is its sender's this time.
    assert_eq!(poller.poll().await.unwrap().receipt, None);
    assert_eq!(world.sent(None, vec![sent_alert("A", EARLY, "firing")]).await.counters.ignored, 1);
    assert_eq!(world.sent(None, vec![sent_alert("A", EARLY, "resolved")]).await.counters.resolved, 1);
    assert_eq!(poller.poll().await.unwrap().receipt, None, "what its sender ended stays so");
    world.tells(&[alert("A", EARLY)]);
    assert_eq!(counts(&poller.poll().await.unwrap()), [0, 0, 1, 0, 0]);
    assert!(world.stands().await.iter().all(|stands| stands.ends_with("resolved")));
    // What is sent may come late, and wakes nothing that a poll ended.
    assert_eq!(world.sent(None, vec![sent_alert("B", EARLY, "firing")]).await.counters.ignored, 1);
}

#[tokio::test]
async fn an_alertmanager_that_does_not_say_who_it_is_ends_nothing_that_a_known_one_told() {
    let world = World::new(vec![]).await;
    let poller = world.poller("am");
    world.tells(&[alert("A", EARLY)]);
    poller.poll().await.unwrap();
    world.answers(|answers| answers.started = None);
    world.tells(&[]);
    let doubtful = poller.poll().await.unwrap();
    assert_eq!((counts(&doubtful), doubtful.lacks.map(|lacks| lacks.is_doubtful)), ([0; 5], Some(true)));
    // It says so again, and is another one: its time counts from now, whatever its clock says.
    world.answers(|answers| answers.started = Some("2026-11-20T01:00:00.000Z"));
    let young = poller.poll().await.unwrap();
    assert_eq!((counts(&young), young.waiting, young.lacks), ([0; 5], 1, None));
    world.clock.forward(judge::GRACE.as_secs());
    assert_eq!(counts(&poller.poll().await.unwrap()), [0, 0, 1, 0, 0]);
}

#[tokio::test]
async fn of_two_pollers_that_tell_of_one_alert_the_last_ends_it() {
    let world = World::new(vec![]).await;
    let (one, two) = (world.poller("one"), world.poller("two"));
    let names: Vec<Value> = (0..20).map(|n| alert(&format!("A{n}"), EARLY)).collect();
    for _ in 0..10 {
        world.tells(&names);
        one.poll().await.unwrap();
        two.poll().await.unwrap();
        world.tells(&[]);
        let (first, second) = tokio::join!(one.poll(), two.poll());
        let ended = counts(&first.unwrap())[2] + counts(&second.unwrap())[2];
        assert_eq!(ended, names.len());
    }
    assert!(world.store.noted("one").await.unwrap().is_empty() && world.store.noted("two").await.unwrap().is_empty());
}

#[tokio::test]
async fn another_question_says_nothing_of_what_was_told_to_this_one() {
    let world = World::new(vec![]).await;
    world.tells(&[alert("A", EARLY), alert("B", EARLY)]);
    world.poller("am").poll().await.unwrap();
    world.tells(&[alert("B", EARLY)]);
    let narrowed = || Poller { matchers: vec!["alertname=B".into()], ..world.poller("am") };
    assert_eq!(narrowed().poll().await.unwrap().receipt, None);
    assert_eq!(world.stands().await, ["A firing", "B firing"]);
    world.tells(&[]);
    assert_eq!(counts(&narrowed().poll().await.unwrap()), [0, 0, 1, 0, 0]);
    assert_eq!(world.stands().await, ["A firing", "B resolved"]);
    // Severities are looked at here.
    world.tells(&[alert("C", EARLY)]);
    let loud = Poller { severities: vec![Severity::Critical], ..world.poller("loud") };
    assert_eq!(loud.poll().await.unwrap().receipt, None);
    // What two pollers tell is over when the last of them does not tell it any more.
    let (one, two) = (world.poller("one"), world.poller("two"));
    assert_eq!(counts(&one.poll().await.unwrap()), [1, 0, 0, 0, 0]);
    assert_eq!(counts(&two.poll().await.unwrap()), [0, 0, 0, 1, 0], "known already");
    world.tells(&[]);
    assert_eq!(one.poll().await.unwrap().receipt, None);
    assert_eq!(counts(&two.poll().await.unwrap()), [0, 0, 1, 0, 0]);
    // Who polls no more tells nothing any more.
    world.tells(&[alert("D", EARLY)]);
    one.poll().await.unwrap();
    two.poll().await.unwrap();
    world.store.keep_pollers(vec!["two".into()]).await.unwrap();
    world.tells(&[]);
    assert_eq!(counts(&two.poll().await.unwrap()), [0, 0, 1, 0, 0]);
}

#[tokio::test]
async fn what_is_sent_and_polled_is_one_event_and_one_incident() {
    let world = World::new(vec![]).await;
    let poller = world.poller("am");
    let group = Some("{}:{alertname=\"A\"}");
    let job = |receipt: &Receipt, row: usize| receipt.rows[row].job_id.unwrap();
    // Sent first, to the nanosecond; polled then, to the millisecond.
    let sent = world.sent(group, vec![sent_alert("A", "2026-11-20T23:30:30.098765432Z", "firing")]).await;
    world.tells(&[alert("A", EARLY)]);
    let polled = poller.poll().await.unwrap().receipt.unwrap();
    assert_eq!((polled.counters.ignored, job(&polled, 0)), (1, job(&sent, 0)));
    // Another alert of that name and namespace that only the poll tells joins what was sent.
    let other = |name: &str, fingerprint: &str| {
        let mut other = alert(name, EARLY);
        other["fingerprint"] = fingerprint.into();
        other["labels"]["service"] = fingerprint.into();
        other
    };
    world.tells(&[alert("A", EARLY), other("A", "f2")]);
    let joined = poller.poll().await.unwrap().receipt.unwrap();
    assert_eq!((joined.counters.merged, job(&joined, 0)), (1, job(&sent, 0)));
    // The other way round: polled first, then another one of it is sent.
    world.tells(&[alert("A", EARLY), other("A", "f2"), alert("B", EARLY)]);
    let opened = poller.poll().await.unwrap().receipt.unwrap();
    assert_eq!(opened.counters.accepted, 1);
    let mut sent_later = other("B", "f3");
    sent_later["status"] = "firing".into();
    let merged = world.sent(Some("{}:{alertname=\"B\"}"), vec![sent_later]).await;
    assert_eq!((merged.counters.merged, job(&merged, 0)), (1, job(&opened, 0)));
    // Groups that were all sent stay apart.
    let mut third = other("A", "f4");
    third["status"] = "firing".into();
    let apart = world.sent(Some("{}:{alertname=\"A\", pod=\"p\"}"), vec![third]).await;
    assert_eq!(apart.counters.accepted, 1);
    // What the webhook told of and the poll saw is over when the poll does not tell it any more; the webhook's
    // own word for that comes late and changes nothing.
    world.tells(&[other("A", "f2"), alert("B", EARLY)]);
    assert_eq!(counts(&poller.poll().await.unwrap()), [0, 0, 1, 0, 0]);
    let late = world.sent(group, vec![sent_alert("A", "2026-11-20T23:30:30.098765432Z", "resolved")]).await;
    assert_eq!(late.counters.ignored, 1);
}

#[tokio::test]
async fn routes_know_what_arrives_by_a_poller() {
    let by = |name: &str, source: &str| Route { sources: vec![source.into()], ..Route::named(name) };
    let world = World::new(vec![by("other", "poller:x"), by("polled", "poller:am"), by("both", "alertmanager")]).await;
    world.tells(&[alert("A", EARLY)]);
    let polled = world.poller("am").poll().await.unwrap().receipt.unwrap();
    let sent = world.sent(None, vec![sent_alert("B", EARLY, "firing")]).await;
    world.tells(&[alert("A", EARLY), alert("C", EARLY)]);
    let third = world.poller("third").poll().await.unwrap().receipt.unwrap();
    let mut routes = vec![];
    for id in [polled.rows[0].job_id, sent.rows[0].job_id, third.rows[1].job_id] {
        routes.push(world.store.investigation(id.unwrap()).await.unwrap().unwrap().route);
    }
    assert_eq!(routes, ["polled", "both", "both"]);
}

#[tokio::test]
async fn a_process_that_dies_between_note_and_intake_takes_in_later() {
    let world = World::new(vec![]).await;
    let poller = world.poller("am");
    world.tells(&[alert("A", EARLY)]);
    let delivery = {
        let other = World::new(vec![]).await;
        other.tells(&[alert("A", EARLY)]);
        other.poller("am").poll().await.unwrap();
        other.events().await.remove(0).event.delivery_key()
    };
    let notes = Notes {
        poller: "am".into(),
        question: poller.question(),
        server: Some(STARTED.parse().unwrap()),
        told: vec![delivery],
        forget: vec![],
    };
    world.store.note(notes).await.unwrap();
    assert_eq!(counts(&poller.poll().await.unwrap()), [1, 0, 0, 0, 0]);
}

#[tokio::test]
async fn each_change_of_how_polls_fare_is_told_once_and_the_loop_ends_when_it_is_to() {
    let world = World::new(vec![]).await;
    let poller = world.poller("am");
    let failed = |kind| Err(ToldError::Edge(EdgeError::new("alertmanager", kind, "no")));
    let fine = || Ok(Polled { told: 1, lacks: None, waiting: 0, receipt: None });
    let down = poller.tell(&failed(EdgeErrorKind::Unreachable), &Fared::Well);
    assert_eq!(down, poller.tell(&failed(EdgeErrorKind::Unreachable), &down));
    assert_ne!(down, poller.tell(&failed(EdgeErrorKind::Denied), &down));
    assert_eq!(poller.tell(&fine(), &down), Fared::Well);
    let lacks = Some(Lacks { left_out: 1, is_unreadable: true, is_doubtful: false });
    let partly = Ok(Polled { told: 1, lacks, waiting: 0, receipt: None });
    let cut = poller.tell(&partly, &down);
    assert_eq!(cut, Fared::Partly { is_cut: true, is_unreadable: true, is_doubtful: false });
    let lacks = Some(Lacks { left_out: 2, is_unreadable: true, is_doubtful: false });
    assert_eq!(poller.tell(&Ok(Polled { told: 1, lacks, waiting: 0, receipt: None }), &cut), cut, "the same, not news");

    world.tells(&[alert("A", EARLY)]);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(poller.run(stopped));
    let began = std::time::Instant::now();
    while world.events().await.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30), "the first poll comes at once");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send(true).unwrap();
    running.await.unwrap();
}
