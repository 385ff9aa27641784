//! Which playbook an incident gets, as somebody configured it.

use super::class::Class;
use super::event::{Severity, SreEvent};
use super::risk::words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

words! {
    /// What is to propose changes where no model does.
    #[derive(Default)]
    Playbook:
    /// That of the incident's class.
    #[default]
    Classified = "classified",
    /// Whatever the class: back to the revision before, or a restart.
    ServiceDown = "service_down",
    /// Whatever the class: hands off, and a restart that people are asked about.
    ServiceFlapping = "service_flapping",
    /// Whatever the class: more room, and a closer look.
    ResourcePressure = "resource_pressure",
    /// None: it is looked into and told.
    Nothing = "none",
}

impl Playbook {
    /// The class whatever the alert says; nothing where its words decide, or nobody proposes.
    pub const fn forced(self) -> Option<Class> {
        match self {
            Self::ServiceDown => Some(Class::ServiceDown),
            Self::ServiceFlapping => Some(Class::ServiceFlapping),
            Self::ResourcePressure => Some(Class::ResourcePressure),
            Self::Classified | Self::Nothing => None,
        }
    }

    /// The class whose playbook proposes for an incident of `class`.
    pub const fn proposing(self, class: Option<Class>) -> Option<Class> {
        match self {
            Self::Classified => class,
            Self::Nothing => None,
            Self::ServiceDown | Self::ServiceFlapping | Self::ResourcePressure => self.forced(),
        }
    }
}

/// A playbook, and what chose it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The playbook.
    pub playbook: Playbook,
    /// `route NAME`, or the key in `playbooks`.
    pub by: String,
}

impl Default for Chosen {
    fn default() -> Self {
        Self { playbook: Playbook::Classified, by: Playbooks::DEFAULT.to_owned() }
    }
}

impl Chosen {
    /// Nobody chose otherwise than the program does.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Playbooks by sender and severity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Playbooks(pub BTreeMap<String, Playbook>);

impl Playbooks {
    /// The key for what no other key names.
    pub const DEFAULT: &'static str = "default";

    /// The playbook for `event`: `<source>:<severity>`, else `<source>`, else `default`.
    pub fn choose(&self, event: &SreEvent) -> Chosen {
        let keys = [format!("{}:{}", event.source, event.severity), event.source.clone(), Self::DEFAULT.to_owned()];
        let found = keys.into_iter().find_map(|key| Some((*self.0.get(&key)?, key)));
        found.map_or_else(Chosen::default, |(playbook, by)| Chosen { playbook, by })
    }

    /// The severity at the end of a key that is none; nothing where the key is fine.
    pub fn odd_severity(key: &str) -> Option<&str> {
        let (_, severity) = key.rsplit_once(':')?;
        severity.parse::<Severity>().err().map(|_| severity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_wins() {
        let mut event = crate::policy::sample_event();
        let playbooks = |keys: &[(&str, Playbook)]| {
            Playbooks(keys.iter().map(|(key, playbook)| ((*key).to_owned(), *playbook)).collect())
        };
        let all = playbooks(&[
            ("uptime-kuma:critical", Playbook::ServiceDown),
            ("uptime-kuma", Playbook::Nothing),
            ("default", Playbook::ServiceFlapping),
        ]);
        for (source, severity, expected) in [
            ("uptime-kuma", Severity::Critical, "uptime-kuma:critical"),
            ("uptime-kuma", Severity::Error, "uptime-kuma"),
            ("portainer", Severity::Critical, "default"),
        ] {
            (event.source, event.severity) = (source.to_owned(), severity);
            assert_eq!(all.choose(&event).by, expected);
        }
        let none = Playbooks::default().choose(&event);
        assert!(none.is_default() && none.playbook == Playbook::Classified);
    }

    #[test]
    fn a_playbook_forces_a_class_or_leaves_it_to_the_words() {
        use Class::{ResourcePressure, ServiceDown};
        for (playbook, class, proposing) in [
            (Playbook::Classified, Some(ResourcePressure), Some(ResourcePressure)),
            (Playbook::Classified, None, None),
            (Playbook::ServiceDown, Some(ResourcePressure), Some(ServiceDown)),
            (Playbook::ServiceDown, None, Some(ServiceDown)),
            (Playbook::Nothing, Some(ServiceDown), None),
        ] {
            assert_eq!(playbook.proposing(class), proposing, "{playbook} {class:?}");
        }
        for (key, odd) in
            [("portainer", None), ("portainer:critical", None), ("portainer:loud", Some("loud")), ("default", None)]
        {
            assert_eq!(Playbooks::odd_severity(key), odd);
        }
    }
}
