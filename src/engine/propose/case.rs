//! What the prompt of an incident is rendered from.

use super::room::Room;
use crate::domain::{
    Analysis, Budget, Digest, Effect, EvidenceItem, Finding, Risk, RiskSummary, SreEvent, Verdict, floor,
};
use crate::template::fence;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Most entries of each list: the prompt stays a page, the tools give the rest.
const MAX_HYPOTHESES: usize = 5;
const MAX_FINDINGS: usize = 15;
const MAX_EVIDENCE: usize = 30;
const MAX_TIMELINE: usize = 20;
const MAX_EVENTS: usize = 20;
const MAX_LABELS: usize = 40;
/// Characters of what an alert says.
const MAX_BODY: usize = 6_000;

/// One incident, as far as it is known when the model is first asked.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// Its alerts, the opening one first; at least one.
    pub events: &'a [SreEvent],
    /// How many more there are, of which nothing else is told.
    pub beyond: usize,
    /// What policy found.
    pub risk: &'a RiskSummary,
    /// What the survey concluded.
    pub analysis: &'a Analysis,
    /// What it saw.
    pub evidence: &'a [EvidenceItem],
    /// What it could not see, and why.
    pub not_collected: &'a [String],
    /// What was proposed before, and what became of it: title, state and reason.
    pub changes: &'a [PastChange],
    /// What may be spent.
    pub budget: &'a Budget,
    /// What fits into the model's context.
    pub room: Room,
    /// Unguessable for writers of telemetry, the same for the whole investigation.
    pub nonce: &'a str,
    /// When the investigation opened.
    pub now: Timestamp,
}

/// A change that was proposed in an earlier revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastChange {
    /// In one line.
    pub title: String,
    /// The word on the wire: `refused`, `done`, …
    pub state: String,
    /// Why it is so, where somebody said it.
    pub reason: String,
}

impl Case<'_> {
    /// The variables of `prompts/incident.md.j2`, as [`crate::template::lint`] documents them.
    pub fn context(&self) -> Value {
        let Some(event) = self.events.first() else { return json!({}) };
        let labels: serde_json::Map<String, Value> =
            event.labels.iter().take(MAX_LABELS).map(|(name, value)| (name.clone(), json!(cap(value, 300)))).collect();
        json!({
            "title": fence::inline(&event.name, 200),
            "body": self.body(event),
            "storm": null,
            "url": fence::inline(event.links.first().map_or("", |link| link.url.as_str()), 1_000),
            "id": incident_slug(event),
            "labels": labels,
            "kind": "alert",
            "number": self.events.len() + self.beyond,
            "event": alert(event),
            "events": self.events.iter().take(self.room.items(MAX_EVENTS)).map(alert).collect::<Vec<_>>(),
            "resource": {"type": event.resource.kind, "id": event.resource.id,
                         "namespace": event.resource.namespace, "cluster": event.resource.cluster},
            "risk": risk(self.risk),
            "findings": self.analysis.findings.iter().filter(|f| !self.is_ranked(f)).take(self.room.items(MAX_FINDINGS)).map(finding).collect::<Vec<_>>(),
            "hypotheses": self.hypotheses(),
            "timeline": self.timeline(),
            "chain": self.analysis.chain,
            "open_questions": self.analysis.open_questions,
            "evidence": self.evidence.iter().take(self.room.items(MAX_EVIDENCE)).map(|item| json!({
                "id": item.id, "kind": item.kind, "tool": item.tool,
                "query": cap(&item.query, 200), "excerpt": cap(&item.excerpt, 300)})).collect::<Vec<_>>(),
            "not_collected": self.not_collected.iter().take(20).map(|gap| cap(gap, 200)).collect::<Vec<_>>(),
            "changes": self.changes.iter().take(20).map(|change| json!({
                "title": cap(&change.title, 200), "state": change.state, "reason": cap(&change.reason, 400)})).collect::<Vec<_>>(),
            "budget": {"turns": self.budget.turns, "tool_calls": self.budget.tool_calls, "wall_s": self.budget.wall_s},
            "now": self.now,
            "nonce": self.nonce,
        })
    }

    /// Everything that the alert says, fenced: whoever writes a prompt of his own need not think of it.
    fn body(&self, event: &SreEvent) -> String {
        let said = ["summary", "description"].map(|key| event.annotations.get_key_value(key));
        let of_order = said.into_iter().flatten();
        let others = event.annotations.iter().filter(|(key, _)| !["summary", "description"].contains(&key.as_str()));
        let annotations = of_order.chain(others).map(|(key, value)| format!("{key}: {}", cap(value, 2_000)));
        let labels = event.labels.iter().take(MAX_LABELS).map(|(name, value)| format!("{name} = {}", cap(value, 300)));
        let mut lines: Vec<String> = annotations.take(MAX_LABELS).collect();
        if lines.is_empty() {
            lines.push(event.description.clone());
        }
        lines.push("labels:".to_owned());
        lines.extend(labels);
        fence::fence(&lines.join("\n"), "alert", self.nonce, MAX_BODY)
    }

    fn is_ranked(&self, finding: &Finding) -> bool {
        self.analysis.hypotheses.iter().take(MAX_HYPOTHESES).any(|h| h.finding == *finding)
    }

    fn hypotheses(&self) -> Vec<Value> {
        let ranked = self.analysis.hypotheses.iter().take(MAX_HYPOTHESES);
        ranked
            .map(|h| {
                let mut row = finding(&h.finding);
                row["confidence"] = json!(round(h.confidence));
                row["score"] = json!(round(h.score));
                row["explains"] =
                    h.explains.iter().take(8).map(|f| json!(format!("{}: {}", f.cause_code, f.entity))).collect();
                row["why_less_likely"] = json!(h.why_less_likely);
                row
            })
            .collect()
    }

    /// The newest entries up to now, oldest first.
    fn timeline(&self) -> Vec<Value> {
        let items = &self.analysis.timeline;
        let from = items.len().saturating_sub(self.room.items(MAX_TIMELINE));
        items[from..]
            .iter()
            .map(|item| json!({"at": item.at, "source": item.source, "text": cap(&item.text, 200), "evidence": item.evidence_id}))
            .collect()
    }
}

