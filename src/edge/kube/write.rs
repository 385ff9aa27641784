//! The one door through which a cluster is changed.
//!
//! [`KubeWriter::make`] sends one change of one object. It asks for a [`Permit`] that names exactly this
//! object, and sends nothing without a precondition: the state that the plan was made from
//! (`resourceVersion`), the object's identity (`uid`), or a name that is free. So a second copy of the
//! same request, however late, is refused by the server. [`KubeWriter::try_out`] lets the server try a
//! change without keeping it; that needs no permit, for nothing changes.

use super::super::change::{Certainty, certainty};
use super::super::error::shorten;
use super::super::http::causes;
use super::read::segment;
use super::{ApiKind, KubeReader, REQUEST, Right};
use crate::domain::Target;
use crate::edge::EdgeError;
use crate::gate::Permit;
use ::kube::client::Body;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// Whose fields they are, in `managedFields`.
const MANAGER: &str = "firewarden";
/// Most bytes of an answer to a change.
const ANSWER_BYTES: usize = 4 << 20;
/// Most bytes of the server's own words.
const WORDS: usize = 500;

/// Changes objects of one cluster, with credentials of its own. Cheap to clone.
#[derive(Debug, Clone)]
pub struct KubeWriter {
    access: KubeReader,
}

/// One object, by its place.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// Its kind.
    pub kind: &'p ApiKind,
    /// Its namespace; `None` for kinds without.
    pub namespace: Option<&'p str>,
    /// Its name.
    pub name: &'p str,
}

/// What is sent about one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A merge patch (RFC 7386) with `metadata.uid` and `metadata.resourceVersion`.
    Merge(Value),
    /// Server-side apply of an object that is there, with its `metadata.resourceVersion`; never forced.
    Apply(Value),
    /// A new object under its own name.
    Create(Value),
    /// Removal of this very object; with a version, of it in this very state.
    Delete {
        /// Its identity.
        uid: String,
        /// The state that it has to be in.
        resource_version: Option<String>,
    },
    /// Eviction of this very Pod, as far as disruption budgets permit.
    Evict {
        /// Its identity.
        uid: String,
    },
}

/// Why a change did not happen, or may have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmade {
    /// The server said no, or was never reached: nothing happened.
    #[error("kubernetes: {text}")]
    Refused {
        /// The HTTP status; 0 when nothing was sent.
        code: u16,
        /// The server's own machine-readable word.
        reason: String,
        /// What it said and what to do.
        text: String,
    },
    /// The object is not in the state that the request was made for: nothing happened.
    #[error("kubernetes: {text}")]
    Stale {
        /// What the server said.
        text: String,
    },
    /// No clear answer: it may have happened.
    #[error("kubernetes: {text}")]
    Unknown {
        /// What went wrong.
        text: String,
    },
}

impl Unmade {
    fn refused(code: u16, reason: &str, text: impl AsRef<str>) -> Self {
        Self::Refused { code, reason: reason.to_owned(), text: shorten(text.as_ref(), WORDS).into_owned() }
    }

    fn unknown(text: impl AsRef<str>) -> Self {
        Self::Unknown { text: shorten(text.as_ref(), WORDS).into_owned() }
    }

    /// The object is not there, as the server says.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { reason, .. } if reason == "NotFound")
    }

    /// An object of this name is there already.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Refused { reason, .. } if reason == "AlreadyExists")
    }
}

