//! Alive, ready, well, and the figures.

use super::{Problem, SERVICE, Web};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const READY_WITHIN: Duration = Duration::from_secs(5);

/// How the rest of the program is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// A policy is in force.
    pub policies_loaded: bool,
    /// The first configured model.
    pub model_name: Option<String>,
    /// Where Ollama is, if it is configured.
    pub ollama_url: Option<String>,
    /// Whether the model answered the last time it was asked; `None` while nobody has asked.
    pub llm_connected: Option<bool>,
    /// What knows the signatures of the journal's checkpoints.
    pub audit_key: Option<String>,
}

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({"status": "alive"}))
}

async fn not_ready(web: &Web) -> Option<String> {
    if !(web.status)().policies_loaded {
        return Some("no policy is loaded; run `firewarden check`".into());
    }
    match tokio::time::timeout(READY_WITHIN, web.store.ready()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            tracing::error!(%error, "the store is not ready");
            Some("the store cannot commit; the log says why".into())
        }
        Err(_) => Some(format!("the store did not commit within {} s", READY_WITHIN.as_secs())),
    }
}

/// Whether the store commits right now.
pub(super) async fn store_commits(web: &Web) -> bool {
    matches!(tokio::time::timeout(READY_WITHIN, web.store.ready()).await, Ok(Ok(())))
}

/// `GET /readyz`: alerts would be taken in right now.
pub(super) async fn readyz(State(web): State<Arc<Web>>) -> Result<Json<Value>, Problem> {
    match not_ready(&web).await {
        None => Ok(Json(json!({"status": "ready"}))),
        Some(why) => {
            let detail = format!("Not ready: {why}.");
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "Not ready", detail))
        }
    }
}

/// `GET /health`; the model's fields only for who may read.
pub(super) async fn health(State(web): State<Arc<Web>>, headers: HeaderMap) -> Json<Value> {
    let status = (web.status)();
    let well = not_ready(&web).await.is_none() && status.llm_connected != Some(false);
    let mut answer = json!({
        "status": if well { "healthy" } else { "degraded" },
        "service": SERVICE,
        "version": env!("CARGO_PKG_VERSION"),
        "graph_compiled": true,
    });
    if let (Ok(_), Some(fields)) = (web.access.load().caller(&headers), answer.as_object_mut()) {
        fields.insert("audit_key".into(), status.audit_key.into());
        fields.insert("model_name".into(), status.model_name.into());
        fields.insert("ollama_url".into(), status.ollama_url.into());
        fields.insert("llm_connected".into(), (status.llm_connected == Some(true)).into());
    }
    Json(answer)
}

/// `GET /metrics`, in Prometheus' text format.
pub(super) async fn metrics(State(web): State<Arc<Web>>) -> Result<Response, Problem> {
    let handle = web.metrics.as_ref().ok_or_else(|| Problem::not_found("No figures are collected here."))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render()).into_response())
}
