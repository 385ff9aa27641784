//! Which route an alert takes, and why: without a store, and without asking anybody.

use super::super::investigate::{read, understood};
use super::super::output::Format;
use super::super::session::Session;
use super::super::text::line;
use super::super::{Exit, Failure, logging};
use crate::app;
use crate::config::{Config, RouteModel};
use crate::domain::{AlertStatus, Class, Clock as _, Severity, SreEvent, classify};
use crate::edge::{SystemClock, SystemEntropy};
use crate::engine::branch_name;
use crate::engine::intake::correlation_key;
use crate::engine::propose::incident_slug;
use crate::engine::routes::{Missed, Routes};
use crate::sources::{Mapped, Mapping, Senders};
use crate::template::Templates;
use serde::Serialize;
use std::path::Path;

/// The way of one alert.
#[derive(Debug, Serialize)]
struct Way {
    alert: String,
    source: String,
    status: AlertStatus,
    severity: Severity,
    subject: String,
    /// The route that it takes.
    route: String,
    /// Those before it, and why not.
    missed: Vec<Missed>,
    /// Alerts that share it are one incident.
    correlation_key: String,
    /// `{{ id }}` in prompts and branches.
    id: String,
    prompt: String,
    /// What kind of incident it is, as far as this alert says.
    playbook: Option<Class>,
    /// In the order in which they are tried.
    models: Vec<String>,
    /// Names and tags; empty is all.
    tools: Vec<String>,
    repo: Option<String>,
    branch: Option<String>,
    /// From opening to report, in seconds.
    timeout_s: u64,
    max_concurrency: Option<u32>,
    max_total: Option<u64>,
    max_per_day: Option<u32>,
}

/// What is no alert, or none that is understood.
#[derive(Debug, Serialize)]
struct Other {
    /// Its place in the body, from 0; `null` for what is understood and is no alert.
    index: Option<usize>,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Ways {
    alerts: Vec<Way>,
    quarantined: Vec<Other>,
    ignored: Vec<Other>,
}

/// Tells the way of each alert in `file`. Exit 1 when one of them is not understood.
pub(super) fn tell(session: &Session, file: &Path, source: Option<&str>, format: Format) -> Result<Exit, Failure> {
    let config = session.config(logging::COMMAND)?;
    let (routes, redactor) = (app::routes(&config).map_err(app::AppError::from)?, app::redactor(&config)?);
    let templates = Templates::load(config.places.prompts.as_deref()).map_err(app::AppError::from)?;
    let entropy = SystemEntropy::default();
    let mapping = Mapping {
        at: SystemClock.now(),
        entropy: &entropy,
        redactor: &redactor,
        // Nothing of it is kept, so nobody will ask whether it is what came.
        hmac_key: b"not kept",
    };
    let senders = Senders::new(config.intake.sources.clone());
    let (_, normalised) = understood(&senders, source, &read(file)?, &mapping)?;
    let mut ways = Ways { alerts: vec![], quarantined: vec![], ignored: vec![] };
    for mapped in normalised.items {
        match mapped {
            Mapped::Alert { event, .. } => ways.alerts.push(way(&config, &routes, &templates, &event)),
            Mapped::Quarantined { index, reason, .. } => ways.quarantined.push(Other { index: Some(index), reason }),
            Mapped::Notice { reason, .. } => ways.ignored.push(Other { index: None, reason }),
        }
    }
    session.out.value(format, &ways, || lines(&ways))?;
    Ok(if ways.quarantined.is_empty() { Exit::Fine } else { Exit::Found })
}

fn way(config: &Config, routes: &Routes, templates: &Templates, event: &SreEvent) -> Way {
    let (route, missed) = routes.explain(event);
    let configured = config.routes.iter().find(|of| of.name == route.name);
    let models = match configured.map(|of| &of.model) {
        None | Some(RouteModel::InOrder) => config.models.iter().map(|model| model.name.clone()).collect(),
        Some(RouteModel::Without) => vec![],
        Some(RouteModel::Named(name)) => vec![name.clone()],
    };
    let pulls = route.pulls.as_ref();
    let branch = pulls.map(|pulls| match &pulls.branch {
        None => format!("firewarden/{}", incident_slug(event)),
        Some(template) => branch_name(templates, template, event).unwrap_or_else(|error| format!("none: {error}")),
    });
    let wall_s = route.budget.unwrap_or(config.budget).wall_s;
    Way {
        alert: event.name.clone(),
        source: event.source.clone(),
        status: event.status,
        severity: event.severity,
        subject: event.subject.clone(),
        route: route.name.clone(),
        missed,
        correlation_key: correlation_key(route, event),
        id: incident_slug(event),
        prompt: route.prompt.clone(),
        playbook: routes.playbook_for(route, event).playbook.proposing(classify(std::slice::from_ref(event))),
        models,
        tools: route.tools.clone(),
        repo: pulls.map(|pulls| pulls.repo.clone()),
        branch,
        timeout_s: route.timeout.map_or(wall_s, |timeout| timeout.as_secs()),
        max_concurrency: route.max_concurrency,
        max_total: route.max_total,
        max_per_day: route.max_per_day,
    }
}

fn lines(ways: &Ways) -> Vec<String> {
    let mut out = vec![];
    for way in &ways.alerts {
        let Way { alert, source, status, severity, subject, .. } = way;
        let about = if subject == alert { String::new() } else { format!(" about {subject}") };
        out.push(line(&format!("{alert}{about} ({severity}, {}, from {source})", status.as_str()), 300));
        let mut row = |name: &str, text: &str| out.push(format!("  {name:<12} {}", line(text, 400)));
        row("takes", &format!("route {}", way.route));
        for Missed { route, why } in &way.missed {
            row("not", &format!("{route}: {why}"));
        }
        row("joined by", &way.correlation_key);
        row("id", &way.id);
        row("prompt", &way.prompt);
        row("playbook", way.playbook.map_or("none by this alert alone", Class::as_str));
        row(
            "model",
            &match &way.models[..] {
                [] => "none: the deterministic investigation is the whole one".to_owned(),
                models => models.join(", then "),
            },
        );
        row("tools", &if way.tools.is_empty() { "all".to_owned() } else { way.tools.join(", ") });
        if let (Some(repo), Some(branch)) = (&way.repo, &way.branch) {
            row("branch", &format!("{branch} in {repo}"));
        }
        row("time", &format!("{} s", way.timeout_s));
        let or = |count: Option<u64>, none: &str| count.map_or(none.to_owned(), |count| count.to_string());
        row("at once", &or(way.max_concurrency.map(u64::from), "no limit of its own"));
        if way.max_total.is_some() || way.max_per_day.is_some() {
            let (total, per_day) = (or(way.max_total, "any number"), or(way.max_per_day.map(u64::from), "any number"));
            row("in all", &format!("{total}; with its model {per_day} in a day"));
        }
        if way.status == AlertStatus::Resolved {
            row("note", "a resolved alert opens no investigation");
        }
    }
    for Other { index, reason } in &ways.quarantined {
        out.push(line(&format!("alert {} is quarantined: {reason}", index.unwrap_or_default()), 400));
    }
    out.extend(ways.ignored.iter().map(|of| line(&format!("no alert: {}", of.reason), 400)));
    if out.is_empty() {
        out.push("there is no alert in it".to_owned());
    }
    out
}
