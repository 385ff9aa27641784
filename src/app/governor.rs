//! Policies that people have tried beside the one in force, and put in force over the configured ones.

use super::keeping::kept;
use super::policies;
use super::reload::{Proven, judge_questions_again, proven};
use crate::config::Places;
use crate::domain::Clock;
use crate::engine::governing::widened;
use crate::http::{Caller, Governs, Problem, Promoting, Trying};
use crate::journal::{Actor, Body, Draft, PolicyActivated, Promotion, ShadowEnded};
use crate::policy::{Beside, Bundle, LivePolicy, Policy as _, PolicyError, RegoPolicy};
use crate::store::{Blob, Store};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Longest that a bundle is tried.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 90);
/// Files that are named in an answer.
const MOST_FILES: usize = 200;

/// What changes policies on a person's word. The configured folder is never written: it may be a mounted
/// ConfigMap, and it is somebody else's file.
pub(super) struct Governor {
    pub(super) live: Arc<LivePolicy>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    /// Whoever holds it may change what is in force.
    pub(super) turn: Arc<Mutex<()>>,
    pub(super) places: Places,
}

impl Governs for Governor {
    fn begin(&self, who: Caller, wanted: Trying) -> BoxFuture<'_, Result<Value, Problem>> {
        Box::pin(self.begin_trial(who, wanted))
    }

    fn end(&self, who: Caller) -> BoxFuture<'_, Result<Value, Problem>> {
        Box::pin(self.end_trial(who))
    }

    fn promote(&self, who: Caller, wanted: Promoting) -> BoxFuture<'_, Result<Value, Problem>> {
        Box::pin(self.put_in_force(who, wanted))
    }
}

impl Governor {
    async fn begin_trial(&self, who: Caller, wanted: Trying) -> Result<Value, Problem> {
        let now = self.clock.now();
        if wanted.until <= now || wanted.until.duration_since(now) > LONGEST {
            return Err(Problem::bad_request("`until` has to lie ahead, and at most 90 days."));
        }
        let loading = tokio::task::spawn_blocking(move || {
            let bundle = Bundle::from_files(wanted.files);
            RegoPolicy::load(&bundle).map(|policy| (policy, bundle))
        });
        let (policy, bundle) = loading.await.map_err(|_| Problem::internal())?.map_err(|error| unsound(&error))?;
        let _turn = self.turn.lock().await;
        self.is_not_configured()?;
        if let Some(other) = self.live.beside() {
            let name = other.reference().bundle;
            let detail = format!("{name} is tried already; `firewarden policy shadow stop` ends that.");
            return Err(Problem::policy_conflict(detail));
        }
        let reference = policy.reference();
        if reference.digest == self.live.reference().digest {
            return Err(Problem::policy_conflict("It is the bundle that is in force: there is nothing to compare."));
        }
        let files = self.live.differing_files(&bundle);
        let kept = kept(&bundle, &reference);
        let entry = PolicyActivated {
            policy: reference.clone(),
            bundle: Some(kept.reference.clone()),
            before: self.live.reference(),
            trigger: "shadow".into(),
            by: vec![who.name.clone()],
            files: files.clone(),
            shadow: true,
            until: Some(wanted.until),
            promotion: None,
            canary: 0,
        };
        self.note(&who, Body::PolicyActivated(entry), vec![kept], now).await?;
        self.live.try_beside(Some(Beside::of_person(policy, bundle, now, who.name.clone(), wanted.until)));
        Ok(json!({
            "policy": reference, "by": who.name, "until": wanted.until,
            "files": files.into_iter().take(MOST_FILES).collect::<Vec<_>>(),
        }))
    }

    async fn end_trial(&self, who: Caller) -> Result<Value, Problem> {
        let _turn = self.turn.lock().await;
        self.is_not_configured()?;
        let Some(beside) = self.live.beside() else { return Err(nothing_is_tried()) };
        let (policy, tally) = (beside.reference(), self.live.tally());
        let why = format!("{} ended it", who.name);
        self.note(&who, Body::ShadowEnded(ShadowEnded { policy: policy.clone(), why }), vec![], self.clock.now())
            .await?;
        self.live.try_beside(None);
        Ok(json!({"policy": policy, "tally": tally}))
    }

