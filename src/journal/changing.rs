//! What comes next of changes. Pure, as all of [`super::step`].

use super::deed::{Deed, DeedState};
use super::step::Step;
use super::{Investigation, Question};
use crate::domain::{ApprovalState, Risk};
use jiff::{SignedDuration, Timestamp};

/// A change that the world moves away from under us is planned anew at most this often.
pub const MAX_PLANS: u32 = 4;
/// Questions about one change.
pub const MAX_QUESTIONS: usize = 3;
/// Refusals with a reason that the proposer hears of.
const MAX_REFUSALS: u32 = 2;
/// An answer that was given in time may take so long to arrive, in seconds.
const ANSWER_GRACE_S: i64 = 5;
/// How long after a change the first look at it is taken; each further one waits twice as long.
const FIRST_LOOK_S: i64 = 15;
/// The longest time between two looks.
const LONGEST_LOOK_S: i64 = 120;

/// Before anything else: what was begun and whose end nobody knows is looked for, whatever the level
/// is now, for it may be in the world.
pub(super) fn in_doubt(inv: &Investigation, now: Timestamp) -> Option<Step> {
    let doubtful = inv.deeds.iter().find(|deed| match &deed.state {
        DeedState::Started => true,
        DeedState::Doubtful { look_at: Some(at) } => *at <= now,
        _ => false,
    });
    doubtful.map(|deed| Step::Reconcile(deed.action.id))
}

/// Until when nothing may be closed: something may be in the world that we have yet to look for.
pub(super) fn in_doubt_until(inv: &Investigation) -> Option<Timestamp> {
    let looks = inv.deeds.iter().filter_map(|deed| match &deed.state {
        DeedState::Doubtful { look_at } => *look_at,
        _ => None,
    });
    looks.min()
}

/// What is to be done about changes now that people have the report; `None` when nothing is, or not
/// yet.
pub(super) fn act(inv: &Investigation, now: Timestamp) -> Option<Step> {
    let beside = inv.to_plan(None);
    if !beside.is_empty() {
        return Some(Step::Plan(beside));
    }
    for deed in &inv.deeds {
        match &deed.state {
            DeedState::Planned | DeedState::Ruled => {
                let ruled = deed.state == DeedState::Ruled;
                let asked = deed.question().filter(|q| ruled && q.state == ApprovalState::Pending);
                match asked {
                    Some(question) if expires(question) <= now => return Some(Step::Expire(question.id)),
                    // Another level is another question.
                    Some(question) if question.level == inv.risk => {}
                    Some(_) | None if deed.not_before.is_some_and(|at| now < at) => {}
                    Some(_) | None => return Some(Step::Authorize(deed.action.id)),
                }
            }
            DeedState::Done { at, .. } => {
                if deed.watch_until().is_some() && look_at(inv, deed, *at) <= now {
                    return Some(Step::Verify(deed.action.id));
                }
            }
            DeedState::Started
            | DeedState::Doubtful { .. }
            | DeedState::Watched { .. }
            | DeedState::Failed { .. }
            | DeedState::Refused { .. } => {}
        }
    }
    None
}

/// Why the proposer is asked again: a person refused its change and said why. It hears of each refusal
/// once, and of no more than a few.
pub(super) fn to_reconsider(inv: &Investigation) -> Option<String> {
    let may =
        inv.declined.is_none() && inv.cancelled.is_none() && inv.frozen.as_ref().is_some_and(|f| f.model.is_some());
    let new = inv.heard < inv.refusals && inv.refusals <= MAX_REFUSALS;
    (may && new).then(|| "a person refused a change and said why".to_owned())
}

/// Why the work goes on: people agreed to a closer look that was not taken yet.
pub(super) fn to_look_closer(inv: &Investigation) -> Option<String> {
    if inv.declined.is_some() || inv.cancelled.is_some() {
        return None;
    }
    let agreed = inv.to_look_closer();
    let next = agreed.get(inv.remedy.deepened)?;
    Some(format!("a closer look at {next} was agreed to"))
}

/// When something about changes is due next; `None` when nothing is waited for.
pub(super) fn next_at(inv: &Investigation) -> Option<Timestamp> {
    let due = inv.deeds.iter().filter_map(|deed| match &deed.state {
        DeedState::Doubtful { look_at } => *look_at,
        DeedState::Done { at, .. } => deed.watch_until().map(|_| look_at(inv, deed, *at)),
        DeedState::Planned | DeedState::Ruled => {
            let asked = deed.question().filter(|q| q.state == ApprovalState::Pending).map(expires);
            asked.into_iter().chain(deed.not_before).min()
        }
        _ => None,
    });
    due.min()
}

/// When nobody's answer can arrive any more.
fn expires(question: &Question) -> Timestamp {
    question.expires_at.checked_add(SignedDuration::from_secs(ANSWER_GRACE_S)).unwrap_or(question.expires_at)
}

/// Changes that nobody may make any more at this level, or that a person stopped: nothing of them has
/// left the house.
pub(super) fn to_drop(inv: &Investigation) -> Option<Step> {
    let stopped = inv.cancelled.is_some() || inv.risk == Some(Risk::Critical) || inv.declined.is_some();
    let pending = |deed: &&Deed| matches!(deed.state, DeedState::Planned | DeedState::Ruled);
    let dropped = inv.deeds.iter().find(pending).filter(|_| stopped)?;
    Some(Step::Drop(dropped.action.id))
}

/// The next look at a change that was made at `at`: at once when the alert is over, else less and less
/// often, and at the end of its window.
fn look_at(inv: &Investigation, deed: &Deed, at: Timestamp) -> Timestamp {
    let until = deed.watch_until().unwrap_or(at);
    let ended = inv.alert_status() == crate::domain::AlertStatus::Resolved;
    if ended && deed.looks == 0 {
        return at;
    }
    let pause = (FIRST_LOOK_S << deed.looks.min(8)).min(LONGEST_LOOK_S);
    let last = deed.looked_at.unwrap_or(at);
    last.checked_add(SignedDuration::from_secs(pause)).unwrap_or(until).min(until)
}
