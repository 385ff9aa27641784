//! `firewarden prompt render`: what a model would be told.

use super::client::Seen;
use super::investigate::{follow, normalise, read};
use super::output::{Format, note};
use super::session::Session;
use super::stage::{self, Folder, Hands, Stage};
use super::text::block;
use super::{Exit, Failure, Written, logging};
use crate::app::App;
use crate::config::{Config, RouteModel};
use crate::domain::{Analysis, Clock as _, Digest, Report, Risk, RiskSummary, SreEvent};
use crate::edge::SystemClock;
use crate::engine::offered;
use crate::engine::propose::{Case, Room, choice, submit_offer};
use crate::journal::{Entry, Investigation};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use tokio::sync::watch;

/// Characters that a token has on average.
const CHARS_PER_TOKEN: usize = 4;

/// Show what a model is told
#[derive(Debug, clap::Subcommand)]
pub enum Prompt {
    /// Render a prompt for a recorded incident, after the deterministic investigation of it
    Render {
        /// The prompt
        #[arg(default_value = "incident")]
        name: String,
        /// The incident; `firewarden demo --list` names them
        #[arg(long, default_value = stage::USUAL)]
        scenario: String,
        /// Alertmanager's JSON instead of a recorded incident, investigated with the configured peers;
        /// `-` is stdin
        #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
        alert: Option<PathBuf>,
        #[command(flatten)]
        written: Written,
    },
    /// Name the prompts
    List,
}

impl Prompt {
    /// Runs it.
    ///
    /// # Errors
    /// When prompts or scenario do not load, or nobody reads.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let config = session.config(logging::COMMAND)?;
        match self {
            Self::List => {
                let templates = crate::template::Templates::load(config.places.prompts.as_deref());
                let templates = templates.map_err(|e| Failure::does_not_load(e, ""))?;
                session.out.lines(templates.names().into_iter().map(str::to_owned))?;
            }
            Self::Render { name, scenario, alert, written } => {
                let rehearsal = match alert {
                    Some(file) => Rehearsal::of_alert(&read(&file)?, config).await?,
                    None => Rehearsal::of(&scenario, config).await?,
                };
                let preview = rehearsal.preview(&name).map_err(|e| Failure::does_not_load(e, ""))?;
                if written.output == Format::Table {
                    // The text alone is on stdout, so that it can be counted and compared.
                    preview.sizes.lines().iter().for_each(|text| note(text));
                }
                session.out.value(written.output, &preview, || {
                    block(&preview.text, 1 << 20).lines().map(str::to_owned).collect()
                })?;
            }
        }
        Ok(Exit::Fine)
    }
}

/// What would be sent, and how much it is.
#[derive(Debug, Serialize)]
struct Preview {
    prompt: String,
    text: String,
    #[serde(flatten)]
    sizes: Sizes,
}

/// How much would be sent with the first request. Tokens are estimated at four characters each.
#[derive(Debug, Serialize)]
struct Sizes {
    /// Digest of all prompts: reports and transcripts name the same.
    prompts_digest: Digest,
    /// The prompt alone.
    prompt_tokens: usize,
    /// What is the same for every incident: rules and tools.
    head_tokens: usize,
    /// The first request as a whole.
    request_tokens: usize,
    /// Tools on offer.
    tools: usize,
}

impl Sizes {
    fn lines(&self) -> [String; 2] {
        [
            format!(
                "about {} tokens of prompt; the first request about {}: head {} (rules, {} tools) and incident",
                self.prompt_tokens, self.request_tokens, self.head_tokens, self.tools
            ),
            format!("prompts {}", self.prompts_digest),
        ]
    }
}

/// An incident, investigated without a model up to where a model would be asked.
#[derive(Debug)]
pub(super) struct Rehearsal {
    app: App,
    context: Value,
    /// The tools of its route, by name or tag.
    wanted: Vec<String>,
    /// Its first alert.
    opening: SreEvent,
    /// Keeps the recorded world, or the temporary store, as long as it is needed.
    _stage: Option<Stage>,
    _folder: Option<Folder>,
}

impl Rehearsal {
    /// Investigates the scenario `name`.
    ///
    /// # Errors
    /// When something does not load.
    pub(super) async fn of(name: &str, config: Config) -> Result<Self, Failure> {
        let mut stage = Stage::set(name, config, Hands::Off).await?;
        stage.config.models.clear();
        stage.config.routes.clear();
        let (alert, now) = (stage.world.alert().to_string(), stage.world.now());
        let rehearsal = Self::play(stage.config.clone(), alert.as_bytes(), now).await?;
        Ok(Self { _stage: Some(stage), ..rehearsal })
    }

