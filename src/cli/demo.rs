//! `firewarden demo`: a recorded incident through the whole product, over real HTTP on loopback.

mod acts;

use super::client::{Client, Seen};
use super::output::{Format, table};
use super::render::Watcher;
use super::serve::stop_on_signal;
use super::session::Session;
use super::stage::{self, Hands, Stage};
use super::status::Status;
use super::text::{Style, line, wrap};
use super::{Exit, Failure, Written, audit, logging, markdown};
use crate::analysis;
use crate::app::App;
use crate::config::{Config, Sources};
use crate::domain::Analysis;
use crate::journal::{Body, Entry};
use crate::scenario::World;
use acts::{Acts, Held};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Where people look first.
const USUAL_PORT: u16 = 8080;
/// The server must be ready within so long.
const READY: Duration = Duration::from_secs(20);

/// Play a recorded incident through the whole product, on loopback
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// The scenario
    #[arg(default_value = stage::USUAL)]
    scenario: String,
    /// Leave when it has been played, instead of staying up until Ctrl-C
    #[arg(long)]
    exit: bool,
    /// Name the scenarios
    #[arg(long)]
    list: bool,
    /// Let the configured model investigate, too (OPENAI_MODEL, or `models` in --config)
    #[arg(long)]
    model: bool,
    #[command(flatten)]
    written: Written,
}

impl Demo {
    /// Plays it.
    ///
    /// # Errors
    /// When something does not load, or nobody reads.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        if self.list {
            return list(session, self.written.output);
        }
        let config = self.config(session)?;
        let stage = Stage::set(&self.scenario, config, Hands::On).await?;
        let out = &session.out;
        let about = stage.world.about();
        let title = wrap(&format!("firewarden demo: {}", line(&about.title, 300)), out.columns);
        out.lines(title.iter().map(|text| out.colour.paint(Style::Bold, text)))?;
        let honest = format!(
            "The world of {} is a recording, served as {}; everything else is real.",
            line(&about.id, 40),
            peers(&stage)
        );
        out.lines(wrap(&honest, out.columns))?;

        let app = Arc::new(App::build(stage.config.clone()).await?);
        let listener = match TcpListener::bind(("127.0.0.1", USUAL_PORT)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind(("127.0.0.1", 0)).await?,
        };
        let address = format!("http://{}", listener.local_addr()?);
        let mut interrupted = stop_on_signal()?;
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn({
            let app = app.clone();
            async move { app.serve(listener, stopped).await }
        });
        let client = Client::new(&address, None)?;
        let exit = tokio::select! {
            played = self.play(session, &stage, &app, &client) => Some(played?),
            _ = interrupted.wait_for(|stop| *stop) => None,
        };
        if exit.is_some() && !self.exit {
            out.line(&format!("The API is at {address}/api/v1/investigations; Ctrl-C ends the demo."))?;
            let _ = interrupted.wait_for(|stop| *stop).await;
        }
        stop.send_replace(true);
        serving.await.map_err(Failure::internal)??;
        Ok(exit.unwrap_or(Exit::Fine))
    }

    /// From the webhook to the audit.
    async fn play(&self, session: &Session, stage: &Stage, app: &App, client: &Client) -> Result<Exit, Failure> {
        let out = &session.out;
        tokio::time::timeout(READY, async {
            while !client.is_ready().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .map_err(|_| Failure::internal(format!("{} is not ready after {} s", client.address(), READY.as_secs())))?;
        out.line(&format!("POST {}/webhook/alertmanager  (what Alertmanager sent)", client.address()))?;
        out.line("")?;
        let receipt = client.post("/webhook/alertmanager", stage.world.alert()).await?;
        let id = receipt["events"].as_array().into_iter().flatten().find_map(|row| row["job_id"].as_str());
        let Some(id) = id else {
            return Err(Failure::internal(format!("the alert opened no investigation: {receipt}")));
        };
        let mut watcher = Watcher::new(out.colour);
        let mut status = Status::new();
        let mut acts = Acts::new(id);
        let follow = async |seen: Seen<'_>| match seen {
            Seen::Awaited(awaited) => {
                status.show(&awaited.to_string());
                Ok(false)
            }
            Seen::Entry(entry) => {
                status.clear();
                out.lines(watcher.lines(entry))?;
                out.lines(findings(app, &watcher, entry).await?)?;
                acts.apply(entry)?;
                let now = app.engine.clock.now();
                for proposal in acts.proposals(stage.config.jira.is_some()) {
                    let to = id.parse().map_err(Failure::internal)?;
                    app.engine.store.signal(to, acts::ACTOR, proposal, now).await?;
                }
                Ok(acts.suffices(now))
            }
        };
        client.follow(id, follow).await?;
        let report = client.report(id).await?;
        out.line("")?;
        out.lines(markdown::lines(&analysis::markdown(&report), out.columns, out.colour))?;
        if acts.is_any() {
            out.line("")?;
            out.lines(acts.verdicts(out.columns, out.colour))?;
            out.line("")?;
            out.lines(acts.world(&held(stage, &acts), out.columns, out.colour))?;
            out.line("")?;
            let usual = format!("http://127.0.0.1:{USUAL_PORT}");
            out.lines(acts.question(Some(client.address()).filter(|address| *address != usual)))?;
        }
        out.line("")?;
        out.line(&out.colour.paint(Style::Bold, "firewarden audit verify"))?;
        app.checkpoint().await;
        let exit = audit::report_of_store(&stage.config.places, Format::Table, out).await?;
        out.line("")?;
        Ok(exit)
    }

    /// Nothing of this machine's configuration unless told: a file by --config, a model by --model.
    fn config(&self, session: &Session) -> Result<Config, Failure> {
        let mut sources = session.sources();
        if session.global.config.is_none() {
            let file = None;
            let model = |name: &String| {
                name.starts_with("OPENAI_") || name.starts_with("OLLAMA_") || name.starts_with("FIREWARDEN__MODELS__")
            };
            let env = sources.env.into_iter().filter(|(name, _)| name == "HOME" || self.model && model(name)).collect();
            sources = Sources { file, env, ..sources };
        }
        // The store stands in a temporary folder; without HOME there is no other place to name.
        sources.flags.push(("store.url", "demo", "sqlite:firewarden.db".into()));
        let loaded = sources.load()?;
        logging::begin(loaded.log(), logging::COMMAND);
        let mut config = loaded.resolve()?;
        if session.global.config.is_none() && session.global.policies.is_none() {
            config.places.policies = None;
            config.places.prompts = None;
        }
        match (self.model, config.models.is_empty()) {
            (true, true) => {
                let help =
                    "set OPENAI_MODEL with OPENAI_API_KEY or OPENAI_BASE_URL, or name a file with `models` by --config";
                Err(Failure::usage("no model is configured", help))
            }
            (true, false) => Ok(config),
            (false, _) => {
                config.models.clear();
                config.routes.clear();
                Ok(config)
            }
        }
    }
}

