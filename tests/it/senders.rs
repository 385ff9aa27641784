//! Senders as they really call: the real binary, real forms, credentials that are exchanged while it runs.

use crate::support::http::{eventually, send};
use crate::support::site::{SOON, Site};
use serde_json::{Value, json};

const CADDY: &str = r#"{"service": "caddy-mcp", "severity": "critical",
       "status": "down", "summary": "synthetic: caddy-mcp is down"}"#;

fn described() -> Value {
    json!({"intake": {"sources": [{
        "name": "checkmk", "fields": {"name": "/check", "subject": "/host", "summary": "/output", "severity": "/state"},
        "labels": {"namespace": "/ns"}, "severities": {"CRIT": "critical"},
    }]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_documented_works_as_it_is_written() {
    let site = Site::new(described());
    let _server = site.up().await;
    // curl's own Content-Type for -d.
    let form = |path: &str, body: &'static str| {
        let request = site.client.post(site.url(path)).header("content-type", "application/x-www-form-urlencoded");
        send(request.body(body))
    };
    let empty = form("/webhook/alert", r#"{"alerts":[]}"#).await.unwrap();
    assert_eq!((empty.status, empty.json()["accepted"].as_u64()), (200, Some(0)), "{}", empty.text);
    let caddy = form("/api/fleet/events?source=portainer", CADDY).await.unwrap();
    let row = &caddy.json()["events"][0];
    assert_eq!(
        (caddy.status, row["source"].as_str(), row["subject"].as_str()),
        (200, Some("portainer"), Some("caddy-mcp"))
    );
    let closed = site.closed(row["job_id"].as_str().unwrap(), SOON).await;
    assert_eq!(closed["subject"], "caddy-mcp");
    let own = r#"{"check": "Filesystem /var", "host": "node-a", "output": "97% used", "state": "CRIT", "ns": "infra"}"#;
    let own = form("/webhook/checkmk", own).await.unwrap();
    let row = &own.json()["events"][0];
    assert_eq!((row["source"].as_str(), row["severity"].as_str()), (Some("checkmk"), Some("critical")), "{}", own.text);
    let metrics = site.get("/metrics").await.unwrap().text;
    assert!(metrics.contains(r#"source="generic""#) && metrics.contains(r#"source="mapped""#), "{metrics}");
    assert!(!metrics.contains("portainer"), "a caller chooses no name of a figure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_tried_in_the_terminal() {
    let site = Site::new(described());
    let file = site.dir.path().join("sample.json");
    std::fs::write(&file, r#"{"check": "Filesystem /var", "host": "node-a", "output": "97% used", "ns": "infra"}"#)
        .unwrap();
    let path = file.to_string_lossy().into_owned();
    let (code, stdout, stderr) = site.run_with_config(&["investigate", "--source", "checkmk", &path, "-o", "json"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("Filesystem /var") || stdout.contains("node-a"), "{stdout}");
    // Its shape tells nobody whose it is, but `check` is a word that many use.
    std::fs::write(&file, CADDY).unwrap();
    let (code, stdout, stderr) = site.run_with_config(&["investigate", &path, "-o", "json"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("caddy-mcp"), "{stdout}");
    std::fs::write(&file, r#"[{"check": "x"}, 7]"#).unwrap();
    let (code, _, stderr) = site.run_with_config(&["investigate", "--source", "checkmk", &path]);
    assert_eq!(code, Some(0), "{stderr}");
    std::fs::write(&file, r#"[7, {"service": "a", "status": "up"}]"#).unwrap();
    let (code, _, stderr) = site.run_with_config(&["investigate", &path]);
    assert!(code == Some(2) && stderr.contains("nothing in it says what it is"), "{stderr}");
    let (code, _, stderr) = site.run_with_config(&["investigate", "--source", "nagios", &path]);
    assert!(code == Some(2) && stderr.contains("checkmk") && stderr.contains("uptime-kuma"), "{stderr}");
    let (code, _, stderr) = site.run_with_config(&["investigate", "--source", "sentry", &path]);
    assert!(code == Some(2) && stderr.contains("installation"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_exchanged_while_senders_send() {
    let dir = tempfile::tempdir().unwrap();
    for (name, token) in [("old", "token-of-old"), ("new", "token-of-new")] {
        std::fs::write(dir.path().join(name), token).unwrap();
    }
    let tokens = json!([{"source": "portainer", "token": "file:old"}, {"source": "portainer", "token": "file:new"}]);
    let site = Site::within(dir, json!({"intake": {"tokens": tokens}}));
    let _server = site.up().await;
    let status = async |token: &str| {
        let request = site.client.post(site.url("/api/fleet/events?source=portainer"));
        send(request.header("x-fleet-events-token", token).body(CADDY)).await.map(|answer| answer.status)
    };
    assert_eq!((status("token-of-old").await, status("token-of-new").await), (Some(200), Some(200)));
    assert_eq!(status("token-of-next").await, Some(401));
    std::fs::write(site.dir.path().join("old"), "token-of-next").unwrap();
    eventually("the exchanged credential counts", SOON, async || {
        (status("token-of-next").await == Some(200)).then_some(())
    })
    .await;
    assert_eq!((status("token-of-old").await, status("token-of-new").await), (Some(401), Some(200)));
}
