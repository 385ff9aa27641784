//! The real Alertmanager against a firewarden that answers, stalls, refuses, dies and comes back. A door between
//! the two notes what was sent and what was answered.

use super::instant;
use super::manager::Manager;
use crate::support::http::{client, eventually};
use crate::support::site::{SOON, Server, Site};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Alertmanager gives up on an answer after 10 s, and comes again.
const RETRIED: Duration = Duration::from_secs(90);

/// Fingerprint and start.
type Delivery = (String, String);

/// One body, and what became of it.
#[derive(Debug, Clone)]
struct Sent {
    firing: BTreeSet<Delivery>,
    names: BTreeSet<String>,
    /// What firewarden answered; nothing where nobody did.
    answered: Option<u16>,
    retry_after: Option<String>,
}

#[derive(Debug)]
struct Passage {
    to: String,
    client: reqwest::Client,
    sent: Vec<Sent>,
    /// The next answer is lost on its way back.
    loses_answer: bool,
}

/// The door. Dropping it closes it.
struct Door {
    url: String,
    passage: Arc<Mutex<Passage>>,
    task: JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Door {
    async fn before(site: &Site) -> Self {
        let to = site.url("/webhook/alertmanager");
        let passage = Passage { to, client: client(), sent: vec![], loses_answer: false };
        let passage = Arc::new(Mutex::new(passage));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(pass)).with_state(passage.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, passage, task }
    }

    fn sent(&self) -> Vec<Sent> {
        self.passage.lock().unwrap().sent.clone()
    }

    /// Bodies that told of the alert called `name`.
    fn of(&self, name: &str) -> Vec<Sent> {
        self.sent().into_iter().filter(|sent| sent.names.contains(name)).collect()
    }

    /// Waits for a body that told of `name` and fits.
    async fn sees(&self, what: &str, name: &str, fits: impl Fn(&Sent) -> bool) {
        eventually(what, RETRIED, async || self.of(name).iter().any(&fits).then_some(())).await;
    }
}

async fn pass(State(passage): State<Arc<Mutex<Passage>>>, body: Bytes) -> (StatusCode, HeaderMap, String) {
    let envelope: Value = serde_json::from_slice(&body).unwrap();
    let alerts = envelope["alerts"].as_array().cloned().unwrap_or_default();
    let firing = alerts.iter().filter(|alert| alert["status"] == "firing");
    let firing = firing.map(|alert| (alert["fingerprint"].as_str().unwrap().to_owned(), instant(&alert["startsAt"])));
    let names = alerts.iter().map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned());
    let sent = Sent { firing: firing.collect(), names: names.collect(), answered: None, retry_after: None };
    let (place, request) = {
        let mut passage = passage.lock().unwrap();
        passage.sent.push(sent);
        let request = passage.client.post(&passage.to).header("content-type", "application/json").body(body);
        (passage.sent.len() - 1, request)
    };
    let bad = |what: &str| (StatusCode::BAD_GATEWAY, HeaderMap::new(), what.to_owned());
    let Ok(answer) = request.send().await else { return bad("nobody is there") };
    let (status, headers) = (answer.status(), answer.headers().clone());
    let Ok(text) = answer.text().await else { return bad("it broke off") };
    let mut passage = passage.lock().unwrap();
    passage.sent[place].answered = Some(status.as_u16());
    passage.sent[place].retry_after =
        headers.get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
    match std::mem::take(&mut passage.loses_answer) {
        true => bad("it is lost on the way back"),
        false => (status, HeaderMap::new(), text),
    }
}

fn signal(server: &Server, name: &str) {
    assert!(Command::new("kill").args([name, &server.id().to_string()]).status().unwrap().success());
}

fn labels(name: &str) -> Value {
    json!({"namespace": "shop", "severity": "warning", "service": name})
}

async fn kept(site: &Site) -> BTreeMap<Delivery, Value> {
    let events = site.events().await;
    let count = events.len();
    let by_delivery: BTreeMap<Delivery, Value> = events
        .into_iter()
        .map(|event| ((event["fingerprint"].as_str().unwrap().to_owned(), instant(&event["starts_at"])), event))
        .collect();
    assert_eq!(by_delivery.len(), count, "an alert was taken twice");
    by_delivery
}

