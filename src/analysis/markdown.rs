//! The report as a person reads it at three in the morning: cause, confidence, what to do; then
//! how we know.
//!
//! Every text in it may come from outside, so none of it reaches the page as markup: no HTML, no
//! image, no link, no mention.

use super::text::{clip, gist, is_format, moment, percent};
use crate::domain::{Report, ReportAction, ReportVerdict, RootCause};
use serde_json::Value;
use std::fmt::Write as _;

/// Most rows of the evidence table.
const MAX_EVIDENCE: usize = 60;
/// Runbooks that are named.
const MAX_RUNBOOKS: usize = 5;
/// Gaps in full; the report holds them all.
const MAX_GAPS: usize = 20;

/// The report in Markdown.
pub fn markdown(report: &Report) -> String {
    let mut page = String::new();
    head(&mut page, report);
    storm(&mut page, report);
    closer(&mut page, report);
    chain(&mut page, report);
    timeline(&mut page, report);
    doubts(&mut page, report);
    questions(&mut page, report);
    gaps(&mut page, report);
    evidence(&mut page, report);
    tail(&mut page, report);
    page
}

/// Writing to a string cannot fail.
macro_rules! line {
    ($page:expr) => { $page.push('\n') };
    ($page:expr, $($text:tt)*) => {{ let _ = writeln!($page, $($text)*); }};
}

/// What is broken, why, and what to do: one screen.
fn head(page: &mut String, report: &Report) {
    line!(page, "# {}", escape(&title(report)));
    line!(page);
    line!(page, "{}", opening(report));
    line!(page);
    for cause in &report.root_causes {
        line!(
            page,
            "- **{}** {}, {}: {} ({})",
            cause.id,
            code(&cause.cause_code),
            percent(cause.confidence),
            prose(&cause.statement),
            escape(&cause.evidence_ids.join(", "))
        );
    }
    if !report.root_causes.is_empty() {
        line!(page);
    }
    if !report.recommendations.is_empty() {
        line!(page, "## What to do");
        line!(page);
        for (i, step) in report.recommendations.iter().enumerate() {
            let of = if step.addresses.is_empty() { String::new() } else { format!(" {}", step.addresses.join(", ")) };
            line!(page, "{}. **{}{}**: {}", i + 1, escape(&raised(&step.kind)), escape(&of), prose(&step.text));
        }
        line!(page);
    }
    changes(page, report);
    let reasons: Vec<String> =
        report.risk.reasons.iter().map(|r| format!("{} ({})", escape(&r.reason), code(&r.rule))).collect();
    let why = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
    line!(page, "Risk {}{why}.", report.risk.level);
    line!(page);
    runbooks(page, report);
}

/// What the alerts of a storm have in common, the critical ones first.
fn storm(page: &mut String, report: &Report) {
    let Some(storm) = &report.storm else { return };
    line!(page, "## The storm");
    line!(page);
    for alert in &storm.critical {
        let namespace = alert.namespace.as_ref().map_or(String::new(), |namespace| format!(" in {}", code(namespace)));
        let over = if alert.firing { "" } else { ", over by now" };
        let times = if alert.alerts > 1 { format!(", {} times", alert.alerts) } else { String::new() };
        let (name, subject, since) = (code(&alert.alert), code(&alert.subject), moment(alert.starts_at));
        line!(page, "- **critical** {name} on {subject}{namespace}{times}, since {since}{over}");
    }
    if storm.critical_more > 0 {
        line!(page, "- and {} more critical ones", storm.critical_more);
    }
    if !storm.critical.is_empty() {
        line!(page);
    }
    if let Some(told_apart) = storm.told_apart {
        line!(page, "Figures are of {told_apart} of {} alerts, the first and the loudest.", storm.alerts);
        line!(page);
    }
    line!(page, "| What | Value | Alerts | First began |");
    line!(page, "|---|---|---|---|");
    let kinds = [
        ("alert", &storm.names),
        ("namespace", &storm.namespaces),
        ("node", &storm.nodes),
        ("cluster", &storm.clusters),
        ("concerns", &storm.subjects),
    ];
    for (kind, shares) in kinds {
        for share in &shares.rows {
            line!(page, "| {kind} | {} | {} | {} |", code(&share.value), share.alerts, moment(share.first_at));
        }
        if shares.more > 0 {
            line!(page, "| {kind} | {} more | | |", shares.more);
        }
    }
    line!(page);
}

