//! Judging the risk, declining, opening.

use super::EngineError;
use super::driver::Session;
use crate::domain::{Analysis, BlobRef, DecisionId, Risk, SreEvent};
use crate::journal::{Body, Draft, Frozen, Phase};
use crate::policy::{Background, RiskInput};
use crate::telemetry;
use std::collections::HashSet;
use std::sync::Arc;

/// What calls are judged against, and what it was made of.
#[derive(Debug)]
pub(super) struct Known {
    opening: SreEvent,
    analysis: Option<BlobRef>,
    background: Arc<Background>,
}

impl Session<'_> {
    /// Asks the policy about the alerts, and about what the survey found where there is one. The
    /// level only goes up.
    pub(super) async fn assess(&mut self, phase: Phase) -> Result<(), EngineError> {
        let now = self.now();
        let facts = self.facts().await?;
        let spend = self.spend().await?;
        let judged = match phase {
            Phase::Alert | Phase::Survey => &self.inv.events[..],
            Phase::Signal => &self.inv.events[self.inv.assessed_events.min(self.inv.events.len())..],
        };
        let Some(input) = risk_input(judged, now).map(|input| input.with_facts(&facts)) else { return Ok(()) };
        let input = RiskInput { spend, ..input };
        let decision = self.engine.gate.assess(DecisionId::new(self.engine.entropy.uuid(now)), &input);
        if let Some(error) = &decision.error {
            telemetry::policy_failed();
            tracing::error!(investigation = %self.inv.chain, %error, "the policy failed, so the risk is CRITICAL");
        }
        let input = self.keep(&input)?;
        let (before, level) = (self.inv.risk, decision.level);
        self.record(Draft::engine(Body::RiskAssessed { phase, decision, input }))?;
        match before {
            Some(from) if level > from => self.record(Draft::engine(Body::RiskRaised { from, to: level })),
            _ => Ok(()),
        }
    }

    /// What the survey knows for the policy; empty before it.
    async fn facts(&mut self) -> Result<serde_json::Map<String, serde_json::Value>, EngineError> {
        let Some(blob) = self.inv.survey.analysis.clone() else { return Ok(serde_json::Map::new()) };
        Ok(self.fetch::<Analysis>(&blob).await?.map(|analysis| analysis.facts).unwrap_or_default())
    }

    /// What all calls are judged against; `None` without an alert. It is worked out again when the alert
    /// or the survey has changed.
    pub(super) async fn background(&mut self) -> Result<Option<Arc<Background>>, EngineError> {
        let Some(opening) = self.inv.opening() else { return Ok(None) };
        if let Some(known) = &self.known
            && known.opening == *opening
            && known.analysis == self.inv.survey.analysis
        {
            return Ok(Some(known.background.clone()));
        }
        let (opening, analysis) = (opening.clone(), self.inv.survey.analysis.clone());
        let background = Arc::new(Background::of(&opening).with_facts(&self.facts().await?));
        self.known = Some(Known { opening, analysis, background: background.clone() });
        Ok(Some(background))
    }

    pub(super) fn decline(&mut self) -> Result<(), EngineError> {
        let reasons: Vec<String> =
            self.inv.risk_reasons.iter().map(|reason| format!("{} ({})", reason.reason, reason.rule)).collect();
        let reason = format!("CRITICAL, so no agent was dispatched: {}", reasons.join("; "));
        self.record(Draft::engine(Body::Declined { reason }))
    }

    pub(super) fn open(&mut self) -> Result<(), EngineError> {
        let engine = self.engine;
        let routes = engine.routes.load();
        let Some(event) = self.inv.opening() else { return Ok(()) };
        let route = routes.route_for(event);
        let known = |name: &String| engine.models.iter().any(|m| m.provider.name() == name);
        let mut models = match &route.model {
            Some(name) => vec![name.clone()].into_iter().filter(known).collect(),
            None => engine.models.iter().map(|m| m.provider.name().to_owned()).collect::<Vec<_>>(),
        };
        let fallbacks = models.split_off(models.len().min(1));
        // Whoever may answer: a cheap one, too, when the money runs low.
        let may_answer = |name: &str| models.iter().chain(&fallbacks).any(|known| known == name);
        let windows = engine
            .models
            .iter()
            .filter(|model| model.cheap || may_answer(model.provider.name()))
            .filter_map(|model| Some((model.provider.name().to_owned(), model.provider.limits().context_tokens?)))
            .collect();
        let mut budget = route.budget.unwrap_or(engine.budget);
        if let Some(timeout) = route.timeout {
            budget.wall_s = timeout.as_secs();
        }
        self.record(Draft::engine(Body::Opened(Frozen {
            route: route.name.clone(),
            prompt: route.prompt.clone(),
            tools: route.tools.clone(),
            model: models.pop(),
            fallbacks,
            context_tokens: None,
            windows,
            budget,
            pulls: route.pulls.clone(),
            prompts_digest: engine.templates.digest(),
            tools_digest: engine.tools.digest(),
        })))
    }

    /// The level as it stands; the strictest where none was given.
    pub(super) fn level(&self) -> Risk {
        self.inv.risk.unwrap_or(Risk::Critical)
    }
}

/// Most text of one judgement, in bytes.
const TEXT_BYTES: usize = 1 << 20;

/// One input for several alerts: the loudest speaks, and the text of all is searched.
fn risk_input(events: &[SreEvent], now: jiff::Timestamp) -> Option<RiskInput> {
    let loudest = events.iter().max_by_key(|event| event.severity)?;
    let mut input = RiskInput::of(loudest, now, u32::try_from(events.len()).unwrap_or(u32::MAX));
    // Alerts of one group differ in a label or two: what was said already is not said again.
    let mut said: HashSet<String> = input.event.text.lines().map(str::to_owned).collect();
    for event in events.iter().filter(|event| event.id != loudest.id) {
        let other = RiskInput::of(event, now, 1).event;
        for line in other.text.lines().filter(|line| said.insert((*line).to_owned())).collect::<Vec<_>>() {
            if input.event.text.len() + line.len() >= TEXT_BYTES {
                input.event.text_truncated = true;
                return Some(input);
            }
            input.event.text.push('\n');
            input.event.text.push_str(line);
        }
        input.event.text_truncated |= other.text_truncated;
    }
    Some(input)
}
