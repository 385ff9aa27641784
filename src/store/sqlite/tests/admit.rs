//! Alerts that come together meet the same fate as alerts that come one after the other.

use super::*;
use crate::store::Kin;
use proptest::prelude::*;

/// An alert in few words: name, resource, whether it is over, when it started, if its sender says, and which way
/// it came, where there are two.
type Few = (u8, u8, bool, Option<u8>, Option<Way>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Sent,
    Polled,
}

fn few() -> impl Strategy<Value = Few> {
    let way = proptest::option::of(prop::sample::select(vec![Way::Sent, Way::Polled]));
    (0..3_u8, 0..3_u8, any::<bool>(), proptest::option::of(0..3_u8), way)
}

/// As the intake makes it of an alert that came this way: what was sent is in a group of its own.
fn by(way: Way, arrival: Arrival) -> Arrival {
    let name = arrival.event.name.clone();
    let (sent, polled) = (format!("sent/{name}"), format!("polled/{name}"));
    match way {
        Way::Polled => Arrival { kin: Some(Kin { own: polled, others: sent }), ..arrival },
        Way::Sent => {
            let correlation_key = format!("group:{}", arrival.event.fingerprint);
            Arrival { correlation_key, kin: Some(Kin { own: sent, others: polled }), ..arrival }
        }
    }
}

fn arrivals(world: &World, alerts: &[Few]) -> Vec<Arrival> {
    let of = |(name, resource, is_over, starts, way): &Few| {
        let status = if *is_over { Resolved } else { Firing };
        let (name, resource) = (format!("Alert{name}"), format!("volume-{resource}"));
        let mut arrival = world.arrival(&name, &resource, status, i64::from(starts.unwrap_or(0)) * 100);
        if starts.is_none() {
            arrival.event.starts_at = arrival.event.received_at;
        }
        match way {
            Some(way) => by(*way, arrival),
            None => arrival,
        }
    };
    alerts.iter().map(of).collect()
}

fn capped(max_open: u32) -> StormCap {
    StormCap { max_open, window: jiff::SignedDuration::from_mins(10) }
}

/// What is left of all alerts: fates, what investigations were told, what is kept.
async fn left(world: &World, answers: Vec<Admitted>) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut told: Vec<(String, Vec<EventId>, usize)> = vec![];
    let mut seen = std::collections::BTreeSet::new();
    for id in answers.iter().filter_map(|answer| answer.investigation).filter(|id| seen.insert(*id)) {
        let waiting = world.store.signals(id).await.unwrap();
        let joined = waiting.iter().filter_map(|waiting| match &waiting.signal {
            Signal::Merged { events, .. } => Some(events.clone()),
            _ => None,
        });
        let mut joined: Vec<EventId> = joined.flatten().collect();
        joined.sort();
        let over = waiting.iter().filter(|waiting| matches!(waiting.signal, Signal::Resolved { .. })).count();
        told.push((id.to_string(), joined, over));
    }
    let mut events = vec![];
    for answer in &answers {
        let event = world.store.event(answer.event).await.unwrap();
        events.push(event.map(|event| (event.event.status, event.event.starts_at, event.event.ends_at)));
    }
    (answers, told, events)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn together_is_as_one_by_one(
        before in prop::collection::vec(few(), 0..4),
        alerts in prop::collection::vec(few(), 1..16),
        max_open in proptest::option::of(1..4_u32),
    ) {
        let cap = max_open.map(capped);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (one_by_one, together) = runtime.block_on(async {
            let apart = World::new().await;
            let mut answers = vec![];
            for arrival in arrivals(&apart, &before).into_iter().chain(arrivals(&apart, &alerts)) {
                answers.extend(apart.store.admit(vec![arrival], cap, at(0)).await.unwrap());
            }
            let one_by_one = left(&apart, answers).await;
            let world = World::new().await;
            let mut answers = world.store.admit(arrivals(&world, &before), cap, at(0)).await.unwrap();
            answers.extend(world.store.admit(arrivals(&world, &alerts), cap, at(0)).await.unwrap());
            let opened = answers.iter().filter(|answer| answer.fate == Fate::Opened).count();
            assert!(max_open.is_none_or(|most| opened <= most as usize), "{opened} were opened");
            (one_by_one, left(&world, answers).await)
        });
        prop_assert_eq!(one_by_one, together);
    }
}

