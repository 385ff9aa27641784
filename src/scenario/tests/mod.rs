//! The served worlds, asked by real clients.

mod api_server;
mod query_api;
mod reading;
mod worlds;

use super::{Served, World};
use serde_json::Value;
use std::sync::Arc;
use tokio::net::TcpListener;

async fn serve(world: World) -> (Arc<World>, Served) {
    // The client needs a process-wide provider; a second installation is refused, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let world = Arc::new(world);
    let kube = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let prometheus = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let served = Arc::clone(&world).serve(kube, prometheus).unwrap();
    (world, served)
}

fn recorded(path: &str) -> Value {
    let path = format!("{}/tests/fixtures/scenario/{path}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))).unwrap()
}

/// An answer as status, content type and body; the body is JSON if it says so.
async fn fetch(request: reqwest::RequestBuilder) -> (u16, String, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").map_or("", |v| v.to_str().unwrap()).to_owned();
    let text = response.text().await.unwrap();
    let body = if kind.starts_with("application/json") { serde_json::from_str(&text).unwrap() } else { text.into() };
    (status, kind, body)
}
