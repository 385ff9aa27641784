//! The peers of the tools, and which tool runs on which.

use super::act::ActTool;
use super::registry::Tool;
use super::spec::{ReadTool, ToolSpec};
use super::{
    alertmanager, closer, custom, elasticsearch, evidence, github, jira, kubernetes, loki, mcp, probe, prometheus,
    runbooks,
};
use crate::domain::{Clock, Effect, Redactor};
use crate::edge::{
    AlertmanagerReader, AlertmanagerWriter, ElasticsearchReader, GithubReader, GithubWriter, JiraReader, JiraWriter,
    KubeReader, KubeWriter, LokiReader, Prober, PrometheusReader, RunbookReader,
};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// What the tools read from and write to. A peer that is `None` has no tools.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The cluster.
    pub kubernetes: Option<KubeReader>,
    /// The cluster, where it may be changed.
    pub kubernetes_write: Option<KubeWriter>,
    /// The metrics.
    pub prometheus: Option<PrometheusReader>,
    /// Logs, by labels.
    pub loki: Option<LokiReader>,
    /// Silences.
    pub alertmanager: Option<AlertmanagerReader>,
    /// Where something may be silenced.
    pub alertmanager_write: Option<AlertmanagerWriter>,
    /// Logs, by words.
    pub elasticsearch: Option<ElasticsearchReader>,
    /// Services that may be asked whether they are well.
    pub http_probe: Option<Prober>,
    /// What people wrote down.
    pub runbooks: Option<RunbookReader>,
    /// Repositories.
    pub github: Option<GithubReader>,
    /// Repositories, where something may be written down in them.
    pub github_write: Option<GithubWriter>,
    /// Issues.
    pub jira: Option<JiraReader>,
    /// Where issues are written.
    pub jira_writer: Option<JiraWriter>,
    /// MCP servers, and what is listed of them.
    pub mcp: Vec<mcp::Peer>,
    /// What tools of one's own reach the world through.
    pub custom: custom::Doors,
    /// What "now" and "an hour ago" mean.
    pub clock: Arc<dyn Clock>,
}

impl Sources {
    /// No peers at all.
    pub fn none(clock: Arc<dyn Clock>) -> Self {
        Self {
            kubernetes: None,
            kubernetes_write: None,
            prometheus: None,
            loki: None,
            alertmanager: None,
            alertmanager_write: None,
            elasticsearch: None,
            http_probe: None,
            runbooks: None,
            github: None,
            github_write: None,
            jira: None,
            jira_writer: None,
            mcp: vec![],
            custom: custom::Doors::default(),
            clock,
        }
    }

    pub(super) fn has(&self, peer: &str) -> bool {
        match peer {
            "kubernetes" => self.kubernetes.is_some(),
            "kubernetes_write" => self.kubernetes.is_some() && self.kubernetes_write.is_some(),
            "prometheus" => self.prometheus.is_some(),
            "loki" => self.loki.is_some(),
            "alertmanager" => self.alertmanager.is_some(),
            "alertmanager_write" => self.alertmanager_write.is_some(),
            "elasticsearch" => self.elasticsearch.is_some(),
            "http_probe" => self.http_probe.is_some(),
            "runbooks" => self.runbooks.is_some(),
            "github" => self.github.is_some(),
            "github_write" => self.github.is_some() && self.github_write.is_some(),
            "jira" => self.jira.is_some(),
            "jira_write" => self.jira_writer.is_some(),
            _ => false,
        }
    }

    /// The tool that `spec` runs, if its peer is there.
    pub(super) fn tool(&self, spec: &Arc<ToolSpec>, redactor: &Arc<ArcSwap<Redactor>>) -> Option<Tool> {
        match own_effect(&spec.builtin) {
            Effect::Read => self.reading(spec, redactor).map(|tool| Tool::Reads(tool.into())),
            _ => self.acting(spec, redactor).map(|tool| Tool::Acts(tool.into())),
        }
    }

    fn acting(&self, spec: &Arc<ToolSpec>, redactor: &Arc<ArcSwap<Redactor>>) -> Option<Box<dyn ActTool>> {
        if jira::act::BUILTINS.contains(&spec.builtin.as_str()) {
            return jira::act::build(spec.clone(), self.jira_writer.clone()?, redactor);
        }
        if closer::BUILTINS.iter().any(|(name, _)| *name == spec.builtin) {
            return closer::build(spec.clone());
        }
        if alertmanager::act::BUILTINS.iter().any(|(name, _)| *name == spec.builtin) {
            return alertmanager::act::build(spec.clone(), self.alertmanager_write.clone()?, redactor);
        }
        if github::act::BUILTINS.iter().any(|(name, _)| *name == spec.builtin) {
            let (reader, writer) = (self.github.clone()?, self.github_write.clone()?);
            return github::act::build(spec.clone(), reader, writer, self.clock.clone(), redactor);
        }
        kubernetes::act::build(spec.clone(), self.kubernetes.clone()?, self.kubernetes_write.clone()?)
    }

