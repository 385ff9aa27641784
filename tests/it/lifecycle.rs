//! The life of a policy bundle: exceptions from it, what a change of it does to questions that stand, and how
//! one is tried and put in force.

use crate::effects::killed::{alert, site};
use crate::effects::scene::objects;
use crate::support::chain::{assert_sound, entries};
use crate::support::cluster::Cluster;
use crate::support::http::{eventually, send};
use crate::support::model::{Model, Script};
use crate::support::policies::{edit, shipped};
use crate::support::site::{SOON, Site};
use firewarden::journal::{Body, Entry};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::path::PathBuf;

const API: &str = "/apis/apps/v1/namespaces/shop/deployments/api";

/// A site whose model scales a Deployment, its policies in a folder.
async fn scaling(cluster: &Cluster) -> (Site, PathBuf, Model) {
    let args = json!({"kind": "Deployment", "namespace": "shop", "name": "api", "replicas": 3});
    let model = Model::serve(Script::Calls(vec![vec![("kubernetes_scale", args)]])).await;
    let site = site(cluster, json!({"models": [model.config()]}));
    let policies = site.dir.path().join("policies");
    (site, policies, model)
}

fn at(severity: &str) -> Value {
    let mut alert = alert();
    alert["commonLabels"]["severity"] = json!(severity);
    alert["alerts"][0]["labels"]["severity"] = json!(severity);
    alert
}

fn in_days(days: i64) -> String {
    (Timestamp::now() + SignedDuration::from_hours(24 * days)).to_string()
}

