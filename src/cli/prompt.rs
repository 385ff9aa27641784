//! `firewarden prompt render`: what a model would be told.

use super::investigate::{follow, normalise, source};
use super::session::Session;
use super::stage::{self, Stage};
use super::text::block;
use super::{Exit, Failure, logging};
use crate::app::App;
use crate::config::Config;
use crate::domain::{Analysis, Report, RiskSummary};
use crate::engine::propose::{Case, Room};
use crate::journal::{Entry, Investigation};
use serde_json::{Value, json};
use tokio::sync::watch;

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
            Self::Render { name, scenario } => {
                let rehearsal = Rehearsal::of(&scenario, config).await?;
                let text = rehearsal.render(&name).map_err(|e| Failure::does_not_load(e, ""))?;
                session.out.text(&block(&text, 1 << 20))?;
            }
        }
        Ok(Exit::Fine)
    }
}

/// A recorded incident, investigated without a model up to where a model would be asked.
#[derive(Debug)]
pub(super) struct Rehearsal {
    app: App,
    context: Value,
    _stage: Stage,
}

impl Rehearsal {
    /// Investigates the scenario `name`.
    ///
    /// # Errors
    /// When something does not load.
    pub(super) async fn of(name: &str, config: Config) -> Result<Self, Failure> {
        let mut stage = Stage::set(name, config).await?;
        stage.config.models.clear();
        stage.config.routes.clear();
        let app = App::build(stage.config.clone()).await?;
        let alert = stage.world.alert().to_string();
        let from = source("alertmanager")?;
        let receipt = app.intake.accept(from.name(), normalise(&app, from, alert.as_bytes())?).await?;
        let id = receipt.rows.iter().find_map(|row| row.job_id);
        let id = id.ok_or_else(|| Failure::internal(format!("the alert of {name} opens no investigation")))?;
        let (stop, stopped) = watch::channel(false);
        let working = app.work(stopped);
        let mut entries: Vec<Entry> = vec![];
        let report = follow(&app, &id.to_string(), |entry| entries.push(entry.clone())).await?;
        stop.send_replace(true);
        let _ = working.await;
        let inv = Investigation::fold(&id.to_string(), &entries).map_err(Failure::internal)?;
        let report: Report = fetch(&app, report.as_ref()).await?;
        let analysis: Analysis = fetch(&app, inv.survey.analysis.as_ref()).await?;
        let risk = RiskSummary { level: report.risk.level, reasons: inv.risk_reasons.clone() };
        let case = Case {
            events: &inv.events,
            risk: &risk,
            analysis: &analysis,
            evidence: &report.evidence,
            not_collected: &report.provenance.collections_failed,
            budget: &stage.config.budget,
            room: Room::default(),
            nonce: "0123456789abcdef",
            now: stage.world.now(),
        };
        let mut context = case.context();
        context["reason"] = json!("the budget of turns is used up");
        context["evidence_ids"] = report.evidence.iter().map(|item| item.id.as_str()).collect();
        Ok(Self { app, context, _stage: stage })
    }

    /// Renders a prompt for it.
    ///
    /// # Errors
    /// When it does not render.
    pub(super) fn render(&self, name: &str) -> Result<String, crate::template::TemplateError> {
        self.app.engine.templates.render(name, &self.context)
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
