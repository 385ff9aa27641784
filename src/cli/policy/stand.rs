//! `policy status` and `policy shadow`: what is in force, refused and tried.

use super::super::output::table;
use super::super::{Exit, Failure, Written, session::Session};
use super::{govern, store};
use crate::journal::{Body, ShadowDiffered, chain::SYSTEM};
use crate::store::Journal as _;
use serde_json::Value;

/// Entries that are read at once.
const PAGE: u32 = 500;

/// The arguments of `policy status`.
#[derive(Debug, clap::Args)]
pub struct Status {
    #[command(flatten)]
    written: Written,
}

/// The policy that is tried beside the active one
#[derive(Debug, clap::Subcommand)]
pub enum Shadow {
    /// Have the running server try a folder of policies, which decides nothing
    Start(govern::Start),
    /// End that
    Stop(govern::Stop),
    /// How it compares, by the running server
    Status {
        #[command(flatten)]
        written: Written,
    },
    /// Each decision that it would have made otherwise, by the journal; exit 1 when any would be less strict
    Diff {
        /// At most so many, the newest
        #[arg(long, default_value_t = 50)]
        limit: usize,
        #[command(flatten)]
        written: Written,
    },
}

impl Status {
    /// Runs it.
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let told = session.client()?.get("/api/v1/policies", &[]).await?;
        session.out.value(self.written.output, &told, || lines(&told))?;
        // A refused bundle is something that was found.
        Ok(if told["rejected"].is_null() { Exit::Fine } else { Exit::Found })
    }
}

impl Shadow {
    /// Runs it.
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        match self {
            Self::Start(command) => command.run(session).await,
            Self::Stop(command) => command.run(session).await,
            Self::Status { written } => {
                let told = session.client()?.get("/api/v1/policies", &[]).await?["shadow"].take();
                session.out.value(written.output, &told, || match told.is_null() {
                    true => vec!["no policy is tried: `firewarden policy shadow start DIR` begins that".into()],
                    false => tried(&told),
                })?;
                Ok(Exit::Fine)
            }
            Self::Diff { limit, written } => {
                let found = differences(session, limit).await?;
                let widens = found.iter().any(|(_, differs)| differs.widens);
                let rows: Vec<Value> = found
                    .iter()
                    .filter_map(|(at, differs)| {
                        let mut row = serde_json::to_value(differs).ok()?;
                        row["at"] = Value::from(at.clone());
                        Some(row)
                    })
                    .collect();
                session.out.value(written.output, &rows, || {
                    let cells = found.iter().map(|(at, d)| {
                        let change = format!("{} → {}", d.active, d.shadow);
                        let mark = if d.widens { "WIDENS" } else { "narrows" };
                        vec![
                            at.clone(),
                            mark.into(),
                            change,
                            d.about.clone(),
                            d.decision.to_string(),
                            d.lost.join(" "),
                            d.gained.join(" "),
                        ]
                    });
                    table(&["at", "", "change", "about", "decision", "lost", "gained"], &cells.collect::<Vec<_>>())
                })?;
                Ok(if widens { Exit::Found } else { Exit::Fine })
            }
        }
    }
}

/// The newest differences, newest first.
async fn differences(session: &Session, limit: usize) -> Result<Vec<(String, ShadowDiffered)>, Failure> {
    let store = store(session).await?;
    let mut found = std::collections::VecDeque::new();
    let mut after = 0;
    loop {
        let page = store.entries(SYSTEM, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for entry in page {
            if let Body::ShadowDiffered(differs) = entry.body {
                found.push_front((entry.at.to_string(), differs));
                found.truncate(limit);
            }
        }
    }
    Ok(found.into())
}

fn lines(told: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let short = |value: &Value| text(value).chars().take(19).collect::<String>();
    let active = &told["active"];
    let mut lines = vec![format!(
        "active    {}  {}  since {}  {} modules, {} rules",
        text(&active["bundle"]),
        short(&active["digest"]),
        text(&active["since"]),
        active["modules"],
        active["rules"].as_array().map_or(0, Vec::len)
    )];
    if !told["rejected"].is_null() {
        let rejected = &told["rejected"];
        lines.push(format!(
            "rejected  {}  {}  at {}",
            text(&rejected["policy"]["bundle"]),
            short(&rejected["policy"]["digest"]),
            text(&rejected["at"])
        ));
        lines.extend(
            rejected["errors"].as_array().into_iter().flatten().map(|error| format!("          {}", text(error))),
        );
    }
    if let Some(over) = active["promoted_over"].as_str() {
        let over: String = over.chars().take(19).collect();
        lines.push(format!("          promoted; it holds until the configured policies, {over}, are others"));
    }
    lines.extend(active["exceptions"].as_array().into_iter().flatten().map(|exception| {
        let (id, rule) = (text(&exception["id"]), text(&exception["rule"]));
        format!("exception {id}  {rule}  until {}  {}", text(&exception["until"]), text(&exception["owner"]))
    }));
    match told["shadow"].is_null() {
        true => lines.push("shadow    none".into()),
        false => lines.extend(tried(&told["shadow"])),
    }
    lines
}

fn tried(shadow: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tally = &shadow["tally"];
    let (bundle, since) = (text(&shadow["bundle"]), text(&shadow["since"]));
    let mut lines = vec![format!(
        "shadow    {bundle}  since {since}  {} compared, {} differ ({} widen, {} narrow), {} errors, {} skipped",
        tally["compared"], tally["differs"], tally["widens"], tally["narrows"], tally["errors"], tally["skipped"]
    )];
    if let (Some(by), Some(until)) = (shadow["by"].as_str(), shadow["until"].as_str()) {
        lines.push(format!("          begun by {by}, until {until}"));
    }
    lines
}
