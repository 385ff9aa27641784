//! What must not harm a running server: each gets a clear answer that says what to do, nothing that
//! was accepted is lost, and the server stays up.

use crate::support::http::{Answer, free_address};
use crate::support::model::{Model, Script};
use crate::support::site::{SOON, Site};
use crate::support::world::{Stage, TYPEDB};
use serde_json::{Value, json};
use std::path::Path;

const MIB: usize = 1 << 20;

fn alert(n: usize, severity: &str) -> Value {
    json!({
        "status": "firing", "labels": {"alertname": "Flood", "namespace": "shop", "severity": severity, "n": n.to_string()},
        "annotations": {"summary": "a flood"}, "startsAt": "2026-11-20T10:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "", "fingerprint": format!("{n:016x}")
    })
}

fn envelope(alerts: Vec<Value>) -> Value {
    json!({
        "version": "4", "groupKey": "{}:{alertname=\"Flood\"}", "truncatedAlerts": 0, "status": "firing", "receiver": "firewarden",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am", "alerts": alerts
    })
}

/// A refusal is a problem document whose words help.
fn assert_problem(what: &str, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text);
    assert!(answer.content_type.starts_with("application/problem+json"), "{what}: {}", answer.content_type);
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{what}: {problem}");
    for key in ["title", "detail"] {
        let text = problem[key].as_str().unwrap_or_default();
        assert!(text.len() >= 5, "{what}: {key} says nothing: {problem}");
    }
    assert!(answer.text.len() < 4096, "{what}: the refusal repeats what was sent ({} bytes)", answer.text.len());
}

