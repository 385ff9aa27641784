//! Alertmanager leaves alerts out of a body when a group has more than `max_alerts`. The rest is read from
//! its API and taken in as if it had come along. It is answered for by nobody: should this fail, the next
//! message about the group begins it anew.

use super::intake::{Intake, Receipt};
use crate::domain::{Clock, Entropy, Redactor};
use crate::edge::{AlertmanagerReader, EdgeError};
use crate::sources::{AlertSource, Alertmanager, Delivery, Group, Mapping, SourceError};
use crate::store::StoreError;
use arc_swap::ArcSwap;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Groups that are read at once.
const AT_ONCE: usize = 2;
/// Groups that may wait for it.
const WAITING: usize = 64;

/// Why the rest of a group could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// Alertmanager did not tell.
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// What it told makes no sense.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Fetches what was left out.
pub struct Rest {
    /// The Alertmanager that is asked.
    pub reader: AlertmanagerReader,
    /// Where it is taken in.
    pub intake: Arc<Intake>,
    /// What blanks out secrets.
    pub redactor: Arc<ArcSwap<Redactor>>,
    /// The key under which what was told is vouched for.
    pub hmac_key: Vec<u8>,
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
}

impl Default for Queue {
    fn default() -> Self {
        Self { places: Semaphore::new(AT_ONCE), groups: Mutex::default() }
    }
}

impl Queue {
    fn enter(&self, group: &str) -> bool {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.len() < WAITING && groups.insert(group.to_owned())
    }

    fn leave(&self, group: &str) {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).remove(group);
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
        if !self.queue.enter(&key) {
            return;
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
    pub async fn take(&self, group: &Group) -> Result<Receipt, RestError> {
        let bytes = self.reader.group(group.receiver.as_deref(), &group.labels).await?;
        let body = envelope(&bytes, group);
        let normalised = {
            let redactor = self.redactor.load();
            let mapping = Mapping {
                at: self.clock.now(),
                entropy: &*self.entropy,
                redactor: &redactor,
                hmac_key: &self.hmac_key,
            };
            Alertmanager.normalise(&Delivery::plain(&body, &bytes), &mapping)?
        };
        Ok(self.intake.accept(Alertmanager.name(), normalised).await?)
    }
}

/// What a webhook would have said of the alerts that the API tells in `bytes`.
fn envelope(bytes: &[u8], group: &Group) -> Value {
    let told: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let alerts = told.as_array().into_iter().flatten().map(|alert| {
        let field = |key: &str| (key.to_owned(), alert.get(key).cloned().unwrap_or_default());
        let mut fields: Map<String, Value> =
            ["labels", "annotations", "startsAt", "generatorURL", "fingerprint"].into_iter().map(field).collect();
        // Here the end is when Prometheus is to have spoken again.
        fields.insert("status".into(), "firing".into());
        Value::from(fields)
    });
    json!({
        "status": "firing", "groupKey": group.key, "externalURL": group.external_url, "receiver": group.receiver,
        "groupLabels": group.labels, "alerts": alerts.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_tells_becomes_what_the_webhook_would_have_said() {
        let group = Group { key: Some("{}:{a=\"b\"}".into()), ..Group::default() };
        let told = json!([{"labels": {"alertname": "A"}, "annotations": {"summary": "s"}, "fingerprint": "f1",
            "startsAt": "2026-11-20T23:30:30.098Z", "endsAt": "2026-11-20T23:38:00.098Z", "generatorURL": "http://p",
            "status": {"state": "active"}, "receivers": [{"name": "r"}], "updatedAt": "2026-11-20T23:34:00Z"}]);
        let body = envelope(told.to_string().as_bytes(), &group);
        let alert = &body["alerts"][0];
        assert_eq!((&alert["status"], &alert["startsAt"]), (&json!("firing"), &json!("2026-11-20T23:30:30.098Z")));
        assert_eq!((alert.get("endsAt"), &body["groupKey"]), (None, &json!("{}:{a=\"b\"}")));
        assert_eq!(envelope(b"\"oops\"", &group)["alerts"], json!([]));
    }

    #[test]
    fn a_group_is_asked_for_once_at_a_time_and_the_queue_is_bounded() {
        let queue = Queue::default();
        assert!(queue.enter("a") && !queue.enter("a"));
        queue.leave("a");
        assert!(queue.enter("a"));
        let entered = (0..1_000).filter(|n| queue.enter(&n.to_string())).count();
        assert_eq!(entered, WAITING - 1);
    }
}
