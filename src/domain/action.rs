//! A planned change, and the names that it keeps across retries, restarts and lost rows.
//!
//! Whoever approves sees an [`Action`]; its [`Action::digest`] binds the approval to exactly this
//! call, these objects and this preview. The names that a change carries into the world
//! ([`EffectKeys`], [`Marker`]) are worked out from what it is, never drawn at random: a second
//! attempt after any crash recognises the first.

use super::{ActionId, Digest, Effect, InvestigationId, Risk};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How much would suffer. Meaningless while `known` is false.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BlastRadius {
    /// The figures were measured.
    pub known: bool,
    /// Pods.
    pub pods: u64,
    /// Namespaces.
    pub namespaces: u64,
    /// Clusters.
    pub clusters: u64,
    /// Things that depend on it.
    pub dependents: u64,
    /// Bytes in its volumes.
    pub pvc_bytes: u64,
}

/// One object that an action touches. Empty texts are what the object's system does not know.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Target {
    /// Who keeps it: `kubernetes`, `github`, `jira`, `alertmanager`, `http`, `command`, `mcp`.
    pub system: String,
    /// Its cluster, or the server.
    pub cluster: String,
    /// Its namespace, `owner/repository`, or project.
    pub namespace: String,
    /// Its API version.
    pub api_version: String,
    /// Its kind: `Deployment`, `PullRequest`, `Issue`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What is done to it: `patch`, `delete`, `evict`, `create`.
    pub verb: String,
    /// Its identity beyond the name, where the system has one: another object of the same name is
    /// another target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The state that the plan was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// It keeps data.
    #[serde(default)]
    pub stateful: bool,
    /// Something recreates it when it is gone.
    #[serde(default)]
    pub controlled: bool,
}

impl Target {
    /// What names the object for as long as it is wanted, however often it is recreated.
    pub fn identity(&self) -> [&str; 7] {
        [&self.system, &self.cluster, &self.namespace, &self.api_version, &self.kind, &self.name, &self.verb]
    }

    /// `Deployment payments/api`.
    pub fn label(&self) -> String {
        match self.namespace.is_empty() {
            true => format!("{} {}", self.kind, self.name),
            false => format!("{} {}/{}", self.kind, self.namespace, self.name),
        }
    }

    /// Whether both are the same object and the same deed; of two that know their identity, the same
    /// one. What state it was in does not matter here: that is the precondition's business.
    pub fn is_same(&self, other: &Self) -> bool {
        let uid = match (&self.uid, &other.uid) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        uid && self.identity() == other.identity()
    }
}

/// What would change, as far as it could be tried without doing it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Preview {
    /// `server_dry_run` where the target tried it, `rendered` where we worked it out.
    pub kind: String,
    /// What a person reads, redacted and bounded: a diff where there is one.
    pub text: String,
    /// Lines or objects that would come.
    pub adds: u64,
    /// That would be other than they are.
    pub changes: u64,
    /// That would go.
    pub removes: u64,
    /// Names the whole redacted text, where `text` is only its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<Digest>,
}

impl Preview {
    /// What an approval is bound to: all of the text, what was cut from it, too.
    pub fn digest(&self) -> Digest {
        let figures = [self.adds, self.changes, self.removes].map(|n| n.to_string());
        let parts = [self.kind.as_str(), &self.text, &figures[0], &figures[1], &figures[2]];
        Digest::of_parts(parts.into_iter().chain(self.whole.as_ref().map(Digest::as_str)))
    }
}

/// How a change would be taken back: a call that goes through the same gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub args: Value,
    /// What it restores, in words.
    pub restores: String,
}

/// What may be done after an attempt whose outcome is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The target refuses a second copy: once it is seen to be absent it may be sent again.
    Keyed,
    /// A look tells whether it is there; a copy that is still on its way would be seen by a later look.
    Probe,
    /// A look tells late: it is not sent again without a person.
    Settle,
    /// Nothing tells: it is not sent again.
    Never,
}

