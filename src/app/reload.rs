//! Policies are read again while the program runs: looked at every few seconds by their content, so that
//! the swapped links of a mounted ConfigMap are noticed like any edit, and at once on SIGHUP.

use super::keeping::kept;
use super::rounds::Rounds;
use crate::domain::{Clock, PolicyRef};
use crate::engine::{EngineError, recorded};
use crate::journal::{Body, Draft, PolicyActivated, PolicyRejected, ShadowEnded};
use crate::policy::{Beside, Bundle, LivePolicy, Policy, RegoPolicy, Tried, prove};
use crate::store::{ApprovalFilter, Signal, Store, StoreError};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// How often the folder is looked at.
const EVERY: Duration = Duration::from_secs(2);
/// Recorded decisions that a bundle judges before it decides.
const CANARY: usize = 200;
/// How often it is looked whether a trial is over, while nothing is decided.
const TRIAL_EVERY: Duration = Duration::from_secs(30);
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
    /// Whoever holds it may change what is in force.
    pub(super) turn: Arc<Mutex<()>>,
    /// It keeps the policy that is tried up to date, not the one in force.
    pub(super) shadow: bool,
    /// What was looked at last: a digest, or why there is none. It is judged once.
    pub(super) seen: Option<Result<String, String>>,
    /// Questions were not judged by what is in force now: the store did not answer.
    pub(super) owes_questions: bool,
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
        if self.owes_questions {
            self.judge_questions_again().await?;
        }
        let seen = read.as_ref().map(|bundle| bundle.digest().to_string()).map_err(Clone::clone);
        if self.seen.as_ref() == Some(&seen) {
            return Ok(());
        }
        let turn = self.turn.clone();
        let _turn = turn.lock().await;
        let active = self.live.reference();
        if self.shadow {
            self.try_it(read, active, trigger).await?;
            self.seen = Some(seen);
            return Ok(());
        }
        match read {
            Err(error) => self.reject(None, vec![error], vec![], trigger).await?,
            // What was promoted is configured now, so it holds over nothing any more.
            Ok(bundle) if *bundle.digest() == active.digest && self.live.is_promoted() => {
                let kept = kept(&bundle, &active);
                let entry = PolicyActivated {
                    policy: active.clone(),
                    bundle: Some(kept.reference.clone()),
                    before: active,
                    trigger: trigger.to_owned(),
                    by: owners(&self.dir, &[]),
                    files: vec![],
                    shadow: false,
                    until: None,
                    promotion: None,
                    canary: 0,
                };
                let draft = Draft::engine(Body::PolicyActivated(entry));
                self.store.append_system(vec![draft], vec![kept], self.clock.now()).await?;
                self.live.settled();
            }
            // Back to what is in force: a refused edit was taken back.
            Ok(bundle) if *bundle.digest() == active.digest => {}
            // What was promoted over exactly this holds until this is another.
            Ok(bundle) if self.live.is_promoted_over(bundle.digest()) => {}
            Ok(bundle) => {
                let files = self.live.differing_files(&bundle);
                let reference = PolicyRef { digest: bundle.digest().clone(), bundle: bundle.name() };
                match proven(bundle, &self.live, self.store.as_ref(), self.clock.now()).await? {
                    Proven::Sound(sound, canary) => {
                        let (policy, bundle) = *sound;
                        let kept = kept(&bundle, &reference);
                        let entry = PolicyActivated {
                            policy: reference.clone(),
                            bundle: Some(kept.reference.clone()),
                            before: active,
                            trigger: trigger.to_owned(),
                            by: owners(&self.dir, &files),
                            files,
                            shadow: false,
                            until: None,
                            promotion: None,
                            canary,
                        };
                        // First the entry, then the deed: nothing decides of which the journal knows nothing.
                        let now = self.clock.now();
                        self.store
                            .append_system(vec![Draft::engine(Body::PolicyActivated(entry))], vec![kept], now)
                            .await?;
                        self.live.activate(policy, bundle, now, None);
                        tracing::info!(
                            bundle = reference.bundle,
                            digest = reference.digest.short(12),
                            "a changed policy is in force"
                        );
                        self.judge_questions_again().await?;
                    }
                    Proven::Unsound(errors) => self.reject(Some(reference), errors, files, trigger).await?,
                }
            }
        }
        self.seen = Some(seen);
        Ok(())
    }

    async fn judge_questions_again(&mut self) -> Result<(), StoreError> {
        self.owes_questions = true;
        judge_questions_again(self.store.as_ref(), self.clock.as_ref()).await?;
        self.owes_questions = false;
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
            Ok((ready, bundle)) => {
                let by = owners(&self.dir, &files);
                let trigger = trigger.to_owned();
                let entry = PolicyActivated {
                    policy,
                    bundle: None,
                    before: active,
                    trigger,
                    by,
                    files,
                    shadow: true,
                    until: None,
                    promotion: None,
                    canary: 0,
                };
                let now = self.clock.now();
                self.store.append_system(vec![Draft::engine(Body::PolicyActivated(entry))], vec![], now).await?;
                self.live.try_beside(Some(Beside::configured(ready, bundle, now)));
                Ok(())
            }
        }
    }
}

