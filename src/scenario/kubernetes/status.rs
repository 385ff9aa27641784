//! Refusals, worded as the real server words them.

use super::{Kind, Target, plain, with_status};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// Why a request gets no object.
#[derive(Debug)]
pub(super) enum Refused {
    /// No such API: a plain text, not a Status.
    UnknownPath,
    /// A Status object.
    Status { code: StatusCode, reason: &'static str, message: String, details: Value },
}

impl Refused {
    pub(super) fn not_found(kind: &Kind, name: &str) -> Self {
        Self::Status {
            code: StatusCode::NOT_FOUND,
            reason: "NotFound",
            message: format!("{} \"{name}\" not found", kind.qualified()),
            details: details(kind, Some(name)),
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::Status {
            code: StatusCode::BAD_REQUEST,
            reason: "BadRequest",
            message: message.into(),
            details: Value::Null,
        }
    }

    /// The object is not in the state that the request was made for.
    pub(super) fn conflict(kind: &Kind, name: &str) -> Self {
        Self::Status {
            code: StatusCode::CONFLICT,
            reason: "Conflict",
            message: format!(
                "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your \
                 changes to the latest version and try again",
                kind.qualified()
            ),
            details: details(kind, Some(name)),
        }
    }

    /// There is one of that name already.
    pub(super) fn exists(kind: &Kind, name: &str) -> Self {
        Self::Status {
            code: StatusCode::CONFLICT,
            reason: "AlreadyExists",
            message: format!("{} \"{name}\" already exists", kind.qualified()),
            details: details(kind, Some(name)),
        }
    }

    /// A body of this kind is not understood here.
    pub(super) fn unsupported(media: &str) -> Self {
        Self::Status {
            code: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            reason: "UnsupportedMediaType",
            message: format!(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/merge-patch+json (this recorded world knows no other), not {media}"
            ),
            details: Value::Null,
        }
    }

    pub(super) fn forbidden(user: &str, verb: &str, target: &Target<'_>) -> Self {
        let kind = target.kind;
        let what = match target.name {
            Some(name) => format!("{} \"{name}\"", kind.qualified()),
            None => kind.qualified(),
        };
        let resource = match target.subresource {
            Some(subresource) => format!("{}/{subresource}", kind.plural),
            None => kind.plural.to_string(),
        };
        let place = match (target.namespace, kind.namespaced) {
            (Some(namespace), _) => format!("in the namespace \"{namespace}\""),
            (None, _) => "at the cluster scope".to_owned(),
        };
        Self::Status {
            code: StatusCode::FORBIDDEN,
            reason: "Forbidden",
            message: format!(
                "{what} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{}\" {place}",
                kind.group
            ),
            details: details(kind, target.name),
        }
    }
}

fn details(kind: &Kind, name: Option<&str>) -> Value {
    let mut details = json!({"kind": kind.plural});
    if let Some(name) = name {
        details["name"] = name.into();
    }
    if !kind.group.is_empty() {
        details["group"] = kind.group.as_ref().into();
    }
    details
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::UnknownPath => plain(StatusCode::NOT_FOUND, "404 page not found\n"),
            Self::Status { code, reason, message, details } => {
                let mut body = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "message": message, "reason": reason, "code": code.as_u16(),
                });
                if !details.is_null() {
                    body["details"] = details;
                }
                with_status(code, &body)
            }
        }
    }
}