/// A planned change: what the approver sees is what runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Our id, for people and pages.
    pub id: ActionId,
    /// The tool.
    pub tool: String,
    /// What it does to the world.
    pub effect: Effect,
    /// It can be taken back.
    pub reversible: bool,
    /// The validated arguments.
    pub args: Value,
    /// What it is for, in one line of the tool's own words: `restart Deployment payments/api`.
    pub title: String,
    /// Every object that it touches, the main one first. Never empty.
    pub targets: Vec<Target>,
    /// What would change.
    pub preview: Preview,
    /// What has to hold when it is done, in the tool's own form. Taken anew right before.
    pub precondition: Value,
    /// What it carries beside its arguments, made by us: dates, the text of a pull request. Taken anew
    /// right before.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub carries: Value,
    /// How it would be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// What may happen after doubt.
    pub retry: Retry,
    /// What would suffer.
    pub blast_radius: BlastRadius,
    /// What the tool tells the policy beside: the files of a pull request, a command's words.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub facts: Value,
    /// Drawn for this plan, so that nobody can prepare an approval before there is a question.
    pub nonce: String,
}

impl Action {
    /// What a person reads first: the main object.
    pub fn target(&self) -> Target {
        self.targets.first().cloned().unwrap_or_default()
    }

    /// What an approval is bound to: another argument, object, preview, investigation or level is
    /// another question. The version of an object is not part of it, for that changes by itself; what
    /// the change would make of the object is.
    pub fn digest(&self, investigation: InvestigationId, level: Risk) -> Digest {
        let timeless = |target: &Target| Target { resource_version: None, ..target.clone() };
        let bound = json!({
            "tool": self.tool,
            "effect": self.effect,
            "args": self.args,
            "targets": self.targets.iter().map(timeless).collect::<Vec<_>>(),
            "facts": self.facts,
            "preview": self.preview.digest(),
            "investigation": investigation,
            "level": level,
        });
        let canonical = serde_json_canonicalizer::to_vec(&bound).unwrap_or_default();
        Digest::of_parts([b"firewarden/action/v1".as_slice(), self.nonce.as_bytes(), &canonical])
    }

    /// The names under which the change is known in the world.
    pub fn keys(&self, incident: &Digest) -> EffectKeys {
        let target = self.target();
        let mut parts = vec!["firewarden/scope/v1", incident.as_str(), &self.tool];
        parts.extend(target.identity());
        let scope = Digest::of_parts(parts);
        let args = serde_json_canonicalizer::to_vec(&self.args).unwrap_or_default();
        let effect = Digest::of_parts([b"firewarden/effect/v1".as_slice(), scope.as_str().as_bytes(), &args]);
        EffectKeys { scope, effect }
    }
}

/// The deterministic names of a change: the same incident, tool and object give the same scope; with
/// the same arguments, the same effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectKeys {
    /// One change per scope, whatever its wording.
    pub scope: Digest,
    /// This wording of it.
    pub effect: Digest,
}

/// What a change carries into the world, so that it is recognised there, and so that nobody else can
/// make us believe that it is done already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Marker(String);

/// Letters of a marker's name: lower case, so that it may stand in labels, branches and file names.
const MARKER_DIGITS: usize = 20;

impl Marker {
    /// The marker of the change in `scope`, signed with `key`.
    pub fn sign(scope: &Digest, key: &[u8]) -> Self {
        let name = scope.short(MARKER_DIGITS);
        let mac = Hmac::<sha2::Sha256>::new_from_slice(key).map(|mut mac| {
            mac.update(b"firewarden/marker/v1");
            mac.update(scope.as_str().as_bytes());
            super::id::hex(&mac.finalize().into_bytes()[..8])
        });
        Self(format!("fw-{name}-{}", mac.unwrap_or_default()))
    }

    /// `fw-<name>-<signature>`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first letters of its name, for branches and titles.
    pub fn short(&self) -> &str {
        self.0.strip_prefix("fw-").and_then(|rest| rest.get(..8)).unwrap_or(&self.0)
    }
}

impl std::fmt::Display for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the target says of a change that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// What names the result there: a pull request's address, a resource version.
    pub reference: String,
    /// What was done, in one line, redacted.
    pub summary: String,
    /// What the tool needs to undo or verify it, in its own form.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

