//! How a model hands in its report.

use super::calls::problems;
use crate::domain::{Entity, ReportVerdict, ToolOffer};
use crate::template::fence::visible;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The one tool that ends an investigation.
pub const SUBMIT_REPORT: &str = "submit_report";

/// Characters of one sentence; what is longer is cut, not refused.
const MAX_TEXT: usize = 600;

/// The categories of causes.
const CATEGORIES: [&str; 9] =
    ["change", "config", "capacity", "dependency", "platform", "code", "data", "external", "unknown"];

/// What a model concludes. Every field is a claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelReport {
    /// What it claims on the whole.
    pub verdict: ReportVerdict,
    /// For people.
    pub summary: String,
    /// Likeliest first; they are called C1, C2, … in this order.
    pub root_causes: Vec<ModelCause>,
    /// From cause to alert.
    #[serde(default)]
    pub causal_chain: Vec<ModelStep>,
    /// Rivals that were tested.
    #[serde(default)]
    pub alternatives: Vec<ModelAlternative>,
    /// For people; text only.
    #[serde(default)]
    pub recommendations: Vec<ModelRecommendation>,
    /// What stays open.
    #[serde(default)]
    pub open_questions: Vec<ModelQuestion>,
}

/// One claimed cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCause {
    /// `volume_full`, `csi_absent`, …
    pub cause_code: String,
    /// What it is about.
    pub entity: Entity,
    /// One sentence.
    pub statement: String,
    /// 0 to 1.
    pub confidence: f64,
    /// One of the report's categories.
    pub category: String,
    /// What shows it.
    pub evidence_ids: Vec<String>,
}

/// One claimed step from cause to alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelStep {
    /// Where.
    pub entity: Entity,
    /// What happened.
    pub event: String,
    /// `causes`, `enables` or `amplifies` the next step.
    pub relation: String,
    /// What shows it.
    #[serde(default)]
    pub evidence_ids: Vec<String>,
    /// Concluded, not seen.
    #[serde(default)]
    pub inferred: bool,
    /// When, by the evidence that it cites. The verifier finds it; a model cannot say it.
    #[serde(skip)]
    pub at: Option<Timestamp>,
}

/// One rival.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelAlternative {
    /// As in [`ModelCause`].
    pub cause_code: String,
    /// As in [`ModelCause`].
    pub entity: Entity,
    /// 0 to 1.
    pub confidence: f64,
    /// What speaks against it.
    pub why_less_likely: String,
    /// What was looked at.
    #[serde(default)]
    pub evidence_ids: Vec<String>,
}

/// One piece of advice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecommendation {
    /// `mitigate`, `fix` or `prevent`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What to do.
    pub text: String,
    /// `C1`, …
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// One open question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelQuestion {
    /// The question.
    pub question: String,
    /// How a person would find out.
    pub how_to_answer: String,
}

/// The offer of [`SUBMIT_REPORT`]. The schema has no lengths of texts: servers that turn schemas
/// into grammars choke on them, and long sentences are cut here.
pub fn submit_offer() -> ToolOffer {
    ToolOffer {
        name: SUBMIT_REPORT.to_owned(),
        description: "Ends the investigation with its root-cause report. Every cause cites evidence ids such as E7; \
                      root_causes is empty exactly when the verdict is insufficient_evidence or no_fault."
            .to_owned(),
        parameters: schema(),
    }
}