fn exceptions(rule: &str, matches: &str, until: &str) -> String {
    format!(
        "exceptions:\n    - id: rollout\n      rule: {rule}\n      match: {matches}\n      until: \"{until}\"\n      \
         owner: ann\n      reason: the team watches it\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_asked_anew_or_is_over_once_another_policy_is_in_force() {
    let cluster = Cluster::serve(objects()).await;
    let (site, policies, _model) = scaling(&cluster).await;
    let _server = site.up().await;
    let id = site.deliver(&at("warning")).await["events"][0]["job_id"].as_str().unwrap().to_owned();
    let pending = async |not: &str| {
        let list = site.json("/api/v1/approvals?state=pending").await;
        list["items"].as_array().unwrap().iter().find(|asked| asked["id"] != not).cloned()
    };
    let first = eventually("people are asked", SOON, async || pending("").await).await;
    assert_eq!(first["requirements"][0]["groups"], json!(["oncall"]));

    // Others are to be asked.
    let org = policies.join("data/org.yaml");
    let name = first["id"].as_str().unwrap();
    edit(&org, "default: [oncall]", "default: [dba]");
    let second = eventually("others are asked", SOON, async || pending(name).await).await;
    assert_eq!(second["requirements"][0]["groups"], json!(["dba"]));
    let state = async |asked: &Value| {
        site.json(&format!("/api/v1/approvals/{}", asked["id"].as_str().unwrap())).await["state"].clone()
    };
    let grant = async |asked: &Value| {
        let path = format!("/api/v1/approvals/{}/grant", asked["id"].as_str().unwrap());
        let body = json!({"action_digest": asked["action_digest"], "comment": "yes"});
        send(site.client.post(site.url(&path)).body(body.to_string())).await.unwrap().status
    };
    assert_eq!((state(&first).await, grant(&first).await), (json!("invalidated"), 409));

    // Nobody may do it at all.
    let always = "freezes: [{id: all, from: \"2020-01-01T00:00:00Z\", until: \"2099-01-01T00:00:00Z\", hard: true}]";
    edit(&org, "freezes: []", always);
    eventually("the question is over", SOON, async || (state(&second).await == "invalidated").then_some(())).await;
    assert_eq!(grant(&second).await, 409);
    let closed = site.closed(&id, SOON).await;
    assert_eq!((&closed["actions"][0]["state"], &closed["actions"][0]["verdict"]), (&json!("refused"), &json!("deny")));
    assert_eq!(cluster.effects("deployments/api"), 0, "{:#?}", cluster.ledger());
    let chain = entries(&site, &id).await;
    assert_sound(&id, &chain);
    let denied = chain.iter().any(|entry| match &entry.body {
        Body::ActionRuled { ruling, .. } => ruling.reasons.iter().any(|reason| reason.rule == "action/freeze/hard"),
        _ => false,
    });
    assert!(denied && chain.iter().any(|entry| matches!(entry.body, Body::ApprovalWithdrawn { .. })));
    site.verify_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exception_lets_happen_what_would_be_asked_and_stands_in_the_journal() {
    let cluster = Cluster::serve(objects()).await;
    let (site, policies, _model) = scaling(&cluster).await;
    // Nobody measured the model, so its changes are asked about; but for this one.
    edit(&policies.join("action/effects.rego"), r#"in {"ok", "none", "unknown"}"#, r#"in {"ok", "none"}"#);
    let matches = "{target.namespace: shop, call.tool: kubernetes_scale}";
    let excepted = exceptions("action/effects/model-weak", matches, &in_days(30));
    edit(&policies.join("data/org.yaml"), "exceptions: []\n", &excepted);
    let (code, told, error) = site.run_with_config(&["policy", "check"]);
    assert_eq!(code, Some(0), "{told}{error}");
    let (code, told, _) = site.run_with_config(&["policy", "drill", "--no-mutation"]);
    assert_eq!(code, Some(0), "{told}");
    let server = site.up().await;
    let id = site.deliver(&at("info")).await["events"][0]["job_id"].as_str().unwrap().to_owned();
    let closed = site.closed(&id, SOON).await;
    assert_eq!(closed["actions"][0]["state"], "done", "{closed:#}");
    assert_eq!(cluster.object(API)["spec"]["replicas"], 3);
    let chain: Vec<Entry> = entries(&site, &id).await;
    assert_sound(&id, &chain);
    let ruling = chain.iter().find_map(|entry| match &entry.body {
        Body::ActionRuled { ruling, .. } => Some(ruling.clone()),
        _ => None,
    });
    let ruling = ruling.unwrap();
    let used = &ruling.exceptions[0];
    assert_eq!(
        (used.id.as_str(), used.rule.as_str(), used.owner.as_str()),
        ("rollout", "action/effects/model-weak", "ann")
    );
    assert!(ruling.reasons.iter().all(|reason| reason.rule != used.rule), "{:?}", ruling.reasons);
    site.verify_audit();
    let (code, told, _) = site.run_with_config(&["policy", "status"]);
    assert!(code == Some(0) && told.contains("exception rollout"), "{told}");
    let decision = ruling.id.to_string();
    let (code, told, _) = site.run_with_config(&["policy", "explain", &decision, "--no-counterfactual"]);
    assert!(code == Some(0) && told.contains("excepted") && told.contains("the exception rollout of ann"), "{told}");
    let (code, told, _) = site.run_with_config(&["policy", "eval", "--decision", &decision]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["exceptions"][0]["id"]), (Some(0), &json!("rollout")), "{told}");
    drop(server);

    // Without it the same would be asked about; with it, what was asked about would not be.
    let (code, same, _) = site.run_with_config(&["policy", "replay", "--fail-on", "any"]);
    assert_eq!(code, Some(0), "{same}");
    edit(&policies.join("data/org.yaml"), &excepted, "exceptions: []\n");
    let (code, told, _) = site.run_with_config(&["policy", "replay", "--fail-on", "any"]);
    assert!(code == Some(1) && told.contains("gained action/effects/model-weak"), "{told}");
}

#[test]
fn exceptions_that_may_not_be_are_told_with_their_place() {
    let site = Site::new(json!({}));
    let policies = site.dir.path().join("policies");
    shipped(&policies);
    let org = policies.join("data/org.yaml");
    let before = std::fs::read_to_string(&org).unwrap();
    let fine = "{target.namespace: shop}";
    let soon = in_days(30);
    for (rule, matches, until, code, told) in [
        ("action/blast/soft-limit", fine, soon.as_str(), 0, "0 mistakes"),
        ("action/blast/soft-limt", fine, soon.as_str(), 3, "did you mean action/blast/soft-limit?"),
        ("action/blast/hard-limit", fine, soon.as_str(), 3, "nothing lifts that"),
        ("risk/destructive/wording", "{resource.namespace: shop}", soon.as_str(), 3, "nothing lifts that"),
        ("action/blast/soft-limit", "{}", soon.as_str(), 3, "matches on nothing"),
        ("action/blast/soft-limit", "{target.namespace: \"*\"}", soon.as_str(), 3, "matches on nothing"),
        ("action/blast/soft-limit", "{target.namespce: shop}", soon.as_str(), 3, "did you mean target.namespace?"),
        ("action/blast/soft-limit", "{resource.namespce: shop}", soon.as_str(), 3, "did you mean resource.namespace?"),
        ("action/blast/soft-limit", "{event.text: \"*safe*\"}", soon.as_str(), 3, "free text"),
        ("action/blast/soft-limit", fine, in_days(-1).as_str(), 3, "expired-exception"),
        ("action/blast/soft-limit", fine, in_days(91).as_str(), 3, "long-exception"),
        ("action/blast/soft-limit", fine, "next week", 3, "bad-exception"),
    ] {
        let text = before.replace("exceptions: []\n", &exceptions(rule, matches, until));
        std::fs::write(&org, text).unwrap();
        let (found, stdout, stderr) = site.run_with_config(&["policy", "check"]);
        assert!(found == Some(code) && stdout.contains(told), "{rule} {matches} {until}: {found:?}\n{stdout}{stderr}");
        if code == 3 {
            assert!(stdout.contains("data/org.yaml:") && stdout.contains("help: "), "{stdout}");
        }
    }
    let without = before.replace("exceptions: []\n", &exceptions("action/blast/soft-limit", fine, &soon));
    std::fs::write(&org, without.replace("      owner: ann\n", "")).unwrap();
    let (found, stdout, _) = site.run_with_config(&["policy", "check"]);
    assert!(found == Some(3) && stdout.contains("missing field `owner`"), "{stdout}");
    // Too long for a start, too; what is over is told and stops nothing.
    std::fs::write(
        &org,
        before.replace("exceptions: []\n", &exceptions("action/blast/soft-limit", fine, &in_days(91))),
    )
    .unwrap();
    let (found, _, stderr) = site.run_with_config(&["serve"]);
    assert!(found == Some(3) && stderr.contains("long-exception"), "{stderr}");
    std::fs::write(
        &org,
        before.replace("exceptions: []\n", &exceptions("action/blast/soft-limit", fine, &in_days(-1))),
    )
    .unwrap();
    let (found, stdout, stderr) = site.run_with_config(&["check"]);
    assert!(found == Some(1) && (stdout.clone() + &stderr).contains("expired-exception"), "{found:?} {stdout}{stderr}");
}

#[test]
fn a_start_asks_of_a_bundle_what_a_change_asks() {
    let site = Site::new(json!({}));
    let policies = site.dir.path().join("policies");
    shipped(&policies);
    edit(&policies.join("data/org.yaml"), "pods_approve: 10", "pods_approve: 2");
    let (code, _, stderr) = site.run_with_config(&["serve"]);
    assert!(code == Some(3) && stderr.contains("firewarden.action.blast_test") && stderr.contains("fails"), "{stderr}");
}

/// A site with two admins and somebody who looks on; commands are ann's.
fn with_admins() -> Site {
    let token = |name: &str, role: &str| json!({"name": name, "role": role, "groups": [], "token": format!("env:{}", name.to_uppercase())});
    let config = json!({"access": {"tokens": [token("ann", "admin"), token("bob", "admin"), token("vic", "viewer")]},
                        "policies": {"dir": "policies"}});
    let mut site = Site::new(config);
    for name in ["ann", "bob", "vic"] {
        site = site.variable(&name.to_uppercase(), format!("{name}-token"));
    }
    shipped(&site.dir.path().join("policies"));
    // What the shipped bundle promises of itself need not hold of an edited one.
    let next = site.dir.path().join("next");
    shipped(&next);
    std::fs::remove_dir_all(next.join("tests")).unwrap();
    std::fs::remove_dir_all(next.join("cases")).unwrap();
    site.variable("FIREWARDEN_TOKEN", "ann-token")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_is_tried_and_put_in_force_by_two_people() {
    let mut site = with_admins();
    let (policies, next) = (site.dir.path().join("policies"), site.dir.path().join("next"));
    let dir = next.to_str().unwrap().to_owned();
    let mut server = site.up().await;
    let status = |site: &Site| -> Value {
        let (code, told, error) = site.run_with_config(&["policy", "status", "-o", "json"]);
        serde_json::from_str(&told).unwrap_or_else(|_| panic!("{code:?} {told}{error}"))
    };
    let configured = status(&site)["active"]["digest"].clone();

    // What there is to refuse.
    let (code, _, error) = site.run_with_config(&["policy", "shadow", "start", policies.to_str().unwrap()]);
    assert!(code == Some(2) && error.contains("nothing to compare"), "{error}");
    let (code, ..) = site.run_with_config(&["policy", "shadow", "start", "no/such/folder"]);
    assert_eq!(code, Some(3));
    edit(&next.join("data/org.yaml"), "pods_approve: 10", "pods_approve: ten");
    let (code, _, error) = site.run_with_config(&["policy", "shadow", "start", &dir]);
    assert!(code == Some(3) && error.contains("bad-data"), "{error}");
    edit(&next.join("data/org.yaml"), "pods_approve: ten", "pods_approve: 10");
    edit(&next.join("data/org.yaml"), "baseline: {}", "baseline: {unknown: {warning: LOW}}");
    for (command, told) in
        [(&["policy", "promote"][..], "No policy is tried"), (&["policy", "shadow", "stop"], "No policy is tried")]
    {
        let (code, _, error) = site.run_with_config(command);
        assert!(code == Some(2) && error.contains(told), "{error}");
    }
    site = site.variable("FIREWARDEN_TOKEN", "vic-token");
    let (code, _, error) = site.run_with_config(&["policy", "shadow", "start", &dir]);
    assert!(code == Some(4) && error.contains("needs admin"), "{error}");
    site = site.variable("FIREWARDEN_TOKEN", "ann-token");
    let (code, _, error) = site.run_with_config(&["policy", "shadow", "start", &dir, "--until", "91d"]);
    assert!(code == Some(2) && error.contains("90 days"), "{error}");

    // It is tried, over a restart, too.
    let (code, told, error) = site.run_with_config(&["policy", "shadow", "start", &dir]);
    assert!(code == Some(0) && told.contains("data/org.yaml"), "{told}{error}");
    let (code, _, error) = site.run_with_config(&["policy", "shadow", "start", &dir]);
    assert!(code == Some(2) && error.contains("is tried already"), "{error}");
    server.kill();
    drop(server);
    let server = site.up().await;
    assert_eq!(status(&site)["shadow"]["by"], "ann");
    site.deliver(&at("warning")).await;
    eventually("it is compared", SOON, async || {
        let tally = status(&site)["shadow"]["tally"].clone();
        (tally["compared"].as_u64() >= Some(1) && tally["widens"].as_u64() >= Some(1)).then_some(())
    })
    .await;

    // Too little, the wrong person, too much.
    let (code, _, error) = site.run_with_config(&["policy", "promote", "--require-shadow", "1"]);
    assert!(code == Some(1) && error.contains("another admin"), "{error}");
    site = site.variable("FIREWARDEN_TOKEN", "bob-token");
    let (code, _, error) = site.run_with_config(&["policy", "promote"]);
    assert!(code == Some(1) && error.contains("500 are asked for"), "{error}");
    let (code, _, error) = site.run_with_config(&["policy", "promote", "--require-shadow", "1"]);
    assert!(code == Some(1) && error.contains("less strict on"), "{error}");
    let (code, _, error) =
        site.run_with_config(&["policy", "promote", "--require-shadow", "1", "--accept-widening", " "]);
    assert!(code == Some(1) && error.contains("less strict on"), "{error}");
    let accepted = ["policy", "promote", "--require-shadow", "1", "--accept-widening", "these are harmless"];
    let (code, _, error) = site.run_with_config(&[&accepted[..], &["--digest", configured.as_str().unwrap()]].concat());
    assert!(code == Some(2) && error.contains("another bundle"), "{error}");
    let (code, told, error) = site.run_with_config(&accepted);
    assert!(code == Some(0) && told.contains("still holds") && told.contains("data/org.yaml"), "{told}{error}");
    let promoted = status(&site);
    assert!(promoted["shadow"].is_null() && promoted["active"]["digest"] != configured, "{promoted}");
    assert_eq!(promoted["active"]["promoted_over"], configured);
    drop(server);

    // It holds over a restart, and as long as the folder is what it was.
    let server = site.up().await;
    assert_eq!(status(&site)["active"]["digest"], promoted["active"]["digest"]);
    // Once the folder is the same it holds over nothing, so that taking the edit back takes it back.
    let away = site.dir.path().join("away");
    std::fs::rename(&policies, &away).unwrap();
    std::fs::rename(&next, &policies).unwrap();
    eventually("it is settled", SOON, async || status(&site)["active"]["promoted_over"].is_null().then_some(())).await;
    assert_eq!(status(&site)["active"]["digest"], promoted["active"]["digest"]);
    std::fs::rename(&policies, &next).unwrap();
    std::fs::rename(&away, &policies).unwrap();
    eventually("the edit is taken back", SOON, async || {
        (status(&site)["active"]["digest"] == configured).then_some(())
    })
    .await;
    edit(&policies.join("data/org.yaml"), "max_files: 10", "max_files: 9 # less");
    eventually("the folder decides again", SOON, async || {
        let now = status(&site);
        let is_new = now["active"]["digest"] != promoted["active"]["digest"] && now["active"]["digest"] != configured;
        (is_new && now["active"]["promoted_over"].is_null()).then_some(())
    })
    .await;
    drop(server);
    let chain = entries(&site, "system").await;
    let by = |wanted: fn(&Body) -> bool| chain.iter().find(|entry| wanted(&entry.body)).map(|e| e.actor.to_string());
    assert_eq!(by(|body| matches!(body, Body::PolicyActivated(now) if now.shadow)).as_deref(), Some("person:ann"));
    let promoted = by(|body| matches!(body, Body::PolicyActivated(now) if now.promotion.is_some()));
    assert_eq!(promoted.as_deref(), Some("person:bob"));
    let why = chain.iter().find_map(|entry| match &entry.body {
        Body::PolicyActivated(now) => now.promotion.as_ref()?.accepted.clone(),
        _ => None,
    });
    assert_eq!(why.as_deref(), Some("these are harmless"));
    let canary = chain.iter().any(|entry| matches!(&entry.body, Body::PolicyActivated(now) if now.canary > 0));
    assert!(canary, "recorded decisions were judged before the swap");
    site.verify_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_that_fails_on_what_was_decided_is_not_taken() {
    let site = Site::new(json!({"policies": {"dir": "policies"}}));
    let policies = site.dir.path().join("policies");
    shipped(&policies);
    let _server = site.up().await;
    let id = site.deliver(&at("warning")).await["events"][0]["job_id"].as_str().unwrap().to_owned();
    site.closed(&id, SOON).await;
    // Sound for every alert of the tests, and of the drill; this one it fails on.
    let rule = "package firewarden.risk.odd\n\nlevel contains {\"id\": \"odd\", \"level\": \"LOW\", \"reason\": \"odd\"} if {\n\
                \tinput.event.name == \"DeploymentBusy\"\n\tto_number(input.event.name) == 1\n}\n";
    std::fs::write(policies.join("risk/odd.rego"), rule).unwrap();
    let told = eventually("it is refused", SOON, async || {
        let told = site.json("/api/v1/policies").await;
        told["rejected"]["errors"][0].as_str().map(str::to_owned)
    })
    .await;
    assert!(told.contains("recorded decision dec_") && told.contains("fails on it"), "{told}");
}
