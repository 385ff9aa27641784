//! What Alertmanager's own list tells is taken in as if it had been sent.

use crate::domain::{Clock, Entropy, Redactor};
use crate::edge::EdgeError;
use crate::sources::{Mapping, SourceError};
use crate::store::StoreError;
use std::sync::Arc;

/// Why what Alertmanager tells could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum ToldError {
    /// Alertmanager did not tell.
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// What it told makes no sense.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Reading the answer ended in an error of our own.
    #[error("the answer could not be read: an error of firewarden's own; see the log")]
    Internal,
}

impl ToldError {
    /// What kind of failure it is, the same for each repeat of it.
    pub fn kind(&self) -> String {
        match self {
            Self::Edge(error) => format!("{:?}", error.kind()),
            Self::Source(_) => "source".to_owned(),
            Self::Store(_) => "store".to_owned(),
            Self::Internal => "internal".to_owned(),
        }
    }
}

/// Lets `read` map an answer beside the other work, for a long one takes its time.
///
/// # Errors
/// As `read`, or `Internal` when it did not come to an end.
pub(super) async fn mapped<T: Send + 'static>(
    redactor: Arc<Redactor>,
    hmac_key: Arc<[u8]>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    read: impl FnOnce(&Mapping<'_>) -> Result<T, SourceError> + Send + 'static,
) -> Result<T, ToldError> {
    let reading = tokio::task::spawn_blocking(move || {
        let at = clock.now();
        read(&Mapping { at, entropy: &*entropy, redactor: &redactor, hmac_key: &hmac_key })
    });
    Ok(reading.await.map_err(|_| ToldError::Internal)??)
}
