//! The API server of a recorded world.
//!
//! Shapes, statuses and wording follow exchanges recorded from a real server (1.36). Beneath a path
//! lie: a kind (`kinds`), its discovery (`discovery`), selectors (`select`), lists and single
//! objects (`read`), changes (`write`), container logs (`logs`), what containers use (`metrics`), access reviews (`review`);
//! refusals are `status`.

mod discovery;
pub(crate) mod kinds;
mod logs;
pub(crate) mod metrics;
mod read;
mod review;
mod select;
mod status;
mod write;

use super::World;
use axum::{
    body::Bytes,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use kinds::Kind;
use serde_json::{Value, json};
use status::Refused;
use write::Written;

/// A request, taken apart.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub method: Method,
    pub path: &'a str,
    /// Decoded pairs of the query string.
    pub query: &'a [(String, String)],
    pub accept: &'a str,
    /// The media type of the body.
    pub media: &'a str,
    pub body: Bytes,
}

impl Asked<'_> {
    /// The last value of a query parameter; empty counts as absent, as it does for the real server.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.parameter(name), Some("true" | "1" | "True" | "t"))
    }

    /// Whether the first media type that the client prefers asks for this transformation.
    fn wants(&self, transformed: &str) -> bool {
        self.accept.split(',').any(|media| media.split(';').any(|part| part.trim() == format!("as={transformed}")))
    }
}

/// One resource of the path: which kind, where, which object, what of it.
#[derive(Debug)]
struct Target<'w> {
    kind: &'w Kind,
    namespace: Option<&'w str>,
    name: Option<&'w str>,
    subresource: Option<&'w str>,
}

/// Answers a request; with the objects of the world from then on, where the request changed them.
pub(crate) fn answer(world: &World, asked: &Asked<'_>) -> (Response, Option<Vec<Value>>) {
    match route(world, asked) {
        Ok(answered) => answered,
        Err(refused) => (refused.into_response(), None),
    }
}

fn route(world: &World, asked: &Asked<'_>) -> Result<Written, Refused> {
    let parts: Vec<&str> = asked.path.split('/').filter(|part| !part.is_empty()).collect();
    let read = match parts.as_slice() {
        ["version"] => Ok(json_answer(&discovery::version(world))),
        ["healthz" | "readyz" | "livez", ..] => Ok(plain(StatusCode::OK, "ok")),
        ["api"] => Ok(discovery::core(world, asked)),
        ["apis"] => Ok(discovery::groups(world, asked)),
        ["apis", group] => discovery::group(world, group),
        ["api", version] => discovery::resources(world, "", version),
        ["apis", group, version] => discovery::resources(world, group, version),
        ["apis", "authorization.k8s.io" | "authentication.k8s.io", "v1", what] if asked.method == Method::POST => {
            review::answer(world, what, &asked.body)
        }
        ["api", version, rest @ ..] => return resource(world, asked, "", version, rest),
        ["apis", group, version, rest @ ..] => return resource(world, asked, group, version, rest),
        _ => Err(Refused::UnknownPath),
    };
    read.map(|response| (response, None))
}

fn resource<'w>(
    world: &'w World,
    asked: &Asked<'_>,
    group: &str,
    version: &str,
    rest: &[&'w str],
) -> Result<Written, Refused> {
    let kind_of = |plural: &str| world.catalogue.by_plural(group, version, plural).ok_or(Refused::UnknownPath);
    let target = match *rest {
        // `namespaces/x` is an object of its own; what follows it is inside it.
        ["namespaces", namespace, plural, ref below @ ..] if !matches!(plural, "status" | "finalize") => {
            let kind = kind_of(plural)?;
            if !kind.namespaced || below.len() > 2 {
                return Err(Refused::UnknownPath);
            }
            Target {
                kind,
                namespace: Some(namespace),
                name: below.first().copied(),
                subresource: below.get(1).copied(),
            }
        }
        [plural, ref below @ ..] if below.len() <= 2 => {
            let kind = kind_of(plural)?;
            if kind.namespaced && !below.is_empty() {
                return Err(Refused::UnknownPath);
            }
            Target { kind, namespace: None, name: below.first().copied(), subresource: below.get(1).copied() }
        }
        _ => return Err(Refused::UnknownPath),
    };
    let verb = verb(asked, &target);
    if !review::understood(world, verb) || review::denied(world, verb, &target) {
        return Err(Refused::forbidden(&world.about.user, verb, &target));
    }
    if !matches!(verb, "get" | "list") {
        return write::answer(world, asked, &target);
    }
    let read = match (target.name, target.subresource) {
        (Some(name), Some("log")) if target.kind.plural == "pods" => logs::answer(world, asked, &target, name),
        (Some(name), None) => read::get(world, asked, &target, name),
        (Some(name), Some("status")) => read::get(world, asked, &target, name),
        (Some(name), Some("scale")) => read::scale(world, &target, name),
        (Some(_), Some(_)) => Err(Refused::UnknownPath),
        (None, _) => read::list(world, asked, &target),
    };
    read.map(|response| (response, None))
}

/// The verb that access rules speak of.
fn verb(asked: &Asked<'_>, target: &Target<'_>) -> &'static str {
    let watching = asked.flag("watch");
    match asked.method.as_str() {
        "GET" | "HEAD" if watching => "watch",
        "GET" | "HEAD" if target.name.is_some() => "get",
        "GET" | "HEAD" => "list",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" if target.name.is_none() => "deletecollection",
        _ => "delete",
    }
}

fn json_answer(body: &Value) -> Response {
    with_status(StatusCode::OK, body)
}

fn with_status(status: StatusCode, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache, private")];
    (status, headers, body.to_string()).into_response()
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// The metadata of an answer that is a list.
fn list_meta(world: &World) -> Value {
    json!({"resourceVersion": (1_000 + world.objects.len()).to_string()})
}
