//! How good a model is: small tasks with one right answer, read by the code that reads its answers
//! in an investigation, and judged without another model.
//!
//! - [`tasks`]: what is asked, and what is right
//! - [`grade`](mod@grade): what the results are worth
//! - here: one task after the other, within a time that the caller gives
//!
//! Every task stands alone, so that a server that loses one loses nothing else, and asks for the
//! same words each time.

pub mod grade;
pub mod tasks;

use crate::domain::{ChatReply, ChatRequest, Clock};
use crate::model::profile::{
    FORM, PROBED, PROBED_AT_LEAST, Profile, Score, Speed, TaskResult, Window, without_credentials,
};
use crate::model::{ModelError, ModelProvider};
use grade::{Results, grade, thresholds};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tasks::{Kind, Task};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Errors of the network in a row after which nobody is there.
const GIVE_UP: u32 = 3;
/// Sizes at which the window is looked for when nobody told it, in tokens.
const PROBES: [u64; 3] = [8_500, 17_000, 28_000];
/// The longest needle task: reading more takes minutes on small machines and money elsewhere.
const MAX_NEEDLE: u64 = 28_000;
/// A token is between one and eight characters in every tokenizer for such text.
const CHARS_PER_TOKEN: std::ops::RangeInclusive<f64> = 1.0..=8.0;

/// What is measured, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// The model.
    pub model: &'a dyn ModelProvider,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Where it is reached, for the profile.
    pub base_url: &'a str,
    /// The window, if somebody told it, and who.
    pub window: Option<(u64, &'a str)>,
    /// No task begins later.
    pub within: Duration,
}

/// What was seen along the way.
#[derive(Debug, Default)]
struct Seen {
    answered_as: Option<String>,
    counted: u32,
    plausible: u32,
    answers: u32,
    lost: u32,
}

