//! Self-checks: how firewarden itself does.

use super::params::Params;
use super::{Problem, Viewer, Web, health};
use crate::health::{self as own, Alert, Category, Gravity, HOURS, Own};
use crate::journal::View;
use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Longest period of a failure report: 30 days.
const LONGEST_HOURS: u32 = 720;
/// Most failure reports of one check.
const REPORTS: usize = 20;
/// Longest name of a route that is looked for.
const NAME: usize = 64;

/// What is not as it should be, and the investigations that were looked at for it.
async fn alerts(web: &Web) -> Result<(Vec<Alert>, Vec<View>), Problem> {
    let status = (web.status)();
    let facts = Own {
        store_commits: health::store_commits(web).await,
        policies_loaded: status.policies_loaded,
        model_answers: status.llm_connected,
    };
    let now = web.clock.now();
    let views = own::recent(&*web.store, None, HOURS, now).await?;
    Ok((own::checks(facts, &views, now), views))
}

/// `GET /check`: everything at once.
pub(super) async fn check(State(web): State<Arc<Web>>, _: Viewer, params: Params) -> Result<Json<Value>, Problem> {
    params.only(&[])?;
    let ((alerts, views), now) = (alerts(&web).await?, web.clock.now());
    let count = |gravity| alerts.iter().filter(|alert| alert.severity == gravity).count();
    let agents: BTreeSet<&str> = alerts.iter().filter_map(|alert| alert.agent.as_deref()).collect();
    let mut reports = Map::new();
    for agent in agents.into_iter().take(REPORTS) {
        let of_agent: Vec<View> = views.iter().filter(|view| view.route == agent).cloned().collect();
        if let Some(report) = own::failure_report(agent, &of_agent, HOURS, now) {
            reports.insert(agent.to_owned(), json!(report));
        }
    }
    Ok(Json(json!({
        "checked_at": now,
        "alert_count": alerts.len(),
        "critical": count(Gravity::Critical),
        "warning": count(Gravity::Warning),
        "info": count(Gravity::Info),
        "alerts": alerts,
        "failure_reports": reports,
    })))
}

/// `GET /api/alerts?severity=&category=&agent=&domain=`.
pub(super) async fn list(State(web): State<Arc<Web>>, _: Viewer, params: Params) -> Result<Json<Value>, Problem> {
    let params = params.only(&["severity", "category", "agent", "domain"])?;
    let severity: Option<Gravity> = word(&params, "severity", "critical, warning or info")?;
    let category: Option<Category> = word(&params, "category", "health, quality, throughput or failure_pattern")?;
    let (agent, domain) = (params.text("agent"), params.text("domain"));
    let (mut alerts, _) = alerts(&web).await?;
    alerts.retain(|alert| {
        severity.is_none_or(|wanted| alert.severity == wanted)
            && category.is_none_or(|wanted| alert.category == wanted)
            && agent.as_ref().is_none_or(|wanted| alert.agent.as_ref() == Some(wanted))
            && domain.as_ref().is_none_or(|wanted| alert.domain.as_ref() == Some(wanted))
    });
    Ok(Json(json!({"total": alerts.len(), "alerts": alerts, "last_check": web.clock.now()})))
}

fn word<T: serde::de::DeserializeOwned>(params: &Params, name: &str, expected: &str) -> Result<Option<T>, Problem> {
    let Some(text) = params.text(name) else { return Ok(None) };
    serde_json::from_value(json!(text)).map(Some).map_err(|_| {
        let shown: String = text.chars().take(80).collect();
        Problem::bad_request(format!("`{name}={shown}` is not understood. Expected: {expected}."))
    })
}

/// `GET /api/failure-report/{agent}?hours=24`.
pub(super) async fn failure_report(
    State(web): State<Arc<Web>>,
    _: Viewer,
    Path(agent): Path<String>,
    params: Params,
) -> Result<Json<Value>, Problem> {
    let params = params.only(&["hours"])?;
    let expected = "a number from 1 to 720";
    let hours = match params.read::<u32>("hours", expected)? {
        None => HOURS,
        Some(hours @ 1..=LONGEST_HOURS) => hours,
        Some(hours) => {
            return Err(Problem::bad_request(format!("`hours={hours}` is out of bounds. Expected: {expected}.")));
        }
    };
    if agent.chars().count() > NAME {
        return Err(Problem::not_found("There is no route of that name. Routes are agents here."));
    }
    let now = web.clock.now();
    let views = own::recent(&*web.store, Some(&agent), hours, now).await?;
    Ok(Json(match own::failure_report(&agent, &views, hours, now) {
        Some(report) => json!(report),
        None => json!({"agent": agent, "status": "no_rejections", "period_hours": hours}),
    }))
}