/// What was planned and done, and the one command that answers what is asked.
fn changes(page: &mut String, report: &Report) {
    if report.actions.is_empty() {
        return;
    }
    line!(page, "## Changes");
    line!(page);
    for action in &report.actions {
        let what = match action.title.is_empty() {
            true => format!("{} on {}", code(&action.tool), code(&action.target)),
            false => format!("{} ({})", prose(&raised(&clip(&action.title, 300))), code(&action.tool)),
        };
        let rules: Vec<String> = action.rules.iter().map(|rule| code(rule)).collect();
        let policy = match (action.policy.is_empty(), rules.is_empty()) {
            (true, _) => String::new(),
            (false, true) => format!(" Policy: {}.", escape(&action.policy)),
            (false, false) => format!(" Policy: {} ({}).", escape(&action.policy), rules.join(", ")),
        };
        let detail = action.detail.as_ref().map_or(String::new(), |detail| format!(" {}.", prose(&clip(detail, 300))));
        line!(page, "- **{}**: {what}.{detail}{policy}{}", escape(&action.state), approve(action));
    }
    line!(page);
}

/// How a person says yes to what is asked.
fn approve(action: &ReportAction) -> String {
    let Some(approval) = action.approval.as_ref().filter(|_| action.state == "asked") else { return String::new() };
    let until = action.expires_at.map_or(String::new(), |at| format!(" until {}", moment(at)));
    format!(" Approve{until}: {}", code(&format!("firewarden approvals grant {approval}")))
}

/// What people wrote down for this alert.
fn runbooks(page: &mut String, report: &Report) {
    let part = |runbook: &Value, key: &str| clip(runbook[key].as_str().unwrap_or_default(), 300);
    for runbook in report.runbooks.iter().take(MAX_RUNBOOKS) {
        let (title, source) = (part(runbook, "title"), part(runbook, "source"));
        line!(page, "Runbook: {}, {} ({})", escape(&title), code(&source), escape(&part(runbook, "evidence_id")));
        line!(page);
    }
}

fn title(report: &Report) -> String {
    let (alert, subject) = (&report.incident.alert, &report.incident.subject);
    match (subject.name.as_str(), subject.namespace.as_deref().filter(|n| !n.is_empty())) {
        ("", None) => alert.clone(),
        ("", Some(namespace)) => format!("{alert} in {namespace}"),
        (name, None) => format!("{alert} on {}{name}", kind_word(&subject.kind)),
        (name, Some(namespace)) => format!("{alert} on {}{namespace}/{name}", kind_word(&subject.kind)),
    }
}

/// A kind before a name; nothing for one that is not known.
fn kind_word(kind: &str) -> String {
    match kind {
        "" | "unknown" => String::new(),
        kind => format!("{kind} "),
    }
}

/// The verdict, who suffers, and the summary unless it only repeats the causes below it.
fn opening(report: &Report) -> String {
    let mut text = format!("**{}**", verdict(report));
    let impact = &report.impact;
    if !impact.statement.is_empty() {
        let since = impact.since.map_or(String::new(), |at| format!(" Since {}.", moment(at)));
        text.push_str(&format!(" {}.{since}", prose(&raised(&impact.statement))));
    }
    let summary = report.summary.to_lowercase();
    let repeated = report.root_causes.iter().take(2).all(|c| summary.contains(&gist(&c.statement).to_lowercase()));
    if report.root_causes.is_empty() || !repeated {
        text.push_str(&format!(" {}", prose(&report.summary)));
    }
    text
}

/// With a capital letter in front.
fn raised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

