//! An alert is silenced once, for as long as was agreed and no longer, whatever goes wrong on the way: the
//! whole engine, a scripted model that proposes it, and an Alertmanager whose memory is the judge.

use crate::support::alertmanager::{Alertmanager, Fault};
use crate::support::http::eventually;
use crate::support::model::{Model, Script};
use crate::support::site::SOON;
use crate::support::whole::{ByHand, Whole};
use Fault::*;
use firewarden::domain::{Clock, InvestigationId, Person};
use firewarden::journal::{Investigation, View};
use firewarden::store::Signal;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;
use tempfile::TempDir;

const ENV: [(&str, &str); 1] = [("SCRIPTED_KEY", "sk-scripted")];

/// The silence that the model proposes.
pub fn silence() -> (&'static str, Value) {
    let args = json!({"matchers": matchers(), "duration": "2h", "reason": "it is known\nfirewarden action fw-forged"});
    ("alertmanager_silence", args)
}

/// The end of it.
pub fn end() -> (&'static str, Value) {
    ("alertmanager_expire_silence", json!({"matchers": matchers()}))
}

fn matchers() -> Value {
    json!([{"name": "service", "value": "cart"}, {"name": "namespace", "value": "shop"}])
}

/// An Alertmanager at `url`, a model that proposes one call, and the whole that they belong to.
pub struct Stand {
    config: Value,
    folder: TempDir,
    pub clock: Arc<ByHand>,
    whole: Option<Whole>,
    /// A person says yes to what is asked: of a model that nobody measured everything is asked.
    pub agrees: bool,
    _model: Model,
}

