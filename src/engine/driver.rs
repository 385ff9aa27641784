//! The loop: ask [`next`] what to do, do it, append what happened, apply it.
//!
//! What happened is collected and committed before anything that leaves the process (a tool, a
//! model, a sink) and at the end, so steps that only think share one `fsync`. Kill the process
//! anywhere: whoever claims the investigation folds what was committed and goes on.

use super::assess::Known;
use super::facts::Noted;
use super::line::needs_place;
use super::{Engine, EngineError, failpoint, propose};
use crate::domain::{ActionId, ApprovalState, BlobRef, Digest, InvestigationId, Risk, SreEvent};
use crate::gate::Pass;
use crate::journal::{
    ApprovalView, Body, Deed, DeedState, Draft, Head, Investigation, Progress, Step, View, chain, due_at, next,
};
use crate::store::{Append, ApprovalFilter, BegunDeed, Blob, LONGEST_PARK, Lease, StoreError};
use crate::telemetry;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::HashMap;
use tokio::sync::Mutex;

/// Entries that are read from the store at once.
const PAGE: u32 = 500;

/// The work of one lease holder on one investigation.
#[derive(Debug)]
pub(super) struct Session<'e> {
    pub(super) engine: &'e Engine,
    /// Held while something is done that is not to be cut off.
    pub(super) undivided: &'e Mutex<()>,
    pub(super) inv: Investigation,
    pub(super) passes: HashMap<String, Pass>,
    /// What does not change from turn to turn of one revision.
    pub(super) talk: Talk,
    /// What calls are judged against.
    pub(super) known: Option<Known>,
    /// What policy is told beside it.
    pub(super) noted: Noted,
    /// Questions as the store shows them.
    asked: Vec<ApprovalView>,
    /// Changes that were begun, as the store counts them.
    begun: Vec<BegunDeed>,
    pub(super) lease: Lease,
    /// Something arrived that is no entry yet. What arrives later wakes the investigation.
    pub(super) signalled: bool,
    durable: Head,
    pub(super) pending: Append,
    payloads: HashMap<Digest, Vec<u8>>,
}

/// The conversation of one revision as far as it stands: neither the prompts nor a turn that is over
/// are worked out again.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// The revision's first turn.
    pub(super) first_turn: u32,
    /// What fits into it.
    pub(super) room: propose::Room,
    /// What was said.
    pub(super) conversation: Option<propose::Conversation>,
    /// The last turn that is part of it.
    pub(super) last_turn: u32,
    /// Results that were made shorter in it.
    pub(super) shortened: usize,
    /// Digests of the messages that were sent and stay.
    pub(super) said: Vec<Digest>,
    /// Where the last request is kept.
    pub(super) request: Option<BlobRef>,
    /// Digest of the tools that it offered.
    pub(super) offered: Option<Digest>,
}

/// Works on the leased investigation until nothing is left to do.
///
/// # Errors
/// When the lease is lost, the store fails, or the journal makes no sense.
pub async fn drive(engine: &Engine, lease: &Lease) -> Result<(), EngineError> {
    drive_undivided(engine, lease, &Mutex::new(())).await
}

/// The same. While a change is being made or people are told, `undivided` is held: whoever cuts the work
/// off waits for it.
///
/// # Errors
/// As [`drive`].
pub async fn drive_undivided(engine: &Engine, lease: &Lease, undivided: &Mutex<()>) -> Result<(), EngineError> {
    let mut session = Session::load(engine, lease.clone(), undivided).await?;
    failpoint::reached(session.inv.head.seq);
    loop {
        if session.signalled {
            session.take_signals().await?;
        }
        let step = match session.judged_otherwise() {
            Some(action) => Step::Authorize(action),
            None => next(&session.inv, session.now()),
        };
        let step = session.gathering(step);
        tracing::debug!(investigation = %session.inv.chain, ?step, "next step");
        if session.leaves_the_process(&step) {
            session.flush().await?;
            if session.signalled {
                // What arrived may change what comes next.
                continue;
            }
        }
        match step {
            step if !lease.has_place && needs_place(&step, &session.inv) => {
                session.flush().await?;
                let now = session.now();
                let latest = now.saturating_add(LONGEST_PARK).unwrap_or(now);
                let due = due_at(&session.inv).filter(|at| *at > now).map(|at| at.min(latest));
                return session.leave(engine.store.line_up(lease, due)).await;
            }
            Step::Done => {
                session.flush().await?;
                return session.leave(engine.store.release(lease)).await;
            }
            Step::Wait(until) => {
                session.flush().await?;
                let now = session.now();
                return session.leave(engine.store.park(lease, now, until)).await;
            }
            step => session.perform(step).await?,
        }
    }
}

