//! The sums, the estimates, and whole days with hostile figures, crashes and parallel work.

use super::*;
use crate::domain::{
    AlertStatus, BlobRef, Budget, DayBudget, Digest, EventId, FinishReason, InvestigationId, ProposedCall, Resource,
    ResourceType, Role, Severity, SreEvent, ToolOffer,
};
use crate::engine::ledger::Ledger;
use crate::journal::{Entry, Frozen, Investigation, Proposal};
use crate::store::{Figures, OpenRequest, UsageRow, day_of};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

fn usage(tokens_in: u64, tokens_out: u64) -> Usage {
    Usage { tokens_in, tokens_out, ..Usage::default() }
}

fn request(content: &str) -> ChatRequest {
    let message = Message { role: Role::User, content: content.into(), calls: vec![], answers: None };
    let tool = ToolOffer { name: "look".into(), description: "Looks.".into(), parameters: json!({"type": "object"}) };
    ChatRequest::new([message], vec![tool], 4_096)
}

fn reply(content: &str, said: Option<Usage>) -> ChatReply {
    let call = ProposedCall { id: "c".into(), tool: "look".into(), args: json!({"at": "x".repeat(80)}) };
    ChatReply { model: "m".into(), content: content.into(), calls: vec![call], finish: FinishReason::Stop, usage: said }
}

#[test]
fn what_a_server_does_not_say_is_estimated() {
    let (request, text) = (request(&"word ".repeat(1_000)), "x".repeat(400));
    let silent = estimate(&request, &reply(&text, None));
    assert!((1_250..1_300).contains(&silent.tokens_in), "{silent:?}");
    assert!((120..130).contains(&silent.tokens_out), "{silent:?}");
    let doubted = estimate(&request, &reply(&text, Some(usage(1, 0))));
    assert!(doubted.tokens_in.abs_diff(silent.tokens_in / 2) <= 1 && doubted.tokens_out <= silent.tokens_out / 2 + 1);
    assert!(most_tokens(&request) > silent.tokens_in, "what is set aside is more than what is expected");
}

#[test]
fn only_what_surely_was_turned_away_is_not_charged() {
    let model = || "main".to_owned();
    let said = || "no".to_owned();
    let (base_url, why) = ("u".to_owned(), "the connection broke, or was never made".to_owned());
    let unavailable = |status| ModelError::Unavailable { model: model(), status, message: said() };
    for (error, charged) in [
        (ModelError::RateLimited { model: model(), retry_after: None, message: said() }, false),
        (ModelError::Rejected { model: model(), status: 401, message: said() }, false),
        (ModelError::TooLong { model: model(), message: said() }, false),
        (ModelError::Settings { model: model(), what: said() }, false),
        (ModelError::Unreachable { model: model(), base_url: base_url.clone(), why: why.clone() }, false),
        (ModelError::Broken { model: model(), base_url, why }, true),
        (unavailable(503), false),
        (unavailable(500), true),
        (unavailable(504), true),
        (ModelError::Timeout { model: model(), after: std::time::Duration::from_secs(1) }, true),
        (ModelError::TooLarge { model: model(), limit: 1 }, true),
        (ModelError::Malformed { model: model(), what: said() }, true),
    ] {
        assert_eq!(may_be_billed(&error), charged, "{error}");
    }
}

#[test]
fn a_summary_gets_a_small_part_of_what_is_left_or_nothing() {
    let wanted = |cost_usd| Reservation { tokens_in: 900, tokens_out: 100, cost_usd };
    let own = |tokens, usd| Left { tokens, usd };
    for (wanted, own, tokens_left, usd_left, fits) in [
        (wanted(0.1), own(4_000, 0.4), None, None, true),
        (wanted(0.1), own(3_999, 0.4), None, None, false),
        (wanted(0.1), own(4_000, 0.3), None, None, false),
        (wanted(0.1), own(9_000, 9.0), Some(3_999), None, false),
        (wanted(0.1), own(9_000, 9.0), None, Some(0.3), false),
        (wanted(0.0), own(9_000, -1.0), None, Some(-1.0), true),
    ] {
        let standing = Standing { tokens_left, usd_left, ..Standing::default() };
        assert_eq!(is_small_part(&wanted, &own, &standing), fits, "{wanted:?} {own:?}");
    }
}

