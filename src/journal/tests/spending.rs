//! What may be spent, and what then is left to do.

use super::*;

pub(super) fn asked(turn: u32) -> Body {
    Body::ModelAsked {
        turn,
        model: "m".into(),
        request_digest: Digest::of("r"),
        request: blob(4),
        reserved_tokens: 100,
        reserved_usd: 0.5,
        max_tokens: 40,
        must_answer: false,
    }
}

fn at_first_question() -> Life {
    let mut life = Life::new(vec![2], true);
    while !matches!(life.step(), Step::Ask { .. }) {
        life.perform(life.step());
    }
    life
}

#[test]
fn a_request_is_charged_in_full_until_its_cost_is_known() {
    let mut life = at_first_question();
    let spent = |life: &Life| {
        let spent = life.state.committed();
        (spent.tokens_in, spent.tokens_out, spent.cost_usd)
    };
    life.write(asked(1));
    assert_eq!(spent(&life), (60, 40, 0.5), "under way");
    life.write(asked(1));
    assert_eq!(spent(&life), (120, 80, 1.0), "asked again by another process: nobody knows what the first did cost");
    life.write(Body::ModelFailed {
        turn: 1,
        error: "429".into(),
        transient: true,
        too_long: false,
        charged: false,
        sent: None,
    });
    assert_eq!(spent(&life), (60, 40, 0.5), "turned away");
    assert!(life.state.reserved.is_none());
    life.write(asked(1));
    life.write(Body::ModelFailed {
        turn: 1,
        error: "timeout".into(),
        transient: true,
        too_long: false,
        charged: true,
        sent: None,
    });
    assert_eq!(spent(&life), (120, 80, 1.0), "perhaps worked on");
    assert_eq!(View::of(&life.state).unwrap().usage.tokens_in, 120);
}

#[test]
fn each_rung_leads_as_far_as_it_says() {
    let take = |life: &mut Life, rung, model: Option<&str>| {
        let (from, model) = (life.state.ladder.as_ref().map(|l| l.rung), model.map(str::to_owned));
        life.write(Body::LadderTaken { revision: 1, rung, from, model, reason: "so it is".into() });
    };
    let mut life = at_first_question();
    take(&mut life, Rung::Cheap, Some("small"));
    assert_eq!(life.state.models(), ["small"]);
    assert!(matches!(life.step(), Step::Ask { .. }));
    take(&mut life, Rung::Deterministic, None);
    assert_eq!(life.step(), Step::Report, "no model is asked");
    let up = Body::LadderTaken { revision: 1, rung: Rung::Full, from: None, model: None, reason: "up".into() };
    let entry = life.state.head.seal(CHAIN, at(9_000), Draft::engine(up)).unwrap();
    assert!(life.state.apply(&entry).unwrap_err().why.contains("never climbs"));

    let mut life = Life::new(vec![2], true);
    while life.step() != Step::TakeRung {
        life.perform(life.step());
    }
    take(&mut life, Rung::Notice, None);
    assert_eq!(life.step(), Step::Report, "nothing is looked at");
    life.perform(Step::Report);
    assert!(matches!(life.step(), Step::Notify { revision: 1, .. }), "and people hear of it");
    assert!(!life.state.began);
}

#[test]
fn the_last_request_that_fits_is_for_the_answer() {
    let mut life = at_first_question();
    life.write(asked(1));
    let usage = Usage { tokens_in: 60, tokens_out: 0, ..Usage::default() };
    let proposal = Proposal::Calls { accepted: vec![], rejected: vec![], recovered: false };
    life.write(Body::ModelReplied {
        turn: 1,
        model: "m".into(),
        reply: blob(6),
        proposal,
        usage,
        cost_usd: 0.1,
        sent: None,
    });
    let ask = |life: &Life| match life.step() {
        Step::Ask { must_answer, .. } => must_answer,
        step => panic!("{step:?}"),
    };
    let with = |life: &mut Life, tokens, cost_usd| {
        let frozen = life.state.frozen.as_mut().unwrap();
        (frozen.budget.tokens, frozen.budget.cost_usd) = (tokens, cost_usd);
    };
    with(&mut life, 260, 1.1);
    assert!(!ask(&life), "two more fit");
    with(&mut life, 259, 1.1);
    assert!(ask(&life), "tokens for one more");
    with(&mut life, 260, 1.09);
    assert!(ask(&life), "money for one more");
}
