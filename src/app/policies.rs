//! Policies: the one in force, the one that is tried, and what the door tells of them.

use super::governor::Governor;
use super::{App, AppError, keeping, reload};
use crate::config::Places;
use crate::domain::{Clock as _, DecisionId};
use crate::edge::SystemClock;
use crate::http::Policies;
use crate::journal::Governing;
use crate::policy::{Beside, Bundle, LivePolicy, Policy as _, PolicyError, RegoPolicy, Tried, lapsed, prove};
use crate::store::{Blob, Store};
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

/// The policy that `dir` holds, or the embedded one, which was proven when the program was built. Any other
/// proves itself as it would have to while the program runs.
pub(super) fn governing(places: &Places) -> Result<(LivePolicy, Receiver<Tried>, Bundle), PolicyError> {
    let (trying, tried) = sync_channel(WAITING_TO_BE_TRIED);
    let bundle = bundle(places.policies.as_deref())?;
    let now = SystemClock.now();
    let policy = match bundle.digest() == Bundle::embedded().digest() {
        true => RegoPolicy::load(&bundle)?,
        false => prove(&bundle, now).map_err(|errors| PolicyError::Unproven { errors })?,
    };
    for over in lapsed(&bundle, now) {
        tracing::warn!(exception = %over.message, "an exception is over and has no effect");
    }
    Ok((LivePolicy::new(policy, bundle.clone(), now, Some(trying)), tried, bundle))
}

/// Puts in force and tries again what stood by the word of people when the program ended. Answers what still
/// stands, and the bundle that is in force.
///
/// # Errors
/// When the store does not answer, or what was promoted does not prove itself any more.
pub(super) async fn resume(
    live: &LivePolicy,
    configured: &Bundle,
    mut standing: Governing,
    store: &dyn Store,
) -> Result<(Governing, Blob), AppError> {
    let now = SystemClock.now();
    let mut in_force = None;
    // Whoever has changed the configured policies since wants those.
    if let Some(promoted) = standing.promoted.take_if(|promoted| promoted.over == *configured.digest()) {
        let kept = store.blob(&promoted.bundle).await?.and_then(|bytes| Bundle::from_json(&bytes));
        let lost = || PolicyError::Unproven {
            errors: vec![format!(
                "{} was promoted over the configured policies and is not in the store any more: change the configured \
                 policies to what is to be in force",
                promoted.policy.bundle
            )],
        };
        let bundle = kept.filter(|bundle| *bundle.digest() == promoted.policy.digest).ok_or_else(lost)?;
        let policy = prove(&bundle, now).map_err(|errors| PolicyError::Unproven { errors })?;
        live.activate(policy, bundle.clone(), now, Some(promoted.over.clone()));
        tracing::info!(bundle = promoted.policy.bundle, "the promoted policy is in force over the configured ones");
        in_force = Some(bundle);
        standing.promoted = Some(promoted);
    } else {
        standing.promoted = None;
    }
    if let Some(trial) = standing.trial.take().filter(|trial| trial.until > now) {
        let kept = store.blob(&trial.bundle).await?.and_then(|bytes| Bundle::from_json(&bytes));
        let loaded = kept.and_then(|bundle| Some((RegoPolicy::load(&bundle).ok()?, bundle)));
        match loaded {
            Some((policy, bundle)) => {
                let (by, since) = (trial.by.clone(), trial.since);
                live.try_beside(Some(Beside::of_person(policy, bundle, since, by, trial.until)));
                standing.trial = Some(trial);
            }
            None => tracing::error!(bundle = trial.policy.bundle, "what was tried does not load any more"),
        }
    }
    let kept = keeping::kept(in_force.as_ref().unwrap_or(configured), &live.reference());
    Ok((standing, kept))
}

impl App {
    /// What keeps a configured folder of policies in force; the embedded ones stay as they are.
    pub(super) fn reloads(&self) -> Vec<reload::Reload> {
        let reload = |dir: &PathBuf, shadow: bool| reload::Reload {
            dir: dir.clone(),
            live: self.policy.clone(),
            store: self.engine.store.clone(),
            clock: self.engine.clock.clone(),
            turn: self.turn.clone(),
            shadow,
            seen: (!shadow).then(|| Ok(self.configured.to_string())),
            owes_questions: false,
        };
        let places = &self.config.places;
        let in_force = places.policies.iter().map(|dir| reload(dir, false));
        in_force.chain(places.shadow.iter().map(|dir| reload(dir, true))).collect()
    }

    /// What the door tells of policies.
    pub(super) fn policies(&self) -> Policies {
        let (told, asked) = (self.policy.clone(), self.policy.clone());
        let (clock, entropy) = (self.engine.clock.clone(), self.engine.entropy.clone());
        let governor = Governor {
            live: self.policy.clone(),
            store: self.engine.store.clone(),
            clock: clock.clone(),
            turn: self.turn.clone(),
            places: self.config.places.clone(),
        };
        Policies {
            status: Arc::new(move || told.status()),
            evaluate: Arc::new(move |input| {
                asked.evaluate(DecisionId::new(entropy.uuid(clock.now())), input).map_err(|e| e.to_string())
            }),
            govern: Arc::new(governor),
        }
    }
}
