//! The analysis as `rca_report/v1`.
//!
//! Holds always: `root_causes` is empty exactly when the verdict is insufficient_evidence, no_fault
//! or declined; every cause cites evidence that is in the report; every link of the chain cites or
//! says that it is inferred.

use super::conclude::of_alert;
use super::questions::looked_for;
use super::rank::{causes, is_elsewhere, nearby, rest, verdict};
use super::scene::subject_of;
use super::text::{clip, gist, quote};
use crate::domain::{
    Alternative, Analysis, ChainStep, Detail, Digest, EvidenceItem, Finding, Hypothesis, Incident, InvestigationId,
    OpenQuestion, Provenance, QueryMade, Recommendation, Report, ReportAction, ReportVerdict, RiskSummary, RootCause,
    SreEvent, Subject, TimelineItem, Verification,
};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;

/// Longest summary, in characters.
const SUMMARY_CHARS: usize = 400;
/// Most alternatives that are told.
const MAX_ALTERNATIVES: usize = 5;

/// What a report says beside the analysis.
#[derive(Debug, Clone)]
pub struct ReportFrame<'a> {
    /// The investigation.
    pub investigation_id: InvestigationId,
    /// 1 for the first report of an investigation.
    pub revision: u32,
    /// Its alerts, the opening one first.
    pub events: &'a [SreEvent],
    /// What policy says.
    pub risk: RiskSummary,
    /// How the report came to be.
    pub provenance: Provenance,
    /// Everything that was seen. What is not in here cannot be cited.
    pub evidence: Vec<EvidenceItem>,
    /// Everything that was asked.
    pub queries: Vec<QueryMade>,
    /// What was planned and done.
    pub actions: Vec<ReportAction>,
    /// Runbooks that were read.
    pub runbooks: Vec<Value>,
    /// Policy let no agent work on it.
    pub declined: bool,
}

/// Writes the report. Citations of evidence that the frame does not hold are taken out, and a
/// cause that loses all of them with them.
pub fn report(analysis: &Analysis, frame: ReportFrame<'_>) -> Report {
    let known: BTreeSet<&str> = frame.evidence.iter().map(|e| e.id.as_str()).collect();
    let mut check = Check { known: &known, verification: Verification::default() };
    let mut verdict = if frame.declined { ReportVerdict::Declined } else { verdict(analysis) };
    let mut root_causes = Vec::new();
    let mut kept: Vec<&Hypothesis> = Vec::new();
    if !is_silent(verdict) {
        for hypothesis in causes(analysis) {
            if let Some(cause) = root_cause(hypothesis, root_causes.len() + 1, &mut check) {
                root_causes.push(cause);
                kept.push(hypothesis);
            }
        }
        if root_causes.is_empty() {
            verdict = ReportVerdict::InsufficientEvidence;
        }
    }
    let causal_chain = if root_causes.is_empty() { Vec::new() } else { chain(&analysis.chain, &mut check) };
    let alternatives = match frame.declined {
        true => Vec::new(),
        false => rest(analysis).take(MAX_ALTERNATIVES).map(|h| alternative(h, &known)).collect(),
    };
    let timeline = timeline(analysis, &frame, &known);
    let mut impact = analysis.impact.clone();
    impact.evidence_ids.retain(|id| known.contains(id.as_str()));
    let verification = check.verification;
    Report {
        schema_version: "rca_report/v1".into(),
        revision: frame.revision,
        incident: incident(analysis, &frame),
        verdict,
        summary: summary(verdict, analysis, &root_causes, &frame),
        recommendations: recommendations(&kept, verdict, analysis),
        root_causes,
        causal_chain,
        alternatives,
        impact,
        timeline,
        storm: None,
        actions: frame.actions,
        closer: closer(analysis, &known),
        queries: frame.queries,
        open_questions: open_questions(analysis, verdict),
        similar: Vec::new(),
        runbooks: frame.runbooks,
        evidence: frame.evidence,
        risk: frame.risk,
        provenance: frame.provenance,
        verification,
    }
}

fn is_silent(verdict: ReportVerdict) -> bool {
    match verdict {
        ReportVerdict::Declined | ReportVerdict::NoFault | ReportVerdict::InsufficientEvidence => true,
        ReportVerdict::Possible | ReportVerdict::Likely | ReportVerdict::Confirmed => false,
    }
}

/// Counts claims while it takes out what is not carried by evidence.
struct Check<'k> {
    known: &'k BTreeSet<&'k str>,
    verification: Verification,
}

impl Check<'_> {
    fn cited(&mut self, ids: &[String], what: &str) -> Vec<String> {
        self.verification.claims += 1;
        let kept: Vec<String> = ids.iter().filter(|id| self.known.contains(id.as_str())).cloned().collect();
        if kept.is_empty() {
            self.verification.removed += 1;
            self.verification.checks.push(format!("{}: no evidence of it in this report", clip(what, 120)));
        } else {
            self.verification.supported += 1;
        }
        kept
    }
}

