//! `firewarden policy …`: the tools of who writes policies.
//!
//! - [`judge`]: `eval` and `explain`, of a file or of a recorded decision
//! - [`proof`]: `check`, `test`, `coverage` and `drill`
//! - [`past`]: `replay` and `capture`; [`stand`]: `status` and `shadow`; [`govern`]: `shadow start|stop` and
//!   `promote`

mod govern;
mod judge;
mod past;
mod proof;
mod stand;

use super::session::Session;
use super::{Exit, Failure};
use crate::app;
use crate::domain::DecisionId;
use crate::engine::recorded::{self, Input, Inputs, Recorded};
use crate::policy::{Bundle, PolicyError};
use crate::store::Store;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Check, test and try policies
#[derive(Debug, clap::Subcommand)]
pub enum Policy {
    /// Tell every mistake in the policies
    Check(proof::Check),
    /// Run the policies' own tests
    Test(proof::Test),
    /// Tell which lines and rules the tests do not reach
    Coverage(proof::CoverageOf),
    /// Judge what every policy has to refuse, and find fields that a refusal rests on
    Drill(proof::Drill),
    /// Judge an input and print the decision
    Eval(judge::Eval),
    /// Say why a decision is what it is, and what would change it
    Explain(judge::Explain),
    /// Judge every recorded decision again, under edited policies
    Replay(past::Replay),
    /// Write a recorded decision as a test case
    Capture(past::Capture),
    /// Tell which policy is in force, which was refused and which is tried, by the running server
    Status(stand::Status),
    /// The policy that is tried beside the active one
    #[command(subcommand)]
    Shadow(stand::Shadow),
    /// Put in force what is tried, on the running server
    Promote(govern::Promote),
}

impl Policy {
    /// Runs it.
    ///
    /// # Errors
    /// When the policies do not load, there is no store where one is asked, or nobody reads.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        match self {
            Self::Check(command) => command.run(session),
            Self::Test(command) => command.run(session),
            Self::Coverage(command) => command.run(session),
            Self::Drill(command) => command.run(session),
            Self::Eval(command) => command.run(session).await,
            Self::Explain(command) => command.run(session).await,
            Self::Replay(command) => command.run(session).await,
            Self::Capture(command) => command.run(session).await,
            Self::Status(command) => command.run(session).await,
            Self::Shadow(command) => command.run(session).await,
            Self::Promote(command) => command.run(session).await,
        }
    }
}

/// The bundle that was named, or the configured one.
fn bundle(session: &Session, dir: Option<PathBuf>) -> Result<Bundle, Failure> {
    let dir = match dir {
        Some(dir) => Some(dir),
        None => session.places()?.policies,
    };
    app::bundle(dir.as_deref()).map_err(|e| Failure::does_not_load(e, "name a folder that holds policies"))
}

/// The configured bundle, ready to judge. A tool for authors has more time than a decision.
fn policy(session: &Session) -> Result<app::AuthorsPolicy, Failure> {
    app::policy_of(&bundle(session, None)?).map_err(refused)
}

fn refused(error: PolicyError) -> Failure {
    Failure::does_not_load(error, "`firewarden policy check` tells every mistake")
}

/// The store, for reading beside whoever writes it.
async fn store(session: &Session) -> Result<impl Store, Failure> {
    Ok(app::reader(&session.places()?.store).await?)
}

/// A decision of the past with its input, which is what was judged.
async fn past(session: &Session, id: DecisionId) -> Result<(Recorded, Value), Failure> {
    let store = store(session).await?;
    let failed = |error| Failure::internal_without_report(error);
    let Some(found) = recorded::find(&store, id).await.map_err(failed)? else {
        let help = "`firewarden investigations show inv_…` and its journal name the decisions";
        return Err(Failure::usage(format!("no decision {id} is recorded in this store"), help));
    };
    match Inputs::default().read(&store, &found).await? {
        Input::Exact(input) => Ok((found, input)),
        Input::Gone => {
            Err(Failure::new(Exit::Found, format!("the input of {id} is not kept any more, or never was"), ""))
        }
        Input::Other => {
            let help = "`firewarden audit verify` tells the extent";
            Err(Failure::new(Exit::Found, format!("what is kept of {id} is not what was judged"), help))
        }
    }
}

/// A file as JSON; YAML is read, too. `-` is stdin.
fn document(path: &Path) -> Result<Value, Failure> {
    let unreadable = |error| Failure::usage(format!("{} cannot be read: {error}", path.display()), "");
    let text = match path.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(path),
    };
    let text = text.map_err(unreadable)?;
    serde_json::from_str(&text).or_else(|_| serde_saphyr::from_str(&text)).map_err(|error| {
        Failure::usage(format!("{} holds no JSON or YAML: {error}", path.display()), "give it an input document")
    })
}
