//! [`Investigation`]: the fold of a chain. Everything that decides what comes next is in here;
//! payloads stay in their blobs.

use super::body::Body;
use super::call::{CallState, Progress};
use super::counted::Counted;
use super::deed::Deed;
use super::frozen::Frozen;
use super::meanwhile::{Aside, Meanwhile};
use super::outbox::Outbox;
use super::outcome::{Outcome, Phase};
use super::parts::{LastReport, Survey, Turn};
use super::proposal::{Call, Proposal, Rejected};
use super::remedy::Remedy;
use super::spending::{Ladder, reserved_of};
use super::summary::{Compacted, Summary, SummaryReply};
use super::{Actor, Entry, Head};
use crate::domain::{Class, Digest, Reason, Reservation, Risk, Spent, SreEvent, Taint};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// An entry that cannot follow what came before. A chain with one is corrupt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq} ({kind}) does not fit what came before it: {why}")]
pub struct Misfit {
    /// The entry.
    pub seq: u64,
    /// Its kind.
    pub kind: &'static str,
    /// What does not fit.
    pub why: String,
}

/// An investigation, as far as its journal tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Investigation {
    /// The chain's name.
    pub chain: String,
    /// Where the chain ends.
    pub head: Head,
    /// The alerts that are told apart, the opening one first.
    pub events: Vec<SreEvent>,
    /// Those beyond them.
    pub counted: Counted,
    /// What happened to them while a model was at work.
    pub meanwhile: Vec<Meanwhile>,
    /// What kind of incident it is, as far as its alerts say.
    pub class: Option<Class>,
    /// One of its alerts comes and goes, by what was known when it arrived.
    pub flapping: bool,
    /// Whatever shares it belongs here.
    pub correlation_key: String,
    /// Names effects.
    pub incident_key: Option<Digest>,
    /// The route that it takes.
    pub route: String,
    /// When the first entry was written.
    pub admitted_at: Option<Timestamp>,
    /// The level, once judged. It only goes up.
    pub risk: Option<Risk>,
    /// What gave the level.
    pub risk_reasons: Vec<Reason>,
    /// Kinds of the duties that came with any level: `notify`, `jira`.
    pub duties: BTreeSet<String>,
    /// Alerts that the level takes into account.
    pub assessed_events: usize,
    /// Whether the level takes the survey into account.
    pub assessed_survey: bool,
    /// Why no agent was dispatched.
    pub declined: Option<String>,
    /// What it may use.
    pub frozen: Option<Frozen>,
    /// When the work began.
    pub opened_at: Option<Timestamp>,
    /// The survey of the current revision.
    pub survey: Survey,
    /// All calls, in order.
    pub calls: Vec<CallState>,
    /// Evidence ids that were given out.
    pub evidence: u32,
    /// How far what calls brought can be trusted.
    pub taint: Taint,
    /// All changes, in order.
    pub deeds: Vec<Deed>,
    /// What playbooks wrote down.
    pub remedy: Remedy,
    /// Who proposed the calls that neither the survey nor a model did.
    pub proposers: BTreeMap<String, Actor>,
    /// Things that became of changes and questions.
    pub news: u32,
    /// Those of them that the last report tells of.
    pub told: u32,
    /// How often a person said no with a reason.
    pub refusals: u32,
    /// Those of them that the proposer has heard of.
    pub heard: u32,
    /// The model's turns.
    pub turns: Vec<Turn>,
    /// Calls of whose results only the gist is left in the conversation.
    pub shortened: Vec<String>,
    /// Summaries that a cheap model was asked for, in order.
    pub summaries: Vec<Summary>,
    /// The model's name for itself.
    pub model_seen: Option<String>,
    /// What was spent.
    pub spent: Spent,
    /// The most that an open request can cost.
    pub reserved: Option<Reservation>,
    /// The most that the last request of this revision could cost.
    pub last_reserved: Reservation,
    /// How much of the work the budgets permit; `None` while nobody has chosen for this revision.
    pub ladder: Option<Ladder>,
    /// Something was looked at: the investigation has had its place in a day's budget.
    pub began: bool,
    /// The first turn of the current revision.
    pub first_turn: u32,
    /// Why a person stopped the work.
    pub cancelled: Option<String>,
    /// The last report.
    pub report: Option<LastReport>,
    /// Who is still to be told of it.
    pub outbox: Outbox,
    /// How it ended, if it has.
    pub outcome: Option<Outcome>,
    /// When it ended.
    pub closed_at: Option<Timestamp>,
    /// A further revision is wanted.
    pub reopened: bool,
    /// When the last entry was written.
    pub updated_at: Option<Timestamp>,
}