fn schema() -> Value {
    let text = json!({"type": "string"});
    let filled = json!({"type": "string", "minLength": 1});
    let ids = json!({"type": "array", "items": {"type": "string", "pattern": "^E[0-9]{1,6}$"}, "maxItems": 20,
                     "description": "Evidence ids, E7 for instance."});
    let mut cited = ids.clone();
    cited["minItems"] = json!(1);
    let confidence = json!({"type": "number", "minimum": 0, "maximum": 1});
    let object = |properties: Value, required: &[&str]| json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    let list = |items: Value, most: u32| json!({"type": "array", "items": items, "maxItems": most});
    let entity = object(
        json!({"kind": filled, "namespace": {"type": "string", "description": "Empty for cluster-wide things."}, "name": filled}),
        &["kind", "namespace", "name"],
    );
    object(
        json!({
            "verdict": {"enum": ["confirmed", "likely", "possible", "insufficient_evidence", "no_fault"],
                        "description": "confirmed: confidence 0.9 and two kinds of evidence; likely: 0.7; possible: 0.4."},
            "summary": {"type": "string", "minLength": 1, "description": "At most 400 characters, for the engineer who is woken."},
            "root_causes": list(object(json!({
                "cause_code": {"type": "string", "minLength": 1, "description": "Short snake_case name, volume_full for instance; take the survey's where it fits."},
                "entity": entity,
                "statement": {"type": "string", "minLength": 1, "description": "One sentence; its names and figures stand in the cited evidence."},
                "confidence": confidence,
                "category": {"enum": CATEGORIES},
                "evidence_ids": cited}),
                &["cause_code", "entity", "statement", "confidence", "category", "evidence_ids"]), 5),
            "causal_chain": list(object(json!({
                "entity": entity, "event": filled, "relation": {"enum": ["causes", "enables", "amplifies"]},
                "evidence_ids": ids, "inferred": {"type": "boolean"}}),
                &["entity", "event", "relation", "evidence_ids", "inferred"]), 12),
            "alternatives": list(object(json!({
                "cause_code": filled, "entity": entity, "confidence": confidence, "why_less_likely": filled, "evidence_ids": ids}),
                &["cause_code", "entity", "confidence", "why_less_likely", "evidence_ids"]), 8),
            "recommendations": list(object(json!({
                "type": {"enum": ["mitigate", "fix", "prevent"]}, "text": filled,
                "addresses": list(json!({"type": "string", "description": "C1 for the first root cause."}), 5)}),
                &["type", "text"]), 10),
            "open_questions": list(object(json!({"question": filled, "how_to_answer": text}), &["question", "how_to_answer"]), 10),
        }),
        &["verdict", "summary", "root_causes", "causal_chain", "alternatives", "recommendations", "open_questions"],
    )
}

/// Reads the arguments of [`SUBMIT_REPORT`]. Texts are cut to their limits and lose what cannot be seen.
///
/// # Errors
/// What is wrong, one line each, in words for the model.
pub fn parse(args: &Value) -> Result<ModelReport, Vec<String>> {
    let found = problems(&schema(), args);
    if !found.is_empty() {
        return Err(found);
    }
    let mut report: ModelReport = serde_json::from_value(args.clone()).map_err(|error| vec![error.to_string()])?;
    let names_cause = !report.root_causes.is_empty();
    match report.verdict {
        ReportVerdict::Possible | ReportVerdict::Likely | ReportVerdict::Confirmed if !names_cause => {
            return Err(vec![format!(
                "the verdict {} needs a root cause; without one it is insufficient_evidence",
                report.verdict
            )]);
        }
        ReportVerdict::NoFault | ReportVerdict::InsufficientEvidence if names_cause => {
            return Err(vec![format!("the verdict {} goes with an empty root_causes", report.verdict)]);
        }
        _ => {}
    }
    clean(&mut report);
    Ok(report)
}

