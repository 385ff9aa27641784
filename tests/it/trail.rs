//! The audit trail for strangers, by the real binary: decisions made again, OPA's decision log, what a kept
//! checkpoint proves, one investigation alone, and keys that follow each other.

use crate::support::chain::entries;
use crate::support::http::eventually;
use crate::support::site::{SOON, Server, Site};
use crate::support::world::{Stage, TYPEDB};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Investigates one alert, and stops the server in good order. Answers the investigation.
async fn investigated(stage: &Stage, site: &Site) -> String {
    let server = site.up().await;
    let receipt = site.deliver(stage.world.alert()).await;
    let id = receipt["events"][0]["job_id"].as_str().unwrap().to_owned();
    site.closed(&id, SOON).await;
    stopped(server).await;
    id
}

async fn stopped(mut server: Server) {
    Command::new("kill").arg(server.id().to_string()).status().unwrap();
    eventually("it has stopped in good order", SOON, async || server.ended().filter(std::process::ExitStatus::success))
        .await;
}

/// What a command prints as JSON, which ends with `code`.
fn json_of(site: &Site, code: i32, args: &[&str]) -> Value {
    let args = [args, &["-o", "json"]].concat();
    let (ended, stdout, stderr) = site.run_with_config(&args);
    assert_eq!(ended, Some(code), "{args:?}\n{stdout}{stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{args:?}: {error}\n{stdout}{stderr}"))
}

/// What a command says that ends with `code`, on both streams.
fn said(site: &Site, code: i32, args: &[&str]) -> String {
    let (ended, stdout, stderr) = site.run_with_config(args);
    assert_eq!(ended, Some(code), "{args:?}\n{stdout}{stderr}");
    stdout + &stderr
}