impl<'e> Session<'e> {
    async fn load(engine: &'e Engine, lease: Lease, undivided: &'e Mutex<()>) -> Result<Self, EngineError> {
        let name = lease.investigation.to_string();
        let mut known = engine.warm.take(lease.investigation);
        let inv = loop {
            let is_known = known.is_some();
            let inv = known.take().unwrap_or_else(|| Investigation::empty(&name));
            match Self::read_on(engine, inv).await {
                // What was remembered may be of another journal than the one that is there now.
                Err(EngineError::Corrupt { .. }) if is_known => {}
                read => break read?,
            }
        };
        // A row that is not what its entries say, however that came about, is made good by the next commit.
        let asked = match inv.deeds.iter().any(|deed| !deed.questions.is_empty()) {
            true => engine.store.approvals(&ApprovalFilter::of(lease.investigation)).await?.items,
            false => vec![],
        };
        Ok(Self {
            engine,
            undivided,
            signalled: true,
            passes: HashMap::new(),
            talk: Talk::default(),
            known: None,
            noted: Noted::default(),
            asked,
            begun: vec![],
            lease,
            durable: inv.head.clone(),
            inv,
            pending: Append::default(),
            payloads: HashMap::new(),
        })
    }

    /// `inv`, with the entries behind its head.
    async fn read_on(engine: &Engine, mut inv: Investigation) -> Result<Investigation, EngineError> {
        let name = inv.chain.clone();
        loop {
            let entries = engine.store.entries(&name, inv.head.seq, PAGE).await?;
            for entry in &entries {
                chain::follow(&inv.head, &name, entry).map_err(|e| corrupt(&name, e))?;
                inv.apply(entry).map_err(|e| corrupt(&name, e))?;
            }
            if entries.len() < PAGE as usize {
                return Ok(inv);
            }
        }
    }

    /// Lets go of the lease, with everything on disk, and remembers how the investigation was left.
    async fn leave(self, letting_go: impl Future<Output = Result<(), StoreError>>) -> Result<(), EngineError> {
        letting_go.await?;
        if self.inv.head == self.durable {
            self.engine.warm.keep(self.lease.investigation, self.inv);
        }
        Ok(())
    }

    /// What this is the journal of.
    pub(super) fn id(&self) -> InvestigationId {
        self.lease.investigation
    }

    /// The present moment.
    pub(super) fn now(&self) -> Timestamp {
        self.engine.clock.now()
    }

    /// `step`, or waiting where further alerts of the incident are gathered before the work begins.
    fn gathering(&self, step: Step) -> Step {
        match (step, self.engine.coalesce.until(&self.inv, self.now())) {
            (Step::Open, Some(until)) => Step::Wait(until),
            (step, _) => step,
        }
    }

    /// A change that waits for people and was last judged by another policy than the one in force, or as
    /// another kind of incident than it is by now.
    fn judged_otherwise(&self) -> Option<ActionId> {
        let stopped =
            self.inv.cancelled.is_some() || self.inv.declined.is_some() || self.inv.risk == Some(Risk::Critical);
        if stopped || self.inv.deeds.iter().all(|deed| deed.questions.is_empty()) {
            return None;
        }
        let (in_force, now) = (self.engine.gate.policy().reference().digest, self.now());
        let outdated = self.inv.deeds.iter().find(|deed| {
            let waits = deed.question().is_some_and(|q| q.state == ApprovalState::Pending && q.expires_at > now)
                && deed.not_before.is_none_or(|at| at <= now);
            let judged = deed.ruling.as_ref().map(|(ruling, _)| &ruling.policy.digest);
            deed.state == DeedState::Ruled && waits && (judged != Some(&in_force) || deed.judged_as != self.inv.class)
        });
        outdated.map(|deed| deed.action.id)
    }

