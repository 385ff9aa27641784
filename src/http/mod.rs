//! L7: the door. Webhooks, API, live stream, health.
//!
//! - [`webhook`]: the paths of senders; [`taking`]: bodies come in; answered once everything is on disk
//! - [`credentials`], [`signature`]: what senders show; [`storm`]: how much each may send in a minute
//! - [`auth`]: who may; handlers name the privilege in their signature
//! - [`api`]: what came in and what was done with it; [`letters`]: what could not be read
//! - [`approvals`]: questions to people, and their answers
//! - [`policies`]: the policies as data; [`schemas`]: what they read
//! - [`usage`]: what was spent, and what is left
//! - [`audit`]: checkpoints, the log, and what other systems keep of it
//! - [`stream`]: an investigation as it happens
//! - [`checks`]: how firewarden itself does
//! - [`health`]: alive, ready, well, and the figures
//! - [`problem`]: faults become statuses, in that one place
//! - [`serve`]: connections, within bounds

pub mod api;
pub mod approvals;
pub mod audit;
pub mod auth;
mod body;
mod checks;
mod credentials;
pub mod health;
mod letters;
mod params;
pub mod policies;
pub mod problem;
mod schemas;
pub mod serve;
pub mod signature;
pub mod storm;
pub mod stream;
mod taking;
pub mod usage;
pub mod webhook;

#[cfg(test)]
mod tests;

pub use auth::{Access, AccessToken, Admin, Approver, Caller, Operator, Role, Viewer};
pub use credentials::{Granted, IntakeToken};
pub use health::Status;
pub use policies::{Governs, Policies, Promoting, Trying};
pub use problem::Problem;
pub use serve::serve;
pub use signature::Signed;
pub use storm::Storm;
pub use usage::Limits;

use crate::domain::{Clock, Entropy, Redactor, Report};
use crate::engine::intake::Intake;
use crate::engine::live::Live;
use crate::engine::rest::Rest;
use crate::sources::Senders;
use crate::store::Store;
use arc_swap::ArcSwap;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use tower_http::catch_panic::CatchPanicLayer;

/// The name under which we answer.
pub const SERVICE: &str = "firewarden";

/// Everything that the door needs.
pub struct Web {
    /// Where alerts are taken in.
    pub intake: Arc<Intake>,
    /// Whose bodies are understood.
    pub senders: Senders,
    /// How much each of them may send.
    pub storm: Storm,
    /// Fetches what Alertmanager leaves out of a body, where it can be asked.
    pub rest: Option<Arc<Rest>>,
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// Who may; replaced when a credential is rotated.
    pub access: ArcSwap<Access>,
    /// What blanks out secrets; replaced together with them.
    pub redactor: Arc<ArcSwap<Redactor>>,
    /// The key under which the original bytes of bodies are vouched for.
    pub hmac_key: Vec<u8>,
    /// How the rest of the program is.
    pub status: Arc<dyn Fn() -> Status + Send + Sync>,
    /// The policies.
    pub policies: Policies,
    /// Who waits for a model right now.
    pub live: Arc<Live>,
    /// The figures, if they are collected.
    pub metrics: Option<PrometheusHandle>,
    /// A report as people read it.
    pub render_markdown: fn(&Report) -> String,
    /// What may be spent in a day, as it is configured now.
    pub limits: Arc<dyn Fn() -> Limits + Send + Sync>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and salts.
    pub entropy: Arc<dyn Entropy>,
    /// How much at once.
    pub gates: Gates,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("intake", &self.intake).field("access", &self.access).finish_non_exhaustive()
    }
}

/// How much is handled at once, and whether it is to end.
#[derive(Debug)]
pub struct Gates {
    /// Largest body, in bytes.
    pub(crate) max_body: usize,
    /// Room for bodies that are being handled, in units of [`body::UNIT_BYTES`].
    pub(crate) bodies: Semaphore,
    /// Room for those of them whose sender has yet to prove itself, by a signature of the body.
    pub(crate) unproven: Semaphore,
    /// What waits for the disk, in units of [`taking`]: whoever finds it full is told so at once.
    pub(crate) commits: Semaphore,
    /// Requests that wait for reports.
    pub(crate) waits: Semaphore,
    /// Live streams.
    pub(crate) streams: Arc<Semaphore>,
    /// Turns true when the server is to stop.
    pub(crate) stopping: watch::Sender<bool>,
}