fn sum(answer: &Value) -> u64 {
    ["accepted", "merged", "resolved", "ignored", "quarantined"]
        .iter()
        .map(|k| answer[k].as_u64().unwrap_or(u64::MAX / 8))
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_are_refused_and_harm_nothing() {
    let site = Site::new(json!({}));
    let mut server = site.up().await;
    let kept = site.deliver(&envelope(vec![alert(999_999, "warning")])).await;
    let kept = kept["events"][0]["event_id"].as_str().unwrap().to_owned();

    let deep = |open: &str, close: &str| open.repeat(10_000) + &close.repeat(10_000);
    let refused: Vec<(&str, Vec<u8>, u16)> = vec![
        ("not JSON", b"alerts: none".to_vec(), 400),
        ("nothing at all", vec![], 400),
        ("half of it", envelope(vec![alert(1, "info")]).to_string().as_bytes()[..200].to_vec(), 400),
        ("another shape", br#"{"hello":"world"}"#.to_vec(), 400),
        ("a scalar", b"7".to_vec(), 400),
        ("a list of nothing", b"[]".to_vec(), 400),
        ("alerts that are no list", br#"{"version":"4","alerts":"many"}"#.to_vec(), 400),
        ("bytes that are no text", vec![0xff; 512], 400),
        ("arrays 10,000 deep", deep("[", "]").into_bytes(), 400),
        (
            "objects 10,000 deep",
            format!("{{\"alerts\":{}}}", deep("{\"a\":", "}").replace(":}", ":1}")).into_bytes(),
            400,
        ),
        ("33 MiB", [b"{\"alerts\":[],\"x\":\"".to_vec(), vec![b'x'; 33 * MIB], b"\"}".to_vec()].concat(), 413),
        (
            "20,001 alerts",
            envelope((0..20_001).map(|n| json!({"labels": {"alertname": "A", "n": n.to_string()}})).collect())
                .to_string()
                .into_bytes(),
            413,
        ),
    ];
    for (what, body, status) in refused {
        let length = body.len();
        match site.post("/webhook/alertmanager", body).await {
            Some(answer) => assert_problem(what, &answer, status),
            // A sender that is still writing may see the connection close before it reads the answer.
            None => assert!(length > 32 * MIB, "{what}: no answer"),
        }
        let health = site.get("/healthz").await.unwrap_or_else(|| panic!("{what}: the server is down"));
        assert_eq!(health.status, 200, "{what}");
        assert!(server.ended().is_none(), "{what}: the server ended");
    }

    let event = site.json(&format!("/api/v1/events/{kept}")).await;
    assert_eq!(event["id"], kept.as_str(), "what was accepted before is still there");
    assert_eq!(site.events().await.len(), 1, "nothing of the refused bodies was taken");
    assert_eq!(site.get("/readyz").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_bodies_are_taken_as_far_as_they_make_sense() {
    let site = Site::new(json!({}));
    let _server = site.up().await;

    let none = site.deliver(&envelope(vec![])).await;
    assert_eq!((sum(&none), &none["status"]), (0, &json!("success")), "{none}");

    let unknown = site.deliver(&envelope(vec![alert(1, "apocalyptic")])).await;
    assert_eq!(unknown["events"][0]["severity"], "error", "an unknown word is taken seriously: {unknown}");

    let half = site.deliver(&envelope(vec![json!("no alert"), alert(2, "info"), json!({"labels": []})])).await;
    assert_eq!((half["quarantined"].as_u64(), sum(&half)), (Some(2), 3), "{half}");

    // A broken byte in a label is no reason to lose an alert.
    let broken = envelope(vec![alert(4, "info")]).to_string().into_bytes();
    let at = broken.windows(7).position(|w| w == b"a flood").unwrap();
    let broken: Vec<u8> = broken.iter().enumerate().map(|(n, b)| if n == at { 0xff } else { *b }).collect();
    let broken = site.post("/webhook/alertmanager", broken).await.unwrap();
    assert_eq!((broken.status, sum(&broken.json())), (200, 1), "{}", broken.text);
    let id = broken.json()["events"][0]["event_id"].as_str().unwrap().to_owned();
    assert_eq!(site.json(&format!("/api/v1/events/{id}")).await["annotations"]["summary"], "\u{fffd} flood");

    let mut large = alert(3, "info");
    large["labels"]["blob"] = json!("x".repeat(MIB));
    let large = site.deliver(&envelope(vec![large])).await;
    assert_eq!(sum(&large), 1, "{large}");
    assert!(large.to_string().len() < 64 * 1024, "the answer repeats a label of 1 MiB");
    let id = large["events"][0]["event_id"].as_str().unwrap();
    let shown = site.json(&format!("/api/v1/events/{id}")).await;
    assert!(shown["summary"].as_str().unwrap_or_default().chars().count() <= 500);

    let many = site.deliver(&envelope((10..10_010).map(|n| alert(n, "warning")).collect())).await;
    assert_eq!(sum(&many), 10_000, "{}", many["status"]);
    assert_eq!(many["quarantined"], 0);
    assert_eq!(many["events"].as_array().map(Vec::len), Some(1000));
    assert_eq!(many["events_omitted"], 9000);
    assert_eq!(site.events().await.len(), 10_004, "all of them are kept");
    let again = site.deliver(&envelope((10..10_010).map(|n| alert(n, "warning")).collect())).await;
    assert_eq!(again["ignored"], 10_000, "the same body twice adds nothing");

    for path in [
        "/api/v1/events/nonsense",
        "/api/v1/investigations/inv_x",
        "/nowhere",
        "/api/v1/events?limit=x",
        "/api/v1/events?since=yesterday",
    ] {
        let answer = site.get(path).await.unwrap();
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        assert_problem(path, &answer, answer.status);
    }
    assert_eq!(site.get("/healthz").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_answers_garbage_still_leaves_a_report() {
    let stage = Stage::embedded(TYPEDB).await;
    let model = Model::serve(Script::Garbage).await;
    let site = stage.site(json!({"models": [model.config()]}));
    let _server = site.up().await;
    let id = open(&site, stage.world.alert()).await;
    let closed = site.closed(&id, SOON).await;
    assert_eq!(closed["outcome"], "reported", "{closed:#}");
    let report = site.report(&id).await;
    assert_eq!(report["provenance"]["mode"], "deterministic", "the survey's causes stand: {:#}", report["provenance"]);
    assert!(model.requests() >= 1 && model.requests() <= 20, "asked {} times", model.requests());
    assert!(
        !report.to_string().contains("I have fixed everything"),
        "what the model claims to have done is not reported"
    );
    site.verify_audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_prometheus_the_report_says_what_could_not_be_seen() {
    let site = Site::new(json!({"tools": {"prometheus": {"url": format!("http://{}", free_address())}}}));
    let _server = site.up().await;
    let pvc = json!({"alertname": "PVCUsageHigh", "namespace": "shop", "persistentvolumeclaim": "data-0", "severity": "warning"});
    let mut body = envelope(vec![alert(1, "warning")]);
    body["alerts"][0]["labels"] = pvc;
    let id = open(&site, &body).await;
    let closed = site.closed(&id, SOON).await;
    assert_eq!(closed["outcome"], "reported", "{closed:#}");
    let report = site.report(&id).await;
    let missing = report["provenance"]["collections_failed"].to_string();
    assert!(missing.contains("prometheus"), "the report does not say that Prometheus was down: {missing}");
    assert_eq!(site.get("/readyz").await.unwrap().status, 200, "a peer that is down does not stop the intake");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubernetes_403_is_evidence_and_no_end() {
    let folder = tempfile::TempDir::new().unwrap();
    let copy = folder.path().join(TYPEDB);
    copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(TYPEDB), &copy);
    let faults = json!({"kubernetes": [{"resource": "pods"}, {"resource": "pods/log"}, {"resource": "events"}]});
    std::fs::write(copy.join("faults.yaml"), faults.to_string()).unwrap();
    let stage = Stage::folder(&copy).await;
    let site = stage.site(json!({}));
    let _server = site.up().await;
    let id = open(&site, stage.world.alert()).await;
    let closed = site.closed(&id, SOON).await;
    assert_eq!(closed["outcome"], "reported", "{closed:#}");
    let report = site.report(&id).await;
    let refused = stage.served.requests().iter().filter(|r| r.status == 403).count();
    assert!(refused > 0, "nothing was refused, so this shows nothing");
    let missing = report["provenance"]["collections_failed"].to_string();
    assert!(missing.contains("forbidden") || missing.contains("403"), "the refusal is not named: {missing}");
    site.verify_audit();
}

#[test]
fn a_policy_with_a_syntax_error_is_told_with_its_place() {
    let site = Site::new(json!({"policies": {"dir": "rego"}}));
    let rego = site.dir.path().join("rego");
    std::fs::create_dir(&rego).unwrap();
    std::fs::write(rego.join("broken.rego"), "package org.broken\n\nimport rego.v1\n\nallow if {\n  input.x ==\n}\n")
        .unwrap();
    for command in ["check", "serve"] {
        let (code, stdout, stderr) = site.run_with_config(&[command]);
        assert_eq!(code, Some(3), "{command}:\n{stdout}{stderr}");
        assert!((stdout + &stderr).contains("broken.rego"), "{command} does not name the file");
    }
}

#[test]
fn a_prompt_with_an_undefined_variable_is_told_with_its_name() {
    let site = Site::new(json!({"prompts": {"dir": "prompts"}}));
    let prompts = site.dir.path().join("prompts");
    std::fs::create_dir(&prompts).unwrap();
    std::fs::write(prompts.join("incident.md.j2"), "# {{ title }}\n\n{{ no_such_thing }}\n").unwrap();
    let (code, stdout, stderr) = site.run_with_config(&["check"]);
    assert_eq!(code, Some(3), "{stdout}{stderr}");
    let told = stdout + &stderr;
    assert!(told.contains("incident") && told.contains("no_such_thing"), "{told}");
}

#[test]
fn an_unknown_configuration_key_is_told_with_the_nearest_known_one() {
    for (config, wanted) in [
        (json!({"sever": {"listen": "127.0.0.1:1"}}), "server"),
        (json!({"server": {"listn": "127.0.0.1:1"}}), "listen"),
        (json!({"routes": [{"name": "a", "machers": []}]}), "matchers"),
        (json!({"budgets": {"per_investigation": {"turn": 3}}}), "turns"),
    ] {
        let site = Site::new(config.clone());
        for command in ["check", "serve"] {
            let (code, stdout, stderr) = site.run_with_config(&[command]);
            assert_eq!(code, Some(3), "{command} {config}:\n{stdout}{stderr}");
            assert!((stdout + &stderr).contains(wanted), "{command} {config} does not suggest `{wanted}`");
        }
    }
}

async fn open(site: &Site, envelope: &Value) -> String {
    let answer = site.deliver(envelope).await;
    answer["events"][0]["job_id"].as_str().unwrap_or_else(|| panic!("nothing was opened: {answer:#}")).to_owned()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}
