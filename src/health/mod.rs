//! L6: self-checks: how firewarden itself does. They see what the store shows of investigations, and
//! change nothing. The checks themselves are pure.
//!
//! An *agent* is a route, a *domain* the namespace of what it is about, else its type.

pub mod failures;

use crate::domain::{Digest, ReportVerdict};
use crate::journal::{Outcome, View};
use crate::store::{InvestigationFilter, StoreError, StoreReader};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use failures::{FailureReport, failure_report};

/// How far back the checks look, in hours.
pub const HOURS: u32 = 24;
/// Most investigations that are looked at, the newest.
const MOST: usize = 5_000;
/// Rows that are read at once.
const PAGE: u32 = 1_000;
/// So long an investigation may wait for its first look, in seconds, before it is told, and before it is
/// grave.
const WAITS_S: (i64, i64) = (60, 300);
/// From so many reports on, their share without a cause says something.
const REPORTS: usize = 4;
/// A topic that comes so often is no accident.
const OFTEN: usize = 3;

/// How grave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    /// Good to know.
    Info,
    /// To be looked at.
    Warning,
    /// Alerts may be lost.
    Critical,
}

/// What a self-check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Whether it works.
    Health,
    /// Whether it finds causes.
    Quality,
    /// Whether it keeps up.
    Throughput,
    /// What fails again and again, or is known by nothing.
    FailurePattern,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// The same as long as it is the same thing.
    pub id: String,
    /// How grave.
    pub severity: Gravity,
    /// What it is about.
    pub category: Category,
    /// In a line.
    pub title: String,
    /// What was seen, and what to do.
    pub detail: String,
    /// The route, where it is one's.
    pub agent: Option<String>,
    /// Namespace or type, where it is one's.
    pub domain: Option<String>,
    /// When it was seen.
    pub detected_at: Timestamp,
}

/// What the process knows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// The store commits.
    pub store_commits: bool,
    /// A policy is in force.
    pub policies_loaded: bool,
    /// Whether the model answered the last time it was asked.
    pub model_answers: Option<bool>,
}

/// The investigations that were open within the last `hours`, newest first, at most 5,000.
///
/// # Errors
/// When the store does not answer.
pub async fn recent<S: StoreReader + ?Sized>(
    store: &S,
    route: Option<&str>,
    hours: u32,
    now: Timestamp,
) -> Result<Vec<View>, StoreError> {
    let since = now.checked_sub(SignedDuration::from_hours(i64::from(hours))).unwrap_or(Timestamp::MIN);
    let mut filter = InvestigationFilter {
        route: route.map(str::to_owned),
        not_closed_before: Some(since),
        limit: PAGE,
        ..InvestigationFilter::default()
    };
    let mut all = Vec::new();
    loop {
        let page = store.investigations(&filter).await?;
        all.extend(page.items);
        match page.next_cursor {
            Some(cursor) if all.len() < MOST => filter.cursor = Some(cursor),
            _ => break,
        }
    }
    all.truncate(MOST);
    Ok(all)
}

/// All that is not as it should be, gravest first.
pub fn checks(own: Own, views: &[View], now: Timestamp) -> Vec<Alert> {
    let mut found = of_ourselves(own, now);
    found.extend(given_up(views, now));
    found.extend(untold(views, now));
    found.extend(waiting(views, now));
    found.extend(without_cause(views, now));
    found.extend(gaps(views, now));
    found.sort_by(|a, b| (b.severity, &a.id).cmp(&(a.severity, &b.id)));
    found
}

/// Namespace, else type.
pub(crate) fn domain(view: &View) -> String {
    view.resource.namespace.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| view.resource.kind.to_string())
}

fn of_ourselves(own: Own, now: Timestamp) -> Vec<Alert> {
    let alert = |id: &str, severity, title: &str, detail: &str| Alert {
        id: id.into(),
        severity,
        category: Category::Health,
        title: title.into(),
        detail: detail.into(),
        agent: None,
        domain: None,
        detected_at: now,
    };
    let mut found = vec![];
    if !own.store_commits {
        let detail =
            "Alerts are answered with 503 until it does. The log says why; look at disk space and permissions.";
        found.push(alert("store", Gravity::Critical, "The store does not commit", detail));
    }
    if !own.policies_loaded {
        found.push(alert("policies", Gravity::Critical, "No policy is loaded", "Run `firewarden check`."));
    }
    if own.model_answers == Some(false) {
        let detail = "Investigations go on without it. Run `firewarden doctor model`.";
        found.push(alert("model", Gravity::Warning, "The model did not answer the last time it was asked", detail));
    }
    found
}

/// Views by route and domain.
fn by_place<'v>(views: impl Iterator<Item = &'v View>) -> BTreeMap<(String, String), Vec<&'v View>> {
    let mut places: BTreeMap<(String, String), Vec<&View>> = BTreeMap::new();
    for view in views {
        places.entry((view.route.clone(), domain(view))).or_default().push(view);
    }
    places
}

