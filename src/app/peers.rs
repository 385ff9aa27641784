//! The peers of the reading tools. One that is not configured is none.

use crate::config::{
    Config, Credential, Github, GithubCredential, JiraDeployment, Kubernetes, McpPeer, McpWay, ProbeMethod,
};
use crate::edge::call::Request;
use crate::edge::exec::Order;
use crate::edge::github;
use crate::edge::jira::Deployment;
use crate::edge::mcp::Way;
use crate::edge::{
    AlertmanagerReader, AlertmanagerWriter, AllowedHosts, Auth, Caller, EdgeError, EdgeErrorKind, ElasticsearchReader,
    GithubReader, GithubWriter, JiraReader, JiraWriter, KubeReader, KubeWriter, LokiReader, McpServer, Pinned,
    ProbeTarget, Prober, PrometheusReader, RunbookReader, Runner, SystemClock,
};
use crate::tools::mcp::Peer;
use std::sync::Arc;
use url::Url;

/// Bytes of an MCP server's complaints that are kept.
const COMPLAINTS: usize = 16 << 10;

pub(super) fn auth(credential: &Option<Credential>) -> Option<Auth> {
    credential.clone().map(|credential| match credential {
        Credential::Bearer(token) => Auth::Bearer(token),
        Credential::Basic { username, password } => Auth::Basic { username, password },
        Credential::ApiKey(key) => Auth::ApiKey(key),
    })
}

/// The cluster that is configured, if one is.
///
/// # Errors
/// When its settings cannot work.
pub async fn kubernetes(config: Option<&Kubernetes>) -> Result<Option<KubeReader>, EdgeError> {
    match config {
        None => Ok(None),
        Some(Kubernetes { url: Some(url), bearer, .. }) => KubeReader::at(url, bearer.clone()).map(Some),
        Some(Kubernetes { kubeconfig, context, .. }) => {
            KubeReader::infer(kubeconfig.as_deref(), context.as_deref()).await
        }
    }
}

/// Who changes the cluster that is configured, where that is configured.
///
/// # Errors
/// When its settings cannot work.
pub async fn kubernetes_writer(config: Option<&Kubernetes>) -> Result<Option<KubeWriter>, EdgeError> {
    let Some((cluster, writer)) = config.and_then(|config| Some((config, config.write.as_ref()?))) else {
        return Ok(None);
    };
    let access = match writer.is_the_reader() {
        true => kubernetes(Some(cluster)).await?,
        false => {
            let kubeconfig = writer.kubeconfig.as_ref().or(cluster.kubeconfig.as_ref());
            KubeReader::infer(kubeconfig.map(AsRef::as_ref), writer.context.as_deref()).await?
        }
    };
    Ok(access.map(KubeWriter::with))
}

/// The Prometheus that is configured, if one is.
///
/// # Errors
/// When its settings cannot work.
pub fn prometheus(config: &Config) -> Result<Option<PrometheusReader>, EdgeError> {
    let peer = config.prometheus.as_ref();
    let reader =
        peer.map(|peer| Ok(PrometheusReader::new(&peer.url, auth(&peer.credential))?.with_max_series(peer.max_series)));
    reader.transpose()
}

/// The Loki that is configured, if one is.
///
/// # Errors
/// When its settings cannot work.
pub fn loki(config: &Config) -> Result<Option<LokiReader>, EdgeError> {
    let peer = config.loki.as_ref();
    peer.map(|peer| LokiReader::new(&peer.url, auth(&peer.credential), peer.tenant.as_deref())).transpose()
}

/// The Alertmanager that is configured, if one is.
///
/// # Errors
/// When its settings cannot work.
pub fn alertmanager(config: &Config) -> Result<Option<AlertmanagerReader>, EdgeError> {
    let peer = config.alertmanager.as_ref();
    peer.map(|peer| AlertmanagerReader::new(&peer.url, auth(&peer.credential))).transpose()
}

/// Where alerts may be silenced, if anywhere.
///
/// # Errors
/// When its settings cannot work.
pub fn alertmanager_writer(config: &Config) -> Result<Option<AlertmanagerWriter>, EdgeError> {
    let Some(of) = config.alertmanager.as_ref().filter(|of| of.write) else { return Ok(None) };
    Ok(self::alertmanager(config)?.map(|reader| AlertmanagerWriter::new(reader, of.longest_silence)))
}

/// The Elasticsearch or OpenSearch that is configured, if one is.
///
/// # Errors
/// When its settings cannot work.
pub fn elasticsearch(config: &Config) -> Result<Option<ElasticsearchReader>, EdgeError> {
    let peer = config.elasticsearch.as_ref();
    let reader = peer.map(|peer| {
        ElasticsearchReader::new(&peer.url, auth(&peer.credential), peer.indices.clone(), &peer.time_field)
    });
    reader.transpose()
}

