//! L0: the words of the house. Pure types, no async runtime, no I/O.
//!
//! Everything above speaks in these types, so they carry meaning and nothing else: an alert
//! ([`SreEvent`]), how dangerous it is ([`Risk`]), what a tool would do to the world ([`Effect`]),
//! what was seen ([`Observation`]), what follows from it ([`Finding`], [`Report`]).

mod action;
mod ambient;
mod approval;
mod budget;
pub mod canonical;
mod chat;
mod class;
mod duties;
mod event;
pub mod excerpt;
mod finding;
mod id;
mod ladder;
mod observation;
mod part;
mod playbook;
mod quantity;
mod redact;
mod report;
mod risk;
mod secret;
mod storm;
mod taint;
mod thing;

pub use action::{Action, BlastRadius, EffectKeys, Marker, Preview, Receipt, Reconciled, Retry, Target, Undo};
pub use ambient::{Clock, Entropy};
pub use approval::{APPROVAL_EXPIRES_S, ApprovalState, Grant, Person, Requirement, granted_by, is_met, may_answer};
pub use budget::{Budget, DayBudget, Price, Reservation, Spent, Usage};
pub use chat::{ChatReply, ChatRequest, FinishReason, Message, ProposedCall, Role, ToolOffer};
pub use class::{Class, FLAP_WINDOW, FLAPS, classify, flaps, is_down, says_down};
pub use duties::{Duties, VerifyAfter};
pub use event::{AlertStatus, Link, POLLER, Resource, ResourceType, Severity, SreEvent};
pub use finding::{Analysis, Change, Entity, Finding, Hypothesis};
pub(crate) use id::hex;
pub use id::{ActionId, ApprovalId, BlobRef, DecisionId, Digest, EventId, InvestigationId, UnknownId};
pub use ladder::{Case as LadderCase, Choice, Left, NO_MODEL, NO_MORE, Offer, Rung, Standing, choose};
pub use observation::Observation;
pub use part::Part;
pub use playbook::{Chosen, Playbook, Playbooks};
pub use quantity::quantity;
pub use redact::{BLANK, Redactor};
pub use report::*;
pub use risk::{Effect, Excepted, PolicyRef, Reason, Risk, RiskDecision, Ruling, UnknownWord, Verdict, floor};
pub use secret::Secret;
pub use storm::{Share, Shares, Storm, StormAlert};
pub use taint::Taint;
pub use thing::{thing_of, workload_kind};
