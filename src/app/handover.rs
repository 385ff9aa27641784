//! One signing key hands the log on to the next.
//!
//! The new key lies beside the old one (`.next`); an entry names it; the old key signs the checkpoint that
//! covers the entry, its last one; then the new key takes its place. A process that dies in between leaves
//! what the next start finishes.

use super::AppError;
use super::signing::{self, SigningKeyError, beside};
use crate::audit::{Checkpoint, Signer, VerifierKey};
use crate::config::Places;
use crate::domain::Clock;
use crate::edge::{SystemClock, SystemEntropy};
use crate::engine::checkpoints::Checkpoints;
use crate::journal::{Body, Draft, KeyRotated, chain::SYSTEM};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

/// Where the key lies that takes over.
const NEXT: &str = ".next";

/// What a rotation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The key that held the log.
    pub before: VerifierKey,
    /// The key that holds it now.
    pub key: VerifierKey,
    /// Entries that the old key's last checkpoint covers.
    pub size: u64,
}

/// Hands the log of the store at `places` on to a new key. Nobody else may hold the store.
///
/// # Errors
/// When somebody holds the store, the key is missing or is not the one that signed it, or a file cannot be
/// written. What was begun is finished by the next start.
pub async fn rotate(places: &Places, reason: &str) -> Result<Rotation, AppError> {
    let (clock, entropy): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), SystemEntropy::default());
    if !places.store.is_file() {
        let why = "there is no such file; nothing was ever stored there".to_owned();
        return Err(StoreError::Unusable { place: places.store.display().to_string(), why }.into());
    }
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&places.store, &entropy).await?);
    let path = places.signing_key();
    let signer = signing::read(&path)?.ok_or_else(|| SigningKeyError::Lost { path: path.clone() })?;
    let signer = finished(&store, &path, signer, &clock).await?;
    let before = signer.key().clone();
    // Who may not sign what is there hands on nothing.
    let checkpoints = Checkpoints::new(store.clone(), signer, clock.clone()).behind(signing::pinned(&path)?);
    checkpoints.make().await?;
    let next = beside(&path, NEXT);
    let key = signing::make_next(&next, &before, &entropy)?;
    let owner = std::fs::metadata(&next).map(|about| format!("uid {}", about.uid()));
    let by = owner.map_err(|source| SigningKeyError::File { path: next.clone(), doing: "read", source })?;
    let entry = KeyRotated { key: key.to_string(), before: before.to_string(), by, reason: reason.to_owned() };
    store.append_system(vec![Draft::engine(Body::KeyRotated(entry))], vec![], clock.now()).await?;
    let made = checkpoints.make().await?;
    let signer = signing::read(&path)?.ok_or_else(|| SigningKeyError::Lost { path: path.clone() })?;
    finished(&store, &path, signer, &clock).await?;
    Ok(Rotation { before, key, size: made.map_or(0, |made| made.size) })
}

/// Finishes what a rotation began: the key that holds the log, which is `signer` unless the last entry hands
/// it on.
///
/// # Errors
/// When the key that takes over is not there, or the store does not answer.
pub(super) async fn finished(
    store: &Arc<dyn Store>,
    path: &Path,
    signer: Signer,
    clock: &Arc<dyn Clock>,
) -> Result<Signer, AppError> {
    let Some(rotated) = last(store.as_ref()).await? else { return Ok(signer) };
    let before = signer.key().clone();
    if rotated.before != before.to_string() {
        return Ok(signer);
    }
    let next = beside(path, NEXT);
    let holder = signing::read(&next)?.filter(|next| next.key().to_string() == rotated.key);
    let Some(holder) = holder else {
        return Err(SigningKeyError::HandedOn { path: next, key: rotated.key }.into());
    };
    Checkpoints::new(store.clone(), signer, clock.clone()).behind(signing::pinned(path)?).make().await?;
    // Whoever has the old key alone could sign another past: the next key goes on behind this one.
    let last = store.last_checkpoint().await?.and_then(|kept| Checkpoint::open(&kept.note, &before).ok());
    if let Some(last) = last {
        signing::pin(path, &last.line())?;
    }
    let mut known = signing::verifiers(path)?;
    if !known.contains(holder.key()) {
        known.push(holder.key().clone());
    }
    signing::remember(path, &known)?;
    signing::replace(path, &next)?;
    tracing::info!(before = %before, key = %holder.key(), "another key signs from here on; keep its public part elsewhere");
    Ok(holder)
}

