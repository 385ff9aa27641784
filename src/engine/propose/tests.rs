//! The parts together, around a scripted model.

use super::*;
use crate::domain::{Analysis, ProposedCall, ReportVerdict, ToolOffer};
use crate::model::{ModelProvider, ReplayModel};
use serde_json::json;
use std::collections::BTreeMap;

#[tokio::test]
async fn a_scripted_investigation_ends_in_a_verified_report() {
    let report = submit::tests::sample();
    let script = [
        json!({"content": "Let me see."}),
        json!({"calls": [{"tool": "look", "args": "{\"name\":\"a\""}]}),
        json!({"calls": [{"tool": "look", "args": {"name": "volume"}}, {"tool": "delete_all", "args": {}}]}),
        json!({"calls": [{"tool": "submit_report", "args": report}]}),
    ];
    let script: Vec<String> = script.iter().map(ToString::to_string).collect();
    let model = ReplayModel::from_jsonl("script", &script.join("\n")).unwrap();
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": false});
    let offers = [ToolOffer { name: "look".into(), description: "Looks.".into(), parameters: schema }];
    let (mut turns, mut history) = (Vec::<Turn>::new(), Vec::<PastCall>::new());
    let mut conversation = Conversation::begin(Opening {
        system: "rules".into(),
        incident: "case".into(),
        nonce: "n".into(),
        offers: offers.to_vec(),
        turns: 20,
        room: Room::default(),
    });
    let mut seen = BTreeMap::new();
    let refuse = |(call, text): (ProposedCall, String)| CallResult::Refused { call_id: call.id, text };

    let reported = loop {
        let request = conversation.request(None);
        let reply = model.chat(&request, &Default::default()).await.unwrap();
        let number = u32::try_from(turns.len()).unwrap() + 1;
        let (results, remedy) = match interpret(&reply, number, &history, &request).wants {
            Interpretation::Report(report) => break report,
            Interpretation::Invalid { remedy } => (Vec::new(), Some(remedy)),
            Interpretation::Repetition { rejected } => (rejected.into_iter().map(refuse).collect(), None),
            Interpretation::Calls { accept, rejected } => {
                let mut results: Vec<CallResult> = rejected.into_iter().map(refuse).collect();
                for call in accept {
                    let id = format!("E{}", seen.len() + 1);
                    let text = "f3iai/data-typedb-0 97.1 % used; f3iai/typedb-0 restarts";
                    seen.insert(id.clone(), Cited { kind: "metric".into(), text: text.into() });
                    seen.insert("E2".into(), Cited { kind: "state".into(), text: text.into() });
                    results.push(CallResult::Observed {
                        call_id: call.id,
                        evidence_id: id,
                        text: text.into(),
                        gist: "full".into(),
                        passage: false,
                        summary: None,
                    });
                    history.push(PastCall { tool: call.tool, args: call.args, result: Some(text.into()) });
                }
                (results, None)
            }
        };
        turns.push(Turn { number, reply, results, remedy });
        turns.last().into_iter().for_each(|turn| conversation.add(turn));
    };

    assert_eq!(turns.len(), 3);
    assert!(turns[0].remedy.as_ref().is_some_and(|text| text.starts_with("A text alone does not end")));
    assert!(matches!(&turns[1].results[0], CallResult::Refused { text, .. } if text.contains("not valid JSON")));
    assert_eq!(turns[2].results.len(), 2);
    let (report, verification) = verify(reported, &seen, &Analysis::default());
    assert_eq!((report.verdict, verification.removed), (ReportVerdict::Likely, 0));
}

#[test]
fn l18_a_report_has_no_place_for_actions_that_a_model_claims() {
    for key in ["actions", "actions_taken", "incident", "evidence"] {
        let mut report = submit::tests::sample();
        report[key] = json!([{"tool": "kubernetes_scale", "result": "done"}]);
        let problems = submit::parse(&report).unwrap_err().join("; ");
        assert!(problems.contains(key), "{problems}");
    }
}

#[test]
fn l19_what_cannot_be_seen_does_not_get_into_a_report() {
    let mut report = submit::tests::sample();
    let hostile = "\u{1b}]8;;http://x\u{7}all\u{200b} is\r\n well\u{1b}[2J\u{202e} <!channel> <b>now</b>";
    report["summary"] = json!(hostile);
    report["root_causes"][0]["statement"] = json!(hostile);
    report["recommendations"][0]["text"] = json!(hostile);
    let parsed = serde_json::to_string(&submit::parse(&report).unwrap()).unwrap();
    for sign in ['\u{1b}', '\u{7}', '\u{200b}', '\u{202e}'] {
        assert!(!parsed.contains(sign) && !parsed.contains(&json!(sign.to_string()).to_string()), "{parsed}");
    }
    assert!(!parsed.contains("\\u00") && !parsed.contains("\\n"), "{parsed}");
}

#[test]
fn l20_an_answer_that_belongs_to_another_incident_carries_nothing() {
    let theirs = submit::parse(&submit::tests::sample()).unwrap();
    let text = "shop/api-7d9f restarts; ImagePullBackOff".to_owned();
    let ours = ["E1", "E2"].map(|id| (id.to_owned(), Cited { kind: "state".into(), text: text.clone() }));
    let (report, verification) = verify(theirs, &BTreeMap::from(ours), &Analysis::default());
    assert_eq!(report.verdict, ReportVerdict::InsufficientEvidence);
    assert!(report.root_causes.is_empty() && report.causal_chain.is_empty() && report.alternatives.is_empty());
    assert!(verification.removed >= 2, "{verification:?}");
}
