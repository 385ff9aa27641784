//! What was changed before is counted over all investigations, and a restart forgets nothing.

use super::*;
use crate::domain::{ActionId, Effect, Target};
use crate::store::{BegunDeed, DeedCounts};

fn target(namespace: &str, kind: &str, name: &str) -> Target {
    Target {
        system: "kubernetes".into(),
        namespace: namespace.into(),
        kind: kind.into(),
        name: name.into(),
        verb: "patch".into(),
        ..Target::default()
    }
}

fn id(n: u128) -> ActionId {
    ActionId::new(uuid::Uuid::from_u128(n))
}

#[tokio::test]
async fn changes_are_counted_by_object_namespace_kind_and_tool() {
    let world = World::new().await;
    let lease = world.begun("a", vec![]).await;
    let hour = 3600;
    let deed = |n, started: i64, tool: &str, target: Target, helped| BegunDeed {
        id: id(n),
        investigation: lease.investigation,
        started_at: at(started),
        tool: tool.into(),
        target,
        effect: Effect::Write,
        thing: String::new(),
        alert: String::new(),
        made: Some(true),
        helped,
    };
    let (api, web) = (|| target("shop", "Deployment", "api"), || target("shop", "Deployment", "web"));
    let deeds = vec![
        deed(1, 0, "restart", api(), Some(false)),
        deed(2, 20 * hour, "restart", api(), Some(false)),
        deed(3, 24 * hour - 100, "restart", api(), None),
        deed(4, 24 * hour - 90, "scale", api(), Some(true)),
        deed(5, 24 * hour - 80, "restart", web(), None),
        deed(6, 24 * hour - 70, "restart", target("bank", "Deployment", "api"), None),
        deed(7, 24 * hour - 60, "restart", target("shop", "StatefulSet", "api"), None),
    ];
    let chain = lease.investigation.to_string();
    let head = world.store.entries(&chain, 0, 100).await.unwrap().last().unwrap().head();
    let body = Body::AlertsMerged { events: vec![], flapping: false };
    let entry = head.seal(&chain, at(1), Draft::engine(body)).unwrap();
    let append = Append { entries: vec![entry], deeds, ..Append::default() };
    world.store.append(&lease, &head, append).await.unwrap();
    let expected = DeedCounts {
        resource_1h: 2,
        resource_24h: 3,
        namespace_1h: 4,
        targets_of_kind_1h: 3,
        same_1h: 1,
        same_failed_24h: 1,
    };
    let now = at(24 * hour);
    let counted = world.store.deeds_before(id(99), "restart", &api(), now).await.unwrap();
    assert_eq!(counted, expected);
    // Whoever asks does not count itself, and a further attempt is no further change.
    let own = world.store.deeds_before(id(3), "restart", &api(), now).await.unwrap();
    assert_eq!((own.same_1h, own.resource_1h), (0, 1));
    let world = world.reopened().await;
    assert_eq!(world.store.deeds_before(id(99), "restart", &api(), now).await.unwrap(), expected);
    let later = world.store.deeds_before(id(99), "restart", &api(), at(60 * hour)).await.unwrap();
    assert_eq!(later, DeedCounts::default());
}
