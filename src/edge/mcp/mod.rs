//! MCP servers: commands that stay, and addresses that are posted to.
//!
//! - here: what a server is asked, and what it answers.
//! - [`offered`]: what its lists and results say; pure.
//! - [`connection`]: one server, connected to when it is needed, again and again.
//! - [`wire`]: messages in and out. What a server asks of us is refused there.

mod connection;
mod offered;
mod wire;

pub use connection::{McpServer, Way};
pub use offered::{Answer, Hints, Offered};

use crate::domain::{Digest, Effect};
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::Duration;

/// What a tool has to be when it is called: what it was when somebody looked at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// Over its name, description and parameters.
    pub digest: Digest,
    /// What the server says of it beside.
    pub hints: Hints,
}

/// One call of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The server's name for it.
    pub tool: String,
    /// What it has to be.
    pub pin: Pin,
    /// What it is given.
    pub arguments: Map<String, Value>,
    /// The names of a change, told beside the arguments.
    pub names: Vec<(&'static str, String)>,
    /// How long the answer may take.
    pub total: Duration,
}

impl Hints {
    /// The effect of a tool that is declared as `declared`: hints make it graver, never milder.
    ///
    /// # Errors
    /// When the tool is declared to look, and says itself that it does more.
    pub fn tighten(self, declared: Effect) -> Result<Effect, String> {
        let changes = self.read_only == Some(false) || self.destructive == Some(true) && self.read_only != Some(true);
        match declared {
            Effect::Read if changes => Err("it is declared to look, and its server says that it changes something \
                 (readOnlyHint, destructiveHint); declare what it does"
                .to_owned()),
            Effect::Read => Ok(Effect::Read),
            acting if self.destructive == Some(true) => Ok(acting.max(Effect::Destroy)),
            acting => Ok(acting),
        }
    }
}

#[cfg(test)]
mod tests;
