//! What is missing, how good a model is, and what it was told: the real binary, recorded peers and a
//! scripted model.

use crate::support::http::eventually;
use crate::support::model::{Model, Script};
use crate::support::site::{SOON, Site};
use crate::support::world::{Stage, TYPEDB};
use serde_json::{Value, json};

fn findings(stdout: &str) -> Vec<Value> {
    serde_json::from_str(stdout).unwrap_or_else(|e| panic!("{e}: {stdout}"))
}

fn find<'a>(found: &'a [Value], of: &str, check: &str) -> &'a Value {
    let fits = |finding: &&Value| finding["of"] == of && finding["check"] == check;
    found.iter().find(fits).unwrap_or_else(|| panic!("nothing about {of} {check}: {found:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_peer_is_asked_and_what_is_missing_is_told() {
    let stage = Stage::embedded(TYPEDB).await;
    let model = Model::serve(Script::ReadsThenReport(0)).await;
    let site = stage.site(json!({"models": [model.config()]}));
    let (code, stdout, stderr) = site.run_with_config(&["doctor", "-o", "json"]);
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    let found = findings(&stdout);
    for (of, check, state) in [
        ("policies", "load", "ok"),
        ("prompts", "load", "ok"),
        ("tools", "load", "ok"),
        ("store", "commits", "ok"),
        ("kubernetes", "server", "ok"),
        ("kubernetes", "who am I", "ok"),
        ("kubernetes", "rights", "ok"),
        ("prometheus", "server", "ok"),
        ("prometheus", "rules", "ok"),
        ("prometheus", "alertmanagers", "warn"),
        ("loki", "configured", "ok"),
        ("elasticsearch", "configured", "ok"),
        ("http_probe", "configured", "ok"),
        ("runbooks", "configured", "ok"),
        ("github", "configured", "ok"),
        ("model main", "server", "ok"),
        ("model main", "profile", "warn"),
        ("notify", "configured", "ok"),
    ] {
        assert_eq!(find(&found, of, check)["state"], state, "{of} {check}: {found:#?}");
    }
    assert!(find(&found, "model main", "server")["about"].as_str().unwrap().contains("window 32768 tokens"));
    assert!(!site.database().exists(), "looking makes no store");
    assert_eq!(model.requests(), 0, "a model is not asked for an answer");
    assert!(!stdout.contains("sk-scripted") && !stdout.contains("recorded-token"));

    let (code, stdout, _) = site.run_with_config(&["doctor"]);
    assert_eq!(code, Some(1));
    assert!(stdout.contains("help: ") && stdout.lines().all(|line| line.chars().count() <= 100), "{stdout}");
}

/// Loki, Elasticsearch, a target and a wiki at one address.
async fn peers() -> (String, tokio::task::JoinHandle<()>) {
    use axum::http::StatusCode;
    use axum::routing::{get, post};
    use axum::{Json, Router};
    let router = Router::new()
        .route("/loki/api/v1/status/buildinfo", get(async || Json(json!({"version": "3.5.1"}))))
        .route("/loki/api/v1/labels", get(async || Json(json!({"status": "success", "data": ["app", "pod"]}))))
        .route("/", get(async || Json(json!({"version": {"number": "3.2.0", "distribution": "opensearch"}}))))
        .route("/logs-*/_search", post(async || Json(json!({"hits": {"total": {"value": 7}, "hits": []}}))))
        .route("/sick", get(async || StatusCode::SERVICE_UNAVAILABLE));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (address, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_looked_into_is_asked_too() {
    let (address, serving) = peers().await;
    let url = format!("http://{address}");
    let books = tempfile::tempdir().unwrap();
    std::fs::write(books.path().join("pvc.md"), "# Full volumes\n").unwrap();
    let site = Site::new(json!({"tools": {
        "loki": {"url": url},
        "elasticsearch": {"url": url, "indices": ["logs-*"]},
        "http_probe": {"targets": [{"name": "well", "url": format!("{url}/")}, {"name": "sick", "url": format!("{url}/sick")},
                                   {"name": "gone", "url": "http://127.0.0.1:1/"}]},
        "runbooks": {"hosts": [address, "127.0.0.1:1"], "dir": books.path()},
    }}));
    let (code, stdout, stderr) = site.run_with_config(&["doctor", "-o", "json"]);
    assert_eq!(code, Some(4), "{stdout}{stderr}");
    let found = findings(&stdout);
    for (of, check, state, words) in [
        ("loki", "server", "ok", "3.5.1"),
        ("loki", "labels", "ok", "2 labels"),
        ("elasticsearch", "server", "ok", "opensearch 3.2.0"),
        ("elasticsearch", "indices", "ok", "logs-*: 7 documents"),
        ("http_probe", "target well", "ok", "answers 200"),
        ("http_probe", "target sick", "warn", "answers 503"),
        ("http_probe", "target gone", "fail", ""),
        ("runbooks", &format!("host http://{address}/"), "ok", "answers"),
        ("runbooks", "host http://127.0.0.1:1/", "fail", ""),
        ("runbooks", "files", "ok", "1 files"),
    ] {
        let finding = find(&found, of, check);
        assert_eq!(finding["state"], state, "{finding:#}");
        assert!(finding["about"].as_str().unwrap().contains(words), "{finding:#}");
        assert_eq!(finding.get("help").is_none(), state == "ok", "{finding:#}");
    }
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_what_kind_of_fault_it_is() {
    let gone = Site::new(json!({"tools": {"prometheus": {"url": "http://127.0.0.1:1"}},
        "models": [{"name": "main", "provider": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1"}]}));
    let (code, stdout, stderr) = gone.run_with_config(&["doctor", "-o", "json"]);
    assert_eq!(code, Some(4), "{stdout}{stderr}");
    let found = findings(&stdout);
    assert_eq!(find(&found, "prometheus", "server")["cause"], "unreached");
    assert_eq!(find(&found, "model main", "server")["cause"], "unreached");
    assert_eq!(gone.run_with_config(&["doctor", "model"]).0, Some(4));
    assert!(!gone.dir.path().join("model-profiles").exists(), "nothing was measured");

    let broken = Site::new(json!({}));
    let policies = broken.dir.path().join("broken");
    std::fs::create_dir_all(&policies).unwrap();
    std::fs::write(policies.join("a.rego"), "package a\n\nallow if {").unwrap();
    let policies = policies.display().to_string();
    let (code, stdout, _) = broken.run_with_config(&["doctor", "-o", "json", "--policies", &policies]);
    assert_eq!(code, Some(3), "{stdout}");
    assert_eq!(find(&findings(&stdout), "policies", "load")["state"], "fail");

    let fine = Site::new(json!({}));
    let (code, stdout, stderr) = fine.run_with_config(&["doctor"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("all is well"), "{stdout}");
    assert_eq!(fine.run_with_config(&["doctor", "model"]).0, Some(2), "no model is configured");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_measured_model_has_a_profile_that_counts() {
    // It hands in the same report whatever it is asked: good at nothing else.
    let model = Model::serve(Script::ReadsThenReport(0)).await;
    let site = Site::new(json!({"models": [model.config()]})).variable("SCRIPTED_KEY", "sk-scripted");
    let (code, stdout, stderr) = site.run_with_config(&["doctor", "model", "-o", "json"]);
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    let profile: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&profile["verdict"], &profile["answered_as"]), (&json!("failed"), &json!("scripted-1-0001")));
    assert_eq!(profile["window"], json!({"tokens": 32_768, "from": "/models"}));
    assert_eq!(profile["scores"]["hierarchy"], json!({"passed": 4, "of": 4}));
    assert!(stderr.contains("measuring main"), "{stderr}");
    let kept = std::fs::read_to_string(site.dir.path().join("model-profiles/main.yaml")).unwrap();
    assert!(kept.contains("api_version: firewarden/model-profile/v1") && !kept.contains("sk-scripted"), "{kept}");

    let (_, stdout, _) = site.run_with_config(&["doctor", "-o", "json"]);
    let found = findings(&stdout);
    let about = find(&found, "model main", "profile")["about"].as_str().unwrap();
    assert!(about.starts_with("failed on ") && about.contains("may look and take notes"), "{about}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_alert_goes_all_the_way() {
    let site = Site::new(json!({"intake": {"tokens": [{"source": "*", "token": "env:SENDER"}]}}))
        .variable("SENDER", "a-token-of-the-sender");
    let (code, _, stderr) = site.run_with_config(&["doctor", "--send-test-alert"]);
    assert_eq!(code, Some(4), "{stderr}");
    let mut server = site.start(&[]);
    site.ready(&mut server).await;
    let (code, stdout, stderr) = site.run_with_config(&["doctor", "--send-test-alert"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    for words in ["accepted   inv_", "report revision 1", "PASS"] {
        let even = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(even.contains(&words), "`{words}` is missing: {stdout}");
    }
    // The alert's end is a signal, which becomes an entry a moment later.
    eventually("the test alert is over", SOON, async || {
        let investigations = site.investigations().await;
        (investigations.len() == 1 && investigations[0]["alert_status"] == "resolved").then_some(())
    })
    .await;
    let (code, stdout, _) = site.run_with_config(&["doctor", "-o", "json"]);
    assert_eq!(code, Some(0), "{stdout}");
    let store = find(&findings(&stdout), "store", "commits")["about"].as_str().unwrap().to_owned();
    assert!(store.contains("held by the server at http://") && store.ends_with("which is ready"), "{store}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_transcript_is_what_was_sent() {
    let stage = Stage::embedded(TYPEDB).await;
    let model = Model::serve(Script::ReadsThenReport(3)).await;
    let site = stage.site(json!({"models": [model.config()]}));
    let _server = site.up().await;
    let receipt = site.deliver(stage.world.alert()).await;
    let id = receipt["events"][0]["job_id"].as_str().unwrap().to_owned();
    site.closed(&id, SOON).await;
    let transcript = site.json(&format!("/api/v1/investigations/{id}/transcript")).await;
    let turns = transcript["items"].as_array().unwrap();
    let sent = model.bodies();
    assert!(turns.len() >= 4 && turns.len() == sent.len(), "{} turns, {} requests", turns.len(), sent.len());
    assert!(transcript["prompts_digest"].as_str().unwrap().starts_with("sha256:"));
    for (n, (turn, body)) in turns.iter().zip(&sent).enumerate() {
        let request = &turn["request"];
        assert_eq!(request["digest_holds"], true, "{turn:#}");
        let shown = request["messages"].as_array().unwrap();
        let received = body["messages"].as_array().unwrap();
        assert_eq!(shown.len(), received.len(), "turn {n}");
        for (shown, received) in shown.iter().zip(received) {
            assert_eq!(shown["role"], received["role"]);
            assert_eq!(shown["content"].as_str().unwrap(), received["content"].as_str().unwrap_or_default());
            assert_eq!(shown["answers"], received["tool_call_id"]);
            let calls = |message: &Value, key: &str| message[key].as_array().map_or(0, Vec::len);
            assert_eq!(calls(shown, "calls"), calls(received, "tool_calls"));
        }
        let names = |tools: &Value, at: &str| -> Vec<Value> {
            tools.as_array().into_iter().flatten().filter_map(|tool| tool.pointer(at).cloned()).collect()
        };
        assert_eq!(names(&request["tools"], "/name"), names(&body["tools"], "/function/name"));
        assert_eq!(request["max_tokens"], body["max_tokens"]);
        let told = &turn["sent"];
        assert_eq!(*told["tools"].as_array().unwrap(), names(&body["tools"], "/function/name"));
        assert!(told["model"] == body["model"] && told["tool_choice"] == body["tool_choice"], "{told}");
        assert_eq!(request["new_from"].as_u64().unwrap() > 0, n > 0);
        assert_eq!(turn["answered"], "scripted-1-0001");
    }
    assert_eq!(turns[0]["outcome"]["kind"], "calls");
    assert_eq!(turns.last().unwrap()["outcome"], json!({"kind": "report"}));

    let (code, stdout, stderr) = site.run_with_config(&["investigations", "transcript", &id]);
    assert_eq!(code, Some(0), "{stderr}");
    for words in ["## Turn 1: main", "### Message 0, system", "are those of the turn before", "It handed in a report."]
    {
        assert!(stdout.contains(words), "`{words}` is missing: {stdout}");
    }
    let (_, stdout, _) = site.run_with_config(&["investigations", "transcript", &id, "--after", "1", "-o", "json"]);
    let page: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(page["items"][0]["turn"], 2);
    assert_eq!(page["items"][0]["request"], turns[1]["request"], "a page begins in the middle of the conversation");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_asked_for_by_schema_is_shown_as_it_was_asked_for() {
    let stage = Stage::embedded(TYPEDB).await;
    let model = Model::serve(Script::ReadsThenReport(3)).await;
    let mut config = model.config();
    config["structured"] = json!("json_schema");
    let site = stage.site(json!({"models": [config], "budgets": {"per_investigation": {"turns": 2}}}));
    let _server = site.up().await;
    let id = site.deliver(stage.world.alert()).await["events"][0]["job_id"].as_str().unwrap().to_owned();
    site.closed(&id, SOON).await;
    let transcript = site.json(&format!("/api/v1/investigations/{id}/transcript")).await;
    let (last, body) = (transcript["items"].as_array().unwrap().last().unwrap(), model.bodies().pop().unwrap());
    assert_eq!(last["must_answer"], true);
    assert_eq!(last["sent"]["response_format"], body["response_format"]);
    assert_eq!(last["sent"]["response_format"]["json_schema"]["name"], "submit_report");
    assert!(last["sent"].get("tools").is_none() && last["sent"].get("messages").is_none(), "{:#}", last["sent"]);
    let (_, told, _) = site.run_with_config(&["investigations", "transcript", &id]);
    assert!(told.contains("Sent beside the messages") && told.contains("\"response_format\""), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runbook_is_read_before_anybody_asks_for_it() {
    let stage = Stage::embedded(TYPEDB).await;
    let books = tempfile::tempdir().unwrap();
    std::fs::write(books.path().join("pvc.md"), "---\nalerts: [PVCUsageHigh]\n---\n# Full volumes\nExpand it.\n")
        .unwrap();
    let site = stage.site(json!({"tools": {"runbooks": {"dir": books.path()}}}));
    let _server = site.up().await;
    let id = site.deliver(stage.world.alert()).await["events"][0]["job_id"].as_str().unwrap().to_owned();
    site.closed(&id, SOON).await;
    let report = site.report(&id).await;
    let runbook = &report["runbooks"][0];
    assert_eq!((&runbook["title"], &runbook["source"]), (&json!("Full volumes"), &json!("pvc.md")), "{report:#}");
    let evidence = report["evidence"].as_array().unwrap().iter().find(|item| item["id"] == runbook["evidence_id"]);
    assert_eq!(evidence.unwrap()["kind"], "memory");
    let (_, page, _) = site.run_with_config(&["investigations", "report", &id, "--markdown"]);
    assert!(page.contains("Runbook: Full volumes, `pvc.md` (E"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_shown_with_its_size() {
    let stage = Stage::embedded(TYPEDB).await;
    let site = stage.site(json!({}));
    std::fs::write(site.dir.path().join("alert.json"), stage.world.alert().to_string()).unwrap();
    for from in [&["--scenario", TYPEDB][..], &["--alert", "alert.json"]] {
        let (code, stdout, stderr) = site.run_with_config(&[&["prompt", "render"][..], from].concat());
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.contains("data-typedb-0"), "{stdout}");
        assert!(stderr.contains("tokens of prompt") && stderr.contains("prompts sha256:"), "{stderr}");
        let (_, stdout, _) = site.run_with_config(&[&["prompt", "render", "-o", "json"][..], from].concat());
        let preview: Value = serde_json::from_str(&stdout).unwrap();
        let size = |key: &str| preview[key].as_u64().unwrap();
        assert_eq!(size("request_tokens"), size("head_tokens") + size("prompt_tokens"), "{from:?}");
        assert!(size("tools") > 5 && size("head_tokens") > 1_000, "{from:?}: {}", size("head_tokens"));
    }
    assert!(!site.database().exists(), "a preview leaves the store alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_v1_and_a_recording_are_known_for_what_they_are() {
    use axum::{Json, Router, routing::get};
    let tags = || async { Json(json!({"models": [{"name": "qwen3:latest", "model": "qwen3:latest"}]})) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        axum::serve(listener, Router::new().route("/api/tags", get(tags))).await.unwrap();
    });
    let site = Site::new(json!({"models": [
        {"name": "local", "provider": "ollama", "model": "qwen3", "host": host},
        {"name": "absent", "provider": "ollama", "model": "llama9", "host": host},
        {"name": "tape", "provider": "replay", "model": "x", "file": "tape.jsonl"}]}));
    std::fs::write(site.dir.path().join("tape.jsonl"), "{\"content\": \"x\"}\n").unwrap();
    let (code, stdout, stderr) = site.run_with_config(&["doctor", "-o", "json"]);
    serving.abort();
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    let found = findings(&stdout);
    assert_eq!(find(&found, "model local", "server")["about"], "serves qwen3");
    assert_eq!(find(&found, "model absent", "server")["state"], "fail");
    assert_eq!(find(&found, "model tape", "server")["state"], "ok");
    let (code, _, stderr) = site.run_with_config(&["doctor", "model", "--model", "tape"]);
    assert_eq!(code, Some(2), "{stderr}");
}