#[test]
fn an_answer_is_as_long_as_the_tightest_limit_permits() {
    let price = Price { input_per_mtok: 1.0, output_per_mtok: 10.0, cached_per_mtok: None };
    let roomy = Left { tokens: 100_000, usd: 10.0 };
    let day = Standing::default();
    let out = |own, day| widest(&price, 1_000, 4_096, &own, &day).tokens_out;
    assert_eq!(out(roomy, day), 4_096);
    assert_eq!(out(Left { tokens: 3_000, ..roomy }, day), 2_000);
    assert_eq!(out(Left { usd: 0.021, ..roomy }, day), 2_000);
    assert_eq!(out(roomy, Standing { tokens_left: Some(2_500), ..day }), 1_500);
    assert_eq!(out(roomy, Standing { usd_left: Some(0.016), ..day }), 1_500);
    let free = widest(&Price::default(), 1_000, 4_096, &roomy, &Standing { usd_left: Some(0.0), ..day });
    assert_eq!((free.tokens_out, free.cost_usd), (4_096, 0.0));
}

const INVESTIGATIONS: u64 = 4;
const DAY: DayBudget = DayBudget { cost_usd: Some(1.0), tokens: Some(90_000), investigations: None };
const OWN: Budget = Budget {
    turns: u32::MAX,
    tool_calls: 60,
    tokens: 60_000,
    cost_usd: 0.5,
    wall_s: 600,
    survey_calls: 64,
    survey_s: 30,
};
const MAIN: Price = Price { input_per_mtok: 3.0, output_per_mtok: 15.0, cached_per_mtok: None };

#[derive(Debug, Clone)]
enum Event {
    Ask {
        who: u64,
        tokens_in: u64,
    },
    Reply {
        who: u64,
        said: Option<Usage>,
    },
    Fail {
        who: u64,
        charged: bool,
    },
    /// The answer came, and the process died before it was on disk.
    ReplyAndDie {
        who: u64,
        said: Option<Usage>,
    },
    Die,
}

