//! What the store promises, on real files.

mod admit;
mod append;
mod approvals;
mod claims;
mod deeds;
mod joined;
mod log;
mod past;
mod places;
mod things;
mod usage;

use super::*;
use crate::domain::{AlertStatus, Digest, EventId, InvestigationId, Resource, ResourceType, Severity, SreEvent};
use crate::journal::{Actor, Body, Draft, Investigation, Outcome, View, chain};
use crate::store::{Admitted, Blobs, EventFilter, Events, Fate, InvestigationFilter, StoreReader};
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn uuid(&self, _: Timestamp) -> uuid::Uuid {
        uuid::Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1)
    }
    fn salt(&self) -> [u8; 16] {
        *self.uuid(Timestamp::UNIX_EPOCH).as_bytes()
    }
}

struct World {
    folder: tempfile::TempDir,
    entropy: Counting,
    store: SqliteStore,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let entropy = Counting::default();
        let store = SqliteStore::open(&folder.path().join("fw.db"), &entropy).await.unwrap();
        Self { folder, entropy, store }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("fw.db")
    }

    async fn reopened(self) -> Self {
        let Self { folder, entropy, store } = self;
        drop(store);
        let path = folder.path().join("fw.db");
        let store = SqliteStore::open(&path, &entropy).await.unwrap();
        Self { folder, entropy, store }
    }

    fn arrival(&self, name: &str, resource: &str, status: AlertStatus, starts: i64) -> Arrival {
        let id = EventId::new(self.entropy.uuid(at(0)));
        let raw = Blob::new(self.entropy.salt(), format!("{{\"n\":\"{name}\"}}").into_bytes());
        let event = SreEvent {
            id,
            source: "alertmanager".into(),
            fingerprint: format!("{name}-{resource}"),
            group_key: None,
            status,
            severity: Severity::Warning,
            name: name.into(),
            subject: resource.into(),
            resource: Resource {
                kind: ResourceType::K8sPvc,
                id: resource.into(),
                namespace: Some("shop".into()),
                cluster: None,
            },
            title: name.into(),
            description: name.into(),
            labels: Default::default(),
            annotations: Default::default(),
            starts_at: at(starts),
            ends_at: (status == AlertStatus::Resolved).then(|| at(starts + 5)),
            received_at: at(starts + 3),
            links: vec![],
            raw: raw.reference.clone(),
            raw_hmac: String::new(),
            via: None,
            ended_by: None,
        };
        Arrival {
            correlation_key: format!("{name}/shop"),
            incident_key: Digest::of(name),
            route: "default".into(),
            candidate: InvestigationId::new(self.entropy.uuid(at(0))),
            kin: None,
            event,
            raw,
        }
    }

    async fn admit(&self, arrivals: Vec<Arrival>) -> Vec<Admitted> {
        self.store.admit(arrivals, None, at(0)).await.unwrap()
    }

    async fn fates(&self, arrivals: Vec<Arrival>) -> Vec<Fate> {
        self.admit(arrivals).await.into_iter().map(|a| a.fate).collect()
    }

    async fn state(&self, id: InvestigationId) -> Investigation {
        let entries = self.store.entries(&id.to_string(), 0, 1000).await.unwrap();
        chain::verify(&id.to_string(), &entries).unwrap();
        Investigation::fold(&id.to_string(), &entries).unwrap()
    }

    /// Appends `bodies` behind what the store holds.
    async fn append(&self, lease: &Lease, bodies: Vec<Body>) -> Result<bool, StoreError> {
        let mut state = self.state(lease.investigation).await;
        let head = state.head.clone();
        let mut append = Append::default();
        for body in bodies {
            let entry = state.head.seal(&state.chain, at(10), Draft::engine(body)).unwrap();
            state.apply(&entry).unwrap();
            append.entries.push(entry);
        }
        append.view = View::of(&state);
        self.store.append(lease, &head, append).await
    }
}

use AlertStatus::{Firing, Resolved};

