//! The request and the bounded answer, with what each step took.

use super::Pinned;
use crate::edge::error::{EdgeError, EdgeErrorKind};
use crate::edge::hosts::may_lead_to;
use crate::edge::http::causes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

/// How long one address may take to answer the call for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;
/// Most bytes of the answer's head.
const HEAD_BYTES: usize = 64 << 10;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// How errors call the peer.
    pub peer: &'a str,
    /// What is to be done there.
    pub method: Method,
    /// Where; its host decides, not where a redirect leads.
    pub url: &'a Url,
    /// Headers beside our own.
    pub headers: &'a [(HeaderName, HeaderValue)],
    /// What is sent with it.
    pub body: &'a [u8],
    /// From the look-up to the last byte.
    pub total: Duration,
    /// Bytes of the body that are read; the rest is left.
    pub body_bytes: usize,
}

/// What each step took, as far as it came; there when the exchange fails, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// Where the name leads, when it was looked up.
    pub addresses: Vec<SocketAddr>,
    /// The look-up.
    pub dns: Option<Duration>,
    /// Which address answered.
    pub address: Option<SocketAddr>,
    /// The connection.
    pub connect: Option<Duration>,
    /// The handshake.
    pub tls: Option<Duration>,
    /// The version that was agreed on, `TLSv1_3` for instance.
    pub tls_version: Option<String>,
    /// The peer's certificate in DER, trusted or not.
    pub certificate: Option<Vec<u8>>,
    /// From the start to the head of the answer.
    pub first_byte: Option<Duration>,
    /// From the start to the last byte that was read.
    pub total: Option<Duration>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head.
    pub headers: HeaderMap,
    /// The beginning of the body.
    pub body: Vec<u8>,
    /// There was more of it.
    pub cut: bool,
}

