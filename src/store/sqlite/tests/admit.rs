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

/// What is left of all alerts: fates, what investigations were told, what is kept.
async fn left(world: &World, answers: Vec<Admitted>) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut told: Vec<(String, Vec<EventId>, usize)> = vec![];
    let mut seen = std::collections::BTreeSet::new();
    for id in answers.iter().filter_map(|answer| answer.investigation).filter(|id| seen.insert(*id)) {
        let waiting = world.store.signals(id).await.unwrap();
        let joined = waiting.iter().filter_map(|waiting| match &waiting.signal {
            Signal::Merged { events } => Some(events.clone()),
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
    fn together_is_as_one_by_one(before in prop::collection::vec(few(), 0..4), alerts in prop::collection::vec(few(), 1..16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (one_by_one, together) = runtime.block_on(async {
            let apart = World::new().await;
            let mut answers = vec![];
            for arrival in arrivals(&apart, &before).into_iter().chain(arrivals(&apart, &alerts)) {
                answers.extend(apart.admit(vec![arrival]).await);
            }
            let one_by_one = left(&apart, answers).await;
            let world = World::new().await;
            let mut answers = world.admit(arrivals(&world, &before)).await;
            answers.extend(world.admit(arrivals(&world, &alerts)).await);
            (one_by_one, left(&world, answers).await)
        });
        prop_assert_eq!(one_by_one, together);
    }
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
        w.store.admit(arrivals, at(9))
    });
    let answers: Vec<Admitted> =
        futures::future::join_all(bodies).await.into_iter().flat_map(|answers| answers.unwrap()).collect();
    let count = |fate| answers.iter().filter(|answer| answer.fate == fate).count();
    let counts = (count(Fate::Opened), count(Fate::Merged), count(Fate::Ignored), count(Fate::Resolved));
    assert_eq!(counts, (1, 299, 300, 100));
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
