//! What happens when the money runs out: the real binary, a model with a price, and days that are
//! spent.

use crate::support::chain::{assert_sound, entries};
use crate::support::model::{Model, Script};
use crate::support::site::{SOON, Site};
use crate::support::world::{Stage, TYPEDB};
use firewarden::domain::Rung;
use firewarden::journal::{Body, Entry};
use serde_json::{Value, json};

/// The scripted model under another name and price.
fn priced(model: &Model, name: &str, per_mtok: f64, cheap: bool) -> Value {
    let mut config = model.config();
    config["name"] = name.into();
    config["cheap"] = cheap.into();
    config["price"] = json!({"input_per_mtok": per_mtok, "output_per_mtok": per_mtok});
    config
}

/// The incident of the recorded world, as the `n`th of its kind.
async fn investigate(stage: &Stage, site: &Site, n: usize) -> (Value, Vec<Entry>) {
    let mut alert = stage.world.alert().clone();
    alert["groupKey"] = format!("group {n}").into();
    for alert in alert["alerts"].as_array_mut().into_iter().flatten() {
        alert["fingerprint"] = format!("{n:016x}").into();
        alert["labels"]["persistentvolumeclaim"] = format!("data-typedb-{n}").into();
    }
    let taken = site.deliver(&alert).await;
    let id = taken["events"][0]["job_id"].as_str().unwrap().to_owned();
    let closed = site.closed(&id, SOON).await;
    let entries = entries(site, &id).await;
    assert_sound(&id, &entries);
    (closed, entries)
}

fn rungs(entries: &[Entry]) -> Vec<(Rung, String)> {
    let taken = entries.iter().filter_map(|entry| match &entry.body {
        Body::LadderTaken { rung, reason, .. } => Some((*rung, reason.clone())),
        _ => None,
    });
    taken.collect()
}

fn asked(entries: &[Entry]) -> Vec<&str> {
    let asked = entries.iter().filter_map(|entry| match &entry.body {
        Body::ModelAsked { model, .. } => Some(model.as_str()),
        _ => None,
    });
    asked.collect()
}

