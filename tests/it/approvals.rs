//! Questions to people, from the notice to what became of the answer. The change that is asked about
//! stands in the journal as the engine would have planned it; no tool of this build can make it, so an
//! approved one ends as what can no longer be planned.

use crate::support::chain::count;
use crate::support::http::{Answer, eventually, send};
use crate::support::sinks::Sinks;
use crate::support::site::{SOON, Site};
use crate::support::whole::{ByHand, Whole};
use firewarden::app::App;
use firewarden::domain::{
    Action, ApprovalId, ApprovalState, Clock, DecisionId, Digest, Effect, InvestigationId, Marker, Person, Requirement,
    Ruling,
};
use firewarden::journal::{
    Actor, ApprovalView, Body, Call, Draft, Entry, Investigation, RulingPhase, View, chain, semantics,
};
use firewarden::store::{Append, Blob, Signal};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// A change that nobody here can make.
fn change(n: u128) -> Action {
    serde_json::from_value(json!({
        "id": format!("act_{}", Uuid::from_u128(n)), "tool": "kubernetes_scale", "effect": "write", "reversible": true,
        "args": {"name": format!("cart-{n}"), "replicas": 3}, "title": format!("scale Deployment shop/cart-{n} to 3"),
        "targets": [{"system": "kubernetes", "cluster": "", "namespace": "shop", "api_version": "apps/v1",
                     "kind": "Deployment", "name": format!("cart-{n}"), "verb": "patch"}],
        "preview": {"kind": "server_dry_run", "text": "-   replicas: 2\n+   replicas: 3", "adds": 1, "changes": 0, "removes": 1},
        "precondition": null, "carries": null, "undo": null, "retry": "keyed",
        "blast_radius": {"known": true, "pods": 2, "namespaces": 1, "clusters": 1, "dependents": 0, "pvc_bytes": 0},
        "facts": null, "nonce": n.to_string(),
    }))
    .unwrap()
}

/// Policy asks so many people.
fn asks(count: u32) -> Ruling {
    serde_json::from_value(json!({
        "id": DecisionId::new(Uuid::from_u128(1)), "verdict": "ask",
        "reasons": [{"rule": "action/pressure", "effect": "approve", "reason": "a person decides", "at": null}],
        "requirements": [Requirement { rule: "action/pressure".into(), groups: vec!["oncall".into()], count }],
        "expires_s": 900, "duties": {}, "for_model": null,
        "policy": {"digest": Digest::of("p"), "bundle": "b"}, "input_digest": Digest::of("i"), "error": null,
    }))
    .unwrap()
}

/// Where an investigation that is reported, and kept open by a chat that is down, goes on.
struct Going {
    app: App,
    clock: Arc<ByHand>,
    id: InvestigationId,
}

impl Going {
    async fn begin(folder: &std::path::Path, sinks: &Sinks) -> Self {
        let clock = ByHand::new();
        let running = Whole::begin(folder, &sinks.config(), &[], &clock).await;
        let (id, _) = running.alert("Slow", "info", clock.now()).await;
        running.put_off(id, 1).await;
        let app = running.end().await;
        // By now the chat is to be tried again, so whoever works next finds work.
        clock.forward(10);
        Self { app, clock, id }
    }

    /// Lets a person propose changes, plans them, judges them and asks so many people about each, as the
    /// engine does. `shown` puts the questions into the lists, too.
    async fn ask(&self, people: &[u32], shown: bool) -> Vec<ApprovalView> {
        let (store, now) = (&self.app.engine.store, self.clock.now());
        let later = now + SignedDuration::from_mins(10);
        let lease = store.claim("test", later, later).await.unwrap().unwrap();
        assert_eq!(lease.investigation, self.id);
        let name = self.id.to_string();
        let mut state = Investigation::fold(&name, &store.entries(&name, 0, 10_000).await.unwrap()).unwrap();
        let (known, level) = (state.head.clone(), state.risk.unwrap());
        let input = Blob::new([7; 16], b"{}".to_vec());
        let mut append = Append { blobs: vec![input.clone()], ..Append::default() };
        for (n, people) in (1..).zip(people) {
            let action = change(n);
            let call = Call {
                id: format!("beside_{n}"),
                tool: action.tool.clone(),
                args: action.args.clone(),
                effect: Some(Effect::Write),
                need: Value::Null,
            };
            let digest = action.digest(self.id, level);
            let keys = action.keys(state.incident_key.as_ref().unwrap());
            let bodies = [
                Body::CallsProposed { calls: vec![call.clone()], reason: "it is full".into() },
                Body::ActionPlanned {
                    call_id: call.id,
                    marker: Marker::sign(&keys.scope, b"k"),
                    keys,
                    action: Box::new(action.clone()),
                },
                Body::ActionRuled {
                    action: action.id,
                    phase: RulingPhase::Propose,
                    digest: digest.clone(),
                    ruling: Ruling { policy: self.app.engine.gate.policy().reference(), ..asks(*people) },
                    input: input.reference.clone(),
                    told: "noted".into(),
                },
                Body::ApprovalRequested {
                    approval: ApprovalId::new(Uuid::from_u128(n)),
                    action: action.id,
                    digest,
                    requirements: asks(*people).requirements,
                    expires_at: now + SignedDuration::from_mins(15),
                },
            ];
            for body in bodies {
                let actor = match &body {
                    Body::CallsProposed { .. } | Body::ActionPlanned { .. } => Actor::Person("ann".into()),
                    _ => Actor::Engine,
                };
                let entry = state.head.seal(&name, now, Draft::new(actor, body)).unwrap();
                state.apply(&entry).unwrap();
                append.entries.push(entry);
            }
        }
        let views = ApprovalView::all(&state);
        if shown {
            append.approvals.clone_from(&views);
            append.view = View::of(&state);
        }
        store.append(&lease, &known, append).await.unwrap();
        views
    }
}

