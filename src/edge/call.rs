//! One HTTP request that an operator wrote down: to the host that is written there, by an address that
//! was looked up once, without following redirects.

use super::error::{EdgeError, EdgeErrorKind};
use super::pinned::{Answer, Asked, Pinned, Trace};
use crate::domain::{Secret, Target};
use crate::gate::{Permit, Refused};
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use jiff::Timestamp;
use std::time::Duration;
use url::Url;

/// Headers that the exchange itself sets, or that say how it goes.
const RESERVED: [&str; 9] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "accept-encoding",
    "upgrade",
    "te",
    "expect",
    "trailer",
];

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    peer: String,
    method: Method,
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
}

/// The limits of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// From the look-up to the last byte.
    pub total: Duration,
    /// Bytes of the answer that are read; the rest is left.
    pub body_bytes: usize,
}

/// Why there is no answer to a request that changes something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The permit does not cover it: nothing was sent.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There was no connection: nothing was sent.
    #[error(transparent)]
    NotSent(EdgeError),
    /// It was sent, or may have been.
    #[error(transparent)]
    Unknown(EdgeError),
}

/// Whether `name` is a header that a manifest may set.
///
/// # Errors
/// Why it is none.
pub fn check_header(name: &str) -> Result<(), String> {
    let known = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no header"))?;
    match RESERVED.contains(&known.as_str()) {
        true => Err(format!("the header `{name}` cannot be set")),
        false => Ok(()),
    }
}

impl Request {
    /// A request of the tool `peer`.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when `method` is none.
    pub fn new(peer: &str, method: &str, url: Url) -> Result<Self, EdgeError> {
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| EdgeError::new(peer, EdgeErrorKind::Invalid, format!("`{method}` is no method")))?;
        Ok(Self { peer: peer.to_owned(), method, url, headers: Vec::new(), body: Vec::new() })
    }

    /// The same with one more header.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when it cannot be set, or the value cannot stand in one.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, EdgeError> {
        let invalid = |why: String| EdgeError::new(&self.peer, EdgeErrorKind::Invalid, why);
        check_header(name).map_err(invalid)?;
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|e| invalid(e.to_string()))?;
        let value = HeaderValue::from_str(value.trim())
            .map_err(|_| invalid(format!("the header `{name}` holds what no header can")))?;
        self.headers.push((header, value));
        Ok(self)
    }

    /// The same with a header whose value is `scheme` and a secret.
    ///
    /// # Errors
    /// As [`Self::header`].
    pub fn secret(self, name: &str, scheme: &str, secret: &Secret) -> Result<Self, EdgeError> {
        let mut with = self.header(name, format!("{scheme} {}", secret.expose()).trim())?;
        if let Some((_, value)) = with.headers.last_mut() {
            value.set_sensitive(true);
        }
        Ok(with)
    }

    /// The same with a body.
    ///
    /// # Errors
    /// As [`Self::header`].
    pub fn json(mut self, body: &serde_json::Value) -> Result<Self, EdgeError> {
        self.body = body.to_string().into_bytes();
        let has_type = self.headers.iter().any(|(name, _)| name.as_str() == "content-type");
        if has_type { Ok(self) } else { self.header("content-type", "application/json") }
    }

    /// The same by another method, which has to be one.
    #[must_use]
    pub(super) fn by(mut self, method: &'static str) -> Self {
        self.method = Method::from_bytes(method.as_bytes()).unwrap_or(self.method);
        self
    }

    /// What it asks for, without the query, which may hold a key.
    pub fn shown(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        format!("{} {url}", self.method)
    }
}

/// Sends requests. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    pinned: Pinned,
}

