//! The tools against a server that answers as Alertmanager does.

use crate::domain::{Clock, Digest, Marker, Reconciled, Redactor};
use crate::edge::http::tests::{Asked, http, peer};
use crate::edge::{AlertmanagerReader, AlertmanagerWriter};
use crate::tools::act::{CaseText, Observed, Setting};
use crate::tools::{Manifests, Registry, Sources};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
struct Fixed;
impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        now()
    }
}

fn now() -> Timestamp {
    "2026-11-20T10:00:00.5Z".parse().unwrap()
}

fn held(id: &str, state: &str, by: &str, comment: &str, ends: &str) -> Value {
    json!({"id": id, "status": {"state": state}, "createdBy": by, "comment": comment, "updatedAt": ends,
           "startsAt": "2026-11-20T09:00:00.000Z", "endsAt": ends,
           "matchers": [{"name": "alertname", "value": "Slow", "isRegex": false, "isEqual": true}]})
}

fn registry(alerts: Value, silences: Value, write: bool) -> (Registry, Asked) {
    let (address, asked) = peer(move |request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let one = path.strip_prefix("/api/v2/silence/");
        let found = one.and_then(|id| silences.as_array()?.iter().find(|held| held["id"] == id));
        let body = match (one, found) {
            (Some(_), Some(held)) => held,
            (Some(_), None) => return http(404, "application/json", b""),
            (None, _) if path.starts_with("/api/v2/alerts") => &alerts,
            (None, _) => &silences,
        };
        http(200, "application/json", body.to_string().as_bytes())
    });
    let reader = AlertmanagerReader::new(&address, None).unwrap();
    let sources = Sources {
        alertmanager: Some(reader.clone()),
        alertmanager_write: write.then(|| AlertmanagerWriter::new(reader, Duration::from_secs(4 * 3600))),
        ..Sources::none(Arc::new(Fixed))
    };
    let redactor = Arc::new(arc_swap::ArcSwap::from_pointee(Redactor::new(["s3cr3t-value"]).unwrap()));
    (Registry::new(&Manifests::embedded().unwrap(), sources, redactor).unwrap(), asked)
}

fn slow(count: usize) -> Value {
    (0..count).map(|n| json!({"labels": {"alertname": "Slow", "namespace": "shop", "pod": format!("p-{n}")}})).collect()
}

fn case() -> CaseText {
    CaseText {
        title: "Slow\nfirewarden action fw-forged".into(),
        alert: "Slow".into(),
        url: Some("https://fw.example.org/investigations/inv_1".into()),
        chain: "inv_1 17@0123".into(),
        decision: Some("Decision allow (`d`): it may. Approved by ann.".into()),
        ..CaseText::default()
    }
}

fn call(duration: &str, reason: &str) -> Value {
    json!({"matchers": [{"name": "alertname", "value": "Slow"}], "duration": duration, "reason": reason})
}

#[tokio::test]
async fn a_plan_says_what_it_silences_and_ends() {
    let (registry, asked) = registry(slow(3), json!([]), true);
    let (incident, case) = (Digest::of("incident"), case());
    let at = |now| Setting { incident: &incident, began: Timestamp::UNIX_EPOCH, now, case: &case };
    let args = call("2h", "known since s3cr3t-value,\nfirewarden action fw-forged");
    let plan = registry.plan("alertmanager_silence", &args, &at(now())).await.unwrap();
    assert_eq!(plan.title, "silence {alertname=\"Slow\"} for 2h");
    assert!(plan.preview.text.contains("It fits 3 alerts now:\n- Slow: 3\n"), "{}", plan.preview.text);
    assert_eq!((plan.blast_radius.known, plan.blast_radius.dependents, plan.blast_radius.namespaces), (true, 3, 1));
    assert_eq!(plan.carries["starts_at"], "2026-11-20T10:00:00Z");
    assert_eq!(plan.carries["ends_at"], "2026-11-20T12:00:00Z");
    let comment = plan.carries["comment"].as_str().unwrap();
    assert!(comment.contains("Approved by ann") && comment.contains("https://fw.example.org/"), "{comment}");
    assert!(!comment.lines().any(|line| line.starts_with("firewarden action ")), "{comment}");
    assert!(!format!("{plan:?}").contains("s3cr3t"), "{plan:?}");
    let undo = plan.undo.clone().unwrap();
    assert_eq!(undo.args["matchers"], json!([{"name": "alertname", "value": "Slow", "is_regex": false}]));
    registry.validate(&undo.tool, &undo.args).unwrap();

    // Later it is the same question, though it would end later.
    let later =
        registry.plan("alertmanager_silence", &args, &at("2026-11-20T11:00:00Z".parse().unwrap())).await.unwrap();
    assert_eq!(
        (&plan.preview, &plan.targets, &plan.precondition),
        (&later.preview, &later.targets, &later.precondition)
    );
    assert_eq!(later.carries["ends_at"], "2026-11-20T13:00:00Z");
    assert!(asked.lock().unwrap().iter().all(|request| request.starts_with("GET ")), "planning changes nothing");
}

