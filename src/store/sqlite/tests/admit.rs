//! Alerts that come together meet the same fate as alerts that come one after the other.

use super::*;
use proptest::prelude::*;

/// An alert in few words: name, resource, whether it is over, and when it started, if its sender says.
type Few = (u8, u8, bool, Option<u8>);

fn few() -> impl Strategy<Value = Few> {
    (0..3_u8, 0..3_u8, any::<bool>(), proptest::option::of(0..3_u8))
}

fn arrivals(world: &World, alerts: &[Few]) -> Vec<Arrival> {
    let of = |(name, resource, is_over, starts): &Few| {
        let status = if *is_over { Resolved } else { Firing };
        let (name, resource) = (format!("Alert{name}"), format!("volume-{resource}"));
        let mut arrival = world.arrival(&name, &resource, status, i64::from(starts.unwrap_or(0)) * 100);
        if starts.is_none() {
            arrival.event.starts_at = arrival.event.received_at;
        }
        arrival
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
