//! Documents in both forms, and the tools against a server that answers as Jira's documentation says.

use super::document::{Block, Span, comment, fitted, issue};
use super::{adf, wiki};
use crate::domain::{Action, ActionId, Clock, Effect, Marker, Redactor, Report};
use crate::edge::http::Auth;
use crate::edge::http::tests::{Asked, http, peer};
use crate::edge::jira::Deployment;
use crate::edge::{JiraReader, JiraWriter};
use crate::gate::Warrant;
use crate::tools::{ActError, CaseText, Manifests, Registry, Setting, Sources};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// A report in which every text from outside tries to be markup.
fn report() -> Report {
    serde_json::from_str(include_str!("../../../tests/fixtures/jira/report.json")).unwrap()
}

fn hostile() -> String {
    report().summary
}

fn case() -> CaseText {
    CaseText {
        title: "PVCUsageHigh on data-typedb-0 has password=hunter2222\nsecond line".into(),
        alert: "PVCUsageHigh".into(),
        slug: "pvcusagehigh-f-20261120".into(),
        markdown: String::new(),
        report: Some(report()),
        url: Some("https://fw.example.org/investigations/inv_1".into()),
        chain: "inv_1 17@0123456789abcdef".into(),
        checkpoint: Some("log.example/a 7 AAAA".into()),
        decision: None,
        pull: None,
    }
}

/// The kinds of nodes that we use, what each may hold, and the attributes that it has.
fn assert_sound(node: &Value, path: &str) {
    let kind = node["type"].as_str().unwrap_or_else(|| panic!("{path}: no type"));
    let may_hold: &[&str] = match kind {
        "doc" => &["heading", "paragraph", "bulletList", "orderedList", "codeBlock", "table"],
        "heading" | "paragraph" | "codeBlock" => &["text"],
        "bulletList" | "orderedList" => &["listItem"],
        "listItem" | "tableCell" | "tableHeader" => &["paragraph"],
        "table" => &["tableRow"],
        "tableRow" => &["tableCell", "tableHeader"],
        "text" => &[],
        other => panic!("{path}: {other}"),
    };
    if kind == "text" {
        let text = node["text"].as_str().unwrap();
        assert!(!text.is_empty() && !text.contains(['\u{202e}', '\u{1b}', '\r']), "{path}: {text:?}");
        for mark in node["marks"].as_array().into_iter().flatten() {
            match mark["type"].as_str().unwrap() {
                "strong" | "code" => assert!(mark.get("attrs").is_none(), "{path}"),
                "link" => {
                    assert!(mark["attrs"]["href"].as_str().unwrap().starts_with("https://fw.example.org/"), "{path}")
                }
                other => panic!("{path}: mark {other}"),
            }
        }
        return;
    }
    let content = node["content"].as_array().unwrap_or_else(|| panic!("{path}/{kind}: no content"));
    let needs_content = !matches!(kind, "paragraph" | "heading" | "codeBlock");
    assert!(!needs_content || !content.is_empty(), "{path}/{kind}: empty");
    for (at, child) in content.iter().enumerate() {
        let child_kind = child["type"].as_str().unwrap_or_default();
        assert!(may_hold.contains(&child_kind), "{path}/{kind} holds {child_kind}");
        assert!(kind != "codeBlock" || child.get("marks").is_none());
        assert_sound(child, &format!("{path}/{kind}[{at}]"));
    }
}

#[test]
fn a_document_is_sound_and_its_text_is_text() {
    let document = adf::document(issue(&case(), Some(&hostile())));
    assert_eq!((&document["version"], &document["type"]), (&json!(1), &json!("doc")));
    assert_sound(&document, "");
    insta::assert_snapshot!("document", adf::text_of(&document));
    let links = document.to_string().matches("\"link\"").count();
    assert_eq!(links, 1, "our own page and nothing else");
    assert_sound(&adf::document(comment(&case(), report().actions.first(), None)), "");
    assert_sound(&adf::document(issue(&CaseText::default(), None)), "");
    assert_sound(&adf::document(comment(&CaseText::default(), None, Some(" "))), "");
}

