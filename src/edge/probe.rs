//! Probes of addresses that the configuration lists.

use super::certificate::Certificate;
use super::error::{EdgeError, EdgeErrorKind};
use super::pinned::{Answer, Asked, Pinned, Trace};
use crate::domain::Secret;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use std::time::Duration;
use url::Url;

/// How errors call a target.
const PEER: &str = "http_probe";
/// Bytes of the body that are read.
pub const BODY_BYTES: usize = 4 << 10;
/// Headers that the exchange itself sets, or that say how it goes.
const RESERVED: [&str; 8] =
    ["host", "connection", "content-length", "transfer-encoding", "accept-encoding", "upgrade", "te", "expect"];

/// An address that may be probed, by the name that a caller gives.
#[derive(Debug, Clone)]
pub struct ProbeTarget {
    /// What it is called by.
    pub name: String,
    /// The status that is right; `None` takes any below 400.
    pub expect_status: Option<u16>,
    url: Url,
    method: Method,
    timeout: Duration,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ProbeTarget {
    /// A target. The values of `headers` may be secrets; they are never shown.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when the address is no http(s) address or a header cannot be sent.
    pub fn new(
        name: &str,
        url: &str,
        head: bool,
        expect_status: Option<u16>,
        timeout: Duration,
        headers: &[(String, Secret)],
    ) -> Result<Self, EdgeError> {
        let invalid = |text: String| EdgeError::new(format!("{PEER} {name}"), EdgeErrorKind::Invalid, text);
        let url = Url::parse(url).map_err(|e| invalid(format!("its address is not a URL ({e})")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(invalid("its address must start with http:// or https:// and name a host".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("its address carries a credential; give it as a header".to_owned()));
        }
        let mut sent = Vec::new();
        for (key, value) in headers {
            let known = HeaderName::from_bytes(key.as_bytes()).map_err(|_| invalid(format!("`{key}` is no header")))?;
            if RESERVED.contains(&known.as_str()) {
                return Err(invalid(format!("the header `{key}` cannot be set")));
            }
            let mut value = HeaderValue::from_str(value.expose().trim())
                .map_err(|_| invalid(format!("the header `{key}` holds what no header can")))?;
            value.set_sensitive(true);
            sent.push((known, value));
        }
        let method = if head { Method::HEAD } else { Method::GET };
        Ok(Self { name: name.to_owned(), expect_status, url, method, timeout, headers: sent })
    }

    /// Its address, without query: that may hold a key.
    pub fn shown(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    }

    /// GET or HEAD.
    pub fn method(&self) -> &str {
        self.method.as_str()
    }
}

/// What a probe found; a failure is a finding.
#[derive(Debug, Clone)]
pub struct Probed {
    /// How far it came and what each step took.
    pub trace: Trace,
    /// The answer, or why there is none.
    pub answer: Result<Answer, EdgeError>,
    /// The certificate, trusted or not.
    pub certificate: Option<Certificate>,
}

/// Probes the targets of the configuration and nothing else. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Prober {
    targets: std::sync::Arc<Vec<ProbeTarget>>,
    pinned: Pinned,
}

impl Prober {
    /// A prober of `targets`.
    pub fn new(targets: Vec<ProbeTarget>, pinned: Pinned) -> Self {
        Self { targets: std::sync::Arc::new(targets), pinned }
    }

    /// What may be probed.
    pub fn targets(&self) -> &[ProbeTarget] {
        &self.targets
    }

    /// Probes `target` once. Redirects are shown, not followed.
    pub async fn probe(&self, target: &ProbeTarget) -> Probed {
        let mut trace = Trace::default();
        let asked = Asked {
            peer: PEER,
            method: target.method.clone(),
            url: &target.url,
            headers: &target.headers,
            body: &[],
            total: target.timeout,
            body_bytes: BODY_BYTES,
        };
        let answer = self.pinned.exchange(&asked, &mut trace).await;
        let certificate = trace.certificate.as_deref().and_then(Certificate::read);
        Probed { trace, answer, certificate }
    }
}