#[tokio::test]
async fn what_its_sender_ended_and_tells_again_much_later_is_new_under_its_old_start() {
    let w = World::new().await;
    let told = async |status, second: i64| {
        let mut arrival = w.arrival("Down", "d1", status, 1);
        arrival.event.group_key = Some("{}".into());
        w.store.admit(vec![arrival], None, at(second)).await.unwrap().remove(0)
    };
    let first = told(Firing, 1).await;
    assert_eq!(told(Resolved, 300).await.fate, Fate::Resolved);
    // It may have been on its way for some minutes.
    assert_eq!((told(Firing, 900).await.fate, told(Firing, 1_200).await.event), (Fate::Ignored, first.event));
    let again = told(Firing, 1_201).await;
    assert_eq!((again.fate, again.investigation), (Fate::Merged, first.investigation));
    assert_ne!(again.event, first.event);
    let status = async |id| w.store.event(id).await.unwrap().unwrap().event.status;
    assert_eq!((status(first.event).await, status(again.event).await), (Resolved, Firing));
    assert_eq!(told(Firing, 5_000).await.event, again.event, "its repeats are repeats");
    let over = told(Resolved, 5_001).await;
    assert_eq!((over.fate, over.event, status(again.event).await), (Fate::Resolved, again.event, Resolved));
    // One whose end came before anybody knew that it fires was over then.
    let fate = async |name: &str, group: Option<&str>, status, second: i64| {
        let mut arrival = w.arrival(name, name, status, 1);
        arrival.event.group_key = group.map(str::to_owned);
        w.store.admit(vec![arrival], None, at(second)).await.unwrap().remove(0).fate
    };
    assert_eq!(fate("Early", Some("{}"), Resolved, 10).await, Fate::Resolved);
    assert_eq!(fate("Early", Some("{}"), Firing, 9_000).await, Fate::Ignored);
    // Others end nothing that nobody repeats: it was somebody's word, and this is the same message again.
    for (status, second, expected) in
        [(Firing, 10, Fate::Opened), (Resolved, 20, Fate::Resolved), (Firing, 9_000, Fate::Ignored)]
    {
        assert_eq!(fate("Plain", None, status, second).await, expected);
    }
}

#[tokio::test]
async fn what_a_poll_ended_and_another_tells_again_is_new_and_opens_anew_where_all_is_closed() {
    let w = World::new().await;
    let polled = |status| {
        let mut arrival = w.arrival("Down", "d1", status, 1);
        arrival.event.via = Some("poller:am".into());
        arrival
    };
    let first = w.admit(vec![polled(Firing)]).await.remove(0);
    assert_eq!(w.fates(vec![polled(Firing)]).await, [Fate::Ignored], "it fires still");
    assert_eq!(w.fates(vec![polled(Resolved)]).await, [Fate::Resolved]);
    // What is sent may come late. What is polled fires now, though its start is the same.
    assert_eq!(w.fates(vec![w.arrival("Down", "d1", Firing, 1)]).await, [Fate::Ignored]);
    let again = w.admit(vec![polled(Firing)]).await.remove(0);
    assert_eq!((again.fate, again.investigation), (Fate::Merged, first.investigation));
    assert_ne!(again.event, first.event);
    assert_eq!(w.fates(vec![polled(Resolved)]).await, [Fate::Resolved]);
    // The investigation came to an end when the alert had its own.
    let mut direct = SqliteStore::writing_connection(&w.path()).await.unwrap();
    let closed = sqlx::query("UPDATE investigations SET closed_us = ?").bind(at(50).as_microsecond());
    closed.execute(&mut direct).await.unwrap();
    drop(direct);
    let anew = w.store.admit(vec![polled(Firing)], None, at(60)).await.unwrap().remove(0);
    assert_eq!(anew.fate, Fate::Opened);
    let state = w.state(anew.investigation.unwrap()).await;
    assert_ne!(state.incident_key, w.state(first.investigation.unwrap()).await.incident_key);
    // What its sender ended stays so.
    assert_eq!(w.fates(vec![w.arrival("Down", "d1", Resolved, 1)]).await, [Fate::Resolved]);
    assert_eq!(w.fates(vec![polled(Firing)]).await, [Fate::Ignored]);
}