/// What a look after doubt found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "snake_case")]
pub enum Reconciled {
    /// The change is there and is ours.
    Applied {
        /// What the target says of it.
        receipt: Receipt,
    },
    /// It is not there.
    Absent {
        /// A copy that is still on its way would be refused: it may be sent again at once.
        definite: bool,
    },
    /// It is not there, and it cannot be made any more: the object is gone or another one.
    Superseded {
        /// What stands in its place.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn action() -> Action {
        Action {
            id: ActionId::new(Uuid::from_u128(1)),
            tool: "kubernetes_rollout_restart".into(),
            effect: Effect::Write,
            reversible: true,
            args: json!({"kind": "Deployment", "namespace": "payments", "name": "api"}),
            title: "restart Deployment payments/api".into(),
            targets: vec![Target {
                system: "kubernetes".into(),
                namespace: "payments".into(),
                api_version: "apps/v1".into(),
                kind: "Deployment".into(),
                name: "api".into(),
                verb: "patch".into(),
                uid: Some("u-1".into()),
                ..Target::default()
            }],
            preview: Preview { kind: "server_dry_run".into(), text: "+ a".into(), adds: 1, ..Preview::default() },
            precondition: json!({"resource_version": "7"}),
            carries: Value::Null,
            undo: None,
            retry: Retry::Keyed,
            blast_radius: BlastRadius::default(),
            facts: Value::Null,
            nonce: "n".into(),
        }
    }

    #[test]
    fn an_approval_is_bound_to_all_that_the_approver_saw() {
        let inv = |n| InvestigationId::new(Uuid::from_u128(n));
        let before = action().digest(inv(1), Risk::Medium);
        let changed: [(&str, fn(&mut Action)); 8] = [
            ("tool", |a| a.tool.push('x')),
            ("args", |a| a.args["name"] = json!("api2")),
            ("identity", |a| a.targets[0].uid = Some("u-2".into())),
            ("a further object", |a| a.targets.push(Target::default())),
            ("facts", |a| a.facts = json!({})),
            ("preview", |a| a.preview.text.push('x')),
            ("what was cut from the preview", |a| a.preview.whole = Some(Digest::of("x"))),
            ("nonce", |a| a.nonce.push('x')),
        ];
        for (what, change) in changed {
            let mut other = action();
            change(&mut other);
            assert_ne!(other.digest(inv(1), Risk::Medium), before, "{what}");
        }
        assert_ne!(action().digest(inv(2), Risk::Medium), before);
        assert_ne!(action().digest(inv(1), Risk::High), before);
        let mut same = action();
        same.title.push('x');
        same.id = ActionId::new(Uuid::from_u128(2));
        same.targets[0].resource_version = Some("8".into());
        same.precondition = json!({"resource_version": "8"});
        assert_eq!(same.digest(inv(1), Risk::Medium), before);
    }

    #[test]
    fn names_in_the_world_do_not_depend_on_chance() {
        let incident = Digest::of("incident");
        let mut again = action();
        again.id = ActionId::new(Uuid::from_u128(9));
        again.nonce = "another".into();
        again.targets[0].uid = Some("recreated".into());
        again.targets[0].resource_version = Some("8".into());
        assert_eq!(again.keys(&incident), action().keys(&incident));
        let mut worded = action();
        worded.args["reason"] = json!("x");
        assert_eq!(worded.keys(&incident).scope, action().keys(&incident).scope);
        assert_ne!(worded.keys(&incident).effect, action().keys(&incident).effect);
        assert_ne!(action().keys(&Digest::of("other")).scope, action().keys(&incident).scope);
    }

    #[test]
    fn a_marker_cannot_be_made_without_the_key() {
        let scope = Digest::of("scope");
        let marker = Marker::sign(&scope, b"key");
        assert_eq!(marker, Marker::sign(&scope, b"key"));
        assert_ne!(marker, Marker::sign(&scope, b"other"));
        assert_ne!(marker, Marker::sign(&Digest::of("x"), b"key"));
        // A Kubernetes label or annotation value, and a part of a branch name.
        assert!(marker.as_str().len() <= 63 && marker.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
        assert_eq!(marker.short().len(), 8);
    }

    #[test]
    fn the_same_name_with_another_identity_is_another_object() {
        let known = action().target();
        let mut other = known.clone();
        assert!(known.is_same(&other));
        other.resource_version = Some("9".into());
        assert!(known.is_same(&other));
        other.uid = None;
        assert!(known.is_same(&other));
        other.uid = Some("u-2".into());
        assert!(!known.is_same(&other));
        let mut verb = known.clone();
        verb.verb = "delete".into();
        assert!(!known.is_same(&verb));
        assert_eq!(known.label(), "Deployment payments/api");
    }
}
