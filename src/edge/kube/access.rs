//! Who we are for the API server, and what we may do there. The server answers such questions without
//! keeping anything.

use super::{KubeReader, PEER, invalid};
use crate::edge::error::{EdgeError, EdgeErrorKind};
use crate::edge::http::causes;
use ::kube::core::{Request, params::ListParams, params::PostParams};
use serde_json::{Value, json};

/// One thing that may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// `get`, `list`, or `*`.
    pub verb: &'static str,
    /// The API group; empty is the core group.
    pub group: &'static str,
    /// The resource in plural, `pods/log` with its subresource.
    pub resource: &'static str,
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.group {
            "" => write!(f, "{} {}", self.verb, self.resource),
            group => write!(f, "{} {}.{group}", self.verb, self.resource),
        }
    }
}

impl KubeReader {
    /// The server's version, `v1.36.2` for instance.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn version(&self) -> Result<String, EdgeError> {
        let answer = self.json("/version", &ListParams::default(), None).await?;
        text(&answer, "/gitVersion", "/version")
    }

    /// The name under which the server knows us.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`]; servers before 1.28 do not know the question.
    pub async fn who_am_i(&self) -> Result<String, EdgeError> {
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let question = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}});
        text(&self.review(path, &question).await?, "/status/userInfo/username", path)
    }

    /// What names the cluster for good: the uid of the namespace `kube-system`.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn cluster_uid(&self) -> Result<String, EdgeError> {
        let path = "/api/v1/namespaces/kube-system";
        let answer = self.json(path, &ListParams::default(), None).await?;
        text(&answer, "/metadata/uid", path)
    }

    /// Whether we may do that in every namespace.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn may(&self, right: Right) -> Result<bool, EdgeError> {
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let (resource, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
        let attributes =
            json!({"verb": right.verb, "group": right.group, "resource": resource, "subresource": subresource});
        let question = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {},
                              "spec": {"resourceAttributes": attributes}});
        let answer = self.review(path, &question).await?;
        // What is not plainly allowed is not.
        Ok(answer.pointer("/status/allowed").and_then(Value::as_bool).unwrap_or(false))
    }

    async fn review(&self, path: &str, question: &Value) -> Result<Value, EdgeError> {
        let request = Request::new(path)
            .create(&PostParams::default(), question.to_string().into_bytes())
            .map_err(|e| invalid(format!("{path} cannot be asked: {}", causes(&e))))?;
        let body = self.send(path, request).await?;
        serde_json::from_slice(&body).map_err(|e| {
            EdgeError::new(PEER, EdgeErrorKind::BadBody, format!("the answer to {path} is not JSON ({e})"))
        })
    }
}

fn text(answer: &Value, pointer: &str, path: &str) -> Result<String, EdgeError> {
    let found = answer.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    found.map(|text| text.chars().take(200).collect()).ok_or_else(|| {
        EdgeError::new(
            PEER,
            EdgeErrorKind::BadBody,
            format!("the answer to {path} lacks {pointer}; is it an API server?"),
        )
    })
}
