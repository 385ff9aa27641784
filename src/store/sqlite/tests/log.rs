//! Every committed entry has its line in the log, and none is changed or lost.

use super::*;
use crate::journal::{Deleted, Retained};
use crate::store::{KeptCheckpoint, Log, Logged};

async fn lines(world: &World) -> Vec<(u64, String, u64)> {
    let lines = world.store.log(0, 1_000).await.unwrap();
    assert!(lines.iter().all(|line| line.hash.is_some()));
    lines.into_iter().map(|Logged { position, chain, seq, .. }| (position, chain, seq)).collect()
}

async fn direct(world: &World, sql: &'static str) -> Result<(), String> {
    let mut connection = SqliteStore::writing_connection(&world.path()).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn entries_stand_in_the_order_of_their_commits() {
    let world = World::new().await;
    let first = world.begun("a", vec![Body::Cancelled { reason: "r".into() }]).await;
    world.store.append_system(vec![Draft::engine(Body::Stopped {})], vec![], at(0)).await.unwrap();
    let second = world.begun("b", vec![]).await;
    let lost = Lease { epoch: 99, ..first.clone() };
    assert!(world.append(&lost, vec![Body::Cancelled { reason: "r".into() }]).await.is_err());
    world.append(&first, vec![Body::Closed { outcome: Outcome::Cancelled }]).await.unwrap();
    let (a, b) = (first.investigation.to_string(), second.investigation.to_string());
    let expected = [(a.clone(), 1), (a.clone(), 2), ("system".into(), 1), (b, 1), (a, 3)];
    let expected: Vec<_> = expected.into_iter().zip(1..).map(|((chain, seq), n)| (n, chain, seq)).collect();
    assert_eq!(lines(&world).await, expected);
    let newest = world.store.log_before(5, 2).await.unwrap();
    assert_eq!(newest.iter().map(|line| line.position).collect::<Vec<_>>(), [4, 3]);
    let found = world.store.mentions("Cancelled", 9).await.unwrap();
    assert_eq!(found, [(first.investigation.to_string(), 2)]);
}

#[tokio::test]
async fn what_an_older_program_wrote_gets_its_lines() {
    let world = World::new().await;
    world.begun("a", vec![Body::Cancelled { reason: "r".into() }]).await;
    world.store.append_system(vec![Draft::engine(Body::Stopped {})], vec![], at(0)).await.unwrap();
    let before = "DROP TABLE log; DROP TABLE checkpoints; DROP TABLE retired; DROP INDEX investigations_closed; \
                  DROP TRIGGER entries_are_logged; DELETE FROM _sqlx_migrations WHERE version = 7";
    direct(&world, before).await.unwrap();
    let path = world.path();
    let old = SqliteStore::open_to_read(&path).await.unwrap().log(0, 9).await.unwrap_err();
    assert!(old.to_string().contains("older firewarden"), "{old}");
    let world = world.reopened().await;
    world.store.append_system(vec![Draft::engine(Body::Stopped {})], vec![], at(1)).await.unwrap();
    let lines = lines(&world).await;
    let chains: Vec<(&str, u64)> = lines.iter().map(|(_, chain, seq)| (&chain[..3], *seq)).collect();
    assert_eq!(chains, [("inv", 1), ("inv", 2), ("sys", 1), ("sys", 2)]);
}

#[tokio::test]
async fn checkpoints_go_forward_and_nothing_is_taken_back() {
    let world = World::new().await;
    world.begun("a", vec![]).await;
    let kept = |size| KeptCheckpoint { size, note: format!("n{size}"), frontier: vec![1] };
    world.store.keep_checkpoint(kept(3)).await.unwrap();
    assert!(world.store.keep_checkpoint(kept(3)).await.is_err() && world.store.keep_checkpoint(kept(2)).await.is_err());
    world.store.keep_checkpoint(kept(7)).await.unwrap();
    assert_eq!(world.store.last_checkpoint().await.unwrap(), Some(kept(7)));
    assert_eq!(world.store.checkpoints(3, 9).await.unwrap(), [kept(7)]);
    for sql in
        ["DELETE FROM log", "UPDATE log SET seq = 9", "DELETE FROM checkpoints", "UPDATE checkpoints SET note = 'x'"]
    {
        let refused = direct(&world, sql).await.unwrap_err();
        assert!(refused.contains("only added to"), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn payloads_of_what_is_open_again_stay() {
    let world = World::new().await;
    let lease = world.begun("a", vec![Body::Cancelled { reason: "r".into() }]).await;
    let chain = lease.investigation.to_string();
    let raw = world.store.entries(&chain, 0, 1).await.unwrap()[0].body.payloads()[0].clone();
    let late = at(99);
    let due = async || world.store.due(Retained::Payloads, late, 9).await.unwrap();
    let deleted = || Deleted {
        chain: chain.clone(),
        kind: Retained::Payloads,
        ended_before: late,
        commitments: vec![raw.commitment.clone()],
    };
    assert_eq!(due().await, []);
    world.store.retire(deleted(), 2, late).await.unwrap();
    assert!(world.store.blob(&raw).await.unwrap().is_some(), "it is open");
    world.append(&lease, vec![Body::Closed { outcome: Outcome::Cancelled }]).await.unwrap();
    assert_eq!(due().await.len(), 1);
    world.store.retire(deleted(), 3, late).await.unwrap();
    assert_eq!(world.store.blob(&raw).await.unwrap(), None);
    assert_eq!((due().await, world.store.retired(Retained::Payloads, &chain).await.unwrap()), (vec![], 3));
    let said = world.store.entries("system", 0, 9).await.unwrap();
    assert_eq!(said.last().unwrap().body, Body::PayloadsDeleted(deleted()));
}
