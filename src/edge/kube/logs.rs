//! What a container said.

use super::super::error::{EdgeError, EdgeErrorKind};
use super::read::segment;
use super::{KubeReader, api_error, broken, invalid, within};
use ::kube::core::{Request, subresource::LogParams};
use futures::AsyncReadExt as _;
use serde_json::Value;

/// Most bytes that are read from the server.
pub const TRAVEL_BYTES: usize = 32 << 20;

/// Which log, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// The container; without one, the only one or the one that the pod calls its default.
    pub container: Option<String>,
    /// The log of the instance before the last restart.
    pub previous: bool,
    /// Only so many lines from the end.
    pub tail_lines: Option<u32>,
}

/// What was read of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRead {
    /// The container; empty when the pod could not be looked at.
    pub container: String,
    /// The log went on beyond [`TRAVEL_BYTES`]; its newest lines were not read.
    pub cut: bool,
}

impl KubeReader {
    /// Reads the log of a container and gives `take` its bytes as they come, oldest first.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] naming the containers when there are several and none was chosen.
    pub async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        query: &LogQuery,
        mut take: impl FnMut(&[u8]) + Send,
    ) -> Result<LogRead, EdgeError> {
        let (namespace, pod) = (segment("namespace", namespace)?, segment("name", pod)?);
        let container = match &query.container {
            Some(container) => segment("container", container)?.to_owned(),
            None => self.only_container(namespace, pod, query.previous).await?,
        };
        let params = LogParams {
            container: Some(container.clone()).filter(|c| !c.is_empty()),
            previous: query.previous,
            tail_lines: query.tail_lines.map(i64::from),
            ..LogParams::default()
        };
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log");
        let request = Request::new(format!("/api/v1/namespaces/{namespace}/pods"))
            .logs(pod, &params)
            .map_err(|e| invalid(format!("GET {path} cannot be asked: {e}")))?;
        let reading = async {
            let mut stream = self.client.request_stream(request).await.map_err(|e| api_error(&path, e))?;
            let (mut travelled, mut cut) = (0, false);
            let mut chunk = vec![0; 64 << 10];
            loop {
                let read = stream.read(&mut chunk).await.map_err(|e| broken(&path, &e))?;
                if read == 0 {
                    break;
                }
                take(&chunk[..read]);
                travelled += read;
                if travelled >= TRAVEL_BYTES {
                    cut = true;
                    break;
                }
            }
            Ok(LogRead { container, cut })
        };
        let result = within(&path, reading).await;
        match result {
            Err(error) if *error.kind() == EdgeErrorKind::NotFound => {
                let pods = self.resolve("pods", Some("v1")).await?;
                // The pod may be there while its log is not; then the first error stands.
                Err(self.get(&pods, Some(namespace), pod).await.err().unwrap_or(error))
            }
            other => other,
        }
    }

    /// The container that is meant when none is named. Empty when we may not look at the pod.
    async fn only_container(&self, namespace: &str, pod: &str, previous: bool) -> Result<String, EdgeError> {
        let pods = self.resolve("pods", Some("v1")).await?;
        let object = match self.get(&pods, Some(namespace), pod).await {
            Ok(object) => object,
            Err(error) if *error.kind() == EdgeErrorKind::Denied => return Ok(String::new()),
            Err(error) => return Err(error),
        };
        let names = |list: &str| -> Vec<&str> {
            object["spec"][list].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str()).collect()
        };
        let containers = names("containers");
        let default = object["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].as_str();
        if let Some(name) = default.filter(|name| containers.contains(name)) {
            return Ok(name.to_owned());
        }
        if let [only] = containers.as_slice() {
            return Ok((*only).to_owned());
        }
        let list: Vec<String> = ["containers", "initContainers"]
            .iter()
            .flat_map(|list| names(list).into_iter().map(|name| described(&object, list, name)))
            .collect();
        let what = if previous { "previous log" } else { "log" };
        Err(invalid(format!("pod {pod} has several containers; say whose {what} is wanted: {}", list.join(", "))))
    }
}