#[test]
fn nothing_from_outside_becomes_wiki_markup() {
    let text = wiki::text(issue(&case(), Some(&hostile())));
    insta::assert_snapshot!("wiki", text);
    // Whatever is markup in it is ours; within {noformat} nothing is.
    let parts: Vec<&str> = text.split("{noformat}").collect();
    assert!(parts.len() == 3 && !parts[1].contains('{'));
    let text = format!("{}{}", parts[0], parts[2]);
    assert_eq!(text.matches('[').count(), 1, "one link");
    assert!(text.contains("[The whole investigation|https://fw.example.org/investigations/inv_1]"));
    assert_eq!(text.matches("://").count(), 1, "our page: {text}");
    assert!(!text.contains(['!', '~', '^', '+', '\\', '<']));
    assert!(
        text.ends_with("firewarden {{inv_1 17@0123456789abcdef}}, checkpoint {{log.example/a 7 AAAA}}"),
        "a machine finds the chain's end: {text}"
    );
    let begins = |line: &&str| ["h1.", "h2.", "h4.", "bq.", "- ", "----"].iter().any(|mark| line.starts_with(mark));
    assert_eq!(text.lines().find(begins), None);
}

#[test]
fn single_signs_are_harmless_and_plain_words_stay_readable() {
    for (text, expected) in [
        ("payments-api is at 99.5% of 10.0.0.1:8080", "payments-api is at 99.5% of 10.0.0.1:8080"),
        ("cause: the disk, E1", "cause: the disk, E1"),
        ("h1. x", "h1&#46; x"),
        ("bq. x", "bq&#46; x"),
        ("- x", "&#45; x"),
        ("OPS-12", "OPS&#45;12"),
        ("OPS2-12 A-1", "OPS2&#45;12 A&#45;1"),
        ("inv_0199-7a3b-8 17@0f", "inv_0199-7a3b-8 17@0f"),
        ("http://x", "http&#58;//x"),
        ("mailto:x", "mailto&#58;x"),
        (":) ;) (y)", "&#58;&#41; &#59;&#41; &#40;y&#41;"),
        ("a|b", "a&#124;b"),
        ("volume_full _x_", "volume_full &#95;x&#95;"),
        ("a@b.c", "a&#64;b.c"),
        ("...", "&#46;&#46;&#46;"),
        ("Größe 5 µs", "Größe 5 µs"),
    ] {
        assert_eq!(wiki::plain(text), expected, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_begins_markup(text in "[a-z0-9A-Z .:/|*_{}\\[\\]!()#~^+?\\\\<>&@;-]{0,30}") {
        let plain = wiki::plain(&text);
        let signs = ['*', '{', '}', '[', ']', '!', '(', ')', '|', '~', '^', '+', '?', '\\', '<', '>'];
        proptest::prop_assert!(!plain.contains(signs));
        proptest::prop_assert!(!plain.contains("://") && !plain.contains("--"));
        // Every entity is one of ours, and gives the sign back.
        let mut back = String::new();
        let mut rest = plain.as_str();
        while let Some((before, after)) = rest.split_once("&#") {
            let (number, tail) = after.split_once(';').unwrap();
            back.push_str(before);
            back.push(char::from_u32(number.parse().unwrap()).unwrap());
            rest = tail;
        }
        back.push_str(rest);
        proptest::prop_assert_eq!(back, text);
    }

}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_is_written_fits_and_ends_with_the_chain(notes in "[a-z&|\u{e9} \n]{0,1500}", rows in 0usize..40, width in 1usize..400) {
        let mut case = case();
        let report = case.report.as_mut().unwrap();
        report.evidence = vec![report.evidence[0].clone(); rows];
        for item in &mut report.evidence {
            item.excerpt = "|".repeat(width);
        }
        let document = adf::document(issue(&case, Some(&notes)));
        proptest::prop_assert!(document.to_string().chars().count() <= adf::MOST);
        assert_sound(&document, "");
        let last = document["content"].as_array().unwrap().last().unwrap();
        proptest::prop_assert!(adf::text_of(last) == "firewarden inv_1 17@0123456789abcdef, checkpoint log.example/a 7 AAAA");
        let text = wiki::text(issue(&case, Some(&notes)));
        proptest::prop_assert!(text.chars().count() <= wiki::MOST);
        proptest::prop_assert!(text.lines().last().unwrap().starts_with("firewarden {{inv"));
    }
}

#[test]
fn what_does_not_fit_is_cut_where_that_can_be_seen() {
    let row = |n: usize| vec![Span::Text(format!("row {n}"))];
    let list = Block::List { ordered: false, items: (0..10).map(row).collect() };
    let last = Block::Paragraph(vec![Span::Text("last".into())]);
    let size = |block: &Block| match block {
        Block::List { items, .. } => items.len() * 10,
        _ => 10,
    };
    let blocks = vec![Block::Heading("h".into()), list.clone(), Block::Heading("gone".into()), last.clone()];
    let kept = fitted(blocks.clone(), 60, size);
    assert!(matches!(&kept[1], Block::List { items, .. } if items.len() == 3), "{kept:?}");
    assert_eq!((kept.len(), kept.last()), (4, Some(&last)));
    let all = fitted(blocks[..2].iter().cloned().chain([last.clone()]).collect(), 500, size);
    assert_eq!(all.len(), 3, "nothing is cut, nothing is said");
    assert_eq!(fitted(vec![last.clone()], 1, size), [last]);
}

#[test]
fn documents_of_others_are_read_as_text() {
    let document = json!({"type": "doc", "version": 1, "content": [
        {"type": "paragraph", "content": [{"type": "text", "text": "Disk"}, {"type": "hardBreak"}, {"type": "mention", "attrs": {"text": "@ann"}}]},
        {"type": "bulletList", "content": [{"type": "listItem", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "one"}]}]}]},
        {"type": "table", "content": [{"type": "tableRow", "content": [
            {"type": "tableCell", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "a"}]}]},
            {"type": "tableCell", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "b"}]}]}]}]},
        {"type": "unknown", "content": [{"type": "text", "text": "new"}]}]});
    assert_eq!(adf::text_of(&document), "Disk\n@ann\n- one\na | b | \nnew");
    let mut deep = json!({"type": "text", "text": "bottom"});
    for _ in 0..60 {
        deep = json!({"type": "paragraph", "content": [deep]});
    }
    assert_eq!(adf::text_of(&deep), "");
}

