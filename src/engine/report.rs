//! The report: what the evidence carries, from the survey alone or with what a model made of it.

use super::EngineError;
use super::context::{kind_of, query_line};
use super::driver::Session;
use super::propose::{self, Cited, ModelReport};
use super::spend::as_notice;
use crate::analysis::{self, ReportFrame};
use crate::domain::{Class, Observation, Provenance, Report, ReportAction, Rung, RungTaken, Verification};
use crate::journal::view::ViewAction;
use crate::journal::{Body, Deed, Draft, Ladder, Progress, Proposal};
use crate::telemetry;
use serde_json::{Value, json};
use std::collections::BTreeMap;

impl Session<'_> {
    /// Writes the next revision.
    pub(super) async fn report(&mut self) -> Result<(), EngineError> {
        let revision = self.inv.report.as_ref().map_or(1, |report| report.revision + 1);
        let analysis = self.analysis().await?;
        let runbooks = self.runbooks_read().await?;
        let deterministic = analysis::report(
            &analysis,
            ReportFrame {
                investigation_id: self.id(),
                revision,
                events: &self.inv.events,
                risk: self.risk_summary(),
                provenance: self.provenance(),
                evidence: self.evidence_items(),
                queries: self.queries_made(),
                actions: self.actions(),
                runbooks,
                declined: self.inv.declined.is_some(),
            },
        );
        let deterministic = match &self.inv.ladder {
            Some(Ladder { rung: Rung::Notice, reason, .. }) if self.inv.declined.is_none() => {
                as_notice(deterministic, reason)
            }
            Some(_) | None => deterministic,
        };
        let report = match (self.inv.declined.is_some(), self.submitted().await?) {
            (false, Some(submitted)) => self.with_model(deterministic, submitted, &analysis).await?,
            _ => deterministic,
        };
        let report = match self.inv.class {
            _ if self.inv.is_storm() => analysis::as_storm(report, &self.inv.events, self.inv.counted.beyond()),
            Some(Class::ServiceFlapping) => analysis::as_flapping(report, &self.inv.events, self.inv.counted.beyond()),
            _ => report,
        };
        if revision == 1
            && let Some(admitted) = self.inv.admitted_at
        {
            telemetry::reported(self.now().duration_since(admitted).as_secs_f64());
        }
        let (verdict, summary) = (report.verdict, report.summary.clone());
        let report = self.keep(&report)?;
        let sinks = self.engine.sinks.iter().map(|sink| sink.name().to_owned()).collect();
        self.record(Draft::engine(Body::Reported { revision, verdict, summary, report, sinks }))?;
        self.document()
    }

    /// The runbooks among what was seen, each once.
    async fn runbooks_read(&mut self) -> Result<Vec<Value>, EngineError> {
        let calls = self.inv.calls.iter().filter(|state| state.call.tool == "runbook_fetch");
        let seen: Vec<_> = calls
            .filter_map(|state| match &state.progress {
                Progress::Seen { observation, evidence_id, .. } => Some((observation.clone(), evidence_id.clone())),
                _ => None,
            })
            .collect();
        let mut found: Vec<Value> = vec![];
        for (observation, evidence_id) in seen {
            let Some(seen) = self.fetch::<Observation>(&observation).await? else { continue };
            let (title, source) = (&seen.data["title"], &seen.data["source"]);
            // Without a title none fitted.
            if title.is_string() && !found.iter().any(|known| known["source"] == *source) {
                found.push(json!({"title": title, "source": source, "evidence_id": evidence_id}));
            }
        }
        Ok(found)
    }

    /// What the model submitted for this revision.
    async fn submitted(&mut self) -> Result<Option<ModelReport>, EngineError> {
        let last = self.inv.turns.iter().rev().find(|turn| turn.number >= self.inv.first_turn);
        match last.and_then(|turn| turn.proposal.clone()) {
            Some(Proposal::Report { report, .. }) => self.fetch(&report).await,
            Some(Proposal::Calls { .. } | Proposal::Invalid { .. }) | None => Ok(None),
        }
    }

    async fn with_model(
        &mut self,
        deterministic: Report,
        submitted: ModelReport,
        analysis: &crate::domain::Analysis,
    ) -> Result<Report, EngineError> {
        let mut evidence = BTreeMap::new();
        for state in self.inv.calls.clone() {
            let Progress::Seen { observation, evidence_id, .. } = &state.progress else { continue };
            let seen: Option<Observation> = self.fetch(observation).await?;
            let text = seen.map(|seen| format!("{}\n{}\n{}", query_line(&state), seen.text, seen.data));
            let cited = Cited { kind: kind_of(&state).to_owned(), text: text.unwrap_or_default() };
            evidence.insert(evidence_id.clone(), cited);
        }
        let (verified, verification): (ModelReport, Verification) = propose::verify(submitted, &evidence, analysis);
        Ok(propose::merge(deterministic, verified, verification))
    }

    /// What was planned and done: from the journal, never from anybody's words.
    fn actions(&self) -> Vec<ReportAction> {
        let told = |deed: &Deed| {
            let view = ViewAction::of(deed);
            ReportAction {
                id: view.id.to_string(),
                tool: view.tool,
                target: view.target,
                state: view.state,
                policy: view.verdict.map(|verdict| verdict.to_string()).unwrap_or_default(),
                title: view.title,
                rules: view.rules,
                approval: view.approval_id.map(|id| id.to_string()),
                expires_at: view.expires_at,
                detail: view.detail,
            }
        };
        self.inv.deeds.iter().map(told).collect()
    }

    fn provenance(&self) -> Provenance {
        let inv = &self.inv;
        let since = |at: jiff::Timestamp| {
            inv.admitted_at.map(|from| u64::try_from(at.duration_since(from).as_millis()).unwrap_or(0))
        };
        let first = inv.calls.iter().find_map(|state| match &state.progress {
            Progress::Seen { at, .. } => since(*at),
            _ => None,
        });
        let asked = !inv.turns.is_empty();
        let spent = inv.committed();
        Provenance {
            mode: "deterministic".into(),
            model: inv.model_seen.clone(),
            prompt_digest: inv.frozen.as_ref().filter(|_| asked).map(|frozen| frozen.prompts_digest.clone()),
            tokens_in: spent.tokens_in,
            tokens_out: spent.tokens_out,
            cost_usd: spent.cost_usd,
            duration_ms: since(self.now()).unwrap_or(0),
            time_to_first_evidence_ms: first,
            collections_failed: self.gaps().into_iter().chain(self.without_model()).collect(),
            budget: inv.ladder.as_ref().map(|ladder| RungTaken { rung: ladder.rung, reason: ladder.reason.clone() }),
        }
    }
}
