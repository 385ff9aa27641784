//! A reader of any kind that a Kubernetes API server knows, and a writer. The reader only looks: it
//! sends nothing but GET and questions about our own rights. What changes something is in [`write`].
//!
//! - [`access`]: who we are and what we may.
//! - [`KubeReader`]: where the server is and how one bounded request is sent (this file).
//! - [`kinds`]: what a word like `po`, `Pod` or `certificates` means on this server.
//! - [`read`]: get, list, events.
//! - [`logs`]: what a container said.
//! - [`write`]: one change of one object, with a permit and a precondition.

pub mod access;
pub mod kinds;
pub mod logs;
pub mod read;
pub mod write;

#[cfg(test)]
pub(crate) mod fake;

use super::error::{EdgeError, EdgeErrorKind, shorten};
use super::http::causes;
use crate::domain::Secret;
use ::kube::config::{KubeConfigOptions, Kubeconfig};
use ::kube::{Client, Config, core::Request, core::params::ListParams};
use arc_swap::ArcSwapOption;
use futures::AsyncReadExt as _;
use kinds::Kinds;
use reqwest::header::{ACCEPT, HeaderValue};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use access::Right;
pub use kinds::ApiKind;
pub use logs::{LogQuery, LogRead, TRAVEL_BYTES as LOG_TRAVEL_BYTES};
pub use read::{ListQuery, Listing};
pub use write::{Change, KubeWriter, Place, Unmade};

/// The peer's name in errors.
const PEER: &str = "kubernetes";
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long one request may take from the first byte to the last.
const REQUEST: Duration = Duration::from_secs(30);
/// Most bytes of one answer.
const BODY_BYTES: usize = 16 << 20;

/// Reads objects, events and logs of one cluster. Cheap to clone.
#[derive(Clone)]
pub struct KubeReader {
    client: Client,
    cluster: Option<Arc<str>>,
    kinds: Arc<ArcSwapOption<Kinds>>,
    discovering: Arc<tokio::sync::Mutex<()>>,
}

impl std::fmt::Debug for KubeReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeReader").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl KubeReader {
    /// The cluster that `kubeconfig` names, or else the surroundings: `KUBECONFIG`, `~/.kube/config`,
    /// the service account of the pod we run in. `context` picks one of the kubeconfig's. `None`
    /// when nothing of that is there.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when something is there and cannot be used.
    pub async fn infer(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Option<Self>, EdgeError> {
        let options = KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
        if let Some(path) = kubeconfig {
            let shown = path.display();
            let read = Kubeconfig::read_from(path).map_err(|e| kubeconfig_error(&shown, &e))?;
            let config = Config::from_custom_kubeconfig(read, &options).await;
            return Self::with_config(config.map_err(|e| kubeconfig_error(&shown, &e))?).map(Some);
        }
        let named = std::env::var_os("KUBECONFIG").filter(|v| !v.is_empty());
        let home = std::env::home_dir().map(|home| home.join(".kube").join("config")).filter(|p| p.exists());
        let config = if named.is_some() || home.is_some() {
            let shown = named.map(PathBuf::from).or(home).unwrap_or_default();
            Config::from_kubeconfig(&options).await.map_err(|e| kubeconfig_error(&shown.display(), &e))?
        } else if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
            Config::incluster().map_err(|e| {
                invalid(format!("the pod's service account cannot be used: {}; mount its token", causes(&e)))
            })?
        } else {
            return Ok(None);
        };
        Self::with_config(config).map(Some)
    }

    /// The cluster whose API is served at `url`, which may have a path prefix. Needs a running
    /// tokio runtime.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when `url` is no address.
    pub fn at(url: &str, token: Option<Secret>) -> Result<Self, EdgeError> {
        let address = url.trim().trim_end_matches('/').parse();
        let mut config = Config::new(
            address.map_err(|e| invalid(format!("its address is not a URL ({e}); write https://host:port")))?,
        );
        config.auth_info.token = token.map(|token| token.expose().trim().into());
        Self::with_config(config)
    }

    fn with_config(mut config: Config) -> Result<Self, EdgeError> {
        // The crate would repeat every 429, 503 and 504 for minutes; repeating is ours to decide.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(REQUEST);
        let client =
            Client::try_from(config).map_err(|e| invalid(format!("its client cannot be built: {}", causes(&e))))?;
        Ok(Self::with_client(client))
    }

    /// A reader over a client that exists.
    pub fn with_client(client: Client) -> Self {
        Self { client, cluster: None, kinds: Arc::default(), discovering: Arc::default() }
    }

    /// The same reader under the name that policies and alerts use for this cluster.
    #[must_use]
    pub fn named(mut self, cluster: &str) -> Self {
        self.cluster = Some(cluster.into());
        self
    }

    /// The cluster's name, if it was given one.
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// Gets `path` as JSON. `accept` asks for another representation.
    async fn json(&self, path: &str, params: &ListParams, accept: Option<&'static str>) -> Result<Value, EdgeError> {
        let body = self.bytes(path, params, accept).await?;
        serde_json::from_slice(&body).map_err(|e| {
            EdgeError::new(
                PEER,
                EdgeErrorKind::BadBody,
                format!("the answer to GET {path} is not JSON ({e}); is it an API server?"),
            )
        })
    }

    async fn bytes(&self, path: &str, params: &ListParams, accept: Option<&'static str>) -> Result<Vec<u8>, EdgeError> {
        let mut request = Request::new(path)
            .list(params)
            .map_err(|e| invalid(format!("GET {path} cannot be asked: {}", causes(&e))))?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(accept.unwrap_or("application/json")));
        self.send(path, request).await
    }

    async fn send(&self, path: &str, request: http::Request<Vec<u8>>) -> Result<Vec<u8>, EdgeError> {
        let reading = async {
            let stream = self.client.request_stream(request).await.map_err(|e| api_error(path, e))?;
            let mut body = Vec::new();
            stream.take(BODY_BYTES as u64 + 1).read_to_end(&mut body).await.map_err(|e| broken(path, &e))?;
            match body.len() > BODY_BYTES {
                true => Err(EdgeError::new(
                    PEER,
                    EdgeErrorKind::TooLarge,
                    format!("the answer to GET {path} is larger than {BODY_BYTES} bytes; ask for less"),
                )),
                false => Ok(body),
            }
        };
        within(path, reading).await
    }
}

