//! The journal as people watch it: line by line, as it happens. Pure.
//!
//! ```text
//! 00:00  alert     PVCUsageHigh  warning  data-typedb-0
//! 00:00  risk      MEDIUM  on the alert alone
//!                  risk/base/severity  warning is MEDIUM
//! 00:01  E1        every Pod in db: 3 Pods: 2 Running, 1 CrashLoopBackOff (db-0, 42 restarts)
//! ```

use self::evidence::Asked;
use super::text::{Colour, Style, cut, line, pad, plural, wrap};
use crate::config::Span;
use crate::domain::{ActionId, Analysis, Budget, NO_MODEL, Reason, ReportVerdict, Risk, Rung, SreEvent, Verdict};
use crate::journal::{Abandoned, Body, Call, Compacted, Entry, Outcome, Phase, Proposal, SummaryOf, SummaryReply};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The widest line.
pub const COLUMNS: usize = 100;
/// Where the text begins: time, two blanks, label, two blanks.
const INDENT: usize = 5 + 2 + 8 + 2;
/// Alerts of one entry that are shown; the rest is counted.
const JOINED: usize = 5;
/// Calls that are remembered for the line of their result.
const CALLS: usize = 10_000;

/// Turns entries into lines. It remembers when the first entry was, and which call is which.
#[derive(Debug)]
pub struct Watcher {
    colour: Colour,
    started: Option<Timestamp>,
    calls: BTreeMap<String, Asked>,
    titles: BTreeMap<ActionId, String>,
    /// What was said last of the risk: said again only when it changes.
    reasons: Vec<Reason>,
    at: String,
}

impl Watcher {
    /// Has seen nothing yet.
    pub fn new(colour: Colour) -> Self {
        Self {
            colour,
            started: None,
            calls: BTreeMap::new(),
            titles: BTreeMap::new(),
            reasons: vec![],
            at: "00:00".into(),
        }
    }