    /// Whether something outside may notice the step. Reads are judged first, which is thinking; a
    /// question is committed together with what came before it.
    fn leaves_the_process(&self, step: &Step) -> bool {
        match step {
            Step::Notify { .. } | Step::Plan(_) | Step::Authorize(_) | Step::Reconcile(_) | Step::Verify(_) => true,
            Step::Read(calls) => !calls.iter().any(|call| self.is_unjudged(&call.id)),
            Step::Assess(_)
            | Step::Decline
            | Step::Open
            | Step::TakeRung
            | Step::Ask { .. }
            | Step::Survey
            | Step::Expire(_)
            | Step::Drop(_)
            | Step::Report
            | Step::Close(_)
            | Step::Reopen(_)
            | Step::Wait(_)
            | Step::Done => false,
        }
    }

    fn is_unjudged(&self, call_id: &str) -> bool {
        self.inv.calls.iter().any(|c| c.call.id == call_id && c.progress == Progress::Planned)
    }

    /// Servers whose tools `step` may need have had their time to greet.
    async fn await_tools(&self, step: &Step) {
        let tools = &self.engine.tools;
        match step {
            Step::Read(calls) | Step::Plan(calls) => {
                tools.ready_for(calls.iter().map(|call| call.tool.as_str())).await;
            }
            Step::Ask { .. } | Step::Authorize(_) | Step::Reconcile(_) | Step::Verify(_) => tools.ready().await,
            _ => {}
        }
    }

    async fn perform(&mut self, step: Step) -> Result<(), EngineError> {
        self.await_tools(&step).await;
        match step {
            Step::Assess(phase) => self.assess(phase).await,
            Step::Decline => self.decline(),
            Step::Open => self.open(),
            Step::TakeRung => self.take_rung().await,
            Step::Survey => self.survey().await,
            Step::Read(calls) => match calls.into_iter().partition::<Vec<_>, _>(|c| self.is_unjudged(&c.id)) {
                (unjudged, started) if unjudged.is_empty() => self.read(started).await,
                (unjudged, _) => self.judge(unjudged).await,
            },
            Step::Ask { turn, must_answer } => self.ask(turn, must_answer).await,
            Step::Plan(calls) => self.plan_changes(calls).await,
            Step::Authorize(action) => self.authorize(action).await,
            Step::Reconcile(action) => self.reconcile(action).await,
            Step::Verify(action) => self.verify(action).await,
            Step::Expire(approval) => self.expire(approval).await,
            Step::Drop(action) => self.drop_change(action),
            Step::Report => self.report().await,
            Step::Notify { revision, sinks } => self.notify(revision, sinks).await,
            Step::Close(outcome) => {
                let risk = self.inv.risk.map_or("none", Risk::as_str);
                telemetry::investigation_closed(outcome.as_str(), risk);
                self.record(Draft::engine(Body::Closed { outcome }))
            }
            Step::Reopen(reason) => self.record(Draft::engine(Body::Reopened { reason })),
            Step::Wait(_) | Step::Done => Ok(()),
        }
    }

    /// Seals a draft behind the head and applies it. It is durable after the next [`Self::flush`].
    pub(super) fn record(&mut self, draft: Draft) -> Result<(), EngineError> {
        let entry = self.inv.head.seal(&self.inv.chain, self.engine.clock.now(), draft);
        let entry = entry.map_err(|e| corrupt(&self.inv.chain, e))?;
        self.inv.apply(&entry).map_err(|e| corrupt(&self.inv.chain, e))?;
        telemetry::entry_written(entry.body.kind());
        self.pending.entries.push(entry);
        Ok(())
    }

    /// Keeps a payload; it is stored together with the entry that names it.
    pub(super) fn keep<T: Serialize>(&mut self, payload: &T) -> Result<BlobRef, EngineError> {
        let bytes = serde_json::to_vec(payload).map_err(|e| corrupt(&self.inv.chain, e))?;
        Ok(self.keep_bytes(bytes))
    }