#[tokio::test]
async fn an_alert_joins_by_its_key_before_its_resource() {
    let w = World::new().await;
    let full = w.admit(vec![w.arrival("Full", "volume-0", Firing, 1)]).await.remove(0);
    let together = vec![w.arrival("Slow", "volume-1", Firing, 1), w.arrival("Full", "volume-1", Firing, 1)];
    let answers = w.admit(together).await;
    assert_eq!((answers[0].fate, answers[1].fate), (Fate::Opened, Fate::Merged));
    assert_eq!(answers[1].investigation, full.investigation);
}

#[tokio::test]
async fn an_end_without_a_start_ends_every_episode_of_its_fingerprint() {
    let w = World::new().await;
    let told = w.admit(vec![w.arrival("Slow", "volume-0", Firing, 1), w.arrival("Slow", "volume-1", Firing, 1)]).await;
    // The same again with a start of its own, as senders do that name the moment of each message.
    let again = w.admit(vec![w.arrival("Slow", "volume-0", Firing, 700)]).await.remove(0);
    let mut end = w.arrival("Slow", "volume-0", Resolved, 900);
    end.event.starts_at = end.event.received_at;
    assert_eq!(w.fates(vec![end]).await, [Fate::Resolved]);
    let status = async |id| w.store.event(id).await.unwrap().unwrap().event.status;
    assert_eq!((status(told[0].event).await, status(again.event).await), (Resolved, Resolved));
    assert_eq!(status(told[1].event).await, Firing, "another fingerprint");
    let waiting = w.store.signals(told[0].investigation.unwrap()).await.unwrap();
    assert_eq!(waiting.iter().filter(|waiting| matches!(waiting.signal, Signal::Resolved { .. })).count(), 2);
}

#[tokio::test]
async fn many_bodies_at_once_open_one_investigation_for_a_cause() {
    let w = World::new().await;
    let bodies = (0..300).map(|n| {
        let resource = format!("volume-{n}");
        let mut arrivals = vec![w.arrival("Full", &resource, Firing, 1), w.arrival("Full", &resource, Firing, 1)];
        arrivals.extend((n % 3 == 0).then(|| w.arrival("Full", &resource, Resolved, 1)));
        w.store.admit(arrivals, None, at(9))
    });
    let answers: Vec<Admitted> =
        futures::future::join_all(bodies).await.into_iter().flat_map(|answers| answers.unwrap()).collect();
    let count = |fate| answers.iter().filter(|answer| answer.fate == fate).count();
    let counts = (count(Fate::Opened), count(Fate::Merged), count(Fate::Ignored), count(Fate::Resolved));
    assert_eq!(counts, (1, 299, 300, 100));
}

#[tokio::test]
async fn a09_what_is_beyond_the_cap_joins_one_storm_and_nothing_is_lost() {
    let w = World::new().await;
    let body: Vec<Arrival> = (0..2_000)
        .map(|n| w.arrival(&format!("Cause{}", n % 500), &format!("volume-{n}"), Firing, i64::from(n)))
        .collect();
    let answers = w.store.admit(body, Some(capped(50)), at(0)).await.unwrap();
    let count = |fate| answers.iter().filter(|answer| answer.fate == fate).count();
    // 49 of their own with three later alerts each, and the storm.
    assert_eq!((count(Fate::Opened), count(Fate::Merged)), (50, 1_950));
    let counts = w.store.counts().await.unwrap();
    assert_eq!((counts.events, counts.investigations), (2_000, 50));
    let storm = answers[49].investigation.unwrap();
    let view = w.store.investigation(storm).await.unwrap().unwrap();
    assert_eq!((view.alert.as_str(), view.subject.as_str(), view.route.as_str()), ("AlertStorm", "storm", "default"));
    assert_eq!(answers.iter().filter(|answer| answer.investigation == Some(storm)).count(), 451 * 4);
    // It is durable: a restart knows the storm, and what it stands for opens nothing by its resource.
    let w = w.reopened().await;
    let later = w.arrival("Another", "volume-60", Firing, 5);
    let joined = w.store.admit(vec![later], Some(capped(50)), at(1)).await.unwrap().remove(0);
    assert_eq!((joined.fate, joined.investigation), (Fate::Merged, Some(storm)));
    let over = w.store.admit(vec![w.arrival("Cause60", "volume-60", Resolved, 60)], Some(capped(50)), at(2)).await;
    assert_eq!(over.unwrap()[0].investigation, Some(storm));
    // When the window has passed, causes have investigations of their own again.
    let own = w.store.admit(vec![w.arrival("Another", "volume-61", Firing, 700)], Some(capped(50)), at(700)).await;
    assert_eq!(own.unwrap()[0].fate, Fate::Opened);
}