fn said() -> impl Strategy<Value = Option<Usage>> {
    prop_oneof![
        // What a server leaves out, and what is negative or no number, is read as nothing.
        Just(None),
        Just(Some(usage(0, 0))),
        Just(Some(usage(u64::MAX, u64::MAX))),
        (0..20_000_u64, 0..9_000_u64).prop_map(|(sent, received)| Some(usage(sent, received))),
        (any::<u64>(), any::<u64>()).prop_map(|(sent, received)| Some(usage(sent, received))),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let who = 0..INVESTIGATIONS;
    prop_oneof![
        6 => (who.clone(), 1..20_000_u64).prop_map(|(who, tokens_in)| Event::Ask { who, tokens_in }),
        4 => (who.clone(), said()).prop_map(|(who, said)| Event::Reply { who, said }),
        1 => (who.clone(), any::<bool>()).prop_map(|(who, charged)| Event::Fail { who, charged }),
        1 => (who, said()).prop_map(|(who, said)| Event::ReplyAndDie { who, said }),
        1 => Just(Event::Die),
    ]
}

fn at() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn id(n: u64) -> InvestigationId {
    InvestigationId::new(Uuid::from_u128(u128::from(n) + 1))
}

fn blob() -> BlobRef {
    BlobRef::commit(&[0; 16], b"x")
}

/// A process with its ledger, and the journals that outlive it.
struct World {
    ledger: Ledger,
    chains: BTreeMap<u64, (Investigation, Vec<Entry>)>,
    /// Whose request is under way. One that is asked again, or whose process died, brings no answer.
    flying: BTreeSet<u64>,
    /// The largest request that was let out.
    largest: Reservation,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            ledger: Ledger::new(DAY),
            chains: BTreeMap::new(),
            flying: BTreeSet::new(),
            largest: Reservation::default(),
        };
        for n in 0..INVESTIGATIONS {
            world.chains.insert(n, (Investigation::empty(&id(n).to_string()), vec![]));
            world.write(
                n,
                Body::EventReceived {
                    event: Box::new(alert(n)),
                    correlation_key: "k".into(),
                    incident_key: Digest::of("k"),
                    route: "default".into(),
                },
            );
            world.write(
                n,
                Body::Opened(Frozen {
                    route: "default".into(),
                    prompt: "incident".into(),
                    tools: vec![],
                    model: Some("main".into()),
                    fallbacks: vec![],
                    budget: OWN,
                    context_tokens: None,
                    windows: std::collections::BTreeMap::new(),
                    pulls: None,
                    playbook: Default::default(),
                    prompts_digest: Digest::of(""),
                    tools_digest: Digest::of(""),
                }),
            );
        }
        world.restart();
        world
    }

    fn write(&mut self, n: u64, body: Body) {
        let (inv, entries) = self.chains.get_mut(&n).unwrap();
        let entry = inv.head.seal(&inv.chain, at(), Draft::engine(body)).unwrap();
        inv.apply(&entry).unwrap();
        entries.push(entry);
    }

    /// As the store counts: what is settled as it is, what is not in full.
    fn stored(&self) -> crate::store::Usage {
        let mut stored = crate::store::Usage::default();
        for (n, (_, entries)) in &self.chains {
            let mut open: Option<Reservation> = None;
            let mut paid = Figures::default();
            for entry in entries {
                match &entry.body {
                    Body::ModelAsked { reserved_tokens, reserved_usd, max_tokens, .. } => {
                        let tokens_out = u64::from(*max_tokens);
                        let tokens_in = reserved_tokens - tokens_out;
                        let asked = Reservation { tokens_in, tokens_out, cost_usd: *reserved_usd };
                        if let Some(lost) = open.replace(asked) {
                            paid.add(&Figures::reserved(&lost));
                        }
                    }
                    Body::ModelReplied { usage, cost_usd, .. } => {
                        open = None;
                        let Usage { tokens_in, tokens_out, .. } = *usage;
                        paid.add(&Figures { tokens_in, tokens_out, cost_usd: *cost_usd, ..Figures::default() });
                    }
                    Body::ModelFailed { charged, .. } => {
                        if let Some(asked) = open.take().filter(|_| *charged) {
                            paid.add(&Figures::reserved(&asked));
                        }
                    }
                    _ => {}
                }
            }
            let (day, route, model) = (day_of(at()), "default".to_owned(), "main".to_owned());
            let row = UsageRow { day, route: route.clone(), model: Some(model.clone()), figures: paid };
            stored.rows.push(row);
            stored.open.extend(open.map(|reserved| OpenRequest { investigation: id(*n), day, route, model, reserved }));
        }
        stored
    }

    fn restart(&mut self) {
        self.flying.clear();
        self.ledger = Ledger::new(DAY);
        self.ledger.fill(day_of(at()), &self.stored(), &[]);
        for (inv, entries) in self.chains.values_mut() {
            *inv = Investigation::fold(&inv.chain, entries).unwrap();
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Ask { who, tokens_in } => self.ask(*who, *tokens_in),
            Event::Reply { who, said } if self.flying.remove(who) => {
                let body = self.answer(*who, *said);
                self.write(*who, body);
            }
            Event::ReplyAndDie { who, said } if self.flying.remove(who) => {
                self.answer(*who, *said);
                self.restart();
            }
            Event::Fail { who, charged } if self.flying.remove(who) => {
                self.ledger.close(id(*who), *charged);
                let (turn, error) = (self.turn(*who), "no".to_owned());
                self.write(
                    *who,
                    Body::ModelFailed { turn, error, transient: true, too_long: false, charged: *charged, sent: None },
                );
            }
            Event::Die => self.restart(),
            Event::Reply { .. } | Event::ReplyAndDie { .. } | Event::Fail { .. } => {}
        }
    }

    fn turn(&self, n: u64) -> u32 {
        let turns = &self.chains[&n].0.turns;
        turns.last().map_or(1, |last| if last.reply.is_some() { last.number + 1 } else { last.number })
    }

    fn ask(&mut self, n: u64, tokens_in: u64) {
        self.flying.remove(&n);
        let (inv, _) = &self.chains[&n];
        let spent = inv.committed();
        let own = Left { tokens: OWN.tokens.saturating_sub(spent.tokens()), usd: OWN.cost_usd - spent.cost_usd };
        let asked = Offer { model: "main", price: MAIN, least: Reservation::new(tokens_in, LEAST_ANSWER, &MAIN) };
        let lost = inv.reserved.is_some();
        let reserved = self.ledger.reserve(id(n), lost, |standing| {
            let full = Some(asked);
            let choice = choose(&LadderCase { standing, own, beginning: false, from: Rung::Full, full, cheap: None });
            let reserved = (choice.rung == Rung::Full).then(|| widest(&MAIN, tokens_in, 4_096, &own, &standing));
            (reserved, reserved)
        });
        let Some(reserved) = reserved else { return };
        self.largest.tokens_in = self.largest.tokens_in.max(reserved.tokens_in);
        self.largest.tokens_out = self.largest.tokens_out.max(reserved.tokens_out);
        self.largest.cost_usd = self.largest.cost_usd.max(reserved.cost_usd);
        let body = Body::ModelAsked {
            turn: self.turn(n),
            model: "main".into(),
            request_digest: Digest::of("r"),
            request: blob(),
            reserved_tokens: reserved.tokens(),
            reserved_usd: reserved.cost_usd,
            max_tokens: u32::try_from(reserved.tokens_out).unwrap(),
            must_answer: false,
        };
        self.write(n, body);
        self.flying.insert(n);
    }

    fn answer(&mut self, n: u64, said: Option<Usage>) -> Body {
        let reserved = self.chains[&n].0.reserved.unwrap();
        let usage = reserved.settle(said, usage(10, 10));
        let cost_usd = MAIN.of(usage.tokens_in, usage.tokens_out);
        self.ledger.settle(id(n), usage.tokens_in + usage.tokens_out, cost_usd);
        let proposal = Proposal::Calls { accepted: vec![], rejected: vec![], recovered: false };
        Body::ModelReplied {
            turn: self.turn(n),
            model: "m".into(),
            reply: blob(),
            proposal,
            usage,
            cost_usd,
            sent: None,
        }
    }

    /// No limit is passed, and ledger and journals say the same.
    fn check(&self) -> Result<(), TestCaseError> {
        const DUST: f64 = 1e-9;
        let (mut tokens, mut usd) = (0_u64, 0.0);
        for (inv, _) in self.chains.values() {
            let spent = inv.committed();
            prop_assert!(spent.tokens() <= OWN.tokens, "an investigation: {spent:?}");
            prop_assert!(spent.cost_usd <= OWN.cost_usd + DUST, "an investigation: {spent:?}");
            tokens += spent.tokens();
            usd += spent.cost_usd;
        }
        prop_assert!(tokens <= DAY.tokens.unwrap(), "the day: {tokens} tokens");
        prop_assert!(usd <= DAY.cost_usd.unwrap() + DUST, "the day: {usd} USD");
        prop_assert!((self.ledger.committed_usd() - usd).abs() < DUST, "{} {usd}", self.ledger.committed_usd());
        Ok(())
    }
}

