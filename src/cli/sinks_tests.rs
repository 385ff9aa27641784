//! Whatever stands in a report, no place where it is shown does anything with it.

use super::markdown;
use super::text::Colour;
use crate::analysis;
use crate::domain::Report;
use crate::engine::notify::Notice;
use crate::http;
use serde_json::{Value, json};

/// Text that wants to act, and what no place may show of it as it is.
const HOSTILE: [(&str, &str, &[&str]); 12] = [
    ("ANSI", "a\u{1b}[2Jb", &["\u{1b}"]),
    ("OSC 8 link", "a\u{1b}]8;;http://evil.example\u{1b}\\click\u{1b}]8;;\u{1b}\\b", &["\u{1b}"]),
    ("C1 control", "a\u{9b}2Jb", &["\u{9b}"]),
    ("bell and backspace", "a\u{7}\u{8}b", &["\u{7}", "\u{8}"]),
    ("direction", "user\u{202e}gpj.exe", &["\u{202e}"]),
    ("isolate", "a\u{2066}b", &["\u{2066}"]),
    ("HTML", "<img src=x onerror=alert(1)>", &["<img"]),
    ("script", "</pre><script>alert(1)</script>", &["<script", "</pre><s"]),
    ("chat mention", "<!channel> now", &["<!channel>"]),
    ("mention", "@oncall now", &["@oncall"]),
    ("image", "![x](http://evil.example/x.png)", &["![x]"]),
    ("link", "[x](http://evil.example)", &["[x](http"]),
];

/// A report that says `text` wherever somebody else's words may stand.
fn report(text: &str) -> Report {
    let entity = json!({"kind": text, "namespace": text, "name": text});
    let at = "2026-04-01T00:00:00Z";
    let value = json!({
        "schema_version": "rca_report/v1", "revision": 1,
        "incident": {"id": "inv_1", "fingerprint": text, "alert": text, "started_at": at,
                     "subject": {"kind": text, "namespace": text, "name": text, "cluster": null}},
        "verdict": "likely", "risk": {"level": "HIGH", "reasons": [{"rule": "r", "reason": text, "effect": "raise"}]},
        "summary": text,
        "root_causes": [{"id": "C1", "cause_code": text, "entity": entity, "statement": text, "confidence": 0.8,
                         "category": "code", "onset": at, "evidence_ids": ["E1"], "contradicting_ids": [], "change_ref": null}],
        "causal_chain": [{"seq": 1, "entity": entity, "event": text, "at": at, "evidence_ids": ["E1"],
                          "relation": "causes", "inferred": false}],
        "alternatives": [{"cause_code": text, "entity": entity, "confidence": 0.1, "why_less_likely": text, "evidence_ids": []}],
        "impact": {"services": [text], "statement": text, "since": at, "evidence_ids": []},
        "timeline": [{"at": at, "source": text, "text": text, "evidence_id": "E1"}],
        "actions": [{"id": "act_1", "tool": text, "target": text, "state": "done", "policy": "allow"}],
        "recommendations": [{"type": "fix", "text": text, "addresses": ["C1"]}],
        "queries": [{"tool": text, "query": text, "evidence_id": "E1"}],
        "open_questions": [{"question": text, "how_to_answer": text, "blocked_by": text}],
        "similar": [], "runbooks": [],
        "evidence": [{"id": "E1", "kind": text, "tool": text, "query": text, "at": at, "excerpt": text,
                      "hash": format!("sha256:{}", "0".repeat(64)), "truncated": false, "redacted": false}],
        "provenance": {"mode": "hybrid", "model": text, "prompt_digest": null, "tokens_in": 0, "tokens_out": 0, "cost_usd": 0.0,
                       "duration_ms": 0, "time_to_first_evidence_ms": null, "collections_failed": [text]},
        "verification": {"claims": 1, "supported": 1, "removed": 0, "checks": [text]},
    });
    serde_json::from_value(value).unwrap()
}

#[test]
fn hostile_text_acts_nowhere() {
    for (name, text, acting) in HOSTILE {
        let report = report(text);
        let document = analysis::markdown(&report);
        let page = http::api::page(text, &document);
        let terminal = markdown::lines(&document, 100, Colour::Off).join("\n");
        for mark in acting {
            let control = mark.chars().all(|c| c.is_control() || !c.is_ascii());
            assert!(outside_code(&document).iter().all(|part| !part.contains(mark)), "{name} in Markdown: {document}");
            assert!(control || mark.starts_with(['!', '[', '@']) || !page.contains(mark), "{name} in HTML: {page}");
            // A terminal shows marks of markup as they are; what it acts on is not there at all.
            assert!(!control || !terminal.contains(mark), "{name} on a terminal");
            assert!(!control || !(document.contains(mark) || page.contains(mark)), "{name}: {document}");
        }
        assert!(page.starts_with("<!doctype html>") && page.matches('<').count() == 12, "{name}: {page}");
        // JSON holds the words themselves, and no byte that a terminal acts on.
        let json = super::text::json(&serde_json::to_string_pretty(&report).unwrap());
        assert!(
            !json.chars().any(|c| (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{2066}')),
            "{name}: {json}"
        );
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}

/// The parts of a Markdown text that are not code.
fn outside_code(document: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = document;
    while let Some(at) = rest.find('`') {
        let escaped = rest[..at].ends_with('\\');
        let ticks = rest[at..].chars().take_while(|c| *c == '`').count();
        parts.last_mut().unwrap().push_str(&rest[..at]);
        let after = &rest[at + ticks..];
        let fence = "`".repeat(ticks);
        rest = match after.find(&fence).filter(|_| !escaped) {
            Some(end) => &after[end + ticks..],
            None => after,
        };
        parts.push(String::new());
    }
    parts.last_mut().unwrap().push_str(rest);
    parts
}

#[test]
fn a_notice_is_data() {
    for (name, text, _) in HOSTILE {
        let notice = Notice {
            investigation: "inv_1".into(),
            revision: 1,
            alert: text.into(),
            subject: text.into(),
            risk: "LOW".into(),
            verdict: crate::domain::ReportVerdict::Likely,
            summary: text.into(),
            url: None,
            questions: vec![],
        };
        let bytes = serde_json::to_vec(&notice).unwrap();
        assert!(!bytes.iter().any(|byte| byte.is_ascii_control()), "{name}");
        assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap()["summary"], text, "{name}");
    }
}
