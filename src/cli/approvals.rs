//! `firewarden approvals list|show|grant|deny`.

use super::client::Client;
use super::events::{Paging, list, plain, rows, word};
use super::output::note;
use super::session::Session;
use super::text::line;
use super::{Exit, Failure, Written, question};
use crate::domain::ApprovalState;
use crate::journal::ApprovalView;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

/// Changes that wait for a person, and those that were answered
#[derive(Debug, clap::Subcommand)]
pub enum Approvals {
    /// The newest questions
    List {
        /// pending, approved, executing, succeeded, failed, unknown, denied, expired, withdrawn or invalidated
        #[arg(long)]
        state: Option<String>,
        /// Of this investigation alone, inv_…
        #[arg(long)]
        investigation: Option<String>,
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        written: Written,
    },
    /// One question: exactly what would be changed, and who may answer
    Show {
        /// Its id, apr_…
        id: String,
        #[command(flatten)]
        written: Written,
    },
    /// Say yes to exactly what is shown; asks once more on a terminal
    Grant {
        /// Its id, apr_…
        id: String,
        /// Stands in the journal
        #[arg(long, default_value = "")]
        comment: String,
        /// Only if this still is its digest
        #[arg(long)]
        digest: Option<String>,
        /// Do not ask once more
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        written: Written,
    },
    /// Say no
    Deny {
        /// Its id, apr_…
        id: String,
        /// Why; it stands in the journal and in the report
        #[arg(long, default_value = "denied from the command line")]
        reason: String,
        #[command(flatten)]
        written: Written,
    },
}

impl Approvals {
    /// Runs it.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses, or nobody reads.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let out = &session.out;
        match self {
            Self::List { state, investigation, paging, written } => {
                let filters = [("state", state), ("investigation", investigation)];
                let page = list(session, "/api/v1/approvals", filters, paging).await?;
                let cells = |row: &Value| {
                    let mut cells: Vec<String> = ["id", "state", "risk"].iter().map(|key| word(row, key)).collect();
                    cells.push(word(&row["action"], "title"));
                    cells.extend(["expires_at", "investigation"].iter().map(|key| word(row, key)));
                    cells
                };
                let heads = ["id", "state", "risk", "change", "expires", "investigation"];
                out.value(written.output, &page, || rows(&page, &heads, cells))?;
            }
            Self::Show { id, written } => {
                let view = fetch(&session.client()?, &id).await?;
                out.value(written.output, &view, || question::lines(&view, Timestamp::now(), out.columns))?;
            }
            Self::Grant { id, comment, digest, yes, written } => {
                let client = session.client()?;
                let view = fetch(&client, &id).await?;
                question::lines(&view, Timestamp::now(), out.columns).iter().for_each(|line| note(line));
                if digest.is_some_and(|digest| digest != view.action_digest.as_str()) {
                    let what =
                        format!("{} is not what this digest stands for: it is about something else now", view.id);
                    return Err(Failure::usage(what, "read what is shown above and decide on that"));
                }
                if !yes && view.state == ApprovalState::Pending && !is_confirmed()? {
                    note("nothing was granted");
                    return Ok(Exit::Found);
                }
                let body = json!({"action_digest": view.action_digest, "comment": comment});
                let answer = client.post(&format!("/api/v1/approvals/{}/grant", view.id), &body).await?;
                out.value(written.output, &answer, || told("granted", &view))?;
            }
            Self::Deny { id, reason, written } => {
                let client = session.client()?;
                let view = fetch(&client, &id).await?;
                let path = format!("/api/v1/approvals/{}/deny", view.id);
                let answer = client.post(&path, &json!({"reason": reason})).await?;
                out.value(written.output, &answer, || told("denied", &view))?;
            }
        }
        Ok(Exit::Fine)
    }
}

async fn fetch(client: &Client, id: &str) -> Result<ApprovalView, Failure> {
    let value = client.get(&format!("/api/v1/approvals/{}", plain(id)?), &[]).await?;
    serde_json::from_value(value)
        .map_err(|e| Failure::internal(format!("{} sent an approval that cannot be read: {e}", client.address())))
}

fn told(what: &str, view: &ApprovalView) -> Vec<String> {
    vec![
        format!("{} {what}: {}", view.id, line(&view.action.title, 200)),
        format!("what becomes of it: firewarden investigations watch {}", view.investigation),
    ]
}

/// Whether the person at the terminal says yes; without a terminal the command itself is the yes.
fn is_confirmed() -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Ok(true);
    }
    write!(io::stderr(), "\nGrant exactly this? [y/N] ")?;
    io::stderr().flush()?;
    let mut said = String::new();
    io::stdin().lock().read_line(&mut said)?;
    Ok(is_yes(&said))
}

fn is_yes(said: &str) -> bool {
    matches!(said.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (said, yes) in
            [("y\n", true), ("YES\n", true), ("\n", false), ("", false), ("n\n", false), ("yep\n", false)]
        {
            assert_eq!(is_yes(said), yes, "{said:?}");
        }
    }

    #[test]
    fn what_was_answered_is_said_in_a_harmless_line() {
        let mut view = crate::journal::asked::sample(1, "inv_00000000-0000-0000-0000-000000000007".parse().unwrap());
        view.action.title = "scale\x1b[2J\napi".into();
        assert_eq!(
            told("granted", &view),
            [
                "apr_00000000-0000-0000-0000-000000000001 granted: scale api",
                "what becomes of it: firewarden investigations watch inv_00000000-0000-0000-0000-000000000007"
            ]
        );
    }
}
