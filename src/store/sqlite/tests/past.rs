//! What happened before to the same thing is counted over all investigations, and a restart forgets nothing.

use super::*;
use crate::domain::{ActionId, ApprovalState, Effect, Target};
use crate::journal::{ApprovalView, asked::sample};
use crate::store::{BegunDeed, Fared, Past};
use jiff::SignedDuration;

const THING: &str = "/shop/k8s_pvc/d1";
const WINDOW: SignedDuration = SignedDuration::from_mins(30);

impl World {
    /// The alert `name` on `d1` fires at `second` and is over `lasts` seconds later.
    async fn down(&self, name: &str, second: i64, lasts: i64) {
        for (status, now) in [(Firing, second), (Resolved, second + lasts)] {
            let arrival = self.arrival(name, "d1", status, second);
            self.store.admit(vec![arrival], None, at(now)).await.unwrap();
        }
    }

    async fn past(&self, window: SignedDuration, second: i64) -> Past {
        self.store.past_of(THING, window, at(second)).await.unwrap()
    }

    /// Begun changes and questions, with one entry more.
    async fn make(&self, lease: &Lease, deeds: Vec<BegunDeed>, approvals: Vec<ApprovalView>) {
        let state = self.state(lease.investigation).await;
        let body = Body::Reopened { reason: "r".into() };
        let entries = vec![state.head.seal(&state.chain, at(10), Draft::engine(body)).unwrap()];
        let append = Append { entries, deeds, approvals, ..Append::default() };
        self.store.append(lease, &state.head, append).await.unwrap();
    }
}

#[tokio::test]
async fn going_down_is_counted_over_all_alerts_of_the_thing() {
    let w = World::new().await;
    for n in 0..3 {
        w.down("A", 600 * n, 300).await;
        // Another alert of the same time tells of nothing more.
        w.down("B", 600 * n + 10, 200).await;
    }
    w.store.admit(vec![w.arrival("A", "d2", Firing, 600)], None, at(600)).await.unwrap();
    // It was never seen to fire.
    w.store.admit(vec![w.arrival("C", "d1", Resolved, 900)], None, at(900)).await.unwrap();
    let expected = Past { firings_1h: 6, firings_24h: 6, down_events: 3, investigations_24h: 1, ..Past::default() };
    assert_eq!(w.past(WINDOW, 1500).await, expected);
    let w = w.reopened().await;
    assert_eq!(w.past(WINDOW, 1500).await, expected);
    assert_eq!(w.past(SignedDuration::from_secs(600), 1500).await.down_events, 1);
    assert_eq!(w.past(WINDOW, 2 * 3600).await, Past { firings_1h: 0, down_events: 0, ..expected });
    assert_eq!(w.past(WINDOW, 30 * 3600).await, Past::default());
    assert_eq!(w.store.past_of("/shop/k8s_pvc/other", WINDOW, at(1500)).await.unwrap(), Past::default());
}

#[tokio::test]
async fn what_did_not_stay_mended_did_not_hold() {
    let w = World::new().await;
    for second in [0, 603, 1203] {
        w.down("A", second, 100).await;
    }
    let lease = w.store.claim("w", at(2000), at(9000)).await.unwrap().unwrap();
    let deed = |n: u128, started: i64, effect, made, helped| BegunDeed {
        id: ActionId::new(uuid::Uuid::from_u128(n)),
        investigation: lease.investigation,
        started_at: at(started),
        tool: "restart".into(),
        target: Target::default(),
        effect,
        thing: THING.into(),
        alert: "A".into(),
        made,
        helped,
    };
    let deeds = vec![
        // It went down again at 606 and at 1206.
        deed(1, 20, Effect::Write, Some(true), None),
        deed(2, 700, Effect::Write, Some(true), Some(true)),
        // What follows at once may be its own doing.
        deed(3, 1100, Effect::Write, Some(true), Some(true)),
        deed(4, 1400, Effect::Destroy, Some(true), Some(false)),
        // The target refused it; nobody knows yet; a ticket mends nothing.
        deed(5, 30, Effect::Write, Some(false), None),
        deed(6, 40, Effect::Write, None, None),
        deed(7, 1450, Effect::Record, Some(true), None),
    ];
    let said = |n, state| ApprovalView { state, requested_at: at(5), ..sample(n, lease.investigation) };
    let approvals =
        vec![said(1, ApprovalState::Denied), said(2, ApprovalState::Denied), said(3, ApprovalState::Succeeded)];
    w.make(&lease, deeds, approvals).await;
    let w = w.reopened().await;
    let past = w.past(WINDOW, 1500).await;
    assert_eq!((past.actions_24h, past.failed_actions_24h, past.last_action), (5, 3, Some(at(1400))));
    let fared = w.store.fared("A", at(1500)).await.unwrap();
    assert_eq!(fared, Fared { verified: 1, recurred: 3, rejected: 2 });
    assert_eq!(w.store.fared("B", at(1500)).await.unwrap(), Fared::default());
    let later = at(91 * 24 * 3600);
    assert_eq!(w.store.fared("A", later).await.unwrap(), Fared::default(), "ninety days are remembered");
    let past = w.past(WINDOW, 26 * 3600).await;
    assert_eq!((past.actions_24h, past.failed_actions_24h, past.last_action), (0, 0, Some(at(1400))));
}
