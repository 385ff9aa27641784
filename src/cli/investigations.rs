//! `firewarden investigations list|show|watch|report|transcript|cancel`.

use super::client::Seen;
use super::events::{Paging, fields, list, plain, rows, word};
use super::render::Watcher;
use super::session::Session;
use super::status::Status;
use super::{Exit, Failure, Written, markdown, question, transcript};
use crate::analysis;
use serde_json::{Value, json};

/// What a running server investigates
#[derive(Debug, clap::Subcommand)]
pub enum Investigations {
    /// The newest investigations
    List {
        /// queued, running, waiting_approval, verifying, paused or closed
        #[arg(long)]
        state: Option<String>,
        /// LOW, MEDIUM, HIGH or CRITICAL
        #[arg(long)]
        risk: Option<String>,
        /// The route that they took
        #[arg(long)]
        route: Option<String>,
        /// Whom they concern
        #[arg(long)]
        subject: Option<String>,
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        written: Written,
    },
    /// One investigation
    Show {
        /// Its id, inv_…
        id: String,
        #[command(flatten)]
        written: Written,
    },
    /// One investigation as it happens, until it is closed
    Watch {
        /// Its id, inv_…
        id: String,
    },
    /// The report of an investigation
    Report {
        /// Its id, inv_…
        id: String,
        #[command(flatten)]
        written: Written,
        /// As Markdown, as it is
        #[arg(long, conflicts_with = "output")]
        markdown: bool,
    },
    /// What the model was told and answered, turn by turn, as Markdown
    Transcript {
        /// Its id, inv_…
        id: String,
        /// Only turns after this one
        #[arg(long, default_value_t = 0, value_name = "TURN")]
        after: u32,
        #[command(flatten)]
        written: Written,
    },
    /// Stop an investigation
    Cancel {
        /// Its id, inv_…
        id: String,
        /// Why; it stands in the journal
        #[arg(long, default_value = "cancelled from the command line")]
        reason: String,
    },
}

impl Investigations {
    /// Runs it.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses, or nobody reads.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let out = &session.out;
        match self {
            Self::List { state, risk, route, subject, paging, written } => {
                let filters = [("state", state), ("risk", risk), ("route", route), ("subject", subject)];
                let page = list(session, "/api/v1/investigations", filters, paging).await?;
                let cells = |row: &Value| {
                    let mut cells: Vec<String> = ["id", "opened_at", "state"].iter().map(|k| word(row, k)).collect();
                    cells.push(word(&row["risk"], "level"));
                    cells.extend(["verdict", "alert", "subject"].iter().map(|key| word(row, key)));
                    cells
                };
                let heads = ["id", "opened", "state", "risk", "verdict", "alert", "subject"];
                out.value(written.output, &page, || rows(&page, &heads, cells))?;
            }
            Self::Show { id, written } => {
                let path = format!("/api/v1/investigations/{}", plain(&id)?);
                let investigation = session.client()?.get(&path, &[]).await?;
                let lines = || {
                    let mut rest = investigation.clone();
                    let actions = rest.as_object_mut().and_then(|rest| rest.remove("actions")).unwrap_or_default();
                    let mut lines = fields(&rest);
                    lines.extend(question::changes(&actions, out.columns));
                    lines
                };
                out.value(written.output, &investigation, lines)?;
            }
            Self::Watch { id } => {
                let mut watcher = Watcher::new(out.colour);
                let mut status = Status::new();
                let follow = async |seen: Seen<'_>| match seen {
                    Seen::Awaited(awaited) => {
                        status.show(&awaited.to_string());
                        Ok(())
                    }
                    Seen::Entry(entry) => {
                        status.clear();
                        out.lines(watcher.lines(entry))
                    }
                };
                session.client()?.follow(plain(&id)?, follow).await?;
            }
            Self::Report { id, written, markdown: raw } => {
                let report = session.client()?.report(plain(&id)?).await?;
                let text = analysis::markdown(&report);
                match raw {
                    true => out.text(&super::text::block(&text, 4 << 20))?,
                    false => out.value(written.output, &report, || markdown::lines(&text, out.columns, out.colour))?,
                }
            }
            Self::Transcript { id, after, written } => {
                let path = format!("/api/v1/investigations/{}/transcript", plain(&id)?);
                let page = session.client()?.get(&path, &[("after", &after.to_string())]).await?;
                out.value(written.output, &page, || transcript::markdown(&page).lines().map(str::to_owned).collect())?;
            }
            Self::Cancel { id, reason } => {
                let path = format!("/api/v1/investigations/{}/cancel", plain(&id)?);
                session.client()?.post(&path, &json!({"reason": reason})).await?;
                out.line(&format!("{id} will be cancelled at its next step"))?;
            }
        }
        Ok(Exit::Fine)
    }
}
