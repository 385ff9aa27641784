//! Reading calls: judged one by one, made in parallel, and whatever came of them is evidence.

use super::EngineError;
use super::driver::{Session, corrupt};
use super::facts::{Around, origins, read_of};
use crate::domain::{BlobRef, DecisionId, Observation, Ruling, Verdict};
use crate::gate::Pass;
use crate::journal::{Actor, Asked, Body, Call, Draft, Progress};
use crate::policy::{ActionInput, CallFacts, InvestigationFacts};
use crate::telemetry;
use crate::tools::{ToolError, evidence};
use futures::StreamExt;
use std::time::Duration;

/// Calls that run at the same time.
const AT_ONCE: usize = 8;
/// Characters of an excerpt.
const EXCERPT: usize = 300;

/// A call that was judged.
#[derive(Debug)]
pub(super) struct Judged {
    /// The answer.
    pub(super) ruling: Ruling,
    /// The permission, if it allows.
    pub(super) pass: Option<Pass>,
    /// What was asked.
    pub(super) input: Box<ActionInput>,
}

/// What a call that reads on in earlier evidence reads in; `None` for all other calls.
type Kept = Option<Result<Observation, ToolError>>;

impl Session<'_> {
    /// Puts calls before the gate. An allowed one is started, any other rejected.
    pub(super) async fn judge(&mut self, calls: Vec<Call>) -> Result<(), EngineError> {
        let around = self.around().await?;
        let mut judged = vec![];
        for call in calls {
            let answer = self.ruling(&call, &around);
            judged.push((call, answer));
        }
        let input = self.keep_asked(judged.iter().filter_map(|(call, answer)| Some((call, answer.as_ref().ok()?))))?;
        for (call, answer) in judged {
            let actor = self.proposer_of(&call);
            match answer {
                Err(error) => {
                    let reason = format!("it is not a call that could be made: {}", error.for_reader());
                    let remedy = error.for_reader().to_owned();
                    let body = Body::CallRejected { call, reason, remedy, ruling: None, input: None };
                    self.record(Draft::new(actor, body))?;
                }
                Ok(Judged { ruling, pass: Some(pass), .. }) => {
                    self.passes.insert(call.id.clone(), pass);
                    let input = input.clone();
                    self.record(Draft::new(actor, Body::ReadStarted { call, ruling, input }))?;
                }
                Ok(Judged { ruling, pass: None, .. }) => self.refuse(actor, call, ruling, input.clone())?,
            }
        }
        Ok(())
    }

    /// Keeps what the policy was asked with, once for calls that were judged together.
    pub(super) fn keep_asked<'a>(
        &mut self,
        judged: impl Iterator<Item = (&'a Call, &'a Judged)>,
    ) -> Result<Option<BlobRef>, EngineError> {
        let asked: Result<Vec<(String, serde_json::Value)>, serde_json::Error> =
            judged.map(|(call, judged)| Ok((call.id.clone(), serde_json::to_value(&judged.input)?))).collect();
        let asked = asked.map_err(|e| corrupt(&self.inv.chain, e))?;
        if asked.is_empty() {
            return Ok(None);
        }
        self.keep(&Asked::of(asked)).map(Some)
    }

    fn refuse(&mut self, actor: Actor, call: Call, ruling: Ruling, input: Option<BlobRef>) -> Result<(), EngineError> {
        let reasons: Vec<String> =
            ruling.reasons.iter().map(|reason| format!("{} ({})", reason.reason, reason.rule)).collect();
        let remedy = match (&ruling.for_model, ruling.verdict) {
            (Some(remedy), _) => remedy.clone(),
            (None, Verdict::Ask) => "this call needs a person's approval, which reading does not wait for".to_owned(),
            (None, _) => "policy does not allow this call".to_owned(),
        };
        let body = Body::CallRejected { call, reason: reasons.join("; "), remedy, ruling: Some(ruling), input };
        self.record(Draft::new(actor, body))
    }

    pub(super) fn proposer_of(&self, call: &Call) -> Actor {
        if let Some(proposer) = self.inv.proposers.get(&call.id) {
            return proposer.clone();
        }
        match self.inv.calls.iter().find(|c| c.call.id == call.id).and_then(|c| c.turn) {
            None => Actor::Survey,
            Some(_) => Actor::Model(self.inv.model_seen.clone().unwrap_or_default()),
        }
    }

    /// Asks the gate. A call that the tool would not understand never gets that far.
    pub(super) fn ruling(&self, call: &Call, around: &Around) -> Result<Judged, ToolError> {
        let tools = &self.engine.tools;
        tools.validate(&call.tool, &call.args)?;
        let tool = tools.get(&call.tool).ok_or_else(|| ToolError::invalid("there is no such tool"))?;
        let frozen = self.inv.frozen.as_ref();
        // Reading on in what was seen is part of having seen it.
        if call.tool != evidence::EVIDENCE_READ
            && !tools.offered(&call.tool, frozen.map_or(&[][..], |frozen| &frozen.tools))
        {
            return Err(ToolError::invalid("this route does not offer that tool"));
        }
        let background = around.background.as_deref().ok_or_else(|| ToolError::invalid("there is no alert"))?;
        let spec = tool.spec();
        let args = call.args.as_object().cloned().unwrap_or_default();
        let proposer = self.proposer_of(call);
        let asked = CallFacts {
            arg_origins: origins(&args, &[], self.inv.opening(), &proposer),
            tags: spec.tags.clone(),
            targets: tool.target(&call.args),
            argv: tool.argv(&call.args),
            ..CallFacts::new(call.id.clone(), call.tool.clone(), spec.effect, args)
        };
        let now = self.now();
        let rules: Vec<String> = self.inv.risk_reasons.iter().map(|reason| reason.rule.clone()).collect();
        let about = self.investigation_facts(&proposer);
        let input = around.of(ActionInput::for_call(background, &self.level(), &rules, about, asked, now));
        let id = DecisionId::new(self.engine.entropy.uuid(now));
        let (ruling, pass) = self.engine.gate.read(id, call, &input);
        if let Some(error) = &ruling.error {
            telemetry::policy_failed();
            tracing::error!(investigation = %self.inv.chain, %error, "the policy failed, so the call is denied");
        }
        Ok(Judged { ruling, pass, input: Box::new(input) })
    }

    pub(super) fn investigation_facts(&self, proposer: &Actor) -> InvestigationFacts {
        let inv = &self.inv;
        let spent = inv.committed();
        // The survey's calls are nobody's but ours, whichever model may come after it.
        let (model, model_profile) = match proposer {
            Actor::Model(_) => self.standing(),
            _ => (None, "none"),
        };
        InvestigationFacts {
            id: inv.chain.clone(),
            class: inv.class.map(|class| class.to_string()).unwrap_or_default(),
            turns: u64::from(inv.spent.turns),
            elapsed_s: inv.opened_at.map_or(0, |at| self.now().duration_since(at).as_secs().max(0).unsigned_abs()),
            tool_calls: u64::from(inv.evidence),
            writes: inv.deeds.iter().filter(|deed| deed.attempts > 0).count() as u64,
            denials: inv.calls.iter().filter(|c| c.turn.is_some() && c.was_denied()).count() as u64,
            tokens_in: spent.tokens_in,
            tokens_out: spent.tokens_out,
            cost_usd: spent.cost_usd,
            model_profile: model_profile.to_owned(),
            model,
            ..InvestigationFacts::default()
        }
    }

    /// The model whose word this is, and how it did when it was measured.
    fn standing(&self) -> (Option<String>, &'static str) {
        let order = self.inv.models();
        // Each failure of a turn passed it on to the next in order.
        let answered = self.inv.turns.iter().rev().find(|turn| turn.reply.is_some());
        let passed_on = answered.map_or(0, |turn| turn.failures.len());
        let Some(name) = order.get(passed_on % order.len().max(1)) else { return (None, "none") };
        let known = self.engine.models.iter().find(|model| model.provider.name() == *name);
        let answers_as = answered.and(self.inv.model_seen.as_deref());
        (Some((*name).to_owned()), known.map_or("unknown", |model| model.standing.word(answers_as)))
    }

    /// Makes calls that were allowed. After a restart they are judged again: a pass is never stored.
    pub(super) async fn read(&mut self, calls: Vec<Call>) -> Result<(), EngineError> {
        let around = self.around().await?;
        let mut work: Vec<(Pass, Kept)> = vec![];
        for call in &calls {
            let pass = match self.passes.remove(&call.id) {
                Some(pass) => Some(pass),
                None => match self.ruling(call, &around) {
                    Ok(Judged { pass: Some(pass), .. }) => Some(pass),
                    Ok(judged) => {
                        let input = self.keep_asked(std::iter::once((call, &judged)))?;
                        self.refuse(self.proposer_of(call), call.clone(), judged.ruling, input)?;
                        None
                    }
                    Err(error) => {
                        let remedy = error.for_reader().to_owned();
                        let reason = format!("it can no longer be made: {remedy}");
                        let body = Body::CallRejected { call: call.clone(), reason, remedy, ruling: None, input: None };
                        self.record(Draft::engine(body))?;
                        None
                    }
                },
            };
            if let Some(pass) = pass {
                let kept = self.kept_evidence(&pass).await?;
                work.push((pass, kept));
            }
        }
        let limit = self.time_left(&calls);
        let (tools, clock) = (&self.engine.tools, &self.engine.clock);
        let results: Vec<(String, Result<Observation, ToolError>, u64)> = futures::stream::iter(work)
            .map(|(pass, kept)| async move {
                let (id, began) = (pass.call().id.clone(), clock.now());
                let result = match kept {
                    Some(kept) => kept.and_then(|kept| tools.read_on(pass, &kept)),
                    None => match tokio::time::timeout(limit, tools.call(pass)).await {
                        Ok(result) => result,
                        Err(_) => Err(ToolError::failed("the time for looking around was over", true)),
                    },
                };
                let took = clock.now().duration_since(began).as_millis();
                (id, result, u64::try_from(took).unwrap_or(0))
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        for (call_id, result, duration_ms) in results {
            let evidence_id = format!("E{}", self.inv.evidence + 1);
            let tags = calls.iter().find(|call| call.id == call_id).map(|call| self.tags_of(call)).unwrap_or_default();
            let body = match result {
                Ok(seen) => {
                    telemetry::tool_called("ok", duration_ms);
                    let mut instructions = read_of(&tags, &seen.text);
                    if seen.whole != seen.text {
                        instructions.extend(read_of(&tags, &seen.whole));
                    }
                    instructions.sort();
                    instructions.dedup();
                    let (bytes, digest) = seen.written().map_err(|e| corrupt(&self.inv.chain, e))?;
                    Body::ReadFinished {
                        call_id,
                        evidence_id,
                        excerpt: excerpt(&seen.text),
                        digest,
                        truncated: seen.truncated,
                        redacted: seen.redacted,
                        observation: self.keep_bytes(bytes),
                        duration_ms,
                        instructions,
                    }
                }
                Err(error) => {
                    telemetry::tool_called("failed", duration_ms);
                    let error = error.for_reader().to_owned();
                    let instructions = read_of(&tags, &error);
                    Body::ReadFailed { call_id, evidence_id, error, duration_ms, instructions }
                }
            };
            self.record(Draft::engine(body))?;
        }
        Ok(())
    }

    /// The tags of the tool that brings what `call` shows: who reads on in evidence sees what another call
    /// brought.
    fn tags_of(&self, call: &Call) -> Vec<String> {
        let mut call = call;
        // Evidence is of earlier calls only.
        for _ in 0..self.inv.calls.len() {
            if call.tool != evidence::EVIDENCE_READ {
                break;
            }
            let id = evidence::wanted(&call.args).unwrap_or_default();
            let brought = self
                .inv
                .calls
                .iter()
                .find(|state| matches!(&state.progress, Progress::Seen { evidence_id, .. } if evidence_id == id));
            let Some(brought) = brought else { break };
            call = &brought.call;
        }
        self.engine.tools.spec(&call.tool).map(|spec| spec.tags.clone()).unwrap_or_default()
    }

    /// The evidence that a call wants to read on in.
    async fn kept_evidence(&mut self, pass: &Pass) -> Result<Kept, EngineError> {
        if pass.call().tool != evidence::EVIDENCE_READ {
            return Ok(None);
        }
        let id = evidence::wanted(&pass.call().args).unwrap_or_default().to_owned();
        let kept = self.inv.calls.iter().find_map(|state| match &state.progress {
            Progress::Seen { evidence_id, observation, .. } if *evidence_id == id => Some(observation.clone()),
            _ => None,
        });
        let found: Option<Observation> = match kept {
            Some(observation) => self.fetch(&observation).await?,
            None => None,
        };
        let last = self.inv.evidence;
        let absent = || ToolError::invalid(format!("nothing is kept of {id}; ids go from E1 to E{last}"));
        Ok(Some(found.ok_or_else(absent)))
    }

    /// How long these calls may take at most.
    fn time_left(&self, calls: &[Call]) -> Duration {
        let of_survey = calls.iter().all(|call| self.proposer_of(call) == Actor::Survey);
        let seconds = match of_survey {
            true => self.survey_time_left_s(),
            false => {
                let wall = self.inv.frozen.as_ref().map_or(0, |frozen| frozen.budget.wall_s);
                let gone = self.inv.opened_at.map_or(0, |at| self.now().duration_since(at).as_secs());
                wall.saturating_sub(gone.max(0).unsigned_abs())
            }
        };
        // Whatever was begun gets a moment.
        Duration::from_secs(seconds.max(1))
    }
}

/// The gist, which is the first line of what a tool says: shortened at a character's edge.
fn excerpt(text: &str) -> String {
    let mut line = String::new();
    let gist = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    for word in gist.split_whitespace() {
        if line.chars().count() + word.chars().count() >= EXCERPT {
            line.extend(word.chars().take(EXCERPT.saturating_sub(line.chars().count() + 1)));
            line.push('…');
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_the_first_line() {
        for (text, told) in
            [("6 Pods: \t all Running\nNAME  READY\n", "6 Pods: all Running"), ("\n \nlate\nlater", "late"), ("", "")]
        {
            assert_eq!(excerpt(text), told);
        }
        assert_eq!(excerpt(&"ä".repeat(999)).chars().count(), EXCERPT);
    }
}
