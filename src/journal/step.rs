//! [`next`]: what comes next. Pure and total, so that a restarted process goes on where the killed
//! one stopped, and a test can ask about any state.

use super::call::{CallState, Progress};
use super::changing;
use super::frozen::Frozen;
use super::outcome::{Outcome, Phase};
use super::parts::Turn;
use super::proposal::{Call, Proposal};
use super::reopening::again;
use super::state::Investigation;
use crate::domain::{ActionId, ApprovalId, Budget, Risk, Rung};
use jiff::Timestamp;

/// Attempts at one turn that may fail before the work goes on without the model.
const FAILURES_PER_TURN: usize = 2;
/// Unusable answers in a row before the work goes on without the model.
const INVALID_IN_A_ROW: usize = 3;
/// The same call with the same result this often ends the looking around, and so does the same cycle
/// of calls.
const REPETITIONS: usize = 3;
/// The longest cycle of calls that is recognised.
const MAX_CYCLE: usize = 4;
/// Turns in a row that brought nothing new end the looking around.
const BARREN_TURNS: usize = 2;

/// What is to be done. Imperative: it has not happened yet.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Judge the risk.
    Assess(Phase),
    /// Dispatch nobody.
    Decline,
    /// Freeze what the work may use.
    Open,
    /// Choose how much of the work the budgets permit.
    TakeRung,
    /// Let the deterministic investigator plan or conclude.
    Survey,
    /// Put these calls before the gate and make them, in parallel.
    Read(Vec<Call>),
    /// Ask the model.
    Ask {
        /// The turn.
        turn: u32,
        /// Demand a final answer.
        must_answer: bool,
    },
    /// Try these changes without making them, and put them before the gate.
    Plan(Vec<Call>),
    /// Put this change before the gate as it is now; make it when it may be made.
    Authorize(ActionId),
    /// Look whether this change is in the world.
    Reconcile(ActionId),
    /// Look whether this change holds.
    Verify(ActionId),
    /// Nobody answered this question.
    Expire(ApprovalId),
    /// This change is no longer wanted.
    Drop(ActionId),
    /// Write the next revision of the report.
    Report,
    /// Tell these sinks of this revision.
    Notify {
        /// The revision.
        revision: u32,
        /// Their names.
        sinks: Vec<String>,
    },
    /// Let go of it until then; whatever arrives wakes it earlier.
    Wait(Timestamp),
    /// Nothing waits any more.
    Close(Outcome),
    /// Go on after all.
    Reopen(String),
    /// Nothing to do until something arrives.
    Done,
}

/// What comes next for `investigation` at `now`.
pub fn next(investigation: &Investigation, now: Timestamp) -> Step {
    let inv = investigation;
    if inv.events.is_empty() {
        return Step::Done;
    }
    if inv.risk.is_none() {
        return Step::Assess(Phase::Alert);
    }
    if inv.is_unjudged() {
        return Step::Assess(Phase::Signal);
    }
    if inv.outcome.is_some() {
        return match again(inv) {
            None => Step::Done,
            Some(again) if again.is_due(now) => Step::Reopen(again.reason),
            Some(again) => again.from.map_or(Step::Done, Step::Wait),
        };
    }
    if let Some(step) = changing::in_doubt(inv, now).or_else(|| changing::to_drop(inv)) {
        return step;
    }
    // Before anything a person may have stopped: people must hear of what policy calls CRITICAL.
    if inv.risk == Some(Risk::Critical) && inv.declined.is_none() {
        return Step::Decline;
    }
    if inv.cancelled.is_some() && inv.declined.is_none() {
        return changing::in_doubt_until(inv).map_or(Step::Close(Outcome::Cancelled), Step::Wait);
    }
    if inv.declined.is_some() {
        return deliver(inv, now).unwrap_or(Step::Close(Outcome::Declined));
    }
    // What is reported is not looked into any more, however long its delivery and its changes take.
    if inv.report.is_some() && !inv.reopened {
        return deliver(inv, now).unwrap_or(Step::Close(Outcome::Reported));
    }
    let Some(frozen) = &inv.frozen else { return Step::Open };
    let Some(ladder) = &inv.ladder else { return Step::TakeRung };
    if ladder.rung == Rung::Notice {
        return Step::Report;
    }
    if inv.survey.analysis.is_none() {
        let open = calls(inv.unsettled().into_iter().filter(|c| c.is_of_survey()));
        return if open.is_empty() { Step::Survey } else { Step::Read(open) };
    }
    if !inv.assessed_survey {
        return Step::Assess(Phase::Survey);
    }
    if !inv.models().is_empty()
        && let Some(step) = ask(inv, frozen, now)
    {
        return step;
    }
    let beside = inv.to_plan(None);
    if !beside.is_empty() {
        return Step::Plan(beside);
    }
    Step::Report
}

