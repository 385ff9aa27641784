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
        while tasks.try_join_next().is_some() {}
    }
    // Nothing that runs has an effect outside: what is not committed is done again after the start.
    tasks.shutdown().await;
}

async fn work_on(engine: &Engine, lease: Lease) {
    telemetry::running(1.0);
    let investigation = lease.investigation;
    let worked = tokio::select! {
        worked = driver::drive(engine, &lease) => worked,
        lost = heartbeat(engine, &lease) => Err(EngineError::Store(lost)),
    };
    telemetry::running(-1.0);
    match worked {
        Ok(()) => {}
        Err(EngineError::Store(fenced @ StoreError::Fenced { .. })) => {
            tracing::info!(%investigation, "{fenced}");
        }
        // The lease is kept until it runs out: the next attempt comes then, not at once.
        Err(error) => tracing::error!(%investigation, %error, "the work stopped; it is tried again in 30 s"),
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