#[derive(Debug)]
struct Recorded;
impl Clock for Recorded {
    fn now(&self) -> Timestamp {
        "2026-11-21T00:00:00Z".parse().unwrap()
    }
}

fn registry(deployment: Deployment, write: bool) -> (Registry, Asked) {
    registry_of(deployment, write, Arc::new(Mutex::new("OPS-12")))
}

/// `stands` is the key of the issue by now.
fn registry_of(deployment: Deployment, write: bool, stands: Arc<Mutex<&'static str>>) -> (Registry, Asked) {
    let (address, asked) = peer(move |request| {
        let line = request.lines().next().unwrap_or_default();
        let fields = json!({"summary": "Disk full\u{202e}", "description": "has s3cr3t-value", "status": {"id": "1", "name": "Open"},
            "issuetype": {"name": "Task"}, "priority": {"name": "High"}, "labels": ["storage"], "assignee": null,
            "reporter": {"displayName": "Ann"}, "created": "2026-11-20T10:00:00.000+0000", "updated": "2026-11-20T11:00:00.000+0000",
            "resolution": null, "issuelinks": [{"type": {"outward": "blocks"},
                "outwardIssue": {"key": "OPS-3", "fields": {"summary": "Grow", "status": {"name": "Done"}}}}]});
        let body = match () {
            () if line.contains("/search") => json!({"total": 3, "issues": [
                {"key": "OPS-12", "fields": fields}, {"key": "HR-1", "fields": {"summary": "salaries"}}]}),
            () if line.contains("/comment") => json!({"total": 1, "comments": [
                {"id": "5", "author": {"displayName": "Bob"}, "created": "2026-11-20T12:00:00.000+0000", "body": "on it"}]}),
            () if line.contains("/transitions") => json!({"transitions": [
                {"id": "11", "name": "Start", "to": {"id": "3", "name": "In Progress"}},
                {"id": "21", "name": "Finish", "to": {"id": "4", "name": "Done"}},
                {"id": "31", "name": "Drop", "to": {"id": "4", "name": "Done"}}]}),
            () if line.contains("/remotelink") => json!([{"id": 1, "globalId": "g", "object": {"title": "dashboard"}}]),
            () if line.contains("/project/") => {
                json!({"key": "OPS", "issueTypes": [{"name": "Task"}, {"name": "Sub", "subtask": true}]})
            }
            () => json!({"key": *stands.lock().unwrap(), "fields": fields}),
        };
        http(200, "application/json", body.to_string().as_bytes())
    });
    let auth =
        Some(Auth::Basic { username: "fw@example.org".into(), password: crate::domain::Secret::new("t0ken", "env:T") });
    let jira = JiraReader::new(&address, auth, deployment, vec!["OPS".into(), "WEB".into()]).unwrap();
    let jira_writer = write.then(|| JiraWriter::new(jira.clone(), "Task"));
    let sources = Sources { jira: Some(jira), jira_writer, ..Sources::none(Arc::new(Recorded)) };
    let redactor = Arc::new(arc_swap::ArcSwap::from_pointee(Redactor::new(["s3cr3t-value"]).unwrap()));
    (Registry::new(&Manifests::embedded().unwrap(), sources, redactor).unwrap(), asked)
}