    /// The lines for `entry`; some entries have none.
    pub fn lines(&mut self, entry: &Entry) -> Vec<String> {
        let started = *self.started.get_or_insert(entry.at);
        self.at = clock(started, entry.at);
        match &entry.body {
            Body::EventReceived { event, .. } => self.alert("alert", event),
            Body::AlertsMerged { events, .. } => {
                let mut lines: Vec<String> =
                    events.iter().take(JOINED).flat_map(|event| self.alert("joined", event)).collect();
                let more = events.len().saturating_sub(JOINED) as u64;
                lines.extend((more > 0).then(|| self.row("joined", &plural(more, "further alert"))));
                lines
            }
            Body::AlertsCounted(counted) => {
                self.text("joined", &format!("{}, counted", plural(counted.alerts.len() as u64, "further alert")))
            }
            Body::AlertResolved { fingerprint, .. } => {
                self.text("resolved", &format!("the alert {} is over", line(fingerprint, 40)))
            }
            Body::RiskAssessed { phase, decision, .. } => {
                let when = match phase {
                    Phase::Alert => "on the alert alone",
                    Phase::Survey => "with what was found out",
                    Phase::Signal => "with the alerts that joined",
                };
                let error = decision.error.as_ref().map(|e| format!("the policy failed: {}", line(e, 300)));
                let mut lines = vec![self.row("risk", &format!("{}  {when}", self.risk(decision.level)))];
                lines.extend(error.iter().flat_map(|error| self.below(error)));
                match self.reasons == decision.reasons {
                    true => lines.extend(self.below("the same reasons")),
                    false => lines.extend(self.reasons(&decision.reasons)),
                }
                lines.extend(self.excepted(&decision.exceptions));
                self.reasons.clone_from(&decision.reasons);
                lines
            }
            Body::RiskRaised { from, to } => {
                vec![self.row("risk", &format!("raised from {} to {}", self.risk(*from), self.risk(*to)))]
            }
            Body::Declined { reason } => self.text("declined", &line(reason, 600)),
            Body::Opened(frozen) => {
                let model = frozen.model.as_deref().map_or("no model".into(), |m| format!("model {}", line(m, 40)));
                let Budget { survey_calls, survey_s, wall_s, .. } = frozen.budget;
                let (survey, wall) = (Span::seconds(survey_s), Span::seconds(wall_s));
                let text = format!(
                    "route {}, {survey_calls} reads in {survey}, {model}, {wall} in all",
                    line(&frozen.route, 40)
                );
                self.text("begin", &text)
            }
            // The usual rungs are no news.
            Body::LadderTaken { rung: Rung::Full, .. } => vec![],
            Body::LadderTaken { reason, .. } if reason == NO_MODEL => vec![],
            Body::LadderTaken { rung, model, reason, .. } => {
                let model = model.as_deref().map_or(String::new(), |model| format!(", model {}", line(model, 40)));
                self.text("budget", &format!("{rung}{model}: {}", line(reason, 300)))
            }
            Body::SurveyPlanned { round, calls } => {
                self.remember(calls);
                self.text("look", &format!("round {round}: {}", plural(calls.len() as u64, "read")))
            }
            Body::Surveyed { stopped, findings, top_cause, .. } => {
                let mut text = plural(u64::from(*findings), "finding");
                if stopped != "complete" {
                    text.push_str(&format!(", stopped for {}", line(stopped, 40)));
                }
                if let Some(cause) = top_cause {
                    text.push_str(&format!("; likeliest cause: {}", line(cause, 300)));
                }
                self.text("findings", &text)
            }
            Body::Classified(_) | Body::Confirmed(_) | Body::GapFiled(_) => self.remedy(&entry.body),
            Body::ModelAsked { turn, model, must_answer, .. } => {
                let last = if *must_answer { ", for its last word" } else { "" };
                self.text("ask", &format!("turn {turn}: {}{last}", line(model, 60)))
            }
            Body::ModelReplied { turn, proposal, usage, cost_usd, .. } => {
                let what = match proposal {
                    Proposal::Calls { accepted, rejected, recovered } => {
                        self.remember(accepted);
                        let from_text = if *recovered { ", taken from its text" } else { "" };
                        let rejected = match rejected.len() {
                            0 => String::new(),
                            n => format!(", {n} malformed"),
                        };
                        format!("{}{rejected}{from_text}", plural(accepted.len() as u64, "read"))
                    }
                    Proposal::Report { .. } => "its report".into(),
                    Proposal::Invalid { remedy } => format!("nothing usable: {}", line(remedy, 160)),
                };
                let tokens = usage.tokens_in.saturating_add(usage.tokens_out);
                let cost = if *cost_usd > 0.0 { format!(", {cost_usd:.4} USD") } else { String::new() };
                self.text("answer", &format!("turn {turn}: {what}  ({tokens} tokens{cost})"))
            }
            Body::SummaryAsked { number, of, model, .. } => {
                let what = match of {
                    SummaryOf::Result { call_id } => format!("of the result of {}", line(call_id, 40)),
                    SummaryOf::Dropped { calls } => format!("of {}", plural(calls.len() as u64, "older result")),
                };
                self.text("condense", &format!("summary {number} {what}: {}", line(model, 60)))
            }
            Body::SummaryWritten(SummaryReply { number, usage, cost_usd, .. }) => {
                let tokens = usage.tokens_in.saturating_add(usage.tokens_out);
                let cost = if *cost_usd > 0.0 { format!(", {cost_usd:.4} USD") } else { String::new() };
                self.text("condensed", &format!("summary {number}  ({tokens} tokens{cost})"))
            }
            Body::SummaryFailed { number, error, .. } => {
                self.text("failed", &format!("summary {number}, which is done without: {}", line(error, 400)))
            }
            Body::Compacted(Compacted { calls, chars_before, chars_after, .. }) => {
                let what = plural(calls.len() as u64, "result");
                self.text("shorter", &format!("{what} in the conversation, {chars_before} to {chars_after} characters"))
            }
            Body::ModelFailed { turn, error, .. } => self.text("failed", &format!("turn {turn}: {}", line(error, 400))),
            Body::ReadStarted { call, ruling, .. } => {
                self.remember(std::slice::from_ref(call));
                // What is allowed shows when it is seen; anything else would be news.
                match ruling.verdict {
                    Verdict::Allow => vec![],
                    verdict @ (Verdict::Ask | Verdict::Deny) => self.ruled(&call.tool, verdict, &ruling.reasons),
                }
            }
            Body::ReadFinished { call_id, evidence_id, excerpt, instructions, .. } => {
                // Whoever watches knows it before anybody is asked for anything.
                let told = match instructions.is_empty() {
                    true => excerpt.clone(),
                    false => format!("looks like instructions ({}): {excerpt}", instructions.join(", ")),
                };
                vec![self.evidence(evidence_id, call_id, &told)]
            }
            Body::ReadFailed { call_id, evidence_id, error, .. } => {
                vec![self.evidence(evidence_id, call_id, &format!("failed: {error}"))]
            }
            Body::CallRejected { call, reason, ruling, .. } => match ruling {
                Some(ruling) => self.ruled(&call.tool, ruling.verdict, &ruling.reasons),
                None => self.text("refused", &format!("{}: {}", line(&call.tool, 60), line(reason, 300))),
            },
            Body::CallsProposed { .. }
            | Body::ActionPlanned { .. }
            | Body::ActionRuled { .. }
            | Body::ActionPutOff(_)
            | Body::ActionDropped { .. }
            | Body::ApprovalRequested { .. }
            | Body::ApprovalDecided { .. }
            | Body::ApprovalExpired { .. }
            | Body::ApprovalWithdrawn { .. }
            | Body::ActionStarted { .. }
            | Body::ActionFinished { .. }
            | Body::ActionFailed { .. }
            | Body::ActionDoubted { .. }
            | Body::ActionReconciled { .. }
            | Body::ActionObserved { .. }
            | Body::Verified { .. } => self.acting(entry),
            Body::Cancelled { reason } => self.text("cancelled", &line(reason, 300)),
            Body::Reported { revision, verdict, summary, .. } => {
                let mut lines = vec![self.row("report", &format!("revision {revision}: {}", self.verdict(*verdict)))];
                lines.extend(self.below(&line(summary, 600)));
                lines
            }
            Body::Notified { sink, revision, error } => {
                let outcome = error.as_ref().map_or(String::new(), |e| format!(" failed: {}", line(e, 200)));
                self.text("told", &format!("{} of revision {revision}{outcome}", line(sink, 60)))
            }
            Body::NoticeFailed { sink, revision, error, again_at, .. } => {
                let what = format!("{} of revision {revision} failed: {}", line(sink, 60), line(error, 200));
                self.text("told", &format!("{what}; again at {again_at:.0}"))
            }
            Body::Closed { outcome } => {
                let how = match outcome {
                    Outcome::Reported => "with a report",
                    Outcome::Declined => "without an agent",
                    Outcome::Cancelled => "by a person",
                    Outcome::Failed => "by a fault of firewarden",
                };
                self.text("closed", how)
            }
            Body::Reopened { reason } => self.text("reopened", &line(reason, 300)),
            Body::Started(with) => self.text("started", &format!("firewarden {}", line(&with.version, 40))),
            Body::PolicyActivated(_) | Body::PolicyRejected(_) | Body::ShadowDiffered(_) | Body::ShadowEnded(_) => {
                self.governing(entry)
            }
            Body::PayloadsDeleted(deleted) => self.text(
                "deleted",
                &format!("{} {} of {}", deleted.commitments.len(), deleted.kind.as_str(), line(&deleted.chain, 60)),
            ),
            Body::KeyRotated(now) => self.text("key", &format!("{} signs from here on", line(&now.key, 200))),
            Body::Stopped {} => self.text("stopped", ""),
            Body::Abandoned(Abandoned { investigation, reason }) => {
                self.text("given up", &format!("{investigation}: {}", line(reason, 300)))
            }
            Body::Replayed(again) => {
                let became: Vec<String> =
                    again.outcomes.iter().map(|(word, alerts)| format!("{alerts} {word}")).collect();
                let (by, letter) = (line(&again.by, 60), again.letter);
                self.text(
                    "replayed",
                    &format!("{letter} of {} by {by}: {}", line(&again.source, 40), became.join(", ")),
                )
            }
            Body::Quarantined(alert) => {
                self.text("aside", &format!("an alert of {}: {}", line(&alert.source, 40), line(&alert.reason, 300)))
            }
        }
    }

