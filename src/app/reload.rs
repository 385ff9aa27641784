//! Policies are read again while the program runs: looked at every few seconds by their content, so that
//! the swapped links of a mounted ConfigMap are noticed like any edit, and at once on SIGHUP.

use super::keeping::kept;
use super::rounds::Rounds;
use crate::domain::{Clock, PolicyRef};
use crate::journal::{Body, Draft, PolicyActivated, PolicyRejected};
use crate::policy::{Bundle, LivePolicy, Policy, Tried, prove};
use crate::store::{ApprovalFilter, Signal, Store, StoreError};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often the folder is looked at.
const EVERY: Duration = Duration::from_secs(2);
/// Files whose owners are told.
const MOST_FILES: usize = 50;
/// Questions that are read at once.
const PAGE: u32 = 500;

/// What keeps the policy up to date.
#[derive(Debug)]
pub(super) struct Reload {
    pub(super) dir: PathBuf,
    pub(super) live: Arc<LivePolicy>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    /// It keeps the policy that is tried up to date, not the one in force.
    pub(super) shadow: bool,
    /// What was looked at last: a digest, or why there is none. It is judged once.
    pub(super) seen: Option<Result<String, String>>,
}

impl Reload {
    /// Looks for ever.
    pub(super) fn begin(mut self) -> JoinHandle<()> {
        let mut rounds = Rounds::begin(EVERY);
        tokio::spawn(async move {
            loop {
                let trigger = match rounds.next().await {
                    true => {
                        self.seen = None;
                        "SIGHUP"
                    }
                    false => "watch",
                };
                if let Err(error) = self.look(trigger).await {
                    // What could not be written down is looked at again.
                    self.seen = None;
                    tracing::error!(%error, "a change of policy could not be noted in the journal; it is tried again");
                }
            }
        })
    }

    /// Looks once. A bundle that proves itself is in force afterwards; any other leaves the last good one.
    pub(super) async fn look(&mut self, trigger: &str) -> Result<(), StoreError> {
        let dir = self.dir.clone();
        let read = tokio::task::spawn_blocking(move || Bundle::from_dir(&dir).map_err(|e| e.to_string())).await;
        let read = read.unwrap_or_else(|_| Err("reading the policies failed".into()));
        let seen = read.as_ref().map(|bundle| bundle.digest().to_string()).map_err(Clone::clone);
        if self.seen.as_ref() == Some(&seen) {
            return Ok(());
        }
        let active = self.live.reference();
        if self.shadow {
            self.try_it(read, active, trigger).await?;
            self.seen = Some(seen);
            return Ok(());
        }
        match read {
            Err(error) => self.reject(None, vec![error], vec![], trigger).await?,
            // Back to what is in force: a refused edit was taken back.
            Ok(bundle) if *bundle.digest() == active.digest => {}
            Ok(bundle) => {
                let files = self.live.differing_files(&bundle);
                let reference = PolicyRef { digest: bundle.digest().clone(), bundle: bundle.name() };
                let proving = tokio::task::spawn_blocking(move || {
                    let proven = prove(&bundle);
                    (bundle, proven)
                });
                match proving.await {
                    Ok((bundle, Ok(policy))) => {
                        let kept = kept(&bundle, &reference);
                        let entry = PolicyActivated {
                            policy: reference.clone(),
                            bundle: Some(kept.reference.clone()),
                            before: active,
                            trigger: trigger.to_owned(),
                            by: owners(&self.dir, &files),
                            files,
                            shadow: false,
                        };
                        // First the entry, then the deed: nothing decides of which the journal knows nothing.
                        let now = self.clock.now();
                        self.store
                            .append_system(vec![Draft::engine(Body::PolicyActivated(entry))], vec![kept], now)
                            .await?;
                        self.live.activate(policy, bundle, now);
                        tracing::info!(
                            bundle = reference.bundle,
                            digest = reference.digest.short(12),
                            "a changed policy is in force"
                        );
                        self.judge_questions_again().await?;
                    }
                    Ok((_, Err(errors))) => self.reject(Some(reference), errors, files, trigger).await?,
                    Err(_) => self.reject(Some(reference), vec!["the proof panicked".into()], files, trigger).await?,
                }
            }
        }
        self.seen = Some(seen);
        Ok(())
    }