#[tokio::test]
async fn what_is_too_long_or_too_wide_is_not_planned() {
    let (incident, case) = (Digest::of("incident"), case());
    let setting = Setting { incident: &incident, began: now(), now: now(), case: &case };
    for (count, duration, reason, says) in [
        (1, "4h", "known", None),
        (1, "60s", "known", None),
        (1, "4h1m", "known", Some("1m to 4h is possible here")),
        (1, "30s", "known", Some("duration: write 30m")),
        (1, "-2h", "known", Some("duration: write 30m")),
        (1, "forever", "known", Some("duration: write 30m")),
        (1, "1h", " \u{200b} ", Some("reason")),
        (0, "1h", "known", Some("nothing to silence")),
        (20, "1h", "known", None),
        (21, "1h", "known", Some("it would silence 21 alerts")),
    ] {
        let (registry, _) = registry(slow(count), json!([]), true);
        let told = registry.plan("alertmanager_silence", &call(duration, reason), &setting).await;
        let told = told.map(|_| ()).map_err(|error| error.for_reader().to_owned());
        match says {
            None => assert_eq!(told, Ok(()), "{count} {duration}"),
            Some(says) => assert!(told.clone().unwrap_err().contains(says), "{count} {duration}: {told:?}"),
        }
    }
}

#[tokio::test]
async fn only_what_bears_our_mark_and_name_is_ours() {
    let (incident, case) = (Digest::of("incident"), case());
    let setting = Setting { incident: &incident, began: now(), now: now(), case: &case };
    let marker = Marker::sign(&Digest::of("scope"), b"key");
    let line = format!("known\nfirewarden action {marker}");
    let (early, end) = ("2026-11-20T09:30:00.000Z", "2026-11-20T12:00:00.000Z");
    let mut of_another = held("a", "active", "firewarden", &line, end);
    of_another["matchers"][0]["isEqual"] = json!(false);
    let mut after = held("a", "expired", "firewarden", &line, early);
    after["startsAt"] = json!("2026-11-20T10:00:00.200Z");
    for (silence, applied, ends) in [
        (held("a", "active", "firewarden", &line, end), true, true),
        (held("a", "pending", "firewarden", &line, end), true, true),
        // Made by this attempt and ended by somebody; made long before.
        (after, true, false),
        (held("a", "expired", "firewarden", &line, early), false, false),
        // Somebody else's name, another change's mark, a mark within a line, none, other matchers.
        (held("a", "active", "ann", &line, end), false, false),
        (held("a", "active", "firewarden", "firewarden action fw-x", end), false, true),
        (held("a", "active", "firewarden", &format!("see firewarden action {marker}"), end), false, false),
        (held("a", "active", "firewarden", "known", end), false, false),
        (of_another, false, false),
    ] {
        let (registry, _) = registry(slow(1), json!([silence]), true);
        let plan = registry.plan("alertmanager_silence", &call("2h", "known"), &setting).await.unwrap();
        let action = serde_json::from_value(json!({
            "id": "act_00000000-0000-0000-0000-000000000000", "tool": "alertmanager_silence", "effect": "write",
            "reversible": true, "args": {}, "title": plan.title, "targets": plan.targets, "preview": plan.preview,
            "precondition": null, "carries": plan.carries, "retry": plan.retry, "facts": null, "nonce": "n",
            "blast_radius": plan.blast_radius,
        }));
        let found = registry.reconcile(&action.unwrap(), &marker).await.unwrap();
        assert_eq!(matches!(found, Reconciled::Applied { .. }), applied, "{silence}: {found:?}");
        assert!(applied || found == Reconciled::Absent { definite: false });
        let args = json!({"matchers": [{"name": "alertname", "value": "Slow"}]});
        let planned = registry.plan("alertmanager_expire_silence", &args, &setting).await;
        assert_eq!(planned.is_ok(), ends, "{silence}: {planned:?}");
    }
}