impl Change {
    /// What it does, in the word that policies read.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Merge(_) | Self::Apply(_) => "patch",
            Self::Create(_) => "create",
            Self::Delete { .. } => "delete",
            Self::Evict { .. } => "evict",
        }
    }

    /// The identity of the object that it is about; a new one has none.
    fn uid(&self) -> Option<&str> {
        match self {
            Self::Merge(body) | Self::Apply(body) => body["metadata"]["uid"].as_str(),
            Self::Create(_) => None,
            Self::Delete { uid, .. } | Self::Evict { uid } => Some(uid),
        }
    }

    /// What makes the server refuse a second copy; without it nothing is sent.
    fn lacks(&self, name: &str) -> Option<&'static str> {
        let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        match self {
            Self::Merge(body) | Self::Apply(body) => (!text(&body["metadata"]["resourceVersion"])
                || !text(&body["metadata"]["uid"]))
            .then_some("it does not say which state of which object it is for"),
            Self::Create(body) => (body["metadata"]["name"] != name || body["metadata"].get("generateName").is_some())
                .then_some("the new object has no fixed name"),
            Self::Delete { uid, .. } | Self::Evict { uid } => {
                uid.is_empty().then_some("it does not say which object it is for")
            }
        }
    }

    fn request(&self, place: &Place<'_>, dry: bool) -> Result<Request<Body>, EdgeError> {
        let namespace = place.namespace.map(|namespace| segment("namespace", namespace)).transpose()?;
        let (collection, name) = (place.kind.path(namespace), segment("name", place.name)?);
        let object = format!("{collection}/{name}");
        let trial = if dry { "&dryRun=All" } else { "" };
        let fields = format!("fieldManager={MANAGER}{trial}");
        let options = |uid: &str, version: Option<&str>| {
            let mut preconditions = json!({"uid": uid});
            if let Some(version) = version {
                preconditions["resourceVersion"] = version.into();
            }
            let mut options = json!({"preconditions": preconditions});
            if dry {
                options["dryRun"] = json!(["All"]);
            }
            options
        };
        let json = "application/json";
        let (method, path, media, body) = match self {
            Self::Merge(body) => {
                (Method::PATCH, format!("{object}?{fields}"), "application/merge-patch+json", body.clone())
            }
            Self::Apply(body) => (
                Method::PATCH,
                format!("{object}?{fields}&force=false&fieldValidation=Strict"),
                "application/apply-patch+yaml",
                body.clone(),
            ),
            Self::Create(body) => {
                (Method::POST, format!("{collection}?{fields}&fieldValidation=Strict"), json, body.clone())
            }
            Self::Delete { uid, resource_version } => {
                let mut body = options(uid, resource_version.as_deref());
                body["kind"] = "DeleteOptions".into();
                body["apiVersion"] = "v1".into();
                body["propagationPolicy"] = "Background".into();
                (Method::DELETE, object, json, body)
            }
            Self::Evict { uid } => {
                let body = json!({"apiVersion": "policy/v1", "kind": "Eviction",
                    "metadata": {"name": name, "namespace": namespace}, "deleteOptions": options(uid, None)});
                (Method::POST, format!("{object}/eviction?{}", trial.trim_start_matches('&')), json, body)
            }
        };
        let request = Request::builder().method(method).uri(path).header(ACCEPT, json).header(CONTENT_TYPE, media);
        let body = Body::from(body.to_string().into_bytes());
        request.body(body).map_err(|e| super::invalid(format!("the change cannot be sent: {e}")))
    }
}

impl KubeWriter {
    /// A writer with the credentials of `access`.
    pub fn with(access: KubeReader) -> Self {
        Self { access }
    }

    /// The name under which the server knows the writer.
    ///
    /// # Errors
    /// As [`KubeReader::who_am_i`].
    pub async fn who_am_i(&self) -> Result<String, EdgeError> {
        self.access.who_am_i().await
    }

    /// As [`KubeReader::cluster_uid`].
    ///
    /// # Errors
    /// As there.
    pub async fn cluster_uid(&self) -> Result<String, EdgeError> {
        self.access.cluster_uid().await
    }

    /// Whether the writer may do that in every namespace.
    ///
    /// # Errors
    /// As [`KubeReader::may`].
    pub async fn may(&self, right: Right) -> Result<bool, EdgeError> {
        self.access.may(right).await
    }

    /// The object at `place` as an action names it.
    pub fn target(&self, place: &Place<'_>, verb: &str, uid: Option<&str>) -> Target {
        Target {
            system: "kubernetes".to_owned(),
            cluster: self.access.cluster().unwrap_or_default().to_owned(),
            namespace: place.namespace.unwrap_or_default().to_owned(),
            api_version: place.kind.api_version(),
            kind: place.kind.kind.clone(),
            name: place.name.to_owned(),
            verb: verb.to_owned(),
            uid: uid.map(str::to_owned),
            ..Target::default()
        }
    }

    /// Lets the server try a change: defaults, admission, quotas and budgets, and nothing is kept. The
    /// object as it would be.
    ///
    /// # Errors
    /// [`Unmade`]: what the server would say to the change itself.
    pub async fn try_out(&self, place: &Place<'_>, change: &Change) -> Result<Value, Unmade> {
        self.send(place, change, true, REQUEST).await
    }

    /// Makes a change that `permit` covers at `now`. The object as it is then.
    ///
    /// # Errors
    /// [`Unmade`]: whether nothing happened, or something may have.
    pub async fn make(
        &self,
        permit: &Permit,
        now: Timestamp,
        place: &Place<'_>,
        change: &Change,
    ) -> Result<Value, Unmade> {
        if let Some(lack) = change.lacks(place.name) {
            return Err(Unmade::refused(0, "", format!("nothing was sent: {lack}")));
        }
        let target = self.target(place, change.verb(), change.uid());
        permit.covers(&target, now).map_err(|refused| Unmade::refused(0, "", refused.to_string()))?;
        let left = Duration::try_from(permit.not_after().duration_since(now)).unwrap_or_default();
        self.send(place, change, false, REQUEST.min(left)).await
    }

