//! Questions change with the entries that tell of them, or not at all.

use super::*;
use crate::domain::{ApprovalId, ApprovalState};
use crate::journal::{ApprovalView, asked::sample};
use crate::store::ApprovalFilter;

impl World {
    async fn asking(&self, name: &str) -> Lease {
        let arrival = self.arrival(name, name, Firing, 0);
        self.admit(vec![arrival]).await;
        self.store.claim("w", at(1), at(30)).await.unwrap().unwrap()
    }

    /// Shows these questions from now on, with one entry more.
    async fn ask(&self, lease: &Lease, approvals: Vec<ApprovalView>) -> Result<bool, StoreError> {
        let state = self.state(lease.investigation).await;
        let body = Body::Reopened { reason: "r".into() };
        let entries = vec![state.head.seal(&state.chain, at(10), Draft::engine(body)).unwrap()];
        self.store.append(lease, &state.head, Append { entries, approvals, ..Append::default() }).await
    }

    async fn listed(&self, filter: ApprovalFilter) -> Vec<ApprovalView> {
        let filter = ApprovalFilter { limit: filter.limit.max(100), ..filter };
        self.store.approvals(&filter).await.unwrap().items
    }
}

#[tokio::test]
async fn a_question_is_one_row_that_shows_how_far_it_has_come() {
    let world = World::new().await;
    let (a, b) = (world.asking("a").await, world.asking("b").await);
    let (first, second) = (sample(1, a.investigation), sample(2, b.investigation));
    world.ask(&a, vec![first.clone()]).await.unwrap();
    world.ask(&b, vec![second.clone(), sample(3, b.investigation)]).await.unwrap();
    assert_eq!(world.store.approval(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(world.store.approval(ApprovalId::new(uuid::Uuid::from_u128(9))).await.unwrap(), None);
    let pending = |lease: &Lease| world.store.pending_of(lease.investigation);
    assert_eq!(pending(&b).await.unwrap(), [sample(3, b.investigation), second.clone()]);

    let denied = ApprovalView { state: ApprovalState::Denied, reason: "not now".into(), ..second.clone() };
    world.ask(&b, vec![denied.clone()]).await.unwrap();
    assert_eq!(world.store.approval(second.id).await.unwrap(), Some(denied.clone()));
    assert_eq!(pending(&b).await.unwrap(), [sample(3, b.investigation)]);
    let state = Some(ApprovalState::Denied);
    assert_eq!(world.listed(ApprovalFilter { state, ..ApprovalFilter::default() }).await, [denied]);
    assert_eq!(world.listed(ApprovalFilter::of(a.investigation)).await, std::slice::from_ref(&first));

    let world = world.reopened().await;
    assert_eq!(world.listed(ApprovalFilter::default()).await.len(), 3);
    assert_eq!(world.store.pending_of(a.investigation).await.unwrap(), [first]);
}

#[tokio::test]
async fn pages_go_from_the_newest_to_the_oldest() {
    let world = World::new().await;
    let lease = world.asking("a").await;
    // More than one statement writes.
    let all: Vec<_> = (1..=150).map(|n| sample(n, lease.investigation)).collect();
    world.ask(&lease, all.clone()).await.unwrap();
    let (mut seen, mut cursor) = (vec![], None);
    loop {
        let filter = ApprovalFilter { limit: 60, cursor, ..ApprovalFilter::default() };
        let page = world.store.approvals(&filter).await.unwrap();
        assert!(page.items.len() <= 60);
        seen.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    seen.reverse();
    assert_eq!(seen, all);
}

#[tokio::test]
async fn a_refused_append_asks_nobody() {
    let world = World::new().await;
    let lease = world.asking("a").await;
    let stale = Lease { epoch: lease.epoch - 1, ..lease.clone() };
    let views = vec![sample(1, lease.investigation)];
    assert!(world.ask(&stale, views.clone()).await.is_err());
    let head = world.state(lease.investigation).await.head;
    let alone = || Append { approvals: views.clone(), ..Append::default() };
    assert!(world.store.append(&stale, &head, alone()).await.is_err());
    let elsewhere = crate::journal::Head { seq: head.seq + 1, ..head.clone() };
    assert!(world.store.append(&lease, &elsewhere, alone()).await.is_err());
    assert_eq!(world.listed(ApprovalFilter::default()).await, []);
    // A row needs no entry: what a crash left behind is made good.
    world.store.append(&lease, &head, alone()).await.unwrap();
    assert_eq!(world.listed(ApprovalFilter::default()).await, views);
}

#[tokio::test]
async fn what_is_given_up_leaves_no_open_question() {
    use ApprovalState::*;
    let world = World::new().await;
    let lease = world.asking("a").await;
    let states = [Pending, Approved, Executing, Denied, Succeeded];
    let views =
        states.iter().zip(1..).map(|(state, n)| ApprovalView { state: *state, ..sample(n, lease.investigation) });
    world.ask(&lease, views.collect()).await.unwrap();
    world.store.abandon(&lease, "its journal is damaged".into(), at(20)).await.unwrap();
    let mut left = world.listed(ApprovalFilter::default()).await;
    left.reverse();
    assert_eq!(
        left.iter().map(|view| view.state).collect::<Vec<_>>(),
        [Withdrawn, Withdrawn, Unknown, Denied, Succeeded]
    );
    assert_eq!(left[0].reason, "its journal is damaged");
    assert_eq!(left[3].reason, sample(4, lease.investigation).reason);
}
