//! Asking an HTTP service whether it is well.

#[cfg(test)]
mod tests;

use super::gist::{counted, name};
use super::render::clip;
use super::spec::{ReadTool, Seen, ToolError, ToolSpec, arguments};
use crate::domain::Clock;
use crate::edge::Prober;
use crate::edge::pinned::{Answer, Trace};
use crate::edge::probe::Probed;
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// What a manifest can run.
pub const BUILTINS: [&str; 1] = ["http_probe"];
/// Most characters of the body that are shown.
const BODY: usize = 1500;
/// Headers that tell how a service is; others may be credentials.
const HEADERS: [&str; 12] = [
    "content-type",
    "content-length",
    "content-encoding",
    "server",
    "date",
    "location",
    "retry-after",
    "age",
    "cache-control",
    "via",
    "x-cache",
    "strict-transport-security",
];
/// A certificate that ends within so many days is worth a word.
const SOON_DAYS: i64 = 21;

/// `http_probe`.
#[derive(Debug, Clone)]
pub struct Probe {
    spec: Arc<ToolSpec>,
    prober: Prober,
    clock: Arc<dyn Clock>,
}

/// The tool that `spec` runs, if it is ours. Its parameters name the targets that there are.
pub fn build(spec: Arc<ToolSpec>, prober: Prober, clock: Arc<dyn Clock>) -> Option<Box<dyn ReadTool>> {
    if spec.builtin != "http_probe" {
        return None;
    }
    let mut spec = spec.as_ref().clone();
    let names: Vec<&str> = prober.targets().iter().map(|target| target.name.as_str()).collect();
    if let Some(target) = spec.params.pointer_mut("/properties/target").and_then(Value::as_object_mut) {
        target.insert("enum".to_owned(), json!(names));
    }
    Some(Box::new(Probe { spec: Arc::new(spec), prober, clock }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    target: String,
}

#[async_trait]
impl ReadTool for Probe {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        vec![
            json!({"cluster": null, "namespace": null, "api_version": null, "kind": "HttpTarget", "name": args["target"], "verb": "probe"}),
        ]
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let targets = self.prober.targets();
        let Some(target) = targets.iter().find(|target| target.name == args.target) else {
            let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
            return Err(ToolError::invalid(format!("target: there are {}", names.join(", "))));
        };
        let probed = self.prober.probe(target).await;
        let mut data = json!({
            "target": target.name, "url": target.shown(), "method": target.method(), "expect_status": target.expect_status,
            "timings_ms": timings(&probed.trace),
            "address": probed.trace.address.map(|address| address.to_string()),
            "tls_version": probed.trace.tls_version,
            "certificate": certificate(&probed, self.clock.now()),
        });
        match &probed.answer {
            Ok(answer) => told(answer, target.expect_status, &mut data),
            Err(error) => {
                data["ok"] = false.into();
                data["failed_at"] = failed_at(&probed.trace, data["url"].as_str().unwrap_or_default()).into();
                data["error"] = error.text().into();
            }
        }
        Ok(Seen::all(data))
    }

    fn gist(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let target = name(data["target"].as_str().unwrap_or_default());
        let days = data["certificate"]["days_left"].as_i64();
        let certificate = match days {
            Some(days) if days < 0 => ", its certificate has ended".to_owned(),
            Some(days) if days < SOON_DAYS => {
                format!(", its certificate ends in {}", counted(usize::try_from(days).unwrap_or(0), "day", "days"))
            }
            _ => String::new(),
        };
        match data["status"].as_u64() {
            None => format!(
                "{target} fails at {}{certificate}: {}",
                data["failed_at"].as_str().unwrap_or_default(),
                data["error"].as_str().unwrap_or_default()
            ),
            Some(status) => {
                let wrong = match (data["ok"] == true, data["expect_status"].as_u64()) {
                    (true, _) => String::new(),
                    (false, Some(right)) => format!(" instead of {right}"),
                    (false, None) => ", which is an error".to_owned(),
                };
                format!("{target} answers {status}{wrong} in {} ms{certificate}", data["timings_ms"]["total"])
            }
        }
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        let data = &seen.data;
        let mut out =
            format!("{} {}", data["method"].as_str().unwrap_or_default(), data["url"].as_str().unwrap_or_default());
        if let Some(address) = data["address"].as_str() {
            let _ = write!(out, " at {address}");
        }
        out.push('\n');
        let timings = data["timings_ms"].as_object().into_iter().flatten();
        let timings: Vec<String> = timings.map(|(step, ms)| format!("{step} {ms}")).collect();
        let _ = writeln!(out, "milliseconds: {}", timings.join(", "));
        if let Some(certificate) = data["certificate"].as_object() {
            let names: Vec<&str> =
                certificate["names"].as_array().into_iter().flatten().filter_map(Value::as_str).take(10).collect();
            let _ = writeln!(
                out,
                "certificate: for {}, issued by {}, good until {} ({} days left); {}",
                names.join(", "),
                certificate["issuer"].as_str().unwrap_or("nobody named"),
                certificate["not_after"].as_str().unwrap_or_default(),
                certificate["days_left"],
                data["tls_version"].as_str().unwrap_or("no TLS agreed on"),
            );
        }
        for (name, value) in data["headers"].as_object().into_iter().flatten() {
            let _ = writeln!(out, "{name}: {}", value.as_str().unwrap_or_default());
        }
        if let Some(body) = data["body"].as_str().filter(|body| !body.is_empty()) {
            let _ = writeln!(out, "{}:\n{body}", if data["body_cut"] == true { "the body begins" } else { "body" });
        }
        out
    }
}

fn told(answer: &Answer, expect_status: Option<u16>, data: &mut Value) {
    let mut headers = Map::new();
    for name in HEADERS {
        if let Some(value) = answer.headers.get(name).and_then(|value| value.to_str().ok()) {
            // The query of a redirect often holds a key.
            let value = if name == "location" { value.split(['?', '#']).next().unwrap_or_default() } else { value };
            headers.insert(name.to_owned(), clip(value, 200).into());
        }
    }
    let compressed = headers.get("content-encoding").is_some_and(|encoding| encoding != "identity");
    let text = String::from_utf8_lossy(&answer.body);
    let readable = !compressed && !text.contains('\0');
    let plain: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    data["ok"] = expect_status.map_or(answer.status < 400, |right| right == answer.status).into();
    data["status"] = answer.status.into();
    data["headers"] = headers.into();
    data["body"] = if readable { clip(plain.trim(), BODY) } else { String::new() }.into();
    data["body_cut"] = (answer.cut || plain.chars().count() > BODY).into();
}

fn timings(trace: &Trace) -> Map<String, Value> {
    let ms = |time: Duration| json!((time.as_secs_f64() * 10_000.0).round() / 10.0);
    let steps = [
        ("dns", trace.dns),
        ("connect", trace.connect),
        ("tls", trace.tls),
        ("first_byte", trace.first_byte),
        ("total", trace.total),
    ];
    steps.into_iter().filter_map(|(step, time)| Some((step.to_owned(), ms(time?)))).collect()
}

fn failed_at(trace: &Trace, url: &str) -> &'static str {
    match () {
        () if trace.addresses.is_empty() => "the look-up of its name",
        () if trace.connect.is_none() => "the connection",
        () if url.starts_with("https:") && trace.tls.is_none() => "the TLS handshake",
        () if trace.first_byte.is_none() => "the answer",
        () => "the body",
    }
}

fn certificate(probed: &Probed, now: Timestamp) -> Value {
    let Some(certificate) = &probed.certificate else { return Value::Null };
    let left = certificate.not_after.as_second() - now.as_second();
    json!({
        "subject": certificate.subject.as_deref().map(|name| clip(name, 200)), "issuer": certificate.issuer.as_deref().map(|name| clip(name, 200)),
        "names": certificate.names, "not_before": certificate.not_before.to_string(), "not_after": certificate.not_after.to_string(),
        "days_left": left.div_euclid(86_400),
    })
}
