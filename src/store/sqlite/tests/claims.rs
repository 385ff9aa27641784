//! Claims, waiting, and giving up.

use super::*;
use crate::store::BegunDeed;

#[tokio::test]
async fn what_is_given_up_is_closed_and_its_key_is_free() {
    let w = World::new().await;
    let open = w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await.remove(0);
    let lease = w.store.claim("me", at(0), at(60)).await.unwrap().unwrap();
    w.store.abandon(&lease, "it made no sense".into(), at(5)).await.unwrap();
    let view = w.store.investigation(open.investigation.unwrap()).await.unwrap().unwrap();
    assert_eq!((view.state.as_str(), view.outcome), ("closed", Some(Outcome::Failed)));
    assert_eq!(w.store.claim("me", at(9), at(60)).await.unwrap(), None);
    let later = w.admit(vec![w.arrival("A", "d1", Firing, 6)]).await.remove(0);
    assert_eq!(later.fate, Fate::Opened);
    // Nobody works on it again, so nothing may wait for it.
    let cancel = Signal::Cancel { by: "ann".into(), reason: "enough".into() };
    assert!(!w.store.signal(lease.investigation, "ann", cancel, at(7)).await.unwrap());
    assert_eq!(w.store.entries(chain::SYSTEM, 0, 9).await.unwrap()[0].body.kind(), "Abandoned");
}

#[tokio::test]
async fn what_is_parked_waits_for_its_time_across_a_restart_and_comes_behind_fresh_work() {
    let w = World::new().await;
    let parked = w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await[0].investigation.unwrap();
    let lease = w.store.claim("me", at(2), at(30)).await.unwrap().unwrap();
    w.store.park(&lease, at(2), at(60)).await.unwrap();
    assert!(matches!(w.store.park(&Lease { epoch: 9, ..lease }, at(2), at(60)).await, Err(StoreError::Fenced { .. })));
    assert_eq!(w.store.claim("me", at(59), at(90)).await.unwrap(), None);
    let w = w.reopened().await;
    assert_eq!(w.store.claim("me", at(59), at(90)).await.unwrap(), None, "a restart does not wake it");
    let fresh = w.admit(vec![w.arrival("B", "d2", Firing, 1)]).await[0].investigation.unwrap();
    let claimed = async |now: i64| w.store.claim("me", at(now), at(now + 30)).await.unwrap().map(|l| l.investigation);
    assert_eq!(claimed(60).await, Some(fresh), "what never begun comes first");
    assert_eq!(claimed(60).await, Some(parked));
    assert_eq!(claimed(60).await, None);
    assert_eq!(claimed(91).await, Some(fresh), "their leases ran out");
    assert_eq!(claimed(91).await, Some(parked), "and so did this one's");
}

