//! A silence: few alerts, for a while, with an owner and a reason.

use super::matching::{Covered, Proposed, checked, covered};
use super::{Hand, OWNER, mark, mark_of, not_looked, shown};
use crate::domain::{Action, BlastRadius, Marker, Preview, Receipt, Reconciled, Retry, Undo};
use crate::edge::alertmanager::{Held, Matcher, State, Wanted};
use crate::gate::Warrant;
use crate::template::fence::inline;
use crate::tools::act::{ActError, ActTool, CaseText, Observed, Plan, Setting};
use crate::tools::gist::{counted, name};
use crate::tools::prometheus::time::seconds;
use crate::tools::render::span;
use crate::tools::spec::{ToolError, ToolSpec, arguments};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

/// The shortest silence that is worth one, in seconds.
const SHORTEST: i64 = 60;
/// Longest reason, and longest other sentence of a comment.
const REASON: usize = 300;
const SENTENCE: usize = 500;
/// Who takes it back.
const EXPIRE: &str = "alertmanager_expire_silence";

/// `alertmanager_silence`.
#[derive(Debug, Clone)]
pub(super) struct Silence(pub(super) Hand);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    matchers: Vec<Proposed>,
    duration: String,
    reason: String,
}

#[async_trait]
impl ActTool for Silence {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    async fn plan(&self, args: &Value, setting: &Setting<'_>) -> Result<Plan, ToolError> {
        let args: Args = arguments(args)?;
        let (matchers, length) = (checked(args.matchers)?, self.length(&args.duration)?);
        let reason = inline(&self.0.clean(&args.reason), REASON);
        if reason.is_empty() {
            return Err(ToolError::invalid("reason: says nothing; say why nobody has to hear of it"));
        }
        let alerts = self.0.reader().alerts(&matchers).await?;
        let covered = covered(&matchers, &alerts, &setting.case.alert)?;
        let (what, long) = (shown(&matchers), span(length.as_secs()));
        // What Alertmanager shows are whole seconds.
        let start = Timestamp::from_second(setting.now.as_second()).unwrap_or(setting.now);
        let end = start.checked_add(length).map_err(|_| ToolError::invalid("duration: ends beyond all time"))?;
        let text = self.0.clean(&preview(&what, &long, &covered, &reason));
        Ok(Plan {
            title: format!("silence {} for {long}", inline(&self.0.clean(&what), SENTENCE)),
            targets: vec![self.0.target(&matchers, &what, "create")],
            preview: Preview { kind: "rendered".into(), text, adds: 1, ..Preview::default() },
            precondition: Value::Null,
            carries: json!({
                "matchers": matchers, "starts_at": start, "ends_at": end,
                "comment": self.0.clean(&comment(setting.case, &reason)),
            }),
            undo: Some(Undo {
                tool: EXPIRE.into(),
                args: json!({"matchers": proposals(&matchers)}),
                restores: format!("notifications about {what}"),
            }),
            reversible: true,
            retry: Retry::Probe,
            blast_radius: BlastRadius {
                known: true,
                namespaces: covered.namespaces as u64,
                dependents: covered.alerts() as u64,
                ..BlastRadius::default()
            },
            facts: Value::Null,
        })
    }

    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let (permit, action) = warrant.redeem(&self.0.spec.name, now)?;
        let (target, marker) = (action.target(), permit.marker());
        let carried = carried(&action).ok_or_else(|| ActError::refused("the plan does not say what to silence"))?;
        // An earlier attempt of which the journal knows nothing any more.
        let standing = self.found(&carried.matchers, marker).await.map_err(|error| not_looked(&error))?;
        if let Some(held) = standing.iter().find(|held| held.stands()) {
            return Ok(receipt(held));
        }
        let wanted = Wanted { comment: format!("{}\n{}", carried.comment, mark(marker)), ..carried };
        let id = self.0.writer.create(&permit, &target, &wanted, now).await?;
        Ok(receipt_of(&id, &wanted.matchers, wanted.ends_at))
    }

    async fn reconcile(&self, action: &Action, marker: &Marker) -> Result<Reconciled, ToolError> {
        let Some(carried) = carried(action) else { return Ok(Reconciled::Absent { definite: true }) };
        let found = self.found(&carried.matchers, marker).await?;
        // One that somebody ended meanwhile was made, too: it is not made again over their heads.
        let made = |held: &&Held| held.stands() || held.starts_at.as_second() >= carried.starts_at.as_second();
        Ok(match found.iter().find(|held| held.stands()).or_else(|| found.iter().find(made)) {
            Some(held) => Reconciled::Applied { receipt: receipt(held) },
            None => Reconciled::Absent { definite: false },
        })
    }

    /// A silence ends no alert: that it stands is no sign that the incident is over, and that the alert
    /// goes on is none that the silence failed.
    async fn observe(&self, _: &Action, receipt: &Receipt) -> Result<Observed, ToolError> {
        let planned_end = receipt.detail["ends_at"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        Ok(match self.0.reader().silence(&receipt.reference).await? {
            None => Observed::Nothing("Alertmanager does not know the silence any more".into()),
            Some(held) if held.stands() => {
                Observed::Nothing(format!("the silence is {}, until {}", word(held.state()), held.ends_at))
            }
            Some(held) if planned_end.is_some_and(|end| held.ends_at.as_second() < end.as_second()) => {
                Observed::Broken(format!("somebody ended the silence early, at {}", held.ends_at))
            }
            Some(held) => Observed::Nothing(format!("the silence ended at {}, as planned", held.ends_at)),
        })
    }
}

