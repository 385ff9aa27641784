//! Container logs.

use super::{Asked, Refused, Target, read};
use crate::scenario::World;
use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub(super) fn answer(world: &World, asked: &Asked<'_>, target: &Target<'_>, pod: &str) -> Result<Response, Refused> {
    let object = read::find(world, target, pod)?;
    let container = container(asked, object, pod)?;
    let previous = asked.flag("previous");
    let namespace = target.namespace.unwrap_or_default();
    let key = format!("{namespace}/{pod}/{container}{}", if previous { ".previous" } else { "" });
    let text = match world.logs.get(&key) {
        Some(text) => text.as_str(),
        None => {
            let silent = without_log(object, pod, &container, previous)?;
            // While a container waits for its next start, its last run's log is the current one.
            let last = world.logs.get(&format!("{key}.previous")).filter(|_| !previous && waits(object, &container));
            last.map_or(silent, String::as_str)
        }
    };
    let mut lines: Vec<&str> = text.lines().collect();
    if let Some(since) = since(world, asked)? {
        let newer = |line: &&str| instant_of(line).is_none_or(|at| at >= since);
        lines = lines.into_iter().skip_while(|line| !newer(line)).collect();
    }
    if let Some(tail) = number(asked, "tailLines")? {
        lines.drain(..lines.len().saturating_sub(tail));
    }
    let mut body = lines.into_iter().flat_map(|line| [line, "\n"]).collect::<String>();
    if let Some(limit) = number(asked, "limitBytes")? {
        let end = (0..=limit.min(body.len())).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(0);
        body.truncate(end);
    }
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "text/plain")], body).into_response())
}

fn container(asked: &Asked<'_>, pod: &Value, name: &str) -> Result<String, Refused> {
    let names = |pointer: &str| -> Vec<&str> {
        let list = pod.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(|c| c.get("name").and_then(Value::as_str)).collect()
    };
    let (containers, init) = (names("/spec/containers"), names("/spec/initContainers"));
    match asked.parameter("container") {
        Some(wanted) if containers.contains(&wanted) || init.contains(&wanted) => Ok(wanted.to_owned()),
        Some(wanted) => Err(Refused::bad_request(format!("container {wanted} is not valid for pod {name}"))),
        None => {
            match (containers.as_slice(), pod.pointer("/metadata/annotations/kubectl.kubernetes.io~1default-container"))
            {
                (_, Some(Value::String(default))) => Ok(default.clone()),
                ([only], _) if init.is_empty() => Ok((*only).to_owned()),
                _ => {
                    let beside = if init.is_empty() {
                        String::new()
                    } else {
                        format!(" or one of the init containers: [{}]", init.join(" "))
                    };
                    Err(Refused::bad_request(format!(
                        "a container name must be specified for pod {name}, choose one of: [{}]{beside}",
                        containers.join(" ")
                    )))
                }
            }
        }
    }
}

fn status_of<'p>(pod: &'p Value, container: &str) -> Option<&'p Value> {
    ["/status/containerStatuses", "/status/initContainerStatuses"]
        .iter()
        .filter_map(|pointer| pod.pointer(pointer).and_then(Value::as_array))
        .flatten()
        .find(|status| status.get("name").and_then(Value::as_str) == Some(container))
}

fn waits(pod: &Value, container: &str) -> bool {
    status_of(pod, container).and_then(|status| status.pointer("/state/waiting")).is_some()
}

/// A container without a recorded log: silent if it runs, an error if it never did.
fn without_log(pod: &Value, name: &str, container: &str, previous: bool) -> Result<&'static str, Refused> {
    let status = status_of(pod, container);
    let ran_before = status.and_then(|s| s.pointer("/lastState/terminated")).is_some();
    if previous && !ran_before {
        return Err(Refused::bad_request(format!(
            "previous terminated container \"{container}\" in pod \"{name}\" not found"
        )));
    }
    let waiting = status.and_then(|s| s.pointer("/state/waiting/reason")).and_then(Value::as_str);
    match waiting {
        Some(reason) if !ran_before => {
            let why = match reason {
                "ErrImagePull" => "image can't be pulled",
                "ImagePullBackOff" => "trying and failing to pull image",
                other => other,
            };
            Err(Refused::bad_request(format!("container \"{container}\" in pod \"{name}\" is waiting to start: {why}")))
        }
        _ => Ok(""),
    }
}

fn number(asked: &Asked<'_>, name: &str) -> Result<Option<usize>, Refused> {
    asked
        .parameter(name)
        .map(|text| {
            text.parse().map_err(|_| Refused::bad_request(format!("invalid {name} \"{text}\": must be a whole number")))
        })
        .transpose()
}

fn since(world: &World, asked: &Asked<'_>) -> Result<Option<Timestamp>, Refused> {
    if let Some(seconds) = number(asked, "sinceSeconds")? {
        let back = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        return Ok(world.now().checked_sub(back).ok());
    }
    asked
        .parameter("sinceTime")
        .map(|text| text.parse().map_err(|_| Refused::bad_request(format!("invalid sinceTime \"{text}\""))))
        .transpose()
}

/// The instant that a line begins with.
fn instant_of(line: &str) -> Option<Timestamp> {
    line.split_whitespace().next()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}