    /// As [`Self::keep`], of a payload that was written already.
    pub(super) fn keep_bytes(&mut self, bytes: Vec<u8>) -> BlobRef {
        let blob = Blob::new(self.engine.entropy.salt(), bytes);
        let reference = blob.reference.clone();
        self.payloads.insert(reference.commitment.clone(), blob.bytes.clone());
        self.pending.blobs.push(blob);
        reference
    }

    /// A payload that the journal names; `None` when it was deleted.
    pub(super) async fn fetch<T: DeserializeOwned>(&mut self, reference: &BlobRef) -> Result<Option<T>, EngineError> {
        if !self.payloads.contains_key(&reference.commitment) {
            match self.engine.store.blob(reference).await? {
                None => return Ok(None),
                Some(bytes) => self.payloads.insert(reference.commitment.clone(), bytes),
            };
        }
        match self.payloads.get(&reference.commitment) {
            None => Ok(None),
            Some(bytes) => serde_json::from_slice(bytes).map(Some).map_err(|e| corrupt(&self.inv.chain, e)),
        }
    }

    /// Commits what happened since the last time. A reading call or a request to a model is safe to
    /// repeat; what was committed is never repeated.
    pub(super) async fn flush(&mut self) -> Result<(), EngineError> {
        let mut append = std::mem::take(&mut self.pending);
        append.approvals = self.changed_questions();
        append.deeds = self.changed_deeds();
        if append.entries.is_empty() && append.consumed.is_empty() && append.approvals.is_empty() {
            return Ok(());
        }
        if failpoint::armed().is_some() {
            self.flush_one_by_one(&mut append).await?;
        }
        append.view = View::of(&self.inv);
        failpoint::commit(failpoint::Side::Before);
        self.signalled = self.engine.store.append(&self.lease, &self.durable, append).await?;
        failpoint::commit(failpoint::Side::After);
        self.durable = self.inv.head.clone();
        failpoint::reached(self.durable.seq);
        Ok(())
    }

    /// Questions that are not as they were last committed.
    fn changed_questions(&mut self) -> Vec<ApprovalView> {
        if self.inv.deeds.iter().all(|deed| deed.questions.is_empty()) {
            return vec![];
        }
        let all = ApprovalView::all(&self.inv);
        let changed = all.iter().filter(|view| !self.asked.contains(view)).cloned().collect();
        self.asked = all;
        changed
    }

    /// Changes that were begun or ended since the last commit.
    fn changed_deeds(&mut self) -> Vec<BegunDeed> {
        let opening = self.inv.opening();
        let thing = opening.map(SreEvent::thing).unwrap_or_default();
        let alert = opening.map(|event| event.name.clone()).unwrap_or_default();
        let begun = |deed: &Deed| {
            // A closer look is no change that helps or does not.
            if deed.looks_closer().is_some() {
                return None;
            }
            Some(BegunDeed {
                id: deed.action.id,
                investigation: self.lease.investigation,
                started_at: deed.started_at?,
                tool: deed.action.tool.clone(),
                target: deed.action.target(),
                effect: deed.action.effect,
                thing: thing.clone(),
                alert: alert.clone(),
                made: deed.made(),
                helped: deed.helped(),
            })
        };
        let all: Vec<BegunDeed> = self.inv.deeds.iter().filter_map(begun).collect();
        let changed = all.iter().filter(|deed| !self.begun.contains(deed)).cloned().collect();
        self.begun = all;
        changed
    }

    /// Commits all entries but the last one apart, so that the process can be killed between any two.
    async fn flush_one_by_one(&mut self, append: &mut Append) -> Result<(), EngineError> {
        while append.entries.len() > 1 {
            let entry = append.entries.remove(0);
            let head = entry.head();
            let one = Append { entries: vec![entry], blobs: std::mem::take(&mut append.blobs), ..Append::default() };
            self.engine.store.append(&self.lease, &self.durable, one).await?;
            self.durable = head;
            failpoint::reached(self.durable.seq);
        }
        Ok(())
    }
}

pub(super) fn corrupt(chain: &str, why: impl ToString) -> EngineError {
    EngineError::Corrupt { chain: chain.to_owned(), why: why.to_string() }
}