    async fn reject(
        &mut self,
        policy: Option<PolicyRef>,
        errors: Vec<String>,
        files: Vec<String>,
        trigger: &str,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let first = errors.first().cloned().unwrap_or_default();
        tracing::error!(
            error = first,
            more = errors.len().saturating_sub(1),
            "a changed policy is refused; the last good one stays in force"
        );
        crate::telemetry::policy_rejected();
        let entry = PolicyRejected {
            policy: policy.clone(),
            kept: self.live.reference(),
            trigger: trigger.to_owned(),
            by: owners(&self.dir, &files),
            files,
            errors: errors.clone(),
            shadow: self.shadow,
        };
        self.store.append_system(vec![Draft::engine(Body::PolicyRejected(entry))], vec![], now).await?;
        if !self.shadow {
            self.live.refuse(policy, errors, now);
        }
        Ok(())
    }

    /// What decides nothing need prove nothing but that it loads: that it lets drills through shows in the
    /// comparison.
    async fn try_it(
        &mut self,
        read: Result<Bundle, String>,
        active: PolicyRef,
        trigger: &str,
    ) -> Result<(), StoreError> {
        let bundle = match read {
            Ok(bundle) => bundle,
            Err(error) => return self.reject(None, vec![error], vec![], trigger).await,
        };
        let files = self.live.differing_files(&bundle);
        let policy = PolicyRef { digest: bundle.digest().clone(), bundle: bundle.name() };
        let loading = tokio::task::spawn_blocking(move || {
            let loaded = crate::policy::RegoPolicy::load(&bundle).map_err(|error| error.to_string());
            loaded.map(|policy| (policy, bundle))
        });
        match loading.await.unwrap_or_else(|_| Err("loading it panicked".into())) {
            Err(error) => self.reject(Some(policy), vec![error], files, trigger).await,
            Ok(tried) => {
                let by = owners(&self.dir, &files);
                let trigger = trigger.to_owned();
                let entry = PolicyActivated { policy, bundle: None, before: active, trigger, by, files, shadow: true };
                let now = self.clock.now();
                self.store.append_system(vec![Draft::engine(Body::PolicyActivated(entry))], vec![], now).await?;
                self.live.try_beside(Some(tried), now);
                Ok(())
            }
        }
    }

    /// Whatever waits for people is judged by the policy that is in force now.
    async fn judge_questions_again(&self) -> Result<(), StoreError> {
        let mut cursor = None;
        let mut woken = BTreeSet::new();
        loop {
            let state = Some(crate::domain::ApprovalState::Pending);
            let filter = ApprovalFilter { state, cursor, limit: PAGE, ..ApprovalFilter::default() };
            let page = self.store.approvals(&filter).await?;
            for asked in page.items {
                if woken.insert(asked.investigation) {
                    let now = self.clock.now();
                    self.store.signal(asked.investigation, "policy", Signal::PolicyChanged {}, now).await?;
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

/// Who owns files that changed, as the system names them.
fn owners(dir: &Path, files: &[String]) -> Vec<String> {
    use std::os::unix::fs::MetadataExt as _;
    let about = files.iter().take(MOST_FILES).filter_map(|file| std::fs::metadata(dir.join(file)).ok());
    let owners: BTreeSet<u32> = about.map(|about| about.uid()).collect();
    owners.into_iter().map(|uid| format!("uid {uid}")).collect()
}

/// Asks the tried policy what the one in force was asked, off its path, and notes what differs.
pub(super) fn try_beside(live: Arc<LivePolicy>, tried: Receiver<Tried>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) {
    let runtime = tokio::runtime::Handle::current();
    std::thread::spawn(move || {
        while let Ok(question) = tried.recv() {
            if let Some(differs) = live.compare(&question) {
                let draft = Draft::engine(Body::ShadowDiffered(differs));
                if let Err(error) = runtime.block_on(store.append_system(vec![draft], vec![], clock.now())) {
                    tracing::warn!(%error, "a difference of the tried policy could not be noted");
                }
            }
        }
    });
}