    /// What an analysis found, likeliest first: a line each, and what it explains.
    pub fn findings(&self, analysis: &Analysis) -> Vec<String> {
        analysis
            .hypotheses
            .iter()
            .take(8)
            .flat_map(|hypothesis| {
                let finding = &hypothesis.finding;
                let evidence = line(&finding.evidence.join(" "), 40);
                let percent = hypothesis.confidence.clamp(0.0, 1.0) * 100.0;
                let mut lines = vec![format!(
                    "{}{}",
                    " ".repeat(INDENT),
                    cut(&format!("{percent:>3.0} %  {}  {evidence}", line(&finding.cause_code, 40)), COLUMNS - INDENT)
                )];
                let statement = wrap(&line(&finding.statement, 400), COLUMNS - INDENT - 7);
                lines.extend(statement.into_iter().map(|text| format!("{}{text}", " ".repeat(INDENT + 7))));
                lines
            })
            .collect()
    }

    fn alert(&self, label: &str, event: &SreEvent) -> Vec<String> {
        let place = match &event.resource.namespace {
            Some(namespace) => format!("{}/{}", line(namespace, 63), line(&event.resource.id, 80)),
            None => line(&event.resource.id, 80),
        };
        let head = format!(
            "{}  {}  {} {place}  from {}",
            line(&event.name, 60),
            event.severity,
            event.resource.kind,
            line(&event.source, 40)
        );
        let mut lines = vec![self.row(label, &head)];
        lines.extend(self.below(&line(&event.description, 400)));
        lines
    }

