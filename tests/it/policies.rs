//! The tools of who writes policies, on what a running server has recorded, and policies that change
//! while it runs.

use crate::support::chain::{assert_sound, entries};
use crate::support::http::eventually;
use crate::support::policies::{edit, shipped};
use crate::support::site::{SOON, Site};
use crate::support::world::{Stage, TYPEDB};
use firewarden::journal::{Body, Entry};
use serde_json::{Value, json};
use std::path::PathBuf;

/// A site with the shipped policies in a folder of its own.
async fn site() -> (Stage, Site, PathBuf) {
    let stage = Stage::embedded(TYPEDB).await;
    let site = stage.site(json!({}));
    let policies = site.dir.path().join("policies");
    shipped(&policies);
    (stage, site, policies)
}

fn json_of(site: &Site, args: &[&str]) -> (Option<i32>, Value) {
    let (code, stdout, stderr) = site.run_with_config(args);
    (code, serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{args:?}: {e}\n{stdout}{stderr}")))
}

/// The digest that decides, and the first word against the last refused one.
async fn in_force(site: &Site) -> (String, Option<String>) {
    let told = site.json("/api/v1/policies").await;
    let refused = told["rejected"]["errors"][0].as_str().map(str::to_owned);
    (told["active"]["digest"].as_str().unwrap().to_owned(), refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_decisions_are_explained_replayed_and_captured() {
    let (stage, site, policies) = site().await;
    let server = site.up().await;
    let id = site.deliver(stage.world.alert()).await["events"][0]["job_id"].as_str().unwrap().to_owned();
    site.closed(&id, SOON).await;
    let chain = entries(&site, &id).await;
    assert_sound(&id, &chain);
    let read = chain.iter().find_map(|entry| match &entry.body {
        Body::ReadStarted { ruling, input: Some(_), .. } => Some(ruling.id.to_string()),
        _ => None,
    });
    let risk = chain.iter().find_map(|entry| match &entry.body {
        Body::RiskAssessed { decision, .. } => Some(decision.id.to_string()),
        _ => None,
    });
    let (read, risk) = (read.unwrap(), risk.unwrap());

    // Beside the running server, and exactly: the digest of each input is the recorded one.
    let (code, same) = json_of(&site, &["policy", "replay", "--since", "1d", "-o", "json"]);
    assert_eq!((code, &same["widening"], &same["narrowing"]), (Some(0), &json!(0), &json!(0)), "{same}");
    assert!(same["replayed"].as_u64().unwrap() > 5 && same["not_replayable"] == json!({}), "{same}");

    let (code, decision) = json_of(&site, &["policy", "eval", "--decision", &read, "--expect", "allow"]);
    assert_eq!((code, &decision["verdict"], &decision["id"]), (Some(0), &json!("allow"), &json!(read)));
    let (code, ..) = site.run_with_config(&["policy", "eval", "--decision", &read, "--expect", "deny"]);
    assert_eq!(code, Some(1));
    let (code, ..) = site.run_with_config(&["policy", "eval", "--decision", &read, "--expect", "HIGH"]);
    assert_eq!(code, Some(2));
    let (code, told, _) = site.run_with_config(&["policy", "explain", &risk]);
    assert_eq!(code, Some(0));
    assert!(told.contains("risk/base/severity") && told.contains("stops at line"), "{told}");

    let case = site.dir.path().join("policies/cases/captured.yaml");
    let (code, _, error) = site.run_with_config(&["policy", "capture", &read, "--to", case.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{error}");
    let (code, tested, _) = site.run_with_config(&["policy", "test", "--run", "captured"]);
    assert!(code == Some(0) && tested.contains("ok 1 "), "{tested}");
    std::fs::remove_file(&case).unwrap();
    drop(server);

    // An edit that would have let more happen is told apart from one that would have let less.
    edit(&policies.join("data/org.yaml"), "baseline: {}", "baseline: {unknown: {warning: LOW}}");
    let (code, wider) = json_of(&site, &["policy", "replay", "-o", "json"]);
    assert_eq!(code, Some(1), "{wider}");
    assert!(wider["widening"].as_u64().unwrap() > 0 && wider["changed"][0]["now"] == "LOW", "{wider}");
    edit(
        &policies.join("data/org.yaml"),
        "baseline: {unknown: {warning: LOW}}",
        "baseline: {unknown: {warning: HIGH}}",
    );
    let (code, stricter) = json_of(&site, &["policy", "replay", "-o", "json"]);
    assert_eq!((code, &stricter["widening"]), (Some(0), &json!(0)), "{stricter}");
    assert!(stricter["narrowing"].as_u64().unwrap() > 0);
    let (code, ..) = site.run_with_config(&["policy", "replay", "--fail-on", "any"]);
    assert_eq!(code, Some(1));
    let (code, _, error) = site.run_with_config(&["policy", "explain", "dec_019ffff0-0000-7000-8000-000000000000"]);
    assert!(code == Some(2) && error.contains("no decision"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_policy_is_in_force_once_it_has_proven_itself() {
    let (_stage, site, policies) = site().await;
    let server = site.up().await;
    let (first, refused) = in_force(&site).await;
    assert_eq!(refused, None);

    // A mistake: the last good one stays.
    let org = policies.join("data/org.yaml");
    edit(&org, "pods_approve: 10", "pods_approve: ten");
    let told = eventually("it is refused", SOON, async || in_force(&site).await.1).await;
    assert!(told.contains("pods_approve") || told.contains("bad-data"), "{told}");
    assert_eq!(in_force(&site).await.0, first);

    // It parses and lets through what no policy may.
    edit(&org, "pods_approve: ten", "pods_approve: 10");
    let secrets = policies.join("action/secrets.rego");
    let before = std::fs::read_to_string(&secrets).unwrap();
    std::fs::write(&secrets, "package firewarden.action.secrets\n").unwrap();
    std::fs::remove_file(policies.join("tests/secrets_test.rego")).unwrap();
    eventually("the drill refuses it", SOON, async || {
        in_force(&site).await.1.filter(|error| error.contains("drill")).map(drop)
    })
    .await;
    assert_eq!(in_force(&site).await.0, first);

    // Mended, and another one: in force without a restart.
    std::fs::write(&secrets, before).unwrap();
    edit(&org, "max_files: 10", "max_files: 10 # as ever");
    let second = eventually("it is in force", SOON, async || {
        let (digest, refused) = in_force(&site).await;
        (digest != first).then_some((digest, refused))
    })
    .await;
    assert_eq!(second.1, None, "a refusal is over when another one is taken");
    let (code, told, _) = site.run_with_config(&["policy", "status"]);
    assert!(code == Some(0) && told.contains(" modules, "), "{told}");
    drop(server);

    let chain: Vec<Entry> = entries(&site, "system").await;
    let kinds: Vec<&str> = chain.iter().map(|entry| entry.body.kind()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "PolicyActivated").count(), 1, "{kinds:?}");
    assert!(kinds.iter().filter(|kind| **kind == "PolicyRejected").count() >= 2, "{kinds:?}");
    let activated = chain.iter().find_map(|entry| match &entry.body {
        Body::PolicyActivated(activated) => Some(activated),
        _ => None,
    });
    let activated = activated.unwrap();
    assert!(
        activated.files.contains(&"data/org.yaml".to_owned()) && activated.by[0].starts_with("uid "),
        "{activated:?}"
    );
    assert_eq!((activated.trigger.as_str(), activated.policy.digest.as_str()), ("watch", second.0.as_str()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_is_tried_beside_decides_nothing_and_differs_aloud() {
    let stage = Stage::embedded(TYPEDB).await;
    let site = stage.site(json!({"policies": {"shadow": "next"}}));
    let next = site.dir.path().join("next");
    shipped(&next);
    edit(&next.join("data/org.yaml"), "baseline: {}", "baseline: {unknown: {warning: LOW}}");
    let server = site.up().await;
    eventually("it is tried", SOON, async || (!site.json("/api/v1/policies").await["shadow"].is_null()).then_some(()))
        .await;
    let id = site.deliver(stage.world.alert()).await["events"][0]["job_id"].as_str().unwrap().to_owned();
    let view = site.closed(&id, SOON).await;
    assert_eq!(view["risk"]["level"], "MEDIUM");
    eventually("the difference is recorded", SOON, async || {
        (site.run_with_config(&["policy", "shadow", "diff"]).0 == Some(1)).then_some(())
    })
    .await;
    let (code, told, _) = site.run_with_config(&["policy", "shadow", "diff"]);
    assert!(code == Some(1) && told.contains("WIDENS") && told.contains("MEDIUM → LOW"), "{told}");
    let (code, told, _) = site.run_with_config(&["policy", "shadow", "status"]);
    assert!(code == Some(0) && told.contains("differ"), "{told}");
    drop(server);
}

#[test]
fn what_can_be_proven_is_proven_from_the_command_line() {
    let site = Site::new(json!({}));
    let policies = site.dir.path().join("policies");
    shipped(&policies);
    let (code, drilled) = json_of(&site, &["policy", "drill", "-o", "json"]);
    assert_eq!((code, &drilled["let_through"]), (Some(0), &json!([])), "{drilled}");
    assert!(drilled["cases"].as_u64().unwrap() >= 150 && drilled["mutated"].as_u64().unwrap() > 1000, "{drilled}");
    let (code, covered, _) = site.run_with_config(&["policy", "coverage"]);
    assert!(code == Some(0) && covered.contains("coverage "), "{covered}");
    let (code, ..) = site.run_with_config(&["policy", "coverage", "--min", "100"]);
    assert!(code == Some(0) || code == Some(1));
    let (code, xml, _) = site.run_with_config(&["policy", "test", "--run", "blast", "--format", "junit"]);
    assert!(code == Some(0) && xml.starts_with("<?xml"), "{xml}");

    edit(&policies.join("action/secrets.rego"), "\tkind in secrets\n", "\tkind in {\"nothing\"}\n");
    let (code, told, _) = site.run_with_config(&["policy", "drill", "--no-mutation"]);
    assert!(code == Some(1) && told.contains("LET THROUGH") && told.contains("drills/secrets.yaml"), "{told}");
    for command in ["serve", "check"] {
        let (code, stdout, stderr) = site.run_with_config(&[command]);
        assert!((stdout + &stderr).contains("drill"), "{command} does not tell of the drill");
        assert_eq!(code, Some(3), "{command}");
    }
    let input = site.dir.path().join("input.json");
    std::fs::write(&input, "{\"schema\": \"firewarden.action/v1\"}").unwrap();
    let (code, _, error) = site.run_with_config(&["policy", "eval", "--input", input.to_str().unwrap()]);
    assert!(code == Some(2) && error.contains("is not firewarden.action/v1"), "{error}");
}