impl Investigation {
    /// An investigation of which nothing is known yet.
    pub fn empty(chain: &str) -> Self {
        Self {
            chain: chain.to_owned(),
            head: Head::genesis(chain),
            events: vec![],
            counted: Counted::default(),
            meanwhile: vec![],
            class: None,
            flapping: false,
            correlation_key: String::new(),
            incident_key: None,
            route: String::new(),
            admitted_at: None,
            risk: None,
            risk_reasons: vec![],
            duties: BTreeSet::new(),
            assessed_events: 0,
            assessed_survey: false,
            declined: None,
            frozen: None,
            opened_at: None,
            survey: Survey::default(),
            calls: vec![],
            evidence: 0,
            taint: Taint::default(),
            deeds: vec![],
            remedy: Remedy::default(),
            proposers: BTreeMap::new(),
            news: 0,
            told: 0,
            refusals: 0,
            heard: 0,
            turns: vec![],
            shortened: vec![],
            summaries: vec![],
            model_seen: None,
            spent: Spent::default(),
            reserved: None,
            last_reserved: Reservation::default(),
            ladder: None,
            began: false,
            first_turn: 1,
            cancelled: None,
            report: None,
            outbox: Outbox::default(),
            outcome: None,
            closed_at: None,
            reopened: false,
            updated_at: None,
        }
    }

    /// Folds a whole chain. The links are not checked here; see [`super::chain::verify`].
    ///
    /// # Errors
    /// At the first entry that does not fit.
    pub fn fold(chain: &str, entries: &[Entry]) -> Result<Self, Misfit> {
        let mut investigation = Self::empty(chain);
        for entry in entries {
            investigation.apply(entry)?;
        }
        Ok(investigation)
    }

    /// The alert that opened it.
    pub fn opening(&self) -> Option<&SreEvent> {
        self.events.first()
    }

    /// Calls that are neither seen nor failed nor rejected.
    pub fn unsettled(&self) -> Vec<&CallState> {
        self.calls.iter().filter(|c| !c.is_settled()).collect()
    }

    /// Calls that the survey made in all.
    pub fn survey_calls(&self) -> u32 {
        self.calls.iter().filter(|c| c.is_of_survey()).count().try_into().unwrap_or(u32::MAX)
    }

    /// The revision that is being worked on, from 1.
    pub fn revision(&self) -> u32 {
        self.report.as_ref().map_or(0, |report| report.revision) + 1
    }

