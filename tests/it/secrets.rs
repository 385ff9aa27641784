//! One secret, sent through every door in every disguise, and looked for behind each of them.

use crate::support::http::eventually;
use crate::support::model::{Model, Script};
use crate::support::sinks::Sinks;
use crate::support::site::SOON;
use crate::support::world::{Stage, TYPEDB};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::path::Path;

/// What the configuration holds, so that the program knows it; with characters that escapes change.
const SECRET: &str = r#"p4ss"w\ord/+key=7&77"#;
/// What nobody told the program, and what looks like one all the same.
const UNTOLD: [&str; 3] = [
    "ghp_0123456789abcdefghij0123456789abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJmaXJld2FyZGVuIn0.c2lnbmF0dXJlLW9mLW5vYm9keQ",
    "AKIAIOSFODNN7EXAMPLE",
];

/// The secret as programs write it down.
fn disguises() -> Vec<String> {
    let quoted = |text: &str| json!(text).to_string().trim_matches('"').to_owned();
    let percent = SECRET.bytes().map(|b| match b {
        b'a'..=b'z' | b'0'..=b'9' => char::from(b).to_string(),
        _ => format!("%{b:02X}"),
    });
    let hex: String = SECRET.bytes().map(|b| format!("{b:02x}")).collect();
    vec![
        SECRET.to_owned(),
        quoted(SECRET),
        percent.collect(),
        hex,
        STANDARD.encode(SECRET),
        URL_SAFE_NO_PAD.encode(SECRET),
        // At the other alignments, as where a user name stands before it.
        STANDARD.encode(format!("a{SECRET}")),
        STANDARD.encode(format!("ab{SECRET}")),
    ]
}

/// What must be nowhere: enough of each disguise that nothing else is.
fn needles() -> Vec<String> {
    let mut all: Vec<String> = disguises().into_iter().chain(UNTOLD.map(str::to_owned)).collect();
    // The first and last characters of a shifted encoding belong to what stands beside it.
    all = all.into_iter().map(|text| if text.len() > 24 { text[4..text.len() - 4].to_owned() } else { text }).collect();
    let as_json: Vec<String> = all.iter().map(|text| json!(text).to_string().trim_matches('"').to_owned()).collect();
    all.extend(as_json);
    all.sort_unstable();
    all.dedup();
    all
}

fn assert_clean(place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for needle in needles() {
        if let Some(at) = text.find(&needle) {
            let start = text.floor_char_boundary(at.saturating_sub(120));
            let end = text.ceil_char_boundary((at + needle.len() + 60).min(text.len()));
            panic!("{place} holds {needle}: …{}…", &text[start..end]);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// The recorded world, in which every log speaks of the secret.
fn talkative(folder: &Path) {
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(TYPEDB), folder);
    let mut lines = String::new();
    for text in disguises().iter().chain(UNTOLD.map(str::to_owned).iter()) {
        lines += &format!("2026-04-01T15:16:00.000Z ERROR storage: cannot log in with {text} at once\n");
        lines +=
            &format!("2026-04-01T15:16:00.000Z ERROR storage: {{\"dsn\":\"postgres://typedb:{text}@db:5432/x\"}}\n");
    }
    let mut waiting = vec![folder.join("logs")];
    while let Some(place) = waiting.pop() {
        match place.is_dir() {
            true => waiting.extend(std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path())),
            false => {
                let log = std::fs::read_to_string(&place).unwrap();
                std::fs::write(&place, format!("{log}{lines}")).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_comes_out_of_no_door_however_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let recorded = folder.path().join(TYPEDB);
    talkative(&recorded);
    let stage = Stage::folder(&recorded).await;
    // A model that learned it elsewhere, and says it wherever it can.
    let logs = json!({"namespace": "f3iai", "pod": "typedb-0", "container": "typedb", "previous": true, "tail": 60});
    let said =
        disguises().into_iter().map(|text| ("prometheus_query", json!({"query": format!("up{{a=\"{text}\"}}")})));
    let turns = vec![vec![("kubernetes_logs", logs)], said.collect()];
    let model = Model::serve(Script::Calls(turns)).await;
    let sinks = Sinks::serve(0).await;
    let mut config = sinks.config();
    config["models"] = json!([model.config()]);
    config["budgets"] = json!({"per_investigation": {"turns": 30}});
    let site = stage.site(config).variable("SCRIPTED_KEY", SECRET);
    let mut alert = stage.world.alert().clone();
    for (n, text) in disguises().iter().chain(UNTOLD.map(str::to_owned).iter()).enumerate() {
        alert["alerts"][0]["annotations"][format!("note_{n}")] = json!(format!("log in with {text} at once"));
        alert["alerts"][0]["labels"][format!("label_{n}")] = json!(text);
        alert["commonAnnotations"][text] = json!("as a name");
    }
    alert["alerts"][0]["annotations"]["summary"] = json!(format!("the volume is full, said {SECRET}"));
    let server = site.up().await;
    let id = site.deliver(&alert).await["events"][0]["job_id"].as_str().unwrap().to_owned();
    eventually("the pager heard of it", SOON, async || sinks.last_page()).await;
    eventually("the model was heard to its end", SOON, async || {
        let view = site.json(&format!("/api/v1/investigations/{id}")).await;
        let state = view["state"].as_str().unwrap_or_default();
        ["closed", "waiting_approval"].contains(&state).then_some(())
    })
    .await;

    // What is looked at is not empty, and speaks of what was blanked.
    assert!(model.bodies().len() > 2, "every disguise was said");
    let asked = Value::Array(model.bodies()).to_string();
    assert!(asked.contains("cannot log in with [redacted]"), "the log was read: {asked:.2000}");
    assert_clean("what the model is told", asked.as_bytes());
    assert_clean("what the pager is told", sinks.last_page().unwrap().to_string().as_bytes());
    for path in ["", "/journal", "/report", "/transcript"] {
        let answer = site.get(&format!("/api/v1/investigations/{id}{path}")).await.unwrap();
        assert_eq!(answer.status, 200, "{path}");
        assert_clean(path, answer.text.as_bytes());
    }
    for event in site.events().await {
        let answer = site.get(&format!("/api/v1/events/{}", event["id"].as_str().unwrap())).await.unwrap();
        assert_clean("the alert", answer.text.as_bytes());
    }
    for args in [["investigations", "report", &id], ["investigations", "show", &id], ["events", "list", "-o"]] {
        let args: Vec<&str> = args.into_iter().chain((args[2] == "-o").then_some("json")).collect();
        let output = site.run(&[&args[..], &["--server", &site.url("")]].concat());
        assert_clean("a command", &[output.stdout, output.stderr].concat());
    }
    // Nothing that does not parse is kept as it came, either.
    let lost = site.post("/webhook/alertmanager", format!("not json {SECRET} {}", UNTOLD[0])).await.unwrap();
    assert_eq!(lost.status, 400);
    assert_clean("a refusal", lost.text.as_bytes());
    drop(server);
    for entry in std::fs::read_dir(site.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("firewarden.db") || name.ends_with(".log") {
            assert_clean(&name, &std::fs::read(&path).unwrap());
        }
    }
}
