//! Claims investigations and works on several at once.

use super::{Engine, EngineError, driver, notify};
use crate::store::{Lease, StoreError};
use crate::telemetry;
use jiff::SignedDuration;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;

/// How long a claim holds without a heartbeat.
const LEASE: SignedDuration = SignedDuration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Leases of dead replicas run out silently, and what joined waits a moment: look for them this often.
const SWEEP: Duration = Duration::from_secs(1);
/// Claims that may come to nothing before an investigation is given up.
const ATTEMPTS: i64 = 20;
/// Whoever is in the middle of a change or a notice when the program stops has so long to end it.
const GRACE: Duration = Duration::from_secs(20);
/// After a failure of the store the next claim waits.
const BACK_OFF: Duration = Duration::from_secs(1);

/// Works until `stop` says so. Changes and notices that are under way then come to their end; everything
/// else is left as it stands in the journal, and done again after the start.
pub async fn run(engine: Arc<Engine>, owner: String, at_once: usize, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(at_once));
    let mut tasks = JoinSet::new();
    while !*stop.borrow() {
        // Registered before looking, so that work which arrives while we look is not slept over.
        let woken = engine.store.work().notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let slot = tokio::select! {
            slot = slots.clone().acquire_owned() => slot,
            _ = stop.changed() => break,
        };
        let Ok(slot) = slot else { break };
        let now = engine.clock.now();
        let until = now.saturating_add(LEASE).unwrap_or(now);
        let places = engine.routes.load().places();
        match engine.store.claim_within(&places, &owner, now, until).await {
            Ok(Some(lease)) => {
                let (engine, stop) = (engine.clone(), stop.clone());
                tasks.spawn(async move {
                    work_on(&engine, lease, stop).await;
                    drop(slot);
                });
            }
            Ok(None) => {
                drop(slot);
                tokio::select! {
                    () = woken => {}
                    () = tokio::time::sleep(SWEEP) => {}
                    _ = stop.changed() => {}
                }
            }
            Err(error) => {
                tracing::error!(%error, "no work can be claimed");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a worker died; its investigation is tried again when its lease ends");
            }
        }
    }
    let ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!("a change or a notice is cut off; what became of it is looked for after the start");
    }
    tasks.shutdown().await;
}

/// Counts as running for as long as it lives, however it ends.
struct Running;

impl Running {
    fn begin() -> Self {
        telemetry::running(1.0);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        telemetry::running(-1.0);
    }
}

async fn work_on(engine: &Engine, lease: Lease, mut stop: watch::Receiver<bool>) {
    let _running = Running::begin();
    let investigation = lease.investigation;
    let undivided = Mutex::new(());
    let worked = match lease.attempts > ATTEMPTS {
        true => Err(EngineError::Corrupt {
            chain: investigation.to_string(),
            why: format!("{ATTEMPTS} attempts came to nothing"),
        }),
        false => tokio::select! {
            worked = driver::drive_undivided(engine, &lease, &undivided) => worked,
            lost = heartbeat(engine, &lease) => Err(EngineError::Store(lost)),
            () = stopped(&mut stop, &undivided) => return,
        },
    };
    match worked {
        Ok(()) => {}
        Err(EngineError::Store(fenced @ StoreError::Fenced { .. })) => {
            tracing::info!(%investigation, "{fenced}");
        }
        Err(error) if !error.is_transient() => {
            tracing::error!(%investigation, %error, "the investigation is given up");
            let reason = format!("it could not be continued: {error}");
            match engine.store.abandon(&lease, reason.clone(), engine.clock.now()).await {
                Ok(()) => notify::given_up(engine, investigation, &reason).await,
                Err(error) => tracing::error!(%investigation, %error, "it could not be given up either"),
            }
        }
        // The lease is kept until it runs out: the next attempt comes then, not at once.
        Err(error) => tracing::error!(%investigation, %error, "the work stopped; it is tried again in 30 s"),
    }
}

/// Ends when the program stops and nothing is being done that should not be cut off.
async fn stopped(stop: &mut watch::Receiver<bool>, undivided: &Mutex<()>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could say so.
        std::future::pending::<()>().await;
    }
    drop(undivided.lock().await);
}

/// Keeps the lease; ends only when it is lost.
async fn heartbeat(engine: &Engine, lease: &Lease) -> StoreError {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let now = engine.clock.now();
        match engine.store.renew(lease, now.saturating_add(LEASE).unwrap_or(now)).await {
            Err(fenced @ StoreError::Fenced { .. }) => return fenced,
            Err(error) => tracing::warn!(%error, "a lease could not be renewed"),
            Ok(()) => {}
        }
    }
}
