//! Faults become statuses here and nowhere else: RFC 9457 problem documents that say what to do.

use crate::sources::SourceError;
use crate::store::StoreError;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Seconds after which a refused sender is asked to come again.
const RETRY_AFTER_S: u32 = 5;
/// Longest path that an answer repeats, in characters.
const MAX_INSTANCE: usize = 200;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// The last part of the problem's `type`, `not-json` for instance.
    pub kind: &'static str,
    /// What kind of fault it is, always the same for a kind.
    pub title: &'static str,
    /// What happened here, and what to do.
    pub detail: String,
    /// Seconds to wait before another attempt.
    pub retry_after_s: Option<u32>,
    /// What credential would have been taken.
    pub challenge: Option<&'static str>,
}

impl Problem {
    /// A fault of this kind.
    pub fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, title, detail: detail.into(), retry_after_s: None, challenge: None }
    }

    /// Something in the request makes no sense.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "The request makes no sense", detail)
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// The credential is missing or wrong.
    pub fn unauthorized(challenge: &'static str, detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Credential missing or wrong", detail);
        Self { challenge: Some(challenge), ..problem }
    }

    /// Who asks may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail)
    }

    /// Too much at once; what was sent is not lost if the sender comes again.
    pub fn overloaded(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too much at once", detail);
        Self { retry_after_s: Some(RETRY_AFTER_S), ..problem }
    }

    /// The body is larger than anything that is read.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large", detail)
    }

    /// The program is at fault.
    pub fn internal() -> Self {
        let detail = "firewarden failed on this request. Its log says more; the request may be repeated.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal fault", detail)
    }

    fn of_status(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("The request was refused");
        Self::new(status, "refused", title, "The request cannot be answered as it is. Check path, query and method.")
    }

    /// The document, for the request at `path`.
    fn render(self, path: &str) -> Response {
        let body = json!({
            "type": format!("urn:firewarden:problem:{}", self.kind),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "instance": path.chars().take(MAX_INSTANCE).collect::<String>(),
        });
        let kind = (header::CONTENT_TYPE, "application/problem+json");
        let mut response = (self.status, [kind], body.to_string()).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

impl IntoResponse for Problem {
    /// The status alone; [`finish`], which knows the path, writes the document.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed a request");
        match error {
            StoreError::Unavailable { .. } | StoreError::Locked { .. } | StoreError::Fenced { .. } => {
                let detail = "The store cannot commit or answer right now; nothing of this request was taken. \
                              Repeat it later; if this lasts, see /readyz and the log.";
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let problem = Self::new(status, "store-unavailable", "The store does not answer", detail);
                Self { retry_after_s: Some(RETRY_AFTER_S), ..problem }
            }
            StoreError::Corrupt { .. } | StoreError::Unusable { .. } => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "store-damaged",
                "The store is damaged",
                "What the store holds makes no sense here. Run `firewarden audit verify`; the log says more.",
            ),
        }
    }
}

impl From<SourceError> for Problem {
    fn from(error: SourceError) -> Self {
        let detail = error.to_string();
        let bad = |kind, title| Self::new(StatusCode::BAD_REQUEST, kind, title, detail.clone());
        match error {
            SourceError::TooDeep { .. } => bad("too-deep", "The body is nested too deeply"),
            SourceError::NotJson { .. } => bad("not-json", "The body is not JSON"),
            SourceError::Ambiguous { .. } => bad("ambiguous", "The body says a thing twice"),
            SourceError::Nothing { .. } => bad("no-alerts", "No alert can be in this body"),
            SourceError::NotRecognised { .. } => bad("not-recognised", "Nothing was recognised in the body"),
            SourceError::TooMany { .. } => Self::too_large(detail),
        }
    }
}

/// The outermost layer: writes problem documents, and keeps answers out of caches and guesses.
pub(super) async fn finish(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    let problem = response.extensions_mut().remove::<Problem>();
    let mut response = match problem {
        Some(problem) => problem.render(&path),
        // What the framework itself refuses has no document yet.
        None if response.status().is_client_error() || response.status().is_server_error() => {
            Problem::of_status(response.status()).render(&path)
        }
        None => response,
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
