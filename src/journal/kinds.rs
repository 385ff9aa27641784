//! What entries are called, and what they commit to.

use super::body::Body;
use super::proposal::Proposal;
use crate::domain::BlobRef;
use serde::{Deserialize, Serialize};

/// What retention tells apart. The word of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retained {
    /// Alerts as received, observations, inputs of decisions, reports.
    Payloads,
    /// What models were told and answered.
    Transcripts,
}

impl Retained {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Payloads, Self::Transcripts];

    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Payloads => "payloads",
            Self::Transcripts => "transcripts",
        }
    }
}

impl Body {
    /// The word for lists and metrics, `RiskAssessed` for instance.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::EventReceived { .. } => "EventReceived",
            Self::AlertsMerged { .. } => "AlertsMerged",
            Self::AlertsCounted(_) => "AlertsCounted",
            Self::AlertResolved { .. } => "AlertResolved",
            Self::RiskAssessed { .. } => "RiskAssessed",
            Self::RiskRaised { .. } => "RiskRaised",
            Self::Declined { .. } => "Declined",
            Self::Opened(_) => "Opened",
            Self::LadderTaken { .. } => "LadderTaken",
            Self::SurveyPlanned { .. } => "SurveyPlanned",
            Self::Surveyed { .. } => "Surveyed",
            Self::Classified(_) => "Classified",
            Self::Confirmed(_) => "Confirmed",
            Self::GapFiled(_) => "GapFiled",
            Self::ModelAsked { .. } => "ModelAsked",
            Self::ModelReplied { .. } => "ModelReplied",
            Self::ModelFailed { .. } => "ModelFailed",
            Self::SummaryAsked { .. } => "SummaryAsked",
            Self::SummaryWritten { .. } => "SummaryWritten",
            Self::SummaryFailed { .. } => "SummaryFailed",
            Self::Compacted(_) => "Compacted",
            Self::ReadStarted { .. } => "ReadStarted",
            Self::ReadFinished { .. } => "ReadFinished",
            Self::ReadFailed { .. } => "ReadFailed",
            Self::CallRejected { .. } => "CallRejected",
            Self::CallsProposed { .. } => "CallsProposed",
            Self::ActionPlanned { .. } => "ActionPlanned",
            Self::ActionRuled { .. } => "ActionRuled",
            Self::ActionPutOff { .. } => "ActionPutOff",
            Self::ActionDropped { .. } => "ActionDropped",
            Self::ApprovalRequested { .. } => "ApprovalRequested",
            Self::ApprovalDecided { .. } => "ApprovalDecided",
            Self::ApprovalExpired { .. } => "ApprovalExpired",
            Self::ApprovalWithdrawn { .. } => "ApprovalWithdrawn",
            Self::ActionStarted { .. } => "ActionStarted",
            Self::ActionFinished { .. } => "ActionFinished",
            Self::ActionFailed { .. } => "ActionFailed",
            Self::ActionDoubted { .. } => "ActionDoubted",
            Self::ActionReconciled { .. } => "ActionReconciled",
            Self::ActionObserved { .. } => "ActionObserved",
            Self::Verified { .. } => "Verified",
            Self::Cancelled { .. } => "Cancelled",
            Self::Reported { .. } => "Reported",
            Self::Notified { .. } => "Notified",
            Self::NoticeFailed { .. } => "NoticeFailed",
            Self::Closed { .. } => "Closed",
            Self::Reopened { .. } => "Reopened",
            Self::Started(_) => "Started",
            Self::PolicyActivated(_) => "PolicyActivated",
            Self::PolicyRejected(_) => "PolicyRejected",
            Self::ShadowDiffered(_) => "ShadowDiffered",
            Self::KeyRotated(_) => "KeyRotated",
            Self::ShadowEnded(_) => "ShadowEnded",
            Self::Stopped {} => "Stopped",
            Self::Abandoned { .. } => "Abandoned",
            Self::PayloadsDeleted(_) => "PayloadsDeleted",
            Self::Quarantined(_) => "Quarantined",
            Self::Replayed(_) => "Replayed",
        }
    }

    /// The payloads that this entry commits to.
    pub fn payloads(&self) -> Vec<&BlobRef> {
        match self {
            Self::EventReceived { event, .. } => vec![&event.raw],
            Self::AlertsMerged { events, .. } => events.iter().map(|e| &e.raw).collect(),
            Self::AlertsCounted(counted) => counted.alerts.iter().map(|alert| &alert.raw).collect(),
            Self::RiskAssessed { input, .. } | Self::ActionRuled { input, .. } => vec![input],
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
            Self::SummaryWritten(summary) => std::iter::once(&summary.reply).chain(&summary.sent).collect(),
            Self::ReadFinished { observation, .. } => vec![observation],
            Self::Reported { report, .. } => vec![report],
            Self::ReadStarted { input, .. } | Self::CallRejected { input, .. } | Self::ActionObserved { input, .. } => {
                input.iter().collect()
            }
            Self::Quarantined(alert) => vec![&alert.payload],
            Self::Started(started) => started.bundle.iter().collect(),
            Self::PolicyActivated(activated) => activated.bundle.iter().collect(),
            _ => vec![],
        }
    }

    /// How long the payloads of this entry are kept; `None` is for ever.
    pub const fn retained(&self) -> Option<Retained> {
        match self {
            Self::ModelAsked { .. }
            | Self::ModelReplied { .. }
            | Self::ModelFailed { .. }
            | Self::SummaryAsked { .. }
            | Self::SummaryWritten { .. } => Some(Retained::Transcripts),
            // Old decisions are judged anew by the policies of their time.
            Self::Started(_) | Self::PolicyActivated(_) => None,
            _ => Some(Retained::Payloads),
        }
    }
}