/// What may be probed, if anything may.
///
/// # Errors
/// When its settings cannot work.
pub fn http_probe(config: &Config) -> Result<Option<Prober>, EdgeError> {
    if config.probe_targets.is_empty() {
        return Ok(None);
    }
    let targets = config.probe_targets.iter().map(|target| {
        let head = target.method == ProbeMethod::Head;
        ProbeTarget::new(&target.name, &target.url, head, target.expect_status, target.timeout, &target.headers)
    });
    Ok(Some(Prober::new(targets.collect::<Result<_, _>>()?, Pinned::default())))
}

/// Where runbooks are read, if anywhere.
///
/// # Errors
/// When its settings cannot work.
pub fn runbooks(config: &Config) -> Result<Option<RunbookReader>, EdgeError> {
    let Some(runbooks) = &config.runbooks else { return Ok(None) };
    let hosts =
        AllowedHosts::new(&runbooks.hosts).map_err(|why| EdgeError::new("runbooks", EdgeErrorKind::Invalid, why))?;
    Ok(Some(RunbookReader::new(hosts, runbooks.dir.clone(), Pinned::default())))
}

/// The repositories that may be read, if any are configured.
///
/// # Errors
/// When its settings cannot work.
pub fn github(config: &Config) -> Result<Option<GithubReader>, EdgeError> {
    let Some(of) = &config.github else { return Ok(None) };
    Ok(Some(GithubReader::new(github_client(of, &of.credential)?, of.repos.clone())))
}

/// Who writes to these repositories, where that is permitted.
///
/// # Errors
/// When its settings cannot work.
pub fn github_writer(config: &Config) -> Result<Option<GithubWriter>, EdgeError> {
    let Some((of, writer)) = config.github.as_ref().and_then(|of| Some((of, of.write.as_ref()?))) else {
        return Ok(None);
    };
    Ok(Some(GithubWriter::new(github_client(of, writer)?)))
}

/// The same repositories as the writer's credential sees them, where there is one.
///
/// # Errors
/// When its settings cannot work.
pub fn github_as_writer(config: &Config) -> Result<Option<GithubReader>, EdgeError> {
    let Some((of, writer)) = config.github.as_ref().and_then(|of| Some((of, of.write.as_ref()?))) else {
        return Ok(None);
    };
    Ok(Some(GithubReader::new(github_client(of, writer)?, of.repos.clone())))
}

fn github_client(of: &Github, credential: &GithubCredential) -> Result<github::Client, EdgeError> {
    let credential = match credential.clone() {
        GithubCredential::Token(token) => github::Credential::Token(token),
        GithubCredential::App { id, private_key } => github::Credential::App { id, private_key },
    };
    github::Client::new(&of.base_url, credential, Arc::new(SystemClock))
}

/// The Jira that is configured, if one is.
///
/// # Errors
/// When its settings cannot work.
pub fn jira(config: &Config) -> Result<Option<JiraReader>, EdgeError> {
    let reader = config.jira.as_ref().map(|jira| {
        let deployment = match jira.deployment {
            Some(JiraDeployment::Cloud) => Deployment::Cloud,
            Some(JiraDeployment::Server) => Deployment::Server,
            None => Deployment::of(&jira.url),
        };
        JiraReader::new(&jira.url, auth(&jira.credential), deployment, jira.projects.clone())
    });
    reader.transpose()
}

/// Where issues may be written, if anywhere.
///
/// # Errors
/// When its settings cannot work.
pub fn jira_writer(config: &Config) -> Result<Option<JiraWriter>, EdgeError> {
    let Some(jira) = config.jira.as_ref().filter(|jira| jira.write) else { return Ok(None) };
    Ok(self::jira(config)?.map(|reader| JiraWriter::new(reader, &jira.issue_type)))
}

/// The MCP servers that are configured, and what is listed of them. None is begun.
///
/// # Errors
/// When the settings of one cannot work.
pub fn mcp(config: &Config) -> Result<Vec<Peer>, EdgeError> {
    let peer = |of: &McpPeer| {
        let server = McpServer::new(&of.name, mcp_way(of)?, Runner::default(), Caller::default());
        Ok(Peer { server, tools: of.tools.clone() })
    };
    config.mcp.iter().map(peer).collect()
}

fn mcp_way(of: &McpPeer) -> Result<Way, EdgeError> {
    match &of.way {
        McpWay::Command { argv, env, secrets, confinement } => Ok(Way::Command(Order {
            argv: argv.clone(),
            env: env.clone(),
            secrets: secrets.clone(),
            confinement: confinement.clone(),
            // It stays until it is let go.
            total: std::time::Duration::MAX,
            output_bytes: COMPLAINTS,
        })),
        McpWay::Http { url, headers, secrets } => {
            let peer = format!("mcp server {}", of.name);
            let wrong = |e: url::ParseError| EdgeError::new(&peer, EdgeErrorKind::Invalid, e.to_string());
            let mut request = Request::new(&peer, "POST", Url::parse(url).map_err(wrong)?)?;
            for (name, value) in headers {
                request = request.header(name, value)?;
            }
            for (name, word, secret) in secrets {
                request = request.secret(name, word, secret)?;
            }
            Ok(Way::Http(request))
        }
    }
}