/// What the recorded world is served as.
fn peers(stage: &Stage) -> String {
    let mut peers = vec!["Kubernetes", "Prometheus"];
    peers.extend(stage.config.github.is_some().then_some("GitHub"));
    peers.extend(stage.config.jira.is_some().then_some("Jira"));
    let last = peers.pop().unwrap_or_default();
    format!("{} and {last}", peers.join(", "))
}

/// What stands in the recorded world now.
fn held(stage: &Stage, acts: &Acts) -> Held {
    let (served, world) = (stage.served(), stage.served().world());
    let claim = acts
        .claim()
        .map(|target| acts::claim(&target, world.object("PersistentVolumeClaim", &target.namespace, &target.name)));
    Held { pulls: served.pulls(), issues: served.issues(), claim }
}

/// After the survey: what it found.
async fn findings(app: &App, watcher: &Watcher, entry: &Entry) -> Result<Vec<String>, Failure> {
    let Body::Surveyed { analysis, .. } = &entry.body else { return Ok(vec![]) };
    let Some(bytes) = app.engine.store.blob(analysis).await? else { return Ok(vec![]) };
    let analysis: Analysis = serde_json::from_slice(&bytes).map_err(Failure::internal)?;
    Ok(watcher.findings(&analysis))
}

fn list(session: &Session, format: Format) -> Result<Exit, Failure> {
    let worlds = World::list()?;
    let rows: Vec<Value> = worlds.iter().map(|(id, title)| json!({"name": id, "title": title})).collect();
    session.out.value(format, &rows, || {
        table(&["name", "title"], &worlds.iter().map(|(id, title)| vec![id.clone(), title.clone()]).collect::<Vec<_>>())
    })?;
    Ok(Exit::Fine)
}