/// What a bundle shows of itself.
pub(super) enum Proven {
    /// It may decide; so many recorded decisions were judged by it.
    Sound(Box<(RegoPolicy, Bundle)>, u64),
    /// All that stands against it.
    Unsound(Vec<String>),
}

/// Proves a bundle, and lets it judge the last recorded decisions, before it decides anything.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn proven(
    bundle: Bundle,
    live: &Arc<LivePolicy>,
    store: &dyn Store,
    now: Timestamp,
) -> Result<Proven, StoreError> {
    let past = match recorded::latest(store, CANARY).await {
        Ok(past) => past,
        Err(EngineError::Store(error)) => return Err(error),
        // A chain that makes no sense says nothing about the policy.
        Err(error @ EngineError::Corrupt { .. }) => {
            tracing::error!(%error, "the recorded decisions cannot be judged by a changed policy");
            vec![]
        }
    };
    let live = live.clone();
    let proving = tokio::task::spawn_blocking(move || {
        let policy = prove(&bundle, now)?;
        let judged = live.canary(&policy, &past)?;
        Ok((Box::new((policy, bundle)), judged))
    });
    Ok(match proving.await.unwrap_or_else(|_| Err(vec!["the proof panicked".into()])) {
        Ok((sound, judged)) => Proven::Sound(sound, judged),
        Err(errors) => Proven::Unsound(errors),
    })
}

/// Whatever waits for people is judged by the policy that is in force now.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn judge_questions_again(store: &dyn Store, clock: &dyn Clock) -> Result<(), StoreError> {
    let mut cursor = None;
    let mut woken = BTreeSet::new();
    loop {
        let state = Some(crate::domain::ApprovalState::Pending);
        let filter = ApprovalFilter { state, cursor, limit: PAGE, ..ApprovalFilter::default() };
        let page = store.approvals(&filter).await?;
        for asked in page.items {
            if woken.insert(asked.investigation) {
                store.signal(asked.investigation, "policy", Signal::PolicyChanged {}, clock.now()).await?;
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(());
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

/// Asks the tried policy what the one in force was asked, off its path, notes what differs, and ends a trial
/// in its time. It ends with the policy.
pub(super) fn try_beside(
    live: &Arc<LivePolicy>,
    tried: Receiver<Tried>,
    store: &Arc<dyn Store>,
    clock: Arc<dyn Clock>,
) {
    let runtime = tokio::runtime::Handle::current();
    let (live, store): (Weak<LivePolicy>, Weak<dyn Store>) = (Arc::downgrade(live), Arc::downgrade(store));
    std::thread::spawn(move || {
        loop {
            let question = match tried.recv_timeout(TRIAL_EVERY) {
                Ok(question) => Some(question),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let (Some(live), Some(store)) = (live.upgrade(), store.upgrade()) else { return };
            let ended = live.lapsed(clock.now()).map(|over| {
                let why = "its time was over".to_owned();
                Body::ShadowEnded(ShadowEnded { policy: over.reference(), why })
            });
            let differs = question.and_then(|question| live.compare(&question)).map(Body::ShadowDiffered);
            for body in ended.into_iter().chain(differs) {
                if let Err(error) =
                    runtime.block_on(store.append_system(vec![Draft::engine(body)], vec![], clock.now()))
                {
                    tracing::warn!(%error, "what concerns the tried policy could not be noted");
                }
            }
        }
    });
}