/// Writes what is unwritten, tells what is untold, and then sees to the changes.
fn deliver(inv: &Investigation, now: Timestamp) -> Option<Step> {
    let report = match &inv.report {
        None => return Some(Step::Report),
        Some(_) if inv.reopened => return Some(Step::Report),
        // The work was declined behind a report: people must hear of that, too.
        Some(report) if inv.declined.is_some() && report.risk != Some(Risk::Critical) => return Some(Step::Report),
        Some(report) => report,
    };
    let sinks = inv.outbox.due(now);
    if !sinks.is_empty() {
        return Some(Step::Notify { revision: report.revision, sinks });
    }
    if let Some(step) = changing::act(inv, now) {
        return Some(step);
    }
    if let Some(reason) = changing::to_look_closer(inv) {
        return Some(Step::Reopen(reason));
    }
    if inv.news > inv.told {
        return Some(Step::Report);
    }
    if let Some(reason) = changing::to_reconsider(inv) {
        return Some(Step::Reopen(reason));
    }
    let until = due_at(inv)?;
    // What a later alert asks for waits neither for a sink that is down nor for an answer.
    Some(match again(inv) {
        None => Step::Wait(until),
        Some(again) if again.is_due(now) => Step::Reopen(again.reason),
        Some(again) => Step::Wait(again.from.map_or(until, |from| from.min(until))),
    })
}

/// When something is due that waits for its time: a sink to be told, a change to be watched, a question's end.
pub fn due_at(inv: &Investigation) -> Option<Timestamp> {
    inv.outbox.next_at().into_iter().chain(changing::next_at(inv)).min()
}

/// The model's next step; `None` when it has come to an end, well or not.
fn ask(inv: &Investigation, frozen: &Frozen, now: Timestamp) -> Option<Step> {
    let budget = &frozen.budget;
    let turns: Vec<&Turn> = inv.turns.iter().filter(|t| t.number >= inv.first_turn).collect();
    let Some(last) = turns.last() else { return fresh(inv, budget, now, inv.first_turn) };
    match &last.proposal {
        None => {
            // Each failure passes the turn on to the next model; one alone gets a second try, unless
            // it said that trying again is in vain.
            let models = inv.models().len();
            let failed = last.failures.len();
            let hopeless = last.failures.last().is_some_and(|(_, transient)| !transient) && failed >= models;
            match hopeless || failed >= models.max(FAILURES_PER_TURN) {
                true => None,
                false => room(inv, budget, now).map(|_| Step::Ask { turn: last.number, must_answer: last.must_answer }),
            }
        }
        Some(Proposal::Report { .. }) => None,
        Some(Proposal::Calls { .. }) => {
            let reads = |c: &&CallState| c.turn == Some(last.number) && !c.call.acts();
            let open = calls(inv.unsettled().into_iter().filter(reads));
            let changes = inv.to_plan(Some(last.number));
            match open.is_empty() {
                false => Some(Step::Read(open)),
                true if !changes.is_empty() => Some(Step::Plan(changes)),
                true if last.must_answer => None,
                true => fresh(inv, budget, now, last.number + 1),
            }
        }
        Some(Proposal::Invalid { .. }) => {
            let invalid = |turn: &&&Turn| matches!(turn.proposal, Some(Proposal::Invalid { .. }));
            match turns.iter().rev().take_while(invalid).count() >= INVALID_IN_A_ROW {
                true => None,
                false => fresh(inv, budget, now, last.number + 1),
            }
        }
    }
}

