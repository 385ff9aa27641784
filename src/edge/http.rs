//! A small HTTP client: every call has an end, every answer a size.

use super::error::{EdgeError, EdgeErrorKind, shorten};
use crate::domain::Secret;
use reqwest::{Method, StatusCode, Url, header, redirect};
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How many redirects within one origin are followed.
const REDIRECTS: usize = 4;

/// How we say who we are.
#[derive(Debug, Clone)]
pub enum Auth {
    /// `Authorization: Bearer …`.
    Bearer(Secret),
    /// `Authorization: Basic …`.
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// `Authorization: ApiKey …`, as Elasticsearch takes it.
    ApiKey(Secret),
}

/// The limits of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the first byte sent to the last byte received.
    pub total: Duration,
    /// Most bytes of the answer's body.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: Duration::from_secs(30), body_bytes: 16 << 20 }
    }
}

/// How a request of [`HttpPeer::json`] is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// To look.
    Get,
    /// To add, or to ask with a body.
    Post,
    /// To set.
    Put,
    /// To take away.
    Delete,
}

/// An exchange without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// What went wrong.
    pub error: EdgeError,
    /// The peer may have had the request, and may have done what it says.
    pub may_have_arrived: bool,
}

/// What a peer answered, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The media type, without parameters; empty when the peer says none.
    pub media_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// One peer at one base address.
#[derive(Clone)]
pub struct HttpPeer {
    name: String,
    base: Url,
    /// How texts call the address: a hook's address is a credential as a whole.
    shown: String,
    auth: Option<Auth>,
    /// A header of every request, such as the one that names a tenant.
    header: Option<(header::HeaderName, header::HeaderValue)>,
    client: reqwest::Client,
}

impl fmt::Debug for HttpPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPeer").field("name", &self.name).field("address", &self.shown).finish_non_exhaustive()
    }
}

impl HttpPeer {
    /// A client for the peer `name` at `base`, which may have a path prefix. A user and password
    /// in `base` become basic authentication unless `auth` is given.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when `base` is no http(s) address.
    pub fn new(name: &str, base: &str, auth: Option<Auth>) -> Result<Self, EdgeError> {
        let within_origin = redirect::Policy::custom(|hop| {
            let first = hop.previous().first().map(Url::origin);
            match first.as_ref() == Some(&hop.url().origin()) && hop.previous().len() <= REDIRECTS {
                true => hop.follow(),
                false => hop.stop(),
            }
        });
        let mut peer = Self::build(name, base, auth, reqwest::Client::builder().redirect(within_origin))?;
        peer.base.set_query(None);
        peer.shown = peer.base.as_str().trim_end_matches('/').to_owned();
        Ok(peer)
    }