impl Default for Gates {
    fn default() -> Self {
        Self::for_bodies_of(body::MAX_BODY)
    }
}

impl Gates {
    /// For bodies of at most `max_body` bytes.
    pub fn for_bodies_of(max_body: usize) -> Self {
        // The largest finds room for itself, whoever sends it.
        let largest = max_body.div_ceil(body::UNIT_BYTES);
        Self {
            max_body,
            bodies: Semaphore::new(body::UNITS.max(largest)),
            unproven: Semaphore::new((body::UNITS / 4).max(largest)),
            commits: Semaphore::new(taking::WAITING),
            waits: Semaphore::new(64),
            streams: Arc::new(Semaphore::new(256)),
            stopping: watch::Sender::new(false),
        }
    }
}

/// All paths.
pub fn router(web: Arc<Web>) -> Router {
    let investigation = "/api/v1/investigations/{id}";
    let below = |rest: &str| format!("{investigation}/{rest}");
    Router::new()
        .route("/alertmanager", post(webhook::alertmanager))
        .route("/webhook/alert", post(webhook::alert))
        .route("/webhook/{name}", post(webhook::named).put(webhook::named).options(webhook::handshake))
        .route("/api/fleet/events", post(webhook::fleet).put(webhook::fleet).options(webhook::handshake))
        .route("/api/v1/events", get(api::events))
        .route("/api/v1/events/{id}", get(api::event))
        .route("/api/v1/events/{id}/replay", post(letters::replay))
        .route("/api/v1/investigations", get(api::investigations))
        .route(investigation, get(api::investigation))
        .route(&below("journal"), get(api::journal))
        .route(&below("report"), get(api::report))
        .route(&below("transcript"), get(api::transcript_of))
        .route(&below("stream"), get(stream::stream))
        .route(&below("cancel"), post(api::cancel))
        .route("/api/v1/approvals", get(approvals::list))
        .route("/api/v1/approvals/{id}", get(approvals::show))
        .route("/api/v1/approvals/{id}/grant", post(approvals::grant))
        .route("/api/v1/approvals/{id}/deny", post(approvals::deny))
        .route("/api/fleet/approvals", get(approvals::fleet_list))
        .route("/api/fleet/approvals/grant", post(approvals::fleet_answer))
        .route("/api/v1/policies", get(policies::status))
        .route("/api/v1/policies/evaluate", post(policies::evaluate))
        .route("/api/v1/policies/shadow", post(policies::begin))
        .route("/api/v1/policies/shadow/stop", post(policies::end))
        .route("/api/v1/policies/promote", post(policies::promote))
        .route("/api/v1/policies/schema/{name}", get(schemas::schema))
        .route("/api/v1/usage", get(usage::usage))
        .route("/api/v1/audit/checkpoint", get(audit::checkpoint))
        .route("/api/v1/audit/entries", get(audit::entries))
        .route("/api/v1/audit/export", get(audit::export))
        .route("/check", get(checks::check))
        .route("/api/alerts", get(checks::list))
        .route("/api/failure-report/{agent}", get(checks::failure_report))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/health", get(health::health))
        .route("/metrics", get(health::metrics))
        .fallback(|| async {
            Problem::not_found("There is no such path. README and /api/v1/investigations are good places to start.")
        })
        .method_not_allowed_fallback(|| async {
            let detail = "This path takes another method: webhooks take POST, everything that reads takes GET.";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Wrong method", detail)
        })
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| -> Response {
            tracing::error!("a request handler panicked");
            Problem::internal().into_response()
        }))
        .layer(axum::middleware::from_fn(problem::finish))
        .with_state(web)
}