/// A new turn, if the budget has room for one.
fn fresh(inv: &Investigation, budget: &Budget, now: Timestamp, turn: u32) -> Option<Step> {
    room(inv, budget, now)
        .map(|must_answer| Step::Ask { turn, must_answer: must_answer || repeats(inv) || is_barren(inv) })
}

/// `None` without room; otherwise whether this turn must be the last.
fn room(inv: &Investigation, budget: &Budget, now: Timestamp) -> Option<bool> {
    let elapsed = inv.opened_at.map_or(0, |at| now.duration_since(at).as_secs().max(0).unsigned_abs());
    let mut spent = inv.committed();
    let calls_are_out = spent.tool_calls >= budget.tool_calls;
    // Running out of calls ends the looking around, not the answering.
    spent.tool_calls = 0;
    match spent.exhausted(budget, elapsed) {
        Some(_) => None,
        None => {
            let last_turn = spent.turns.saturating_add(1) >= budget.turns;
            let late = elapsed.saturating_mul(5) >= budget.wall_s.saturating_mul(4);
            Some(last_turn || late || calls_are_out || is_last_that_fits(inv, budget))
        }
    }
}

/// Whether another request behind the next one would hardly find room: conversations grow.
fn is_last_that_fits(inv: &Investigation, budget: &Budget) -> bool {
    let (spent, next) = (inv.committed(), inv.last_reserved);
    let tokens = spent.tokens().saturating_add(next.tokens().saturating_mul(2)) > budget.tokens;
    let money = next.cost_usd > 0.0 && spent.cost_usd + 2.0 * next.cost_usd > budget.cost_usd;
    next.tokens() > 0 && (tokens || money)
}

/// Whether the model goes round in circles, within a turn or across turns: the same call with the same
/// result, or the same few calls in the same order, whatever came of them. A refused call repeats what
/// it asks for.
fn repeats(inv: &Investigation) -> bool {
    let of_model: Vec<&CallState> = inv.calls.iter().filter(|c| c.turn.is_some_and(|t| t >= inv.first_turn)).collect();
    let often = |call: &&CallState| of_model.iter().filter(|other| repeated(call, other)).count() >= REPETITIONS;
    let circles = |length: usize| {
        let periodic = |calls: &[&CallState]| (length..calls.len()).all(|i| asks_the_same(calls[i - length], calls[i]));
        of_model.windows(length * REPETITIONS).any(periodic)
    };
    of_model.iter().any(often) || (2..=MAX_CYCLE).any(circles)
}

/// Whether `later` asks what `call` asked, and learns nothing else.
fn repeated(call: &CallState, later: &CallState) -> bool {
    let refused = matches!(later.progress, Progress::Rejected { .. });
    asks_the_same(call, later) && (refused || call.result() == later.result())
}

fn asks_the_same(a: &CallState, b: &CallState) -> bool {
    a.call.tool == b.call.tool && a.call.args == b.call.args
}

/// Whether the last turns brought nothing new: no call of them showed anything that the same call had
/// not shown before.
fn is_barren(inv: &Investigation) -> bool {
    let answered = inv.turns.iter().rev().take_while(|t| t.number >= inv.first_turn && t.proposal.is_some());
    let last: Vec<&Turn> = answered.take(BARREN_TURNS).collect();
    last.len() == BARREN_TURNS && last.iter().all(|turn| !brought_something(inv, turn.number))
}

fn brought_something(inv: &Investigation, turn: u32) -> bool {
    let known = |seen: &CallState| {
        let before = inv.calls.iter().filter(|c| c.turn.is_some_and(|t| t >= inv.first_turn && t < turn));
        before.into_iter().any(|call| repeated(call, seen))
    };
    let seen = inv
        .calls
        .iter()
        .filter(|c| c.turn == Some(turn) && matches!(c.progress, Progress::Seen { .. } | Progress::Acting { .. }));
    seen.into_iter().any(|call| !known(call))
}

fn calls<'a>(states: impl Iterator<Item = &'a CallState>) -> Vec<Call> {
    states.map(|state| state.call.clone()).collect()
}
