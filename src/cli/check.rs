//! `firewarden check`: everything that can be wrong, at once.
//!
//! - [`routes`]: what can be wrong with routes
//! - [`ways`]: which route an alert takes, and why

mod routes;
mod ways;

use super::prompt::Rehearsal;
use super::session::Session;
use super::text::{block, line};
use super::{Exit, Failure, Written, logging};
use crate::app::{self, Parts};
use crate::config::{Config, Places};
use crate::domain::Clock as _;
use crate::edge::SystemClock;
use crate::policy;
use crate::scenario::World;
use crate::template::Templates;
use crate::tools::custom::command::confinement;
use crate::tools::manifest::PEERS;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Tell everything that is wrong with configuration, policies, prompts, tools and routes
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Tell instead which route each alert of this file takes, and why; `-` is stdin
    #[arg(long, value_name = "FILE")]
    alert: Option<PathBuf>,
    /// Who sent it: alertmanager, grafana, … or a name of `intake.sources`; without it, its shape tells
    #[arg(long, value_name = "NAME", requires = "alert")]
    source: Option<String>,
    #[command(flatten)]
    written: Written,
}

/// What was looked at and what is wrong with it.
#[derive(Debug, Default, Serialize)]
struct Checked {
    ok: bool,
    parts: Vec<Part>,
}

/// One part.
#[derive(Debug, Serialize)]
struct Part {
    name: &'static str,
    /// What there is, when nothing is wrong.
    about: String,
    problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize)]
struct Problem {
    what: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    help: String,
    /// It is told, and stops no start.
    #[serde(skip)]
    only_found: bool,
}

impl Problem {
    fn new(what: impl std::fmt::Display, help: impl Into<String>) -> Self {
        Self { what: block(&what.to_string(), 8000), help: help.into(), only_found: false }
    }
}

impl Check {
    /// Checks everything, or tells the ways of alerts. Exit 3 when the program would not start with it, 1 when there is only something to tidy up.
    ///
    /// # Errors
    /// When nobody reads.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        if let Some(file) = &self.alert {
            return ways::tell(session, file, self.source.as_deref(), self.written.output);
        }
        let mut parts = vec![];
        let (config, places) = configuration(session, &mut parts);
        if let Some(places) = &places {
            parts.push(policies(places));
            parts.push(tools(places));
        }
        if let (Some(config), Some(places)) = (&config, &places) {
            parts.push(prompts(config, places).await);
            parts.push(routes::check(config));
            // What only shows when all of it stands together: models, peers.
            if parts.iter().all(|part| part.problems.is_empty()) {
                parts.push(together(config).await);
            }
        }
        let checked = Checked { ok: parts.iter().all(|part| part.problems.is_empty()), parts };
        session.out.value(self.written.output, &checked, || lines(&checked))?;
        let problems = || checked.parts.iter().flat_map(|part| &part.problems);
        Ok(match (checked.ok, problems().all(|p| p.only_found)) {
            (true, _) => Exit::Fine,
            (false, true) => Exit::Found,
            (false, false) => Exit::DoesNotLoad,
        })
    }
}

fn lines(checked: &Checked) -> Vec<String> {
    let mut lines = vec![];
    for part in &checked.parts {
        match part.problems.len() {
            0 => lines.push(format!("{:<14} ok    {}", part.name, line(&part.about, 300))),
            n => lines.push(format!("{:<14} WRONG {n}", part.name)),
        }
        for problem in &part.problems {
            lines.extend(problem.what.lines().map(|text| format!("  {text}")));
            if !problem.help.is_empty() {
                lines.push(format!("    help: {}", problem.help));
            }
        }
    }
    lines
}

fn configuration(session: &Session, parts: &mut Vec<Part>) -> (Option<Config>, Option<Places>) {
    let sources = session.sources();
    let about = sources.file.as_ref().map_or("no file; defaults and variables".into(), |f| f.display().to_string());
    let mut part = Part { name: "configuration", about, problems: vec![] };
    let mut tell = |error: crate::config::ConfigError| {
        part.problems.extend(error.lines().into_iter().map(|(what, help)| Problem::new(what, help)));
    };
    let (mut config, mut places) = (None, None);
    match sources.load() {
        Err(error) => tell(error),
        Ok(loaded) => {
            logging::begin(loaded.log(), logging::COMMAND);
            places = loaded.places().ok();
            match loaded.resolve() {
                Err(error) => tell(error),
                Ok(resolved) => {
                    if let Err(error) = resolved.check_doors() {
                        tell(error);
                    }
                    config = Some(resolved);
                }
            }
        }
    }
    parts.push(part);
    (config, places)
}

fn place(dir: Option<&PathBuf>) -> String {
    dir.map_or("embedded".into(), |dir| dir.display().to_string())
}