#[tokio::test]
async fn the_same_alert_twice_opens_nothing_twice() {
    let w = World::new().await;
    let first = w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await.remove(0);
    assert_eq!(first.fate, Fate::Opened);
    let again = w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await.remove(0);
    assert_eq!(again, Admitted { fate: Fate::Ignored, ..first });
    assert_eq!(w.store.counts().await.unwrap().investigations, 1);
    assert_eq!(w.store.entries(&first.investigation.unwrap().to_string(), 0, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn one_body_with_many_alerts_of_one_group_opens_one_investigation() {
    let w = World::new().await;
    let body = (0..500).map(|n| w.arrival("A", &format!("d{n}"), Firing, 1)).collect();
    let fates = w.fates(body).await;
    assert_eq!(fates.iter().filter(|f| **f == Fate::Opened).count(), 1);
    assert_eq!(fates.iter().filter(|f| **f == Fate::Merged).count(), 499);
    let view = w.store.investigations(&InvestigationFilter { limit: 5, ..Default::default() }).await.unwrap();
    let waiting = w.store.signals(view.items[0].id.parse().unwrap()).await.unwrap();
    let named: usize = waiting
        .iter()
        .map(|s| match &s.signal {
            Signal::Merged { events, .. } => events.len(),
            _ => 0,
        })
        .sum();
    assert_eq!(named, 499);
}

#[tokio::test]
async fn alerts_on_one_volume_are_one_incident() {
    let w = World::new().await;
    let high = w.admit(vec![w.arrival("PVCUsageHigh", "d1", Firing, 1)]).await.remove(0);
    let critical = w.admit(vec![w.arrival("PVCUsageCritical", "d1", Firing, 2)]).await.remove(0);
    assert_eq!((critical.fate, critical.investigation), (Fate::Merged, high.investigation));
    let other = w.admit(vec![w.arrival("PVCUsageCritical", "d2", Firing, 2)]).await.remove(0);
    assert_eq!(other.fate, Fate::Opened);
}

#[tokio::test]
async fn a_resolved_alert_never_opens_and_a_late_firing_one_finds_it_resolved() {
    let w = World::new().await;
    assert_eq!(w.fates(vec![w.arrival("A", "d1", Resolved, 1)]).await, [Fate::Resolved]);
    assert_eq!(w.fates(vec![w.arrival("A", "d1", Firing, 1)]).await, [Fate::Ignored]);
    assert_eq!(w.store.counts().await.unwrap().investigations, 0);
}

#[tokio::test]
async fn resolving_updates_the_alert_and_tells_its_investigation_once() {
    let w = World::new().await;
    let open = w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await.remove(0);
    let end = w.admit(vec![w.arrival("A", "d1", Resolved, 1)]).await.remove(0);
    assert_eq!(end, Admitted { fate: Fate::Resolved, ..open.clone() });
    assert_eq!(w.fates(vec![w.arrival("A", "d1", Resolved, 1)]).await, [Fate::Ignored]);
    let kept = w.store.event(open.event).await.unwrap().unwrap();
    assert_eq!((kept.event.status, kept.deliveries), (Resolved, 3));
    let waiting = w.store.signals(open.investigation.unwrap()).await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].signal, Signal::Resolved { event: open.event, ends_at: at(6) });
}

#[tokio::test]
async fn after_the_end_an_earlier_start_joins_and_a_later_one_opens_anew() {
    let w = World::new().await;
    let open = w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await.remove(0);
    let lease = w.store.claim("me", at(2), at(30)).await.unwrap().unwrap();
    w.append(&lease, vec![Body::Cancelled { reason: "test".into() }, Body::Closed { outcome: Outcome::Cancelled }])
        .await
        .unwrap();
    w.store.release(&lease).await.unwrap();
    assert_eq!(w.store.claim("me", at(3), at(30)).await.unwrap(), None);
    // Closed at second 10.
    let earlier = w.admit(vec![w.arrival("A", "d2", Firing, 10)]).await.remove(0);
    assert_eq!((earlier.fate, earlier.investigation), (Fate::Merged, open.investigation));
    assert!(w.store.claim("me", at(12), at(30)).await.unwrap().is_some(), "the closed one is woken");
    let later = w.admit(vec![w.arrival("A", "d2", Firing, 11)]).await.remove(0);
    assert_eq!(later.fate, Fate::Opened);
    assert_ne!(later.investigation, open.investigation);
}

#[tokio::test]
async fn a_stalled_worker_is_fenced_before_it_writes() {
    let w = World::new().await;
    w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await;
    let old = w.store.claim("old", at(0), at(5)).await.unwrap().unwrap();
    assert_eq!(w.store.claim("new", at(4), at(9)).await.unwrap(), None, "the lease still holds");
    let new = w.store.claim("new", at(6), at(60)).await.unwrap().unwrap();
    let refused = w.append(&old, vec![Body::Declined { reason: "late".into() }]).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    assert!(matches!(w.store.renew(&old, at(90)).await, Err(StoreError::Fenced { .. })));
    w.append(&new, vec![Body::Declined { reason: "in time".into() }]).await.unwrap();
    assert_eq!(w.state(new.investigation).await.declined.as_deref(), Some("in time"));
}

#[tokio::test]
async fn append_tells_whether_signals_wait_and_takes_only_what_was_consumed() {
    let w = World::new().await;
    let open = w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await.remove(0);
    let id = open.investigation.unwrap();
    let lease = w.store.claim("me", at(2), at(60)).await.unwrap().unwrap();
    assert!(!w.append(&lease, vec![Body::Declined { reason: "nothing waits".into() }]).await.unwrap());
    let cancel = |by: &str| Signal::Cancel { by: by.into(), reason: "enough".into() };
    for by in ["a", "b"] {
        assert!(w.store.signal(id, "api", cancel(by), at(3)).await.unwrap());
    }
    assert!(w.append(&lease, vec![Body::Declined { reason: "two wait".into() }]).await.unwrap());
    let taken = w.store.signals(id).await.unwrap();
    w.store.signal(id, "api", cancel("c"), at(4)).await.unwrap();
    let head = w.state(id).await.head;
    let consumed: Vec<i64> = taken.iter().map(|waiting| waiting.number).collect();
    let append = Append { consumed, ..Append::default() };
    assert!(w.store.append(&lease, &head, append).await.unwrap(), "the third came later");
    let left = w.store.signals(id).await.unwrap();
    assert_eq!(left.iter().map(|waiting| waiting.signal.clone()).collect::<Vec<_>>(), [cancel("c")]);
    assert_eq!(w.state(id).await.head, head);
}

#[tokio::test]
async fn append_compares_the_head() {
    let w = World::new().await;
    w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await;
    let lease = w.store.claim("me", at(0), at(60)).await.unwrap().unwrap();
    let state = w.state(lease.investigation).await;
    let entry = state
        .head
        .seal(&state.chain, at(1), Draft::new(Actor::Engine, Body::Declined { reason: "once".into() }))
        .unwrap();
    let append = || Append { entries: vec![entry.clone()], ..Append::default() };
    w.store.append(&lease, &state.head, append()).await.unwrap();
    let twice = w.store.append(&lease, &state.head, append()).await;
    assert!(matches!(twice, Err(StoreError::Fenced { .. })), "{twice:?}");
    assert_eq!(w.state(lease.investigation).await.head.seq, 2);
}

#[tokio::test]
async fn a_restart_keeps_everything_and_voids_leases() {
    let w = World::new().await;
    let open = w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await.remove(0);
    let key = w.store.hmac_key().to_vec();
    w.store.claim("dead", at(0), at(9_999)).await.unwrap().unwrap();
    let w = w.reopened().await;
    assert_eq!(w.store.hmac_key(), key);
    let lease = w.store.claim("alive", at(1), at(60)).await.unwrap().unwrap();
    assert_eq!(Some(lease.investigation), open.investigation);
    assert_eq!(lease.epoch, 2);
}

#[tokio::test]
async fn two_processes_do_not_share_a_database() {
    let w = World::new().await;
    w.store.announce("http://127.0.0.1:8080");
    let second = SqliteStore::open(&w.path(), &w.entropy).await;
    match second {
        Err(StoreError::Locked { holder, .. }) => assert_eq!(holder, "http://127.0.0.1:8080"),
        other => panic!("{other:?}"),
    }
    assert_eq!(SqliteStore::holder(&w.path()).as_deref(), Some("http://127.0.0.1:8080"));
    let reader = SqliteStore::open_to_read(&w.path()).await.unwrap();
    assert_eq!(reader.counts().await.unwrap().events, 0);
    assert!(matches!(reader.ready().await, Err(StoreError::Unusable { .. })));
}

#[tokio::test]
async fn a_payload_that_was_changed_is_not_handed_out() {
    let w = World::new().await;
    let arrival = w.arrival("A", "d1", Firing, 1);
    let reference = arrival.raw.reference.clone();
    w.admit(vec![arrival]).await;
    assert_eq!(w.store.blob(&reference).await.unwrap().as_deref(), Some(b"{\"n\":\"A\"}".as_slice()));
    let mut direct = SqliteStore::writing_connection(&w.path()).await.unwrap();
    sqlx::query("UPDATE blobs SET bytes = x'00'").execute(&mut direct).await.unwrap();
    assert!(matches!(w.store.blob(&reference).await, Err(StoreError::Corrupt { .. })));
    sqlx::query("DELETE FROM blobs").execute(&mut direct).await.unwrap();
    assert_eq!(w.store.blob(&reference).await.unwrap(), None);
}

#[tokio::test]
async fn pages_are_newest_first_and_join_without_gaps() {
    let w = World::new().await;
    for n in 0..7 {
        w.admit(vec![w.arrival(&format!("A{n}"), &format!("d{n}"), Firing, n)]).await;
    }
    let mut filter = EventFilter { limit: 3, ..Default::default() };
    let mut names = vec![];
    loop {
        let page = w.store.events(&filter).await.unwrap();
        names.extend(page.items.iter().map(|e| e.event.name.clone()));
        match page.next_cursor {
            Some(cursor) => filter.cursor = Some(cursor),
            None => break,
        }
    }
    assert_eq!(names, ["A6", "A5", "A4", "A3", "A2", "A1", "A0"]);
    let one =
        w.store.events(&EventFilter { subject: Some("d3".into()), limit: 9, ..Default::default() }).await.unwrap();
    assert_eq!(one.items.len(), 1);
}

#[tokio::test]
async fn the_system_chain_grows_and_holds() {
    let w = World::new().await;
    for _ in 0..3 {
        w.store.append_system(vec![Draft::engine(Body::Stopped {})], vec![], at(1)).await.unwrap();
    }
    let w = w.reopened().await;
    w.store.append_system(vec![Draft::engine(Body::Stopped {})], vec![], at(2)).await.unwrap();
    let entries = w.store.entries(chain::SYSTEM, 0, 100).await.unwrap();
    assert_eq!(chain::verify(chain::SYSTEM, &entries).unwrap().seq, 4);
    assert_eq!(w.store.chains("", 10).await.unwrap()[0].1.seq, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_at_once_all_get_their_own_answer() {
    let w = std::sync::Arc::new(World::new().await);
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let w = w.clone();
            tokio::spawn(async move {
                let name = format!("A{}", n % 20);
                w.admit(vec![w.arrival(&name, &format!("d{n}"), Firing, 1)]).await.remove(0)
            })
        })
        .collect();
    let mut opened = 0;
    for task in tasks {
        opened += usize::from(task.await.unwrap().fate == Fate::Opened);
    }
    assert_eq!(opened, 20);
}

#[tokio::test]
async fn a_newer_database_is_refused_with_a_clear_text() {
    let w = World::new().await;
    let mut direct = SqliteStore::writing_connection(&w.path()).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (999, 'later', 1, x'00', 0)",
    )
    .execute(&mut direct)
    .await
    .unwrap();
    let World { folder, entropy, store } = w;
    drop((direct, store));
    let refused = SqliteStore::open(&folder.path().join("fw.db"), &entropy).await.unwrap_err();
    assert!(refused.to_string().contains("written by a newer firewarden"), "{refused}");
}

