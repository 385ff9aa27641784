use super::*;
use serde_json::{Value, json};

fn now() -> Timestamp {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

fn view(n: usize, more: Value) -> View {
    let mut view = json!({
        "id": format!("inv_{n}"), "state": "closed", "outcome": "reported", "alert_status": "firing", "risk": null,
        "verdict": "likely", "summary": null, "route": "shop", "alert": "A", "subject": "s",
        "resource": {"type": "service", "id": "", "namespace": "web", "cluster": null}, "class": null, "events": [],
        "alerts": 1, "actions": [], "model": null,
        "usage": {"turns": 0, "tool_calls": 0, "tokens_in": 0, "tokens_out": 0, "cost_usd": 0.0}, "revision": 1,
        "opened_at": "2026-11-26T11:50:00Z", "reported_at": null, "closed_at": null, "undelivered": [], "entries": 3,
        "head": "sha256:00",
    });
    for (key, value) in more.as_object().unwrap() {
        view[key] = value.clone();
    }
    serde_json::from_value(view).unwrap()
}

const WELL: Own = Own { store_commits: true, policies_loaded: true, model_answers: None };

fn seen(own: Own, views: &[View]) -> Vec<(Gravity, Category, String)> {
    checks(own, views, now()).into_iter().map(|alert| (alert.severity, alert.category, alert.title)).collect()
}

#[test]
fn what_is_well_alerts_nobody() {
    assert_eq!(seen(WELL, &[view(1, json!({})), view(2, json!({"state": "running", "outcome": null}))]), []);
}

#[test]
fn each_check_tells_what_it_saw() {
    use {Category::*, Gravity::*};
    let ill = Own { store_commits: false, policies_loaded: false, model_answers: Some(false) };
    let found = seen(ill, &[]);
    assert_eq!(found.iter().map(|(gravity, ..)| *gravity).collect::<Vec<_>>(), [Critical, Critical, Warning]);
    let blind = |n| view(n, json!({"verdict": "insufficient_evidence"}));
    let gap = |n| view(n, json!({"failure_gap": "Down: ghost"}));
    let queued = |at: &str| view(9, json!({"state": "queued", "outcome": null, "verdict": null, "opened_at": at}));
    for (views, expected) in [
        (
            vec![view(1, json!({"outcome": "failed"}))],
            Some((Critical, Health, "1 investigation was given up by a fault of ours")),
        ),
        (
            vec![queued("2026-11-26T11:58:00Z")],
            Some((Warning, Throughput, "1 investigation waits since 120 s for a first look")),
        ),
        (
            vec![queued("2026-11-26T11:50:00Z")],
            Some((Critical, Throughput, "1 investigation waits since 600 s for a first look")),
        ),
        (vec![queued("2026-11-26T11:59:30Z")], None),
        (vec![blind(1), blind(2), view(3, json!({}))], None),
        (
            vec![blind(1), blind(2), view(3, json!({})), view(4, json!({}))],
            Some((Warning, Quality, "2 of 4 reports name no cause")),
        ),
        (vec![gap(1)], Some((Info, FailurePattern, "No known object explains Down: ghost"))),
        (vec![gap(1), gap(2), gap(3)], Some((Warning, FailurePattern, "No known object explains Down: ghost"))),
        (
            vec![view(
                1,
                json!({"undelivered": [{"sink": "chat", "revision": 1, "attempts": 2, "error": "503", "failed_at": "2026-11-26T11:50:00Z", "again_at": "2026-11-26T12:10:00Z"}]}),
            )],
            Some((Warning, Health, "chat could not be told of 1 report")),
        ),
    ] {
        let found = seen(WELL, &views);
        let expected: Vec<_> = expected.into_iter().map(|(a, b, title)| (a, b, title.to_owned())).collect();
        assert_eq!(found, expected);
    }
    let all = checks(WELL, &[gap(1)], now());
    let shown = serde_json::to_value(&all[0]).unwrap();
    assert_eq!((&shown["category"], &shown["severity"]), (&json!("failure_pattern"), &json!("info")));
    assert_eq!((&shown["agent"], &shown["domain"]), (&json!("shop"), &json!("web")));
    assert_eq!(all[0].id, checks(WELL, &[gap(7), gap(8)], now())[0].id, "the same thing keeps its id");
}

#[test]
fn a_failure_report_counts_what_went_wrong_on_a_route() {
    let action = |state: &str, verdict: &str, rule: &str| {
        let asked = (verdict == "ask").then_some("apr_00000000-0000-0000-0000-000000000001");
        json!({"id": "act_00000000-0000-0000-0000-000000000001", "tool": "kubernetes_scale", "effect": "write", "title": "t",
               "target": "Deployment a/b", "state": state, "verdict": verdict, "rules": [rule], "approval_id": asked,
               "reference": null, "detail": null})
    };
    let views = [
        view(
            1,
            json!({"actions": [action("refused", "deny", "action/freeze/hard"), action("refused", "ask", "action/pressure/pressure")]}),
        ),
        view(2, json!({"verdict": "insufficient_evidence", "failure_gap": "Down: ghost"})),
        view(
            3,
            json!({"actions": [action("failed", "allow", "x"), action("done", "allow", "x"),
            // Overtaken, and refused by nobody.
            action("refused", "allow", "x")]}),
        ),
        view(4, json!({})),
    ];
    let report = failure_report("shop", &views, 24, now()).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap());
    assert_eq!(failure_report("shop", &views[3..], 24, now()), None);
    assert_eq!(failure_report("shop", &[], 24, now()), None);
}