    fn reading(&self, spec: &Arc<ToolSpec>, redactor: &Arc<ArcSwap<Redactor>>) -> Option<Box<dyn ReadTool>> {
        let (spec, clock) = (|| spec.clone(), || self.clock.clone());
        let of = |builtins: &[&str]| builtins.contains(&spec().builtin.as_str());
        match () {
            () if of(&kubernetes::BUILTINS) => kubernetes::build(spec(), self.kubernetes.clone()?, clock(), redactor),
            () if of(&prometheus::BUILTINS) => prometheus::build(spec(), self.prometheus.clone()?, clock()),
            () if of(&loki::BUILTINS) => loki::build(spec(), self.loki.clone()?, clock(), redactor),
            () if of(&alertmanager::BUILTINS) => alertmanager::build(spec(), self.alertmanager.clone()?, clock()),
            () if of(&elasticsearch::BUILTINS) => {
                elasticsearch::build(spec(), self.elasticsearch.clone()?, clock(), redactor)
            }
            () if of(&probe::BUILTINS) => probe::build(spec(), self.http_probe.clone()?, clock()),
            () if of(&runbooks::BUILTINS) => runbooks::build(spec(), self.runbooks.clone()?, clock()),
            () if of(&jira::BUILTINS) => jira::build(spec(), self.jira.clone()?),
            () if of(&github::BUILTINS) => github::build(spec(), self.github.clone()?, clock()),
            () => evidence::build(spec()),
        }
    }
}

/// What manifests can run.
pub(super) fn builtins() -> impl Iterator<Item = &'static str> {
    let all: [&[&'static str]; 11] = [
        &alertmanager::BUILTINS,
        &kubernetes::BUILTINS,
        &prometheus::BUILTINS,
        &loki::BUILTINS,
        &elasticsearch::BUILTINS,
        &probe::BUILTINS,
        &runbooks::BUILTINS,
        &github::BUILTINS,
        &jira::BUILTINS,
        &jira::act::BUILTINS,
        &evidence::BUILTINS,
    ];
    all.into_iter().flatten().copied().chain(ACTING.into_iter().flatten().map(|(name, _)| *name))
}

/// What changes something, with what it does to the world.
const ACTING: [&[(&str, Effect)]; 4] =
    [&kubernetes::act::BUILTINS, &github::act::BUILTINS, &alertmanager::act::BUILTINS, &closer::BUILTINS];

/// What a builtin does to the world.
pub(super) fn own_effect(builtin: &str) -> Effect {
    if jira::act::BUILTINS.contains(&builtin) {
        return Effect::Record;
    }
    ACTING.into_iter().flatten().find(|(name, _)| *name == builtin).map_or(Effect::Read, |(_, effect)| *effect)
}

/// A manifest tells its builtin's own effect, or of a change a graver one; never a milder.
pub(super) fn fitting(builtin: &str, declared: Effect) -> Result<(), String> {
    match own_effect(builtin) {
        Effect::Read if declared != Effect::Read => Err(format!("effect: `{builtin}` only looks; write `read`")),
        own if declared < own => Err(format!("effect: `{builtin}` does more than `{declared}`; write `{own}`")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_manifest_makes_a_tool_look_milder_than_it_is() {
        use Effect::{Destroy, Propose, Read, Record, Write};
        for (builtin, declared, fits) in [
            ("kubernetes_get", Read, true),
            ("kubernetes_get", Write, false),
            ("kubernetes_scale", Write, true),
            ("kubernetes_scale", Destroy, true),
            ("kubernetes_scale", Propose, false),
            ("kubernetes_scale", Record, false),
            ("kubernetes_scale", Read, false),
            ("kubernetes_delete", Destroy, true),
            ("kubernetes_delete", Write, false),
            ("alertmanager_silences", Read, true),
            ("alertmanager_silence", Write, true),
            ("alertmanager_silence", Record, false),
            ("alertmanager_expire_silence", Propose, false),
            ("github_file", Read, true),
            ("github_file", Write, false),
            ("github_open_pull_request", Propose, true),
            ("github_open_pull_request", Destroy, true),
            ("github_open_pull_request", Record, false),
            ("github_comment", Record, true),
            ("github_comment", Write, true),
            ("github_comment", Read, false),
        ] {
            assert_eq!(fitting(builtin, declared).is_ok(), fits, "{builtin} {declared}");
        }
    }
}