    /// Appends one entry.
    ///
    /// # Errors
    /// When the entry cannot follow what came before; nothing is changed then.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Misfit> {
        let misfit = |why: &str| Misfit { seq: entry.seq, kind: entry.body.kind(), why: why.to_owned() };
        if entry.seq != self.head.seq + 1 {
            return Err(misfit("its number is not the next one"));
        }
        if self.events.is_empty() && !matches!(entry.body, Body::EventReceived { .. }) {
            return Err(misfit("a chain begins with the alert that opened it"));
        }
        self.apply_body(entry).map_err(|why| misfit(&why))?;
        self.head = entry.head();
        self.updated_at = Some(entry.at);
        Ok(())
    }

    fn apply_body(&mut self, entry: &Entry) -> Result<(), String> {
        match &entry.body {
            Body::EventReceived { event, correlation_key, incident_key, route } => {
                if !self.events.is_empty() {
                    return Err("the chain has an opening alert already".into());
                }
                self.events.push(event.as_ref().clone());
                self.correlation_key.clone_from(correlation_key);
                self.classify(false);
                self.incident_key = Some(incident_key.clone());
                self.route.clone_from(route);
                self.admitted_at = Some(entry.at);
            }
            Body::AlertsMerged { events, flapping } => {
                self.note_meanwhile(Aside::Joined(self.events.len()..self.events.len() + events.len()));
                self.events.extend(events.iter().cloned());
                self.classify(*flapping);
            }
            Body::AlertsCounted(counted) => self.count(counted),
            Body::AlertResolved { event, ends_at, .. } => self.resolve(*event, *ends_at)?,
            Body::RiskAssessed { phase, decision, .. } => {
                if self.risk.is_none_or(|risk| decision.level > risk) {
                    self.risk_reasons.clone_from(&decision.reasons);
                }
                self.risk = Some(self.risk.map_or(decision.level, |risk| risk.max(decision.level)));
                let duties = decision.obligations.iter().filter_map(|duty| duty["kind"].as_str());
                self.duties.extend(duties.map(str::to_owned));
                self.assessed_events = self.events.len();
                self.counted.judged = self.counted.alerts.len();
                self.assessed_survey |= *phase == Phase::Survey;
            }
            Body::RiskRaised { to, .. } => {
                if self.risk.is_some_and(|risk| *to < risk) {
                    return Err("the level never goes down".into());
                }
                self.risk = Some(*to);
            }
            Body::Declined { reason } => self.declined = Some(reason.clone()),
            Body::Opened(frozen) => {
                if self.frozen.is_some() {
                    return Err("it is open already".into());
                }
                self.frozen = Some(frozen.clone());
                self.opened_at = Some(entry.at);
            }
            Body::LadderTaken { rung, model, reason, .. } => {
                self.take_rung(Ladder { rung: *rung, model: model.clone(), reason: reason.clone() })?;
            }
            Body::SurveyPlanned { round, calls } => {
                self.survey.rounds = *round;
                self.survey.started_at.get_or_insert(entry.at);
                self.plan(calls, None)?;
            }
            Body::Surveyed { analysis, top_cause, things, .. } => {
                let known = (self.events.len(), self.counted.beyond());
                self.survey.conclude(analysis, top_cause.as_ref(), things, known);
                self.remedy.gap = None;
            }
            Body::Classified(_) | Body::Confirmed(_) | Body::GapFiled(_) => self.apply_remedy(&entry.body),
            Body::ModelAsked { turn, request, must_answer, reserved_tokens, reserved_usd, max_tokens, .. } => {
                let again = self.turns.last_mut().filter(|t| t.number == *turn && t.reply.is_none());
                match again {
                    Some(open) => open.request = request.clone(),
                    None => self.turns.push(Turn {
                        number: *turn,
                        must_answer: *must_answer,
                        request: request.clone(),
                        reply: None,
                        proposal: None,
                        failures: vec![],
                        too_long: false,
                    }),
                }
                self.reserve(reserved_of(*reserved_tokens, *reserved_usd, *max_tokens));
            }
            Body::ModelReplied { turn, model, reply, proposal, usage, cost_usd, .. } => {
                let open = self.turns.last_mut().filter(|t| t.number == *turn && t.reply.is_none());
                let open = open.ok_or_else(|| format!("turn {turn} was not asked"))?;
                open.reply = Some(reply.clone());
                open.proposal = Some(proposal.clone());
                self.model_seen = Some(model.clone());
                self.spent.turns = self.spent.turns.saturating_add(1);
                self.settle(usage, *cost_usd);
                if let Proposal::Calls { accepted, rejected, .. } = proposal {
                    self.plan(accepted, Some(*turn))?;
                    for Rejected { call, remedy } in rejected {
                        let progress = Progress::Rejected { remedy: remedy.clone() };
                        self.calls.push(CallState { call: call.clone(), turn: Some(*turn), progress });
                    }
                }
            }
            Body::ModelFailed { turn, error, transient, too_long, charged, .. } => {
                let open = self.turns.last_mut().filter(|t| t.number == *turn && t.reply.is_none());
                let open = open.ok_or_else(|| format!("turn {turn} was not asked"))?;
                open.failures.push((error.clone(), *transient));
                open.too_long = *too_long;
                self.unreserve(*charged);
            }
            Body::SummaryAsked { number, of, reserved_tokens, reserved_usd, max_tokens, .. } => {
                self.ask_summary(*number, of)?;
                self.reserve_aside(reserved_of(*reserved_tokens, *reserved_usd, *max_tokens));
            }
            Body::SummaryWritten(SummaryReply { number, reply, usage, cost_usd, .. }) => {
                self.end_summary(*number, Some(reply))?;
                self.settle(usage, *cost_usd);
            }
            Body::SummaryFailed { number, charged, .. } => {
                self.end_summary(*number, None)?;
                self.unreserve(*charged);
            }
            Body::Compacted(Compacted { calls, .. }) => {
                self.shortened.extend(calls.iter().cloned());
                if let Some(turn) = self.turns.last_mut() {
                    turn.too_long = false;
                }
            }
            Body::ReadStarted { call, .. } => {
                if self.call(&call.id)?.turn.is_some() {
                    self.spent.tool_calls = self.spent.tool_calls.saturating_add(1);
                }
                self.call(&call.id)?.progress = Progress::Started;
            }
            Body::ReadFinished {
                call_id,
                evidence_id,
                observation,
                excerpt,
                digest,
                truncated,
                redacted,
                instructions,
                ..
            } => {
                self.started(call_id)?;
                self.evidence += 1;
                self.was_read(call_id, evidence_id, instructions);
                self.call(call_id)?.progress = Progress::Seen {
                    observation: observation.clone(),
                    evidence_id: evidence_id.clone(),
                    excerpt: excerpt.clone(),
                    digest: digest.clone(),
                    truncated: *truncated,
                    redacted: *redacted > 0,
                    at: entry.at,
                };
            }
            Body::ReadFailed { call_id, evidence_id, error, instructions, .. } => {
                self.started(call_id)?;
                self.evidence += 1;
                self.was_read(call_id, evidence_id, instructions);
                self.call(call_id)?.progress =
                    Progress::Failed { error: error.clone(), evidence_id: evidence_id.clone(), at: entry.at };
            }
            Body::CallRejected { call, remedy, .. } => {
                self.call(&call.id)?.progress = Progress::Rejected { remedy: remedy.clone() };
            }
            Body::CallsProposed { .. }
            | Body::ActionPlanned { .. }
            | Body::ActionRuled { .. }
            | Body::ActionPutOff(_)
            | Body::ActionDropped { .. }
            | Body::ApprovalRequested { .. }
            | Body::ApprovalDecided { .. }
            | Body::ApprovalExpired { .. }
            | Body::ApprovalWithdrawn { .. }
            | Body::ActionStarted { .. }
            | Body::ActionFinished { .. }
            | Body::ActionFailed { .. }
            | Body::ActionDoubted { .. }
            | Body::ActionReconciled { .. }
            | Body::ActionObserved { .. }
            | Body::Verified { .. } => self.apply_acting(entry)?,
            Body::Cancelled { reason } => self.cancelled = Some(reason.clone()),
            Body::Reported { revision, verdict, summary, report, sinks } => {
                // What joined behind the survey was not looked at.
                let (events, counted) = match self.survey.analysis {
                    Some(_) => (self.survey.events, self.survey.beyond.joined),
                    None => (self.events.len(), self.counted.alerts.len()),
                };
                self.report = Some(LastReport {
                    revision: *revision,
                    verdict: *verdict,
                    summary: summary.clone(),
                    report: report.clone(),
                    at: entry.at,
                    risk: self.risk,
                    events,
                    counted,
                    flapping: self.flaps(),
                });
                self.reopened = false;
                self.told = self.news;
                self.outbox.owe(sinks, *revision, entry.at);
            }
            Body::Notified { sink, revision, .. } => self.outbox.settle(sink, *revision),
            Body::NoticeFailed { sink, revision, attempt, error, again_at } => {
                self.outbox.put_off(sink, (*revision, *attempt), error, entry.at, *again_at)?;
            }
            Body::Closed { outcome } => {
                self.outbox.close();
                self.outcome = Some(*outcome);
                self.closed_at = Some(entry.at);
            }
            Body::Reopened { .. } => {
                self.reopened = true;
                self.heard = self.refusals;
                self.outcome = None;
                self.closed_at = None;
                self.remedy.deepened = self.to_look_closer().len();
                // The world has moved on: look again.
                self.survey.begin_anew();
                self.opened_at = self.opened_at.map(|_| entry.at);
                self.assessed_survey = false;
                self.ladder = None;
                self.last_reserved = Reservation::default();
                self.first_turn = self.turns.last().map_or(1, |turn| turn.number + 1);
            }
            Body::Started(_)
            | Body::PolicyActivated(_)
            | Body::PolicyRejected(_)
            | Body::ShadowDiffered(_)
            | Body::KeyRotated(_)
            | Body::ShadowEnded(_)
            | Body::Stopped {}
            | Body::PayloadsDeleted(_)
            | Body::Abandoned(_)
            | Body::Quarantined(_)
            | Body::Replayed(_) => {
                return Err("it belongs to the system chain".into());
            }
        }
        Ok(())
    }

    pub(super) fn plan(&mut self, calls: &[Call], turn: Option<u32>) -> Result<(), String> {
        for call in calls {
            if self.calls.iter().any(|c| c.call.id == call.id) {
                return Err(format!("call {} exists already", call.id));
            }
            self.calls.push(CallState { call: call.clone(), turn, progress: Progress::Planned });
        }
        Ok(())
    }

    /// A call brought text, and maybe text that looks like instructions.
    fn was_read(&mut self, call_id: &str, evidence_id: &str, instructions: &[String]) {
        let level = if instructions.is_empty() { Taint::TEXT } else { Taint::INSTRUCTIONS };
        let tool = self.calls.iter().find(|c| c.call.id == call_id).map_or("", |c| c.call.tool.as_str());
        let source = format!("{tool}:{evidence_id}");
        self.taint.note(level, source);
    }

    fn started(&mut self, id: &str) -> Result<(), String> {
        match self.call(id)?.progress {
            Progress::Started => Ok(()),
            _ => Err(format!("call {id} is not under way")),
        }
    }

    pub(super) fn call(&mut self, id: &str) -> Result<&mut CallState, String> {
        self.calls.iter_mut().find(|c| c.call.id == id).ok_or_else(|| format!("call {id} was never planned"))
    }
}
