//! What we write into Jira Cloud against Atlassian's own schema of documents (npm `@atlaskit/adf-schema`).

use firewarden::domain::Report;
use firewarden::tools::CaseText;
use firewarden::tools::jira::{adf, document};
use serde_json::{Value, json};

const REMEDY: &str = "run ./tests/run, or name dist/json-schema/v1/full.json of `npm pack @atlaskit/adf-schema@57.7.22` \
                      in FIREWARDEN_TEST_ADF";

fn schema() -> jsonschema::Validator {
    let file = std::env::var("FIREWARDEN_TEST_ADF").unwrap_or_else(|_| panic!("the schema is missing: {REMEDY}"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}; {REMEDY}"));
    jsonschema::draft4::new(&serde_json::from_str::<Value>(&text).unwrap()).unwrap()
}

/// A report of which every text tries to be markup, with so many rows of evidence.
fn case(rows: usize) -> CaseText {
    let mut report: Report = serde_json::from_str(include_str!("../../fixtures/jira/report.json")).unwrap();
    report.evidence = vec![report.evidence[0].clone(); rows];
    CaseText {
        title: "PVCUsageHigh".into(),
        report: Some(report),
        url: Some("https://fw.example.org/investigations/inv_1".into()),
        chain: "inv_1 17@0123456789abcdef".into(),
        ..CaseText::default()
    }
}

#[test]
#[ignore = "needs Atlassian's schema: run ./tests/run"]
fn documents_fit_the_published_schema() {
    let schema = schema();
    let action = case(1).report.and_then(|report| report.actions.into_iter().next());
    let documents = [
        document::issue(&case(1), Some("a\n\nnote\u{7}")),
        document::issue(&case(200), Some(&"long \"note\" ".repeat(350))),
        document::issue(&CaseText::default(), None),
        document::comment(&case(0), action.as_ref(), None),
        document::comment(&case(0), None, Some("note")),
        document::comment(&CaseText::default(), None, None),
    ];
    for blocks in documents {
        let document = adf::document(blocks);
        let wrong: Vec<String> = schema.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(wrong.is_empty(), "{wrong:#?}\n{document:#}");
    }
    // It does judge.
    let text = json!({"type": "text", "text": "x"});
    for wrong in [
        json!("plain text"),
        json!({"type": "doc", "content": []}),
        json!({"version": 1, "type": "doc", "content": [text]}),
        json!({"version": 1, "type": "doc", "content": [{"type": "paragraph", "content": [{"type": "text", "text": ""}]}]}),
        json!({"version": 1, "type": "doc", "content": [{"type": "made_up"}]}),
    ] {
        assert!(!schema.is_valid(&wrong), "{wrong}");
    }
}
