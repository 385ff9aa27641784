//! The configuration file is looked at again while the program runs. What can change without a restart is taken
//! over, the last good one kept; of the rest is said that it waits for a restart.

use crate::config::{Config, ConfigError, Loaded};
use crate::domain::Digest;
use std::sync::Arc;

/// A configuration, and what its file held when it was looked at last.
#[derive(Debug)]
pub(super) struct Watched {
    /// What was in force at the start, as it was written.
    begun_with: Arc<Loaded>,
    /// The digest of its text; what could not be read has none.
    seen: Option<Digest>,
}

/// What the file says now.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) config: Config,
    /// Routes and budgets fit all that is in force: models, tools and prompts are those of the start.
    pub(super) rules: bool,
}

impl Watched {
    /// That of `config`, which was just read.
    pub(super) fn new(config: &Config) -> Self {
        Self { begun_with: config.origin.clone(), seen: None }
    }

    /// Looks at it, and reads it where it is not what it was; a file that is gone changes nothing. Each content is
    /// judged once.
    pub(super) fn look(&mut self) -> Option<Changed> {
        let text = self.begun_with.sources().text()?;
        let digest = Digest::of(&text);
        if self.seen.as_ref() == Some(&digest) {
            return None;
        }
        self.seen = Some(digest);
        match self.read() {
            Ok(changed) => Some(changed),
            Err(error) => {
                tracing::error!(%error, "the changed configuration is refused; the last good one stays in force");
                None
            }
        }
    }

    /// Looks anew at what was judged already.
    pub(super) fn forget(&mut self) {
        self.seen = None;
    }

    fn read(&self) -> Result<Changed, ConfigError> {
        let loaded = self.begun_with.sources().clone().load()?;
        let config = loaded.resolve()?;
        let rules = loaded.is_but_for_rules(&self.begun_with);
        if !rules {
            tracing::warn!(
                "the configuration has changed in more than pollers, routes, playbooks and budgets: of all that only \
                 `pollers` is in force before a restart"
            );
        }
        Ok(Changed { config, rules })
    }
}