async fn arrives(site: &Site, name: &str) -> Value {
    eventually(&format!("{name} arrives"), RETRIED, async || {
        kept(site).await.into_values().find(|event| event["name"] == name)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs real Prometheus and Alertmanager: run ./tests/run"]
async fn nothing_is_lost_after_a_2xx_and_what_is_repeated_is_absorbed() {
    let site = Site::new(json!({}));
    let door = Door::before(&site).await;
    let manager = Manager::with(&json!({
        "route": {"receiver": "firewarden", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s"},
        "receivers": [{"name": "firewarden", "webhook_configs": [{"url": door.url}]}],
    }))
    .await;
    let mut server = site.up().await;

    // It answers.
    manager.fire_with("Answered", labels("a")).await;
    arrives(&site, "Answered").await;
    door.sees("it is answered", "Answered", |sent| sent.answered == Some(200)).await;

    // It stalls for longer than Alertmanager waits, which sends the same again, and then it answers.
    signal(&server, "-STOP");
    manager.fire_with("Stalled", labels("b")).await;
    eventually("it is sent again", RETRIED, async || (door.of("Stalled").len() >= 2).then_some(())).await;
    assert!(door.of("Stalled").iter().all(|sent| sent.answered.is_none()));
    signal(&server, "-CONT");
    arrives(&site, "Stalled").await;
    door.sees("it is answered in the end", "Stalled", |sent| sent.answered == Some(200)).await;

    // Its store cannot commit: it refuses, and what it refused comes again.
    let mut lock = SqliteConnection::connect(&format!("sqlite://{}", site.database().display())).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut lock).await.unwrap();
    manager.fire_with("Refused", labels("c")).await;
    door.sees("it is refused", "Refused", |sent| sent.answered == Some(503)).await;
    assert!(door.of("Refused").iter().all(|sent| sent.answered != Some(200)));
    assert!(door.of("Refused").iter().filter(|sent| sent.answered == Some(503)).all(|sent| sent.retry_after.is_some()));
    sqlx::query("ROLLBACK").execute(&mut lock).await.unwrap();
    lock.close().await.unwrap();
    arrives(&site, "Refused").await;

    // Its answer is lost after the commit: the same comes again, and is known.
    door.passage.lock().unwrap().loses_answer = true;
    manager.fire_with("Unheard", labels("d")).await;
    eventually("it is known", RETRIED, async || {
        let event = kept(&site).await.into_values().find(|event| event["name"] == "Unheard")?;
        (event["deliveries"].as_u64() >= Some(2)).then_some(())
    })
    .await;

    // It dies in the middle of it all, more begins and one ends meanwhile, and it comes back.
    server.kill();
    for n in 0..20 {
        manager.fire_with(&format!("Missed{n}"), labels(&format!("m{n}"))).await;
    }
    manager.end("Answered", labels("a")).await;
    door.sees("nobody is there", "Missed19", |sent| sent.answered.is_none()).await;
    let _server = site.up().await;
    for n in 0..20 {
        arrives(&site, &format!("Missed{n}")).await;
    }
    eventually("what ended meanwhile is over", RETRIED, async || {
        let event = kept(&site).await.into_values().find(|event| event["name"] == "Answered")?;
        (event["status"] == "resolved").then_some(())
    })
    .await;

    // Whatever was ever answered with a 2xx is there.
    let have = kept(&site).await;
    let answered = door.sent().into_iter().filter(|sent| sent.answered.is_some_and(|status| status / 100 == 2));
    let promised: BTreeSet<Delivery> = answered.flat_map(|sent| sent.firing).collect();
    assert!(promised.len() >= 24, "{promised:?}");
    assert!(promised.iter().all(|delivery| have.contains_key(delivery)), "lost: {promised:?} {have:#?}");
    assert_eq!(have.len(), 24, "{:#?}", have.keys());
    // One investigation each: they share neither group nor resource.
    let jobs: BTreeSet<String> = have.values().map(|event| event["investigation"].to_string()).collect();
    assert_eq!((jobs.len(), site.investigations().await.len()), (24, 24));
    for job in jobs {
        site.closed(job.trim_matches('"'), SOON).await;
    }
    site.verify_audit();
}
