//! The deterministic investigator: plans what to look at, and concludes when it has seen enough.
//! It proposes; the gate judges its calls like anybody's.

use super::EngineError;
use super::driver::Session;
use super::propose::playbooks::{self, Looked};
use crate::analysis::{self, Case, Need, Seen};
use crate::domain::{Analysis, ApprovalState, Class, FLAP_WINDOW, FLAPS, Observation, Severity};
use crate::journal::{Actor, Body, Call, Classified, Confirmed, Deed, Draft, Progress};
use serde_json::{Value, json};

/// The tool that looks closer.
const CLOSER_LOOK: &str = "investigate_resource_pressure";
/// Rounds of one survey, whatever it still would like to know.
const ROUNDS: u32 = 8;

// What the tool that reads runbooks takes.
const MAX_URL: usize = 2_048;
const MAX_NAME: usize = 253;
const MAX_LABELS: usize = 64;
const MAX_LABEL: usize = 1_024;

impl Session<'_> {
    /// Plans the next round, or concludes.
    pub(super) async fn survey(&mut self) -> Result<(), EngineError> {
        let seen = self.survey_seen().await?;
        let budget = self.inv.frozen.as_ref().map(|frozen| frozen.budget).unwrap_or_default();
        let made = self.calls_of_survey().count();
        let calls_left = budget.survey_calls.saturating_sub(u32::try_from(made).unwrap_or(u32::MAX));
        let now = self.now();
        let (runbook, closer) = (self.runbook(), self.inv.to_look_closer());
        let case = Case {
            events: &self.inv.events,
            now,
            seen: &seen,
            calls_left,
            kubernetes: self.engine.tools.get("kubernetes_get").is_some(),
            prometheus: self.engine.tools.get("prometheus_query").is_some(),
            runbook: runbook.as_ref(),
            closer: &closer,
        };
        let needs = if self.inv.survey.rounds < ROUNDS { analysis::plan(&case) } else { vec![] };
        let stopped = match () {
            () if self.survey_time_left_s() == 0 => Some("time"),
            () if needs.is_empty() => Some("complete"),
            () if calls_left == 0 => Some("calls"),
            () => None,
        };
        let Some(stopped) = stopped else {
            let round = self.inv.survey.rounds + 1;
            let revision = self.inv.report.as_ref().map_or(1, |report| report.revision + 1);
            let calls = needs
                .into_iter()
                .take(calls_left as usize)
                .enumerate()
                .map(|(n, need)| call_for(&format!("survey_{revision}_{round}_{}", n + 1), &need))
                .collect();
            return self.record(Draft::new(Actor::Survey, Body::SurveyPlanned { round, calls }));
        };
        let analysis = analysis::conclude(&case);
        let unanswered = analysis::unanswered(&case);
        let top = analysis.hypotheses.first();
        let top_cause = top.map(|h| format!("{}: {}", h.finding.cause_code, h.finding.entity));
        let findings = u32::try_from(analysis.findings.len()).unwrap_or(u32::MAX);
        // A storm is of no workload.
        let things = if self.inv.is_storm() { vec![] } else { analysis::things(&case) };
        let kept = self.keep(&analysis)?;
        let body = Body::Surveyed { stopped: stopped.into(), analysis: kept, findings, top_cause, things };
        self.record(Draft::new(Actor::Survey, body))?;
        self.classify().await?;
        let Some(opening) = self.inv.opening() else { return Ok(()) };
        let looked = self.looked(stopped, unanswered);
        let confirmed = playbooks::confirm(self.inv.class, opening, self.inv.alert_status(), &analysis, looked);
        let gap = playbooks::gap(opening, &confirmed, &analysis, looked);
        self.record(Draft::new(Actor::Survey, Body::Confirmed(confirmed.clone())))?;
        if let Some(gap) = gap {
            self.record(Draft::new(Actor::Survey, Body::GapFiled(gap)))?;
        }
        match self.by_playbook(&analysis, &confirmed) {
            Some((playbook, body)) => self.record(Draft::new(Actor::Playbook(playbook), body)),
            None => Ok(()),
        }
    }

    /// How far this survey has looked, which ended as `stopped` says with so many questions `unanswered`.
    fn looked(&self, stopped: &str, unanswered: usize) -> Looked {
        let has_seen = self.calls_of_survey().any(|state| matches!(state.progress, Progress::Seen { .. }));
        match (stopped == "complete" && has_seen, unanswered) {
            (true, 0) => Looked::Wholly,
            (true, _) => Looked::InPart,
            (false, _) => Looked::TooLittle,
        }
    }

    /// Further alerts may make it another kind of incident: what was classified once is classified again.
    pub(super) async fn classify_anew(&mut self) -> Result<(), EngineError> {
        match self.inv.remedy.classified.is_some() {
            true => self.classify().await,
            false => Ok(()),
        }
    }

    /// Writes down what kind of incident it is, by its words, its rhythm over all investigations, and the
    /// configuration; once, and again when it is another one. A configured playbook makes nothing milder:
    /// what an alert says of itself counts for policy whoever proposes.
    async fn classify(&mut self) -> Result<(), EngineError> {
        let Some(opening) = self.inv.opening() else { return Ok(()) };
        let chosen = self.inv.frozen.as_ref().map(|frozen| frozen.playbook.clone()).unwrap_or_default();
        let past = self.engine.store.past_of(&opening.thing(), FLAP_WINDOW, self.now()).await?;
        let flaps =
            (past.down_events >= FLAPS as u64 && opening.severity > Severity::Info).then_some(Class::ServiceFlapping);
        let class = self.inv.class.max(chosen.playbook.forced()).max(flaps);
        let playbook = chosen.playbook.proposing(class);
        let classified = Classified { class, playbook, by: chosen.by, downs: past.down_events };
        let same = self
            .inv
            .remedy
            .classified
            .as_ref()
            .is_some_and(|known| (known.class, known.playbook, &known.by) == (class, playbook, &classified.by));
        match same {
            true => Ok(()),
            false => self.record(Draft::engine(Body::Classified(classified))),
        }
    }

    /// What a playbook proposes from the findings where no model is going to: it goes through the same
    /// gate. What stands already is not proposed again.
    fn by_playbook(&self, analysis: &Analysis, confirmed: &Confirmed) -> Option<(String, Body)> {
        // Of a storm nobody knows what kind of incident it is.
        if self.inv.is_storm() || !self.inv.models().is_empty() {
            return None;
        }
        let class = self.inv.playbook()?;
        let tools = &self.engine.tools;
        // Nobody is asked for a look at figures where none can be had.
        let measured = self
            .calls_of_survey()
            .any(|state| state.call.tool.starts_with("prometheus_") && matches!(state.progress, Progress::Seen { .. }));
        let exists = |tool: &str| {
            let spec = tools.spec(tool).filter(|spec| measured || spec.builtin != CLOSER_LOOK)?;
            Some(spec.effect)
        };
        let mut proposed = playbooks::propose(class, self.inv.opening(), confirmed, analysis, &exists);
        // What people refused, or did not answer, is not asked again because another question was answered.
        let was_refused = |deed: &Deed| {
            let state = deed.question().map(|question| question.state);
            matches!(state, Some(ApprovalState::Denied | ApprovalState::Expired))
        };
        let stands = |wanted: &playbooks::Proposed| {
            let same = |deed: &&Deed| deed.action.tool == wanted.tool && deed.action.args == wanted.args;
            self.inv.deeds.iter().any(|deed| same(&deed) && (deed.holds_scope() || was_refused(deed)))
        };
        proposed.retain(|wanted| !stands(wanted));
        let reason = proposed.first()?.reason.clone();
        let revision = self.inv.revision();
        let call = |(n, wanted): (usize, playbooks::Proposed)| Call {
            id: format!("playbook_{revision}_{}", n + 1),
            tool: wanted.tool.to_owned(),
            args: wanted.args,
            effect: exists(wanted.tool),
            need: serde_json::Value::Null,
        };
        let calls = proposed.into_iter().enumerate().map(call).collect();
        let body = Body::CallsProposed { calls, reason };
        Some((class.as_str().to_owned(), body))
    }

    /// What to ask for the opening alert's runbook; nothing where none could be found.
    fn runbook(&self) -> Option<Need> {
        let event = self.inv.opening()?;
        let (pages, files) = self.engine.tools.runbooks()?;
        let link = event.links.iter().find(|link| link.rel == "runbook").map(|link| link.url.clone());
        let url = link.filter(|url| pages && url.len() <= MAX_URL);
        let labels = event.labels.iter().filter(|(key, value)| key.len() + value.len() <= MAX_LABEL);
        let labels = labels.take(MAX_LABELS).map(|(key, value)| (key.clone(), value.clone())).collect();
        (files || url.is_some()).then(|| Need::Runbook {
            alert: event.name.chars().take(MAX_NAME).collect(),
            url,
            labels,
        })
    }

    /// Seconds that the survey may still take.
    pub(super) fn survey_time_left_s(&self) -> u64 {
        let limit = self.inv.frozen.as_ref().map_or(0, |frozen| frozen.budget.survey_s);
        let since = self.inv.survey.started_at.map_or(0, |at| self.now().duration_since(at).as_secs());
        limit.saturating_sub(since.max(0).unsigned_abs())
    }

    /// The survey's calls for the revision that is being worked on.
    fn calls_of_survey(&self) -> impl Iterator<Item = &crate::journal::CallState> {
        let revision = self.inv.report.as_ref().map_or(1, |report| report.revision + 1);
        let prefix = format!("survey_{revision}_");
        self.inv.calls.iter().filter(move |c| c.is_of_survey() && c.call.id.starts_with(&prefix))
    }

    async fn survey_seen(&mut self) -> Result<Vec<Seen>, EngineError> {
        let settled: Vec<_> = self.calls_of_survey().filter(|c| c.is_settled()).cloned().collect();
        let mut seen = Vec::with_capacity(settled.len());
        for state in settled {
            let Ok(need) = serde_json::from_value::<Need>(state.call.need) else { continue };
            let entry = match state.progress {
                Progress::Seen { observation, evidence_id, at, .. } => {
                    let observation: Option<Observation> = self.fetch(&observation).await?;
                    let outcome = observation.map(|o| o.data).ok_or_else(|| "the payload was deleted".to_owned());
                    Seen { id: evidence_id, need, at, outcome }
                }
                Progress::Failed { error, evidence_id, at } => Seen { id: evidence_id, need, at, outcome: Err(error) },
                Progress::Rejected { remedy } => {
                    Seen { id: String::new(), need, at: self.now(), outcome: Err(format!("not allowed: {remedy}")) }
                }
                Progress::Planned | Progress::Started | Progress::Acting { .. } => continue,
            };
            seen.push(entry);
        }
        Ok(seen)
    }
}

