//! Pollers of the real binary, against an Alertmanager that answers in the recorded shapes of three versions.

use crate::support::http::eventually;
use crate::support::site::{SOON, Server, Site, tail};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::get;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::task::JoinHandle;

const VERSIONS: [&str; 3] = ["0.25.0", "0.28.1", "0.33.1"];

fn recorded(version: &str, name: &str) -> Value {
    let file = format!("{}/tests/fixtures/alertmanager_api/{version}/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// What it answers.
struct Answers {
    status: u16,
    alerts: Value,
    about: Value,
    /// The credential that it wants.
    bearer: Option<&'static str>,
    /// What it was asked for, the newest last.
    queries: Vec<String>,
}

/// An Alertmanager that answers as it is told to. Dropping it closes it.
struct Fake {
    url: String,
    answers: Arc<Mutex<Answers>>,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    async fn serve(version: &str) -> Self {
        let about = recorded(version, "status");
        let answers = Answers { status: 200, alerts: json!([]), about, bearer: None, queries: vec![] };
        let answers = Arc::new(Mutex::new(answers));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/api/v2/status", get(about_it))
            .route("/api/v2/alerts", get(alerts))
            .with_state(answers.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, answers, task }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap()
    }

    fn polls(&self) -> usize {
        self.answers().queries.len()
    }

    /// Waits until it was asked anew, and what was asked was taken in: the poll after it has begun.
    async fn polled(&self) {
        let before = self.polls();
        eventually("it is polled twice", SOON, async || (self.polls() >= before + 2).then_some(())).await;
    }
}

fn refused(answers: &Answers, headers: &HeaderMap) -> Option<(StatusCode, String)> {
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok());
    let is_let_in = answers.bearer.is_none_or(|wanted| shown == Some(format!("Bearer {wanted}").as_str()));
    (!is_let_in).then(|| (StatusCode::UNAUTHORIZED, "no".to_owned()))
}

async fn about_it(State(answers): State<Arc<Mutex<Answers>>>, headers: HeaderMap) -> (StatusCode, String) {
    let answers = answers.lock().unwrap();
    refused(&answers, &headers).unwrap_or_else(|| (StatusCode::OK, answers.about.to_string()))
}

async fn alerts(State(answers): State<Arc<Mutex<Answers>>>, headers: HeaderMap, uri: Uri) -> (StatusCode, String) {
    let mut answers = answers.lock().unwrap();
    answers.queries.push(uri.query().unwrap_or_default().to_owned());
    let body = match &answers.alerts {
        Value::String(text) => text.clone(),
        list => list.to_string(),
    };
    let answer = (StatusCode::from_u16(answers.status).unwrap(), body);
    refused(&answers, &headers).unwrap_or(answer)
}

/// Names of the alerts that are kept, with how they stand.
async fn stands(site: &Site) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let shown = |e: &Value| format!("{}/{} {}", text(&e["name"]), text(&e["fingerprint"]), text(&e["status"]));
    let mut all: Vec<String> = site.events().await.iter().map(shown).collect();
    all.sort();
    all
}

async fn until(site: &Site, what: &str, holds: impl Fn(&[String]) -> bool) {
    eventually(what, SOON, async || holds(&stands(site).await).then_some(())).await;
}

async fn figure(site: &Site, name: &str) -> Option<String> {
    let metrics = site.get("/metrics").await?.text;
    metrics.lines().find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()))
}

fn hang_up(server: &Server) {
    assert!(Command::new("kill").args(["-HUP", &server.id().to_string()]).status().unwrap().success());
}