#[tokio::test]
async fn issues_are_found_in_the_projects_that_count_and_nowhere_else() {
    for (deployment, path) in
        [(Deployment::Cloud, "POST /rest/api/3/search/jql "), (Deployment::Server, "POST /rest/api/2/search ")]
    {
        let (registry, asked) = registry(deployment, false);
        let seen = registry.look("jira_search", &json!({"text": "disk \"full"})).await.unwrap();
        assert!(seen.text.starts_with("1 issue: OPS-12 Disk full\n"), "{}", seen.text);
        assert!(!seen.data.to_string().contains("salaries") && seen.truncated);
        let asked = asked.lock().unwrap().remove(0);
        assert!(asked.starts_with(path), "{asked}");
        let body: Value = serde_json::from_str(asked.split_once("\r\n\r\n").unwrap().1).unwrap();
        let jql = "project in (\"OPS\", \"WEB\") AND (text ~ \"disk \\\"full\") ORDER BY updated DESC";
        assert_eq!((&body["jql"], &body["maxResults"]), (&json!(jql), &json!(20)));
    }
    let (registry, asked) = registry(Deployment::Cloud, false);
    for args in [json!({"text": "a", "jql": "b"}), json!({"jql": "a) OR (project = HR"}), json!({"limit": 1000})] {
        assert!(registry.look("jira_search", &args).await.is_err(), "{args}");
    }
    for key in ["HR-1", "OPS-1/../../myself", "OPS"] {
        assert!(registry.look("jira_issue", &json!({"key": key})).await.is_err(), "{key}");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_issue_is_told_with_what_belongs_to_it() {
    let (registry, _) = registry(Deployment::Server, false);
    let seen = registry.look("jira_issue", &json!({"key": "OPS-12"})).await.unwrap();
    insta::assert_snapshot!("issue", seen.text);
    assert!(!seen.data.to_string().contains("s3cr3t"));
}

#[tokio::test]
async fn writing_is_offered_only_where_it_may_be() {
    let names = |registry: &Registry| {
        registry
            .specs()
            .iter()
            .map(|spec| spec.name.clone())
            .filter(|name| name.starts_with("jira"))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&registry(Deployment::Cloud, false).0), ["jira_issue", "jira_search"]);
    let all = ["jira_comment", "jira_create_issue", "jira_issue", "jira_link", "jira_search", "jira_transition"];
    assert_eq!(names(&registry(Deployment::Cloud, true).0), all);
}

#[tokio::test]
async fn plans_are_the_same_for_the_same_world_and_carry_what_is_written() {
    let (registry, asked) = registry(Deployment::Cloud, true);
    let incident = crate::domain::Digest::of("incident");
    let case = case();
    let setting =
        |case| Setting { incident: &incident, began: Timestamp::UNIX_EPOCH, now: Timestamp::UNIX_EPOCH, case };
    // Neither the chain's end nor a later revision makes another question of it.
    let later = CaseText { chain: "inv_1 18@f".into(), ..case.clone() };
    let mut shown = vec![];
    for (tool, args) in [
        ("jira_create_issue", json!({"note": "I think token=abcdefghijklmnop\nis s3cr3t-value"})),
        ("jira_comment", json!({"key": "OPS-12", "about": "act_1"})),
        ("jira_comment", json!({"key": "OPS-12", "note": "look"})),
        ("jira_transition", json!({"key": "OPS-12", "to": "in progress"})),
        ("jira_transition", json!({"key": "OPS-12", "to": "Drop"})),
        ("jira_link", json!({"key": "OPS-12"})),
    ] {
        let first = registry.plan(tool, &args, &setting(&case)).await.unwrap();
        let again = registry.plan(tool, &args, &setting(&later)).await.unwrap();
        assert_eq!(
            (&first.preview, &first.targets, &first.precondition),
            (&again.preview, &again.targets, &again.precondition)
        );
        let all = format!("{first:?}");
        assert!(!all.contains("s3cr3t") && !all.contains("hunter2222"), "{all}");
        shown.push(format!(
            "{}\n{}\n{:?} {} {}\n",
            first.title,
            first.preview.text,
            first.retry,
            first.targets[0].label(),
            first.precondition
        ));
    }
    insta::assert_snapshot!("plans", shown.join("\n"));
    for (tool, args, says) in [
        ("jira_create_issue", json!({"project": "HR"}), "only these projects count"),
        ("jira_comment", json!({"key": "HR-1"}), "only these projects count"),
        ("jira_comment", json!({"key": "OPS-12", "about": "act_9"}), "no such change"),
        (
            "jira_transition",
            json!({"key": "OPS-12", "to": "Done"}),
            "Start (to In Progress), Finish (to Done), Drop (to Done)",
        ),
        ("jira_transition", json!({"key": "OPS-12", "to": "Fly"}), "OPS-12 is Open"),
    ] {
        let error = registry.plan(tool, &args, &setting(&case)).await.unwrap_err();
        assert!(error.for_reader().contains(says), "{tool} {args}: {error}");
    }
    let nowhere = CaseText { url: None, ..case.clone() };
    assert!(registry.plan("jira_link", &json!({"key": "OPS-12"}), &setting(&nowhere)).await.is_err());
    assert!(asked.lock().unwrap().iter().all(|request| request.starts_with("GET ")), "planning changes nothing");
}

#[tokio::test]
async fn an_issue_that_moved_is_left_alone() {
    let case = case();
    let (incident, now) = (crate::domain::Digest::of("incident"), Timestamp::UNIX_EPOCH);
    let setting = Setting { incident: &incident, began: now, now, case: &case };
    for (tool, args) in [
        ("jira_comment", json!({"key": "OPS-12"})),
        ("jira_transition", json!({"key": "OPS-12", "to": "Start"})),
        ("jira_link", json!({"key": "OPS-12"})),
    ] {
        for (stands, says) in [("WEB-9", "OPS-12 was moved and is WEB-9 by now"), ("HR-1", "only these projects count")]
        {
            let key = Arc::new(Mutex::new("OPS-12"));
            let (registry, asked) = registry_of(Deployment::Server, true, key.clone());
            let plan = registry.plan(tool, &args, &setting).await.unwrap();
            let action = Action {
                id: ActionId::new(uuid::Uuid::nil()),
                tool: tool.into(),
                effect: Effect::Record,
                reversible: plan.reversible,
                args: args.clone(),
                title: plan.title,
                targets: plan.targets,
                preview: plan.preview,
                precondition: plan.precondition,
                carries: plan.carries,
                undo: plan.undo,
                retry: plan.retry,
                blast_radius: plan.blast_radius,
                facts: plan.facts,
                nonce: String::new(),
            };
            // Somebody moves it between the plan, which policy judged, and the change.
            *key.lock().unwrap() = stands;
            let error = registry.plan(tool, &args, &setting).await.unwrap_err();
            assert!(error.for_reader().contains(says), "{tool} {stands}: {error}");
            let warrant = Warrant::for_test(action, Marker::sign(&incident, b"key"), now);
            let error = registry.execute(warrant, now).await.unwrap_err();
            assert!(matches!(&error, ActError::Refused { text } if text.contains(says)), "{tool} {stands}: {error:?}");
            assert!(
                asked.lock().unwrap().iter().all(|request| request.starts_with("GET ")),
                "{tool}: nothing was sent"
            );
        }
    }
}