fn small_survey() -> Value {
    json!({"tool_calls": 6, "wall": "30s"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spent_day_leads_down_the_ladder_and_a_restart_forgets_nothing() {
    let stage = Stage::embedded(TYPEDB).await;
    let model = Model::serve(Script::ReadsThenReport(1)).await;
    let site = stage.site(json!({
        // A reservation of this model is some 0.1 USD, an answer a good deal less.
        "models": [priced(&model, "main", 10.0, false), priced(&model, "small", 0.0, true)],
        "budgets": {"survey": small_survey(), "per_day": {"cost_usd": 0.25, "investigations": 20}},
    }));
    let server = site.up().await;
    let (closed, first) = investigate(&stage, &site, 1).await;
    assert_eq!(rungs(&first)[0].0, Rung::Full, "{:?}", rungs(&first));
    assert!(closed["usage"]["cost_usd"].as_f64().unwrap() > 0.0, "{closed:#}");
    // Until the day's money is too little for another request: at the beginning, or on the way.
    let mut last = first;
    for n in 2..=12 {
        last = investigate(&stage, &site, n).await.1;
        if rungs(&last).last().unwrap().0 != Rung::Full {
            break;
        }
    }
    let (rung, reason) = rungs(&last).pop().unwrap();
    assert!(rung == Rung::Cheap && reason.contains("per_day.cost_usd"), "{rung} {reason}");
    assert_eq!(asked(&last).last(), Some(&"small"));
    let before = site.json("/api/v1/usage").await;
    let money = &before["budgets"]["cost_usd"];
    assert!(before["totals"]["cost_usd"].as_f64().unwrap() <= 0.25, "{before:#}");
    assert_eq!(money["limit"], 0.25);
    let models: Vec<&str> = before["models"].as_array().unwrap().iter().filter_map(|m| m["model"].as_str()).collect();
    assert_eq!(models, ["main", "small"]);
    let figures = site.get("/metrics").await.unwrap().text;
    for name in ["firewarden_model_cost_usd_total{model=\"main\"}", "firewarden_budget_left_usd", "rung=\"cheap\""] {
        assert!(figures.contains(name), "{name} is missing");
    }

    drop(server);
    let _server = site.up().await;
    assert_eq!(site.json("/api/v1/usage").await["budgets"], before["budgets"], "a restart forgets nothing");
    let (_, next) = investigate(&stage, &site, 99).await;
    assert_eq!(rungs(&next).last().unwrap().0, Rung::Cheap);
    let id = next[0].chain.clone();
    let report = site.report(&id).await;
    assert_eq!(report["provenance"]["budget"]["rung"], "cheap", "{:#}", report["provenance"]);
    let (code, shown, _) = site.run_with_config(&["usage", "--days", "1"]);
    assert!(code == Some(0) && shown.contains("model small") && shown.contains("left today"), "{shown}");
    site.verify_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_the_last_investigation_of_a_day_people_only_get_a_notice() {
    let stage = Stage::embedded(TYPEDB).await;
    let model = Model::serve(Script::ReadsThenReport(0)).await;
    let site = stage.site(json!({
        "models": [model.config()],
        "routes": [{"name": "volumes", "max_per_day": 1, "budget": {"turns": 3}}],
        "budgets": {"survey": small_survey(), "per_day": {"investigations": 2}},
    }));
    let _server = site.up().await;
    let (_, first) = investigate(&stage, &site, 1).await;
    assert_eq!((rungs(&first)[0].0, asked(&first)), (Rung::Full, vec!["main"]));
    let turns = first.iter().find_map(|entry| match &entry.body {
        Body::Opened(frozen) => Some(frozen.budget.turns),
        _ => None,
    });
    assert_eq!(turns, Some(3), "the route's own budget");
    let (_, second) = investigate(&stage, &site, 2).await;
    assert_eq!((rungs(&second)[0].0, asked(&second).len()), (Rung::Deterministic, 0));
    assert!(rungs(&second)[0].1.contains("max_per_day"), "{:?}", rungs(&second));
    let (closed, third) = investigate(&stage, &site, 3).await;
    assert_eq!(rungs(&third)[0].0, Rung::Notice);
    assert_eq!((&closed["verdict"], &closed["outcome"]), (&json!("insufficient_evidence"), &json!("reported")));
    assert!(closed["summary"].as_str().unwrap().starts_with("Not investigated: "), "{closed:#}");
    assert!(third.iter().any(|e| matches!(e.body, Body::Notified { .. })), "silence is no answer");
    assert!(!third.iter().any(|e| matches!(e.body, Body::SurveyPlanned { .. } | Body::ReadStarted { .. })));
    let left = &site.json("/api/v1/usage").await["budgets"];
    assert_eq!(left["investigations"], json!({"limit": 2, "spent": 2, "left": 0}));
    assert_eq!(left["routes"], json!([{"route": "volumes", "max_per_day": 1, "used": 1, "left": 0}]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_would_pass_a_limit_is_not_sent() {
    let stage = Stage::embedded(TYPEDB).await;
    let model = Model::serve(Script::ReadsThenReport(1)).await;
    let site = stage.site(json!({
        "models": [priced(&model, "main", 10.0, false)],
        "budgets": {"survey": small_survey(), "per_investigation": {"cost_usd": 0.005}},
    }));
    let _server = site.up().await;
    let (closed, entries) = investigate(&stage, &site, 1).await;
    assert_eq!((model.requests(), asked(&entries).len()), (0, 0));
    let rungs = rungs(&entries);
    let last = rungs.last().unwrap();
    assert!(last.0 == Rung::Deterministic && last.1.contains("per_investigation.cost_usd"), "{rungs:?}");
    assert_eq!((&closed["outcome"], &closed["usage"]["cost_usd"]), (&json!("reported"), &json!(0.0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cheap_model_is_asked_within_its_own_window() {
    let stage = Stage::embedded(TYPEDB).await;
    let model = Model::serve(Script::ReadsThenReport(1)).await;
    let (mut main, mut small) = (priced(&model, "main", 10.0, false), priced(&model, "small", 0.0, true));
    main["context_tokens"] = 65_536.into();
    small["context_tokens"] = 8_192.into();
    let site = stage.site(json!({
        "models": [main, small],
        "budgets": {"survey": small_survey(), "per_day": {"cost_usd": 0.001}},
    }));
    let _server = site.up().await;
    let (_, entries) = investigate(&stage, &site, 1).await;
    assert!(asked(&entries).len() == 2 && asked(&entries).iter().all(|name| *name == "small"), "{:?}", asked(&entries));
    assert!(model.bodies().iter().all(|body| body["max_tokens"] == 8_192 / 4), "{:?}", model.bodies());
}