fn verdict(report: &Report) -> String {
    let top = report.root_causes.first().map_or(0.0, |c| c.confidence);
    match report.verdict {
        ReportVerdict::Confirmed => format!("Confirmed ({}).", percent(top)),
        ReportVerdict::Likely => format!("Likely ({}).", percent(top)),
        ReportVerdict::Possible => format!("Possible ({}).", percent(top)),
        ReportVerdict::InsufficientEvidence => "Cause unknown.".into(),
        ReportVerdict::NoFault => "No fault.".into(),
        ReportVerdict::Declined => "Declined.".into(),
    }
}

/// What a closer look showed.
fn closer(page: &mut String, report: &Report) {
    if report.closer.is_empty() {
        return;
    }
    line!(page, "## Looked at more closely");
    line!(page);
    for detail in &report.closer {
        let cited = match detail.evidence_ids.is_empty() {
            true => String::new(),
            false => format!(" ({})", escape(&detail.evidence_ids.join(", "))),
        };
        line!(page, "- {}{cited}", prose(&raised(&detail.text)));
    }
    line!(page);
}

/// The links in groups, one for each cause.
fn chain(page: &mut String, report: &Report) {
    if report.causal_chain.is_empty() {
        return;
    }
    line!(page, "## How it came about");
    line!(page);
    let mut causes = report.root_causes.iter().peekable();
    for step in &report.causal_chain {
        let begins =
            |c: &&RootCause| c.entity == step.entity && c.onset == step.at && c.evidence_ids == step.evidence_ids;
        if let Some(cause) = causes.next_if(begins) {
            if step.seq > 1 {
                line!(page);
            }
            line!(page, "{} of {}:", escape(&cause.id), escape(&cause.entity.to_string()));
            line!(page);
        }
        let at = step.at.map_or(String::new(), |at| format!("{}: ", moment(at)));
        let source = match step.inferred {
            true => "inferred".to_owned(),
            false => step.evidence_ids.join(", "),
        };
        line!(page, "{}. {at}{} ({})", step.seq, prose(&step.event), escape(&source));
    }
    line!(page);
}

fn doubts(page: &mut String, report: &Report) {
    if report.alternatives.is_empty() {
        return;
    }
    line!(page, "## Weighed and found lighter");
    line!(page);
    for other in &report.alternatives {
        line!(
            page,
            "- {} of {} ({}): {}",
            code(&other.cause_code),
            escape(&other.entity.to_string()),
            percent(other.confidence),
            escape(&other.why_less_likely)
        );
    }
    line!(page);
}

fn evidence(page: &mut String, report: &Report) {
    if report.evidence.is_empty() {
        return;
    }
    line!(page, "## Evidence");
    line!(page);
    line!(page, "| Id | Kind | Asked | Seen |");
    line!(page, "|---|---|---|---|");
    for item in report.evidence.iter().take(MAX_EVIDENCE) {
        line!(
            page,
            "| {} | {} | {} | {} |",
            escape(&item.id),
            escape(&item.kind),
            cell(&clip(&item.query, 120)),
            cell(&clip(&item.excerpt, 300))
        );
    }
    if let Some(more) = report.evidence.len().checked_sub(MAX_EVIDENCE).filter(|n| *n > 0) {
        line!(page, "| … | | {more} more in the report's JSON | |");
    }
    line!(page);
}

fn timeline(page: &mut String, report: &Report) {
    if report.timeline.is_empty() {
        return;
    }
    line!(page, "## Timeline (UTC)");
    line!(page);
    for item in &report.timeline {
        let cited =
            if item.evidence_id.is_empty() { String::new() } else { format!(" ({})", escape(&item.evidence_id)) };
        let at = item.at.strftime("%Y-%m-%d %H:%M:%S");
        line!(page, "- {at} {}: {}{cited}", escape(&item.source), prose(&item.text));
    }
    line!(page);
}