fn policies(places: &Places) -> Part {
    let mut part = Part { name: "policies", about: String::new(), problems: vec![] };
    let bundle = match app::bundle(places.policies.as_deref()) {
        Ok(bundle) => bundle,
        Err(error) => {
            part.problems.push(Problem::new(error, ""));
            return part;
        }
    };
    let found = policy::check(&bundle, SystemClock.now()).into_iter();
    // An exception that is over has no effect, and stops no start.
    part.problems.extend(found.map(|found| Problem { only_found: !found.is_in_the_way(), ..Problem::new(found, "") }));
    if part.problems.iter().all(|problem| problem.only_found) {
        match policy::run_tests(&bundle, None) {
            Err(error) => part.problems.push(Problem::new(error, "")),
            Ok(report) => {
                let failed = report.tests.iter().filter(|test| test.outcome == policy::Outcome::Fail);
                part.problems.extend(failed.map(|test| {
                    let what = format!("{}.{} fails at {}", test.package, test.name, test.at);
                    Problem::new(what, "`firewarden policy test` says more")
                }));
                let place = place(places.policies.as_ref());
                part.about = format!("{} ({place}), {} tests", bundle.name(), report.ok);
            }
        }
    }
    if part.problems.iter().all(|problem| problem.only_found) {
        let drilled = app::policy_of(&bundle).and_then(|policy| policy::drill(&policy, &bundle, false));
        match drilled {
            Err(error) => part.problems.push(Problem::new(error, "")),
            Ok(report) => part.problems.extend(report.let_through.iter().map(|case| {
                let what = format!("drill `{}` ({}) is {}", case.name, case.path, case.said);
                Problem::new(what, "every policy has to refuse it; `firewarden policy drill` says more")
            })),
        }
    }
    part
}

fn tools(places: &Places) -> Part {
    let mut part = Part { name: "tools", about: String::new(), problems: vec![] };
    match app::manifests(places.tools.as_deref()) {
        Ok(manifests) => {
            part.about = format!("{} ({})", manifests.specs().count(), place(places.tools.as_ref()));
            for (file, spec) in manifests.specs() {
                let commands = spec.custom.iter().flat_map(|custom| custom.commands());
                for (confinement, gap) in commands.map(confinement).filter_map(|c| c.gap().map(|gap| (c, gap))) {
                    match confinement.required {
                        true => part.problems.push(Problem::new(
                            format!("{file}: {} would not run: `confine: required`, and {gap}", spec.name),
                            "run firewarden on a newer kernel",
                        )),
                        false => part.about.push_str(&format!("; {}: {gap}", spec.name)),
                    }
                }
            }
        }
        Err(error) => part.problems.push(Problem::new(error, "")),
    }
    part
}

/// Parses them, looks for names that nobody gives, and renders each for each recorded incident.
async fn prompts(config: &Config, places: &Places) -> Part {
    let mut part = Part { name: "prompts", about: String::new(), problems: vec![] };
    match Templates::load(places.prompts.as_deref()) {
        Err(error) => part.problems.push(Problem::new(error, "")),
        Ok(templates) => {
            part.problems.extend(templates.lint().into_iter().map(|what| Problem::new(what, "")));
            let names = templates.names();
            for route in config.routes.iter().filter(|route| !names.contains(&route.prompt.as_str())) {
                let what = format!("route `{}` names the prompt `{}`, which is not there", route.name, route.prompt);
                part.problems.push(Problem::new(what, format!("there are {}", names.join(", "))));
            }
        }
    }
    if part.problems.is_empty() {
        match rehearse(config, &mut part.problems).await {
            Ok((prompts, scenarios)) => {
                let place = place(places.prompts.as_ref());
                part.about = format!("{prompts} ({place}), each rendered for {scenarios} recorded incidents");
            }
            Err(Failure::PipeClosed) => {}
            Err(Failure::Told { lines, .. }) => {
                part.problems.extend(lines.into_iter().map(|(what, help)| Problem::new(what, help)));
            }
        }
    }
    part
}

async fn rehearse(config: &Config, problems: &mut Vec<Problem>) -> Result<(usize, usize), Failure> {
    let worlds = World::list()?;
    let mut told = BTreeSet::new();
    let mut prompts = 0;
    for (name, _) in &worlds {
        let rehearsal = Rehearsal::of(name, config.clone()).await?;
        let names = rehearsal.names();
        // Parts of prompts are rendered by the prompts that include them.
        let whole: Vec<&&str> = names.iter().filter(|name| !name.starts_with('_')).collect();
        prompts = whole.len();
        for prompt in whole {
            if let Err(error) = rehearsal.render(prompt)
                && told.insert(error.to_string())
            {
                problems.push(Problem::new(error, format!("seen with the scenario {name}")));
            }
        }
    }
    Ok((prompts, worlds.len()))
}

async fn together(config: &Config) -> Part {
    let mut part = Part { name: "peers", about: String::new(), problems: vec![] };
    match Parts::load(config).await {
        Ok(parts) => {
            let there: Vec<&str> = PEERS.into_iter().filter(|peer| config.has_peer(peer)).collect();
            let peers = if there.is_empty() { "no peer is configured".to_owned() } else { there.join(", ") };
            let writer = config.kubernetes.as_ref().and_then(|cluster| cluster.write.as_ref());
            let changed = match writer.map(|writer| writer.is_the_reader()) {
                None => "",
                Some(false) => "; the cluster is changed with credentials of its own",
                Some(true) => "; the cluster is changed with the credentials for reading",
            };
            let (tools, models) = (parts.tools.specs().len(), parts.models.len());
            let listed: usize = config.mcp.iter().map(|of| of.tools.len()).sum();
            let mcp = match config.mcp.len() {
                0 => String::new(),
                servers => format!(", {listed} more of {servers} MCP servers"),
            };
            part.about = format!("{peers}; {tools} tools{mcp}, {models} models; not asked{changed}");
        }
        Err(error) => part.problems.push(Problem::new(error, "")),
    }
    part
}
