//! One HTTP exchange with an address that was looked up once: what the name says later changes
//! nothing, redirects are the caller's to follow, and no proxy of the environment comes between.
//!
//! - [`exchange`]: the request and the bounded answer, with what each step took.
//! - [`tls`]: trust, and the peer's certificate even when it is not trusted.

pub mod exchange;
pub mod tls;

pub use exchange::{Answer, Asked, Trace};

use async_trait::async_trait;
use rustls::client::danger::ServerCertVerifier;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;

/// Names and connections. Injected, so that a test sees whatever is connected to.
#[async_trait]
pub trait Network: fmt::Debug + Send + Sync {
    /// The addresses of `host`.
    ///
    /// # Errors
    /// When nobody knows it.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    /// A connection to `address`.
    ///
    /// # Errors
    /// When nobody listens there.
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream>;
}

/// The system's resolver and sockets.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNetwork;

#[async_trait]
impl Network for SystemNetwork {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }
}

/// Makes exchanges. Cheap to clone.
#[derive(Clone)]
pub struct Pinned {
    network: Arc<dyn Network>,
    /// Reading the system's certificates takes time and memory: not before somebody needs them.
    trust: Arc<OnceLock<Arc<dyn ServerCertVerifier>>>,
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").field("network", &self.network).finish_non_exhaustive()
    }
}

impl Default for Pinned {
    fn default() -> Self {
        Self { network: Arc::new(SystemNetwork), trust: Arc::default() }
    }
}

impl Pinned {
    /// Over another network, with another trust than the system's.
    #[cfg(test)]
    pub(crate) fn over(network: Arc<dyn Network>, trust: Option<Arc<dyn ServerCertVerifier>>) -> Self {
        let cell = OnceLock::new();
        if let Some(trust) = trust {
            let _ = cell.set(trust);
        }
        Self { network, trust: Arc::new(cell) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
