//! MCP's own reference server, on stdio and by HTTP: what ours does to the same tests, by an
//! implementation of others.

use super::program::Program;
use crate::support::http::{client, eventually, free_address, send};
use crate::support::site::{SOON, Site};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

const REMEDY: &str = "run ./tests/run, which fetches it from npm; FIREWARDEN_TEST_MCP names the folder";
const SCRIPT: &str = "node_modules/@modelcontextprotocol/server-everything/dist/index.js";

/// The folder that the server is installed in, and the program that runs it.
fn installed() -> (PathBuf, String) {
    let folder = PathBuf::from(std::env::var("FIREWARDEN_TEST_MCP").expect(REMEDY));
    assert!(folder.join(SCRIPT).is_file(), "{REMEDY}");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let node = std::env::split_paths(&path).map(|dir| dir.join("node")).find(|node| node.is_file());
    (folder, node.expect("node is not on the path").display().to_string())
}

fn tools() -> Value {
    let read = |name: &str| json!({"name": name, "effect": "read", "timeout": "5s"});
    let names = ["echo", "get-sum", "get-structured-content", "get-tiny-image", "get-env", "gzip-file-as-resource"];
    names.map(read).into_iter().chain([read("trigger-long-running-operation")]).collect()
}

fn behaves(site: &Site) {
    let (code, told, error) = site.run_with_config(&["tools", "offered", "-o", "json"]);
    assert_eq!(code, Some(0), "{told}{error}");
    let servers: Value = serde_json::from_str(&told).unwrap();
    assert!(servers[0]["tools"].as_array().unwrap().len() > 10, "{told}");
    let call = |tool: &str, args: &str| {
        let (code, told, error) = site.run_with_config(&["tools", "call", &format!("everything_{tool}"), args]);
        (code, format!("{told}{error}"))
    };
    for (tool, args, says) in [
        ("echo", "message=a b", "Echo: a b"),
        ("get_sum", r#"{"a": 2, "b": 40}"#, "42"),
        ("get_structured_content", "location=Chicago", "temperature"),
        ("get_tiny_image", "{}", "left out, for it is no text: 1 image"),
    ] {
        let (code, told) = call(tool, args);
        assert!(code == Some(0) && told.contains(says), "{tool}: {told}");
    }
    let (code, told) = call("trigger_long_running_operation", r#"{"duration": 60, "steps": 5}"#);
    // The limit of the exchange and that of the tool lie close together, and either may be the one that is met.
    let late = ["no answer within", "took longer than"].iter().any(|says| told.contains(says));
    assert!(code == Some(4) && late, "{told}");
    let (code, told) = call("gzip_file_as_resource", "{}");
    assert!(code == Some(1) && told.contains("its server says that it changes something"), "{told}");
    let (code, told) = call("get_sum", "a=2");
    assert!(code == Some(2) && told.contains("`b` is missing"), "{told}");
}

#[test]
#[ignore = "needs a program of others"]
fn on_stdio() {
    let (folder, node) = installed();
    let command = json!({"argv": [node, folder.join(SCRIPT), "stdio"], "env": {"SHOWN": "yes"}, "read": [folder]});
    let servers = json!([{"name": "everything", "command": command, "tools": tools()}]);
    let site = Site::new(json!({"tools": {"mcp": servers}})).variable("HIDDEN_TOKEN", "hunter2-hidden");
    behaves(&site);
    let (_, told, _) = site.run_with_config(&["tools", "call", "everything_get_env", "{}"]);
    assert!(told.contains("SHOWN") && !told.contains("HIDDEN_TOKEN") && !told.contains("XDG_STATE_HOME"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a program of others"]
async fn by_http() {
    let (folder, node) = installed();
    let (address, dir) = (free_address(), TempDir::new().unwrap());
    // It takes its port from its environment alone.
    let port = format!("PORT={}", address.port());
    let script = folder.join(SCRIPT).display().to_string();
    let args = [port, node, script, "streamableHttp".to_owned()];
    let _program = Program::start("everything", "env", &args, dir.path(), REMEDY);
    let url = format!("http://{address}/mcp");
    eventually("the server answers", SOON, async || send(client().get(&url)).await.map(|_| ())).await;
    let servers = json!([{"name": "everything", "http": {"url": url}, "tools": tools()}]);
    behaves(&Site::new(json!({"tools": {"mcp": servers}})));
}
