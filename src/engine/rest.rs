//! Alertmanager leaves alerts out of a body when a group has more than `max_alerts`. The rest is read from
//! its API and taken in as if it had come along. It is answered for by nobody: should this fail, the next
//! message about the group begins it anew.

use super::intake::{Intake, Receipt};
use super::told::{ToldError, mapped};
use crate::domain::{Clock, Entropy, Redactor};
use crate::edge::AlertmanagerReader;
use crate::sources::alertmanager::api::{self, Standing};
use crate::sources::{AlertSource, Alertmanager, Delivery, Group};
use crate::telemetry;
use arc_swap::ArcSwap;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Groups that are read at once.
const AT_ONCE: usize = 2;
/// Groups that may wait for it.
const WAITING: usize = 64;

/// Fetches what was left out.
pub struct Rest {
    /// The Alertmanager that is asked.
    pub reader: AlertmanagerReader,
    /// Where it is taken in.
    pub intake: Arc<Intake>,
    /// What blanks out secrets.
    pub redactor: Arc<ArcSwap<Redactor>>,
    /// The key under which what was told is vouched for.
    pub hmac_key: Arc<[u8]>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and salts.
    pub entropy: Arc<dyn Entropy>,
    /// What is under way.
    pub queue: Queue,
}

/// Which groups are being read, so that a storm of messages about one is one question.
#[derive(Debug)]
pub struct Queue {
    places: Semaphore,
    groups: Mutex<BTreeSet<String>>,
    /// Groups were turned away, and it was told.
    is_full: AtomicBool,
}

/// What becomes of a group that wants to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// It will be.
    Enters,
    /// It waits for that already.
    Waits,
    /// Too many wait.
    TurnedAway,
}

impl Default for Queue {
    fn default() -> Self {
        Self { places: Semaphore::new(AT_ONCE), groups: Mutex::default(), is_full: AtomicBool::new(false) }
    }
}

impl Queue {
    fn enter(&self, group: &str) -> Entry {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.contains(group) {
            return Entry::Waits;
        }
        if groups.len() >= WAITING {
            return Entry::TurnedAway;
        }
        groups.insert(group.to_owned());
        self.is_full.store(false, Ordering::Relaxed);
        Entry::Enters
    }

    fn leave(&self, group: &str) {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).remove(group);
    }

    /// Tells once, until there is room again, that groups are turned away; each is counted.
    fn complain(&self) {
        telemetry::group_turned_away();
        if !self.is_full.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                waiting = WAITING,
                "too many groups wait to be read from Alertmanager; what it left out of further ones is read with their \
                 next messages. Set `max_alerts: 0` at the receiver to get all of them"
            );
        }
    }
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rest").field("reader", &self.reader).field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl Rest {
    /// Begins to fetch the rest of `group`; whoever sent it does not wait.
    pub fn fetch(self: &Arc<Self>, group: Group) {
        let key = format!("{:?}/{:?}", group.receiver, group.key);
        match self.queue.enter(&key) {
            Entry::Enters => {}
            Entry::Waits => return,
            Entry::TurnedAway => return self.queue.complain(),
        }
        let rest = self.clone();
        tokio::spawn(async move {
            // Left before it is read: what comes from now on may say more than what is read.
            let place = rest.queue.places.acquire().await;
            rest.queue.leave(&key);
            let taken = match place {
                Ok(_place) => rest.take(&group).await,
                Err(_) => return,
            };
            match taken {
                Ok(receipt) => tracing::info!(
                    group = group.key.as_deref().unwrap_or_default(),
                    accepted = receipt.counters.accepted,
                    merged = receipt.counters.merged,
                    known = receipt.counters.ignored,
                    "the alerts that Alertmanager had left out were taken in"
                ),
                Err(error) => tracing::warn!(
                    %error,
                    group = group.key.as_deref().unwrap_or_default(),
                    "the alerts that Alertmanager left out could not be read; it is tried again with its next message. \
                     Set `max_alerts: 0` at the receiver to get all of them"
                ),
            }
        });
    }

    /// Reads the group and takes it in.
    ///
    /// # Errors
    /// When Alertmanager does not tell, or nothing can be kept.
    pub async fn take(&self, group: &Group) -> Result<Receipt, ToldError> {
        let told = self.reader.group(group.receiver.as_deref(), &group.labels).await?;
        let (alerts, others): (Vec<_>, Vec<_>) =
            told.alerts.into_iter().partition(|alert| api::standing(alert) == Standing::Active);
        if !others.is_empty() {
            tracing::warn!(
                alerts = others.len(),
                "some of what Alertmanager tells of a group makes no sense or is muted"
            );
        }
        let (redactor, hmac_key) = (self.redactor.load_full(), self.hmac_key.clone());
        let (clock, entropy) = (self.clock.clone(), self.entropy.clone());
        let (bytes, group) = (told.bytes, group.clone());
        let normalised = mapped(redactor, hmac_key, clock, entropy, move |mapping| {
            let body = api::as_sent(&alerts, &group);
            Alertmanager.normalise(&Delivery::plain(&body, &bytes), mapping)
        })
        .await?;
        Ok(self.intake.accept(Alertmanager.name(), normalised).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_asked_for_once_at_a_time_and_the_queue_is_bounded() {
        let queue = Queue::default();
        assert_eq!((queue.enter("a"), queue.enter("a")), (Entry::Enters, Entry::Waits));
        queue.leave("a");
        assert_eq!(queue.enter("a"), Entry::Enters);
        let entries: Vec<Entry> = (0..1_000).map(|n| queue.enter(&n.to_string())).collect();
        let count = |entry: Entry| entries.iter().filter(|other| **other == entry).count();
        assert_eq!((count(Entry::Enters), count(Entry::TurnedAway)), (WAITING - 1, 1_000 - WAITING + 1));
        // Told once, until there is room.
        queue.complain();
        assert!(queue.is_full.load(Ordering::Relaxed));
        queue.leave("a");
        assert_eq!((queue.enter("b"), queue.is_full.load(Ordering::Relaxed)), (Entry::Enters, false));
    }
}
