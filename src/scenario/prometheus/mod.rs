//! The Prometheus API of a recorded world.
//!
//! Envelopes, error types and texts follow exchanges recorded from Prometheus 3.5. `parameter` reads
//! times and steps, `rules` evaluates alerting rules over the same samples, `answer` is the envelope.

mod answer;
mod parameter;
pub(crate) mod rules;
mod targets;

use super::{
    World,
    about::PrometheusFault,
    promql::{self, MAX_STEPS, Query, QueryError, Value, number},
    series::{Labels, Series},
};
use answer::{Failure, moment, plain, success};
use axum::{
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use parameter::Parameters;
use promql_parser::parser::{self, Expr, VectorSelector};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// Answers a request; `query` holds the pairs of the query string and of a posted form.
pub(crate) fn answer(world: &World, method: &Method, path: &str, query: &[(String, String)]) -> Response {
    match world.faults.prometheus {
        Some(PrometheusFault::Unavailable) if path.starts_with("/api/") => {
            return Failure::unavailable().into_response();
        }
        Some(PrometheusFault::Timeout) if matches!(path, "/api/v1/query" | "/api/v1/query_range") => {
            return Failure::timeout().into_response();
        }
        _ => {}
    }
    let asked = Parameters::new(query, world.now().as_millisecond());
    match path {
        "/-/ready" => return plain(StatusCode::OK, "Prometheus Server is Ready.\n"),
        "/-/healthy" => return plain(StatusCode::OK, "Prometheus Server is Healthy.\n"),
        _ => {}
    }
    let Some(endpoint) = path.strip_prefix("/api/v1/") else {
        return plain(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    let posts = matches!(endpoint, "query" | "query_range" | "series" | "labels" | "format_query" | "query_exemplars");
    if !(matches!(*method, Method::GET | Method::HEAD) || posts && *method == Method::POST) {
        let allow = if posts { "GET, OPTIONS, POST" } else { "GET, OPTIONS" };
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
        refused.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allow));
        return refused;
    }
    let done = match endpoint {
        "query" => instant(world, &asked),
        "query_range" => range(world, &asked),
        "series" => series(world, &asked),
        "labels" => labels(world, &asked),
        "alerts" => Ok(success(json!({"alerts": rules::alerts(world)}))),
        "rules" => rules::answer(world, &asked).map(success),
        "targets" => Ok(success(targets::answer(world, asked.one("state").unwrap_or("any")))),
        "metadata" => Ok(success(metadata(world, &asked))),
        "format_query" => format_query(&asked),
        "query_exemplars" => exemplars(world, &asked),
        "status/flags" => Ok(success(json!({"enable-feature": "exemplar-storage"}))),
        "status/buildinfo" => Ok(success(build_info())),
        "status/runtimeinfo" => Ok(success(json!({
            "startTime": world.now().to_string(), "serverTime": world.now().to_string(),
            "reloadConfigSuccess": true, "corruptionCount": 0, "storageRetention": "15d",
        }))),
        "alertmanagers" => Ok(success(json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))),
        _ => match endpoint.strip_prefix("label/").and_then(|rest| rest.strip_suffix("/values")) {
            Some(name) if !name.is_empty() && !name.contains('/') => label_values(world, &asked, name),
            _ => return plain(StatusCode::NOT_FOUND, "404 page not found\n"),
        },
    };
    done.unwrap_or_else(Failure::into_response)
}

fn parsed(asked: &Parameters<'_>) -> Result<Query, Failure> {
    Query::parse(asked.one("query").unwrap_or_default()).map_err(|e| Failure::parameter("query", e))
}

fn instant(world: &World, asked: &Parameters<'_>) -> Result<Response, Failure> {
    let at_ms = asked.time("time")?.unwrap_or(asked.now_ms());
    asked.timeout()?;
    let query = parsed(asked)?;
    let value = query.instant(&world.series, at_ms).map_err(Failure::from)?;
    let pair = |value: f64| json!([moment(at_ms), number(value)]);
    let rows = |result: Vec<Json>| asked.cut(result);
    let (result, cut) = match &value {
        Value::Scalar(value) => (pair(*value), false),
        Value::Text(text) => (json!([moment(at_ms), text]), false),
        Value::Vector(points) => {
            rows(points.iter().map(|point| json!({"metric": point.labels, "value": pair(point.value)})).collect())
        }
        Value::Matrix(all) => {
            rows(all.iter().map(|row| json!({"metric": row.labels, "values": answer::values(&row.samples)})).collect())
        }
    };
    Ok(answer::of_query(json!({"resultType": value.type_name(), "result": result}), cut))
}