fn person(name: &str) -> Person {
    Person { name: name.into(), groups: vec!["oncall".into()], every_group: false }
}

async fn is(running: &Whole, id: ApprovalId, state: ApprovalState) -> ApprovalView {
    eventually(&format!("{id} is {state}"), SOON, async || {
        running.app.engine.store.approval(id).await.unwrap().filter(|view| view.state == state)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_answers_so_it_expires_and_people_are_told() {
    let (folder, sinks) = (tempfile::tempdir().unwrap(), Sinks::serve(1).await);
    let going = Going::begin(folder.path(), &sinks).await;
    // Its row is missing, as after a kill between the entry and the row.
    let asked = going.ask(&[1], false).await.remove(0);
    let Going { app, clock, id } = going;
    assert_eq!(app.engine.store.approval(asked.id).await.unwrap(), None);
    drop(app);
    let running = Whole::begin(folder.path(), &sinks.config(), &[], &clock).await;
    assert_eq!(is(&running, asked.id, ApprovalState::Pending).await, asked);
    eventually("people are asked", SOON, async || {
        sinks.last_page().filter(|page| page["questions"][0]["approval_id"] == json!(asked.id))
    })
    .await;
    let waiting = eventually("it waits", SOON, async || {
        Some(running.view(id).await).filter(|view| view.state == "waiting_approval")
    })
    .await;
    assert_eq!(waiting.actions[0].expires_at, Some(asked.expires_at));
    // An answer that was given in time may take seconds to arrive.
    clock.forward(15 * 60 + 5);
    is(&running, asked.id, ApprovalState::Expired).await;
    let entries = running.closed(id).await;
    assert_eq!((count(&entries, "ApprovalExpired"), count(&entries, "ActionStarted")), (1, 0));
    let page = sinks.last_page().unwrap();
    assert_eq!(page["questions"], json!([]), "nothing is asked any more");
    // Whoever comes too late changes nothing.
    let late = Signal::Answer {
        approval: asked.id,
        digest: asked.action_digest.clone(),
        granted: true,
        by: person("bea"),
        at: clock.now(),
        comment: String::new(),
    };
    assert!(running.app.engine.store.signal(id, "bea", late, clock.now()).await.unwrap());
    eventually("the late answer is taken", SOON, async || {
        running.app.engine.store.signals(id).await.unwrap().is_empty().then_some(())
    })
    .await;
    assert_eq!(running.closed(id).await.len(), entries.len());
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_answers_that_race_the_journal_counts_the_first_that_may() {
    let (folder, sinks) = (tempfile::tempdir().unwrap(), Sinks::serve(1).await);
    let going = Going::begin(folder.path(), &sinks).await;
    let asked = going.ask(&[1], true).await.remove(0);
    let other = Digest::of("what was shown before");
    let outsider = Person { groups: vec!["others".into()], ..person("eve") };
    for (digest, granted, by) in [
        (&asked.action_digest, true, person("ann")), // who proposed it
        (&asked.action_digest, true, outsider),
        (&other, true, person("bea")),
        (&asked.action_digest, false, person("cid")),
        (&asked.action_digest, true, person("bea")),
    ] {
        let digest = digest.clone();
        let from = by.name.clone();
        let at = going.clock.now();
        let answer = Signal::Answer { approval: asked.id, digest, granted, by, at, comment: "so be it".into() };
        assert!(going.app.engine.store.signal(going.id, &from, answer, going.clock.now()).await.unwrap());
    }
    let Going { app, clock, id } = going;
    drop(app);
    let running = Whole::begin(folder.path(), &sinks.config(), &[], &clock).await;
    let denied = is(&running, asked.id, ApprovalState::Denied).await;
    assert_eq!(denied.reason, "so be it");
    clock.forward(60);
    let entries = running.closed(id).await;
    let decided =
        |entry: &Entry| matches!(&entry.body, Body::ApprovalDecided { by, granted: false, .. } if by.name == "cid");
    assert_eq!((entries.iter().filter(|e| decided(e)).count(), count(&entries, "ApprovalDecided")), (1, 1));
    assert_eq!(count(&entries, "ActionStarted"), 0);
    running.end().await;
}

/// A server that asks, and its people: ann, who proposed it, and bea and cid, who are on call.
struct Asking {
    site: Site,
    sinks: Sinks,
    id: InvestigationId,
}

impl Asking {
    async fn begin(people: &[u32]) -> (Self, Vec<ApprovalView>) {
        let (folder, sinks) = (tempfile::tempdir().unwrap(), Sinks::serve(1).await);
        let going = Going::begin(folder.path(), &sinks).await;
        let asked = going.ask(people, true).await;
        let id = going.id;
        drop(going);
        let token = |name: &str, role: &str| json!({"name": name, "role": role, "groups": ["oncall"], "token": format!("env:{}", name.to_uppercase())});
        let mut config = sinks.config();
        config["access"] = json!({"tokens": [token("ann", "approver"), token("bea", "approver"), token("cid", "approver"), token("vic", "viewer")]});
        let mut site = Site::within(folder, config);
        for name in ["ann", "bea", "cid", "vic"] {
            site = site.variable(&name.to_uppercase(), format!("{name}-token"));
        }
        (Self { site: site.variable("FIREWARDEN_TOKEN", "bea-token"), sinks, id }, asked)
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.site.client.get(self.site.url(path)).bearer_auth("vic-token");
        let answer = send(request).await.unwrap();
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text);
        answer.json()
    }

    async fn post(&self, who: &str, path: &str, body: &Value) -> Answer {
        let request = self.site.client.post(self.site.url(path)).bearer_auth(format!("{who}-token"));
        send(request.body(body.to_string())).await.unwrap()
    }

    async fn until(&self, view: &ApprovalView, what: &str, look: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("{} is {what}", view.id), SOON, async || {
            Some(self.get(&format!("/api/v1/approvals/{}", view.id)).await).filter(&look)
        })
        .await
    }

    async fn entries(&self) -> Vec<Entry> {
        let page = self.get(&format!("/api/v1/investigations/{}/journal?limit=1000", self.id)).await;
        let entries: Vec<Entry> = serde_json::from_value(page["items"].clone()).unwrap();
        chain::verify(&self.id.to_string(), &entries).unwrap();
        assert_eq!(semantics::violations(&self.id.to_string(), &entries), Vec::<String>::new());
        entries
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_agree_by_command_and_by_http_and_the_journal_says_who() {
    let (asking, asked) = Asking::begin(&[2]).await;
    let (site, view) = (&asking.site, &asked[0]);
    let id = view.id.to_string();
    let _server = site.up().await;
    // The pager tells what to type.
    let page = eventually("people are asked", SOON, async || {
        asking.sinks.last_page().filter(|page| page["questions"][0]["approval_id"] == json!(id))
    })
    .await;
    let question = &page["questions"][0];
    assert_eq!(question["command"], json!(format!("firewarden approvals grant {id}")));
    assert_eq!(
        (&question["title"], &question["action_digest"], &question["groups"]),
        (&json!("scale Deployment shop/cart-1 to 3"), &json!(view.action_digest), &json!(["oncall"]))
    );
    let (code, stdout, stderr) = site.run_with_config(&["approvals", "list", "--state", "pending"]);
    assert!(
        code == Some(0) && stdout.contains(&id) && stdout.contains("scale Deployment shop/cart-1"),
        "{stdout}{stderr}"
    );
    let (code, stdout, _) = site.run_with_config(&["approvals", "show", &id, "-o", "json"]);
    let shown: ApprovalView = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &shown), (Some(0), view));
    let (_, stdout, _) = site.run_with_config(&["investigations", "show", &asking.id.to_string()]);
    assert!(stdout.contains(&format!("firewarden approvals grant {id}")), "{stdout}");
    let (_, stdout, _) = site.run_with_config(&["investigations", "report", &asking.id.to_string(), "--markdown"]);
    assert!(
        stdout.contains("## Changes") && stdout.contains(&format!("`firewarden approvals grant {id}`")),
        "{stdout}"
    );

    // Who proposed it, who only reads, and who means something else.
    let (grant, body) = (format!("/api/v1/approvals/{id}/grant"), json!({"action_digest": view.action_digest}));
    assert_eq!(asking.post("ann", &grant, &body).await.status, 403);
    assert_eq!(asking.post("vic", &grant, &body).await.status, 403);
    assert_eq!(asking.post("cid", &grant, &json!({"action_digest": "sha256:0"})).await.status, 409);
    let (code, _, stderr) = site.run_with_config(&["approvals", "grant", &id, "--digest", "sha256:0"]);
    assert!(code == Some(2) && stderr.contains("something else"), "{stderr}");

    let (code, stdout, stderr) = site.run_with_config(&["approvals", "grant", &id, "--comment", "looks right"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(
        stderr.contains("+   replicas: 3") && stderr.contains(view.action_digest.as_str()),
        "what is granted is shown: {stderr}"
    );
    assert!(stdout.contains("granted: scale Deployment shop/cart-1"), "{stdout}");
    let half = asking.until(view, "half agreed", |view| view["requirements"][0]["granted_by"] == json!(["bea"])).await;
    assert_eq!(half["state"], "pending", "one of two is not enough");
    let (code, _, stderr) = site.run_with_config(&["approvals", "grant", &id, "--yes"]);
    assert!(code == Some(2) && stderr.contains("somebody else"), "{stderr}");

    let answer =
        asking.post("cid", "/api/fleet/approvals/grant", &json!({"job_id": asking.id, "decision": "approved"})).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"status": "success", "result": {"approval_id": id, "decision": "approved"}}))
    );
    let over = asking.until(view, "over", |view| view["state"] == "withdrawn").await;
    assert!(over["reason"].as_str().unwrap().contains("can no longer be planned"), "{over}");
    assert_eq!(over["requirements"][0]["granted_by"], json!(["bea", "cid"]));
    assert_eq!(asking.post("cid", &grant, &body).await.status, 409);
    let (code, _, stderr) = site.run_with_config(&["approvals", "deny", &id]);
    assert!(code == Some(2) && stderr.contains("withdrawn"), "{stderr}");

    eventually("it is closed", SOON, async || {
        let view = asking.get(&format!("/api/v1/investigations/{}", asking.id)).await;
        (view["state"] == "closed").then_some(())
    })
    .await;
    let entries = asking.entries().await;
    let who: Vec<(&str, &str)> = entries
        .iter()
        .filter_map(|entry| match &entry.body {
            Body::ApprovalDecided { by, granted: true, comment, .. } => Some((by.name.as_str(), comment.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(who, [("bea", "looks right"), ("cid", "")]);
    // The ruling was planted, so it cannot be made again.
    let (code, stdout, stderr) = site.run_with_config(&["audit", "verify", "--skip-decisions"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_no_ends_it_and_the_other_question_stands() {
    let (asking, asked) = Asking::begin(&[1, 1]).await;
    let site = &asking.site;
    let ids: Vec<String> = asked.iter().map(|view| view.id.to_string()).collect();
    let mut server = site.up().await;
    let which =
        asking.post("cid", "/api/fleet/approvals/grant", &json!({"job_id": asking.id, "decision": "approved"})).await;
    assert!(which.status == 400 && which.text.contains("2 pending approvals"), "{}", which.text);
    let (code, stdout, stderr) = site.run_with_config(&["approvals", "deny", &ids[0], "--reason", "not at night"]);
    assert!(code == Some(0) && stdout.contains("denied: "), "{stdout}{stderr}");
    let denied = asking.until(&asked[0], "denied", |view| view["state"] == "denied").await;
    assert_eq!(denied["reason"], "not at night");
    // A restart forgets neither.
    server.kill();
    let _server = site.up().await;
    let fleet = asking.get(&format!("/api/fleet/approvals?job_id={}&state=pending", asking.id)).await;
    assert_eq!((fleet["items"].as_array().unwrap().len(), &fleet["items"][0]["approval_id"]), (1, &json!(ids[1])));
    let body = json!({"job_id": asking.id, "decision": "denied", "reason": "nor this"});
    assert_eq!(asking.post("cid", "/api/fleet/approvals/grant", &body).await.status, 200);
    asking.until(&asked[1], "denied", |view| view["state"] == "denied").await;
    let report = eventually("the report says so", SOON, async || {
        let report = asking.get(&format!("/api/v1/investigations/{}/report", asking.id)).await;
        let refused =
            report["actions"].as_array().unwrap().iter().filter(|action| action["state"] == "refused").count();
        (refused == 2).then_some(report)
    })
    .await;
    assert_eq!(report["actions"][0]["detail"], "bea said no: not at night");
    assert_eq!(report["actions"][1]["detail"], "cid said no: nor this");
    assert_eq!(count(&asking.entries().await, "ActionStarted"), 0);
}
