//! Judging the risk, declining, opening.

use super::EngineError;
use super::driver::Session;
use crate::domain::{Analysis, BlobRef, DecisionId, Excepted, Resource, Risk, Severity, SreEvent};
use crate::journal::{Body, Draft, Frozen, Phase, STORM_ROUTE};
use crate::policy::{Background, RiskInput};
use crate::telemetry;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// What calls are judged against, and what it was made of.
#[derive(Debug)]
pub(super) struct Known {
    opening: SreEvent,
    analysis: Option<BlobRef>,
    background: Arc<Background>,
}

impl Session<'_> {
    /// Asks the policy about each alert that says something of its own, and about what the survey found
    /// where there is one: the highest level counts, and it only goes up.
    pub(super) async fn assess(&mut self, phase: Phase) -> Result<(), EngineError> {
        let now = self.now();
        let facts = self.facts().await?;
        let spend = self.spend().await?;
        let judged = match phase {
            Phase::Alert | Phase::Survey => &self.inv.events[..],
            Phase::Signal => &self.inv.events[self.inv.assessed_events.min(self.inv.events.len())..],
        };
        let Some(opening) = self.inv.opening() else { return Ok(()) };
        let before = self.inv.risk;
        // What is only counted is judged all the same, and again by what the survey found.
        let counted = match phase {
            Phase::Alert | Phase::Signal => self.inv.counted.unjudged(),
            Phase::Survey => &self.inv.counted.alerts,
        };
        let mut asked = match counted {
            [] => risk_inputs(judged, opening, &facts, now),
            ids => {
                let read = self.engine.store.alerts(&ids[..ids.len().min(MOST_COUNTED)]).await?;
                risk_inputs(&[judged, &read].concat(), opening, &facts, now)
            }
        };
        if counted.len() > MOST_COUNTED
            && let Some((first, _)) = asked.first_mut()
        {
            first.event.text_truncated = true;
        }
        let asked = self.with_past(asked, now).await?;
        let (mut duties, mut excepted): (Vec<Value>, Vec<Excepted>) = (vec![], vec![]);
        let mut highest = None;
        for input in asked {
            // Each takes its time, and many may be asked about: whoever waits for this thread has its turn between.
            tokio::task::yield_now().await;
            let input = RiskInput { spend: spend.clone(), ..input };
            let decision = self.engine.gate.assess(DecisionId::new(self.engine.entropy.uuid(now)), &input);
            if let Some(error) = &decision.error {
                telemetry::policy_failed();
                tracing::error!(investigation = %self.inv.chain, %error, "the policy failed, so the risk is CRITICAL");
            }
            // What says no more than what was said already is not written down.
            let is_news = decision.obligations.iter().any(|duty| !duties.contains(duty))
                || decision.exceptions.iter().any(|used| !excepted.contains(used));
            if highest.is_some_and(|level| decision.level <= level) && !is_news {
                continue;
            }
            highest = highest.max(Some(decision.level));
            duties.extend(decision.obligations.iter().cloned());
            excepted.extend(decision.exceptions.iter().cloned());
            let input = self.keep(&input)?;
            self.record(Draft::engine(Body::RiskAssessed { phase, decision, input }))?;
        }
        match (before, highest) {
            (Some(from), Some(to)) if to > from => self.record(Draft::engine(Body::RiskRaised { from, to })),
            _ => Ok(()),
        }
    }

    /// What the survey knows for the policy; empty before it.
    async fn facts(&mut self) -> Result<Map<String, Value>, EngineError> {
        let Some(blob) = self.inv.survey.analysis.clone() else { return Ok(Map::new()) };
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
        let own = if self.inv.is_storm() { routes.get(STORM_ROUTE) } else { None };
        let route = own.unwrap_or_else(|| routes.route_for(event));
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
        let mut budget = route.budget.unwrap_or_else(|| **engine.budget.load());
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
            playbook: routes.playbook_for(route, event),
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

/// Most alerts that are read to be judged beside those that are told apart. What is beyond counts as unread.
const MOST_COUNTED: usize = 20_000;

/// Most alerts that are judged each by itself. What is beyond counts as unread, which policy judges.
const MOST_APART: usize = 256;

/// The questions that `judged` give: the loudest alert with the text of all, and each other one that
/// differs in more than its text, for it may be about something that deserves more care. `facts` are about
/// what `opening` named; an alert about something else beside it is asked about with and without them. Each
/// comes with the alert that it is about.
fn risk_inputs(
    judged: &[SreEvent],
    opening: &SreEvent,
    facts: &Map<String, Value>,
    now: jiff::Timestamp,
) -> Vec<(RiskInput, SreEvent)> {
    let Some(loudest) = judged.iter().max_by_key(|event| event.severity) else { return vec![] };
    let count = u32::try_from(judged.len()).unwrap_or(u32::MAX);
    let mut known = HashSet::from([likeness(loudest)]);
    let mut apart: Vec<&SreEvent> = judged.iter().filter(|event| known.insert(likeness(event))).collect();
    let mut first = with_all_texts(loudest, judged, now);
    first.event.text_truncated |= apart.len() > MOST_APART;
    apart.truncate(MOST_APART);
    let others = apart.into_iter().map(|event| (event, RiskInput::of(event, now, count)));
    let mut inputs = vec![];
    for (event, input) in std::iter::once((loudest, first)).chain(others) {
        let (this, that) = (&event.resource, &opening.resource);
        let is_near = this.namespace == that.namespace && this.cluster == that.cluster;
        if is_near && !facts.is_empty() {
            inputs.push((input.clone().with_facts(facts), event.clone()));
        }
        if facts.is_empty() || this != that {
            inputs.push((input, event.clone()));
        }
    }
    inputs
}

/// What policies may tell alerts apart by, their texts aside.
fn likeness(event: &SreEvent) -> (&str, Severity, &BTreeMap<String, String>, &Resource) {
    (&event.name, event.severity, &event.labels, &event.resource)
}

/// The question about the loudest alert, with the text of all.
fn with_all_texts(loudest: &SreEvent, events: &[SreEvent], now: jiff::Timestamp) -> RiskInput {
    let mut input = RiskInput::of(loudest, now, u32::try_from(events.len()).unwrap_or(u32::MAX));
    // Alerts of one group differ in a label or two: what was said already is not said again.
    let mut said: HashSet<String> = input.event.text.lines().map(str::to_owned).collect();
    for event in events.iter().filter(|event| event.id != loudest.id) {
        let other = RiskInput::of(event, now, 1).event;
        for line in other.text.lines().filter(|line| said.insert((*line).to_owned())).collect::<Vec<_>>() {
            if input.event.text.len() + line.len() >= TEXT_BYTES {
                input.event.text_truncated = true;
                return input;
            }
            input.event.text.push('\n');
            input.event.text.push_str(line);
        }
        input.event.text_truncated |= other.text_truncated;
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EventId;
    use serde_json::json;

    fn alert(n: u128, severity: Severity, namespace: &str, id: &str) -> SreEvent {
        let mut event = crate::policy::sample_event();
        (event.id, event.severity) = (EventId::new(uuid::Uuid::from_u128(n)), severity);
        event.labels.insert("namespace".into(), namespace.into());
        event.labels.insert("pod".into(), id.into());
        (event.resource.namespace, event.resource.id) = (Some(namespace.to_owned()), id.to_owned());
        event
    }

    fn asked(judged: &[SreEvent], facts: &Value) -> Vec<(String, String, bool)> {
        let facts = facts.as_object().unwrap();
        let inputs = risk_inputs(judged, &judged[0], facts, jiff::Timestamp::UNIX_EPOCH);
        inputs
            .into_iter()
            .map(|(input, _)| (input.resource.namespace, input.resource.name, input.blast_radius.known))
            .collect()
    }

    #[test]
    fn an_alert_about_something_else_is_asked_about_by_itself() {
        use Severity::{Info, Warning};
        let found = json!({"resource": {"kind": "Deployment", "name": "api", "namespace": "shop"}, "blast_radius": {"known": true}});
        let row = |namespace: &str, name: &str, known| (namespace.to_owned(), name.to_owned(), known);
        let group = [alert(1, Warning, "kube-system", "dns-1"), alert(2, Warning, "shop", "api-1")];
        assert_eq!(asked(&group, &json!({})), [row("shop", "api-1", false), row("kube-system", "dns-1", false)]);
        // The survey looked at what opened it: that hides nothing of an alert that joined.
        let joined = [
            alert(1, Warning, "shop", "api-1"),
            alert(2, Info, "kube-system", "dns-1"),
            alert(3, Info, "shop", "web-1"),
        ];
        assert_eq!(
            asked(&joined, &found),
            [
                row("shop", "api", true),
                row("kube-system", "dns-1", false),
                row("shop", "api", true),
                row("shop", "web-1", false)
            ]
        );
    }

    #[test]
    fn alerts_that_differ_in_their_text_alone_are_one_question() {
        let mut again = alert(2, Severity::Warning, "shop", "api-1");
        again.description = "rm -rf /data".into();
        let both = [alert(1, Severity::Warning, "shop", "api-1"), again];
        let inputs = risk_inputs(&both, &both[0], &Map::new(), jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(inputs.len(), 1);
        assert!(inputs[0].0.event.text.contains("rm -rf /data"), "{}", inputs[0].0.event.text);
    }

    #[test]
    fn more_than_can_be_asked_about_counts_as_unread() {
        let many: Vec<SreEvent> = (0..300).map(|n| alert(n, Severity::Info, "shop", &format!("api-{n}"))).collect();
        let inputs = risk_inputs(&many, &many[0], &Map::new(), jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(inputs.len(), MOST_APART + 1);
        assert!(inputs[0].0.event.text_truncated);
    }
}
