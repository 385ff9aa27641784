//! What a command is run with: global flags, stdout, and from them configuration and server.

use super::client::Client;
use super::output::Output;
use super::{Failure, Global};
use crate::app::AppError;
use crate::config::{Config, Loaded, Places, Sources};
use crate::domain::Secret;
use crate::store::StoreError;
use std::path::{Path, PathBuf};

/// The configuration that is taken when it is there.
const USUAL: &str = "firewarden.yaml";

/// What a command is run with.
#[derive(Debug)]
pub struct Session {
    /// Flags of every command.
    pub global: Global,
    /// stdout.
    pub out: Output,
}

impl Session {
    /// A session for one command.
    pub fn new(global: Global, out: Output) -> Self {
        Self { global, out }
    }

    /// File, environment and flags.
    pub fn sources(&self) -> Sources {
        let usual = || Path::new(USUAL).is_file().then(|| PathBuf::from(USUAL));
        let mut sources = Sources::of_process(self.global.config.clone().or_else(usual));
        if let Some(dir) = &self.global.policies {
            sources.flags.push(("policies.dir", "--policies", dir.clone()));
        }
        sources
    }

    /// The configuration, well-formed.
    ///
    /// # Errors
    /// Everything that is wrong with its form.
    pub fn loaded(&self) -> Result<Loaded, Failure> {
        Ok(self.sources().load()?)
    }

    /// The configuration, resolved; logging begins in its format.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn config(&self, log: &str) -> Result<Config, Failure> {
        let loaded = self.loaded()?;
        super::logging::begin(loaded.log(), log);
        Ok(loaded.resolve()?)
    }

    /// Files and folders: no secret is needed for them.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn places(&self) -> Result<Places, Failure> {
        Ok(self.loaded()?.places()?)
    }

    /// A client of the running server: the one that was named, or the configured address.
    ///
    /// # Errors
    /// When the address is none.
    pub fn client(&self) -> Result<Client, Failure> {
        let token = std::env::var("FIREWARDEN_TOKEN").ok().filter(|token| !token.is_empty());
        let token = token.map(|token| Secret::new(token, "env:FIREWARDEN_TOKEN"));
        let address = match self.global.server.as_ref().filter(|url| !url.is_empty()) {
            Some(url) => url.clone(),
            None => self.loaded()?.local_address()?,
        };
        Client::new(&address, token)
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Store(error) => error.into(),
            AppError::Policy(_)
            | AppError::Template(_)
            | AppError::Tools(_)
            | AppError::Routes(_)
            | AppError::Model(_)
            | AppError::Edge(_)
            | AppError::Redactor(_)
            | AppError::SigningKey(_)
            | AppError::Branch { .. }
            | AppError::Prompts(_) => Self::does_not_load(error, "`firewarden check` tells everything that is wrong"),
            AppError::Checkpoints(_) => {
                Self::does_not_load(error, "`audit.signing_key` in the configuration names the key")
            }
            AppError::Listen { .. } => Self::internal_without_report(error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unusable { .. } => Self::does_not_load(error, "`store.url` in the configuration names another"),
            StoreError::Unavailable { .. }
            | StoreError::Locked { .. }
            | StoreError::Fenced { .. }
            | StoreError::Corrupt { .. } => Self::internal_without_report(error),
        }
    }
}