    fn ruled(&self, tool: &str, verdict: Verdict, reasons: &[Reason]) -> Vec<String> {
        let style = match verdict {
            Verdict::Allow => Style::Green,
            Verdict::Ask => Style::Yellow,
            Verdict::Deny => Style::Red,
        };
        let verdict = self.colour.paint(style, verdict.as_str());
        let mut lines = vec![self.row("ruled", &format!("{verdict}  {}", line(tool, 60)))];
        lines.extend(self.reasons(reasons));
        lines
    }

    /// Rule, reason and place, aligned.
    fn reasons(&self, reasons: &[Reason]) -> Vec<String> {
        let shown = &reasons[..reasons.len().min(12)];
        let rules: Vec<String> = shown.iter().map(|r| line(&r.rule, 40)).collect();
        let widest = rules.iter().map(|rule| rule.chars().count()).max().unwrap_or(0);
        let room = COLUMNS - INDENT - widest - 2;
        rules
            .iter()
            .zip(shown)
            .flat_map(|(rule, reason)| {
                let at = reason.at.as_ref().map_or(String::new(), |at| format!("  ({})", line(at, 60)));
                let mut first = true;
                wrap(&format!("{}{at}", line(&reason.reason, 300)), room)
                    .into_iter()
                    .map(|text| {
                        let rule = if std::mem::take(&mut first) { rule.as_str() } else { "" };
                        format!("{}{}  {text}", " ".repeat(INDENT), pad(rule, widest))
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    fn remember(&mut self, calls: &[Call]) {
        for call in calls {
            if self.calls.len() < CALLS {
                self.calls.insert(call.id.clone(), Asked::of(call));
            }
        }
    }

    /// What was asked and what was seen.
    fn evidence(&self, id: &str, call: &str, answer: &str) -> String {
        let asked = self.calls.get(call).cloned().unwrap_or_else(|| Asked::unknown(call));
        self.row(&line(id, 8), &asked.answered(answer, COLUMNS - INDENT))
    }

    fn risk(&self, risk: Risk) -> String {
        paint_risk(self.colour, risk)
    }

    fn verdict(&self, verdict: ReportVerdict) -> String {
        paint_verdict(self.colour, verdict)
    }

    /// Time, label, text, on one line. Painted words count as wide as they look.
    fn row(&self, label: &str, text: &str) -> String {
        let painted: usize = text.matches('\x1b').count();
        let text = if painted == 0 { cut(text, COLUMNS - INDENT) } else { text.to_owned() };
        format!("{}  {}  {text}", self.at, pad(label, 8)).trim_end().to_owned()
    }

    /// Time, label and wrapped text.
    fn text(&self, label: &str, text: &str) -> Vec<String> {
        let mut wrapped = wrap(text, COLUMNS - INDENT).into_iter();
        let mut lines = vec![self.row(label, &wrapped.next().unwrap_or_default())];
        lines.extend(wrapped.map(|text| format!("{}{text}", " ".repeat(INDENT))));
        lines
    }

    fn below(&self, text: &str) -> Vec<String> {
        wrap(text, COLUMNS - INDENT).into_iter().map(|text| format!("{}{text}", " ".repeat(INDENT))).collect()
    }
}

/// A level in its colour.
pub fn paint_risk(colour: Colour, risk: Risk) -> String {
    let style = match risk {
        Risk::Low => Style::Green,
        Risk::Medium => Style::Yellow,
        Risk::High => Style::Red,
        Risk::Critical => Style::BoldRed,
    };
    colour.paint(style, risk.as_str())
}

/// A report's verdict in its colour.
pub fn paint_verdict(colour: Colour, verdict: ReportVerdict) -> String {
    let style = match verdict {
        ReportVerdict::Confirmed | ReportVerdict::Likely | ReportVerdict::NoFault => Style::Green,
        ReportVerdict::Possible | ReportVerdict::InsufficientEvidence => Style::Yellow,
        ReportVerdict::Declined => Style::Red,
    };
    colour.paint(style, verdict.as_str())
}

/// Minutes and seconds since `started`.
fn clock(started: Timestamp, at: Timestamp) -> String {
    let seconds = at.duration_since(started).as_secs().max(0);
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

mod acting;
mod evidence;
mod governing;
#[cfg(test)]
pub(crate) mod tests;
