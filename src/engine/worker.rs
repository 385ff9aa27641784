//! Claims investigations and works on several at once.

use super::{Engine, EngineError, driver};
use crate::store::{Lease, StoreError};
use crate::telemetry;
use jiff::SignedDuration;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// How long a claim holds without a heartbeat.
const LEASE: SignedDuration = SignedDuration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Leases of dead replicas run out silently: look for them this often.
const SWEEP: Duration = Duration::from_secs(2);
/// Claims that may come to nothing before an investigation is given up.
const ATTEMPTS: i64 = 20;
/// After a failure of the store the next claim waits.
const BACK_OFF: Duration = Duration::from_secs(1);

/// Works until `stop` says so, then lets what runs come to its next durable point.
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
        match engine.store.claim(&owner, now, until).await {
            Ok(Some(lease)) => {
                let engine = engine.clone();
                tasks.spawn(async move {
                    work_on(&engine, lease).await;
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
    // Nothing that runs has an effect outside: what is not committed is done again after the start.
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

async fn work_on(engine: &Engine, lease: Lease) {
    let _running = Running::begin();
    let investigation = lease.investigation;
    let worked = match lease.epoch > ATTEMPTS && is_stuck(engine, &lease).await {
        true => Err(EngineError::Corrupt {
            chain: investigation.to_string(),
            why: format!("{ATTEMPTS} attempts came to nothing"),
        }),
        false => tokio::select! {
            worked = driver::drive(engine, &lease) => worked,
            lost = heartbeat(engine, &lease) => Err(EngineError::Store(lost)),
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
            if let Err(error) = engine.store.abandon(&lease, reason, engine.clock.now()).await {
                tracing::error!(%investigation, %error, "it could not be given up either");
            }
        }
        // The lease is kept until it runs out: the next attempt comes then, not at once.
        Err(error) => tracing::error!(%investigation, %error, "the work stopped; it is tried again in 30 s"),
    }
}

/// Whether many claims in a row wrote nothing: something kills whoever works on it.
async fn is_stuck(engine: &Engine, lease: &Lease) -> bool {
    match engine.store.investigation(lease.investigation).await {
        Ok(Some(view)) => {
            view.state != "closed"
                && u64::try_from(lease.epoch).is_ok_and(|epoch| epoch > view.entries + ATTEMPTS as u64)
        }
        Ok(None) | Err(_) => false,
    }
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