    /// Investigates the alert in `bytes` with the configured peers, in a store of its own.
    ///
    /// # Errors
    /// When something does not load, or there is no alert that fires in it.
    async fn of_alert(bytes: &[u8], mut config: Config) -> Result<Self, Failure> {
        let folder = Folder::new()?;
        config.places.store = folder.path().join("firewarden.db");
        config.models.clear();
        config.routes.iter_mut().for_each(|route| route.model = RouteModel::Without);
        config.notify.clear();
        let rehearsal = Self::play(config, bytes, SystemClock.now()).await?;
        Ok(Self { _folder: Some(folder), ..rehearsal })
    }

    async fn play(config: Config, alert: &[u8], now: Timestamp) -> Result<Self, Failure> {
        let budget = config.budget;
        let app = App::build(config).await?;
        let (from, normalised) = normalise(&app, None, alert)?;
        let receipt = app.intake.accept(from.name(), normalised).await?;
        let id = receipt.rows.iter().find_map(|row| row.job_id);
        let id = id.ok_or_else(|| Failure::usage("no alert in it fires", "a resolved alert opens no investigation"))?;
        let (stop, stopped) = watch::channel(false);
        let working = app.work(stopped);
        let mut entries: Vec<Entry> = vec![];
        let report = follow(&app, &id.to_string(), |seen| match seen {
            Seen::Entry(entry) => entries.push(entry.clone()),
            Seen::Awaited(_) => {}
        })
        .await?;
        stop.send_replace(true);
        let _ = working.await;
        let inv = Investigation::fold(&id.to_string(), &entries).map_err(Failure::internal)?;
        let report: Report = fetch(&app, report.as_ref()).await?;
        let analysis: Analysis = fetch(&app, inv.survey.analysis.as_ref()).await?;
        let risk = RiskSummary { level: report.risk.level, reasons: inv.risk_reasons.clone() };
        let case = Case {
            events: &inv.events,
            beyond: inv.counted.alerts.len(),
            risk: &risk,
            analysis: &analysis,
            evidence: &report.evidence,
            not_collected: &report.provenance.collections_failed,
            changes: &[],
            budget: &budget,
            room: Room::default(),
            nonce: "0123456789abcdef",
            now,
        };
        let mut context = case.context();
        context["reason"] = json!("the budget of turns is used up");
        context["evidence_ids"] = report.evidence.iter().map(|item| item.id.as_str()).collect();
        let wanted = inv.frozen.as_ref().map(|frozen| frozen.tools.clone()).unwrap_or_default();
        let opening = inv.opening().cloned().ok_or_else(|| Failure::internal("the investigation has no alert"))?;
        Ok(Self { app, context, wanted, opening, _stage: None, _folder: None })
    }

    /// Renders a prompt for it.
    ///
    /// # Errors
    /// When it does not render.
    pub(super) fn render(&self, name: &str) -> Result<String, crate::template::TemplateError> {
        self.app.engine.templates.render(name, &self.context)
    }

    fn preview(&self, name: &str) -> Result<Preview, crate::template::TemplateError> {
        let tokens = |chars: usize| chars.div_ceil(CHARS_PER_TOKEN);
        let engine = &self.app.engine;
        let text = self.render(name)?;
        let system = self.render("system")?;
        let mut offers = offered(&engine.tools, &self.wanted, Some(&self.opening), Risk::Low, system.len());
        offers.push(submit_offer());
        let tools: usize = offers.iter().map(choice::size).sum();
        let head = system.chars().count() + tools;
        let incident = if name == "system" { "incident" } else { name };
        let incident = self.render(incident)?.chars().count();
        let sizes = Sizes {
            prompts_digest: engine.templates.digest(),
            prompt_tokens: tokens(text.chars().count()),
            head_tokens: tokens(head),
            request_tokens: tokens(head) + tokens(incident),
            tools: offers.len(),
        };
        Ok(Preview { prompt: name.to_owned(), text, sizes })
    }

    /// Every prompt there is.
    pub(super) fn names(&self) -> Vec<&str> {
        self.app.engine.templates.names()
    }
}

async fn fetch<T: serde::de::DeserializeOwned>(
    app: &App,
    reference: Option<&crate::domain::BlobRef>,
) -> Result<T, Failure> {
    let missing = || Failure::internal("the investigation left nothing to render from");
    let bytes = app.engine.store.blob(reference.ok_or_else(missing)?).await?.ok_or_else(missing)?;
    serde_json::from_slice(&bytes).map_err(Failure::internal)
}
