//! A second implementation of the verification, in Python: it and ours judge the same exports alike.

use crate::support::http::eventually;
use crate::support::model::{Model, Script};
use crate::support::site::{SOON, Site};
use crate::support::world::{Stage, TYPEDB};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Whether the Python verifier finds nothing wrong, and what it says.
fn python(folder: &Path, key: &str) -> (bool, String) {
    python_with(&[&folder.display().to_string(), key])
}

fn python_with(args: &[&str]) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/audit_verify.py");
    let run = Command::new("python3").arg(script).args(args).output();
    let run = run.unwrap_or_else(|error| panic!("python3 cannot be run ({error}): install Debian's package `python3`"));
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(matches!(run.status.code(), Some(0 | 1)), "{said}");
    (run.status.success(), said)
}

fn ours(site: &Site, folder: &Path, key: &str) -> (bool, String) {
    ours_with(site, &["--export", &folder.display().to_string(), "--key", key])
}

fn ours_with(site: &Site, args: &[&str]) -> (bool, String) {
    let run = site.run(&[&["audit", "verify"], args].concat());
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(matches!(run.status.code(), Some(0 | 1)), "{said}");
    (run.status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3: run ./tests/run"]
async fn a_second_implementation_judges_alike() {
    let stage = Stage::embedded(TYPEDB).await;
    let model = Model::serve(Script::ReadsThenReport(1)).await;
    let site = stage.site(json!({"models": [model.config()]}));
    let mut server = site.up().await;
    let receipt = site.deliver(stage.world.alert()).await;
    let id = receipt["events"][0]["job_id"].as_str().unwrap().to_owned();
    eventually("it is closed", SOON, async || {
        let view = site.json(&format!("/api/v1/investigations/{id}")).await;
        (view["state"] == "closed").then_some(())
    })
    .await;
    Command::new("kill").arg(server.id().to_string()).status().unwrap();
    eventually("it has stopped in good order", SOON, async || server.ended().filter(std::process::ExitStatus::success))
        .await;
    let (code, stdout, stderr) = site.run_with_config(&["audit", "checkpoint", "-o", "json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let checkpoint: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(checkpoint["unsigned_tail"], 0, "what ends in good order is signed to its end");
    let key = checkpoint["key"].as_str().unwrap();
    let export = site.dir.path().join("export");
    let (code, _, stderr) = site.run_with_config(&["audit", "export", "--out", &export.display().to_string()]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(site.run(&["audit", "verify", "--export", "export"]).status.code(), Some(2), "without a key");

    let (fine, said) = python(&export, key);
    assert!(fine, "{said}");
    let (fine, said) = ours(&site, &export, key);
    assert!(fine, "{said}");

    let mut all = vec![];
    files(&export, &mut all);
    // A byte in each of some files of every kind, and a line less in those that have lines.
    let some = all.iter().enumerate().filter(|(n, path)| !path.to_string_lossy().contains("payload") || n % 9 == 0);
    for (n, path) in some.map(|(n, path)| (n, path.clone())) {
        let whole = std::fs::read(&path).unwrap();
        let mut changes = vec![];
        for part in 0..3 {
            let mut flipped = whole.clone();
            let at = (whole.len() * part / 3 + n * 31) % whole.len();
            flipped[at] ^= 1 << (n % 7);
            changes.push((format!("byte {at} of {}", path.display()), flipped));
        }
        let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        if lines.len() > 2 {
            let without = [&lines[..1], &lines[2..]].concat().concat();
            changes.push((format!("a line less in {}", path.display()), without));
            changes.push((format!("the last line less in {}", path.display()), lines[..lines.len() - 1].concat()));
        }
        for (what, changed) in changes {
            std::fs::write(&path, changed).unwrap();
            let (theirs, said) = python(&export, key);
            let (own, told) = ours(&site, &export, key);
            assert!(!theirs && !own, "{what}:\n{said}\n{told}");
        }
        std::fs::write(&path, &whole).unwrap();
    }
    assert!(python(&export, key).0 && ours(&site, &export, key).0, "put back, all is well");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3: run ./tests/run"]
async fn a_second_implementation_knows_keys_that_follow_each_other_and_what_grew() {
    let stage = Stage::embedded(TYPEDB).await;
    let site = stage.site(json!({}));
    let served = async || {
        let mut server = site.up().await;
        Command::new("kill").arg(server.id().to_string()).status().unwrap();
        eventually("it has stopped", SOON, async || server.ended().filter(std::process::ExitStatus::success)).await;
    };
    let told = |args: &[&str]| -> serde_json::Value {
        let (code, stdout, stderr) = site.run_with_config(&[args, &["-o", "json"]].concat());
        assert_eq!(code, Some(0), "{args:?}\n{stdout}{stderr}");
        serde_json::from_str(&stdout).unwrap()
    };
    let kept = |name: &str, value: &serde_json::Value| -> String {
        let path = site.dir.path().join(name);
        std::fs::write(&path, value.to_string()).unwrap();
        path.display().to_string()
    };
    served().await;
    let old = told(&["audit", "checkpoint"]);
    let since = kept("old.json", &old);
    let rotated = told(&["audit", "key", "rotate"]);
    let (key, next) = (rotated["before"].as_str().unwrap(), rotated["key"].as_str().unwrap());
    served().await;
    let new = told(&["audit", "checkpoint", "--consistency-from", &old["size"].to_string()]);
    let export = site.dir.path().join("export").display().to_string();
    let (code, _, stderr) = site.run_with_config(&["audit", "export", "--out", &export]);
    assert_eq!(code, Some(0), "{stderr}");

    // Both of the export: these keys, and what somebody kept.
    let judged = |keys: &[&str], since: Option<&str>| {
        let mut theirs: Vec<&str> = [&[export.as_str()], keys].concat();
        let mut own = vec!["--export", export.as_str()];
        keys.iter().for_each(|key| own.extend(["--key", key]));
        if let Some(since) = since {
            theirs.extend(["--from-checkpoint", since]);
            own.extend(["--from-checkpoint", since]);
        }
        let ((theirs, said), (own, told)) = (python_with(&theirs), ours_with(&site, &own));
        assert_eq!(theirs, own, "{keys:?} {since:?}\n{said}\n{told}");
        own
    };
    assert!(judged(&[key, next], None) && judged(&[key, next], Some(&since)));
    for keys in [&[key][..], &[next], &[next, key]] {
        assert!(!judged(keys, None), "{keys:?}");
    }
    // Without the checkpoint that was kept.
    let checkpoints = Path::new(&export).join("checkpoints");
    let whole = std::fs::read_to_string(&checkpoints).unwrap();
    let without: String = whole.split_inclusive('\n').skip(1).collect();
    std::fs::write(&checkpoints, without).unwrap();
    assert!(!judged(&[key, next], Some(&since)));
    std::fs::write(&checkpoints, whole).unwrap();

    // Both of a checkpoint with its proof.
    let proven = |now: &serde_json::Value, since: &str| {
        let now = kept("now.json", now);
        let (theirs, said) = python_with(&["--checkpoint", &now, key, next, "--from-checkpoint", since]);
        let own = ["--checkpoint", &now, "--key", key, "--key", next, "--from-checkpoint", since];
        let (own, told) = ours_with(&site, &own);
        assert_eq!(theirs, own, "{said}\n{told}");
        own
    };
    assert!(proven(&new, &since) && proven(&old, &since));
    let proof = new["consistency"]["proof"].as_array().unwrap().len();
    for at in 0..proof {
        let mut changed = new.clone();
        changed["consistency"]["proof"][at] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        assert!(!proven(&changed, &since), "hash {at}");
        let mut cut = new.clone();
        cut["consistency"]["proof"].as_array_mut().unwrap().remove(at);
        assert!(!proven(&cut, &since), "without hash {at}");
    }
    let mut none = new.clone();
    none.as_object_mut().unwrap().remove("consistency");
    assert!(!proven(&none, &since) && !proven(&old, &kept("new.json", &new)));
}
