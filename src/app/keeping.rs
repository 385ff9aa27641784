//! What is kept beside the journal, what is signed, and what is deleted in time.

use super::App;
use crate::domain::PolicyRef;
use crate::engine::retention;
use crate::policy::Bundle;
use crate::store::Blob;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A bundle as it is kept beside the entry that names it. It is no secret, and of one bundle there is one
/// copy, however often a process starts: the salt is the beginning of its digest.
pub(super) fn kept(bundle: &Bundle, policy: &PolicyRef) -> Blob {
    let salt = policy.digest.short(16).as_bytes().try_into().unwrap_or([0; 16]);
    Blob::new(salt, bundle.to_json().into_bytes())
}

impl App {
    /// Signs what was appended, at the end of a command. What cannot be signed is told in the log.
    pub async fn checkpoint(&self) {
        if let Err(error) = self.checkpoints.make().await {
            tracing::error!(%error, "no checkpoint could be made");
        }
    }

    /// Signs what is appended and deletes what is due, until `stop` says so.
    pub(super) fn keep(&self, stop: &watch::Receiver<bool>) -> [JoinHandle<()>; 2] {
        let (checkpoints, every, stopped) = (self.checkpoints.clone(), self.config.checkpoint_every, stop.clone());
        let signing = tokio::spawn(async move { checkpoints.run(every, stopped).await });
        let (store, clock) = (self.engine.store.clone(), self.engine.clock.clone());
        [signing, tokio::spawn(retention::run(store, clock, self.config.retention, stop.clone()))]
    }
}
