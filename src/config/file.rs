//! The keys of `firewarden.yaml`, as serde sees them. [`super::keys`] tells people what they mean; a
//! test holds the two together.

use super::forge::Github;
use super::keeping::{Audit, Retention};
use super::routes::Route;
use super::secret::Reference;
use super::senders::Intake;
use super::silences::Alertmanager;
use super::units::{Size, Span};
use crate::domain::{Budget, DayBudget, Playbooks};
use crate::engine::Summaries;
use crate::model::{CacheMarks, Structured};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub server: Server,
    pub access: Access,
    pub store: Store,
    pub intake: Intake,
    pub pollers: Vec<super::pollers::PollerKeys>,
    pub routes: Vec<Route>,
    pub playbooks: Playbooks,
    pub models: Vec<Model>,
    pub investigation: InvestigationKeys,
    pub budgets: Budgets,
    pub tools: Tools,
    pub policies: Policies,
    pub prompts: Directory,
    pub notify: Vec<Notify>,
    pub audit: Audit,
    pub retention: Retention,
    pub telemetry: Telemetry,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Server {
    pub listen: String,
    pub public_url: Option<String>,
    pub max_body: Size,
}

impl Default for Server {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8080".into(), public_url: None, max_body: Size(32 << 20) }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Access {
    pub tokens: Vec<AccessToken>,
}

/// What a caller of the API may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also cancels, retries, gives feedback.
    Operator,
    /// Also grants and denies, where a group fits.
    Approver,
    /// Everything.
    Admin,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessToken {
    pub name: String,
    pub role: Role,
    #[serde(default)]
    pub groups: Vec<String>,
    pub token: Reference,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Store {
    pub url: Option<String>,
}

/// Which protocol a model speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The OpenAI chat API, or anything compatible with it.
    Openai,
    /// Ollama, in its own protocol.
    Ollama,
    /// Nobody: answers that were written or recorded.
    Replay,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    pub name: String,
    pub provider: Provider,
    pub model: String,
    #[serde(default)]
    pub base_url: Option<String>,
    #[serde(default)]
    pub host: Option<String>,
    #[serde(default)]
    pub api_key: Option<Reference>,
    #[serde(default = "model_timeout")]
    pub timeout: Span,
    #[serde(default)]
    pub context_tokens: Option<u64>,
    #[serde(default = "yes")]
    pub stream: bool,
    #[serde(default)]
    pub structured: Structured,
    #[serde(default)]
    pub cache: CacheMarks,
    #[serde(default)]
    pub pin: Option<String>,
    #[serde(default)]
    pub num_ctx: Option<u64>,
    #[serde(default)]
    pub pull: bool,
    #[serde(default)]
    pub file: Option<String>,
    #[serde(default)]
    pub strict: bool,
    #[serde(default)]
    pub price: Price,
    #[serde(default)]
    pub cheap: bool,
}

const fn yes() -> bool {
    true
}

fn model_timeout() -> Span {
    Span::seconds(120)
}

/// What a model costs, in US dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// A million tokens sent.
    pub input_per_mtok: f64,
    /// A million tokens received.
    pub output_per_mtok: f64,
    /// A million tokens sent that the server still had.
    pub cached_per_mtok: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct InvestigationKeys {
    pub summaries: Summaries,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Budgets {
    pub per_investigation: PerInvestigation,
    pub survey: SurveyBudget,
    pub per_day: PerDay,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PerInvestigation {
    pub turns: u32,
    pub tool_calls: u32,
    pub tokens: u64,
    pub cost_usd: f64,
    pub wall: Span,
}

impl Default for PerInvestigation {
    fn default() -> Self {
        let b = Budget::default();
        Self {
            turns: b.turns,
            tool_calls: b.tool_calls,
            tokens: b.tokens,
            cost_usd: b.cost_usd,
            wall: Span::seconds(b.wall_s),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PerDay {
    pub cost_usd: Option<f64>,
    pub tokens: Option<u64>,
    pub investigations: Option<u32>,
}

impl Default for PerDay {
    fn default() -> Self {
        let DayBudget { cost_usd, tokens, investigations } = DayBudget::default();
        Self { cost_usd, tokens, investigations }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SurveyBudget {
    pub tool_calls: u32,
    pub wall: Span,
}

impl Default for SurveyBudget {
    fn default() -> Self {
        let b = Budget::default();
        Self { tool_calls: b.survey_calls, wall: Span::seconds(b.survey_s) }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tools {
    pub dir: Option<String>,
    pub kubernetes: Option<Kubernetes>,
    pub prometheus: Prometheus,
    pub loki: Loki,
    pub alertmanager: Alertmanager,
    pub elasticsearch: Elasticsearch,
    pub http_probe: HttpProbe,
    pub runbooks: Runbooks,
    pub jira: Jira,
    pub github: Github,
    pub mcp: Vec<super::mcp::Server>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Loki {
    pub url: Option<String>,
    pub bearer: Option<Reference>,
    pub basic: Option<Basic>,
    pub tenant: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Elasticsearch {
    pub url: Option<String>,
    pub api_key: Option<Reference>,
    pub bearer: Option<Reference>,
    pub basic: Option<Basic>,
    pub indices: Vec<String>,
    pub time_field: String,
}

impl Default for Elasticsearch {
    fn default() -> Self {
        Self { url: None, api_key: None, bearer: None, basic: None, indices: vec![], time_field: "@timestamp".into() }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HttpProbe {
    pub targets: Vec<ProbeTarget>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProbeTarget {
    pub name: String,
    pub url: String,
    #[serde(default)]
    pub method: ProbeMethod,
    #[serde(default)]
    pub expect_status: Option<u16>,
    #[serde(default = "probe_timeout")]
    pub timeout: Span,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

fn probe_timeout() -> Span {
    Span::seconds(10)
}

/// How a service is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ProbeMethod {
    /// For the whole answer.
    #[default]
    Get,
    /// For its head.
    Head,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Runbooks {
    pub hosts: Vec<String>,
    pub dir: Option<String>,
}

/// Which of the two Jiras it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JiraDeployment {
    /// Atlassian's own.
    Cloud,
    /// Server or Data Center.
    Server,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Jira {
    pub url: Option<String>,
    pub deployment: Option<JiraDeployment>,
    pub username: Option<String>,
    pub token: Option<Reference>,
    pub project: Option<String>,
    pub projects: Vec<String>,
    pub issue_type: String,
    pub write: bool,
}

impl Default for Jira {
    fn default() -> Self {
        Self {
            url: None,
            deployment: None,
            username: None,
            token: None,
            project: None,
            projects: vec![],
            issue_type: "Task".into(),
            write: true,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Kubernetes {
    pub url: Option<String>,
    pub bearer: Option<Reference>,
    pub kubeconfig: Option<String>,
    pub context: Option<String>,
    pub write: bool,
    pub writer: KubernetesWriter,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct KubernetesWriter {
    pub kubeconfig: Option<String>,
    pub context: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Prometheus {
    pub url: Option<String>,
    pub bearer: Option<Reference>,
    pub basic: Option<Basic>,
    pub max_series: usize,
}

impl Default for Prometheus {
    fn default() -> Self {
        Self { url: None, bearer: None, basic: None, max_series: crate::edge::MAX_SERIES }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Basic {
    pub username: String,
    pub password: Reference,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Directory {
    pub dir: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Policies {
    pub dir: Option<String>,
    pub shadow: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notify {
    pub name: String,
    pub webhook: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object on each line.
    Json,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Telemetry {
    pub log: LogFormat,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { log: LogFormat::Text }
    }
}