#[tokio::test]
async fn a_storm_that_somebody_cancelled_takes_nothing_any_more() {
    let w = World::new().await;
    let fates = async |name: &str| {
        let arrival = w.arrival(name, name, Firing, 0);
        w.store.admit(vec![arrival], Some(capped(1)), at(0)).await.unwrap().remove(0)
    };
    let first = fates("A").await;
    assert_eq!((first.fate, fates("B").await.investigation), (Fate::Opened, first.investigation));
    let lease = w.store.claim("a", at(1), at(30)).await.unwrap().unwrap();
    let bodies = vec![Body::Cancelled { reason: "noise".into() }, Body::Closed { outcome: Outcome::Cancelled }];
    w.append(&lease, bodies).await.unwrap();
    assert_eq!(fates("C").await.fate, Fate::Opened, "nobody would be told of it");
}

#[tokio::test]
async fn a05_an_alert_that_comes_and_goes_opens_no_third_investigation() {
    let w = World::new().await;
    let mut fates = vec![];
    for n in 0..100_i64 {
        let starts = n * 600;
        let answer = w.admit(vec![w.arrival("Down", "d1", Firing, starts)]).await.remove(0);
        fates.push(answer.fate);
        if let Some(lease) = w.store.claim("a", at(starts + 1), at(starts + 30)).await.unwrap() {
            let head = w.state(lease.investigation).await.head;
            let waiting = w.store.signals(lease.investigation).await.unwrap();
            let flapping =
                |waiting: &crate::store::Waiting| matches!(waiting.signal, Signal::Merged { flapping: true, .. });
            assert_eq!(waiting.iter().filter(|waiting| flapping(waiting)).count(), usize::from(n >= 2), "{n}");
            let consumed = waiting.iter().map(|waiting| waiting.number).collect();
            match n < 2 {
                true => drop(w.append(&lease, vec![Body::Closed { outcome: Outcome::Reported }]).await.unwrap()),
                false => drop(w.store.append(&lease, &head, Append { consumed, ..Append::default() }).await.unwrap()),
            }
            w.store.release(&lease).await.unwrap();
        }
        w.admit(vec![w.arrival("Down", "d1", Resolved, starts)]).await;
        let ended = w.store.signals(answer.investigation.unwrap()).await.unwrap();
        assert!(
            ended.iter().any(|waiting| matches!(waiting.signal, Signal::Resolved { .. })),
            "it is told of the end, too"
        );
        // Somebody reads that, so that nothing is left over.
        if let Some(lease) = w.store.claim("a", at(starts + 100), at(starts + 130)).await.unwrap() {
            let head = w.state(lease.investigation).await.head;
            let consumed = ended.iter().map(|waiting| waiting.number).collect();
            w.store.append(&lease, &head, Append { consumed, ..Append::default() }).await.unwrap();
            w.store.release(&lease).await.unwrap();
        }
    }
    assert_eq!(fates.iter().filter(|fate| **fate == Fate::Opened).count(), 2);
    assert_eq!(fates.iter().filter(|fate| **fate == Fate::Merged).count(), 98);
    // It was quiet for half an hour: what comes now is news.
    assert_eq!(w.fates(vec![w.arrival("Down", "d1", Firing, 99 * 600 + 1_801)]).await, [Fate::Opened]);
}

