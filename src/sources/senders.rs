//! All senders, by name and by the shape of what they send.

use super::cloudevents::CloudEvents;
use super::datadog::Datadog;
use super::generic::sender_name;
use super::grafana::Grafana;
use super::opsgenie::Opsgenie;
use super::pagerduty::PagerDuty;
use super::sentry::Sentry;
use super::uptime_kuma::UptimeKuma;
use super::{AlertSource, Alertmanager, Delivery, Generic, JsonMapping};
use std::sync::Arc;

/// Names under which JSON without a shape of its own is taken.
const SHAPELESS: [&str; 2] = ["generic", "portainer"];

/// Who may send alerts: the built-in senders, and those that the configuration describes.
#[derive(Debug, Clone)]
pub struct Senders {
    /// The most telling shape first.
    built_in: Vec<Arc<dyn AlertSource>>,
    mapped: Vec<Arc<dyn AlertSource>>,
}

impl Default for Senders {
    fn default() -> Self {
        Self::new(vec![])
    }
}

impl Senders {
    /// The built-in ones and `mapped`.
    pub fn new(mapped: Vec<JsonMapping>) -> Self {
        let built_in: Vec<Arc<dyn AlertSource>> = vec![
            Arc::new(CloudEvents),
            Arc::new(Grafana),
            Arc::new(Alertmanager),
            Arc::new(UptimeKuma),
            Arc::new(PagerDuty),
            Arc::new(Opsgenie),
            Arc::new(Sentry),
            Arc::new(Datadog),
        ];
        let mapped = mapped.into_iter().map(|mapping| Arc::new(mapping) as Arc<dyn AlertSource>).collect();
        Self { built_in, mapped }
    }

    /// The sender called `name`.
    pub fn named(&self, name: &str) -> Option<Arc<dyn AlertSource>> {
        let known = self.built_in.iter().chain(&self.mapped).find(|sender| sender.name() == name).cloned();
        known.or_else(|| SHAPELESS.contains(&name).then(|| Arc::new(Generic::named(name)) as Arc<dyn AlertSource>))
    }

    /// Every name that [`Self::named`] knows.
    pub fn names(&self) -> Vec<String> {
        let known = self.built_in.iter().chain(&self.mapped).map(|sender| sender.name().to_owned());
        let mut names: Vec<String> = known.chain(SHAPELESS.map(str::to_owned)).collect();
        names.sort();
        names
    }

    /// Whose the delivery is: a described sender if `hint` names it, else whose shape the body has. What
    /// has no shape belongs to whom `hint` names, `generic` without one.
    pub fn detect(&self, delivery: &Delivery<'_>, hint: Option<&str>) -> Arc<dyn AlertSource> {
        let hint = hint.and_then(sender_name);
        let hint = hint.as_deref();
        let described = self.mapped.iter().find(|sender| Some(sender.name()) == hint);
        let shaped = || self.built_in.iter().find(|sender| sender.recognises(delivery));
        // Whoever calls itself by the name of a sender is read as that sender, and told what is missing.
        let called = || self.built_in.iter().find(|sender| Some(sender.name()) == hint);
        let known = described.or_else(shaped).or_else(called).cloned();
        known.unwrap_or_else(|| Arc::new(hint.map_or_else(Generic::default, Generic::named)))
    }
}

#[cfg(test)]
mod tests;