fn root_cause(hypothesis: &Hypothesis, number: usize, check: &mut Check<'_>) -> Option<RootCause> {
    let finding = &hypothesis.finding;
    let evidence_ids = check.cited(&finding.evidence, &finding.statement);
    (!evidence_ids.is_empty()).then(|| RootCause {
        id: format!("C{number}"),
        cause_code: finding.cause_code.clone(),
        entity: finding.entity.clone(),
        statement: statement(hypothesis),
        confidence: hypothesis.confidence,
        category: finding.category.clone(),
        onset: finding.onset,
        evidence_ids,
        contradicting_ids: Vec::new(),
        change_ref: finding.change.clone(),
    })
}

/// What the cause is, and what it led to where that is the alert's own matter.
fn statement(hypothesis: &Hypothesis) -> String {
    let volume = hypothesis.explains.iter().find(|f| f.cause_code.starts_with("volume_"));
    match volume.filter(|_| !hypothesis.finding.cause_code.starts_with("volume_")) {
        Some(volume) => {
            let fills = gist(&volume.statement);
            let lead = gist(&hypothesis.finding.statement);
            let said = &hypothesis.finding.statement[lead.len()..];
            format!("{fills}, because {lead} and crashes before it can compact its write-ahead log{said}")
        }
        None => hypothesis.finding.statement.clone(),
    }
}

fn chain(steps: &[ChainStep], check: &mut Check<'_>) -> Vec<ChainStep> {
    let mut kept = Vec::with_capacity(steps.len());
    for step in steps {
        let mut step = step.clone();
        if !step.inferred {
            step.evidence_ids = check.cited(&step.evidence_ids, &step.event);
        }
        step.inferred = step.evidence_ids.is_empty();
        kept.push(step);
    }
    kept
}

fn alternative(hypothesis: &Hypothesis, known: &BTreeSet<&str>) -> Alternative {
    let finding = &hypothesis.finding;
    let symptom = || "a consequence whose cause was not seen".to_owned();
    Alternative {
        cause_code: finding.cause_code.clone(),
        entity: finding.entity.clone(),
        confidence: hypothesis.confidence,
        why_less_likely: match (finding.symptom && !is_elsewhere(hypothesis), &hypothesis.why_less_likely) {
            (true, _) => symptom(),
            (false, Some(why)) => why.clone(),
            (false, None) => "too little evidence".into(),
        },
        evidence_ids: finding.evidence.iter().filter(|id| known.contains(id.as_str())).cloned().collect(),
    }
}

/// Lines whose evidence this report has, and those that say what was not measured.
fn closer(analysis: &Analysis, known: &BTreeSet<&str>) -> Vec<Detail> {
    let cited = |detail: &&Detail| detail.evidence_ids.iter().all(|id| known.contains(id.as_str()));
    analysis.closer.iter().filter(cited).cloned().collect()
}

fn timeline(analysis: &Analysis, frame: &ReportFrame<'_>, known: &BTreeSet<&str>) -> Vec<TimelineItem> {
    let cites = |item: &&TimelineItem| item.evidence_id.is_empty() || known.contains(item.evidence_id.as_str());
    let items: Vec<TimelineItem> = analysis.timeline.iter().filter(cites).cloned().collect();
    if !items.is_empty() {
        return items;
    }
    // Without an analysis the alerts are all that is known.
    let alerts = frame.events.iter().take(10);
    alerts
        .map(|e| TimelineItem {
            at: e.starts_at,
            source: "alert".into(),
            text: format!("alert {} starts: {}", clip(&e.name, 80), quote(&e.title)),
            evidence_id: String::new(),
        })
        .collect()
}

fn incident(analysis: &Analysis, frame: &ReportFrame<'_>) -> Incident {
    let Some(event) = frame.events.first() else {
        return Incident {
            id: frame.investigation_id.to_string(),
            fingerprint: Digest::of("").to_string(),
            alert: String::new(),
            started_at: Timestamp::UNIX_EPOCH,
            subject: Subject { kind: "unknown".into(), namespace: None, name: String::new(), cluster: None },
        };
    };
    // The survey may have found the namespace that the alert leaves out.
    let found = of_alert(analysis).map(|step| &step.entity);
    let subject = subject_of(event).map(|named| match found {
        Some(found) if named.namespace.is_empty() && (&found.kind, &found.name) == (&named.kind, &named.name) => {
            found.clone()
        }
        _ => named,
    });
    let (kind, namespace, name) = match subject {
        Some(entity) => (entity.kind, Some(entity.namespace).filter(|n| !n.is_empty()), entity.name),
        None => {
            let label = |name: &str| event.labels.get(name).cloned();
            let id = Some(event.resource.id.clone()).filter(|id| !id.is_empty());
            let name = id.or_else(|| label("service")).or_else(|| label("job")).unwrap_or_default();
            (event.resource.kind.to_string(), event.resource.namespace.clone(), name)
        }
    };
    Incident {
        id: frame.investigation_id.to_string(),
        fingerprint: event.fingerprint.clone(),
        alert: event.name.clone(),
        started_at: event.starts_at,
        subject: Subject { kind, namespace, name, cluster: event.resource.cluster.clone() },
    }
}