fn ids(views: &[&View]) -> String {
    let shown: Vec<&str> = views.iter().take(3).map(|view| view.id.as_str()).collect();
    let more = views.len().saturating_sub(shown.len());
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

fn given_up(views: &[View], now: Timestamp) -> Vec<Alert> {
    let failed = by_place(views.iter().filter(|view| view.outcome == Some(Outcome::Failed)));
    let alert = |((agent, domain), views): ((String, String), Vec<&View>)| Alert {
        id: format!("failed:{agent}:{domain}"),
        severity: Gravity::Critical,
        category: Category::Health,
        title: format!(
            "{} given up by a fault of ours",
            counted(views.len(), "investigation was", "investigations were")
        ),
        detail: format!(
            "{}. The log says why; `firewarden audit verify` tells whether the journal is whole.",
            ids(&views)
        ),
        agent: Some(agent),
        domain: Some(domain),
        detected_at: now,
    };
    failed.into_iter().map(alert).collect()
}

fn untold(views: &[View], now: Timestamp) -> Vec<Alert> {
    let mut sinks: BTreeMap<&str, Vec<&View>> = BTreeMap::new();
    for view in views {
        for debt in &view.undelivered {
            sinks.entry(debt.sink.as_str()).or_default().push(view);
        }
    }
    let alert = |(sink, views): (&str, Vec<&View>)| Alert {
        id: format!("untold:{sink}"),
        severity: Gravity::Warning,
        category: Category::Health,
        title: format!("{sink} could not be told of {}", counted(views.len(), "report", "reports")),
        detail: format!("{}. It is tried again; look at `notify` and at what the sink answers.", ids(&views)),
        agent: None,
        domain: None,
        detected_at: now,
    };
    sinks.into_iter().map(alert).collect()
}

fn waiting(views: &[View], now: Timestamp) -> Option<Alert> {
    let age = |view: &View| view.opened_at.map_or(0, |at| now.duration_since(at).as_secs());
    // What was judged waits for further alerts, or for a place in its route: that is the operator's own word.
    let is_unseen = |view: &View| view.state == "queued" && view.risk.is_none();
    let late: Vec<&View> = views.iter().filter(|view| is_unseen(view) && age(view) > WAITS_S.0).collect();
    let oldest = late.iter().map(|view| age(view)).max()?;
    Some(Alert {
        id: "queue".into(),
        severity: if oldest > WAITS_S.1 { Gravity::Critical } else { Gravity::Warning },
        category: Category::Throughput,
        title: format!(
            "{} since {oldest} s for a first look",
            counted(late.len(), "investigation waits", "investigations wait")
        ),
        detail: format!("{}. Look at the load of this machine and at `firewarden_investigations_*`.", ids(&late)),
        agent: None,
        domain: None,
        detected_at: now,
    })
}

fn without_cause(views: &[View], now: Timestamp) -> Vec<Alert> {
    let reported = by_place(views.iter().filter(|view| view.verdict.is_some_and(|v| v != ReportVerdict::Declined)));
    let alert = |((agent, domain), views): ((String, String), Vec<&View>)| {
        let none = |view: &&&View| view.verdict == Some(ReportVerdict::InsufficientEvidence);
        let blind: Vec<&View> = views.iter().filter(none).copied().collect();
        (views.len() >= REPORTS && blind.len() * 2 >= views.len()).then(|| Alert {
            id: format!("without_cause:{agent}:{domain}"),
            severity: Gravity::Warning,
            category: Category::Quality,
            title: format!("{} of {} reports name no cause", blind.len(), views.len()),
            detail: format!("{}. Their open questions say what could not be seen.", ids(&blind)),
            agent: Some(agent),
            domain: Some(domain),
            detected_at: now,
        })
    };
    reported.into_iter().filter_map(alert).collect()
}

/// Loud alerts that no known object explains, by topic.
fn gaps(views: &[View], now: Timestamp) -> Vec<Alert> {
    let mut topics: BTreeMap<(&str, String, &str), Vec<&View>> = BTreeMap::new();
    for view in views {
        if let Some(topic) = &view.failure_gap {
            topics.entry((view.route.as_str(), domain(view), topic.as_str())).or_default().push(view);
        }
    }
    let alert = |((agent, domain, topic), views): ((&str, String, &str), Vec<&View>)| Alert {
        id: format!("failure_gap:{}", Digest::of_parts([agent, domain.as_str(), topic]).short(16)),
        severity: if views.len() >= OFTEN { Gravity::Warning } else { Gravity::Info },
        category: Category::FailurePattern,
        title: format!("No known object explains {topic}"),
        detail: format!(
            "{}: {}. Name the object in the alert's labels (namespace, deployment, pod, instance), or configure the peer that knows it.",
            counted(views.len(), "time", "times"),
            ids(&views)
        ),
        agent: Some(agent.to_owned()),
        domain: Some(domain),
        detected_at: now,
    };
    topics.into_iter().map(alert).collect()
}

fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests;