#[tokio::test]
async fn a_full_disk_refuses_and_works_again_when_there_is_room() {
    let World { folder, entropy, store } = World::new().await;
    drop(store);
    let path = folder.path().join("fw.db");
    let mut connection = SqliteStore::writing_connection(&path).await.unwrap();
    let (pages,): (i64,) = sqlx::query_as("PRAGMA page_count").fetch_one(&mut connection).await.unwrap();
    // SQLite's own way of running out of space; the connection that replaces this one has no limit.
    let limit = format!("PRAGMA max_page_count = {}", pages + 2);
    sqlx::query(sqlx::AssertSqlSafe(limit)).execute(&mut connection).await.unwrap();
    let readers = SqliteStore::reading_pool(&path).await.unwrap();
    let (watch, _) = broadcast::channel(16);
    let work = std::sync::Arc::new(Notify::new());
    let writer = Writer::start(connection, path.clone(), watch.clone(), work.clone());
    let store = SqliteStore { path, readers, writer: Some(writer), watch, work, hmac_key: vec![], lock: None };
    let w = World { folder, entropy, store };
    let many = || (0..200).map(|n| w.arrival("A", &format!("d{n}"), Firing, 1)).collect::<Vec<_>>();
    let refused = w.store.admit(many(), None, at(0)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert_eq!(w.store.counts().await.unwrap().events, 0, "all or nothing");
    assert_eq!(w.fates(many()).await.len(), 200, "there is room again");
    w.store.ready().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_for_one_caller_does_not_stop_the_others() {
    let w = std::sync::Arc::new(World::new().await);
    w.admit(vec![w.arrival("A", "damaged", Firing, 1)]).await;
    let mut direct = SqliteStore::writing_connection(&w.path()).await.unwrap();
    sqlx::query("UPDATE events SET json = 'x'").execute(&mut direct).await.unwrap();
    drop(direct);
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let w = w.clone();
            tokio::spawn(async move {
                let arrival = match n % 4 {
                    0 => w.arrival("A", "damaged", Resolved, 1),
                    _ => w.arrival(&format!("B{n}"), &format!("d{n}"), Firing, 1),
                };
                (n, w.store.admit(vec![arrival], None, at(0)).await)
            })
        })
        .collect();
    for task in tasks {
        let (n, answer) = task.await.unwrap();
        match n % 4 {
            0 => assert!(matches!(answer, Err(StoreError::Corrupt { .. })), "{answer:?}"),
            _ => assert_eq!(answer.unwrap()[0].fate, Fate::Opened),
        }
    }
}