fn summary(verdict: ReportVerdict, analysis: &Analysis, causes: &[RootCause], frame: &ReportFrame<'_>) -> String {
    let alert = frame.events.first().map_or("The alert", |e| e.name.as_str());
    // That an alert fires is no news, what its expression says is.
    let told = of_alert(analysis).map(|step| step.event.as_str()).filter(|event| event.contains("its expression"));
    let text = match verdict {
        ReportVerdict::Declined => {
            let why = frame.risk.reasons.first().map_or(String::new(), |r| format!(": {}", r.reason));
            format!("Declined at risk {}{why}. No agent works on it; a person has to.", frame.risk.level)
        }
        ReportVerdict::NoFault => match told {
            Some(told) => format!("{}. What it names was seen well: no fault.", capital(told)),
            None => format!("{alert} fired, but what it names was seen well. Nothing is wrong that we looked at."),
        },
        ReportVerdict::InsufficientEvidence => {
            let read = told.map_or(String::new(), |told| format!(" Meanwhile {told}."));
            let mut others = String::new();
            let gone = looked_for(analysis).collect::<Vec<_>>().join(", ");
            if analysis.hypotheses.iter().any(is_elsewhere) {
                others.push_str(" Other trouble was seen elsewhere, with no path to the alert.");
            }
            match (nearby(analysis), gone.is_empty()) {
                (Some(top), true) => format!("The cause is not known. What is seen: {}.{read}", top.finding.statement),
                (Some(top), false) => {
                    format!("The cause is not known: {gone}. What is seen: {}.{read}", top.finding.statement)
                }
                (None, true) => {
                    format!("The cause of {alert} is not known: nothing that was seen explains it.{read}{others}")
                }
                (None, false) => format!("The cause of {alert} is not known: {gone}.{read}{others}"),
            }
        }
        ReportVerdict::Possible | ReportVerdict::Likely | ReportVerdict::Confirmed => {
            // Several causes share the room: of each the first clause, without its quotation.
            let short = |c: &RootCause| match causes.len() {
                0 | 1 => c.statement.clone(),
                _ => gist(&c.statement).to_owned(),
            };
            let mut text = capital(&causes.iter().take(2).map(short).collect::<Vec<_>>().join(". Independently: "));
            if let Some(more) = causes.len().checked_sub(2).filter(|n| *n > 0) {
                text.push_str(&format!(". And {more} more"));
            }
            if !text.ends_with(['.', '…']) {
                text.push('.');
            }
            text
        }
    };
    clip(&text, SUMMARY_CHARS)
}

fn capital(text: &str) -> String {
    // Names keep their case: only words of ours are raised.
    const OURS: [(&str, &str); 3] = [("the ", "The "), ("no ", "No "), ("revision ", "Revision ")];
    let ours = OURS.iter().find_map(|(word, raised)| Some((text.strip_prefix(word)?, raised)));
    ours.map_or(text.to_owned(), |(rest, raised)| format!("{raised}{rest}"))
}

fn recommendations(causes: &[&Hypothesis], verdict: ReportVerdict, analysis: &Analysis) -> Vec<Recommendation> {
    let mut all: Vec<Recommendation> = Vec::new();
    let mut add = |kind: &str, finding: &Finding, addresses: Vec<String>| {
        if let Some(text) = &finding.remedy
            && !all.iter().any(|r| r.text == *text)
        {
            all.push(Recommendation { kind: kind.to_owned(), text: text.clone(), addresses });
        }
    };
    for (i, hypothesis) in causes.iter().enumerate() {
        add("fix", &hypothesis.finding, vec![format!("C{}", i + 1)]);
    }
    for (i, hypothesis) in causes.iter().enumerate() {
        for finding in &hypothesis.explains {
            add("mitigate", finding, vec![format!("C{}", i + 1)]);
        }
    }
    if verdict == ReportVerdict::NoFault {
        all.push(Recommendation {
            kind: "prevent".into(),
            text: "Change nothing. Look at the alert's rule, and at when it was sent: it fired without a fault.".into(),
            addresses: Vec::new(),
        });
    }
    if let (ReportVerdict::InsufficientEvidence, Some(question)) = (verdict, analysis.open_questions.first()) {
        all.push(Recommendation {
            kind: "mitigate".into(),
            text: format!("Change nothing yet. {}", question.how_to_answer),
            addresses: Vec::new(),
        });
    }
    all.truncate(8);
    all
}

fn open_questions(analysis: &Analysis, verdict: ReportVerdict) -> Vec<OpenQuestion> {
    match verdict {
        ReportVerdict::Declined => Vec::new(),
        _ => analysis.open_questions.clone(),
    }
}