/// `alertname-fingerprint-start` of an alert, fit for branches and file names: lower-case letters,
/// digits and single hyphens, at most 63 characters. The start is in seconds, base 36.
pub fn incident_slug(event: &SreEvent) -> String {
    let slug = |text: &str, most: usize| {
        let mut out = String::new();
        for c in text.chars().flat_map(char::to_lowercase) {
            match c {
                'a'..='z' | '0'..='9' => out.push(c),
                _ if !out.is_empty() && !out.ends_with('-') => out.push('-'),
                _ => {}
            }
            if out.len() >= most {
                break;
            }
        }
        out.trim_end_matches('-').to_owned()
    };
    // Two fingerprints that begin alike stay two.
    let fingerprint = match event.fingerprint.len() > 16 {
        true => Digest::of(&event.fingerprint).short(16).to_owned(),
        false => slug(&event.fingerprint, 16),
    };
    let parts = [slug(&event.name, 34), fingerprint, base36(event.starts_at.as_second())];
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("-")
}

fn base36(number: i64) -> String {
    let mut rest = number.unsigned_abs();
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((rest % 36) as u32, 36).unwrap_or('0'));
        rest /= 36;
        if rest == 0 {
            return digits.iter().rev().collect();
        }
    }
}

fn alert(event: &SreEvent) -> Value {
    json!({
        "name": cap(&event.name, 200), "source": event.source, "fingerprint": event.fingerprint,
        "severity": event.severity, "status": event.status, "subject": cap(&event.subject, 200),
        "title": cap(&event.title, 300), "description": cap(&event.description, 2_000),
        "starts_at": event.starts_at, "ends_at": event.ends_at,
        "labels": event.labels, "annotations": event.annotations,
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "cause_code": finding.cause_code, "entity": finding.entity.to_string(), "statement": cap(&finding.statement, 400),
        "category": finding.category, "symptom": finding.symptom, "onset": finding.onset,
        "evidence": finding.evidence, "remedy": finding.remedy,
    })
}

/// The level, why, and what follows from the floor for each effect; policy can only be stricter.
fn risk(decision: &RiskSummary) -> Value {
    let with = |verdict: Verdict| {
        let effects = Effect::ALL.iter().filter(|effect| **effect != Effect::Read);
        effects
            .filter(|effect| floor(decision.level, **effect) == verdict)
            .map(|effect| in_words(*effect))
            .collect::<Vec<_>>()
    };
    let sentence = |start: &str, list: Vec<&str>| match list.is_empty() {
        true => Vec::new(),
        false => vec![format!("{start}: {}.", list.join(", "))],
    };
    let never = match decision.level {
        Risk::Critical => vec!["Nothing is done by machines at this level.".to_owned()],
        Risk::Low | Risk::Medium | Risk::High => sentence("Refused", with(Verdict::Deny)),
    };
    json!({
        "level": decision.level,
        "reasons": decision.reasons.iter().take(8).map(|reason| cap(&reason.reason, 300)).collect::<Vec<_>>(),
        "may": sentence("Policy may allow without a question", with(Verdict::Allow)),
        "must_ask": sentence("A person is asked before", with(Verdict::Ask)),
        "never": never,
    })
}

const fn in_words(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "reading",
        Effect::Record => "writing into a ticket",
        Effect::Propose => "opening a pull request",
        Effect::Write => "a change that can be changed back",
        Effect::Destroy => "a removal that cannot be taken back",
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn cap(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests;
