//! An append is one script: it is written whole, or nothing of it is.

use super::*;
use sqlx::Executor;

impl World {
    /// An investigation of its own, claimed.
    async fn claimed(&self, name: &str) -> Lease {
        self.admit(vec![self.arrival(name, name, Firing, 0)]).await;
        self.store.claim("w", at(1), at(600)).await.unwrap().unwrap()
    }

    /// What the next worker would append: an entry with a payload, and a signal consumed.
    async fn next(&self, lease: &Lease) -> (Head, Append, Blob) {
        let state = self.state(lease.investigation).await;
        let blob = Blob::new(self.entropy.salt(), b"payload".to_vec());
        let body = Body::Declined { reason: "enough".into() };
        let entry = state.head.seal(&state.chain, at(10), Draft::engine(body)).unwrap();
        let append = Append { entries: vec![entry], blobs: vec![blob.clone()], ..Append::default() };
        (state.head, append, blob)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_append_takes_back_its_own_writes_and_nobody_elses() {
    let w = World::new().await;
    let mut prepared = vec![];
    for n in 0..24 {
        let lease = w.claimed(&format!("d{n}")).await;
        let (head, append, blob) = w.next(&lease).await;
        let stale = n % 3 == 0;
        let lease = Lease { epoch: lease.epoch - i64::from(stale), ..lease };
        prepared.push((stale, lease, head, append, blob));
    }
    // All at once, so that the writer finds several in its queue.
    let sent = prepared.iter().map(|(_, lease, head, append, _)| w.store.append(lease, head, append.clone()));
    let answers = futures::future::join_all(sent).await;
    for ((stale, lease, head, _, blob), answer) in prepared.iter().zip(answers) {
        let (now, kept) = (w.state(lease.investigation).await.head, w.store.blob(&blob.reference).await.unwrap());
        match stale {
            true => {
                let refused = answer.unwrap_err();
                assert!(refused.to_string().contains("another worker took it over"), "{refused}");
                assert_eq!((&now, kept), (head, None));
            }
            false => assert_eq!((answer.unwrap(), now.seq, kept), (false, head.seq + 1, Some(blob.bytes.clone()))),
        }
    }
}

#[tokio::test]
async fn consuming_alone_is_refused_like_any_append() {
    let w = World::new().await;
    let lease = w.claimed("d1").await;
    let cancel = Signal::Cancel { by: "a".into(), reason: "enough".into() };
    w.store.signal(lease.investigation, "api", cancel, at(3)).await.unwrap();
    let waiting = w.store.signals(lease.investigation).await.unwrap();
    let head = w.state(lease.investigation).await.head;
    let append = || Append { consumed: waiting.iter().map(|w| w.number).collect(), ..Append::default() };
    let stale = Lease { epoch: lease.epoch - 1, ..lease.clone() };
    let refused = w.store.append(&stale, &head, append()).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    assert_eq!(w.store.signals(lease.investigation).await.unwrap(), waiting, "nothing was taken");
    assert!(!w.store.append(&lease, &head, append()).await.unwrap());
    assert_eq!(w.store.signals(lease.investigation).await.unwrap(), []);
}

#[tokio::test]
async fn what_fails_in_the_middle_is_no_refusal_and_leaves_nothing() {
    let w = World::new().await;
    let lease = w.claimed("d1").await;
    let (head, append, blob) = w.next(&lease).await;
    let mut direct = SqliteStore::writing_connection(&w.path()).await.unwrap();
    let stray = format!("INSERT INTO entries (chain, seq, json) VALUES ('{}', 2, '{{}}')", lease.investigation);
    direct.execute(sqlx::AssertSqlSafe(stray)).await.unwrap();
    let failed = w.store.append(&lease, &head, append.clone()).await;
    assert!(matches!(failed, Err(StoreError::Unavailable { .. })), "{failed:?}");
    assert_eq!(w.store.blob(&blob.reference).await.unwrap(), None);
    direct.execute("DELETE FROM entries WHERE json = '{}'").await.unwrap();
    assert_eq!(w.state(lease.investigation).await.head, head, "the head did not move");
    w.store.append(&lease, &head, append).await.unwrap();
    assert_eq!(w.store.blob(&blob.reference).await.unwrap(), Some(blob.bytes));
}