/// Runs `reading` for at most the time of one request.
async fn within<T>(path: &str, reading: impl Future<Output = Result<T, EdgeError>>) -> Result<T, EdgeError> {
    tokio::time::timeout(REQUEST, reading).await.unwrap_or_else(|_| {
        let text = format!("no answer to GET {path} within {} s; is the API server overloaded?", REQUEST.as_secs());
        Err(EdgeError::new(PEER, EdgeErrorKind::Timeout, text))
    })
}

/// The caller has to change something.
fn invalid(text: impl AsRef<str>) -> EdgeError {
    EdgeError::new(PEER, EdgeErrorKind::Invalid, text)
}

/// The connection broke while an answer was read.
fn broken(path: &str, error: &std::io::Error) -> EdgeError {
    match error.kind() {
        std::io::ErrorKind::TimedOut => {
            EdgeError::new(PEER, EdgeErrorKind::Timeout, format!("the answer to GET {path} stopped half-way"))
        }
        _ => EdgeError::new(
            PEER,
            EdgeErrorKind::Unreachable,
            format!("the connection broke during GET {path} ({})", causes(error)),
        ),
    }
}

/// What the API server, or the way to it, says. Read by `reason` and code; texts differ between versions.
fn api_error(path: &str, error: ::kube::Error) -> EdgeError {
    use ::kube::Error;
    match error {
        Error::Api(status) => {
            let said = shorten(&status.message, 400).into_owned();
            let said = if said.is_empty() { "no message".to_owned() } else { said };
            let foreign = status.reason == "Failed to parse error data";
            match (status.reason.as_str(), status.code) {
                ("Unauthorized", _) | (_, 401) => EdgeError::new(
                    PEER,
                    EdgeErrorKind::Denied,
                    "unauthorized: the API server does not accept the credential; renew the token or the kubeconfig",
                ),
                ("Forbidden", _) | (_, 403) => {
                    EdgeError::new(PEER, EdgeErrorKind::Denied, format!("forbidden: {said}; {}", grant(path)))
                }
                (_, 404) if foreign => EdgeError::new(
                    PEER,
                    EdgeErrorKind::Unserved,
                    format!("the API server serves nothing at {path}; check api_version"),
                ),
                ("NotFound", _) | (_, 404) => EdgeError::new(PEER, EdgeErrorKind::NotFound, said),
                ("Timeout" | "ServerTimeout", _) | (_, 504) => {
                    EdgeError::new(PEER, EdgeErrorKind::Timeout, format!("the API server timed out: {said}"))
                }
                ("Expired" | "Gone", _) | (_, 410) => EdgeError::new(
                    PEER,
                    EdgeErrorKind::Status { code: 410, reason: status.reason },
                    format!("the list changed while it was read: {said}; ask again"),
                ),
                (_, code) => {
                    let reason = if foreign { String::new() } else { status.reason };
                    let word = if reason.is_empty() { String::new() } else { format!(" {reason}") };
                    let text = format!("GET {path} was answered {code}{word}: {said}");
                    EdgeError::new(PEER, EdgeErrorKind::Status { code, reason }, text)
                }
            }
        }
        Error::Auth(e) => EdgeError::new(
            PEER,
            EdgeErrorKind::Denied,
            format!("no credential could be had ({}); check the kubeconfig's user", causes(&e)),
        ),
        e @ (Error::BuildRequest(_) | Error::HttpError(_)) => {
            invalid(format!("GET {path} cannot be asked: {}", causes(&e)))
        }
        e => EdgeError::new(
            PEER,
            EdgeErrorKind::Unreachable,
            format!("the API server cannot be reached ({}); check the address and the network", causes(&e)),
        ),
    }
}

