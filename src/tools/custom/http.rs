//! From the description of a request and arguments to one exchange, and what its answer means.

use super::{Applied, HttpCall, Tool};
use crate::edge::call::{Bounds, Request};
use crate::edge::error::shorten;
use crate::edge::pinned::Answer;
use crate::edge::{Certainty, EdgeError, EdgeErrorKind, certainty};
use crate::template::places;
use crate::tools::spec::ToolError;
use serde_json::{Value, json};
use url::Url;

/// Bytes of an answer that are read.
const BODY_BYTES: usize = 1 << 20;
/// Bytes of an answer that stand in an error.
const SAID: usize = 300;

/// The request that `call` describes for what is `given`. `marker` stands in the header that names a
/// change.
pub(super) fn request(tool: &Tool, call: &HttpCall, given: &Value, marker: Option<&str>) -> Result<Request, ToolError> {
    let call = filled(call, given)?;
    let url = Url::parse(&call.url).map_err(|e| ToolError::invalid(format!("url: {e}")))?;
    let mut request = Request::new(&tool.spec.name, call.method.as_str(), url)?;
    for (name, value) in &call.headers {
        request = request.header(name, value)?;
    }
    for (name, written) in &call.secrets {
        let (scheme, secret) = tool.secret(written)?;
        request = request.secret(name, scheme, secret)?;
    }
    if let (Some(name), Some(marker)) = (&call.idempotency_header, marker) {
        request = request.header(name, marker)?;
    }
    if let Some(body) = &call.body {
        request = request.json(body)?;
    }
    Ok(request)
}

/// The call with every template filled in, secrets still as references: what is sent and how its answer
/// is taken follow from it alone.
pub(super) fn filled(call: &HttpCall, given: &Value) -> Result<HttpCall, ToolError> {
    let place = |key: String| move |e: places::PlaceError| ToolError::invalid(format!("{key}: {e}"));
    let header = |(name, source): (&String, &String)| {
        Ok((name.clone(), places::header(source, given).map_err(place(format!("headers.{name}")))?))
    };
    Ok(HttpCall {
        url: places::address(&call.url, given).map_err(place("url".into()))?.to_string(),
        headers: call.headers.iter().map(header).collect::<Result<_, ToolError>>()?,
        body: call.body.as_ref().map(|body| places::json(body, given)).transpose().map_err(place("body".into()))?,
        ..call.clone()
    })
}

/// What a person reads of a request that is [`filled`] before it is made.
pub(super) fn shown(call: &HttpCall, marker: &str) -> String {
    let mut out = format!("{} {}", call.method.as_str(), call.url);
    for (name, value) in &call.headers {
        out.push_str(&format!("\n{name}: {value}"));
    }
    if let Some(name) = &call.idempotency_header {
        out.push_str(&format!("\n{name}: {marker}"));
    }
    for (name, written) in &call.secrets {
        out.push_str(&format!("\n(the header {name} is the secret of {written})"));
    }
    if let Some(body) = &call.body {
        out.push_str(&format!("\n{}", serde_json::to_string_pretty(body).unwrap_or_default()));
    }
    out
}

pub(super) fn bounds(tool: &Tool) -> Bounds {
    Bounds { total: tool.patience(), body_bytes: BODY_BYTES }
}

/// Whether the answer is one of those that are right.
pub(super) fn is_ok(call: &HttpCall, answer: &Answer) -> bool {
    match call.ok.as_slice() {
        [] => (200..300).contains(&answer.status),
        ok => ok.contains(&answer.status),
    }
}

/// Whether the server said that it did nothing. One that is given a name for the change answers 409 while
/// a first copy is under way.
pub(super) fn is_refusal(call: &HttpCall, answer: &Answer) -> bool {
    let named = call.idempotency_header.is_some();
    certainty(answer.status) == Certainty::Refused && !(answer.status == 409 && named)
}

/// What the answer holds: JSON where it is some, else text.
pub(super) fn data(answer: &Answer) -> Value {
    let body = match serde_json::from_slice::<Value>(&answer.body) {
        Ok(value) if !answer.cut => value,
        _ => json!(String::from_utf8_lossy(&answer.body)),
    };
    json!({"status": answer.status, "body": body, "body_cut": answer.cut})
}

/// What the answer says, in short.
pub(super) fn said(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = shorten(&text, SAID);
    match text.is_empty() {
        true => format!("it answered {}", answer.status),
        false => format!("it answered {}: {text}", answer.status),
    }
}

/// The error for an answer that is not right.
pub(super) fn wrong(tool: &Tool, answer: &Answer) -> ToolError {
    let kind = match answer.status {
        401 | 403 => EdgeErrorKind::Denied,
        code => EdgeErrorKind::Status { code, reason: String::new() },
    };
    EdgeError::new(&tool.spec.name, kind, said(answer)).into()
}

/// Whether the answer shows that the change was made. What is no whole JSON shows neither that it was
/// nor that it was not: a proxy's page, a part of a list.
pub(super) fn shows(call: &HttpCall, answer: &Answer, given: &Value) -> Result<bool, ToolError> {
    if call.applied.is_none() {
        return Ok(false);
    }
    if answer.cut {
        let text = format!("whether it was done cannot be seen: the answer is larger than {BODY_BYTES} bytes");
        return Err(ToolError::failed(text, true));
    }
    let body: Value = serde_json::from_slice(&answer.body)
        .map_err(|_| ToolError::failed("whether it was done cannot be seen: the answer is no JSON", true))?;
    applied(call.applied.as_ref(), &body, given)
}

/// Whether what is wanted stands in `body`.
pub(super) fn applied(wanted: Option<&Applied>, body: &Value, given: &Value) -> Result<bool, ToolError> {
    let Some(applied) = wanted else { return Ok(false) };
    let wanted = places::json(&applied.equals, given).map_err(|e| ToolError::invalid(format!("applied: {e}")))?;
    Ok(match body.pointer(&applied.pointer) {
        Some(Value::Array(items)) => items.contains(&wanted) || wanted == json!(items),
        Some(found) => *found == wanted,
        None => false,
    })
}