fn kept(site: &Site, name: &str, text: &str) -> String {
    let path = site.dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn folder(site: &Site, name: &str) -> (PathBuf, String) {
    let path = site.dir.path().join(name);
    let text = path.display().to_string();
    (path, text)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_are_made_again_and_told_as_opa_tells_them() {
    let stage = Stage::embedded(TYPEDB).await;
    let site = stage.site(json!({}));
    let id = investigated(&stage, &site).await;
    let audit = json_of(&site, 0, &["audit", "verify"]);
    let made = audit["decisions"].as_u64().unwrap();
    assert!(made > 5 && audit["decisions_not_made_again"] == json!({}), "{audit}");
    let told = said(&site, 0, &["audit", "verify", "--skip-decisions"]);
    assert!(told.contains(&format!("0 of {made} decisions made again, alike; {made} not: it was not asked")), "{told}");

    let (out, text) = folder(&site, "opa");
    let told = said(&site, 0, &["audit", "export", "--format", "opa", "--out", &text]);
    assert!(told.starts_with(&format!("{made} decisions of 2 chains")), "{told}");
    let decisions = lines(&out.join("events.jsonl"));
    assert_eq!(decisions.len() as u64, made);
    for decision in &decisions {
        let kind = decision["result"]["kind"].as_str().unwrap();
        assert_eq!(decision["path"], format!("firewarden/{kind}"), "{decision}");
        assert_eq!(decision["input"]["schema"], format!("firewarden.{kind}/v1"), "{decision}");
        assert_eq!((&decision["labels"]["investigation"], &decision["erased"]), (&json!(id), &Value::Null));
        assert!(decision["decision_id"].as_str().unwrap().starts_with("dec_"), "{decision}");
        assert!(decision["labels"].as_object().unwrap().values().all(Value::is_string), "as OPA has them: {decision}");
        let bundle = decision["bundles"].as_object().unwrap().values().next().unwrap();
        assert_eq!(bundle["revision"], decision["result"]["policy"]["digest"]);
    }
    let server = site.up().await;
    let answer = site.get("/api/v1/audit/export?format=opa").await.unwrap();
    let served: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((answer.status, served), (200, decisions));
    stopped(server).await;
    said(&site, 2, &["audit", "export", "--format", "rego", "--out", &folder(&site, "no").1]);
    said(&site, 2, &["audit", "export", "--format", "opa", "--out", &text]);
    said(&site, 2, &["audit", "export", "--out", &format!("{text}/events.jsonl")]);

    // The export carries what a stranger needs for it, and nothing is believed of what he can change.
    let (out, text) = folder(&site, "export");
    let told = said(&site, 0, &["audit", "export", "--out", &text]);
    let key = told.split("--key ").nth(1).unwrap().trim().to_owned();
    let verify = ["audit", "verify", "--export", &text, "--key", &key];
    assert_eq!(json_of(&site, 0, &verify)["decisions"], made);
    let chain = out.join(format!("entries/{id}.jsonl"));
    let whole = std::fs::read_to_string(&chain).unwrap();
    std::fs::write(&chain, whole.replacen("\"verdict\":\"allow\"", "\"verdict\":\"deny\"", 1)).unwrap();
    assert_eq!(json_of(&site, 1, &verify)["pass"], false);
    std::fs::write(&chain, whole).unwrap();
    json_of(&site, 0, &verify);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_checkpoint_and_one_investigation_are_enough_for_a_stranger() {
    let stage = Stage::embedded(TYPEDB).await;
    let site = stage.site(json!({}));
    let first = investigated(&stage, &site).await;
    let old = json_of(&site, 0, &["audit", "checkpoint"]);
    let (key, size) = (old["key"].as_str().unwrap(), old["size"].to_string());
    let note = kept(&site, "old.note", old["note"].as_str().unwrap());
    let as_json = kept(&site, "old.json", &old.to_string());
    // Somebody stops and starts it: the log grows.
    stopped(site.up().await).await;

    for file in [&note, &as_json] {
        let audit = json_of(&site, 0, &["audit", "verify", "--from-checkpoint", file]);
        assert_eq!(audit["grew_since"][0], old["size"], "{audit}");
    }
    let new = json_of(&site, 0, &["audit", "checkpoint", "--consistency-from", &size]);
    assert!(new["consistency"]["proof"].as_array().is_some_and(|proof| !proof.is_empty()), "{new}");
    let proof = kept(&site, "new.json", &new.to_string());
    let check = ["audit", "verify", "--checkpoint", &proof, "--key", key, "--from-checkpoint", &note];
    assert_eq!(json_of(&site, 0, &check)["since"]["size"], old["size"]);
    // Bad ones: another proof, none, one that is no proof, the wrong way round, another key, no file.
    let mut other = new.clone();
    other["consistency"]["proof"][0] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let mut none = new.clone();
    none.as_object_mut().unwrap().remove("consistency");
    let mut wrong = new.clone();
    wrong["consistency"]["proof"] = json!(["x"]);
    for (name, bad) in [("other", other), ("none", none), ("wrong", wrong)] {
        let bad = kept(&site, name, &bad.to_string());
        let check = ["audit", "verify", "--checkpoint", &bad, "--key", key, "--from-checkpoint", &note];
        assert!(json_of(&site, 1, &check)["failure"].is_string(), "{name}");
    }
    json_of(&site, 1, &["audit", "verify", "--checkpoint", &note, "--key", key, "--from-checkpoint", &proof]);
    let nobody = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    said(&site, 2, &["audit", "verify", "--checkpoint", &proof, "--key", nobody]);
    said(&site, 2, &["audit", "verify", "--checkpoint", &proof]);
    said(&site, 2, &["audit", "verify", "--from-checkpoint", "nowhere"]);
    let changed = old["note"].as_str().unwrap().replacen(&format!("\n{size}\n"), "\n1\n", 1);
    said(&site, 2, &["audit", "verify", "--from-checkpoint", &kept(&site, "changed", &changed)]);
    said(&site, 2, &["audit", "checkpoint", "--consistency-from", "0"]);
    said(&site, 2, &["audit", "checkpoint", "--consistency-from", "999999"]);

    let audit = json_of(&site, 0, &["audit", "verify", "--investigation", &first]);
    assert_eq!((&audit["chains"], &audit["investigations"]), (&json!(2), &json!(1)), "{audit}");
    let nowhere = "inv_00000000-0000-7000-8000-000000000000";
    assert!(said(&site, 1, &["audit", "verify", "--investigation", nowhere]).contains("nowhere in this journal"));
    said(&site, 2, &["audit", "verify", "--investigation", "inv_x"]);
    let (_, text) = folder(&site, "one");
    let told = said(&site, 0, &["audit", "export", "--investigation", &first, "--out", &text]);
    assert!(told.contains("of 2 chains"), "{told}");
    let verify = ["audit", "verify", "--export", &text, "--key", key, "--investigation", &first];
    assert_eq!(json_of(&site, 0, &verify)["investigations"], 1);
    said(&site, 2, &["audit", "export", "--investigation", nowhere, "--out", &folder(&site, "nothing").1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_hands_the_log_on_to_the_next() {
    let stage = Stage::embedded(TYPEDB).await;
    let site = stage.site(json!({}));
    let server = site.up().await;
    let old = json_of(&site, 0, &["audit", "checkpoint"]);
    assert!(said(&site, 5, &["audit", "key", "rotate"]).contains("stop the server"), "not while somebody signs");
    stopped(server).await;
    let (file, _) = folder(&site, "firewarden.db.signing-key");
    let before = std::fs::read(&file).unwrap();
    said(&site, 2, &["audit", "key", "rotate", "--reason", &"x".repeat(501)]);
    let rotated = json_of(&site, 0, &["audit", "key", "rotate", "--reason", "yearly"]);
    assert_eq!((&rotated["before"], rotated["key"] == old["key"]), (&old["key"], false));
    assert_ne!(std::fs::read(&file).unwrap(), before);
    let (key, next) = (rotated["before"].as_str().unwrap(), rotated["key"].as_str().unwrap());
    let listed = json_of(&site, 0, &["audit", "key", "list"])["items"].clone();
    assert_eq!((&listed[0]["key"], &listed[1]["key"]), (&json!(key), &json!(next)));
    assert_eq!(
        (&listed[1]["reason"], &listed[0]["signs"], &listed[1]["signs"]),
        (&json!("yearly"), &json!(false), &json!(true))
    );
    assert_eq!(json_of(&site, 0, &["audit", "verify"])["rotations"], 1, "before the new key signed anything");
    investigated(&stage, &site).await;
    assert_eq!(json_of(&site, 0, &["audit", "verify"])["rotations"], 1);

    let (_, text) = folder(&site, "export");
    said(&site, 0, &["audit", "export", "--out", &text]);
    let known = kept(&site, "known", &format!("# of our log\n{key}\n{next}\n"));
    let since = kept(&site, "old.json", &old.to_string());
    let verify = ["audit", "verify", "--export", &text];
    let with = |code: i32, more: &[&str]| json_of(&site, code, &[&verify[..], more].concat());
    let audit = with(0, &["--known-keys", &known, "--from-checkpoint", &since]);
    assert_eq!((&audit["rotations"], &audit["grew_since"][0]), (&json!(1), &old["size"]), "{audit}");
    with(0, &["--key", key, "--key", next]);
    for keys in [&["--key", key][..], &["--key", next], &["--key", next, "--key", key]] {
        assert_eq!(with(1, keys)["pass"], false, "{keys:?}");
    }
    said(&site, 2, &["audit", "verify", "--export", &text, "--known-keys", &kept(&site, "none", "# none\n")]);
    said(&site, 2, &["audit", "verify", "--export", &text, "--known-keys", &kept(&site, "bad", "x\n")]);
    said(&site, 2, &["audit", "verify", "--export", &text, "--known-keys", &known, "--key", key]);
    said(&site, 2, &["audit", "verify", "--export", &text]);

    // Without the log, too, the order of the keys is the order of what they sign.
    let from = old["size"].as_u64().unwrap().to_string();
    let now = json_of(&site, 0, &["audit", "checkpoint", "--consistency-from", &from]);
    let now = kept(&site, "now.json", &now.to_string());
    let proof = ["audit", "verify", "--checkpoint", &now, "--from-checkpoint", &since];
    said(&site, 0, &[&proof[..], &["--key", key, "--key", next]].concat());
    let told = said(&site, 1, &[&proof[..], &["--key", next, "--key", key]].concat());
    assert!(told.contains("the key before it"), "{told}");

    // The key that handed the log on signs nothing more, and begins nothing.
    let length = entries(&site, "system").await.len();
    let holder = std::fs::read(&file).unwrap();
    std::fs::write(&file, &before).unwrap();
    let mut back = site.start(&[]);
    let ended = eventually("it does not start", SOON, async || back.ended()).await;
    assert_eq!(ended.code(), Some(3));
    assert_eq!(entries(&site, "system").await.len(), length);
    std::fs::write(&file, holder).unwrap();
    stopped(site.up().await).await;
    assert_eq!(json_of(&site, 0, &["audit", "verify"])["pass"], true);
    // Lost with its file: nobody goes on as if nothing had been.
    std::fs::remove_file(&file).unwrap();
    said(&site, 3, &["audit", "key", "rotate"]);
}
