//! The policies as data: what is in force, what it says of an input, and what admins have tried and put in
//! force.

use super::{Admin, Caller, Problem, Viewer, Web, body};
use crate::domain::Digest;
use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::StatusCode;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Largest input, in bytes.
const MAX_INPUT: usize = 1 << 20;
/// Largest bundle that is sent, in bytes.
const MAX_BUNDLE: usize = 16 << 20;
/// Longest reason, in characters.
const MAX_REASON: usize = 1_000;
/// Decisions on which a bundle has to be compared before it is promoted, unless the request says otherwise.
const REQUIRED: u64 = 500;
/// Longest text of what stands against a bundle, in characters.
const MAX_TOLD: usize = 8_000;

/// A bundle that is to be tried.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trying {
    /// Its files by their paths.
    pub files: BTreeMap<String, String>,
    /// Until when.
    pub until: Timestamp,
}

/// What is tried is to be in force.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promoting {
    /// What whoever asks has looked at; what is tried has to be that.
    #[serde(default)]
    pub digest: Option<Digest>,
    /// On so many decisions it has to have been compared.
    #[serde(default = "required")]
    pub require_shadow: u64,
    /// Why it may be less strict than what is in force.
    #[serde(default)]
    pub accept_widening: Option<String>,
}

fn required() -> u64 {
    REQUIRED
}

/// What changes policies on a person's word.
pub trait Governs: Send + Sync {
    /// Tries a bundle beside the one in force.
    fn begin(&self, who: Caller, wanted: Trying) -> BoxFuture<'_, Result<Value, Problem>>;
    /// Ends that.
    fn end(&self, who: Caller) -> BoxFuture<'_, Result<Value, Problem>>;
    /// Puts what is tried in force.
    fn promote(&self, who: Caller, wanted: Promoting) -> BoxFuture<'_, Result<Value, Problem>>;
}

/// What the door knows of policies.
#[derive(Clone)]
pub struct Policies {
    /// What is in force, refused and tried.
    pub status: Arc<dyn Fn() -> Value + Send + Sync>,
    /// Judges an input without consequence; the error says what is wrong with the input.
    pub evaluate: Arc<dyn Fn(&Value) -> Result<Value, String> + Send + Sync>,
    /// Changes them on a person's word.
    pub govern: Arc<dyn Governs>,
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies").finish_non_exhaustive()
    }
}

/// `GET /api/v1/policies`.
pub(super) async fn status(State(web): State<Arc<Web>>, _: Viewer) -> Json<Value> {
    Json((web.policies.status)())
}

/// `POST /api/v1/policies/evaluate`: an input document in, a decision out. Nothing happens and nothing is
/// recorded.
pub(super) async fn evaluate(State(web): State<Arc<Web>>, _: Viewer, body: HttpBody) -> Result<Json<Value>, Problem> {
    let bytes = body::read(body, MAX_INPUT).await?;
    let expected = "Send an input document, `firewarden.risk/v1` or `firewarden.action/v1`.";
    let input: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::bad_request(format!("The body is no JSON: {error}. {expected}")))?;
    let evaluate = web.policies.evaluate.clone();
    // A decision may take its time, and takes no part of the server's.
    let judged = tokio::task::spawn_blocking(move || evaluate(&input)).await;
    judged.map_err(|_| Problem::internal())?.map(Json).map_err(Problem::bad_request)
}

impl Problem {
    /// A bundle may not be tried, or may not decide; `errors` stand against it.
    pub fn policy_unsound(errors: &[String]) -> Self {
        let told: String = errors.join("\n").chars().take(MAX_TOLD).collect();
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self::new(status, "policy-unsound", "The policies do not load or do not prove themselves", told)
    }

    /// What is tried is not put in force.
    pub fn promotion_refused(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "promotion-refused", "Not put in force", detail)
    }

    /// It is not put in force by whoever asks.
    pub fn promotion_refused_to(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "promotion-refused", "Not put in force", detail)
    }

    /// What is in force or tried is another than the request takes for granted.
    pub fn policy_conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "policy-conflict", "It does not stand so", detail)
    }
}

/// `POST /api/v1/policies/shadow`: a bundle is tried beside the one in force, and decides nothing.
pub(super) async fn begin(
    State(web): State<Arc<Web>>,
    Admin(caller): Admin,
    body: HttpBody,
) -> Result<Json<Value>, Problem> {
    let expected = "Send `{\"files\": {\"bundle.yaml\": \"…\", …}, \"until\": \"2026-12-31T00:00:00Z\"}`.";
    let wanted: Trying = read(body, MAX_BUNDLE, expected).await?;
    let govern = web.policies.govern.clone();
    to_its_end(async move { govern.begin(caller, wanted).await }).await
}

/// `POST /api/v1/policies/shadow/stop`.
pub(super) async fn end(State(web): State<Arc<Web>>, Admin(caller): Admin) -> Result<Json<Value>, Problem> {
    let govern = web.policies.govern.clone();
    to_its_end(async move { govern.end(caller).await }).await
}

/// `POST /api/v1/policies/promote`: what is tried is in force from then on.
pub(super) async fn promote(
    State(web): State<Arc<Web>>,
    Admin(caller): Admin,
    body: HttpBody,
) -> Result<Json<Value>, Problem> {
    let expected =
        "Send `{\"digest\": \"sha256:…\", \"require_shadow\": 500, \"accept_widening\": null}`; each may be left out.";
    let mut wanted: Promoting = read(body, MAX_INPUT, expected).await?;
    let reason = wanted.accept_widening.take().map(|reason| reason.trim().chars().take(MAX_REASON).collect::<String>());
    wanted.accept_widening = reason.filter(|reason| !reason.is_empty());
    let govern = web.policies.govern.clone();
    to_its_end(async move { govern.promote(caller, wanted).await }).await
}

/// What is begun is done, also when whoever asked for it has gone: entry and deed belong together.
async fn to_its_end(
    deed: impl Future<Output = Result<Value, Problem>> + Send + 'static,
) -> Result<Json<Value>, Problem> {
    tokio::spawn(deed).await.map_err(|_| Problem::internal())?.map(Json)
}

async fn read<T: serde::de::DeserializeOwned>(body: HttpBody, most: usize, expected: &str) -> Result<T, Problem> {
    let bytes = body::read(body, most).await?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::bad_request(format!("{error}. {expected}")))
}
