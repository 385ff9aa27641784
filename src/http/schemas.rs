//! The schemas of what policies read, for editors and for whoever makes an input by hand.

use super::{Problem, Viewer};
use crate::policy::schema;
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// `GET /api/v1/policies/schema/{name}`: `risk`, `action` or `org`.
pub(super) async fn schema(_: Viewer, Path(name): Path<String>) -> Result<impl IntoResponse, Problem> {
    let text = schema::text(&name).ok_or_else(|| {
        Problem::not_found("There is no such schema: `risk` and `action` are of inputs, `org` is of `data.org`.")
    })?;
    Ok(([(CONTENT_TYPE, "application/schema+json")], text))
}
