//! L4: the only doors out of the process.
//!
//! - [`ambient`]: the real clock and real chance.
//! - [`error`]: what goes wrong at a door, in words that hold no secret.
//! - [`http`]: a bounded HTTP client for peers that speak JSON.
//! - [`kube`]: a reader of any kind that a Kubernetes API server knows.
//! - [`prometheus`]: a reader of the Prometheus HTTP API.
//! - [`stream`]: server-sent events as they arrive.

pub mod ambient;
pub mod error;
pub mod http;
pub mod kube;
pub mod prometheus;
pub mod sse;
pub mod stream;

pub use ambient::{SystemClock, SystemEntropy};
pub use error::{EdgeError, EdgeErrorKind};
pub use http::{Auth, HttpPeer};
pub use kube::KubeReader;
pub use prometheus::PrometheusReader;
