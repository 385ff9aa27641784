//! A model that is slow, silent, wrong or stubborn: how often it is asked, and when that ends.

use super::spending::asked;
use super::*;

/// What comes of a call.
#[derive(Clone, Copy)]
enum Came {
    Seen(&'static str),
    Failed(&'static str),
    Refused,
}
use Came::*;

/// An investigation that is about to ask its model for the first time, with room for 20 turns.
fn asking() -> Life {
    let mut life = Life::new(vec![2], true);
    while !matches!(life.step(), Step::Ask { .. }) {
        life.perform(life.step());
    }
    life.state.frozen.as_mut().unwrap().budget = Budget::default();
    life
}

fn ask(life: &mut Life) -> u32 {
    let Step::Ask { turn, must_answer } = life.step() else { panic!("{:?}", life.step()) };
    life.second += 1;
    life.write(Body::ModelAsked {
        turn,
        model: "m".into(),
        request_digest: Digest::of("r"),
        request: blob(4),
        reserved_tokens: 100,
        reserved_usd: 0.0,
        max_tokens: 40,
        must_answer,
    });
    turn
}

fn answer(life: &mut Life, proposal: Proposal, usage: Usage) -> Step {
    let turn = ask(life);
    let (model, cost_usd) = ("m-2026".to_owned(), 0.001);
    life.write(Body::ModelReplied { turn, model, reply: blob(6), proposal, usage, cost_usd, sent: None });
    life.step()
}

/// A turn with these calls; gives the next step.
fn calls(life: &mut Life, made: &[(&str, Came)]) -> Step {
    let turn = life.state.turns.last().map_or(1, |t| t.number + 1);
    let one = |n: usize, what: &str| call(&format!("call_{turn}_{}", n + 1), json!({"what": what}));
    let all: Vec<(Call, Came)> = made.iter().enumerate().map(|(n, (what, came))| (one(n, what), *came)).collect();
    let accepted = all.iter().filter(|(_, came)| !matches!(came, Refused)).map(|(call, _)| call.clone()).collect();
    let refused = all.iter().filter(|(_, came)| matches!(came, Refused));
    let rejected = refused.map(|(call, _)| Rejected { call: call.clone(), remedy: "not run: no".into() }).collect();
    let step = answer(life, Proposal::Calls { accepted, rejected, recovered: false }, Usage::default());
    if !matches!(step, Step::Read(_)) {
        return step;
    }
    for (call, came) in all {
        let evidence_id = format!("E{}", life.state.evidence + 1);
        let (call_id, duration_ms) = (call.id.clone(), 1);
        match came {
            Refused => {}
            Failed(error) => {
                life.write(Body::ReadStarted { call, ruling: allowing(), input: None });
                life.write(Body::ReadFailed {
                    call_id,
                    evidence_id,
                    error: error.into(),
                    duration_ms,
                    instructions: vec![],
                });
            }
            Seen(text) => {
                life.write(Body::ReadStarted { call, ruling: allowing(), input: None });
                life.write(Body::ReadFinished {
                    call_id,
                    evidence_id,
                    observation: blob(3),
                    excerpt: "x".into(),
                    digest: Digest::of(text),
                    truncated: false,
                    redacted: 0,
                    duration_ms,
                    instructions: vec![],
                });
            }
        }
    }
    life.step()
}

fn unusable(life: &mut Life) -> Step {
    answer(life, Proposal::Invalid { remedy: "again".into() }, Usage::default())
}

/// The next step asks, and whether it demands the final answer.
fn demands(step: Step) -> bool {
    match step {
        Step::Ask { must_answer, .. } => must_answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn l09_three_identical_calls_with_one_result_force_the_final_answer_and_then_it_ends() {
    let mut life = asking();
    assert!(!demands(calls(&mut life, &[("a", Seen("x")), ("1", Seen("new"))])));
    assert!(!demands(calls(&mut life, &[("a", Seen("x")), ("2", Seen("new"))])));
    assert!(demands(calls(&mut life, &[("a", Seen("x")), ("3", Seen("new"))])));
    assert_eq!(calls(&mut life, &[("a", Refused)]), Step::Report, "called again instead of answering");
}

#[test]
fn l09_what_is_refused_within_a_turn_counts_and_a_result_that_changes_does_not() {
    let mut life = asking();
    assert!(demands(calls(&mut life, &[("a", Seen("x")), ("a", Refused), ("a", Refused)])));
    let mut life = asking();
    assert!(demands(calls(&mut life, &[("a", Refused), ("a", Refused), ("a", Refused)])));
    let mut life = asking();
    for (a, new) in [("Pending", "1"), ("Running", "2"), ("Ready", "3"), ("Gone", "4")] {
        assert!(!demands(calls(&mut life, &[("a", Seen(a)), (new, Seen("new"))])), "{a}");
    }
}

#[test]
fn l09_ping_pong_of_up_to_four_calls_forces_the_final_answer_whatever_comes_of_them() {
    for cycle in [vec!["a", "b"], vec!["a", "b", "c"], vec!["a", "b", "c", "d"]] {
        let mut life = asking();
        for (n, result) in ["first", "second", "third"].into_iter().enumerate() {
            let made: Vec<(&str, Came)> = cycle.iter().map(|what| (*what, Seen(result))).collect();
            assert_eq!(demands(calls(&mut life, &made)), n == 2, "{cycle:?}");
        }
    }
    // Five calls in a circle, with other results each time, are a look at something that moves.
    let mut life = asking();
    for result in ["first", "second", "third"] {
        let made: Vec<(&str, Came)> = ["a", "b", "c", "d", "e"].map(|what| (what, Seen(result))).into();
        assert!(!demands(calls(&mut life, &made)));
    }
}

#[test]
fn two_turns_that_bring_nothing_new_force_the_final_answer() {
    for (first, second) in [
        (vec![("a", Failed("403"))], vec![("b", Failed("404"))]),
        (vec![("a", Refused)], vec![("b", Refused)]),
        (vec![("a", Failed("403")), ("b", Refused)], vec![("c", Refused)]),
        (vec![], vec![("c", Refused)]),
    ] {
        let mut life = asking();
        assert!(!demands(calls(&mut life, &first)));
        assert!(demands(calls(&mut life, &second)));
    }
    let mut life = asking();
    assert!(!demands(calls(&mut life, &[("a", Seen("x"))])));
    assert!(!demands(calls(&mut life, &[("a", Seen("x"))])), "one turn");
    assert!(!demands(calls(&mut life, &[("b", Seen("x")), ("c", Failed("404"))])), "another question, answered");
    assert!(!demands(calls(&mut life, &[("c", Failed("404"))])));
    assert!(demands(unusable(&mut life)));
}

#[test]
fn l12_two_answers_without_use_force_the_final_one_and_the_third_is_the_last() {
    let mut life = asking();
    assert!(!demands(unusable(&mut life)));
    assert!(demands(unusable(&mut life)));
    assert_eq!(unusable(&mut life), Step::Report);
    // And with calls between them that fit no schema.
    let mut life = asking();
    assert!(!demands(unusable(&mut life)));
    assert!(demands(calls(&mut life, &[("a", Refused)])));
    assert_eq!(calls(&mut life, &[("b", Refused)]), Step::Report);
}

#[test]
fn l03_a_turn_without_answer_is_asked_once_more_and_then_done_without() {
    let mut life = asking();
    for again in [true, false] {
        let turn = ask(&mut life);
        let error = "the stream stopped".to_owned();
        life.write(Body::ModelFailed { turn, error, transient: true, too_long: false, charged: false, sent: None });
        match again {
            true => assert_eq!(life.step(), Step::Ask { turn, must_answer: false }),
            false => assert_eq!(life.step(), Step::Report),
        }
    }
    assert_eq!(life.state.calls.iter().filter(|call| call.turn.is_some()).count(), 0, "nothing of it was used");
}

#[test]
fn l15_a_conversation_that_is_too_long_is_asked_again_shorter_and_not_for_ever() {
    let mut life = asking();
    for n in 0..2 {
        let turn = ask(&mut life);
        let error = "longer than its context".to_owned();
        life.write(Body::ModelFailed { turn, error, transient: true, too_long: true, charged: false, sent: None });
        assert!(life.state.turns.last().unwrap().too_long);
        if n == 0 {
            assert_eq!(life.step(), Step::Ask { turn, must_answer: false });
            let calls = vec!["call_1_1".to_owned()];
            life.write(Body::Compacted(Compacted { turn, calls, chars_before: 9, chars_after: 4 }));
        }
    }
    assert_eq!(life.step(), Step::Report);
}

#[test]
fn l16_absurd_figures_of_usage_end_the_work_and_do_not_overflow() {
    let mut life = asking();
    let made = || Proposal::Calls { accepted: vec![], rejected: vec![], recovered: false };
    let absurd = Usage { tokens_in: u64::MAX, tokens_out: u64::MAX, tokens_cached: u64::MAX };
    assert_eq!(answer(&mut life, made(), absurd), Step::Report, "the budget is spent");
    assert_eq!(life.state.spent.tokens_in, u64::MAX);
}

#[test]
fn l17_the_name_in_the_answer_is_what_the_journal_keeps() {
    let mut life = asking();
    calls(&mut life, &[("a", Seen("x"))]);
    assert_eq!(life.state.model_seen.as_deref(), Some("m-2026"));
}

#[test]
fn l10_refused_calls_cost_no_call_of_the_budget() {
    let mut life = asking();
    let made: Vec<(&str, Came)> = vec![("a", Seen("x")), ("b", Refused), ("c", Refused)];
    calls(&mut life, &made);
    assert_eq!(life.state.spent.tool_calls, 1);
}

fn condense(life: &mut Life, number: u32, of: SummaryOf) {
    life.second += 1;
    life.write(Body::SummaryAsked {
        number,
        of,
        turn: 1,
        model: "small".into(),
        request_digest: Digest::of("r"),
        request: blob(4),
        reserved_tokens: 50,
        reserved_usd: 0.5,
        max_tokens: 20,
    });
}

fn of_call(n: u32) -> SummaryOf {
    SummaryOf::Result { call_id: format!("call_1_{n}") }
}

#[test]
fn a_summary_is_paid_for_and_is_no_turn() {
    let mut life = asking();
    let before = life.state.committed();
    condense(&mut life, 1, of_call(1));
    assert_eq!(life.state.committed().tokens(), before.tokens() + 50, "set aside");
    let usage = Usage { tokens_in: 7, tokens_out: 3, ..Usage::default() };
    life.write(Body::SummaryWritten(SummaryReply {
        number: 1,
        model: "s".into(),
        reply: blob(6),
        usage,
        cost_usd: 0.1,
        sent: Some(blob(7)),
    }));
    let after = life.state.committed();
    assert_eq!((after.tokens(), after.turns), (before.tokens() + 10, before.turns));
    assert!(life.state.summary_of(&of_call(1)).unwrap().reply.is_some());
    // Whoever asked did not live to tell: it is charged in full with the next request.
    condense(&mut life, 2, of_call(2));
    ask(&mut life);
    assert_eq!(life.state.spent.tokens(), after.tokens() + 50);
    assert!(life.state.summary_of(&of_call(2)).is_some_and(|lost| lost.reply.is_none() && !lost.over));
    assert_eq!(semantics::violations(&life.state.chain, &life.entries), Vec::<String>::new());
}

#[test]
fn summaries_are_numbered_bounded_and_never_asked_for_twice() {
    let mut life = asking();
    let last = u32::try_from(MAX_SUMMARIES).unwrap();
    for number in 1..=last {
        condense(&mut life, number, of_call(number));
        life.write(Body::SummaryFailed { number, error: "503".into(), charged: false });
    }
    assert_eq!(life.state.committed().tokens(), 0);
    assert_eq!(semantics::violations(&life.state.chain, &life.entries), Vec::<String>::new());
    let refused = |number: u32, of: SummaryOf| {
        let mut state = life.state.clone();
        state.ask_summary(number, &of)
    };
    assert!(refused(last + 2, of_call(99)).is_err(), "a gap");
    assert!(refused(last + 1, of_call(1)).is_err(), "of what was condensed before");
    assert!(life.state.clone().end_summary(last, None).is_err(), "it is over");
    condense(&mut life, last + 1, of_call(99));
    let broken = semantics::violations(&life.state.chain, &life.entries);
    assert!(broken.len() == 1 && broken[0].contains("more than 8"), "{broken:?}");
}

#[test]
fn each_model_has_the_window_that_it_was_frozen_with() {
    let mut frozen = asking().state.frozen.unwrap();
    frozen.context_tokens = Some(8_192);
    assert_eq!(frozen.window("any"), Some(8_192), "entries from before say one for all");
    frozen.context_tokens = None;
    frozen.windows = [("main".to_owned(), 65_536), ("small".to_owned(), 8_192)].into();
    assert_eq!(["main", "small", "other"].map(|name| frozen.window(name)), [Some(65_536), Some(8_192), None]);
}

#[test]
fn a_recorded_turn_is_not_asked_again() {
    let mut life = Life::new(vec![2], true);
    while !matches!(life.step(), Step::Ask { .. }) {
        life.perform(life.step());
    }
    life.write(asked(1));
    assert_eq!(life.step(), Step::Ask { turn: 1, must_answer: false }, "asked, not answered: asked again");
    life.write(Body::ModelReplied {
        turn: 1,
        model: "m".into(),
        reply: blob(6),
        proposal: Proposal::Calls { accepted: vec![], rejected: vec![], recovered: false },
        usage: Usage::default(),
        cost_usd: 0.0,
        sent: None,
    });
    assert_eq!(life.step(), Step::Ask { turn: 2, must_answer: false });
}

#[test]
fn a_failing_model_passes_its_turn_on() {
    let mut life = Life::new(vec![2], true);
    while !matches!(life.step(), Step::Ask { .. }) {
        life.perform(life.step());
    }
    if let Some(frozen) = &mut life.state.frozen {
        frozen.fallbacks = vec!["second".into(), "third".into()];
    }
    for _ in 0..3 {
        assert_eq!(life.step(), Step::Ask { turn: 1, must_answer: false });
        life.write(asked(1));
        life.write(Body::ModelFailed {
            turn: 1,
            error: "401".into(),
            transient: false,
            too_long: false,
            charged: false,
            sent: None,
        });
    }
    assert_eq!(life.step(), Step::Report, "all three were asked");
}