#[tokio::test]
async fn a_signal_wakes_what_is_parked_and_one_that_came_before_lets_nothing_sleep() {
    let w = World::new().await;
    let id = w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await[0].investigation.unwrap();
    let cancel = || Signal::Cancel { by: "ann".into(), reason: "enough".into() };
    let lease = w.store.claim("me", at(2), at(30)).await.unwrap().unwrap();
    w.store.park(&lease, at(2), at(600)).await.unwrap();
    assert_eq!(w.store.claim("me", at(3), at(30)).await.unwrap(), None);
    assert!(w.store.signal(id, "ann", cancel(), at(3)).await.unwrap());
    let lease = w.store.claim("me", at(3), at(30)).await.unwrap().expect("the signal wakes it");
    // Nobody consumed it: it must not be slept over.
    w.store.park(&lease, at(3), at(600)).await.unwrap();
    assert!(w.store.claim("me", at(3), at(30)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_clock_that_goes_back_leaves_nothing_parked_for_good() {
    let w = World::new().await;
    let day = 24 * 3600;
    w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await;
    let lease = w.store.claim("me", at(day), at(day + 30)).await.unwrap().unwrap();
    // Nothing is parked for longer than 15 minutes at once.
    w.store.park(&lease, at(day), at(9 * day)).await.unwrap();
    assert_eq!(w.store.claim("me", at(day + 899), at(day + 930)).await.unwrap(), None);
    assert!(w.store.claim("me", at(day + 900), at(day + 930)).await.unwrap().is_some());
    let lease = w.store.claim("me", at(day + 931), at(day + 960)).await.unwrap().unwrap();
    w.store.park(&lease, at(day + 931), at(day + 990)).await.unwrap();
    assert_eq!(w.store.claim("me", at(day + 90), at(day + 120)).await.unwrap(), None, "a small step back");
    assert!(w.store.claim("me", at(0), at(30)).await.unwrap().is_some(), "a day back");
}

#[tokio::test]
async fn an_incident_that_begins_behind_an_undelivered_report_opens_anew() {
    let w = World::new().await;
    let open = w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await.remove(0);
    let lease = w.store.claim("me", at(2), at(30)).await.unwrap().unwrap();
    let raw = Blob::new([7; 16], b"{}".to_vec()).reference;
    let reported = Body::Reported {
        revision: 1,
        verdict: crate::domain::ReportVerdict::Likely,
        summary: "s".into(),
        report: raw,
        sinks: vec!["chat".into()],
    };
    let (sink, error) = ("chat".to_owned(), "chat: status 503".to_owned());
    let failed = Body::NoticeFailed { sink, revision: 1, attempt: 1, error, again_at: at(15) };
    w.append(&lease, vec![reported, failed]).await.unwrap();
    w.store.park(&lease, at(10), at(15)).await.unwrap();
    // Reported at second 10.
    let earlier = w.admit(vec![w.arrival("A", "d2", Firing, 9)]).await.remove(0);
    assert_eq!((earlier.fate, earlier.investigation), (Fate::Merged, open.investigation));
    assert!(w.store.claim("me", at(11), at(30)).await.unwrap().is_some(), "the parked one is woken");
    let later = w.admit(vec![w.arrival("A", "d2", Firing, 11)]).await.remove(0);
    assert_eq!(later.fate, Fate::Opened);
}

#[tokio::test]
async fn an_alert_from_before_the_giving_up_is_looked_into_anew() {
    let w = World::new().await;
    w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await;
    let lease = w.store.claim("me", at(2), at(60)).await.unwrap().unwrap();
    w.store.abandon(&lease, "it made no sense".into(), at(50)).await.unwrap();
    let earlier = w.admit(vec![w.arrival("A", "d2", Firing, 20)]).await.remove(0);
    assert_eq!(earlier.fate, Fate::Opened);
    assert_ne!(earlier.investigation, Some(lease.investigation));
}

#[tokio::test]
async fn only_claims_that_come_to_nothing_are_counted() {
    let w = World::new().await;
    w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await;
    let claimed = async |now: i64| w.store.claim("me", at(now), at(now + 10)).await.unwrap().unwrap();
    assert_eq!(claimed(2).await.attempts, 1);
    assert_eq!(claimed(20).await.attempts, 2, "its lease ran out and nothing was written");
    let lease = claimed(40).await;
    assert_eq!(lease.attempts, 3);
    w.append(&lease, vec![Body::Declined { reason: "x".into() }]).await.unwrap();
    let lease = claimed(60).await;
    assert_eq!(lease.attempts, 1, "something was written");
    // Waiting for an answer is no failure, however often it is looked after.
    w.store.park(&lease, at(61), at(70)).await.unwrap();
    let lease = claimed(80).await;
    assert_eq!(lease.attempts, 1);
    w.store
        .signal(lease.investigation, "ann", Signal::Cancel { by: "ann".into(), reason: "x".into() }, at(81))
        .await
        .unwrap();
    w.store.release(&lease).await.unwrap();
    assert_eq!(claimed(90).await.attempts, 1);
}

#[tokio::test]
async fn what_waits_longest_is_worked_on_first() {
    let w = World::new().await;
    let first = w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await[0].investigation;
    let lease = w.store.claim("me", at(2), at(30)).await.unwrap().unwrap();
    w.store.park(&lease, at(2), at(40)).await.unwrap();
    let mut arrival = w.arrival("B", "d2", Firing, 120);
    arrival.event.received_at = at(120);
    let second = w.store.admit(vec![arrival], None, at(120)).await.unwrap()[0].investigation;
    let claimed = async |now: i64| w.store.claim("me", at(now), at(now + 30)).await.unwrap().map(|l| l.investigation);
    assert_eq!(claimed(120).await, first, "a storm does not keep what was promised for second 40");
    assert_eq!(claimed(120).await, second);
}

#[tokio::test]
async fn a_refused_append_without_entries_leaves_nothing() {
    let w = World::new().await;
    let id = w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await[0].investigation.unwrap();
    let lease = w.store.claim("me", at(2), at(30)).await.unwrap().unwrap();
    let cancel = Signal::Cancel { by: "ann".into(), reason: "enough".into() };
    w.store.signal(id, "ann", cancel, at(3)).await.unwrap();
    let waiting = w.store.signals(id).await.unwrap();
    let head = w.state(id).await.head;
    let deed = BegunDeed {
        id: crate::domain::ActionId::new(uuid::Uuid::from_u128(7)),
        investigation: id,
        started_at: at(3),
        tool: "t".into(),
        target: crate::domain::Target::default(),
        effect: crate::domain::Effect::Write,
        thing: String::new(),
        alert: String::new(),
        made: Some(true),
        helped: Some(false),
    };
    let append = || Append { consumed: vec![waiting[0].number], deeds: vec![deed.clone()], ..Append::default() };
    let stale = Lease { epoch: lease.epoch - 1, ..lease.clone() };
    assert!(matches!(w.store.append(&stale, &head, append()).await, Err(StoreError::Fenced { .. })));
    assert_eq!(w.store.signals(id).await.unwrap(), waiting);
    let mut direct = SqliteStore::writing_connection(&w.path()).await.unwrap();
    let count = async |direct: &mut sqlx::SqliteConnection| {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM deeds").fetch_one(direct).await.unwrap()
    };
    assert_eq!(count(&mut direct).await, 0);
    w.store.append(&lease, &head, append()).await.unwrap();
    assert_eq!((w.store.signals(id).await.unwrap(), count(&mut direct).await), (vec![], 1));
}