    async fn put_in_force(&self, who: Caller, wanted: Promoting) -> Result<Value, Problem> {
        let _turn = self.turn.lock().await;
        let Some(beside) = self.live.beside() else { return Err(nothing_is_tried()) };
        let Some((tried_by, until)) = beside.by() else {
            let detail = "What is tried is named by `policies.shadow`, and nobody is known to have begun it: begin it \
                          with `firewarden policy shadow start DIR`.";
            return Err(Problem::promotion_refused(detail));
        };
        if until <= self.clock.now() {
            return Err(Problem::promotion_refused(format!("The trial ended at {until}: begin it anew.")));
        }
        // Whoever is alone on the machine answers for himself, as with questions.
        if !who.is_local && who.name == tried_by {
            let detail = format!("{tried_by} began the trial, and another admin has to put it in force.");
            return Err(Problem::promotion_refused_to(detail));
        }
        let (policy, tally) = (beside.reference(), self.live.tally());
        if wanted.digest.as_ref().is_some_and(|meant| *meant != policy.digest) {
            return Err(Problem::policy_conflict(format!("What is tried is another bundle: {}.", policy.digest)));
        }
        if tally.compared < wanted.require_shadow {
            let (so_far, needed) = (tally.compared, wanted.require_shadow);
            let detail = format!(
                "It was compared on {so_far} decisions since this server runs or the policy in force was another, and \
                 {needed} are asked for."
            );
            return Err(Problem::promotion_refused(detail));
        }
        if tally.errors > 0 {
            let detail = format!("It failed on {} decisions, which would all be refused.", tally.errors);
            return Err(Problem::promotion_refused(detail));
        }
        let widening = tally.widens.max(widened(self.store.as_ref(), &policy.digest).await?);
        if widening > 0 && wanted.accept_widening.is_none() {
            let detail = format!(
                "It would have been less strict on {widening} decisions: look at them with `firewarden policy shadow \
                 diff`, and say why that is wanted with `--accept-widening REASON`."
            );
            return Err(Problem::promotion_refused(detail));
        }
        let configured = self.configured().await?;
        // An edit of the folder that is not in force, or may never be, is not to be passed over unseen.
        let is_in_force = *configured.digest() == self.live.reference().digest;
        if !is_in_force && !self.live.is_promoted_over(configured.digest()) {
            let detail = "The configured policies are others than those in force, with which it was compared: let them \
                          come into force, or take the edit back.";
            return Err(Problem::policy_conflict(detail));
        }
        let bundle = beside.bundle().clone();
        let live = &self.live;
        let (sound, canary) = match proven(bundle, live, self.store.as_ref(), self.clock.now()).await? {
            Proven::Sound(sound, canary) => (sound, canary),
            Proven::Unsound(errors) => return Err(Problem::policy_unsound(&errors)),
        };
        let (policy_ready, bundle) = *sound;
        let now = self.clock.now();
        let files = live.differing_files(&bundle);
        let kept = kept(&bundle, &policy);
        let promotion = Promotion {
            over: configured.digest().clone(),
            tried_by: tried_by.to_owned(),
            compared: tally.compared,
            required: wanted.require_shadow,
            widening,
            accepted: wanted.accept_widening,
        };
        let entry = PolicyActivated {
            policy: policy.clone(),
            bundle: Some(kept.reference.clone()),
            before: live.reference(),
            trigger: "promote".into(),
            by: vec![who.name.clone()],
            files,
            shadow: false,
            until: None,
            promotion: Some(promotion.clone()),
            canary,
        };
        // First the entry, then the deed: nothing decides of which the journal knows nothing.
        self.note(&who, Body::PolicyActivated(entry), vec![kept], now).await?;
        let is_configured = *configured.digest() == policy.digest;
        let to_change = differing(&configured, &bundle);
        live.activate(policy_ready, bundle, now, Some(promotion.over.clone()));
        live.try_beside(None);
        judge_questions_again(self.store.as_ref(), self.clock.as_ref()).await?;
        Ok(json!({
            "policy": policy, "by": who.name, "promotion": promotion,
            "configured": {
                "dir": self.places.policies, "bundle": configured.name(), "digest": configured.digest(),
                "is_the_same": is_configured, "files": to_change,
            },
        }))
    }

    async fn note(&self, who: &Caller, body: Body, blobs: Vec<Blob>, now: Timestamp) -> Result<(), Problem> {
        let draft = Draft::new(Actor::Person(who.name.clone()), body);
        Ok(self.store.append_system(vec![draft], blobs, now).await?)
    }

    /// What is tried by the configuration is the configuration's own.
    fn is_not_configured(&self) -> Result<(), Problem> {
        match &self.places.shadow {
            None => Ok(()),
            Some(dir) => {
                let detail = format!("`policies.shadow` has {} tried: take it out first.", dir.display());
                Err(Problem::policy_conflict(detail))
            }
        }
    }

    /// The configured policies as they are now.
    async fn configured(&self) -> Result<Bundle, Problem> {
        let dir = self.places.policies.clone();
        let read = tokio::task::spawn_blocking(move || policies::bundle(dir.as_deref())).await;
        read.map_err(|_| Problem::internal())?
            .map_err(|error| Problem::promotion_refused(format!("The configured policies cannot be read: {error}")))
    }
}

fn nothing_is_tried() -> Problem {
    Problem::policy_conflict("No policy is tried; `firewarden policy shadow start DIR` begins that.")
}

fn unsound(error: &PolicyError) -> Problem {
    match error {
        PolicyError::Load { diagnostics } => {
            Problem::policy_unsound(&diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>())
        }
        other => Problem::policy_unsound(&[other.to_string()]),
    }
}

/// Files that the two have otherwise.
fn differing(configured: &Bundle, wanted: &Bundle) -> Vec<String> {
    let of = |bundle: &Bundle| -> std::collections::BTreeMap<String, String> {
        bundle.files().map(|(path, text)| (path.to_owned(), text.to_owned())).collect()
    };
    let (old, new) = (of(configured), of(wanted));
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().filter(|name| old.get(*name) != new.get(*name)).take(MOST_FILES).cloned().collect()
}