fn questions(page: &mut String, report: &Report) {
    if report.open_questions.is_empty() {
        return;
    }
    line!(page, "## Open questions");
    line!(page);
    for open in &report.open_questions {
        let blocked = open.blocked_by.as_ref().map_or(String::new(), |why| format!(" (blocked: {})", escape(why)));
        line!(page, "- {} {}{blocked}", prose(&open.question), answer(&open.how_to_answer));
    }
    line!(page);
}

/// What is missing behind the report: calls that failed, a model that gave none.
fn gaps(page: &mut String, report: &Report) {
    let missing = &report.provenance.collections_failed;
    if missing.is_empty() {
        return;
    }
    line!(page, "## Not collected");
    line!(page);
    for gap in missing.iter().take(MAX_GAPS) {
        line!(page, "- {}", escape(&gap.chars().take(400).collect::<String>()));
    }
    if missing.len() > MAX_GAPS {
        line!(page, "- and {} more, in the report's provenance", missing.len() - MAX_GAPS);
    }
    line!(page);
}

fn tail(page: &mut String, report: &Report) {
    let provenance = &report.provenance;
    let model = provenance.model.as_ref().map_or(String::new(), |m| format!(", model {}", escape(m)));
    if let Some(budget) = provenance.budget.as_ref().filter(|budget| budget.is_bounded()) {
        line!(page, "The work was bounded ({}): {}.", budget.rung, prose(&budget.reason));
        line!(page);
    }
    line!(
        page,
        "Investigation {}, revision {}, {}{model}. Quotations come from the systems under investigation and may be wrong.",
        code(&report.incident.id),
        report.revision,
        escape(&provenance.mode)
    );
}

/// A command as code, a sentence as a sentence.
fn answer(text: &str) -> String {
    if text.starts_with("kubectl ") { code(text) } else { prose(text) }
}

/// A sentence of ours with quotations from outside: these are shown as code, where they read as
/// they were.
fn prose(text: &str) -> String {
    if text.matches('"').count() % 2 == 1 {
        return escape(text);
    }
    let parts = text.split('"').enumerate();
    parts.map(|(i, part)| if i % 2 == 1 { code(part) } else { escape(part) }).collect()
}

/// Text from outside as text: nothing in it is markup, a link or a mention.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let next = chars.peek().copied().unwrap_or(' ');
        match c {
            c if c == '\n' || c == '\r' || c == '\t' => safe.push(' '),
            c if c.is_control() || is_format(c) => {}
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            // Within a word it emphasises nothing.
            '_' if before.is_alphanumeric() && next.is_alphanumeric() => safe.push('_'),
            '!' if next != '[' => safe.push('!'),
            // Only at the start of a line is it a quotation.
            '>' if !safe.trim_start().is_empty() => safe.push('>'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '!' | '~' | '{' | '}' | '>' => {
                safe.push('\\');
                safe.push(c);
            }
            // A word joiner keeps renderers from making links and mentions of their own accord.
            '@' if next.is_alphanumeric() => safe.push_str("@\u{2060}"),
            ':' if next == '/' => safe.push_str(":\u{2060}"),
            '.' if safe.get(safe.len().saturating_sub(3)..).is_some_and(|w| w.eq_ignore_ascii_case("www")) => {
                safe.push_str("\u{2060}.")
            }
            c => safe.push(c),
        }
        before = c;
    }
    safe
}