fn alert(n: u64) -> SreEvent {
    SreEvent {
        id: EventId::new(Uuid::from_u128(u128::from(n) + 100)),
        source: "alertmanager".into(),
        fingerprint: format!("f{n}"),
        group_key: None,
        status: AlertStatus::Firing,
        severity: Severity::Warning,
        name: "A".into(),
        subject: "s".into(),
        resource: Resource { kind: ResourceType::Unknown, id: String::new(), namespace: None, cluster: None },
        title: "t".into(),
        description: "d".into(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        starts_at: at(),
        ends_at: None,
        received_at: at(),
        links: vec![],
        raw: blob(),
        raw_hmac: String::new(),
        via: None,
        ended_by: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]
    #[test]
    fn no_figures_crashes_or_parallel_requests_pass_a_limit(events in prop::collection::vec(events(), 1..60)) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
            world.check()?;
        }
    }
}

#[test]
fn a_day_is_spent_to_the_last_request_that_fits() {
    let mut world = World::new();
    for _ in 0..200 {
        for who in 0..INVESTIGATIONS {
            world.happen(&Event::Ask { who, tokens_in: 2_000 });
            world.happen(&Event::Reply { who, said: Some(usage(u64::MAX, u64::MAX)) });
        }
    }
    world.check().unwrap();
    let left = DAY.cost_usd.unwrap() - world.ledger.committed_usd();
    assert!(left < world.largest.cost_usd, "{left} USD were left, though a request would have fit");
}