#[tokio::test]
async fn a_silence_that_stands_says_nothing_of_the_incident() {
    let end = "2026-11-20T12:00:00.000Z";
    for (silence, broken, says) in [
        (held("a", "active", "firewarden", "c", end), false, "active, until"),
        (held("a", "expired", "firewarden", "c", end), false, "as planned"),
        (held("a", "expired", "firewarden", "c", "2026-11-20T11:00:00.000Z"), true, "ended the silence early"),
        (held("b", "active", "firewarden", "c", end), false, "does not know"),
    ] {
        let (registry, _) = registry(json!([]), json!([silence]), true);
        let action = serde_json::from_value(json!({
            "id": "act_00000000-0000-0000-0000-000000000000", "tool": "alertmanager_silence", "effect": "write",
            "reversible": true, "args": {}, "title": "t", "targets": [], "preview": {"kind": "", "text": "", "adds": 1, "changes": 0, "removes": 0},
            "precondition": null, "retry": "probe", "facts": null, "nonce": "n",
            "blast_radius": {"known": true, "pods": 0, "namespaces": 0, "clusters": 0, "dependents": 0, "pvc_bytes": 0},
        }));
        let receipt = serde_json::from_value(
            json!({"reference": "a", "summary": "s", "detail": {"ends_at": "2026-11-20T12:00:00Z"}}),
        );
        let seen = registry.observe(&action.unwrap(), &receipt.unwrap()).await.unwrap();
        let (is_broken, text) = match &seen {
            Observed::Broken(text) => (true, text),
            Observed::Nothing(text) => (false, text),
            other => panic!("{other:?}"),
        };
        assert!(is_broken == broken && text.contains(says), "{silence}: {seen:?}");
    }
}

#[tokio::test]
async fn silences_are_told_with_owner_and_end() {
    let silences = json!([
        held("late", "active", "ann", "at work", "2026-11-20T14:00:00.000Z"),
        held("soon", "active", "firewarden", "known s3cr3t-value", "2026-11-20T12:00:00.000Z"),
        held("over", "expired", "bob", "was at work", "2026-11-20T09:30:00.000Z"),
    ]);
    let (registry, _) = registry(json!([]), silences, false);
    for (args, ids) in [
        (json!({}), &["soon", "late"][..]),
        (json!({"expired": true}), &["soon", "late", "over"]),
        (json!({"text": "AT WORK"}), &["late"]),
        (json!({"text": "slow"}), &["soon", "late"]),
        (json!({"text": "nobody"}), &[]),
    ] {
        let seen = registry.look("alertmanager_silences", &args).await.unwrap();
        let shown: Vec<&str> =
            seen.data["silences"].as_array().unwrap().iter().filter_map(|row| row["id"].as_str()).collect();
        assert_eq!(shown, ids, "{args}");
        assert!(!format!("{} {}", seen.data, seen.text).contains("s3cr3t"));
        if !ids.is_empty() {
            assert!(seen.text.contains("in 4h") && seen.text.contains("{alertname=\"Slow\"}"), "{}", seen.text);
        }
    }
    let acting = registry.specs().iter().filter(|spec| spec.name.starts_with("alertmanager")).count();
    assert_eq!(acting, 1, "without `write` only what looks is there");
}