impl Caller {
    /// Sends what only looks.
    ///
    /// # Errors
    /// When there is no answer, or the request is none that only looks.
    pub async fn look(&self, request: &Request, bounds: Bounds) -> Result<Answer, EdgeError> {
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let text = format!("{} does not only look", request.method);
            return Err(EdgeError::new(&request.peer, EdgeErrorKind::Invalid, text));
        }
        self.exchange(request, bounds).await.map_err(|(error, _)| error)
    }

    /// Sends what changes `target`, which `permit` has to name.
    ///
    /// # Errors
    /// Whether it may have been sent.
    pub async fn change(
        &self,
        permit: &Permit,
        target: &Target,
        request: &Request,
        bounds: Bounds,
        now: Timestamp,
    ) -> Result<Answer, Unanswered> {
        permit.covers(target, now)?;
        self.exchange(request, bounds).await.map_err(|(error, sent)| match sent {
            true => Unanswered::Unknown(error),
            false => Unanswered::NotSent(error),
        })
    }

    /// The answer; or why there is none, and whether the request may have been sent.
    pub(super) async fn exchange(&self, request: &Request, bounds: Bounds) -> Result<Answer, (EdgeError, bool)> {
        let asked = Asked {
            peer: &request.peer,
            method: request.method.clone(),
            url: &request.url,
            headers: &request.headers,
            body: &request.body,
            total: bounds.total,
            body_bytes: bounds.body_bytes,
        };
        let mut trace = Trace::default();
        self.pinned.exchange(&asked, &mut trace).await.map_err(|error| {
            let ready = if request.url.scheme() == "https" { trace.tls } else { trace.connect };
            (error, ready.is_some())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::http::tests::{http, peer};
    use super::*;
    use serde_json::json;

    const BOUNDS: Bounds = Bounds { total: Duration::from_secs(20), body_bytes: 1 << 10 };

    fn request(method: &str, address: &str) -> Request {
        Request::new("t", method, Url::parse(address).unwrap()).unwrap()
    }

    fn named(name: &str) -> Target {
        Target { system: "cache".into(), kind: "Cache".into(), name: name.into(), ..Target::default() }
    }

    fn permit() -> Permit {
        Permit::for_test(vec![named("a")], Timestamp::UNIX_EPOCH)
    }

    #[tokio::test]
    async fn a_request_is_sent_as_it_is_written_and_its_secret_is_never_shown() {
        let (address, asked) = peer(|_| http(202, "application/json", b"{}"));
        let key = Secret::new("hunter2", "env:KEY");
        let request = request("POST", &format!("{address}/a%2Fb/flush?x=1%262"));
        let request =
            request.header("Idempotency-Key", "fw-1").unwrap().secret("Authorization", "Bearer", &key).unwrap();
        let request = request.json(&json!({"n": 1})).unwrap();
        assert!(!format!("{request:?}").contains("hunter2") && !request.shown().contains("x="), "{request:?}");
        let answer = Caller::default().change(&permit(), &named("a"), &request, BOUNDS, Timestamp::UNIX_EPOCH).await;
        assert_eq!(answer.unwrap().status, 202);
        let asked = asked.lock().unwrap()[0].to_lowercase();
        for part in [
            "post /a%2fb/flush?x=1%262 http/1.1",
            "idempotency-key: fw-1",
            "authorization: bearer hunter2",
            "content-type: application/json",
            "content-length: 7",
            "{\"n\":1}",
        ] {
            assert!(asked.contains(part), "{part}: {asked}");
        }
    }

    #[tokio::test]
    async fn without_a_fitting_permit_nothing_is_sent() {
        let (address, asked) = peer(|_| http(200, "application/json", b"{}"));
        let request = request("POST", &address);
        let now = Timestamp::UNIX_EPOCH;
        for (target, at) in [(named("b"), now), (named("a"), now + jiff::SignedDuration::from_secs(1))] {
            let error = Caller::default().change(&permit(), &target, &request, BOUNDS, at).await.unwrap_err();
            assert!(matches!(error, Unanswered::Refused(_)), "{error}");
        }
        let error = Caller::default().look(&request, BOUNDS).await.unwrap_err();
        assert_eq!(error.to_string(), "t: POST does not only look");
        assert!(asked.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn whether_it_may_have_been_sent_is_told() {
        let (dropping, _) = peer(|_| vec![]);
        let (redirecting, asked) =
            peer(|_| b"HTTP/1.1 302 X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".to_vec());
        let change = async |address: &str| {
            let request = request("DELETE", address);
            Caller::default().change(&permit(), &named("a"), &request, BOUNDS, Timestamp::UNIX_EPOCH).await
        };
        assert!(matches!(change(&dropping).await, Err(Unanswered::Unknown(_))));
        assert!(matches!(change("http://127.0.0.1:1/").await, Err(Unanswered::NotSent(_))));
        assert_eq!(change(&redirecting).await.unwrap().status, 302);
        assert_eq!(asked.lock().unwrap().len(), 1);
    }

    #[test]
    fn headers_of_the_exchange_are_its_own() {
        for name in ["Host", "content-length", "Transfer-Encoding", "a b", ""] {
            assert!(check_header(name).is_err(), "{name}");
        }
        assert!(request("GET", "http://a.example/").header("X-A", "a\nb").is_err());
    }
}
