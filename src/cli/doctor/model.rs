//! `firewarden doctor model`.

use crate::app;
use crate::cli::output::note;
use crate::cli::session::Session;
use crate::cli::text::{line, pad};
use crate::cli::{Exit, Failure, Written, logging};
use crate::config::{Config, Model, Provider};
use crate::edge::SystemClock;
use crate::engine::trial::Trial;
use crate::model::{self, Grade, ModelError, ModelProvider, Profile};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// No task begins later; the last one may take half a minute more.
const WITHIN: Duration = Duration::from_secs(90);

/// Measure a model: window, tools, reports, orders in data, speed
#[derive(Debug, clap::Args)]
pub struct Measure {
    /// The configured name [default: the first of `models`]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Where the profile goes [default: beside the store, where the server finds it]
    #[arg(long, value_name = "PATH")]
    write: Option<PathBuf>,
    #[command(flatten)]
    written: Written,
}

impl Measure {
    /// Measures it and writes its profile. Exit 0 when it is ok, 1 when it is weak or failed, 4 when it
    /// cannot be asked.
    ///
    /// # Errors
    /// When the configuration does not load, the model cannot be asked, or the profile not be written.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let config = session.config(logging::COMMAND)?;
        let configured = chosen(&config, self.model.as_deref())?;
        let (window, provider) = prepared(configured).await?;
        note(&format!("measuring {}, at most two minutes", line(&configured.name, 60)));
        let trial = Trial {
            model: provider.as_ref(),
            clock: &SystemClock,
            base_url: &configured.base_url,
            window,
            within: WITHIN,
        };
        let measured = trial.run(|result| {
            let mark = if result.passed { "ok  " } else { "FAIL" };
            note(&format!(
                "{mark}  {}  {}",
                pad(&result.kind, 9),
                line(&format!("{}  {}", result.task, result.why), 160)
            ));
        });
        let profile = measured.await.map_err(unusable)?;
        let path = self.write.unwrap_or_else(|| Profile::path(&config.places.store, &configured.name));
        profile.write(&path).map_err(Failure::internal_without_report)?;
        session.out.value(self.written.output, &profile, || {
            let mut lines = lines(&profile);
            lines.push(format!("profile    {}", path.display()));
            lines
        })?;
        Ok(if profile.verdict == Grade::Ok { Exit::Fine } else { Exit::Found })
    }
}

/// The model, and its window as far as somebody tells it: the configuration, the provider that asks for
/// so much, or the server.
async fn prepared(configured: &Model) -> Result<(Option<(u64, &'static str)>, Arc<dyn ModelProvider>), Failure> {
    let provider = app::model(configured, None).map_err(|e| Failure::does_not_load(e, ""))?;
    if let Some(tokens) = configured.context_tokens {
        return Ok((Some((tokens, "configured")), provider));
    }
    provider.prepare().await;
    if let Some(tokens) = provider.limits().context_tokens {
        return Ok((Some((tokens, "asked for with each request")), provider));
    }
    let (name, key) = (&configured.name, configured.api_key.as_ref());
    // A server that says nothing of itself is measured all the same.
    let about = model::about(name, &configured.model, &configured.base_url, key).await.unwrap_or_default();
    Ok((about.context_tokens.map(|tokens| (tokens, about.said_at)), provider))
}

fn chosen<'a>(config: &'a Config, name: Option<&str>) -> Result<&'a Model, Failure> {
    let found = match name {
        Some(name) => config.models.iter().find(|model| model.name == name),
        None => config.models.first(),
    };
    if let Some(model) = found.filter(|model| model.provider == Provider::Replay) {
        let what = format!("`{}` is a recording: there is nothing to measure", line(&model.name, 60));
        return Err(Failure::usage(what, "name another with --model"));
    }
    found.ok_or_else(|| match name {
        Some(name) if !config.models.is_empty() => {
            let names: Vec<&str> = config.models.iter().map(|model| model.name.as_str()).collect();
            Failure::usage(
                format!("no model is called `{}`", line(name, 60)),
                format!("there are {}", names.join(", ")),
            )
        }
        _ => Failure::usage("no model is configured", "set `models` in the configuration, or OPENAI_MODEL"),
    })
}

fn unusable(error: ModelError) -> Failure {
    match error {
        ModelError::Settings { .. } => Failure::does_not_load(error, ""),
        _ => Failure::unreachable(error, "nothing was measured, and an earlier profile stays"),
    }
}

fn lines(profile: &Profile) -> Vec<String> {
    let mut lines = vec![format!("verdict    {}", profile.verdict.as_str())];
    lines.extend(profile.reasons.iter().map(|why| format!("           {}", line(why, 160))));
    lines.push(format!("model      {} ({})", line(&profile.answered_as, 80), line(&profile.base_url, 120)));
    for (kind, score) in &profile.scores {
        lines.push(format!("{}  {} of {}", pad(kind, 9), score.passed, score.of));
    }
    let window = profile.window.tokens.map_or("unknown".to_owned(), |tokens| format!("{tokens} tokens"));
    lines.push(format!("window     {window} ({})", line(&profile.window.from, 40)));
    let word = profile.speed.first_word_ms.map_or("unknown".to_owned(), |ms| format!("{ms} ms to a word"));
    let pace = profile.speed.tokens_per_s.map_or(String::new(), |pace| format!(", {pace} tokens/s"));
    lines.push(format!("speed      {word}{pace}; took {} s in all", profile.took_s));
    lines.push(format!("usage      {}", profile.usage));
    lines
}