/// A container's name with what speaks for looking at it.
fn described(pod: &Value, list: &str, name: &str) -> String {
    let statuses = if list == "containers" { "containerStatuses" } else { "initContainerStatuses" };
    let status = pod["status"][statuses].as_array().into_iter().flatten().find(|s| s["name"] == name);
    let restarts = status.and_then(|s| s["restartCount"].as_u64()).unwrap_or(0);
    let waiting = status.and_then(|s| s["state"]["waiting"]["reason"].as_str());
    match (list, waiting, restarts) {
        ("initContainers", ..) => format!("{name} (init)"),
        (_, Some(waiting), _) => format!("{name} ({waiting}, {restarts} restarts)"),
        (_, None, 0) => name.to_owned(),
        (_, None, _) => format!("{name} ({restarts} restarts)"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, fixture};
    use super::*;
    use serde_json::json;

    const ALL: LogQuery = LogQuery { container: None, previous: false, tail_lines: None };

    fn pod(containers: &[&str]) -> Value {
        let containers: Vec<Value> = containers.iter().map(|name| json!({"name": name})).collect();
        json!({"kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": containers},
               "status": {"containerStatuses": [{"name": "app", "restartCount": 7, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}})
    }

    #[tokio::test]
    async fn the_only_container_is_meant_and_the_log_comes_in_order() {
        let fake = Fake::new();
        fake.on("/api/v1/namespaces/n/pods/a", 200, pod(&["app"]));
        let log: String = (0..50_000).map(|n| format!("line {n}\n")).collect();
        fake.text("/api/v1/namespaces/n/pods/a/log", 200, &log);
        let mut all = Vec::new();
        let read = fake.reader().logs("n", "a", &ALL, |bytes| all.extend_from_slice(bytes)).await.unwrap();
        assert_eq!(read, LogRead { container: "app".into(), cut: false });
        assert!(all == log.as_bytes());
    }

    #[tokio::test]
    async fn a_log_without_end_is_left_after_a_while() {
        let fake = Fake::new();
        fake.on("/api/v1/namespaces/n/pods/a", 200, pod(&["app"]));
        fake.text("/api/v1/namespaces/n/pods/a/log", 200, &"x".repeat(TRAVEL_BYTES + (1 << 20)));
        let mut bytes = 0;
        let read = fake.reader().logs("n", "a", &ALL, |chunk| bytes += chunk.len()).await.unwrap();
        assert!(read.cut && bytes < TRAVEL_BYTES + (1 << 20), "{bytes}");
    }

    #[tokio::test]
    async fn several_containers_are_named_with_what_is_wrong_with_them() {
        let fake = Fake::new();
        fake.on("/api/v1/namespaces/n/pods/a", 200, pod(&["app", "sidecar"]));
        let error = fake.reader().logs("n", "a", &ALL, |_| ()).await.unwrap_err();
        assert_eq!(*error.kind(), EdgeErrorKind::Invalid);
        assert_eq!(
            error.text(),
            "pod a has several containers; say whose log is wanted: app (CrashLoopBackOff, 7 restarts), sidecar"
        );
    }

    #[tokio::test]
    async fn without_a_look_at_the_pod_the_servers_own_words_are_told() {
        let fake = Fake::new();
        fake.on(
            "/api/v1/namespaces/shop/pods/web-595985d47b-8xk89",
            403,
            json!({"kind": "Status", "reason": "Forbidden", "code": 403}),
        );
        fake.replay(&fixture("error-logs-need-container"));
        fake.on("/api/v1/namespaces/shop/pods/api-65857d5d47-26pgn", 200, pod(&["app"]));
        fake.replay_at(&fixture("logs-no-kubelet"), "/api/v1/namespaces/shop/pods/api-65857d5d47-26pgn/log");
        let reader = fake.reader();
        let error = reader.logs("shop", "web-595985d47b-8xk89", &ALL, |_| ()).await.unwrap_err();
        assert!(error.text().contains("choose one of: [nginx sidecar]"), "{error}");
        let error = reader.logs("shop", "api-65857d5d47-26pgn", &ALL, |_| ()).await.unwrap_err();
        assert!(error.is_transient() && error.text().contains("no preferred addresses found"), "{error}");
    }
}
