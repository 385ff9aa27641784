//! The commands as people type them: output, exit codes, files.

use crate::support::http::eventually;
use crate::support::site::{SOON, Site};
use crate::support::world::{Stage, TYPEDB};
use serde_json::{Value, json};
use std::process::{Output, Stdio};

fn shown(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_plays_a_whole_incident_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let site = Site::new(json!({})).variable("TMPDIR", temporary.path().to_string_lossy());
    // What stands in the surroundings must not reach it.
    let site = site.variable("FLEET_EVENTS_TOKEN", "token").variable("PROMETHEUS_URL", "http://127.0.0.1:1");
    let (code, stdout, stderr) = shown(&site.run(&["demo", "--exit"]));
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    for expected in [
        "is a recording",
        "alert     PVCUsageHigh",
        "risk      MEDIUM  on the alert alone",
        "risk/base/severity",
        "E1        PersistentVolumeClaim",
        "findings  ",
        "report    revision 1: ",
        "data-typedb-0",
        "served as Kubernetes, Prometheus, GitHub and Jira",
        "(no other world was touched)",
        "proposed by this demo, as a hostile model would",
        "acme/platform#1: Raise the storage of StatefulSet f3iai/typedb from 20Gi to 30Gi",
        "-            storage: 20Gi",
        "+            storage: 30Gi",
        "OPS-1284: ",
        "f3iai/data-typedb-0 is there and asks for 20Gi",
        "firewarden approvals grant apr_",
        "firewarden audit verify",
        "chains         ok",
        "PASS",
    ] {
        assert!(stdout.contains(expected), "`{expected}` is missing:\n{stdout}");
    }
    // Each change with its verdict and the rule behind it, in this order.
    let said = stdout.split("What policy said").nth(1).unwrap_or_default();
    let mut rest = said;
    for (verdict, change, rule) in [
        ("allowed", "open a pull request in acme/platform", "action/effects/within-level"),
        ("asked", "expand PersistentVolumeClaim f3iai/data-typedb-0", "action/pressure/pressure"),
        ("refused", "delete PersistentVolumeClaim f3iai/data-typedb-0", "action/destructive/data"),
    ] {
        for expected in [format!("\n{verdict:<11}{change}"), format!(" {rule}: ")] {
            let at = rest.find(&expected).unwrap_or_else(|| panic!("`{expected}` is missing:\n{stdout}"));
            rest = &rest[at + 1..];
        }
    }
    let pulls = said.lines().filter(|line| line.starts_with("pull ")).count();
    assert_eq!(pulls, 1, "{stdout}");
    assert!(stdout.lines().all(|line| line.chars().count() <= 100), "{stdout}");
    assert!(!stdout.contains('\u{1b}'), "no terminal, no colours");
    let left: Vec<_> = std::fs::read_dir(temporary.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!site.database().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_can_be_played() {
    let site = Site::new(json!({}));
    let (code, stdout, _) = shown(&site.run(&["demo", "--list", "-o", "json"]));
    let worlds: Vec<Value> = serde_json::from_str(&stdout).unwrap();
    assert_eq!(code, Some(0));
    assert!(worlds.len() >= 4, "{stdout}");
    for world in &worlds {
        let name = world["name"].as_str().unwrap();
        let (code, stdout, stderr) = shown(&site.run(&["demo", name, "--exit"]));
        assert_eq!(code, Some(0), "{name}: {stdout}{stderr}");
    }
    let (code, _, stderr) = shown(&site.run(&["demo", "nope"]));
    assert_eq!(code, Some(2));
    assert!(stderr.contains("there is no recorded world `nope`") && stderr.contains("help: "), "{stderr}");
    assert_eq!(site.run(&["demo", "--model", "--exit"]).status.code(), Some(2), "no model is configured");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_what_happened() {
    let site = Site::new(json!({}));
    let broken = site.dir.path().join("broken.yaml");
    std::fs::write(&broken, "server:\n  lisen: 127.0.0.1:1\n").unwrap();
    let policies = site.dir.path().join("failing");
    std::fs::create_dir_all(policies.join("tests")).unwrap();
    std::fs::write(policies.join("tests/a_test.rego"), "package a_test\n\ntest_no if {\n\t1 == 2\n}\n").unwrap();
    let policies = policies.to_string_lossy();
    let cases: Vec<(&[&str], i32, &str)> = vec![
        (&["version"], 0, ""),
        (&["--help"], 0, ""),
        (&["completions", "bash"], 0, ""),
        (&["policy", "test"], 0, ""),
        (&["check"], 0, ""),
        (&["sevre"], 2, "unrecognized subcommand"),
        (&["tools", "describe", "nope"], 2, "there is no tool `nope`"),
        (&["tools", "call", "kubernetes_get"], 2, "no peer is configured"),
        (&["investigate", "absent.json"], 2, "absent.json cannot be read"),
        (&["check", "--config", "absent.yaml"], 3, ""),
        (&["serve", "--config", "absent.yaml"], 3, "absent.yaml: cannot be read"),
        (&["serve", "--config", "broken.yaml"], 3, ":2: `server.lisen` is no key of the configuration"),
        (&["check", "--config", "broken.yaml"], 3, ""),
        (&["serve", "--listen", "0.0.0.0:0"], 3, "`intake.tokens` is empty"),
        (&["policy", "check", "absent"], 3, "cannot read policies"),
        (&["audit", "verify"], 3, "nothing was ever stored there"),
        (&["events", "list", "--server", "http://127.0.0.1:1"], 4, "cannot be reached"),
        (&["investigations", "watch", "inv_1", "--server", "http://127.0.0.1:1"], 4, "cannot be reached"),
        (&["investigations", "show", "../x"], 2, "this is no id"),
        (&["events", "list", "--server", "no address"], 2, "is not a URL"),
    ];
    for (words, expected, told) in cases {
        let (code, stdout, stderr) = shown(&site.run(words));
        assert_eq!(code, Some(expected), "{words:?}\n{stdout}{stderr}");
        assert!(stderr.contains(told), "{words:?} tells\n{stderr}");
        if expected > 2 && !told.is_empty() {
            assert!(stderr.starts_with("error: ") && stderr.contains("\n  help: "), "{words:?} tells\n{stderr}");
        }
    }
    let (code, stdout, stderr) = shown(&site.run(&["policy", "test", &policies]));
    assert!(matches!(code, Some(1 | 3)), "{stdout}{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_init_writes_passes_the_check_and_is_never_overwritten() {
    let site = Site::new(json!({}));
    let dir = site.dir.path().join("mine");
    let at = dir.to_string_lossy();
    let (code, stdout, _) = shown(&site.run(&["init", &at]));
    assert_eq!(code, Some(0));
    assert!(stdout.contains("wrote   ") && !stdout.contains("exists  "), "{stdout}");
    let config = dir.join("firewarden.yaml");
    let config = config.to_string_lossy();
    let (code, stdout, stderr) = shown(&site.run(&["check", "--config", &config]));
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("mine/policies") && stdout.contains("mine/prompts"), "{stdout}");

    let prompt = dir.join("prompts/incident.md.j2");
    std::fs::write(&prompt, "mine {{ titel }}\n").unwrap();
    let (_, stdout, _) = shown(&site.run(&["init", &at]));
    assert!(stdout.contains("exists  ") && !stdout.contains("wrote   "), "{stdout}");
    assert_eq!(std::fs::read_to_string(&prompt).unwrap(), "mine {{ titel }}\n");
    let (code, stdout, _) = shown(&site.run(&["check", "--config", &config]));
    assert_eq!(code, Some(3), "{stdout}");
    assert!(stdout.contains("`titel`") && stdout.contains("title"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_investigated_here_or_in_the_server_that_holds_the_store() {
    let stage = Stage::embedded(TYPEDB).await;
    let site = stage.site(json!({}));
    let alert = site.dir.path().join("alert.json");
    std::fs::write(&alert, stage.world.alert().to_string()).unwrap();
    let alert = alert.to_string_lossy().into_owned();

    let (code, stdout, stderr) = site.run_with_config(&["investigate", &alert, "-o", "json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["schema_version"], "rca_report/v1");
    assert_eq!(report["incident"]["subject"]["name"], "data-typedb-0");
    assert!(!report["root_causes"].as_array().unwrap().is_empty(), "{stdout}");

    // The same alert again is the same incident: its report is there already.
    let (code, again, stderr) = site.run_with_config(&["investigate", &alert, "-o", "json"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap()["incident"]["id"], report["incident"]["id"]);

    let mut server = site.up().await;
    let (code, there, stderr) = site.run_with_config(&["investigate", &alert, "-o", "json"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(serde_json::from_str::<Value>(&there).unwrap()["incident"]["id"], report["incident"]["id"]);

    let id = report["incident"]["id"].as_str().unwrap();
    let (code, listed, stderr) = site.run_with_config(&["investigations", "list"]);
    assert!(code == Some(0) && listed.contains(id), "{listed}{stderr}");
    let (code, watched, _) = site.run_with_config(&["investigations", "watch", id]);
    assert!(code == Some(0) && watched.contains("closed    with a report"), "{watched}");
    let (code, text, _) = site.run_with_config(&["investigations", "report", id]);
    assert!(code == Some(0) && text.contains("data-typedb-0"), "{text}");
    let (code, events, _) = site.run_with_config(&["events", "list", "-o", "yaml"]);
    assert!(code == Some(0) && events.contains("PVCUsageHigh"), "{events}");

    // Beside the running server.
    let (code, audit, _) = site.run_with_config(&["audit", "verify", "-o", "json"]);
    let audit: Value = serde_json::from_str(&audit).unwrap();
    assert_eq!((code, &audit["pass"]), (Some(0), &json!(true)), "{audit}");

    let (code, listed, _) = site.run_with_config(&["tools", "list", "-o", "json"]);
    let tools: Vec<Value> = serde_json::from_str(&listed).unwrap();
    // What is configured is there; what is missing says which peer it lacks.
    let configured = |tool: &Value| tool["missing"].as_array().is_some_and(Vec::is_empty);
    let of_world = |tool: &Value| {
        let name = tool["name"].as_str().unwrap_or_default();
        tool["effect"] == "read" && (name.starts_with("kubernetes_") || name.starts_with("prometheus_"))
    };
    assert!(tools.iter().all(|tool| (tool["available"] == true) == configured(tool)), "{listed}");
    assert!(code == Some(0) && tools.iter().filter(|tool| of_world(tool)).all(configured), "{listed}");
    let call = ["tools", "call", "kubernetes_get", "kind=pvc", "namespace=f3iai", "name=data-typedb-0"];
    let (code, seen, stderr) = site.run_with_config(&call);
    assert!(code == Some(0) && seen.contains("data-typedb-0"), "{seen}{stderr}");
    let (code, _, stderr) = site.run_with_config(&["tools", "call", "kubernetes_get", "knid=pvc"]);
    assert_eq!(code, Some(2), "{stderr}");
    server.kill();
    eventually("the server is gone", SOON, async || site.get("/healthz").await.is_none().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_is_no_error() {
    let site = Site::new(json!({}));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_firewarden"));
    command.current_dir(site.dir.path()).args(["completions", "bash"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Closed before anything is read.
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.len()), (Some(0), 0));
}
