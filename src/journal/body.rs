//! What an entry can say. Past tense: it happened.

use super::frozen::Frozen;
use super::proposal::{Call, Proposal};
use super::summary::SummaryOf;
use crate::domain::{
    BlobRef, Digest, EventId, InvestigationId, PolicyRef, ReportVerdict, Risk, RiskDecision, Ruling, Rung, SreEvent,
    Usage,
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
    },
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
    /// How much of the work the budgets permit from here on. Durable before anything is looked at,
    /// and again whenever it becomes less.
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
    },
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
        /// US dollars that are counted as spent until the answer says otherwise.
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
    /// A cheap model is asked to condense what is too long for the conversation. Durable before the
    /// request leaves. Evidence stays as it is; a summary only helps to find one's way in it.
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
    SummaryWritten {
        /// Which one.
        number: u32,
        /// The model's name for itself.
        model: String,
        /// What it said, redacted.
        reply: BlobRef,
        /// What it cost, as counted.
        usage: Usage,
        /// US dollars, by the configured price.
        cost_usd: f64,
        /// What the server was sent beside the messages.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent: Option<BlobRef>,
    },
    /// The summary did not come: the conversation does without it.
    SummaryFailed {
        /// Which one.
        number: u32,
        /// What went wrong.
        error: String,
        /// The request may have been worked on: what was reserved for it is spent.
        charged: bool,
    },
    /// The conversation with the model was made shorter: of these results only the gist is left in
    /// it. Instructions, decisions and evidence ids stay, and so does the evidence itself.
    Compacted {
        /// Before this turn.
        turn: u32,
        /// The calls whose results were shortened.
        calls: Vec<String>,
        /// Characters of the conversation before.
        chars_before: u64,
        /// Characters of the conversation after.
        chars_after: u64,
    },
    /// A reading call was allowed and is made.
    ReadStarted {
        /// The call.
        call: Call,
        /// The policy's ruling.
        ruling: Ruling,
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
    Started {
        /// The program's version.
        version: String,
        /// The policy that is in force.
        policy: PolicyRef,
        /// Digest of all prompts.
        prompts: Digest,
        /// Digest of all tools.
        tools: Digest,
    },
    /// The process stopped in good order.
    Stopped {},
    /// An investigation could not be continued and was given up.
    Abandoned {
        /// The investigation.
        investigation: InvestigationId,
        /// Why.
        reason: String,
    },
    /// One alert of a body could not be mapped; it is kept with its reason.
    Quarantined {
        /// The sender.
        source: String,
        /// Why.
        reason: String,
        /// The alert, redacted.
        payload: BlobRef,
    },
}

// Keys that came later are left out at their default, so that older entries keep their hash.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn is_zero_usd(usd: &f64) -> bool {
    *usd == 0.0
}

impl Body {
    /// The word for lists and metrics, `RiskAssessed` for instance.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::EventReceived { .. } => "EventReceived",
            Self::AlertsMerged { .. } => "AlertsMerged",
            Self::AlertResolved { .. } => "AlertResolved",
            Self::RiskAssessed { .. } => "RiskAssessed",
            Self::RiskRaised { .. } => "RiskRaised",
            Self::Declined { .. } => "Declined",
            Self::Opened(_) => "Opened",
            Self::LadderTaken { .. } => "LadderTaken",
            Self::SurveyPlanned { .. } => "SurveyPlanned",
            Self::Surveyed { .. } => "Surveyed",
            Self::ModelAsked { .. } => "ModelAsked",
            Self::ModelReplied { .. } => "ModelReplied",
            Self::ModelFailed { .. } => "ModelFailed",
            Self::SummaryAsked { .. } => "SummaryAsked",
            Self::SummaryWritten { .. } => "SummaryWritten",
            Self::SummaryFailed { .. } => "SummaryFailed",
            Self::Compacted { .. } => "Compacted",
            Self::ReadStarted { .. } => "ReadStarted",
            Self::ReadFinished { .. } => "ReadFinished",
            Self::ReadFailed { .. } => "ReadFailed",
            Self::CallRejected { .. } => "CallRejected",
            Self::Cancelled { .. } => "Cancelled",
            Self::Reported { .. } => "Reported",
            Self::Notified { .. } => "Notified",
            Self::NoticeFailed { .. } => "NoticeFailed",
            Self::Closed { .. } => "Closed",
            Self::Reopened { .. } => "Reopened",
            Self::Started { .. } => "Started",
            Self::Stopped {} => "Stopped",
            Self::Abandoned { .. } => "Abandoned",
            Self::Quarantined { .. } => "Quarantined",
        }
    }

    /// The payloads that this entry commits to.
    pub fn payloads(&self) -> Vec<&BlobRef> {
        match self {
            Self::EventReceived { event, .. } => vec![&event.raw],
            Self::AlertsMerged { events } => events.iter().map(|e| &e.raw).collect(),
            Self::RiskAssessed { input, .. } => vec![input],
            Self::Surveyed { analysis, .. } => vec![analysis],
            Self::ModelAsked { request, .. } | Self::SummaryAsked { request, .. } => vec![request],
            Self::ModelReplied { reply, proposal, sent, .. } => {
                let report = match proposal {
                    Proposal::Report { report, .. } => Some(report),
                    Proposal::Calls { .. } | Proposal::Invalid { .. } => None,
                };
                std::iter::once(reply).chain(report).chain(sent).collect()
            }
            Self::ModelFailed { sent, .. } => sent.iter().collect(),
            Self::SummaryWritten { reply, sent, .. } => std::iter::once(reply).chain(sent).collect(),
            Self::ReadFinished { observation, .. } => vec![observation],
            Self::Reported { report, .. } => vec![report],
            Self::Quarantined { payload, .. } => vec![payload],
            _ => vec![],
        }
    }
}

/// When in the life of an incident the risk is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// On the alert alone.
    Alert,
    /// With what the survey found out.
    Survey,
    /// Because further alerts joined.
    Signal,
}

/// How an investigation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With a report.
    Reported,
    /// Without an agent: policy said CRITICAL.
    Declined,
    /// By a person.
    Cancelled,
    /// By a fault of ours.
    Failed,
}

impl Outcome {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Declined => "declined",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}
