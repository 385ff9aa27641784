//! What was spent is counted with the entries, whatever happens to the process.

use super::*;
use crate::domain::{BlobRef, Budget, Ruling, Rung, Usage as Tokens, Verdict};
use crate::journal::{Call, Frozen, Proposal};
use crate::store::{Figures, Usage, UsageFilter, day_of};

fn blob() -> BlobRef {
    BlobRef::commit(&[0; 16], b"x")
}

fn asked(turn: u32, model: &str) -> Body {
    Body::ModelAsked {
        turn,
        model: model.into(),
        request_digest: Digest::of("r"),
        request: blob(),
        reserved_tokens: 1_000,
        reserved_usd: 0.5,
        max_tokens: 400,
        must_answer: false,
    }
}

fn replied(turn: u32) -> Body {
    Body::ModelReplied {
        turn,
        model: "m-2026".into(),
        reply: blob(),
        proposal: Proposal::Calls { accepted: vec![], rejected: vec![], recovered: false },
        usage: Tokens { tokens_in: 90, tokens_out: 10, tokens_cached: 40 },
        cost_usd: 0.25,
        sent: None,
    }
}

fn failed(turn: u32, charged: bool) -> Body {
    Body::ModelFailed { turn, error: "no".into(), transient: true, too_long: false, charged, sent: None }
}

fn opened(model: Option<&str>) -> Body {
    Body::Opened(Frozen {
        route: "default".into(),
        prompt: "incident".into(),
        tools: vec![],
        model: model.map(str::to_owned),
        fallbacks: vec![],
        budget: Budget::default(),
        context_tokens: None,
        windows: std::collections::BTreeMap::new(),
        pulls: None,
        playbook: Default::default(),
        prompts_digest: Digest::of(""),
        tools_digest: Digest::of(""),
    })
}

fn took(revision: u32, rung: Rung) -> Body {
    Body::LadderTaken { revision, rung, from: None, model: None, reason: "so it is".into() }
}

fn call(id: &str) -> Call {
    Call { id: id.into(), tool: "t".into(), args: serde_json::json!({}), effect: None, need: serde_json::Value::Null }
}

fn allowed(id: &str) -> Body {
    let ruling = Ruling {
        verdict: Verdict::Allow,
        ..serde_json::from_value(serde_json::json!({
            "id": "dec_00000000-0000-0000-0000-000000000001", "verdict": "allow", "reasons": [], "warnings": [],
            "obligations": [], "for_model": null, "policy": {"digest": Digest::of("p"), "bundle": "b"},
            "input_digest": Digest::of("i"), "error": null, "approvers": []
        }))
        .unwrap()
    };
    Body::ReadStarted { call: call(id), ruling, input: None }
}

impl World {
    pub(super) async fn begun(&self, name: &str, bodies: Vec<Body>) -> Lease {
        let arrival = self.arrival(name, name, Firing, 0);
        self.admit(vec![arrival]).await;
        let lease = self.store.claim("w", at(1), at(30)).await.unwrap().unwrap();
        self.append(&lease, bodies).await.unwrap();
        lease
    }

    async fn usage(&self) -> Usage {
        let day = day_of(at(10));
        self.store.usage(&UsageFilter { from: day, to: day, route: None, model: None }).await.unwrap()
    }

    async fn figures(&self, model: Option<&str>) -> Figures {
        let usage = self.usage().await;
        let row = usage.rows.iter().find(|row| row.model.as_deref() == model);
        row.map(|row| row.figures).unwrap_or_default()
    }
}

#[tokio::test]
async fn entries_are_counted_as_they_are_written() {
    let world = World::new().await;
    let plan = Body::SurveyPlanned { round: 1, calls: vec![call("s1")] };
    let lease = world.begun("a", vec![opened(Some("main")), took(1, Rung::Full), plan, asked(1, "main")]).await;
    let open = world.usage().await.open;
    assert_eq!((open.len(), open[0].reserved.tokens_in, open[0].reserved.tokens_out), (1, 600, 400));
    world.append(&lease, vec![replied(1), asked(2, "main"), failed(2, false)]).await.unwrap();
    assert_eq!(world.figures(Some("main")).await, main_figures(), "what was turned away costs nothing");
    assert_eq!(world.usage().await.open, []);
    // Asked, and asked again by the next process: the first one is charged in full.
    world.append(&lease, vec![asked(2, "other"), asked(2, "other"), failed(2, true)]).await.unwrap();
    let other = Figures { investigations: 1, tokens_in: 1_200, tokens_out: 800, cost_usd: 1.0, ..Figures::default() };
    assert_eq!(world.figures(Some("other")).await, other);
    let began = Figures { investigations: 1, with_model: 1, ..Figures::default() };
    assert_eq!(world.figures(None).await, began);

    world.begun("b", vec![opened(None), took(1, Rung::Deterministic)]).await;
    assert_eq!(world.figures(None).await, Figures { investigations: 2, with_model: 1, ..Figures::default() });
    let nobody = UsageFilter { from: day_of(at(10)), to: day_of(at(10)), route: Some("x".into()), model: None };
    assert_eq!(world.store.usage(&nobody).await.unwrap(), Usage::default());
}

#[tokio::test]
async fn a_refused_append_counts_nothing() {
    let world = World::new().await;
    let lease = world.begun("a", vec![opened(None)]).await;
    let stale = Lease { epoch: lease.epoch - 1, ..lease };
    assert!(world.append(&stale, vec![took(1, Rung::Full)]).await.is_err());
    assert_eq!(world.usage().await, Usage::default());
}

#[tokio::test]
async fn what_was_written_before_anybody_counted_is_counted_once() {
    let world = World::new().await;
    let plan = Body::SurveyPlanned { round: 1, calls: vec![call("s1")] };
    let bodies = vec![opened(Some("main")), plan, allowed("s1"), asked(1, "main"), replied(1), asked(2, "main")];
    let lease = world.begun("a", bodies).await;
    let counted = world.usage().await;
    for table in ["usage", "model_requests", "meta WHERE key = 'usage_counted'"] {
        let mut connection = SqliteStore::writing_connection(&world.path()).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(format!("DELETE FROM {table}"))).execute(&mut connection).await.unwrap();
    }
    assert_eq!(world.usage().await, Usage::default());
    let world = world.reopened().await;
    let found = world.usage().await;
    assert_eq!(found.open, counted.open);
    assert_eq!(world.figures(Some("main")).await, main_figures());
    let began = Figures { investigations: 1, with_model: 1, tool_calls: 1, ..Figures::default() };
    assert_eq!(world.figures(None).await, began, "no rung was journaled then: what was opened began");
    let world = world.reopened().await;
    assert_eq!(world.usage().await, found, "once is enough");
    // And the work goes on where it was.
    let epoch = lease.epoch + 1;
    let again = world.store.claim("w", at(40), at(70)).await.unwrap().unwrap();
    assert_eq!(again.epoch, epoch);
    world.append(&again, vec![replied(2)]).await.unwrap();
    assert_eq!(world.figures(Some("main")).await.turns, 2);
}

fn main_figures() -> Figures {
    Figures {
        investigations: 1,
        turns: 1,
        tokens_in: 90,
        tokens_cached: 40,
        tokens_out: 10,
        cost_usd: 0.25,
        ..Figures::default()
    }
}