    async fn send(&self, place: &Place<'_>, change: &Change, dry: bool, limit: Duration) -> Result<Value, Unmade> {
        let request = change.request(place, dry).map_err(|e| Unmade::refused(0, "", e.text()))?;
        let what = format!("{} {}", change.verb(), place.name);
        let sending = async {
            let answer = self.access.client.send(request).await.map_err(|e| unsent(&what, &e))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await.map_err(|e| {
                Unmade::unknown(format!("the answer to {what} was {status}, and broke off ({})", causes(e.as_ref())))
            })?;
            read(&what, change, status, &body.to_bytes())
        };
        tokio::time::timeout(limit, sending)
            .await
            .unwrap_or_else(|_| Err(Unmade::unknown(format!("no answer to {what} within {} s", limit.as_secs()))))
    }
}

/// The exchange failed before there was an answer.
fn unsent(what: &str, error: &::kube::Error) -> Unmade {
    let why = causes(error);
    match error {
        ::kube::Error::Auth(_) => {
            Unmade::refused(0, "", format!("no credential for {what} could be had ({why}); check the writer's user"))
        }
        error if never_connected(error) => {
            Unmade::refused(0, "", format!("the API server cannot be reached for {what} ({why}); nothing was sent"))
        }
        _ => Unmade::unknown(format!("the connection broke during {what} ({why})")),
    }
}

/// Whether it failed while connecting: no byte of the request has left then.
fn never_connected(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            return error.is_connect();
        }
        next = error.source();
    }
    false
}

/// What the answer means. Only what the API server itself says counts: a page of a proxy says nothing
/// about what became of the request.
fn read(what: &str, change: &Change, status: StatusCode, body: &[u8]) -> Result<Value, Unmade> {
    let answer = serde_json::from_slice::<Value>(body).ok().filter(Value::is_object);
    let Some(answer) = answer else {
        return Err(Unmade::unknown(format!("the answer to {what} was {status} and cannot be read")));
    };
    let is_status = answer["kind"] == "Status" && answer["apiVersion"].as_str().is_none_or(|v| v == "v1");
    if status.is_success() {
        let kind = answer["kind"].as_str().unwrap_or_default();
        return match is_status && answer["status"] == "Failure" || kind.is_empty() {
            true => Err(Unmade::unknown(format!("the answer to {what} was {status} and is no object"))),
            false => Ok(answer),
        };
    }
    if !is_status {
        return Err(Unmade::unknown(format!("the answer to {what} was {status}, and not of the API server")));
    }
    Err(said(what, change, status.as_u16(), &answer))
}

/// What a Status of the API server means for a change.
fn said(what: &str, change: &Change, code: u16, answer: &Value) -> Unmade {
    let (reason, message) = (answer["reason"].as_str().unwrap_or_default(), answer["message"].as_str());
    let message = message.filter(|text| !text.is_empty()).unwrap_or("no message");
    let causes = || answer["details"]["causes"].as_array().into_iter().flatten();
    let caused_by = |word: &str| causes().any(|cause| cause["reason"] == word);
    match (code, reason) {
        (409, "AlreadyExists") => Unmade::refused(code, reason, message),
        (409, _) if caused_by("FieldManagerConflict") => {
            let whose: Vec<String> = causes()
                .map(|cause| {
                    let part = |key: &str| cause[key].as_str().unwrap_or_default();
                    format!("{}: {}", part("field"), part("message"))
                })
                .collect();
            let text = format!("others own these fields, and they are not taken from them: {}", whose.join("; "));
            Unmade::refused(code, reason, text)
        }
        (409, _) => Unmade::Stale { text: shorten(message, WORDS).into_owned() },
        (429, _) if matches!(change, Change::Evict { .. }) && caused_by("DisruptionBudget") => {
            Unmade::refused(code, reason, format!("a disruption budget forbids it now: {message}"))
        }
        (403, _) => Unmade::refused(code, reason, format!("forbidden: {message}; see docs/tools.md, Changing tools")),
        (401, _) => Unmade::refused(code, reason, "the API server does not accept the writer's credential"),
        _ => match certainty(code) {
            Certainty::Refused => Unmade::refused(code, reason, message),
            Certainty::Made | Certainty::Unknown => {
                Unmade::unknown(format!("{what} was answered {code} {reason}: {message}"))
            }
        },
    }
}

#[cfg(test)]
mod tests;