/// The call that answers a need.
fn call_for(id: &str, need: &Need) -> Call {
    let (tool, args) = match need {
        Need::Object { kind, namespace, name } => {
            ("kubernetes_get", json!({"kind": kind, "namespace": namespace, "name": name}))
        }
        Need::List { kind, namespace, selector } => {
            ("kubernetes_list", json!({"kind": kind, "namespace": namespace, "label_selector": selector}))
        }
        Need::Logs { namespace, pod, container, previous, tail } => (
            "kubernetes_logs",
            json!({"namespace": namespace, "pod": pod, "container": container, "previous": previous, "tail": tail}),
        ),
        Need::Events { namespace } => ("kubernetes_events", json!({"namespace": namespace})),
        Need::Query { promql } => ("prometheus_query", json!({"query": promql})),
        Need::Range { promql, minutes } => {
            ("prometheus_query_range", json!({"query": promql, "window": format!("{minutes}m")}))
        }
        Need::Alerts => ("prometheus_alerts", json!({})),
        Need::Targets => ("prometheus_targets", json!({})),
        Need::Rules => ("prometheus_rules", json!({})),
        Need::Runbook { alert, url, labels } => {
            ("runbook_fetch", json!({"alert": alert, "url": url, "labels": labels}))
        }
    };
    let mut args = args;
    if let Value::Object(map) = &mut args {
        map.retain(|_, value| !value.is_null());
    }
    Call {
        id: id.to_owned(),
        tool: tool.to_owned(),
        args,
        effect: None,
        need: serde_json::to_value(need).unwrap_or_default(),
    }
}