impl Answer {
    /// A header in printable ASCII; empty when it is not there.
    pub fn header(&self, name: HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Ends the connection's task with the exchange.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pinned {
    /// Where the host of `url` may lead. All addresses are judged: one that a name must not lead to
    /// is not left out but refuses the name.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Unreachable`] when nobody knows the name, [`EdgeErrorKind::Denied`] when it
    /// leads where no listed name leads.
    pub async fn resolve(&self, peer: &str, url: &Url) -> Result<Vec<SocketAddr>, EdgeError> {
        let port = url.port_or_known_default().unwrap_or_default();
        let found = match url.host() {
            Some(Host::Ipv4(ip)) => vec![SocketAddr::from((ip, port))],
            Some(Host::Ipv6(ip)) => vec![SocketAddr::from((ip, port))],
            Some(Host::Domain(name)) => self.network.resolve(name, port).await.map_err(|e| {
                EdgeError::new(peer, EdgeErrorKind::Unreachable, format!("{name} cannot be looked up: {e}"))
            })?,
            None => Vec::new(),
        };
        if let Some(elsewhere) = found.iter().find(|address| !may_lead_to(url, address.ip()) || address.port() != port)
        {
            let text = format!(
                "{} leads to {}, where no name of the configuration leads; is somebody answering for it?",
                url.host_str().unwrap_or_default(),
                elsewhere.ip()
            );
            return Err(EdgeError::new(peer, EdgeErrorKind::Denied, text));
        }
        match found.is_empty() {
            true => Err(EdgeError::new(peer, EdgeErrorKind::Unreachable, "its name has no address")),
            false => Ok(found.into_iter().take(ADDRESSES).collect()),
        }
    }

    /// Looks the host up, unless `trace` has its addresses, and makes the exchange with the first that
    /// answers. A redirect is an answer.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Unreachable`], [`EdgeErrorKind::Timeout`], [`EdgeErrorKind::Denied`]; `trace`
    /// says how far it came.
    pub async fn exchange(&self, asked: &Asked<'_>, trace: &mut Trace) -> Result<Answer, EdgeError> {
        let begun = Instant::now();
        let answer = tokio::time::timeout(asked.total, self.steps(asked, trace, begun)).await;
        trace.total = Some(begun.elapsed());
        answer.unwrap_or_else(|_| {
            let text = format!("no whole answer within {} s", asked.total.as_secs_f32());
            Err(EdgeError::new(asked.peer, EdgeErrorKind::Timeout, text))
        })
    }

    async fn steps(&self, asked: &Asked<'_>, trace: &mut Trace, begun: Instant) -> Result<Answer, EdgeError> {
        let unreachable = |text: String| EdgeError::new(asked.peer, EdgeErrorKind::Unreachable, text);
        if trace.addresses.is_empty() {
            trace.addresses = self.resolve(asked.peer, asked.url).await?;
            trace.dns = Some(begun.elapsed());
        }
        let connecting = Instant::now();
        let mut connected = Err("its name has no address".to_owned());
        for address in trace.addresses.clone() {
            connected = match tokio::time::timeout(CONNECT, self.network.connect(address)).await {
                Ok(Ok(socket)) => Ok((socket, address)),
                Ok(Err(e)) => Err(format!("no connection to {address}: {e}")),
                Err(_) => Err(format!("no connection to {address} within {} s", CONNECT.as_secs())),
            };
            if connected.is_ok() {
                break;
            }
        }
        let (socket, address) = connected.map_err(unreachable)?;
        trace.address = Some(address);
        trace.connect = Some(connecting.elapsed());
        if asked.url.scheme() != "https" {
            return self.ask(asked, TokioIo::new(socket), trace, begun).await;
        }
        let shaking = Instant::now();
        let (config, watching) = self.tls().map_err(unreachable)?;
        let name = match asked.url.host() {
            Some(Host::Domain(name)) => {
                ServerName::try_from(name.to_owned()).map_err(|e| unreachable(e.to_string()))?
            }
            Some(Host::Ipv4(ip)) => ServerName::from(std::net::IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => ServerName::from(std::net::IpAddr::V6(ip)),
            None => return Err(unreachable("its address names no host".to_owned())),
        };
        let shaken = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
        trace.certificate = watching.certificate();
        let stream = shaken.map_err(|e| unreachable(format!("no TLS with it: {}", causes(&e))))?;
        trace.tls = Some(shaking.elapsed());
        trace.tls_version = stream.get_ref().1.protocol_version().and_then(|v| v.as_str()).map(str::to_owned);
        self.ask(asked, TokioIo::new(stream), trace, begun).await
    }

    async fn ask<S>(
        &self,
        asked: &Asked<'_>,
        io: TokioIo<S>,
        trace: &mut Trace,
        begun: Instant,
    ) -> Result<Answer, EdgeError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |e: &hyper::Error| {
            EdgeError::new(asked.peer, EdgeErrorKind::Unreachable, format!("no answer: {}", causes(e)))
        };
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES);
        let (mut sender, connection) = builder.handshake(io).await.map_err(|e| broken(&e))?;
        let _driver = Driver(tokio::spawn(connection).abort_handle());
        let answer = sender.send_request(request(asked)?).await.map_err(|e| broken(&e))?;
        trace.first_byte = Some(begun.elapsed());
        let (head, mut body) = answer.into_parts();
        let (mut read, mut cut) = (Vec::new(), false);
        while read.len() < asked.body_bytes || asked.body_bytes == 0 {
            let Some(frame) = body.frame().await else { break };
            let Ok(data) = frame.map_err(|e| broken(&e))?.into_data() else { continue };
            let room = asked.body_bytes - read.len();
            if data.len() > room {
                read.extend_from_slice(&data[..room]);
                cut = true;
                break;
            }
            read.extend_from_slice(&data);
            if read.len() == asked.body_bytes {
                // Whether there is more is not worth waiting for.
                cut = !hyper::body::Body::is_end_stream(&body);
            }
        }
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: read, cut })
    }
}

fn request(asked: &Asked<'_>) -> Result<Request<Full<Bytes>>, EdgeError> {
    let host = &asked.url[Position::BeforeHost..Position::AfterPort];
    let mut request = Request::builder()
        .method(asked.method.clone())
        .uri(&asked.url[Position::BeforePath..Position::AfterQuery])
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("firewarden/", env!("CARGO_PKG_VERSION")))
        // What is not compressed cannot grow.
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONNECTION, "close");
    for (name, value) in asked.headers {
        request = request.header(name, value);
    }
    request
        .body(Full::new(Bytes::copy_from_slice(asked.body)))
        .map_err(|e| EdgeError::new(asked.peer, EdgeErrorKind::Invalid, format!("it cannot be asked: {e}")))
}
