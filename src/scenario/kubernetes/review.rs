//! Who may do what: everybody may read, except what `faults.yaml` denies, and write where the world takes
//! changes.

use super::{Refused, Target, with_status};
use crate::scenario::World;
use axum::{http::StatusCode, response::Response};
use serde_json::{Value, json};

/// Whether anybody may do that at all.
pub(super) fn understood(world: &World, verb: &str) -> bool {
    match verb {
        "get" | "list" => true,
        "create" | "patch" | "delete" => world.writable,
        _ => false,
    }
}

/// Whether a fault of this world denies a read.
pub(super) fn denied(world: &World, verb: &str, target: &Target<'_>) -> bool {
    let resource = match target.subresource {
        Some(subresource) => format!("{}/{subresource}", target.kind.plural),
        None => target.kind.plural.to_string(),
    };
    refuses(world, verb, &target.kind.group, &resource, target.namespace.unwrap_or_default())
}

fn refuses(world: &World, verb: &str, group: &str, resource: &str, namespace: &str) -> bool {
    world.faults.kubernetes.iter().any(|refusal| {
        refusal.resource == resource
            && refusal.group == group
            && refusal.namespace.as_deref().is_none_or(|only| only == namespace)
            && (refusal.verbs.is_empty() || refusal.verbs.iter().any(|v| v == verb))
    })
}

/// SelfSubjectAccessReview and SelfSubjectReview.
pub(super) fn answer(world: &World, what: &str, body: &[u8]) -> Result<Response, Refused> {
    let sent: Value = serde_json::from_slice(body)
        .map_err(|e| Refused::bad_request(format!("couldn't get version/kind; json parse error: {e}")))?;
    match what {
        "selfsubjectaccessreviews" => {
            let attribute = |name: &str| {
                sent.pointer(&format!("/spec/resourceAttributes/{name}")).and_then(Value::as_str).unwrap_or_default()
            };
            let resource = match attribute("subresource") {
                "" => attribute("resource").to_owned(),
                subresource => format!("{}/{subresource}", attribute("resource")),
            };
            let verb = attribute("verb");
            let allowed =
                understood(world, verb) && !refuses(world, verb, attribute("group"), &resource, attribute("namespace"));
            Ok(with_status(
                StatusCode::CREATED,
                &json!({
                    "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {},
                    "spec": sent.get("spec"), "status": {"allowed": allowed},
                }),
            ))
        }
        "selfsubjectreviews" => Ok(with_status(
            StatusCode::CREATED,
            &json!({
                "kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {},
                "status": {"userInfo": {"username": world.about.user, "groups": ["system:authenticated"]}},
            }),
        )),
        _ => Err(Refused::UnknownPath),
    }
}
