//! A recorded investigation runs again without a network.

use crate::support::model::{Model, Script};
use crate::support::site::{SOON, Site};
use crate::support::world::{Stage, TYPEDB};
use serde_json::{Value, json};

async fn investigated(stage: &Stage, models: Value) -> (Site, String) {
    let site = stage.site(json!({"models": models}));
    let server = site.up().await;
    let id = site.deliver(stage.world.alert()).await["events"][0]["job_id"].as_str().unwrap().to_owned();
    site.closed(&id, SOON).await;
    // The transcript is asked for while somebody answers.
    let transcript = site.json(&format!("/api/v1/investigations/{id}/transcript?limit=1000")).await;
    drop(server);
    (site, transcript.to_string())
}

/// What the model said, turn by turn.
fn said(transcript: &str) -> Vec<Value> {
    let transcript: Value = serde_json::from_str(transcript).unwrap();
    let of = |turn: &Value| {
        let calls = turn["reply"]["calls"].as_array().unwrap();
        let calls: Vec<Value> = calls.iter().map(|call| json!([call["tool"], call["args"]])).collect();
        json!({"model": turn["answered"], "content": turn["reply"]["content"], "calls": calls})
    };
    transcript["items"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transcript_stands_in_for_its_model() {
    let stage = Stage::embedded(TYPEDB).await;
    let model = Model::serve(Script::ReadsThenReport(2)).await;
    let (_first, transcript) = investigated(&stage, json!([model.config()])).await;
    let asked = model.requests();
    assert_eq!((asked, said(&transcript).len()), (3, 3));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("transcript.json");
    std::fs::write(&file, &transcript).unwrap();
    let again = json!([{"name": "again", "provider": "replay", "model": "recorded", "file": file}]);
    let (_second, replayed) = investigated(&stage, again).await;
    assert_eq!(said(&replayed), said(&transcript));
    assert_eq!(model.requests(), asked, "nobody was asked");
}
