//! The envelope of every answer.

use crate::scenario::{
    promql::{QueryError, number},
    series::Sample,
};
use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// An error with Prometheus' status and type.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    kind: &'static str,
    text: String,
}

impl Failure {
    pub(super) fn bad_data(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "bad_data", text: text.into() }
    }

    pub(super) fn parameter(name: &str, error: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter \"{name}\": {error}"))
    }

    pub(super) fn unavailable() -> Self {
        let text = "the recorded Prometheus is not available".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, kind: "unavailable", text }
    }

    pub(super) fn timeout() -> Self {
        let text = "query timed out in expression evaluation".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, kind: "timeout", text }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::BadData(text) => Self::bad_data(text),
            QueryError::Execution(text) => Self { status: StatusCode::UNPROCESSABLE_ENTITY, kind: "execution", text },
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({"status": "error", "errorType": self.kind, "error": self.text});
        (self.status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    }
}

pub(super) fn success(data: Value) -> Response {
    let body = json!({"status": "success", "data": data});
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// With the warning that tells when `limit` cut something off.
pub(super) fn of_query(data: Value, cut: bool) -> Response {
    if !cut {
        return success(data);
    }
    let body = json!({"status": "success", "data": data, "warnings": ["results truncated due to limit"]});
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

pub(super) fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// A time in seconds; whole ones without a fraction.
pub(super) fn moment(at_ms: i64) -> Value {
    if at_ms % 1_000 == 0 { (at_ms / 1_000).into() } else { (at_ms as f64 / 1e3).into() }
}

pub(super) fn values(samples: &[Sample]) -> Vec<Value> {
    samples.iter().map(|s| json!([moment(s.at_ms), number(s.value)])).collect()
}
