//! What alerts cost that join one by one.

use super::*;
use crate::store::storm::MOST_ALERTS;

#[tokio::test]
async fn alerts_that_join_wake_at_once_and_then_once_a_second() {
    let w = World::new().await;
    let ms = |ms: i64| Timestamp::from_millisecond(at(0).as_millisecond() + ms).unwrap();
    let id = w.admit(vec![w.arrival("A", "d0", Firing, 0)]).await[0].investigation.unwrap();
    let join = async |n: i64, now: i64| {
        let arrival = w.arrival("A", &format!("d{n}"), Firing, 0);
        let answer = w.store.admit(vec![arrival], None, ms(now)).await.unwrap().remove(0);
        assert_eq!((answer.fate, answer.investigation), (Fate::Merged, Some(id)));
    };
    // Whoever claims it takes in what waits, and lets go of it.
    let worked_on = async |now: i64| {
        let lease = w.store.claim("me", ms(now), ms(now + 30_000)).await.unwrap()?;
        let waiting = w.store.signals(id).await.unwrap();
        let head = w.state(id).await.head;
        let consumed = waiting.iter().map(|waiting| waiting.number).collect();
        w.store.append(&lease, &head, Append { consumed, ..Append::default() }).await.unwrap();
        w.store.release(&lease).await.unwrap();
        Some(waiting.len())
    };
    assert_eq!(worked_on(0).await, Some(0));
    join(1, 100).await;
    assert_eq!(worked_on(100).await, Some(1), "the first one is told at once");
    join(2, 200).await;
    join(3, 900).await;
    assert_eq!(worked_on(1_099).await, None);
    assert_eq!(worked_on(1_100).await, Some(2), "what joined meanwhile, a second behind the first");
    join(4, 1_200).await;
    assert_eq!((worked_on(2_099).await, worked_on(2_100).await), (None, Some(1)));
    join(5, 9_000).await;
    assert_eq!(worked_on(9_000).await, Some(1), "it was quiet");
    // A clock that goes back delays nothing for long.
    join(6, 3_000).await;
    assert_eq!(worked_on(3_000).await, Some(1));
}

#[tokio::test]
async fn what_waits_already_keeps_its_place() {
    let w = World::new().await;
    let first = w.admit(vec![w.arrival("A", "d0", Firing, 0)]).await[0].investigation.unwrap();
    let second = w.admit(vec![w.arrival("B", "e0", Firing, 0)]).await[0].investigation.unwrap();
    for n in 1..4 {
        w.admit(vec![w.arrival("A", &format!("d{n}"), Firing, 0)]).await;
    }
    let claimed = async || w.store.claim("me", at(9), at(60)).await.unwrap().map(|lease| lease.investigation);
    assert_eq!((claimed().await, claimed().await), (Some(first), Some(second)));
}

#[tokio::test]
async fn what_is_full_takes_no_more_and_the_next_alert_opens_another() {
    let w = World::new().await;
    let full = w.admit(vec![w.arrival("A", "d0", Firing, 0)]).await[0].investigation.unwrap();
    let storm =
        w.store.admit(vec![w.arrival("S", "s0", Firing, 0)], Some(StormCap { max_open: 1, ..cap() }), at(0)).await;
    let storm = storm.unwrap()[0].investigation.unwrap();
    let joined = w.admit(vec![w.arrival("A", "d1", Firing, 0)]).await.remove(0);
    assert_eq!(joined.investigation, Some(full));
    let alerts = async |id: InvestigationId| {
        let row: (i64,) = sqlx::query_as("SELECT alerts FROM investigations WHERE id = ?")
            .bind(id.to_string())
            .fetch_one(&w.store.readers)
            .await
            .unwrap();
        row.0
    };
    assert_eq!((alerts(full).await, alerts(storm).await), (2, 1));
    let mut connection = SqliteStore::writing_connection(&w.store.path).await.unwrap();
    sqlx::query("UPDATE investigations SET alerts = ?").bind(MOST_ALERTS).execute(&mut connection).await.unwrap();
    // By its key and by its resource.
    let next = w.admit(vec![w.arrival("A", "d1", Firing, 1)]).await.remove(0);
    assert_eq!(next.fate, Fate::Opened);
    let joins = w.admit(vec![w.arrival("B", "d1", Firing, 1)]).await.remove(0);
    assert_eq!((joins.fate, joins.investigation), (Fate::Merged, next.investigation));
    let another =
        w.store.admit(vec![w.arrival("T", "t0", Firing, 0)], Some(StormCap { max_open: 1, ..cap() }), at(1)).await;
    let another = another.unwrap().remove(0);
    assert_eq!(another.fate, Fate::Opened);
    let view = w.store.investigation(another.investigation.unwrap()).await.unwrap().unwrap();
    assert_eq!(view.alert, "AlertStorm");
}

#[tokio::test]
async fn alerts_are_read_together_in_the_order_they_are_asked_for() {
    let w = World::new().await;
    let ids: Vec<EventId> = w
        .admit((0..3).map(|n| w.arrival("A", &format!("d{n}"), Firing, 0)).collect::<Vec<_>>())
        .await
        .iter()
        .map(|answer| answer.event)
        .collect();
    let unknown = EventId::new(uuid::Uuid::from_u128(77));
    let read = w.store.alerts(&[ids[2], unknown, ids[0]]).await.unwrap();
    assert_eq!(read.iter().map(|event| event.id).collect::<Vec<_>>(), [ids[2], ids[0]]);
    assert_eq!(w.store.alerts(&[]).await.unwrap(), vec![]);
}

fn cap() -> StormCap {
    StormCap { max_open: 50, window: jiff::SignedDuration::from_mins(10) }
}
