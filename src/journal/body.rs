//! What an entry can say. Past tense: it happened.

use super::spending::{is_zero, is_zero_usd};
use super::{
    Abandoned, AlertsCounted, Call, Classified, Compacted, Confirmed, Deleted, FailureGap, Frozen, Outcome, Phase,
    PolicyActivated, PolicyRejected, Proposal, PutOff, Quarantined, RulingPhase, ShadowDiffered, Started, SummaryOf,
    SummaryReply, Watched,
};
use crate::domain::{
    Action, ActionId, ApprovalId, ApprovalState, BlobRef, DecisionId, Digest, EffectKeys, EventId, Marker, Person,
    Receipt, Reconciled, ReportVerdict, Requirement, Risk, RiskDecision, Ruling, Rung, SreEvent, Usage,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The body of an entry. New kinds may come; old ones stay readable for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Body {
    /// The alert that opened this investigation.
    EventReceived {
        /// The alert.
        event: Box<SreEvent>,
        /// Whatever shares it belongs to this investigation.
        correlation_key: String,
        /// Names effects, branches and Jobs: never random.
        incident_key: Digest,
        /// The route that it takes.
        route: String,
    },
    /// Further alerts of the same cause.
    AlertsMerged {
        /// The alerts.
        events: Vec<SreEvent>,
        /// They come and go, so they open no investigation of their own.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        flapping: bool,
    },
    /// Further alerts of the same cause, beyond those that are told apart.
    AlertsCounted(AlertsCounted),
    /// An alert is over.
    AlertResolved {
        /// Our id of the alert.
        event: EventId,
        /// Its fingerprint.
        fingerprint: String,
        /// When it ended.
        ends_at: Timestamp,
    },
    /// The policy judged the incident.
    RiskAssessed {
        /// When in the life of the incident.
        phase: Phase,
        /// The answer.
        decision: RiskDecision,
        /// The whole input, for replay.
        input: BlobRef,
    },
    /// The level went up. It never goes down.
    RiskRaised {
        /// The level before.
        from: Risk,
        /// The level from now on.
        to: Risk,
    },
    /// No agent is dispatched.
    Declined {
        /// Why, for people.
        reason: String,
    },
    /// The work begins; what it may use is frozen here.
    Opened(Frozen),
    /// How much of the work the budgets permit from here on, and again whenever it becomes less.
    LadderTaken {
        /// The revision that is worked on, from 1.
        revision: u32,
        /// The rung.
        rung: Rung,
        /// The rung before; `None` when the work on the revision begins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Rung>,
        /// The configured model that is asked on this rung, where it is not the route's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// Why not more, for people.
        reason: String,
    },
    /// The deterministic investigator wants to look at this next.
    SurveyPlanned {
        /// From 1.
        round: u32,
        /// What to look at.
        calls: Vec<Call>,
    },
    /// The deterministic investigator has seen enough.
    Surveyed {
        /// Why it stopped: `complete`, `calls`, `time`.
        stopped: String,
        /// Its conclusions.
        analysis: BlobRef,
        /// How many findings.
        findings: u32,
        /// The likeliest cause, for lists.
        top_cause: Option<String>,
        /// Things that are one workload with what the opening alert names: alerts on them belong here.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        things: Vec<String>,
    },
    /// What kind of incident it is.
    Classified(Classified),
    /// Whether what the alert says still holds.
    Confirmed(Confirmed),
    /// Something loud that no known object explains.
    GapFiled(FailureGap),
    /// A model is asked. Durable before the request leaves.
    ModelAsked {
        /// From 1.
        turn: u32,
        /// The configured model's name.
        model: String,
        /// Digest of the whole request.
        request_digest: Digest,
        /// The request, for the transcript.
        request: BlobRef,
        /// Tokens that are counted as spent until the answer says otherwise.
        reserved_tokens: u64,
        /// US dollars, likewise.
        #[serde(default, skip_serializing_if = "is_zero_usd")]
        reserved_usd: f64,
        /// Most tokens of the answer, a part of those reserved.
        #[serde(default, skip_serializing_if = "is_zero")]
        max_tokens: u32,
        /// A final answer is demanded.
        must_answer: bool,
    },
    /// A model answered. It is not asked again for this turn.
    ModelReplied {
        /// The turn.
        turn: u32,
        /// The model's name for itself.
        model: String,
        /// What it said, redacted.
        reply: BlobRef,
        /// What we make of it.
        proposal: Proposal,
        /// What it cost, as counted.
        usage: Usage,
        /// US dollars, by the configured price.
        cost_usd: f64,
        /// What the server was sent beside the messages, in its own words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent: Option<BlobRef>,
    },
    /// A model gave no usable answer.
    ModelFailed {
        /// The turn.
        turn: u32,
        /// What went wrong.
        error: String,
        /// Another attempt may help.
        transient: bool,
        /// The conversation did not fit into the model's context.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        too_long: bool,
        /// The request may have been worked on: what was reserved for it is spent.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        charged: bool,
        /// What the server was last sent beside the messages, in its own words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent: Option<BlobRef>,
    },
    /// A cheap model is asked to condense what is too long; evidence stays. Durable before the request leaves.
    SummaryAsked {
        /// From 1.
        number: u32,
        /// What is condensed.
        of: SummaryOf,
        /// Before this turn.
        turn: u32,
        /// The configured model's name.
        model: String,
        /// Digest of the whole request.
        request_digest: Digest,
        /// The request, for the transcript.
        request: BlobRef,
        /// Tokens that are counted as spent until the answer says otherwise.
        reserved_tokens: u64,
        /// US dollars that are counted as spent until the answer says otherwise.
        reserved_usd: f64,
        /// Most tokens of the answer, a part of those reserved.
        max_tokens: u32,
    },
    /// The summary came.
    SummaryWritten(SummaryReply),
    /// The summary did not come: the conversation does without it.
    SummaryFailed {
        /// Which one.
        number: u32,
        /// What went wrong.
        error: String,
        /// The request may have been worked on: what was reserved for it is spent.
        charged: bool,
    },
    /// Of these results only the gist is left in the conversation. What else was said stays, and all ids.
    Compacted(Compacted),
    /// A reading call was allowed and is made.
    ReadStarted {
        /// The call.
        call: Call,
        /// The policy's ruling.
        ruling: Ruling,
        /// What it was asked with: [`super::asking::Asked`], shared by calls that were judged together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<BlobRef>,
    },
    /// A reading call gave an observation.
    ReadFinished {
        /// The call.
        call_id: String,
        /// `E1`, `E2`, …
        evidence_id: String,
        /// What was seen.
        observation: BlobRef,
        /// The gist in ≤ 300 characters.
        excerpt: String,
        /// Digest of what was seen, as the report cites it.
        digest: Digest,
        /// Something was left out.
        truncated: bool,
        /// Secrets that were blanked out.
        redacted: u32,
        /// How long it took.
        duration_ms: u64,
        /// What in its text looks like instructions: kinds, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        instructions: Vec<String>,
    },
    /// A reading call failed, which is evidence too.
    ReadFailed {
        /// The call.
        call_id: String,
        /// `E1`, `E2`, …
        evidence_id: String,
        /// What went wrong.
        error: String,
        /// How long it took.
        duration_ms: u64,
        /// What in the error looks like instructions.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        instructions: Vec<String>,
    },
    /// A proposed call was not made.
    CallRejected {
        /// The call as proposed.
        call: Call,
        /// Why, for people.
        reason: String,
        /// What the proposer is told.
        remedy: String,
        /// The policy's ruling, when it was the policy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ruling: Option<Ruling>,
        /// As of `ReadStarted`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<BlobRef>,
    },
    /// Changes are proposed beside the model: by a playbook, a person, or us.
    CallsProposed {
        /// What is to be changed.
        calls: Vec<Call>,
        /// Why: a claim of whoever proposes it.
        reason: String,
    },
    /// A change was tried without making it; again when the world has moved on.
    ActionPlanned {
        /// The call that it is.
        call_id: String,
        /// What would be done.
        action: Box<Action>,
        /// Its names in the world.
        keys: EffectKeys,
        /// What it carries there.
        marker: Marker,
    },
    /// The policy judged a planned change.
    ActionRuled {
        /// The change.
        action: ActionId,
        /// Before anybody is asked, or right before it is made.
        phase: RulingPhase,
        /// What exactly was judged.
        digest: Digest,
        /// The answer.
        ruling: Ruling,
        /// The whole input, for replay.
        input: BlobRef,
        /// What the proposer is told of it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        told: String,
    },
    /// A planned change cannot be looked at again just now: a peer does not answer.
    ActionPutOff(PutOff),
    /// A planned change will not be made: nothing of it has left the house.
    ActionDropped {
        /// The change.
        action: ActionId,
        /// Why, for people.
        reason: String,
    },
    /// People are asked.
    ApprovalRequested {
        /// The question.
        approval: ApprovalId,
        /// The change.
        action: ActionId,
        /// What exactly they are asked about.
        digest: Digest,
        /// Who has to agree.
        requirements: Vec<Requirement>,
        /// From then on nobody's silence is a yes.
        expires_at: Timestamp,
    },
    /// A person answered.
    ApprovalDecided {
        /// The question.
        approval: ApprovalId,
        /// Yes or no.
        granted: bool,
        /// What exactly they answered to.
        digest: Digest,
        /// Who.
        by: Person,
        /// When the answer was on disk.
        answered_at: Timestamp,
        /// What they wrote.
        comment: String,
    },
    /// Nobody answered in time, which means no.
    ApprovalExpired {
        /// The question.
        approval: ApprovalId,
    },
    /// The question is taken back: nobody wants the change any more, or it is another one now.
    ApprovalWithdrawn {
        /// The question.
        approval: ApprovalId,
        /// `withdrawn` or `invalidated`.
        state: ApprovalState,
        /// Why, for people.
        reason: String,
    },
    /// A change is about to be made. Durable before the first byte leaves.
    ActionStarted {
        /// The change.
        action: ActionId,
        /// The decision that allows it.
        decision: DecisionId,
        /// What exactly is done.
        digest: Digest,
        /// From 1.
        attempt: u32,
        /// What has to hold, as it is now.
        precondition: serde_json::Value,
        /// What it carries, as it is now.
        #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
        carries: serde_json::Value,
        /// No byte of it leaves later than this.
        send_by: Timestamp,
    },
    /// A change was made.
    ActionFinished {
        /// The change.
        action: ActionId,
        /// What the target says.
        receipt: Receipt,
    },
    /// The target refused the change: nothing happened.
    ActionFailed {
        /// The change.
        action: ActionId,
        /// What it said.
        error: String,
    },
    /// Whether a change was made is not known. Before anything else we look.
    ActionDoubted {
        /// The change.
        action: ActionId,
        /// What went wrong.
        error: String,
        /// When we look, or look again; nothing more is tried without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        look_at: Option<Timestamp>,
    },
    /// We looked.
    ActionReconciled {
        /// The change.
        action: ActionId,
        /// What was found.
        found: Reconciled,
    },
    /// A look at a change that was made: nothing is decided yet.
    ActionObserved {
        /// The change.
        action: ActionId,
        /// What was seen.
        seen: String,
        /// The ruling on asking for the alert itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ruling: Option<Ruling>,
        /// As of `ReadStarted`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<BlobRef>,
    },
    /// A change that was made was watched to the end.
    Verified {
        /// The change.
        action: ActionId,
        /// Whether it held.
        outcome: Watched,
        /// What that rests on.
        reason: String,
    },
    /// Somebody stopped the work.
    Cancelled {
        /// Why.
        reason: String,
    },
    /// A report was written.
    Reported {
        /// From 1.
        revision: u32,
        /// What it claims.
        verdict: ReportVerdict,
        /// One line.
        summary: String,
        /// The report.
        report: BlobRef,
        /// Who is to be told of it: `log`, and the configured sinks by name.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sinks: Vec<String>,
    },
    /// A sink was told, or given up.
    Notified {
        /// Where: `log`, or a configured sink's name.
        sink: String,
        /// The revision that was told of.
        revision: u32,
        /// Empty when it arrived; otherwise it is not tried again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A sink could not be told and will be told later.
    NoticeFailed {
        /// Where: a configured sink's name.
        sink: String,
        /// The revision.
        revision: u32,
        /// From 1.
        attempt: u32,
        /// What went wrong.
        error: String,
        /// When it is tried again.
        again_at: Timestamp,
    },
    /// Nothing waits any more.
    Closed {
        /// How it ended.
        outcome: Outcome,
    },
    /// A later alert asks for a further revision.
    Reopened {
        /// Why.
        reason: String,
    },
    // What belongs to no investigation; in the `system` chain.
    /// The process began to work.
    Started(Started),
    /// Another policy is in force from here on.
    PolicyActivated(PolicyActivated),
    /// A changed policy was not taken; the one before stays in force.
    PolicyRejected(PolicyRejected),
    /// The policy that is tried beside the one in force would have answered otherwise.
    ShadowDiffered(ShadowDiffered),
    /// Another key signs from here on.
    KeyRotated(super::system::KeyRotated),
    /// A policy is not tried any more.
    ShadowEnded(super::ShadowEnded),
    /// The process stopped in good order.
    Stopped {},
    /// An investigation could not be continued and was given up.
    Abandoned(Abandoned),
    /// Payloads of a chain were deleted with their salts, as retention demands.
    PayloadsDeleted(Deleted),
    /// One alert of a body could not be mapped; it is kept with its reason.
    Quarantined(Quarantined),
    /// A person had what could not be read read again.
    Replayed(super::system::Replayed),
}