impl Trial<'_> {
    /// Gives the tasks and grades the answers.
    ///
    /// # Errors
    /// When the model cannot be asked at all: then there is nothing to grade.
    pub async fn run(self, mut told: impl FnMut(&TaskResult)) -> Result<Profile, ModelError> {
        let began = self.clock.now();
        let mut seen = Seen::default();
        // Two words: the first answer often waits for the model to be loaded.
        self.ask(&tasks::word(), &mut seen).await?;
        let word_from = self.clock.now();
        self.ask(&tasks::word(), &mut seen).await?;
        let first_word = self.since(word_from);

        let mut results = vec![];
        for task in tasks::all() {
            let result = self.give(&task, began, &mut seen).await?;
            told(&result);
            results.push(result);
        }
        let tokens_per_s = self.pace(first_word, began, &mut seen).await;
        let (window, tried) = self.window(began, &mut seen).await?;
        for result in tried {
            told(&result);
            results.push(result);
        }

        let mut scores: BTreeMap<String, Score> = BTreeMap::new();
        for result in &results {
            let score = scores.entry(result.kind.clone()).or_default();
            score.of += 1;
            score.passed += u32::from(result.passed);
        }
        let skipped = results.iter().filter(|result| result.why == SKIPPED).count();
        let (verdict, reasons) = grade(&Results {
            scores: &scores,
            skipped: u32::try_from(skipped).unwrap_or(u32::MAX),
            window_tokens: window.tokens,
        });
        Ok(Profile {
            api_version: FORM.to_owned(),
            name: self.model.name().to_owned(),
            model: self.model.model().to_owned(),
            answered_as: seen.answered_as.clone().unwrap_or_else(|| self.model.model().to_owned()),
            base_url: without_credentials(self.base_url),
            measured_at: began,
            took_s: self.since(began).as_secs(),
            firewarden: env!("CARGO_PKG_VERSION").to_owned(),
            verdict,
            reasons,
            window,
            speed: Speed { first_word_ms: u64::try_from(first_word.as_millis()).ok(), tokens_per_s },
            usage: seen.usage().to_owned(),
            scores,
            thresholds: thresholds(),
            tasks: results,
        })
    }

    fn since(&self, from: jiff::Timestamp) -> Duration {
        Duration::try_from(self.clock.now().duration_since(from)).unwrap_or_default()
    }

    /// What is left of the time.
    fn left(&self, began: jiff::Timestamp) -> Duration {
        self.within.saturating_sub(self.since(began))
    }

    async fn ask(&self, request: &ChatRequest, seen: &mut Seen) -> Result<ChatReply, ModelError> {
        let answer = match tokio::time::timeout(PATIENCE, self.model.chat(request, &Arc::default())).await {
            Ok(answer) => answer,
            Err(_) => Err(ModelError::Timeout { model: self.model.name().to_owned(), after: PATIENCE }),
        };
        match &answer {
            Ok(reply) => seen.note(request, reply),
            Err(ModelError::Unreachable { .. } | ModelError::Broken { .. }) => seen.lost += 1,
            Err(_) => {}
        }
        answer
    }

    async fn give(&self, task: &Task, began: jiff::Timestamp, seen: &mut Seen) -> Result<TaskResult, ModelError> {
        let result = |passed: bool, why: String| TaskResult {
            task: task.name.to_owned(),
            kind: task.kind.as_str().to_owned(),
            passed,
            why: why.chars().filter(|c| !c.is_control()).take(300).collect(),
        };
        if self.left(began).is_zero() {
            return Ok(result(false, SKIPPED.to_owned()));
        }
        match self.ask(&task.request, seen).await {
            Ok(reply) => {
                seen.lost = 0;
                let judged = task.judge(&reply);
                Ok(result(judged.is_ok(), judged.err().unwrap_or_default()))
            }
            Err(error) if seen.lost >= GIVE_UP => Err(error),
            Err(error) => Ok(result(false, error.to_string())),
        }
    }

    /// Tokens of a long answer for each second after the first word.
    async fn pace(&self, first_word: Duration, began: jiff::Timestamp, seen: &mut Seen) -> Option<f64> {
        if self.left(began).is_zero() {
            return None;
        }
        let from = self.clock.now();
        // Without it only a figure is missing.
        let reply = self.ask(&tasks::count(), seen).await.ok()?;
        let took = self.since(from).saturating_sub(first_word);
        #[allow(clippy::cast_precision_loss)]
        let tokens = reply.usage.map_or(reply.content.len() as f64 / 4.0, |usage| usage.tokens_out as f64);
        (took > Duration::from_millis(10)).then(|| (tokens / took.as_secs_f64() * 10.0).round() / 10.0)
    }

    /// The window that somebody told, tried at half of it; else the largest text that is read from its
    /// first line on.
    async fn window(&self, began: jiff::Timestamp, seen: &mut Seen) -> Result<(Window, Vec<TaskResult>), ModelError> {
        if let Some((tokens, from)) = self.window {
            let task = tasks::needle((tokens / 2).min(MAX_NEEDLE));
            let result = self.give(&task, began, seen).await?;
            return Ok((Window { tokens: Some(tokens), from: from.to_owned() }, vec![result]));
        }
        let (mut read, mut limited, mut results) = (None, false, vec![]);
        for tokens in PROBES {
            let result = self.give(&tasks::needle(tokens), began, seen).await?;
            let (passed, skipped) = (result.passed, result.why == SKIPPED);
            // The first one is a task as any other; the next ones only look for the limit.
            if passed || results.is_empty() {
                results.push(result);
            }
            match passed {
                true => read = Some(tokens),
                false => {
                    limited = !skipped;
                    break;
                }
            }
        }
        let from = if limited { PROBED } else { PROBED_AT_LEAST };
        Ok((Window { tokens: read, from: from.to_owned() }, results))
    }
}

/// What stands instead of a result when the time was over.
pub const SKIPPED: &str = "not given: the time was over";

impl Seen {
    fn note(&mut self, request: &ChatRequest, reply: &ChatReply) {
        // As the journal holds it.
        self.answered_as.get_or_insert_with(|| reply.model.chars().take(100).collect());
        self.answers += 1;
        let Some(usage) = reply.usage else { return };
        self.counted += 1;
        let said: usize = request.messages.iter().map(|message| message.content.len()).sum();
        let offered: usize = request.tools.iter().map(|tool| tool.parameters.to_string().len()).sum();
        #[allow(clippy::cast_precision_loss)]
        let (least, most) =
            (said as f64 / CHARS_PER_TOKEN.end(), 500.0 + (said + offered) as f64 / CHARS_PER_TOKEN.start());
        #[allow(clippy::cast_precision_loss)]
        let sent = usage.tokens_in as f64;
        self.plausible += u32::from((least..=most).contains(&sent) && usage.tokens_out > 0);
    }

    fn usage(&self) -> &'static str {
        match (self.counted * 2 >= self.answers, self.plausible * 10 >= self.counted * 9) {
            (false, _) => "absent",
            (true, true) => "plausible",
            (true, false) => "implausible",
        }
    }
}

impl Kind {
    /// The word of profiles.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Report => "report",
            Self::Hierarchy => "hierarchy",
            Self::Needle => "needle",
        }
    }
}

#[cfg(test)]
mod tests;
