//! What governs beside the configured policies, as the `system` chain tells it: a bundle that a person
//! promoted over them, and one that a person has tried beside them.

use super::{Actor, Body, Entry};
use crate::domain::{BlobRef, Digest, PolicyRef};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A bundle that a person put in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// Digest of the configured policies at that moment. It holds until they are others.
    pub over: Digest,
    /// Who had it tried.
    pub tried_by: String,
    /// Decisions that it was compared on.
    pub compared: u64,
    /// As many were asked for.
    pub required: u64,
    /// Of those, as many would have been less strict.
    pub widening: u64,
    /// Why that is wanted, in the words of who promoted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

/// A bundle is not tried any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowEnded {
    /// The bundle.
    pub policy: PolicyRef,
    /// Why.
    pub why: String,
}

/// A bundle that a person has tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The bundle.
    pub policy: PolicyRef,
    /// Where it is kept.
    pub bundle: BlobRef,
    /// Who began it.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// A bundle in force over the configured ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    /// The bundle.
    pub policy: PolicyRef,
    /// Where it is kept.
    pub bundle: BlobRef,
    /// Digest of the configured policies over which it holds.
    pub over: Digest,
}

/// What stands, by the word of people. It is carried from one start of the program to the next, so that only
/// the entries since the last start have to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Governing {
    /// In force over the configured policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<Promoted>,
    /// Tried beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}

impl Governing {
    /// Nothing stands but what is configured.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What stands after `entry`.
    pub fn apply(&mut self, entry: &Entry) {
        match (&entry.body, &entry.actor) {
            (Body::Started(started), _) => self.clone_from(&started.governing),
            (Body::PolicyActivated(now), Actor::Person(by)) if now.shadow => {
                let known = now.bundle.clone().zip(now.until);
                self.trial = known.map(|(bundle, until)| Trial {
                    policy: now.policy.clone(),
                    bundle,
                    by: by.clone(),
                    since: entry.at,
                    until,
                });
            }
            (Body::PolicyActivated(now), _) if !now.shadow => {
                let kept = now.promotion.as_ref().zip(now.bundle.clone());
                self.promoted = kept.map(|(promotion, bundle)| Promoted {
                    policy: now.policy.clone(),
                    bundle,
                    over: promotion.over.clone(),
                });
                if self.promoted.is_some() {
                    self.trial = None;
                }
            }
            (Body::ShadowEnded(ended), _) => {
                self.trial.take_if(|trial| trial.policy.digest == ended.policy.digest);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Draft, Head, PolicyActivated, Started};

    fn reference(name: &str) -> PolicyRef {
        PolicyRef { digest: Digest::of(name), bundle: name.into() }
    }

    fn activated(name: &str) -> PolicyActivated {
        PolicyActivated {
            policy: reference(name),
            bundle: Some(BlobRef::commit(&[0; 16], name.as_bytes())),
            before: reference("before"),
            trigger: "test".into(),
            by: vec![],
            files: vec![],
            shadow: false,
            until: None,
            promotion: None,
            canary: 0,
        }
    }

    fn after(bodies: Vec<(Actor, Body)>) -> Governing {
        let mut governing = Governing::default();
        let mut head = Head::genesis("system");
        for (actor, body) in bodies {
            let entry = head.seal("system", Timestamp::UNIX_EPOCH, Draft::new(actor, body)).unwrap();
            head = entry.head();
            governing.apply(&entry);
        }
        governing
    }

    #[test]
    fn what_people_began_stands_until_it_is_ended_or_taken_over() {
        let ann = || Actor::Person("ann".into());
        let tried = || {
            let until = Some(Timestamp::MAX);
            (ann(), Body::PolicyActivated(PolicyActivated { shadow: true, until, ..activated("next") }))
        };
        let promotion = Promotion {
            over: Digest::of("folder"),
            tried_by: "ann".into(),
            compared: 500,
            required: 500,
            widening: 0,
            accepted: None,
        };
        let promoted = || {
            let promotion = Some(promotion.clone());
            let body = PolicyActivated { promotion, ..activated("next") };
            (Actor::Person("bob".into()), Body::PolicyActivated(body))
        };
        let ended = || (ann(), Body::ShadowEnded(ShadowEnded { policy: reference("next"), why: "enough".into() }));
        let edited = || (Actor::Engine, Body::PolicyActivated(activated("edited")));
        // What the configuration has tried is the configuration's own.
        let configured = (Actor::Engine, Body::PolicyActivated(PolicyActivated { shadow: true, ..activated("next") }));

        let stands = after(vec![tried()]);
        assert_eq!(stands.trial.as_ref().map(|trial| trial.by.as_str()), Some("ann"));
        let started = Started {
            version: "1".into(),
            policy: reference("p"),
            prompts: Digest::of(""),
            tools: Digest::of(""),
            bundle: None,
            governing: stands.clone(),
        };
        assert_eq!(after(vec![(Actor::Engine, Body::Started(started))]), stands);
        assert!(after(vec![tried(), ended()]).is_none());
        assert!(after(vec![configured]).is_none());
        let stands = after(vec![tried(), promoted()]);
        assert_eq!((stands.promoted.unwrap().over, stands.trial), (Digest::of("folder"), None));
        assert_eq!(after(vec![promoted(), tried(), edited()]).promoted, None);
    }
}