/// One thread: all of them wait before the writer gets its turn, so they are one group.
#[tokio::test]
async fn one_body_that_fails_among_many_takes_nothing_of_the_others_with_it() {
    let w = World::new().await;
    w.admit(vec![w.arrival("A", "damaged", Firing, 1)]).await;
    let mut direct = SqliteStore::writing_connection(&w.path()).await.unwrap();
    sqlx::query("UPDATE events SET json = 'x'").execute(&mut direct).await.unwrap();
    drop(direct);
    let bodies = (0..20).map(|n| {
        let arrivals = match n {
            // Its first alert would open one, and its second cannot be read.
            7 => vec![w.arrival("C", "d7", Firing, 1), w.arrival("A", "damaged", Resolved, 1)],
            _ => vec![
                w.arrival("B", &format!("d{n}"), Firing, 1),
                w.arrival(&format!("B{n}"), &format!("e{n}"), Firing, 1),
            ],
        };
        w.store.admit(arrivals, Some(capped(10)), at(0))
    });
    let answers = futures::future::join_all(bodies).await;
    let mut fates = vec![];
    for (n, answer) in answers.into_iter().enumerate() {
        match n {
            7 => assert!(matches!(answer, Err(StoreError::Corrupt { .. })), "{answer:?}"),
            _ => fates.extend(answer.unwrap().into_iter().map(|admitted| admitted.fate)),
        }
    }
    let count = |fate| fates.iter().filter(|known| **known == fate).count();
    // Beside the damaged one eight of their own, and the storm for the rest.
    assert_eq!((fates.len(), count(Fate::Opened), count(Fate::Merged)), (38, 9, 29));
    let counts = w.store.counts().await.unwrap();
    assert_eq!((counts.events, counts.investigations), (1 + 38, 1 + 9));
}

#[tokio::test]
async fn alerts_on_the_pods_of_one_workload_are_one_incident() {
    let w = World::new().await;
    let on = |kind, namespace: &str, id: &str| {
        let mut arrival = w.arrival(&format!("A{id}"), id, Firing, 1);
        (arrival.event.resource.kind, arrival.event.resource.namespace) = (kind, Some(namespace.to_owned()));
        arrival
    };
    use ResourceType::{K8sDeployment, K8sPod, K8sStatefulset};
    let first = w.admit(vec![on(K8sPod, "shop", "api-7c9d8b6f5d-x2x9z")]).await.remove(0);
    for (kind, namespace, id, joins) in [
        (K8sPod, "shop", "api-7c9d8b6f5d-b2b9b", true),
        (K8sPod, "shop", "api-5f6d7c8b9d-c4c9c", true),
        (K8sDeployment, "shop", "api", true),
        (K8sPod, "shop", "apix-7c9d8b6f5d-x2x9z", false),
        (K8sPod, "other", "api-7c9d8b6f5d-z9z9z", false),
        (K8sPod, "shop", "typedb-0", false),
    ] {
        let answer = w.admit(vec![on(kind, namespace, id)]).await.remove(0);
        assert_eq!(answer.investigation == first.investigation, joins, "{namespace}/{id}");
    }
    assert_eq!(
        w.fates(vec![on(K8sPod, "shop", "typedb-1"), on(K8sStatefulset, "shop", "typedb")]).await,
        [Fate::Merged; 2]
    );
}

#[tokio::test]
async fn what_came_one_way_joins_what_came_the_other_and_groups_stay_apart() {
    for (first, second, fates) in [
        (Way::Sent, Way::Polled, [Fate::Opened, Fate::Merged]),
        (Way::Polled, Way::Sent, [Fate::Opened, Fate::Merged]),
        (Way::Sent, Way::Sent, [Fate::Opened, Fate::Opened]),
    ] {
        for together in [true, false] {
            let world = World::new().await;
            let one = by(first, world.arrival("A", "a", Firing, 0));
            let two = by(second, world.arrival("A", "b", Firing, 0));
            let answers = match together {
                true => world.admit(vec![one, two]).await,
                false => [world.admit(vec![one]).await, world.admit(vec![two]).await].concat(),
            };
            let met: Vec<Fate> = answers.iter().map(|answer| answer.fate).collect();
            assert_eq!(met, fates, "{first:?} {second:?} {together}");
            let is_one = answers[0].investigation == answers[1].investigation;
            assert_eq!(is_one, fates[1] == Fate::Merged);
        }
    }
    // Another name is another incident.
    let world = World::new().await;
    let (one, two) = (world.arrival("A", "a", Firing, 0), world.arrival("B", "b", Firing, 0));
    assert_eq!(world.fates(vec![by(Way::Sent, one), by(Way::Polled, two)]).await, [Fate::Opened, Fate::Opened]);
}