fn clean(report: &mut ModelReport) {
    // One line without what cannot be seen: reports go to terminals, pages and chats.
    let short = |text: &mut String, most: usize| {
        *text = visible(text).split_whitespace().collect::<Vec<_>>().join(" ");
        if text.chars().count() > most {
            *text = text.chars().take(most - 1).chain(['…']).collect();
        }
    };
    let entity = |entity: &mut Entity| {
        for part in [&mut entity.kind, &mut entity.namespace, &mut entity.name] {
            short(part, 253);
        }
    };
    short(&mut report.summary, 400);
    for cause in &mut report.root_causes {
        short(&mut cause.cause_code, 80);
        short(&mut cause.statement, MAX_TEXT);
        entity(&mut cause.entity);
    }
    for step in &mut report.causal_chain {
        short(&mut step.event, MAX_TEXT);
        entity(&mut step.entity);
    }
    for rival in &mut report.alternatives {
        short(&mut rival.cause_code, 80);
        short(&mut rival.why_less_likely, MAX_TEXT);
        entity(&mut rival.entity);
    }
    for advice in &mut report.recommendations {
        short(&mut advice.text, MAX_TEXT);
    }
    for open in &mut report.open_questions {
        short(&mut open.question, MAX_TEXT);
        short(&mut open.how_to_answer, MAX_TEXT);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn sample() -> Value {
        let pvc = json!({"kind": "PersistentVolumeClaim", "namespace": "f3iai", "name": "data-typedb-0"});
        json!({
            "verdict": "likely",
            "summary": "The volume of typedb-0 is full.",
            "root_causes": [{"cause_code": "volume_full", "entity": pvc, "statement": "data-typedb-0 is 97 % full.",
                             "confidence": 0.85, "category": "capacity", "evidence_ids": ["E1", "E2"]}],
            "causal_chain": [{"entity": pvc, "event": "fills up", "relation": "causes", "evidence_ids": ["E1"], "inferred": false}],
            "alternatives": [{"cause_code": "oom", "entity": {"kind": "Pod", "namespace": "f3iai", "name": "typedb-0"},
                              "confidence": 0.1, "why_less_likely": "no OOMKilled state", "evidence_ids": ["E2"]}],
            "recommendations": [{"type": "mitigate", "text": "Expand the volume.", "addresses": ["C1"]}],
            "open_questions": [{"question": "Who writes?", "how_to_answer": "Look at the WAL."}],
        })
    }

    #[test]
    fn a_whole_report_is_read_and_written_back() {
        let report = parse(&sample()).unwrap();
        assert_eq!(serde_json::to_value(&report).unwrap(), sample());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let with = |path: &str, value: Value| {
            let mut args = sample();
            *args.pointer_mut(path).unwrap() = value;
            parse(&args).unwrap_err().join("; ")
        };
        for (path, value, words) in [
            ("/verdict", json!("declined"), "/verdict"),
            ("/root_causes/0/confidence", json!(1.5), "/root_causes/0/confidence"),
            ("/root_causes/0/evidence_ids", json!([]), "/root_causes/0/evidence_ids"),
            ("/root_causes/0/evidence_ids/0", json!("the logs"), "/root_causes/0/evidence_ids/0"),
            ("/root_causes/0/entity/name", json!(""), "/root_causes/0/entity/name"),
            ("/root_causes", json!([]), "needs a root cause"),
            ("/verdict", json!("no_fault"), "goes with an empty root_causes"),
            (
                "/recommendations/0",
                json!({"type": "fix", "text": "x", "command": "rm -rf"}),
                "'command' was unexpected",
            ),
        ] {
            let error = with(path, value);
            assert!(error.contains(words), "{path}: {error}");
        }
        assert!(parse(&json!({})).unwrap_err().len() >= 6);
        assert!(parse(&json!("text")).is_err());
    }

    #[test]
    fn long_and_colourful_sentences_are_cleaned_and_not_refused() {
        let mut args = sample();
        args["summary"] = json!("x".repeat(5_000));
        args["root_causes"][0]["statement"] = json!("\u{1b}[31mred\u{1b}[0m\r\n\u{202e}alert\u{0}");
        let report = parse(&args).unwrap();
        assert_eq!(report.summary.chars().count(), 400);
        assert_eq!(report.root_causes[0].statement, "red alert");
    }

    #[test]
    fn the_offer_is_a_schema_that_admits_no_extra_keys_anywhere() {
        fn objects(value: &Value) -> Vec<&Value> {
            let below: Vec<&Value> = match value {
                Value::Object(map) => map.values().flat_map(objects).collect(),
                Value::Array(items) => items.iter().flat_map(objects).collect(),
                _ => vec![],
            };
            let here = (value.get("type") == Some(&json!("object"))).then_some(value);
            here.into_iter().chain(below).collect()
        }
        let offer = submit_offer();
        assert!(jsonschema::validator_for(&offer.parameters).is_ok());
        let objects = objects(&offer.parameters);
        assert!(objects.len() >= 6 && objects.iter().all(|o| o["additionalProperties"] == json!(false)));
        assert!(offer.parameters.to_string().len() < 8_000);
    }
}
