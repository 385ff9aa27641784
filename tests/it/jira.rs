//! What is written into Jira is there once, whatever goes wrong on the way: the whole engine, a scripted
//! model that proposes it, and a Jira whose memory is the judge.

use crate::support::http::eventually;
use crate::support::jira::{Fault, Jira};
use crate::support::model::{Model, Script};
use crate::support::policies::shipped;
use crate::support::site::{SOON, Site};
use crate::support::whole::{ByHand, Whole};
use Fault::*;
use firewarden::domain::{Clock, InvestigationId};
use firewarden::journal::{Actor, Body, Entry, View};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

const ENV: [(&str, &str); 2] = [("JIRA_TEST_TOKEN", "t0ken"), ("SCRIPTED_KEY", "sk-scripted")];

/// A Jira, a model that proposes one call, and the whole that they belong to.
struct Stand {
    jira: Jira,
    config: Value,
    folder: TempDir,
    clock: Arc<ByHand>,
    whole: Option<Whole>,
    _model: Option<Model>,
}

impl Stand {
    async fn new(cloud: bool, proposes: Option<(&'static str, Value)>) -> Self {
        let jira = Jira::serve(cloud).await;
        let mut config = json!({"tools": {"jira": jira.config()}, "server": {"public_url": "https://fw.example.org"}});
        let model = match proposes {
            None => None,
            Some(call) => Some(Model::serve(Script::Calls(vec![vec![call]])).await),
        };
        if let Some(model) = &model {
            config["models"] = json!([model.config()]);
        }
        let (folder, clock) = (TempDir::new().unwrap(), ByHand::new());
        let whole = Some(Whole::begin(folder.path(), &config, &ENV, &clock).await);
        Self { jira, config, folder, clock, whole, _model: model }
    }

    fn whole(&self) -> &Whole {
        self.whole.as_ref().unwrap()
    }

    /// The process dies and another one takes over.
    async fn again(&mut self) {
        self.whole.take().unwrap().end().await;
        self.whole = Some(Whole::begin(self.folder.path(), &self.config, &ENV, &self.clock).await);
    }

    /// An incident from its alert to its end. While something is in doubt, time passes.
    async fn incident(&mut self, name: &str, severity: &str) -> (View, Vec<Entry>) {
        // Alerts that begin at one moment are one.
        self.clock.forward(1);
        let (id, _) = self.whole().alert(name, severity, self.clock.now()).await;
        loop {
            let ended = eventually("it ends, or a request hangs", SOON, async || {
                if std::mem::take(&mut self.jira.memory().hanging) {
                    return Some(false);
                }
                let view = self.whole().view(id).await;
                if waits(&view) {
                    self.whole().forward(15);
                }
                (view.state == "closed").then_some(true)
            });
            match ended.await {
                true => break,
                false => self.again().await,
            }
        }
        self.ended(id).await
    }

    async fn ended(&self, id: InvestigationId) -> (View, Vec<Entry>) {
        let entries = self.whole().closed(id).await;
        (self.whole().view(id).await, entries)
    }

    /// How often the tool's work is in the world.
    fn effects(&self, tool: &str) -> usize {
        let memory = self.jira.memory();
        match tool {
            "jira_create_issue" => memory.made().len(),
            "jira_comment" => memory.comments("OPS-1"),
            "jira_transition" => memory.issue("OPS-1").moves.len(),
            _ => memory.issue("OPS-1").links.len(),
        }
    }
}

/// Nothing is done before time passes.
fn waits(view: &View) -> bool {
    view.state == "verifying" || view.actions.iter().any(|action| action.state == "unknown")
}

/// One way to go wrong: at which writing request, how, how late the index is, and what the journal says.
type Case = (usize, Option<Fault>, usize, &'static str);

/// Runs all cases in both dialects, and judges each by what Jira holds.
async fn never_twice(tool: &'static str, args: Value, cases: &[Case]) {
    let (mut ran, mut doubled, mut lost) = (0, 0, 0);
    for cloud in [true, false] {
        let mut stand = Stand::new(cloud, Some((tool, args.clone()))).await;
        for (number, (at, fault, lag, expected)) in cases.iter().enumerate() {
            let case = format!("{tool} cloud={cloud} {fault:?} at {at} lag={lag}");
            stand.jira.reset();
            {
                let mut memory = stand.jira.memory();
                memory.lag = *lag;
                memory.faults.extend(fault.map(|fault| (*at, fault)));
            }
            let (view, _) = stand.incident(&format!("Slow{number}"), "info").await;
            assert_eq!(view.actions.len(), 1, "{case}: {view:#?}");
            let (state, found) = (view.actions[0].state.as_str(), stand.effects(tool));
            assert_eq!(state, *expected, "{case}: {:#?}", view.actions);
            // What a proxy doubles on its way is beyond us where Jira takes the same twice.
            let most =
                if *fault == Some(Twice) && matches!(tool, "jira_create_issue" | "jira_comment") { 2 } else { 1 };
            match state {
                "done" => lost += usize::from(found == 0),
                "failed" | "refused" => assert_eq!(found, 0, "{case}: it says that nothing happened"),
                _ => {}
            }
            stand.jira.memory().arrive();
            doubled += usize::from(stand.effects(tool) > most);
            assert_eq!((doubled, lost), (0, 0), "{case}");
            ran += 1;
        }
        stand.whole.take().unwrap().end().await;
    }
    println!("{tool}: {ran} cases, {doubled} duplicates, {lost} lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issue_is_made_once_whatever_goes_wrong() {
    let cases: &[Case] = &[
        (0, None, 0, "done"),
        (0, Some(DropBefore), 0, "unknown"),
        (0, Some(DropAfter), 0, "done"),
        (0, Some(DropAfter), 4, "done"),
        (0, Some(GatewayBefore), 0, "unknown"),
        (0, Some(GatewayAfter), 2, "done"),
        (0, Some(Garbage), 0, "done"),
        (0, Some(Late(5)), 0, "done"),
        (0, Some(Late(1000)), 0, "unknown"),
        (0, Some(Twice), 0, "done"),
        (0, Some(Refuse(400)), 0, "failed"),
        (0, Some(Refuse(429)), 0, "failed"),
        (0, Some(HangBefore), 0, "unknown"),
        (0, Some(HangAfter), 1, "done"),
    ];
    never_twice("jira_create_issue", json!({"note": "it is the disk"}), cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comment_is_written_once_whatever_goes_wrong() {
    let cases: &[Case] = &[
        (0, None, 0, "done"),
        // The claim.
        (0, Some(DropBefore), 0, "done"),
        (0, Some(DropAfter), 0, "done"),
        (0, Some(GatewayAfter), 0, "done"),
        (0, Some(Twice), 0, "done"),
        (0, Some(Refuse(403)), 0, "failed"),
        (0, Some(HangAfter), 0, "done"),
        // The comment.
        (1, Some(DropBefore), 0, "done"),
        (1, Some(DropAfter), 0, "done"),
        (1, Some(GatewayBefore), 0, "done"),
        (1, Some(GatewayAfter), 0, "done"),
        (1, Some(Garbage), 0, "done"),
        (1, Some(Late(4)), 0, "done"),
        (1, Some(Twice), 0, "done"),
        (1, Some(Refuse(400)), 0, "failed"),
        (1, Some(HangBefore), 0, "done"),
        (1, Some(HangAfter), 0, "done"),
    ];
    never_twice("jira_comment", json!({"key": "OPS-1", "note": "it is the disk"}), cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comment_is_found_behind_many_others_and_is_not_absent_where_there_are_too_many() {
    let mut stand = Stand::new(true, Some(("jira_comment", json!({"key": "OPS-1"})))).await;
    for (crowd, expected) in [(150, "done"), (250, "done"), (1200, "unknown")] {
        stand.jira.reset();
        {
            let mut memory = stand.jira.memory();
            memory.crowd = crowd;
            memory.faults.push_back((1, DropAfter));
        }
        let (view, _) = stand.incident(&format!("Crowded{crowd}"), "info").await;
        assert_eq!(view.actions[0].state, expected, "{crowd}: {:#?}", view.actions);
        assert_eq!(stand.effects("jira_comment"), 1, "{crowd}");
    }
    stand.whole.take().unwrap().end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issue_moves_on_once_whatever_goes_wrong() {
    let cases: &[Case] = &[
        (0, None, 0, "done"),
        (0, Some(DropBefore), 0, "done"),
        (0, Some(DropAfter), 0, "done"),
        (0, Some(GatewayBefore), 0, "done"),
        (0, Some(GatewayAfter), 0, "done"),
        (0, Some(Late(2)), 0, "done"),
        (0, Some(Twice), 0, "done"),
        (0, Some(Refuse(400)), 0, "failed"),
        (0, Some(HangBefore), 0, "done"),
        (0, Some(HangAfter), 0, "done"),
    ];
    never_twice("jira_transition", json!({"key": "OPS-1", "to": "In Progress"}), cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_stands_once_whatever_goes_wrong() {
    let cases: &[Case] = &[
        (0, None, 0, "done"),
        (0, Some(DropBefore), 0, "done"),
        (0, Some(DropAfter), 0, "done"),
        (0, Some(GatewayBefore), 0, "done"),
        (0, Some(GatewayAfter), 0, "done"),
        (0, Some(Garbage), 0, "done"),
        (0, Some(Late(1000)), 0, "done"),
        (0, Some(Twice), 0, "done"),
        (0, Some(Refuse(403)), 0, "failed"),
        (0, Some(HangBefore), 0, "done"),
        (0, Some(HangAfter), 0, "done"),
    ];
    never_twice("jira_link", json!({"key": "OPS-1"}), cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_high_incident_is_documented_once_and_nobody_has_to_ask() {
    for cloud in [true, false] {
        let mut stand = Stand::new(cloud, None).await;
        let (view, entries) = stand.incident("Down", "critical").await;
        let by_engine = |e: &&Entry| e.actor == Actor::Engine && matches!(&e.body, Body::CallsProposed { .. });
        assert_eq!(entries.iter().filter(by_engine).count(), 1);
        let action = &view.actions[0];
        assert_eq!((view.actions.len(), action.tool.as_str(), action.state.as_str()), (1, "jira_create_issue", "done"));
        {
            let memory = stand.jira.memory();
            let [issue] = memory.made()[..] else { panic!("{:#?}", memory.issues) };
            assert_eq!(action.reference.as_deref(), Some(issue.key.as_str()));
            let labels: Vec<&str> =
                issue.fields["labels"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            assert!(labels.len() == 2 && labels[0] == "firewarden" && labels[1].starts_with("fw-"), "{labels:?}");
            assert_eq!(issue.properties["firewarden.action"], json!({"marker": labels[1]}));
            // The last line names an end of the chain that was there.
            let text = issue.fields["description"].to_string();
            let known = entries.iter().any(|e| text.contains(&format!("{} {}@{}", view.id, e.seq, e.hash.short(16))));
            assert!(known, "{text}");
            assert!(text.contains("HIGH") && text.contains("https://fw.example.org/investigations/inv_"), "{text}");
        }
        // The same alert again, and later another incident.
        let again = stand.whole().alert("Down", "critical", stand.clock.now()).await;
        stand.ended(again.0).await;
        assert_eq!(stand.effects("jira_create_issue"), if again.0.to_string() == view.id { 1 } else { 2 });
        let before = stand.effects("jira_create_issue");
        stand.incident("Slow", "warning").await;
        assert_eq!(stand.effects("jira_create_issue"), before, "below HIGH nobody has to be told so");
        stand.whole.take().unwrap().end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issue_that_is_refused_is_tried_once_more_and_then_left_to_people() {
    let mut stand = Stand::new(true, None).await;
    stand.jira.memory().faults.extend([(0, Refuse(400)), (1, Refuse(400)), (2, Refuse(400))]);
    let (view, _) = stand.incident("Down", "critical").await;
    let states: Vec<&str> = view.actions.iter().map(|action| action.state.as_str()).collect();
    assert_eq!((states, stand.jira.memory().writes), (vec!["failed", "failed"], 2));
    stand.whole.take().unwrap().end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_marked_as_ours_does_not_count() {
    for cloud in [true, false] {
        let mut stand = Stand::new(cloud, None).await;
        {
            let mut memory = stand.jira.memory();
            memory.impostor = true;
            memory.faults.push_back((0, GatewayBefore));
        }
        let (view, _) = stand.incident("Down", "critical").await;
        let forged = stand.jira.memory().issues.iter().filter(|issue| issue.creator == "mallory").count();
        assert_eq!(
            (forged, view.actions[0].state.as_str(), view.actions[0].reference.as_deref()),
            (1, "unknown", None)
        );
        stand.whole.take().unwrap().end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issue_of_a_life_that_nobody_remembers_is_found_before_a_second_one_is_made() {
    let mut stand = Stand::new(true, None).await;
    let (id, _) = {
        stand.jira.memory().faults.push_back((0, HangAfter));
        stand.whole().alert("Down", "critical", stand.clock.now()).await
    };
    eventually("the issue is made", SOON, async || stand.jira.memory().hanging.then_some(())).await;
    assert_eq!(stand.effects("jira_create_issue"), 1);
    stand.jira.memory().hanging = false;
    stand.again().await;
    let (view, entries) = stand.ended(id).await;
    assert_eq!((view.actions[0].state.as_str(), stand.effects("jira_create_issue")), ("done", 1));
    assert!(entries.iter().any(|e| matches!(e.body, Body::ActionReconciled { .. })));
    stand.whole.take().unwrap().end().await;
}

/// Every policy, and one that has transitions watched.
fn watching(folder: &Path) -> String {
    let to = folder.join("policies");
    shipped(&to);
    let rule = "package firewarden.action.watch\n\n\
        oblige contains {\"id\": \"watched\", \"kind\": \"verify_after\", \"within_s\": 60, \"reason\": \"watched\"} if {\n\
        \tinput.call.tool == \"jira_transition\"\n}\n";
    std::fs::write(to.join("action/watch.rego"), rule).unwrap();
    to.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_a_change_is_told_once_on_the_issue_of_the_incident() {
    for cloud in [true, false] {
        let mut stand = Stand::new(cloud, Some(("jira_transition", json!({"key": "OPS-1", "to": "Start"})))).await;
        let policies = TempDir::new().unwrap();
        stand.config["policies"]["dir"] = json!(watching(policies.path()));
        stand.again().await;
        let (view, _) = stand.incident("Down", "critical").await;
        let told: Vec<(&str, &str)> = view.actions.iter().map(|a| (a.tool.as_str(), a.state.as_str())).collect();
        let expected = [("jira_transition", "done"), ("jira_create_issue", "done"), ("jira_comment", "done")];
        assert_eq!(told, expected, "{:#?}", view.actions);
        {
            let memory = stand.jira.memory();
            let issue = memory.made()[0];
            assert_eq!(issue.comments.len(), 1);
            let text = issue.comments[0].body.to_string();
            assert!(text.contains("move OPS") && text.contains("could not be observed"), "{text}");
        }
        stand.whole.take().unwrap().end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_around_the_request_makes_no_second_issue() {
    for (side, made) in [("before", 0), ("after", 1)] {
        let jira = Jira::serve(false).await;
        let config = json!({"tools": {"jira": jira.config()}});
        let site = Site::new(config).variable("JIRA_TEST_TOKEN", "t0ken");
        let mut server = site.start(&[("FIREWARDEN_CRASH_AT_EFFECT", side)]);
        site.ready(&mut server).await;
        let labels = json!({"alertname": "Down", "severity": "critical", "service": "cart"});
        let alert = json!({
            "version": "4", "groupKey": "{}:{}", "status": "firing", "receiver": "r", "groupLabels": {}, "commonLabels": labels,
            "commonAnnotations": {}, "externalURL": "http://am", "truncatedAlerts": 0,
            "alerts": [{"status": "firing", "labels": labels, "annotations": {}, "generatorURL": "", "fingerprint": "00000000000000aa",
                        "startsAt": "2026-11-20T10:00:00Z", "endsAt": "0001-01-01T00:00:00Z"}]
        });
        site.deliver(&alert).await;
        eventually("it dies", SOON, async || server.ended()).await;
        assert_eq!(jira.memory().made().len(), made, "{side}");
        let _server = site.up().await;
        let id = site.investigations().await[0]["id"].as_str().unwrap().to_owned();
        let wanted = if made == 1 { "done" } else { "unknown" };
        eventually("it is looked for", SOON, async || {
            let view = site.json(&format!("/api/v1/investigations/{id}")).await;
            (view["actions"][0]["state"] == wanted).then_some(())
        })
        .await;
        assert_eq!(jira.memory().made().len(), made, "{side}: nothing was sent again");
        site.verify_audit();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_who_we_are_there_and_what_we_may() {
    for cloud in [true, false] {
        let jira = Jira::serve(cloud).await;
        let finding = |stdout: &str, check: &str| {
            let found: Value = serde_json::from_str(stdout).unwrap();
            let found = found.as_array().or(found["findings"].as_array()).unwrap().clone();
            found
                .into_iter()
                .find(|f| f["of"] == "jira" && f["check"] == check)
                .unwrap_or_else(|| panic!("{check}: {stdout}"))
        };
        let site = Site::new(json!({"tools": {"jira": jira.config()}})).variable("JIRA_TEST_TOKEN", "t0ken");
        let (_, stdout, _) = site.run_with_config(&["doctor", "-o", "json"]);
        for (check, state, says) in [
            ("who am I", "ok", "5f00aa at http://"),
            ("project OPS", "warn", "LINK_ISSUES"),
            ("project WEB", "warn", "LINK_ISSUES"),
            ("search", "ok", "issues are found"),
        ] {
            let found = finding(&stdout, check);
            assert!(found["state"] == state && found["about"].as_str().unwrap().contains(says), "{found:#}");
        }
        let site = Site::new(json!({"tools": {"jira": jira.config()}})).variable("JIRA_TEST_TOKEN", "wrong-one");
        let (code, stdout, _) = site.run_with_config(&["doctor", "-o", "json"]);
        let found = finding(&stdout, "who am I");
        assert!(code == Some(1) && found["state"] == "fail" && !stdout.contains("wrong-one"), "{code:?} {found:#}");
        assert_eq!(jira.memory().writes, 0, "doctor changes nothing");
    }
}
