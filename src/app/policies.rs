//! Policies: the one in force, the one that is tried, and what the door tells of them.

use super::{App, reload};
use crate::config::Places;
use crate::domain::{Clock as _, DecisionId};
use crate::edge::SystemClock;
use crate::http::Policies;
use crate::policy::{Bundle, LivePolicy, Policy as _, PolicyError, RegoPolicy, Tried, refuses_all_drills};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// A policy as the tools of its authors ask it.
pub type AuthorsPolicy = RegoPolicy;

/// Questions that wait for the policy that is tried; further ones are counted and not asked.
const WAITING_TO_BE_TRIED: usize = 256;

/// Time that such a tool gives to one decision.
const AUTHORS_LIMIT: Duration = Duration::from_secs(5);

/// A bundle, ready to judge for a tool of its authors.
///
/// # Errors
/// When it does not load.
pub fn policy_of(bundle: &Bundle) -> Result<AuthorsPolicy, PolicyError> {
    Ok(RegoPolicy::load(bundle)?.with_limit(AUTHORS_LIMIT))
}

/// The bundle that `dir` holds, or the embedded one.
///
/// # Errors
/// When the folder cannot be read.
pub fn bundle(dir: Option<&Path>) -> Result<Bundle, PolicyError> {
    match dir {
        Some(dir) => Bundle::from_dir(dir),
        None => Ok(Bundle::embedded()),
    }
}

/// The policy that `dir` holds, or the embedded one. One that lets a case of the drill through does not
/// load; of the embedded one that was proven when the program was built.
pub(super) fn governing(places: &Places) -> Result<(LivePolicy, Option<Receiver<Tried>>, Bundle), PolicyError> {
    let dir = places.policies.as_deref();
    let (trying, tried) = places.shadow.as_ref().map(|_| sync_channel(WAITING_TO_BE_TRIED)).unzip();
    let bundle = bundle(dir)?;
    let mut policy = RegoPolicy::load(&bundle)?;
    if dir.is_some() {
        policy = refuses_all_drills(policy, &bundle)?;
    }
    Ok((LivePolicy::new(policy, bundle.clone(), SystemClock.now(), trying), tried, bundle))
}

impl App {
    /// What keeps a configured folder of policies in force; the embedded ones stay as they are.
    pub(super) fn reloads(&self) -> Vec<reload::Reload> {
        let reload = |dir: &PathBuf, shadow: bool| reload::Reload {
            dir: dir.clone(),
            live: self.policy.clone(),
            store: self.engine.store.clone(),
            clock: self.engine.clock.clone(),
            shadow,
            seen: (!shadow).then(|| Ok(self.policy.reference().digest.to_string())),
        };
        let places = &self.config.places;
        let in_force = places.policies.iter().map(|dir| reload(dir, false));
        in_force.chain(places.shadow.iter().map(|dir| reload(dir, true))).collect()
    }

    /// What the door tells of policies.
    pub(super) fn policies(&self) -> Policies {
        let (told, asked) = (self.policy.clone(), self.policy.clone());
        let (clock, entropy) = (self.engine.clock.clone(), self.engine.entropy.clone());
        Policies {
            status: Arc::new(move || told.status()),
            evaluate: Arc::new(move |input| {
                asked.evaluate(DecisionId::new(entropy.uuid(clock.now())), input).map_err(|e| e.to_string())
            }),
        }
    }
}
