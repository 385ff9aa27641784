//! When what lies in files is looked at again: every few seconds, and at once on SIGHUP.

use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior};

/// Rounds that follow each other for ever. From their beginning on, SIGHUP does not end the process.
#[derive(Debug)]
pub(super) struct Rounds {
    hangup: Option<Signal>,
    ticks: Interval,
}

impl Rounds {
    pub(super) fn begin(every: Duration) -> Self {
        let hangup = signal(SignalKind::hangup());
        let hangup = hangup.inspect_err(|error| tracing::warn!(%error, "SIGHUP cannot be listened for")).ok();
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { hangup, ticks }
    }

    /// Waits for the next round; whether somebody demanded it by SIGHUP.
    pub(super) async fn next(&mut self) -> bool {
        let hung_up = async {
            match self.hangup.as_mut() {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = hung_up => true,
            _ = self.ticks.tick() => false,
        }
    }
}