    /// The same for a peer of which something is changed: no redirect is followed, and no request is sent
    /// a second time by itself.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn fixed(name: &str, base: &str, auth: Option<Auth>) -> Result<Self, EdgeError> {
        let once = reqwest::Client::builder().redirect(redirect::Policy::none()).retry(reqwest::retry::never());
        let mut peer = Self::build(name, base, auth, once)?;
        peer.base.set_query(None);
        peer.shown = peer.base.as_str().trim_end_matches('/').to_owned();
        Ok(peer)
    }

    /// A client for the one address `url`, called with path and query exactly as written, without
    /// following redirects. No text names the address: that of a hook is a credential.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when `url` is no http(s) address.
    pub fn hook(name: &str, url: &str) -> Result<Self, EdgeError> {
        let mut peer = Self::build(name, url, None, reqwest::Client::builder().redirect(redirect::Policy::none()))?;
        peer.shown = "its address".to_owned();
        Ok(peer)
    }

    fn build(name: &str, base: &str, auth: Option<Auth>, client: reqwest::ClientBuilder) -> Result<Self, EdgeError> {
        let invalid = |text: &str| EdgeError::new(name, EdgeErrorKind::Invalid, text);
        let mut base = Url::parse(base.trim())
            .map_err(|e| invalid(&format!("its address is not a URL ({e}); write http://host:port[/prefix]")))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(invalid("its address must start with http:// or https:// and name a host"));
        }
        let auth = auth.or_else(|| {
            base.password().map(|password| Auth::Basic {
                username: base.username().to_owned(),
                password: Secret::new(password, format!("address of {name}")),
            })
        });
        // Cannot fail for an address with a host, which was checked above.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        base.set_fragment(None);
        let client = client
            .connect_timeout(CONNECT)
            .user_agent(concat!("firewarden/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| invalid(&format!("its client cannot be built: {}", causes(&e.without_url()))))?;
        Ok(Self { name: name.to_owned(), base, shown: String::new(), auth, header: None, client })
    }

    /// The same peer, asked with one more header.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when the value cannot stand in a header.
    pub fn with_header(mut self, name: &'static str, value: &str) -> Result<Self, EdgeError> {
        let value = header::HeaderValue::from_str(value.trim());
        let value =
            value.map_err(|_| self.error(EdgeErrorKind::Invalid, &format!("its {name} holds what no header can")))?;
        self.header = Some((header::HeaderName::from_static(name), value));
        Ok(self)
    }

    /// The peer's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The peer's address, without credentials; that of a hook is not told.
    pub fn address(&self) -> &str {
        &self.shown
    }

    /// Gets `path` (below the base address) with `query`.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`]; an answer of any status is an answer.
    pub async fn get(&self, path: &str, query: &[(&str, &str)], limits: Limits) -> Result<HttpAnswer, EdgeError> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.send(self.client.request(Method::GET, url), limits).await
    }

    /// Posts `form` to `path` (below the base address).
    ///
    /// # Errors
    /// See [`EdgeErrorKind`]; an answer of any status is an answer.
    pub async fn post_form(&self, path: &str, form: &[(&str, &str)], limits: Limits) -> Result<HttpAnswer, EdgeError> {
        self.send(self.client.request(Method::POST, self.url(path)).form(form), limits).await
    }

    /// Posts `body` as JSON to `path` (below the base address).
    ///
    /// # Errors
    /// See [`EdgeErrorKind`]; an answer of any status is an answer.
    pub async fn post_json(&self, path: &str, body: &Value, limits: Limits) -> Result<HttpAnswer, EdgeError> {
        self.send(self.client.request(Method::POST, self.url(path)).json(body), limits).await
    }

    /// Sends `body`, if there is one, as JSON to `path` (below the base address) with `query`.
    ///
    /// # Errors
    /// Whether the peer may have had it; an answer of any status but a redirect is an answer.
    pub async fn json(
        &self,
        verb: Verb,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        limits: Limits,
    ) -> Result<HttpAnswer, Unanswered> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let method = match verb {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Delete => Method::DELETE,
        };
        let request = self.client.request(method, url);
        self.exchange(body.into_iter().fold(request, |request, body| request.json(body)), limits).await
    }

    /// Posts `body` as JSON to the address as it was configured, and gives the status. What the answer
    /// holds is not read.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Unreachable`] and [`EdgeErrorKind::Timeout`]; an answer of any status is an answer.
    pub async fn post_hook(&self, body: &Value, total: Duration) -> Result<u16, EdgeError> {
        let limits = Limits { total, body_bytes: 0 };
        let request = self.client.request(Method::POST, self.base.clone()).json(body);
        let answer = self.authorized(request).timeout(total).send().await.map_err(|e| self.failed(e, limits))?;
        Ok(answer.status().as_u16())
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{}", self.base.path().trim_end_matches('/'), path.trim_start_matches('/')));
        url
    }

    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let request = match &self.header {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        match &self.auth {
            Some(Auth::ApiKey(key)) => request.header(header::AUTHORIZATION, format!("ApiKey {}", key.expose().trim())),
            Some(Auth::Bearer(token)) => request.bearer_auth(token.expose().trim()),
            Some(Auth::Basic { username, password }) => request.basic_auth(username, Some(password.expose())),
            None => request,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder, limits: Limits) -> Result<HttpAnswer, EdgeError> {
        self.exchange(request, limits).await.map_err(|unanswered| unanswered.error)
    }

    async fn exchange(&self, request: reqwest::RequestBuilder, limits: Limits) -> Result<HttpAnswer, Unanswered> {
        let broken = |e: reqwest::Error| {
            let may_have_arrived = !e.is_connect() && !e.is_builder();
            Unanswered { error: self.failed(e, limits), may_have_arrived }
        };
        let request = self.authorized(request);
        let mut answer = request.timeout(limits.total).send().await.map_err(broken)?;
        let status = answer.status();
        let media_type = answer.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if status.is_redirection() {
            let error = self.error(
                EdgeErrorKind::Status { code: status.as_u16(), reason: "Redirect".into() },
                "it redirects to another origin, which is not followed; configure the final address",
            );
            return Err(Unanswered { error, may_have_arrived: false });
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > limits.body_bytes {
                let text = format!("its answer is larger than {} bytes; ask for less", limits.body_bytes);
                let error = self.error(EdgeErrorKind::TooLarge, &text);
                return Err(Unanswered { error, may_have_arrived: true });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer { status: status.as_u16(), media_type, body })
    }

    fn failed(&self, error: reqwest::Error, limits: Limits) -> EdgeError {
        let address = self.address();
        // The address of an error may hold a query; the chain below it says what happened.
        let error = error.without_url();
        if error.is_timeout() && !error.is_connect() {
            let text = format!("no answer from {address} within {} s; is it overloaded?", limits.total.as_secs_f32());
            return self.error(EdgeErrorKind::Timeout, &text);
        }
        let text = format!("{address} cannot be reached ({}); check the address and that it runs", causes(&error));
        self.error(EdgeErrorKind::Unreachable, &text)
    }

    /// An error of this peer.
    pub fn error(&self, kind: EdgeErrorKind, text: &str) -> EdgeError {
        EdgeError::new(&self.name, kind, text)
    }

    /// The error for an answer that is none of the peer's API: a proxy's page, a wrong path, a refusal.
    pub fn refused(&self, answer: &HttpAnswer) -> EdgeError {
        let reason = StatusCode::from_u16(answer.status).ok().and_then(|s| s.canonical_reason()).unwrap_or("error");
        match answer.status {
            401 | 403 => self.error(
                EdgeErrorKind::Denied,
                &format!("it answers {} {reason}; check the credential that is configured for it", answer.status),
            ),
            code => {
                let said = String::from_utf8_lossy(&answer.body);
                let said = shorten(&said, 200);
                self.error(
                    EdgeErrorKind::Status { code, reason: String::new() },
                    &format!("it answers {code} {reason}: {said}"),
                )
            }
        }
    }
}

/// The chain of causes in one line, without repetition.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut said = Vec::<String>::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !said.iter().any(|s| s.contains(&text)) {
            said.push(text);
        }
        next = error.source();
    }
    said.join(": ")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// What the fake was asked: request line with headers, and body.
    pub(crate) type Asked = Arc<Mutex<Vec<String>>>;

    /// A peer that answers each connection with what `answer` makes of the request (head and body).
    pub(crate) fn peer(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> (String, Asked) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Asked::default();
        let (answer, seen) = (Arc::new(answer), asked.clone());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (answer, seen) = (answer.clone(), seen.clone());
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    let mut buffer = [0; 4096];
                    loop {
                        let text = String::from_utf8_lossy(&request).into_owned();
                        if let Some((head, body)) = text.split_once("\r\n\r\n") {
                            let length = head
                                .lines()
                                .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
                            if body.len() >= length.unwrap_or(0usize) {
                                break;
                            }
                        }
                        match socket.read(&mut buffer).await {
                            Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
                            _ => return,
                        }
                    }
                    let request = String::from_utf8_lossy(&request).into_owned();
                    let reply = answer(&request);
                    seen.lock().unwrap().push(request);
                    let _ = socket.write_all(&reply).await;
                });
            }
        });
        (address, asked)
    }

    /// One HTTP/1.1 answer.
    pub(crate) fn http(status: u16, media_type: &str, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn a_path_prefix_is_kept_and_credentials_go_into_the_header_alone() {
        let (address, asked) = peer(|_| http(200, "application/json; charset=utf-8", b"{}"));
        let address = address.replace("http://", "http://ops:hunter22@");
        let peer = HttpPeer::new("p", &format!("{address}/prefix/"), None).unwrap();
        assert!(!format!("{peer:?}").contains("hunter22") && !peer.address().contains("hunter22"));
        let answer = peer.get("/api/v1/query", &[("query", "a b&c")], Limits::default()).await.unwrap();
        assert_eq!((answer.status, answer.media_type.as_str()), (200, "application/json"));
        let asked = asked.lock().unwrap().remove(0);
        assert!(asked.starts_with("GET /prefix/api/v1/query?query=a+b%26c HTTP/1.1"), "{asked}");
        assert!(asked.contains("authorization: Basic b3BzOmh1bnRlcjIy"), "{asked}");
    }

    #[tokio::test]
    async fn an_answer_beyond_the_cap_is_an_error_even_without_a_length() {
        let (address, _) = peer(|_| {
            let mut reply = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
            reply.extend(vec![b'x'; 100_000]);
            reply
        });
        let peer = HttpPeer::new("p", &address, None).unwrap();
        let limits = Limits { body_bytes: 1000, ..Limits::default() };
        let error = peer.get("/", &[], limits).await.unwrap_err();
        assert_eq!(*error.kind(), EdgeErrorKind::TooLarge);
        assert_eq!(error.to_string(), "p: its answer is larger than 1000 bytes; ask for less");
    }

    #[tokio::test]
    async fn redirects_stay_within_the_origin() {
        let (elsewhere, never) = peer(|_| http(200, "text/plain", b"stolen"));
        let target = elsewhere.clone();
        let (address, _) = peer(move |request| {
            let to = if request.starts_with("GET /out") { format!("{target}/x") } else { "/in".to_owned() };
            if request.starts_with("GET /in") {
                return http(200, "text/plain", b"inside");
            }
            format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .into_bytes()
        });
        let peer = HttpPeer::new("p", &address, Some(Auth::Bearer(Secret::new("t0ken", "env:T")))).unwrap();
        assert_eq!(peer.get("/start", &[], Limits::default()).await.unwrap().body, b"inside");
        let error = peer.get("/out", &[], Limits::default()).await.unwrap_err();
        assert!(matches!(error.kind(), EdgeErrorKind::Status { code: 302, .. }), "{error:?}");
        assert!(never.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn silence_is_a_timeout_and_an_absent_peer_is_unreachable() {
        let (address, _) = peer(|_| {
            std::thread::sleep(Duration::from_millis(600));
            Vec::new()
        });
        let client = HttpPeer::new("p", &address, None).unwrap();
        let limits = Limits { total: Duration::from_millis(100), ..Limits::default() };
        assert_eq!(*client.get("/", &[], limits).await.unwrap_err().kind(), EdgeErrorKind::Timeout);
        let absent = HttpPeer::new("p", "http://127.0.0.1:1", None).unwrap();
        let error = absent.get("/", &[("secret", "in-query")], Limits::default()).await.unwrap_err();
        assert_eq!(*error.kind(), EdgeErrorKind::Unreachable);
        assert!(error.is_transient() && !error.to_string().contains("in-query"), "{error}");
    }

    #[tokio::test]
    async fn a_hook_is_called_as_written_follows_nothing_and_is_never_named() {
        let (address, asked) = peer(|_| {
            b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
        });
        let hook = HttpPeer::hook("chat", &format!("{address}/hooks/T0/sesame?key=k3y&x=%20")).unwrap();
        let total = Duration::from_secs(5);
        assert_eq!(hook.post_hook(&Value::Null, total).await, Ok(302));
        let asked = asked.lock().unwrap().clone();
        assert_eq!(asked.len(), 1);
        assert!(asked[0].starts_with("POST /hooks/T0/sesame?key=k3y&x=%20 HTTP/1.1"), "{asked:?}");
        let absent = HttpPeer::hook("chat", "http://127.0.0.1:1/sesame?key=k3y").unwrap();
        let error = absent.post_hook(&Value::Null, total).await.unwrap_err();
        let shown = format!("{error} {error:?} {absent:?}");
        assert_eq!(*error.kind(), EdgeErrorKind::Unreachable);
        assert!(!shown.contains("sesame") && !shown.contains("k3y"), "{shown}");
    }

    #[test]
    fn an_address_that_is_none_is_refused_in_words() {
        for wrong in ["prometheus:9090", "", "file:///etc/passwd", "http://"] {
            let error = HttpPeer::new("prometheus", wrong, None).unwrap_err();
            assert_eq!(*error.kind(), EdgeErrorKind::Invalid, "{wrong}");
        }
    }
}