/// What to grant so that GET `path` is allowed next time, as RBAC names it: `pods/log`,
/// `deployments.apps`.
fn grant(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let (group, below) = match parts.as_slice() {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        other => ("", other),
    };
    let (namespace, below) = match below {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(namespace), rest),
        other => (None, other),
    };
    let place = namespace.map_or_else(|| "in the cluster".to_owned(), |n| format!("in namespace {n}"));
    let group = if group.is_empty() { String::new() } else { format!(".{group}") };
    match below {
        [resource] => format!("grant list on {resource}{group} {place}"),
        [resource, _] => format!("grant get on {resource}{group} {place}"),
        [resource, _, sub] => format!("grant get on {resource}{group}/{sub} {place}"),
        _ => "grant get on it".to_owned(),
    }
}

/// Why a kubeconfig cannot be used. Its text may hold credentials, and a parser shows the lines
/// that it stumbles over, so that such an error is told without the parser's words.
fn kubeconfig_error(path: &dyn std::fmt::Display, error: &::kube::config::KubeconfigError) -> EdgeError {
    let why = match error {
        ::kube::config::KubeconfigError::Parse(_) => "it is not a kubeconfig in YAML".to_owned(),
        other => causes(other),
    };
    invalid(format!("kubeconfig {path} cannot be used: {why}; check it with `kubectl config view`"))
}

#[cfg(test)]
mod tests {
    use super::super::http::tests::{http, peer};
    use super::*;

    #[test]
    fn a_refusal_names_what_to_grant() {
        for (path, words) in [
            ("/api/v1/namespaces/shop/secrets/db", "grant get on secrets in namespace shop"),
            ("/api/v1/namespaces/shop/pods", "grant list on pods in namespace shop"),
            ("/apis/apps/v1/deployments", "grant list on deployments.apps in the cluster"),
            (
                "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods",
                "grant list on pods.metrics.k8s.io in namespace shop",
            ),
            ("/api/v1/namespaces/shop/pods/a/log", "grant get on pods/log in namespace shop"),
            ("/api/v1/namespaces/shop", "grant get on namespaces in the cluster"),
            ("/api/v1/nodes/n1", "grant get on nodes in the cluster"),
        ] {
            assert_eq!(grant(path), words, "{path}");
        }
    }

    #[test]
    fn a_token_shows_in_no_debug_text() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _guard = runtime.enter();
        let reader =
            KubeReader::at("http://127.0.0.1:1", Some(Secret::new("hunter22", "env:T"))).unwrap().named("prod");
        assert_eq!(format!("{reader:?}"), r#"KubeReader { cluster: Some("prod"), .. }"#);
        assert_eq!(*KubeReader::at("not a url", None).unwrap_err().kind(), EdgeErrorKind::Invalid);
    }

    #[tokio::test]
    async fn a_server_below_a_path_is_asked_with_the_token() {
        let (address, asked) = peer(|_| http(200, "application/json", b"{\"items\": []}"));
        let reader = KubeReader::at(&format!("{address}/world/"), Some(Secret::new("t0ken\n", "file:t"))).unwrap();
        assert_eq!(
            reader.json("/api/v1/nodes", &ListParams::default(), None).await.unwrap()["items"],
            serde_json::json!([])
        );
        let asked = asked.lock().unwrap().remove(0).to_ascii_lowercase();
        assert!(asked.starts_with("get /world/api/v1/nodes"), "{asked}");
        assert!(asked.contains("authorization: bearer t0ken\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn a_busy_server_is_asked_once() {
        let busy = br#"{"kind": "Status", "message": "busy", "reason": "TooManyRequests", "code": 429}"#;
        let (address, asked) = peer(|_| http(429, "application/json", busy));
        let error = KubeReader::at(&address, None)
            .unwrap()
            .json("/api/v1/nodes", &ListParams::default(), None)
            .await
            .unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert_eq!(asked.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_kubeconfig_that_is_none_is_told_without_its_lines() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        std::fs::write(&file, "users:\n- name: a\n  user: {token: hunter22\n").unwrap();
        let error = ::kube::config::Kubeconfig::read_from(&file).unwrap_err();
        let told = kubeconfig_error(&"config", &error);
        assert!(!told.to_string().contains("hunter22"), "{told}");
        assert_eq!(
            told.text(),
            "kubeconfig config cannot be used: it is not a kubeconfig in YAML; check it with `kubectl config view`"
        );
    }

    #[tokio::test]
    async fn an_absent_server_is_unreachable() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let reader = KubeReader::at("http://127.0.0.1:1", None).unwrap();
        let error = reader.json("/api/v1/nodes", &ListParams::default(), None).await.unwrap_err();
        assert_eq!(*error.kind(), EdgeErrorKind::Unreachable, "{error}");
    }
}