impl Silence {
    /// How long it is to last: as long as the configuration lets, at most.
    fn length(&self, text: &str) -> Result<SignedDuration, ToolError> {
        let longest = i64::try_from(self.0.writer.longest().as_secs()).unwrap_or(i64::MAX);
        let asked = seconds(text.trim()).filter(|asked| asked.is_finite()).map(|asked| asked.round() as i64);
        match asked {
            Some(asked) if (SHORTEST..=longest).contains(&asked) => Ok(SignedDuration::from_secs(asked)),
            _ => {
                Err(ToolError::invalid(format!("duration: write 30m or 2h; 1m to {} is possible here", span(longest))))
            }
        }
    }

    /// Ours with this marker, whatever became of them; the first one first.
    async fn found(&self, matchers: &[Matcher], marker: &Marker) -> Result<Vec<Held>, crate::edge::EdgeError> {
        let mut ours = self.0.ours(matchers).await?;
        ours.retain(|held| mark_of(held) == Some(marker.as_str()));
        Ok(ours)
    }
}

/// What the plan carries, without the mark.
fn carried(action: &Action) -> Option<Wanted> {
    let carries = &action.carries;
    let at = |key: &str| carries[key].as_str().and_then(|time| time.parse().ok());
    Some(Wanted {
        matchers: serde_json::from_value(carries["matchers"].clone()).ok()?,
        starts_at: at("starts_at")?,
        ends_at: at("ends_at")?,
        created_by: OWNER.to_owned(),
        comment: carries["comment"].as_str()?.to_owned(),
    })
}

fn proposals(matchers: &[Matcher]) -> Value {
    let one = |matcher: &Matcher| json!({"name": matcher.name, "value": matcher.value, "is_regex": matcher.is_regex});
    matchers.iter().map(one).collect()
}

fn preview(what: &str, long: &str, covered: &Covered, reason: &str) -> String {
    let mut text =
        format!("Silence {what} for {long}.\nIt fits {} now:\n", counted(covered.alerts(), "alert", "alerts"));
    for (alert, count) in &covered.by_name {
        text.push_str(&format!("- {}: {count}\n", name(alert)));
    }
    text.push_str(&format!(
        "Alerts that begin later and fit are silenced, too.\nReason, as the proposer claims: {reason}"
    ));
    text
}

/// What people read beside the silence. Every part is one line, so that none can look like the mark.
fn comment(case: &CaseText, reason: &str) -> String {
    let mut lines = vec![format!("Incident: {}", inline(&case.title, REASON))];
    lines.push(format!("Reason, as the proposer claims: {reason}"));
    lines.extend(case.decision.as_ref().map(|decision| inline(decision, SENTENCE)));
    lines.extend(case.url.as_ref().map(|url| format!("Report: {url}")));
    lines.push(format!("Investigation: {}", inline(&case.chain, REASON)));
    lines.join("\n")
}

fn receipt(held: &Held) -> Receipt {
    receipt_of(&held.id, &held.matchers, held.ends_at)
}

fn receipt_of(id: &str, matchers: &[Matcher], ends_at: Timestamp) -> Receipt {
    Receipt {
        reference: id.to_owned(),
        summary: format!("silence {id} of {} until {ends_at}", shown(matchers)),
        detail: json!({"ends_at": ends_at}),
    }
}

const fn word(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Pending => "pending",
        State::Expired => "over",
    }
}