/// Code in a table, which splits on pipes even there.
fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// Text from outside as code, in which nothing is markup.
fn code(text: &str) -> String {
    let line = clip(text, 400);
    if line.is_empty() {
        return String::new();
    }
    // In code a tag is text, too; a joiner keeps it so where a renderer is careless.
    let mut safe = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        safe.push(c);
        if c == '<' && chars.peek().is_some_and(|n| n.is_alphabetic() || matches!(n, '/' | '!' | '?')) {
            safe.push('\u{2060}');
        }
    }
    let line = safe;
    let longest = line.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if line.contains('`') { " " } else { "" };
    format!("{fence}{pad}{line}{pad}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_shown_and_does_nothing() {
        for (hostile, harmless) in [
            ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)>"),
            ("![b](http://evil/x.png)", "\\!\\[b\\](http:\u{2060}//evil/x.png)"),
            ("[click](javascript:alert(1))", "\\[click\\](javascript:alert(1))"),
            ("see www.evil.example", "see www\u{2060}.evil.example"),
            ("@org/team please", "@\u{2060}org/team please"),
            ("a\n# heading", "a \\# heading"),
            ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
            ("> quoted", "\\> quoted"),
            ("a_b _c_ wow!", "a_b \\_c\\_ wow!"),
        ] {
            assert_eq!(escape(hostile), harmless);
        }
        assert_eq!(cell("a `b` | c"), "`` a `b` \\| c ``");
        assert_eq!(prose("it says \"a|<b>\" here"), "it says `a|<\u{2060}b>` here");
        assert_eq!(prose("\"<b"), "\"&lt;b");
        assert_eq!(code("```\n<b>"), "```` ``` <\u{2060}b> ````");
    }

    #[test]
    fn a_change_says_what_became_of_it_and_a_question_how_to_answer() {
        let action = |value: serde_json::Value| -> ReportAction { serde_json::from_value(value).unwrap() };
        let asked = action(serde_json::json!({
            "id": "act_1", "tool": "kubernetes_scale", "target": "Deployment payments/api", "state": "asked",
            "policy": "ask", "title": "scale Deployment payments/api from 2 to 3 replicas",
            "rules": ["action/pressure"], "approval": "apr_1", "expires_at": "2026-11-21T00:10:00Z",
        }));
        let mut done = asked.clone();
        (done.state, done.policy, done.expires_at) = ("done".into(), "allow".into(), None);
        (done.rules, done.detail) = (vec![], Some("3 <b>replicas</b>".into()));
        let old = action(serde_json::json!({
            "id": "act_1", "tool": "scale", "target": "api", "state": "planned", "policy": "",
        }));
        for (action, expected) in [
            (
                asked,
                "- **asked**: Scale Deployment payments/api from 2 to 3 replicas (`kubernetes_scale`). Policy: ask \
                 (`action/pressure`). Approve until 2026-11-21 00:10 UTC: `firewarden approvals grant apr_1`",
            ),
            (
                done,
                "- **done**: Scale Deployment payments/api from 2 to 3 replicas (`kubernetes_scale`). 3 \
                 &lt;b>replicas&lt;/b>. Policy: allow.",
            ),
            (old, "- **planned**: `scale` on `api`."),
        ] {
            let mut page = String::new();
            changes(&mut page, &Report { actions: vec![action], ..report() });
            assert_eq!(page, format!("## Changes\n\n{expected}\n\n"));
        }
        let mut page = String::new();
        changes(&mut page, &report());
        assert_eq!(page, "");
    }

    fn report() -> Report {
        serde_json::from_value(serde_json::json!({
            "schema_version": "rca_report/v1", "revision": 1, "verdict": "likely", "summary": "s",
            "incident": {"id": "inv", "fingerprint": "f", "alert": "A", "started_at": "2026-11-20T00:00:00Z",
                         "subject": {"kind": "pvc", "namespace": null, "name": "d", "cluster": null}},
            "risk": {"level": "MEDIUM", "reasons": []}, "root_causes": [], "causal_chain": [], "alternatives": [],
            "impact": {"services": [], "statement": "", "since": null, "evidence_ids": []}, "timeline": [],
            "actions": [], "recommendations": [], "queries": [], "open_questions": [], "similar": [], "runbooks": [],
            "evidence": [], "provenance": {"mode": "deterministic", "model": null, "prompt_digest": null,
                "tokens_in": 0, "tokens_out": 0, "cost_usd": 0.0, "duration_ms": 1,
                "time_to_first_evidence_ms": null, "collections_failed": []},
            "verification": {"claims": 0, "supported": 0, "removed": 0, "checks": []}
        }))
        .unwrap()
    }

    #[test]
    fn multibyte_text_is_no_trap() {
        assert_eq!(escape("ä.ö€.x"), "ä.ö€.x");
    }
}
