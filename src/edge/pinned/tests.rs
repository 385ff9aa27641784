use super::*;
use crate::edge::error::EdgeErrorKind;
use crate::edge::http::tests::{http, peer};
use hyper::Method;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::{RootCertStore, ServerConfig};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use url::Url;

/// Knows some names, leads every connection to one local server, and remembers what was asked of it.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    names: BTreeMap<String, Vec<IpAddr>>,
    server: Option<SocketAddr>,
    pub(crate) resolved: Mutex<Vec<String>>,
    pub(crate) connected: Mutex<Vec<SocketAddr>>,
}

impl Recorded {
    pub(crate) fn new(names: &[(&str, &[&str])], server: Option<&str>) -> Arc<Self> {
        let addresses = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect();
        Arc::new(Self {
            names: names.iter().map(|(name, list)| ((*name).to_owned(), addresses(list))).collect(),
            server: server.map(|server| server.trim_start_matches("http://").parse().unwrap()),
            ..Self::default()
        })
    }
}

#[async_trait]
impl Network for Recorded {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.resolved.lock().unwrap().push(host.to_owned());
        let found = self.names.get(host).ok_or_else(|| io::Error::other("no such name"))?;
        Ok(found.iter().map(|ip| SocketAddr::new(*ip, port)).collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.connected.lock().unwrap().push(address);
        match self.server {
            Some(server) => TcpStream::connect(server).await,
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Trusts the authority of the test certificates alone.
pub(crate) fn trust() -> Arc<dyn ServerCertVerifier> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(fixture("ca.pem")).unwrap()).unwrap();
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider())).build().unwrap()
}

/// A TLS server with the certificate `name` that answers each connection once.
pub(crate) fn tls_peer(name: &str) -> String {
    let chain = vec![CertificateDer::from_pem_file(fixture(&format!("{name}.pem"))).unwrap()];
    let key = PrivateKeyDer::from_pem_file(fixture(&format!("{name}.key"))).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                let mut request = [0; 2048];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&http(200, "text/plain", b"over TLS")).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

async fn ask(network: Arc<Recorded>, url: &str, body_bytes: usize) -> (Result<Answer, crate::edge::EdgeError>, Trace) {
    let url = Url::parse(url).unwrap();
    let mut trace = Trace::default();
    let asked = Asked {
        peer: "p",
        method: Method::GET,
        url: &url,
        headers: &[],
        body: &[],
        total: Duration::from_secs(20),
        body_bytes,
    };
    (Pinned::over(network, Some(trust())).exchange(&asked, &mut trace).await, trace)
}

#[tokio::test]
async fn an_exchange_goes_to_the_address_that_was_looked_up() {
    let (server, asked) = peer(|_| http(200, "text/plain", b"0123456789"));
    let network = Recorded::new(&[("wiki.corp", &["10.1.2.3"])], Some(&server));
    let (answer, trace) = ask(network.clone(), "http://wiki.corp:81/a%20b?c=d#e", 4).await;
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.body.as_slice(), answer.cut), (200, b"0123".as_slice(), true));
    assert_eq!(*network.connected.lock().unwrap(), ["10.1.2.3:81".parse().unwrap()]);
    assert!(trace.dns.is_some() && trace.connect.is_some() && trace.first_byte.is_some() && trace.tls.is_none());
    let asked = asked.lock().unwrap().remove(0);
    assert!(asked.starts_with("GET /a%20b?c=d HTTP/1.1\r\nhost: wiki.corp:81\r\n"), "{asked}");
    assert!(asked.contains("accept-encoding: identity"), "{asked}");
}

#[tokio::test]
async fn a_name_that_leads_to_the_machine_itself_is_not_connected_to() {
    for ip in ["127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "0.0.0.0"] {
        // One bad address among good ones refuses the name: it is somebody else's answer.
        let network = Recorded::new(&[("wiki.corp", &["10.1.2.3", ip])], None);
        let (answer, _) = ask(network.clone(), "https://wiki.corp/", 4).await;
        assert_eq!(*answer.unwrap_err().kind(), EdgeErrorKind::Denied, "{ip}");
        assert!(network.connected.lock().unwrap().is_empty(), "{ip}");
    }
    let (answer, trace) = ask(Recorded::new(&[], None), "https://nowhere.corp/", 4).await;
    assert_eq!(*answer.unwrap_err().kind(), EdgeErrorKind::Unreachable);
    assert!(trace.dns.is_none());
}

#[tokio::test]
async fn every_address_is_tried_and_refusal_is_told() {
    let network = Recorded::new(&[("wiki.corp", &["10.0.0.1", "10.0.0.2"])], None);
    let (answer, trace) = ask(network.clone(), "http://wiki.corp/", 4).await;
    let error = answer.unwrap_err();
    assert!(error.is_transient() && error.text().contains("10.0.0.2:80"), "{error}");
    assert_eq!(network.connected.lock().unwrap().len(), 2);
    assert!(trace.dns.is_some() && trace.connect.is_none());
}

#[tokio::test]
async fn tls_is_checked_and_the_certificate_is_shown_either_way() {
    let names: &[(&str, &[&str])] = &[("shop.test", &["10.0.0.1"]), ("other.test", &["10.0.0.1"])];
    for (certificate, host, trusted) in
        [("good", "shop.test", true), ("good", "other.test", false), ("expired", "shop.test", false)]
    {
        let network = Recorded::new(names, Some(&tls_peer(certificate)));
        let (answer, trace) = ask(network, &format!("https://{host}/"), 100).await;
        assert!(trace.certificate.is_some(), "{certificate} {host}");
        assert_eq!(trace.tls.is_some(), trusted, "{certificate} {host}");
        match answer {
            Ok(answer) => assert!(trusted && answer.body == b"over TLS"),
            Err(error) => assert!(!trusted && error.text().contains("certificate"), "{error}"),
        }
    }
}

#[tokio::test]
async fn heads_without_end_and_silence_are_errors() {
    let (server, _) = peer(|_| [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 200 << 10]].concat());
    let (answer, _) = ask(Recorded::new(&[("a.corp", &["10.0.0.1"])], Some(&server)), "http://a.corp/", 10).await;
    assert_eq!(*answer.unwrap_err().kind(), EdgeErrorKind::Unreachable);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let network = Recorded::new(&[("a.corp", &["10.0.0.1"])], Some(&listener.local_addr().unwrap().to_string()));
    let url = Url::parse("http://a.corp/").unwrap();
    let total = Duration::from_millis(50);
    let asked = Asked { peer: "p", method: Method::GET, url: &url, headers: &[], body: &[], total, body_bytes: 1 };
    let error = Pinned::over(network, None).exchange(&asked, &mut Trace::default()).await.unwrap_err();
    assert_eq!(*error.kind(), EdgeErrorKind::Timeout);
}
