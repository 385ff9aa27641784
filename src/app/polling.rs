//! Pollers begin, end and change while the program runs.

use super::App;
use super::peers::auth;
use crate::config;
use crate::edge::{AlertmanagerReader, EdgeError};
use crate::engine::poller::{Poller, Shared};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// Answers that are held in memory at once.
const AT_ONCE: usize = 4;

/// The Alertmanager that `poller` asks.
///
/// # Errors
/// When its settings cannot work.
pub fn polled_alertmanager(poller: &config::Poller) -> Result<AlertmanagerReader, EdgeError> {
    let reader = AlertmanagerReader::new(&poller.url, auth(&poller.credential))?;
    let key = |key: &str| format!("`{key}` of poller `{}`", poller.name);
    Ok(reader.configured(&key("alertmanager"), &key("auth")))
}

/// One that works.
#[derive(Debug)]
struct Running {
    settings: config::Poller,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Wherever it is cut off, the next poll finds what is left to do.
        self.task.abort();
    }
}

/// All that work.
#[derive(Debug)]
struct Polling {
    shared: Shared,
    running: BTreeMap<String, Running>,
    stop: watch::Receiver<bool>,
}

impl Polling {
    /// Lets exactly these work: what stays as it was is not disturbed.
    async fn apply(&mut self, wanted: &[config::Poller]) {
        self.shared.intake.set_polled(!wanted.is_empty());
        self.running.retain(|name, running| {
            let stays = wanted.contains(&running.settings);
            if !stays {
                tracing::info!(poller = name, "a poller ends");
            }
            stays
        });
        let names = wanted.iter().map(|poller| poller.name.clone()).collect();
        if let Err(error) = self.shared.store.keep_pollers(names).await {
            tracing::warn!(%error, "what former pollers were told could not be forgotten; it is tried again with the next change");
        }
        for settings in wanted {
            if self.running.contains_key(&settings.name) {
                continue;
            }
            let reader = match polled_alertmanager(settings) {
                Ok(reader) => reader,
                Err(error) => {
                    tracing::error!(poller = settings.name, %error, "a poller cannot begin");
                    continue;
                }
            };
            let poller = Poller {
                name: settings.name.clone(),
                reader,
                matchers: settings.matchers.clone(),
                severities: settings.severities.clone(),
                every: settings.every,
                sightings: Mutex::default(),
                shared: self.shared.clone(),
            };
            tracing::info!(poller = settings.name, alertmanager = poller.reader.address(), "a poller begins");
            let task = tokio::spawn(poller.run(self.stop.clone()));
            self.running.insert(settings.name.clone(), Running { settings: settings.clone(), task });
        }
    }
}

impl App {
    /// Lets the pollers that `wanted` holds work, whenever it changes, until `stop` says so.
    pub(super) fn poll(
        &self,
        mut wanted: watch::Receiver<Arc<[config::Poller]>>,
        stop: &watch::Receiver<bool>,
    ) -> JoinHandle<()> {
        let shared = Shared {
            intake: self.intake.clone(),
            store: self.engine.store.clone(),
            redactor: self.engine.redactor.clone(),
            hmac_key: self.store.hmac_key().into(),
            clock: self.engine.clock.clone(),
            entropy: self.engine.entropy.clone(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            noting: Arc::default(),
        };
        let mut polling = Polling { shared, running: BTreeMap::new(), stop: stop.clone() };
        let mut stop = stop.clone();
        tokio::spawn(async move {
            loop {
                let now = wanted.borrow_and_update().clone();
                polling.apply(&now).await;
                let ended = async { stop.wait_for(|stop| *stop).await.map(drop) };
                tokio::select! {
                    // Without an error there is somebody who may change them again.
                    Ok(()) = wanted.changed() => {}
                    _ = ended => return,
                }
            }
        })
    }
}
