//! The journal for strangers.

use super::stage::*;
use crate::audit::{Checkpoint, Signer, leaf_text, merkle};
use crate::engine::checkpoints::Checkpoints;
use crate::store::Log;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};

fn hashes(proof: &Value) -> Vec<merkle::Hash> {
    let hash = |text: &Value| BASE64.decode(text.as_str().unwrap()).unwrap().try_into().unwrap();
    proof.as_array().unwrap().iter().map(hash).collect()
}

#[tokio::test]
async fn checkpoints_entries_and_exports_are_there_for_who_may_read() {
    let stage = Stage::open().await;
    let path = "/api/v1/audit/checkpoint";
    assert_eq!(stage.get(path).await.status, StatusCode::NOT_FOUND, "none was made yet");
    let signer = Signer::from_seed(&[1; 32], |_| "log.example/a".into()).unwrap();
    let key = signer.key().clone();
    let checkpoints = Checkpoints::new(stage.store.clone(), signer, stage.clock.clone());
    let open = async |name: &str| {
        let labels = json!({"alertname": name, "namespace": name});
        let alert = json!({"status": "firing", "labels": labels, "startsAt": "2026-11-20T23:00:00Z"});
        assert_eq!(stage.deliver(&json!({"alerts": [alert]})).await.json()["accepted"], 1);
    };
    for name in ["a", "b", "c"] {
        open(name).await;
    }
    let first = checkpoints.make().await.unwrap().unwrap();
    for name in ["d", "e"] {
        open(name).await;
    }
    let second = checkpoints.make().await.unwrap().unwrap();
    let note = stage.get(path).await;
    assert!(note.header("content-type").starts_with("text/plain"));
    assert_eq!(Checkpoint::open(&note.text(), &key), Ok(second.clone()));

    let answer = stage.get(&format!("{path}?consistency_from={}&inclusion_of=2", first.size)).await.json();
    let proof = hashes(&answer["consistency"]["proof"]);
    assert!(merkle::is_consistent(first.size, second.size, &proof, &first.root, &second.root));
    let line = stage.store.log(1, 1).await.unwrap().remove(0);
    let leaf = merkle::leaf(leaf_text(&line.chain, line.seq, &line.hash.unwrap()).as_bytes());
    assert!(merkle::includes(&leaf, 1, second.size, &hashes(&answer["inclusion"]["proof"]), &second.root));
    for wrong in ["consistency_from=0", "inclusion_of=99", "inclusion_of=x", "other=1"] {
        assert_eq!(stage.get(&format!("{path}?{wrong}")).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }

    // Newest first by pages; oldest first behind a position.
    let positions = |page: &Value| -> Vec<u64> {
        page["items"].as_array().unwrap().iter().map(|item| item["position"].as_u64().unwrap()).collect()
    };
    let page = stage.get("/api/v1/audit/entries?limit=3").await.json();
    assert_eq!((positions(&page), page["next_cursor"].as_str()), (vec![5, 4, 3], Some("3")));
    let page = stage.get("/api/v1/audit/entries?limit=3&cursor=3").await.json();
    assert_eq!((positions(&page), page["next_cursor"].as_str()), (vec![2, 1], None));
    let page = stage.get("/api/v1/audit/entries?after=1&limit=3").await.json();
    assert_eq!((positions(&page), page["next_cursor"].as_str()), (vec![2, 3, 4], Some("4")));
    assert_eq!(page["items"][0]["entry"]["body"]["type"], "EventReceived");

    // What no checkpoint covers is in no export.
    open("f").await;
    for (format, key) in [("jsonl", "entry"), ("cloudevents", "specversion"), ("ocsf", "class_uid")] {
        let export = stage.get(&format!("/api/v1/audit/export?format={format}")).await;
        assert_eq!(export.header("content-type"), "application/x-ndjson");
        let lines: Vec<Value> = export.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.len() == 5 && lines.iter().all(|line| !line[key].is_null()), "{format}: {lines:?}");
    }
    assert_eq!(stage.get("/api/v1/audit/export?format=opa").await.text(), "", "nothing was decided yet");
    assert_eq!(stage.get("/api/v1/audit/export?since=2100-01-01T00:00:00Z").await.text(), "");
    assert_eq!(stage.get("/api/v1/audit/export?format=xml").await.status, StatusCode::BAD_REQUEST);
}