#[tokio::test]
async fn a_chain_that_lost_its_tail_still_shows_its_length() {
    let w = World::new().await;
    let open = w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await.remove(0);
    let lease = w.store.claim("me", at(0), at(60)).await.unwrap().unwrap();
    w.append(&lease, vec![Body::Declined { reason: "x".into() }]).await.unwrap();
    let name = open.investigation.unwrap().to_string();
    let mut direct = SqliteStore::writing_connection(&w.path()).await.unwrap();
    sqlx::query("DELETE FROM entries WHERE seq = 2").execute(&mut direct).await.unwrap();
    assert_eq!(w.store.chains("", 9).await.unwrap()[0].1.seq, 2);
    sqlx::query("DELETE FROM entries").execute(&mut direct).await.unwrap();
    assert_eq!(w.store.chains("", 9).await.unwrap()[0].0, name);
}

#[cfg(unix)]
#[tokio::test]
async fn the_database_is_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let w = World::new().await;
    w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await;
    for entry in std::fs::read_dir(w.folder.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().ends_with(".lock") {
            continue;
        }
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.file_name());
    }
}

#[tokio::test]
async fn an_alert_without_a_start_belongs_to_its_open_episode() {
    let w = World::new().await;
    let without_start = |status, received: i64| {
        let mut arrival = w.arrival("A", "d1", status, received);
        arrival.event.starts_at = at(received);
        arrival.event.received_at = at(received);
        arrival
    };
    let admit = async |arrival, second| w.store.admit(vec![arrival], None, at(second)).await.unwrap().remove(0);
    let first = admit(without_start(Firing, 1), 1).await;
    assert_eq!(first.fate, Fate::Opened);
    assert_eq!(admit(without_start(Firing, 100), 100).await, Admitted { fate: Fate::Ignored, ..first.clone() });
    assert_eq!(admit(without_start(Firing, 390), 390).await.fate, Fate::Ignored, "repeated within five minutes");
    assert_eq!(admit(without_start(Resolved, 5000), 5000).await, Admitted { fate: Fate::Resolved, ..first.clone() });
    let again = admit(without_start(Firing, 5001), 5001).await;
    assert_ne!(again.event, first.event, "the episode was over");
}