fn range(world: &World, asked: &Parameters<'_>) -> Result<Response, Failure> {
    let required = |name: &str| {
        asked.time(name)?.ok_or_else(|| {
            Failure::bad_data(format!("invalid parameter \"{name}\": cannot parse \"\" to a valid timestamp"))
        })
    };
    let (start_ms, end_ms) = (required("start")?, required("end")?);
    if end_ms < start_ms {
        return Err(Failure::bad_data("invalid parameter \"end\": end timestamp must not be before start time"));
    }
    let step_ms = asked.step()?;
    asked.timeout()?;
    if (end_ms - start_ms) / step_ms > MAX_STEPS {
        return Err(Failure::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    let rows = parsed(asked)?.range(&world.series, start_ms, end_ms, step_ms).map_err(|e| match e {
        bad @ QueryError::BadData(_) => Failure::parameter("query", bad),
        other @ QueryError::Execution(_) => Failure::from(other),
    })?;
    let result: Vec<Json> =
        rows.iter().map(|(labels, samples)| json!({"metric": labels, "values": answer::values(samples)})).collect();
    let (result, cut) = asked.cut(result);
    Ok(answer::of_query(json!({"resultType": "matrix", "result": result}), cut))
}

/// The exemplars of whatever the selectors of an expression mean.
fn exemplars(world: &World, asked: &Parameters<'_>) -> Result<Response, Failure> {
    let query = parsed(asked)?;
    let start = asked.time("start")?.unwrap_or(i64::MIN / 4);
    let end = asked.time("end")?.unwrap_or(asked.now_ms());
    if end < start {
        return Err(Failure::bad_data("invalid parameter \"end\": end timestamp must not be before start timestamp"));
    }
    let selectors = query.selectors();
    let mut found = Vec::new();
    for series in world.series.iter().filter(|series| selectors.iter().any(|s| promql::matches_all(s, series))) {
        let mut within: Vec<_> = series.exemplars.iter().filter(|e| (start..=end).contains(&e.at_ms)).collect();
        within.sort_by_key(|e| e.at_ms);
        let told: Vec<Json> = within
            .iter()
            .map(|e| json!({"labels": e.labels, "value": number(e.value), "timestamp": moment(e.at_ms)}))
            .collect();
        if !told.is_empty() {
            found.push(json!({"seriesLabels": series.labels, "exemplars": told}));
        }
    }
    Ok(success(json!(found)))
}

/// The selectors of `match[]`.
fn selectors(asked: &Parameters<'_>) -> Result<Vec<VectorSelector>, Failure> {
    asked
        .all("match[]")
        .map(|text| match parser::parse(text) {
            Ok(Expr::VectorSelector(selector)) => Ok(selector),
            Ok(_) => Err(Failure::bad_data("invalid parameter \"match[]\": parse error: expected a series selector")),
            Err(e) => Err(Failure::bad_data(format!("invalid parameter \"match[]\": parse error: {e}"))),
        })
        .collect()
}

/// Series that match one of the selectors (all, without any) and have samples in the asked window.
fn selected<'w>(world: &'w World, asked: &Parameters<'_>) -> Result<Vec<&'w Series>, Failure> {
    let selectors = selectors(asked)?;
    let start = asked.time("start")?.unwrap_or(i64::MIN / 4);
    let end = asked.time("end")?.unwrap_or(asked.now_ms());
    let wanted = |series: &&Series| {
        (selectors.is_empty() || selectors.iter().any(|s| promql::matches_all(s, series)))
            && series.newest(start.saturating_sub(1), end).is_some()
    };
    Ok(world.series.iter().filter(wanted).collect())
}

fn series(world: &World, asked: &Parameters<'_>) -> Result<Response, Failure> {
    if asked.one("match[]").is_none() {
        return Err(Failure::bad_data("no match[] parameter provided"));
    }
    let found: Vec<&Labels> = selected(world, asked)?.into_iter().map(|s| &s.labels).collect();
    Ok(limited(asked, json!(found)))
}

fn labels(world: &World, asked: &Parameters<'_>) -> Result<Response, Failure> {
    let names: BTreeSet<&String> = selected(world, asked)?.into_iter().flat_map(|s| s.labels.keys()).collect();
    Ok(limited(asked, json!(names)))
}

fn label_values(world: &World, asked: &Parameters<'_>, name: &str) -> Result<Response, Failure> {
    let values: BTreeSet<&str> =
        selected(world, asked)?.into_iter().map(|s| s.label(name)).filter(|value| !value.is_empty()).collect();
    Ok(limited(asked, json!(values)))
}

/// Cuts a list to `limit`, with the warning that tells.
fn limited(asked: &Parameters<'_>, mut list: Json) -> Response {
    if let (Some(limit), Some(items)) = (asked.limit(), list.as_array_mut())
        && items.len() > limit
    {
        items.truncate(limit);
        return answer::of_query(list, true);
    }
    success(list)
}

fn metadata(world: &World, asked: &Parameters<'_>) -> Json {
    let only = asked.one("metric");
    let all: BTreeMap<&String, Json> = world
        .metadata
        .iter()
        .filter(|(name, _)| only.is_none_or(|only| only == name.as_str()))
        .map(|(name, m)| (name, json!([{"type": m.kind, "unit": m.unit, "help": m.help}])))
        .collect();
    json!(all)
}

fn format_query(asked: &Parameters<'_>) -> Result<Response, Failure> {
    Ok(success(parsed(asked)?.canonical().into()))
}

fn build_info() -> Json {
    json!({
        "version": "3.5.3", "revision": "recorded", "branch": "HEAD", "buildUser": "recorded",
        "buildDate": "19700101-00:00:00", "goVersion": "go1.26.6",
    })
}