/// The rotation that the log ends with, if it does.
async fn last(store: &dyn Store) -> Result<Option<KeyRotated>, StoreError> {
    let Some(line) = store.log_before(i64::MAX.unsigned_abs(), 1).await?.pop() else { return Ok(None) };
    if line.chain != SYSTEM {
        return Ok(None);
    }
    let entry = store.entries(SYSTEM, line.seq.saturating_sub(1), 1).await?.pop();
    Ok(entry.and_then(|entry| match entry.body {
        Body::KeyRotated(rotated) => Some(rotated),
        _ => None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Site {
        folder: tempfile::TempDir,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        before: VerifierKey,
    }

    impl Site {
        /// A store whose log its first key signed.
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let entropy = SystemEntropy::default();
            let store: Arc<dyn Store> =
                Arc::new(SqliteStore::open(&folder.path().join("fw.db"), &entropy).await.unwrap());
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let signer = signing::read_or_make(&folder.path().join("key"), None, false, &entropy).unwrap();
            let site = Self { folder, store, clock, before: signer.key().clone() };
            site.append(Body::Stopped {}).await;
            site.checkpoints(signer).make().await.unwrap().unwrap();
            site
        }

        fn checkpoints(&self, signer: Signer) -> Checkpoints {
            let before = signing::pinned(&self.key()).unwrap();
            Checkpoints::new(self.store.clone(), signer, self.clock.clone()).behind(before)
        }

        async fn append(&self, body: Body) {
            self.store.append_system(vec![Draft::engine(body)], vec![], self.clock.now()).await.unwrap();
        }

        fn key(&self) -> std::path::PathBuf {
            self.folder.path().join("key")
        }

        async fn start(&self) -> Result<Signer, AppError> {
            let signer = signing::read(&self.key()).unwrap().unwrap();
            finished(&self.store, &self.key(), signer, &self.clock).await
        }

        /// Begins a rotation as far as its entry.
        async fn begun(&self) -> VerifierKey {
            let entropy = SystemEntropy::default();
            let key = signing::make_next(&beside(&self.key(), NEXT), &self.before, &entropy).unwrap();
            let (by, reason) = ("uid 0".into(), String::new());
            let entry = KeyRotated { key: key.to_string(), before: self.before.to_string(), by, reason };
            self.append(Body::KeyRotated(entry)).await;
            key
        }
    }

    #[tokio::test]
    async fn a_rotation_that_was_cut_off_is_finished_by_the_next_start() {
        for signs_before in [false, true] {
            let site = Site::new().await;
            assert_eq!(site.start().await.unwrap().key(), &site.before, "nothing was begun");
            let key = site.begun().await;
            if signs_before {
                let old = signing::read(&site.key()).unwrap().unwrap();
                site.checkpoints(old).make().await.unwrap().unwrap();
            }
            let holder = site.start().await.unwrap();
            assert_eq!(holder.key(), &key);
            let last = site.store.last_checkpoint().await.unwrap().unwrap();
            assert_eq!(Checkpoint::open(&last.note, &site.before).unwrap().size, 2, "the old key signed the entry");
            assert_eq!(signing::verifiers(&site.key()).unwrap(), [site.before.clone(), key.clone()]);
            assert!(!beside(&site.key(), NEXT).exists());
            assert_eq!(site.start().await.unwrap().key(), &key, "once is enough");
            // It goes on where the old one ended, and the old one does not.
            let checkpoints = site.checkpoints(holder);
            assert_eq!(checkpoints.make().await.unwrap(), None);
            site.append(Body::Stopped {}).await;
            let made = checkpoints.make().await.unwrap().unwrap();
            assert_eq!((made.after, made.size), (2, 3));
        }
    }

    #[tokio::test]
    async fn without_the_key_that_took_over_nobody_signs() {
        let site = Site::new().await;
        let key = site.begun().await;
        let next = beside(&site.key(), NEXT);
        let text = std::fs::read(&next).unwrap();
        std::fs::remove_file(&next).unwrap();
        let error = site.start().await.unwrap_err().to_string();
        assert!(error.contains(&key.to_string()) && error.contains("Put it back"), "{error}");
        signing::make_next(&next, &site.before, &SystemEntropy::default()).unwrap();
        assert!(site.start().await.is_err(), "another key is not the one that was named");
        std::fs::write(&next, text).unwrap();
        assert_eq!(site.start().await.unwrap().key(), &key);
    }

    #[tokio::test]
    async fn the_next_key_goes_on_behind_what_was_handed_on_and_behind_nothing_else() {
        let site = Site::new().await;
        site.begun().await;
        let old = signing::read(&site.key()).unwrap().unwrap();
        site.start().await.unwrap();
        let pinned = signing::pinned(&site.key()).unwrap().unwrap();
        let last = site.store.last_checkpoint().await.unwrap().unwrap();
        assert_eq!(pinned, Checkpoint::open(&last.note, old.key()).unwrap().line());
        site.append(Body::Stopped {}).await;
        // The old key signed another past, or nobody knows which.
        for other in [Some(pinned.replace(" 2 ", " 3 ")), None] {
            let holder = signing::read(&site.key()).unwrap().unwrap();
            let checkpoints = Checkpoints::new(site.store.clone(), holder, site.clock.clone()).behind(other);
            assert!(checkpoints.make().await.unwrap_err().to_string().contains("cannot be continued"));
        }
        let holder = signing::read(&site.key()).unwrap().unwrap();
        assert!(site.checkpoints(holder).make().await.unwrap().is_some());
    }

    #[tokio::test]
    async fn the_key_before_does_not_come_back() {
        let site = Site::new().await;
        let old = signing::read(&site.key()).unwrap().unwrap();
        site.begun().await;
        let holder = site.start().await.unwrap();
        site.append(Body::Stopped {}).await;
        site.checkpoints(holder).make().await.unwrap().unwrap();
        assert!(site.checkpoints(old).make().await.unwrap_err().to_string().contains("Put back the key"));
    }
}