fn log(site: &Site) -> String {
    tail(&site.dir.path().join("serve.log"), 1_000_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_every_version_tells_is_polled_and_what_disappears_is_over() {
    for version in VERSIONS {
        let fake = Fake::serve(version).await;
        let all = recorded(version, "alerts-all");
        fake.answers().alerts = all.clone();
        let site = Site::new(json!({"pollers": [{
            "name": "am", "alertmanager": fake.url, "every": "1s", "severities": ["critical"],
            "matchers": ["alertname!=Watchdog"],
        }]}));
        let mut server = site.up().await;
        let critical: Vec<Value> =
            all.as_array().unwrap().iter().filter(|a| a["labels"]["severity"] == "critical").cloned().collect();
        assert_eq!(critical.len(), 2);
        until(&site, "both critical alerts are there", |all| all.len() == 2).await;
        fake.polled().await;
        assert!(fake.answers().queries[0].contains("filter=alertname%21%3DWatchdog"), "{version}");
        for event in site.events().await {
            assert_eq!((&event["source"], &event["via"]), (&json!("alertmanager"), &json!("poller:am")), "{version}");
            let told = critical.iter().find(|alert| alert["fingerprint"] == event["fingerprint"]).unwrap();
            let instant = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
            assert_eq!(instant(&event["starts_at"]), instant(&told["startsAt"]));
        }
        // The webhook tells the same alert: it is one event, and known.
        let mut sent = critical[0].clone();
        sent["status"] = "firing".into();
        let group = json!({"version": "4", "groupKey": "{}:{}", "status": "firing", "alerts": [sent]});
        let receipt = site.deliver(&group).await;
        assert_eq!(receipt["ignored"], 1, "{version}: {receipt}");

        // One is silenced: it is no more told as firing, and not over.
        let mut silenced = critical[0].clone();
        silenced["status"] = recorded(version, "alerts-silenced")[0]["status"].clone();
        fake.answers().alerts = json!([silenced, critical[1]]);
        fake.polled().await;
        assert!(stands(&site).await.iter().all(|stands| stands.ends_with("firing")), "{version}");

        // The server dies; one ends meanwhile, and another begins.
        server.kill();
        let mut new = critical[1].clone();
        (new["fingerprint"], new["labels"]["alertname"]) = (json!("new"), json!("Later"));
        fake.answers().alerts = json!([silenced, new]);
        site.reconfigure(|config| config["pollers"][0]["every"] = "24h".into());
        // The first poll comes at the start.
        let _server = site.up().await;
        until(&site, "the gap is closed", |all| {
            all.len() == 3 && all.iter().filter(|stands| stands.ends_with("resolved")).count() == 1
        })
        .await;
        let over = site.events().await.into_iter().find(|event| event["status"] == "resolved").unwrap();
        assert_eq!(over["fingerprint"], critical[1]["fingerprint"], "{version}");
        site.verify_audit();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poller_that_fails_ends_nothing_says_so_once_and_reads_its_credential_again() {
    let fake = Fake::serve("0.33.1").await;
    let alert = recorded("0.33.1", "alerts-all")[3].clone();
    fake.answers().alerts = json!([alert]);
    fake.answers().bearer = Some("first-token");
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::write(dir.path().join("token"), "first-token\n").unwrap();
    let site = Site::within(
        dir,
        json!({"pollers": [{"name": "am", "alertmanager": fake.url, "every": "1s", "auth": {"bearer": "file:token"}}]}),
    );
    let server = site.up().await;
    until(&site, "the alert is there", |all| all.len() == 1).await;
    let up = "firewarden_poller_up{poller=\"am\"}";
    eventually("the poller is up", SOON, async || (figure(&site, up).await.as_deref() == Some("1")).then_some(()))
        .await;

    // Nothing but a list says that nothing fires.
    for (status, body) in
        [(200, json!({"status": "success", "data": []})), (200, json!("<html>")), (503, json!("")), (200, json!(null))]
    {
        (fake.answers().status, fake.answers().alerts) = (status, body);
        fake.polled().await;
    }
    assert_eq!(figure(&site, up).await.as_deref(), Some("0"));
    assert!(stands(&site).await.iter().all(|stands| stands.ends_with("firing")));
    // Three changes between kinds of failure, and not one line for each poll.
    assert_eq!(log(&site).matches("a poll failed").count(), 3, "{}", log(&site));
    (fake.answers().status, fake.answers().alerts) = (200, json!([alert]));
    eventually("the poller is up again", SOON, async || {
        (figure(&site, up).await.as_deref() == Some("1")).then_some(())
    })
    .await;
    assert_eq!(log(&site).matches("polls are answered again").count(), 1);

    // The credential is exchanged on both sides.
    fake.answers().bearer = Some("second-token");
    eventually("it is refused", SOON, async || (figure(&site, up).await.as_deref() == Some("0")).then_some(())).await;
    assert!(log(&site).contains("check `auth` of poller `am`"));
    std::fs::write(site.dir.path().join("token"), "second-token\n").unwrap();
    hang_up(&server);
    eventually("the new one is used", SOON, async || (figure(&site, up).await.as_deref() == Some("1")).then_some(()))
        .await;
    fake.answers().alerts = json!([]);
    until(&site, "the alert is over", |all| all.iter().all(|stands| stands.ends_with("resolved"))).await;
    assert!(!log(&site).contains("-token"), "no credential in the log");
    let (code, stdout, stderr) = site.run_with_config(&["doctor", "-o", "json"]);
    let found: Value = serde_json::from_str(&stdout).unwrap();
    let about = |check: &str| {
        let of = found.as_array().unwrap().iter().find(|f| f["of"] == "poller am" && f["check"] == check);
        of.unwrap_or_else(|| panic!("{code:?} {stdout}{stderr}"))["about"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(about("server"), format!("{} 0.33.1", fake.url));
    assert_eq!(about("alerts"), "0 fire, 0 are silenced, inhibited or muted");
}

#[tokio::test(flavor = "multi_thread")]
async fn pollers_come_change_and_go_while_the_server_runs() {
    let (first, second) = (Fake::serve("0.25.0").await, Fake::serve("0.28.1").await);
    let alerts = recorded("0.25.0", "alerts-all");
    first.answers().alerts = json!([alerts[0]]);
    second.answers().alerts = json!([alerts[1], alerts[2]]);
    let site = Site::new(json!({}));
    let server = site.up().await;
    let poller = |fake: &Fake| json!({"name": "am", "alertmanager": fake.url, "every": "1s"});
    // A poller appears.
    site.reconfigure(|config| config["pollers"] = json!([poller(&first)]));
    hang_up(&server);
    until(&site, "the first is polled", |all| all.len() == 1).await;
    // A broken configuration leaves it as it is.
    let good = std::fs::read(site.dir.path().join("firewarden.yaml")).unwrap();
    for broken in ["pollers: [{name: am, every: soon}]\n", "pollers: [\n"] {
        std::fs::write(site.dir.path().join("firewarden.yaml"), broken).unwrap();
        hang_up(&server);
        eventually("it is refused", SOON, async || log(&site).contains("configuration is refused").then_some(())).await;
        first.polled().await;
    }
    std::fs::write(site.dir.path().join("firewarden.yaml"), good).unwrap();
    // Another Alertmanager under the same name: what the first one told is not over for that.
    site.reconfigure(|config| config["pollers"] = json!([poller(&second)]));
    hang_up(&server);
    until(&site, "the second is polled", |all| all.len() == 3).await;
    second.polled().await;
    assert!(stands(&site).await.iter().all(|stands| stands.ends_with("firing")));
    // What the rest of the program stands on waits for a restart, and that is said.
    site.reconfigure(|config| config["server"]["public_url"] = json!("https://fw.example"));
    hang_up(&server);
    let said = "before a restart";
    eventually("it is said", SOON, async || log(&site).contains(said).then_some(())).await;
    // It goes.
    site.reconfigure(|config| config["pollers"] = json!([]));
    hang_up(&server);
    let ends = log(&site).matches("a poller ends").count() + 1;
    eventually("it ends", SOON, async || (log(&site).matches("a poller ends").count() >= ends).then_some(())).await;
    // While another one asks twice, it asks no more.
    second.answers().queries.clear();
    site.reconfigure(|config| {
        config["pollers"] = json!([{"name": "other", "alertmanager": first.url, "every": "1s"}]);
    });
    hang_up(&server);
    first.polled().await;
    assert_eq!(second.polls(), 0);
    site.verify_audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poller_whose_alertmanager_is_gone_does_not_keep_the_server_from_serving() {
    let site = Site::new(json!({"pollers": [{"name": "am", "alertmanager": "http://127.0.0.1:1", "every": "1s"}]}));
    let _server = site.up().await;
    let up = "firewarden_poller_up{poller=\"am\"}";
    eventually("the poller is down", SOON, async || (figure(&site, up).await.as_deref() == Some("0")).then_some(()))
        .await;
    let alert = json!({"status": "firing", "labels": {"alertname": "A", "severity": "info"}, "fingerprint": "f",
                       "startsAt": "2026-11-20T23:30:30Z"});
    assert_eq!(site.deliver(&json!({"alerts": [alert]})).await["accepted"], 1);
    let (code, stdout, _) = site.run_with_config(&["doctor", "-o", "json"]);
    assert_eq!(code, Some(4), "{stdout}");
    assert!(stdout.contains("check `alertmanager` and `auth` of poller `am`"), "{stdout}");
}
