//! The policies as data: what is in force, and what it says of an input.

use super::{Problem, Viewer, Web, body};
use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::State;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// Largest input, in bytes.
const MAX_INPUT: usize = 1 << 20;

/// What the door knows of policies.
#[derive(Clone)]
pub struct Policies {
    /// What is in force, refused and tried.
    pub status: Arc<dyn Fn() -> Value + Send + Sync>,
    /// Judges an input without consequence; the error says what is wrong with the input.
    pub evaluate: Arc<dyn Fn(&Value) -> Result<Value, String> + Send + Sync>,
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
