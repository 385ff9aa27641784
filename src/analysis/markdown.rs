//! The report as a person reads it at three in the morning: cause, confidence, what to do; then
//! how we know.
//!
//! Every text in it may come from outside, so none of it reaches the page as markup: no HTML, no
//! image, no link, no mention.

use super::text::{clip, is_format, moment, percent};
use crate::domain::{ChainStep, Report, ReportVerdict};
use std::fmt::Write as _;

/// Most rows of the evidence table.
const MAX_EVIDENCE: usize = 60;

/// The report in Markdown.
pub fn markdown(report: &Report) -> String {
    let mut page = String::new();
    head(&mut page, report);
    chain(&mut page, &report.causal_chain);
    doubts(&mut page, report);
    evidence(&mut page, report);
    timeline(&mut page, report);
    questions(&mut page, report);
    tail(&mut page, report);
    page
}

/// Writing to a string cannot fail.
macro_rules! line {
    ($page:expr) => { $page.push('\n') };
    ($page:expr, $($text:tt)*) => {{ let _ = writeln!($page, $($text)*); }};
}

fn head(page: &mut String, report: &Report) {
    let subject = &report.incident.subject;
    let place = subject.namespace.as_ref().map_or(String::new(), |n| format!("{n}/"));
    let title = format!("{} on {} {place}{}", report.incident.alert, subject.kind, subject.name);
    line!(page, "# {}", escape(&title));
    line!(page);
    line!(page, "**{}** {}", verdict(report), escape(&report.summary));
    line!(page);
    for cause in &report.root_causes {
        let cited = cause.evidence_ids.join(", ");
        line!(
            page,
            "- **{} {}** ({}): {} \\[{}\\]",
            cause.id,
            code(&cause.cause_code),
            percent(cause.confidence),
            escape(&cause.statement),
            escape(&cited)
        );
    }
    if !report.root_causes.is_empty() {
        line!(page);
    }
    if !report.recommendations.is_empty() {
        line!(page, "## What to do");
        line!(page);
        for (i, step) in report.recommendations.iter().enumerate() {
            let of =
                if step.addresses.is_empty() { String::new() } else { format!(" ({})", step.addresses.join(", ")) };
            line!(page, "{}. {}: {}{}", i + 1, escape(&step.kind), escape(&step.text), escape(&of));
        }
        line!(page);
    }
    if !report.actions.is_empty() {
        line!(page, "| Action | Target | State | Policy |");
        line!(page, "|---|---|---|---|");
        for action in &report.actions {
            line!(
                page,
                "| {} | {} | {} | {} |",
                code(&action.tool),
                code(&action.target),
                escape(&action.state),
                escape(&action.policy)
            );
        }
        line!(page);
    }
    if !report.impact.statement.is_empty() {
        let since = report.impact.since.map_or(String::new(), |at| format!(", since {}", moment(at)));
        line!(page, "Impact: {}{}.", escape(&report.impact.statement), since);
        line!(page);
    }
    line!(page, "Risk: {}.", report.risk.level);
    for reason in &report.risk.reasons {
        line!(page, "- {}: {}", code(&reason.rule), escape(&reason.reason));
    }
    line!(page);
}

fn verdict(report: &Report) -> String {
    let top = report.root_causes.first().map_or(0.0, |c| c.confidence);
    match report.verdict {
        ReportVerdict::Confirmed => format!("Confirmed ({}).", percent(top)),
        ReportVerdict::Likely => format!("Likely ({}).", percent(top)),
        ReportVerdict::Possible => format!("Possible ({}).", percent(top)),
        ReportVerdict::InsufficientEvidence => "Cause unknown.".into(),
        ReportVerdict::NoFault => "No fault found.".into(),
        ReportVerdict::Declined => "Declined.".into(),
    }
}

fn chain(page: &mut String, steps: &[ChainStep]) {
    if steps.is_empty() {
        return;
    }
    line!(page, "## How it came about");
    line!(page);
    for step in steps {
        let at = step.at.map_or(String::new(), |at| format!("{}: ", moment(at)));
        let source = match step.inferred {
            true => "inferred".to_owned(),
            false => step.evidence_ids.join(", "),
        };
        line!(page, "{}. {at}{} \\[{}\\]", step.seq, escape(&step.event), escape(&source));
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
            code(&clip(&item.query, 120)),
            code(&clip(&item.excerpt, 300))
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
    line!(page, "## Timeline");
    line!(page);
    for item in &report.timeline {
        let cited =
            if item.evidence_id.is_empty() { String::new() } else { format!(" \\[{}\\]", escape(&item.evidence_id)) };
        line!(page, "- {} {}: {}{cited}", moment(item.at), escape(&item.source), escape(&item.text));
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
        line!(page, "- {} {}{blocked}", escape(&open.question), code(&open.how_to_answer));
    }
    line!(page);
}

fn tail(page: &mut String, report: &Report) {
    let provenance = &report.provenance;
    let model = provenance.model.as_ref().map_or(String::new(), |m| format!(", model {}", escape(m)));
    line!(
        page,
        "Investigation {}, revision {}, {}{model}. Quotations come from the systems under investigation and may be wrong.",
        code(&report.incident.id),
        report.revision,
        escape(&provenance.mode)
    );
}

/// Text from outside as text: nothing in it is markup, a link or a mention.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c == '\n' || c == '\r' || c == '\t' => safe.push(' '),
            c if c.is_control() || is_format(c) => {}
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '!' | '~' | '{' | '}' => {
                safe.push('\\');
                safe.push(c);
            }
            // A word joiner keeps renderers from making links and mentions of their own accord.
            '@' if chars.peek().is_some_and(|n| n.is_alphanumeric()) => safe.push_str("@\u{2060}"),
            ':' if chars.peek() == Some(&'/') => safe.push_str(":\u{2060}"),
            '.' if safe.get(safe.len().saturating_sub(3)..).is_some_and(|w| w.eq_ignore_ascii_case("www")) => {
                safe.push_str("\u{2060}.")
            }
            c => safe.push(c),
        }
    }
    safe
}

/// Text from outside as code, in which nothing is markup. Pipes are escaped, since tables split
/// on them even there.
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
    format!("{fence}{pad}{}{pad}{fence}", line.replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_shown_and_does_nothing() {
        for (hostile, harmless) in [
            ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
            ("![b](http://evil/x.png)", "\\!\\[b\\](http:\u{2060}//evil/x.png)"),
            ("[click](javascript:alert(1))", "\\[click\\](javascript:alert(1))"),
            ("see www.evil.example", "see www\u{2060}.evil.example"),
            ("@org/team please", "@\u{2060}org/team please"),
            ("a\n# heading", "a \\# heading"),
            ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
        ] {
            assert_eq!(escape(hostile), harmless);
        }
        assert_eq!(code("a `b` | c"), "`` a `b` \\| c ``");
        assert_eq!(code("```\n<b>"), "```` ``` <\u{2060}b> ````");
    }

    #[test]
    fn multibyte_text_is_no_trap() {
        assert_eq!(escape("ä.ö€.x"), "ä.ö€.x");
    }
}
