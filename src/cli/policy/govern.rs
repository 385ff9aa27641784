//! `policy shadow start|stop` and `policy promote`: what admins ask of the running server.

use super::super::text::block;
use super::super::{Exit, Failure, Written, session::Session};
use crate::app;
use crate::config::Span;
use crate::domain::Clock as _;
use crate::edge::SystemClock;
use crate::policy;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The arguments of `policy shadow start`.
#[derive(Debug, clap::Args)]
pub struct Start {
    /// Folder of policies
    dir: PathBuf,
    /// How long it is tried, at most 90d
    #[arg(long, default_value = "7d", value_name = "TIME")]
    until: Span,
    #[command(flatten)]
    written: Written,
}

/// The arguments of `policy shadow stop`.
#[derive(Debug, clap::Args)]
pub struct Stop {
    #[command(flatten)]
    written: Written,
}

/// The arguments of `policy promote`.
#[derive(Debug, clap::Args)]
pub struct Promote {
    /// Refuse unless it was compared on so many decisions
    #[arg(long, default_value_t = 500, value_name = "N")]
    require_shadow: u64,
    /// Why it may be less strict than what is in force; stands in the journal
    #[arg(long, value_name = "REASON")]
    accept_widening: Option<String>,
    /// Refuse unless this is what is tried, as `policy status -o json` names what you looked at
    #[arg(long, value_name = "sha256:…")]
    digest: Option<String>,
    #[command(flatten)]
    written: Written,
}

impl Start {
    /// Runs it.
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let help = "name a folder that holds policies";
        let bundle = app::bundle(Some(&self.dir)).map_err(|error| Failure::does_not_load(error, help))?;
        let now = SystemClock.now();
        // Its mistakes are told where its author sits.
        let wrong: Vec<String> = policy::check(&bundle, now)
            .iter()
            .filter(|found| found.is_in_the_way())
            .map(|found| block(&found.to_string(), 4000))
            .collect();
        if !wrong.is_empty() {
            let what = format!("{} does not load:\n{}", self.dir.display(), wrong.join("\n"));
            return Err(Failure::does_not_load(what, "`firewarden policy check DIR` says the same"));
        }
        let ahead = SignedDuration::try_from(self.until.0).unwrap_or(SignedDuration::MAX);
        let too_long = || Failure::usage("--until lies too far ahead", "at most 90d");
        let until = now.checked_add(ahead).map_err(|_| too_long())?;
        let files: BTreeMap<&str, &str> = bundle.files().collect();
        let told = session.client()?.post("/api/v1/policies/shadow", &json!({"files": files, "until": until})).await?;
        session.out.value(self.written.output, &told, || {
            let mut lines = vec![
                format!("{} is tried until {until} and decides nothing", bundle.name()),
                "`firewarden policy shadow status` and `diff` tell how it compares".into(),
            ];
            lines.extend(listed("files that differ from what is in force", &told["files"]));
            lines
        })?;
        Ok(Exit::Fine)
    }
}

impl Stop {
    /// Runs it.
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let told = session.client()?.post("/api/v1/policies/shadow/stop", &json!({})).await?;
        session.out.value(self.written.output, &told, || {
            let tally = &told["tally"];
            let bundle = told["policy"]["bundle"].as_str().unwrap_or_default();
            vec![format!(
                "{} is not tried any more: {} compared, {} differed, {} would have been less strict",
                block(bundle, 200),
                tally["compared"],
                tally["differs"],
                tally["widens"]
            )]
        })?;
        Ok(Exit::Fine)
    }
}

impl Promote {
    /// Runs it.
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let mut asked = json!({"require_shadow": self.require_shadow, "accept_widening": self.accept_widening});
        if let Some(digest) = self.digest {
            asked["digest"] = digest.into();
        }
        let told = session.client()?.post("/api/v1/policies/promote", &asked).await?;
        session.out.value(self.written.output, &told, || lines(&told))?;
        Ok(Exit::Fine)
    }
}

fn lines(told: &Value) -> Vec<String> {
    let text = |value: &Value| block(value.as_str().unwrap_or_default(), 300);
    let short = |value: &Value| text(value).chars().take(19).collect::<String>();
    let policy = &told["policy"];
    let mut lines = vec![format!("{}  {} is in force", text(&policy["bundle"]), short(&policy["digest"]))];
    let configured = &told["configured"];
    if configured["is_the_same"] == true {
        return lines;
    }
    let place = match configured["dir"].as_str() {
        Some(dir) => format!("{} still holds", block(dir, 300)),
        None => "the program itself still carries".into(),
    };
    lines.push(format!(
        "{place} {}  {}: that is not changed by this.",
        text(&configured["bundle"]),
        short(&configured["digest"])
    ));
    lines.push("What was promoted holds, over restarts, too, until those are changed; then they decide.".into());
    lines.extend(listed(
        "these files differ: make them the same there, so that the next change begins with them",
        &configured["files"],
    ));
    lines
}

fn listed(title: &str, files: &Value) -> Vec<String> {
    let files: Vec<String> = files
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|file| format!("  {}", block(file, 200)))
        .collect();
    match files.is_empty() {
        true => vec![],
        false => std::iter::once(format!("{title}:")).chain(files).collect(),
    }
}