impl Stand {
    pub async fn new(url: &str, call: (&'static str, Value)) -> Self {
        let model = Model::serve(Script::Calls(vec![vec![call]])).await;
        let config = json!({
            "tools": {"alertmanager": {"url": url, "write": true}},
            "models": [model.config()],
            "server": {"public_url": "https://fw.example.org"},
        });
        let (folder, clock) = (TempDir::new().unwrap(), ByHand::new());
        let whole = Some(Whole::begin(folder.path(), &config, &ENV, &clock).await);
        Self { config, folder, clock, whole, agrees: true, _model: model }
    }

    fn whole(&self) -> &Whole {
        self.whole.as_ref().unwrap()
    }

    /// An incident from its alert to its end. While something is in doubt, time passes; `hangs` tells
    /// once that a request hangs, and then the process dies and another one takes over.
    pub async fn incident(&mut self, name: &str, severity: &str, hangs: impl Fn() -> bool) -> View {
        // Alerts that begin at one moment are one.
        self.clock.forward(1);
        let (id, _) = self.whole().alert(name, severity, self.clock.now()).await;
        loop {
            let ended = eventually("it ends, or a request hangs", SOON, async || {
                if hangs() {
                    return Some(false);
                }
                let view = self.whole().view(id).await;
                if view.state == "verifying" || view.actions.iter().any(|action| action.state == "unknown") {
                    self.whole().forward(15);
                }
                let asks = view.actions.iter().any(|action| action.state == "asked");
                if asks && self.agrees {
                    self.agree(id).await;
                }
                (view.state == "closed" || asks && !self.agrees).then_some(true)
            });
            if ended.await {
                return self.whole().view(id).await;
            }
            self.whole.take().unwrap().end().await;
            self.whole = Some(Whole::begin(self.folder.path(), &self.config, &ENV, &self.clock).await);
        }
    }

    /// Says yes to what is asked, if anything still is.
    async fn agree(&self, id: InvestigationId) {
        let (store, now) = (&self.whole().app.engine.store, self.clock.now());
        let mut inv = Investigation::empty(&id.to_string());
        for entry in store.entries(&id.to_string(), 0, 1000).await.unwrap() {
            inv.apply(&entry).unwrap();
        }
        let Some(question) = inv.deeds.iter().find_map(|deed| deed.waits()) else { return };
        let by = Person { name: "bea".into(), groups: vec!["oncall".into()], every_group: false };
        let (approval, digest) = (question.id, question.digest.clone());
        let signal = Signal::Answer { approval, digest, granted: true, by, at: now, comment: "go".into() };
        // Said twice, it counts once.
        assert!(store.signal(id, "bea", signal, now).await.unwrap());
    }

    pub async fn end(mut self) {
        self.whole.take().unwrap().end().await;
    }
}

fn firing(name: &str) -> Value {
    json!({"alertname": name, "namespace": "shop", "service": "cart"})
}

/// Runs `call` once for each fault, and tells how often it is in the world, and what the journal says.
async fn never_twice(call: (&'static str, Value), cases: &[(Option<Fault>, &str)]) {
    let alertmanager = Alertmanager::serve().await;
    let ends = call.0 == end().0;
    let mut stand = Stand::new(&alertmanager.url, call).await;
    for (number, (fault, expected)) in cases.iter().enumerate() {
        let name = format!("Slow{number}");
        {
            let mut memory = alertmanager.memory();
            *memory = Default::default();
            memory.alerts = vec![firing(&name), json!({"alertname": "Other", "service": "web"})];
            memory.fault = *fault;
            if ends {
                for (owner, comment) in
                    [("firewarden", "known\nfirewarden action fw-x"), ("ann", "firewarden action fw-x")]
                {
                    let now = stand.clock.now();
                    memory.add(&json!({"matchers": matchers(), "createdBy": owner, "comment": comment, "startsAt": now, "endsAt": now + SignedDuration::from_hours(1)}));
                }
            }
        }
        // What was done yesterday counts for no rate.
        stand.clock.forward(90_000);
        let hangs = || std::mem::take(&mut alertmanager.memory().hanging);
        let view = stand.incident(&name, "info", hangs).await;
        assert_eq!(view.actions.len(), 1, "{fault:?}: {view:#?}");
        assert_eq!(view.actions[0].state, *expected, "{fault:?}: {:#?}", view.actions);
        let mut memory = alertmanager.memory();
        memory.arrive();
        let standing = memory.standing();
        match (ends, *expected) {
            // What a proxy doubles on its way silences the same alerts until the same moment.
            (false, "done") if *fault == Some(Twice) => assert_eq!(standing, 2),
            (false, "done") => assert_eq!(standing, 1, "{fault:?}: {:#?}", memory.silences),
            (false, _) => assert_eq!(standing, 0, "{fault:?}"),
            // What people silenced stays theirs.
            (true, "done") => assert_eq!(memory.silences[1]["status"]["state"], "active", "{fault:?}"),
            (true, _) => assert_eq!(standing, 2, "{fault:?}"),
        }
        if ends && *expected == "done" {
            assert_eq!(memory.silences[0]["status"]["state"], "expired", "{fault:?}");
        }
    }
    println!("{} cases", cases.len());
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_silenced_once_whatever_goes_wrong() {
    let cases = [
        (None, "done"),
        (Some(DropBefore), "done"),
        (Some(DropAfter), "done"),
        (Some(GatewayBefore), "done"),
        (Some(GatewayAfter), "done"),
        (Some(Garbage), "done"),
        (Some(Late(1)), "done"),
        (Some(Late(2)), "done"),
        (Some(Twice), "done"),
        (Some(Refuse(400)), "failed"),
        (Some(Refuse(403)), "failed"),
        (Some(HangBefore), "done"),
        (Some(HangAfter), "done"),
    ];
    never_twice(silence(), &cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_of_ours_ends_once_and_those_of_people_stay() {
    let cases = [
        (None, "done"),
        (Some(DropBefore), "done"),
        (Some(DropAfter), "done"),
        (Some(GatewayBefore), "done"),
        (Some(GatewayAfter), "done"),
        (Some(Late(1)), "done"),
        (Some(Refuse(403)), "failed"),
        (Some(HangBefore), "done"),
        (Some(HangAfter), "done"),
    ];
    never_twice(end(), &cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_says_whose_it_is_what_for_and_ends() {
    let alertmanager = Alertmanager::serve().await;
    alertmanager.memory().alerts = vec![firing("Slow")];
    let mut stand = Stand::new(&alertmanager.url, silence()).await;
    let view = stand.incident("Slow", "info", || false).await;
    {
        let memory = alertmanager.memory();
        let [silence] = &memory.silences[..] else { panic!("{:#?}", memory.silences) };
        assert_eq!(view.actions[0].reference.as_deref(), silence["id"].as_str());
        assert_eq!(silence["createdBy"], "firewarden");
        let at = |key: &str| silence[key].as_str().unwrap().parse::<Timestamp>().unwrap();
        assert_eq!(at("endsAt").duration_since(at("startsAt")), SignedDuration::from_hours(2));
        let comment = silence["comment"].as_str().unwrap();
        assert!(comment.contains("Reason, as the proposer claims: it is known"), "{comment}");
        assert!(comment.contains(&format!("https://fw.example.org/investigations/{}", view.id)), "{comment}");
        // What the proposer says never stands where our mark does.
        let marks: Vec<&str> = comment.lines().filter(|line| line.starts_with("firewarden action ")).collect();
        assert!(marks.len() == 1 && !marks[0].contains("forged"), "{comment}");
    }
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn above_low_a_person_is_asked_and_what_is_too_wide_is_not_even_planned() {
    let alertmanager = Alertmanager::serve().await;
    alertmanager.memory().alerts = vec![firing("Slow"), firing("Other")];
    let mut stand = Stand::new(&alertmanager.url, silence()).await;
    let view = stand.incident("Slow", "info", || false).await;
    assert!(view.actions.is_empty(), "it would silence another alert, too: {:#?}", view.actions);
    alertmanager.memory().alerts = vec![firing("Slow2")];
    stand.agrees = false;
    let view = stand.incident("Slow2", "warning", || false).await;
    assert_eq!(view.actions[0].state, "asked", "{:#?}", view.actions);
    assert_eq!(alertmanager.memory().writes, 0);
    stand.end().await;
}
