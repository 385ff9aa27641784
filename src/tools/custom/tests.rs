//! What a manifest may say, and what the tool does that it describes.

use super::super::act::{ActError, CaseText, Setting};
use super::super::manifest::Manifests;
use super::*;
use crate::domain::{Action, ActionId, BlastRadius, Digest, Marker, Observation, Reconciled, Redactor};
use crate::edge::http::tests::{http as answer, peer};
use crate::gate::Warrant;
use crate::tools::{Registry, Sources};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use std::sync::Mutex;

#[derive(Debug)]
struct Fixed;
impl crate::domain::Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

const HTTP: &str = r#"
api_version: firewarden/v1
name: cache_flush
summary: Empties one cache.
effect: write
params:
  type: object
  additionalProperties: false
  required: [cache]
  properties:
    cache: {type: string, maxLength: 64}
    depth: {type: integer}
    region: {type: string, default: eu}
target: {system: cache, namespace: "{{ region }}", kind: Cache, name: "{{ cache }}"}
run:
  http:
    method: POST
    url: "http://127.0.0.1:1/api/{{ cache }}/flush?region={{ region }}"
    headers: {X-Asked-By: "firewarden {{ action_id }}"}
    secrets: {Authorization: "Bearer env:CACHE_TOKEN"}
    body: {marker: "{{ marker }}", deep: "{{ depth | default(1) }}"}
    ok: [200, 202]
    idempotency_header: Idempotency-Key
plan: {text: "flush {{ cache }} in {{ region }}"}
reconcile:
  http:
    method: GET
    url: "http://127.0.0.1:1/api/{{ cache }}"
    applied: {pointer: /done, equals: "{{ marker }}"}
retry: keyed
reversible: false
examples: [{about: one, args: {cache: sessions, depth: 2}}]
"#;

const COMMAND: &str = r#"
api_version: firewarden/v1
name: ledger_add
summary: Adds a line.
effect: write
params:
  type: object
  additionalProperties: false
  required: [line]
  properties: {line: {type: string}}
target: {system: ledger, kind: Ledger, name: main}
run:
  command:
    argv: ["/bin/sh", "-c", "echo \"$1 $ACTION_MARKER $TOKEN\" >> \"$LEDGER\"; exit \"$2\"", sh, "{{ line }}", "0"]
    env: {LEDGER: /ledger}
    secrets: {TOKEN: "env:LEDGER_TOKEN"}
    write: [/var/lib/ledger]
    refused: [2]
plan: {command: {argv: ["/bin/echo", "would add {{ line }}"]}}
reconcile: {command: {argv: ["/bin/sh", "-c", "grep -q \"$ACTION_MARKER\" \"$LEDGER\"", sh], env: {LEDGER: /ledger}}}
retry: probe
"#;

fn load(text: &str) -> Result<Manifests, String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("own.yaml"), text).unwrap();
    Manifests::with_dir(dir.path()).map_err(|e| e.text)
}

fn registry(text: &str) -> Registry {
    let doors = Doors {
        runner: crate::edge::Runner::bare(),
        secrets: [("cache_flush", "env:CACHE_TOKEN"), ("ledger_add", "env:LEDGER_TOKEN")]
            .map(|(tool, name)| ((tool.to_owned(), name.to_owned()), Secret::new("hunter2-secret", name)))
            .into(),
        ..Doors::default()
    };
    let sources = Sources { custom: doors, ..Sources::none(Arc::new(Fixed)) };
    let redactor = Arc::new(ArcSwap::from_pointee(Redactor::new(["hunter2-secret"]).unwrap()));
    Registry::new(&load(text).unwrap(), sources, redactor).unwrap()
}

#[test]
fn whole_manifests_load() {
    for text in [HTTP, COMMAND] {
        let manifests = load(text).unwrap();
        let (_, spec) = manifests.specs().find(|(_, spec)| spec.custom.is_some()).unwrap();
        let custom = spec.custom.as_ref().unwrap();
        assert!(spec.builtin.is_empty() && !custom.reversible && custom.references().len() == 1);
        // What a tool does is a part of what it is.
        assert!(serde_json::to_string(spec).unwrap().contains("secrets"));
    }
    let custom = |text: &str| load(text).unwrap().specs().find_map(|(_, spec)| spec.custom.clone()).unwrap();
    assert_eq!(custom(&HTTP.replace("retry: keyed\n", "")).retry, Retry::Never);
    assert_eq!(custom(HTTP).references(), ["env:CACHE_TOKEN"]);
    assert_eq!(reference("Bearer file:/a b/token"), ("Bearer", "file:/a b/token"));
    assert_eq!(reference("file:a env:b"), ("", "file:a env:b"));
}

#[test]
fn the_examples_of_the_manual_load() {
    let manual = include_str!("../../../docs/tools.md");
    let blocks = manual.split("```yaml\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let manifests: Vec<&str> =
        blocks.map(|(block, _)| block).filter(|block| block.starts_with("api_version: fire")).collect();
    assert_eq!(manifests.len(), 2);
    for manifest in manifests {
        let manifests = load(manifest).unwrap_or_else(|error| panic!("{error}\n{manifest}"));
        let spec = manifests.specs().find_map(|(_, spec)| spec.custom.is_some().then_some(spec)).unwrap();
        assert!(!spec.examples.is_empty() && spec.custom.as_ref().unwrap().reconcile.is_some());
    }
}

#[test]
fn what_is_wrong_with_a_manifest_is_told_exactly() {
    let known = "there are: cache, depth, region";
    for (base, from, to, says) in [
        (HTTP, "target: {system: cache, namespace: \"{{ region }}\", kind: Cache, name: \"{{ cache }}\"}\n", "",
            "target: say what is changed, `{system: cache, kind: Cache, name: \"{{ cache }}\"}` for instance".to_owned()),
        (HTTP, "plan: {text: \"flush {{ cache }} in {{ region }}\"}\n", "",
            "plan: say what would be changed, in words (`{text: …}`) or by a dry run".into()),
        (HTTP, "effect: write", "effect: read", "plan: a tool with `effect: read` changes nothing; leave it out".into()),
        (HTTP, "http://127.0.0.1:1/api/{{ cache }}/flush", "http://{{ cache }}/flush",
            "run.http.url: scheme, host and port are written out; values stand in path and query only".into()),
        (HTTP, "flush {{ cache }} in", "flush {{ cahce }} in", format!("plan.text: `cahce` is no parameter; {known}")),
        (HTTP, "flush {{ cache }} in", "flush {{ marker }} in", format!("plan.text: `marker` is no parameter; {known}")),
        (HTTP, "{{ depth | default(1) }}", "{{ depth }}",
            "run.http.body.deep: `depth` is not given by every call; make it required, give it a `default`, or write `{% if … is defined %}`".into()),
        (HTTP, "Bearer env:CACHE_TOKEN", "hunter2",
            "run.http.secrets.Authorization: a secret is not written here; say where it is: `env:NAME` or `file:PATH`, for a header with a word before it: `Bearer env:NAME`".into()),
        (HTTP, "    method: GET\n", "    method: PUT\n", "reconcile.http.method: PUT does not only look; write GET or HEAD".into()),
        (HTTP, "    method: POST\n", "    method: GET\n", "run.http.method: GET only looks; this tool is declared to change something".into()),
        (HTTP, "    applied: {pointer: /done, equals: \"{{ marker }}\"}\n", "",
            "reconcile.http.applied: say what shows that it was done, `{pointer: /last, equals: \"{{ marker }}\"}` for instance".into()),
        (HTTP, "    method: GET\n", "    method: HEAD\n",
            "reconcile.http.method: what HEAD answers has no body that could show it; write GET".into()),
        (HTTP, "pointer: /done", "pointer: done", "reconcile.http.applied.pointer: a JSON Pointer begins with `/`".into()),
        (HTTP, "X-Asked-By:", "Host:", "run.http.headers: the header `Host` cannot be set".into()),
        (HTTP, "X-Asked-By:", "idempotency-key:", "run.http.headers: `Idempotency-Key` stands there twice".into()),
        (HTTP, "ok: [200, 202]", "ok: [20]", "run.http.ok: 20 is no status".into()),
        (HTTP, "plan: {text: \"flush", "plan: {http: {method: GET, url: \"http://a.example\"}, text: \"flush",
            "plan: `text` stands beside another way; keep one".into()),
        (HTTP, "    cache: {type: string, maxLength: 64}", "    marker: {type: string}\n    cache: {type: string}",
            "params: `marker` is a name of ours in templates; call the parameter otherwise".into()),
        (HTTP, "/api/{{ cache }}/flush", "/api/{{ cache }/flush", "run.http.url: it is no template: unexpected '}', expected end of variable block".into()),
        (COMMAND, "\"/bin/sh\", \"-c\", \"echo", "\"sh\", \"-c\", \"echo", "run.command.argv[0]: the program is an absolute path, and no template".into()),
        (COMMAND, "\"/bin/echo\"", "\"{{ line }}\"", "plan.command.argv[0]: the program is an absolute path, and no template".into()),
        (COMMAND, "\"/bin/echo\"", "\"/bin/../echo\"", "plan.command.argv[0]: the program is an absolute path, and no template".into()),
        (COMMAND, "would add {{ line }}", "--{{ line }}",
            "plan.command.argv[1]: a value would name the option; write the option out, `--name={{ x }}`".into()),
        (COMMAND, "env: {LEDGER: /ledger}\n", "env: {LD_PRELOAD: /ledger}\n", "run.command.env: `LD_PRELOAD` cannot be set".into()),
        (COMMAND, "env: {LEDGER: /ledger}\n", "env: {ACTION_ID: a}\n", "run.command.env: `ACTION_ID` cannot be set".into()),
        (COMMAND, "TOKEN: \"env:", "TOKEN: \"Bearer env:", "run.command.secrets.TOKEN: write the reference alone".into()),
        (COMMAND, "write: [/var/lib/ledger]", "write: [../ledger]", "run.command: `../ledger` is no absolute path".into()),
        (COMMAND, "refused: [2]", "refused: [0]", "run.command.refused: 0 is success".into()),
        (COMMAND, "retry: probe", "retry: probe\nreversable: true", "reversable".into()),
        (COMMAND, "run:\n", "run:\n  builtin: kubernetes_get\n", "run: `builtin` stands beside `http` or `command`; keep one".into()),
        (COMMAND, "run:\n", "run:\n  http: {method: POST, url: \"http://a.example\"}\n", "run: both `http` and `command` stand there; keep one".into()),
    ] {
        let text = base.replacen(from, to, 1);
        assert_ne!(text, base, "{from}");
        let error = load(&text).map(|_| ()).unwrap_err();
        match says.contains(' ') {
            true => assert_eq!(error, says, "{to}"),
            false => assert!(error.contains(&says), "{to}: {error}"),
        }
    }
    let reconcile = COMMAND.find("reconcile:").unwrap();
    let error = load(&format!("{}retry: probe\n", &COMMAND[..reconcile])).map(|_| ()).unwrap_err();
    assert_eq!(error, "retry: without `reconcile` nothing tells whether it was done; write `never`");
    let unnamed = HTTP
        .replace("    idempotency_header: Idempotency-Key\n", "")
        .replace("{{ action_id }}", "")
        .replace("marker: \"{{ marker }}\", ", "");
    assert_eq!(
        load(&unnamed).map(|_| ()).unwrap_err(),
        "retry: `keyed` needs a name that the server refuses a second time; add `idempotency_header`"
    );
    let builtin = "\napi_version: firewarden/v1\nname: look\nsummary: x\neffect: read\nparams: {type: object, additionalProperties: false}\n\
                   run: {builtin: kubernetes_get}\nretry: never\n";
    assert_eq!(load(builtin).map(|_| ()).unwrap_err(), "retry: `kubernetes_get` knows that itself; leave it out");
}

#[test]
fn a_secret_that_is_not_there_is_told_by_its_reference() {
    let sources = Sources::none(Arc::new(Fixed));
    let redactor = Arc::new(ArcSwap::from_pointee(Redactor::new([]).unwrap()));
    let error = Registry::new(&load(HTTP).unwrap(), sources, redactor).unwrap_err();
    assert!(error.to_string().ends_with("secrets: `env:CACHE_TOKEN` is not there"), "{error}");
}

fn setting<'a>(incident: &'a Digest, case: &'a CaseText) -> Setting<'a> {
    Setting { incident, began: Timestamp::UNIX_EPOCH, now: Timestamp::UNIX_EPOCH, case }
}

async fn planned(registry: &Registry, tool: &str, args: Value) -> Result<Action, ToolError> {
    let (incident, case) = (Digest::of("i"), CaseText::default());
    let plan = registry.plan(tool, &args, &setting(&incident, &case)).await?;
    Ok(Action {
        id: ActionId::new(uuid::Uuid::from_u128(7)),
        tool: tool.into(),
        effect: registry.spec(tool).unwrap().effect,
        reversible: plan.reversible,
        args,
        title: plan.title,
        targets: plan.targets,
        preview: plan.preview,
        precondition: plan.precondition,
        carries: plan.carries,
        undo: plan.undo,
        retry: plan.retry,
        blast_radius: BlastRadius::default(),
        facts: plan.facts,
        nonce: String::new(),
    })
}

fn marker() -> Marker {
    Marker::sign(&Digest::of("scope"), b"key")
}

fn warrant(action: &Action) -> Warrant {
    Warrant::for_test(action.clone(), marker(), Timestamp::UNIX_EPOCH)
}

async fn flushed(reply: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> (Result<String, ActError>, String) {
    let (address, asked) = peer(reply);
    let registry = registry(&HTTP.replace("http://127.0.0.1:1", &address));
    let action = planned(&registry, "cache_flush", json!({"cache": "a/b", "depth": 3})).await.unwrap();
    let made = registry.execute(warrant(&action), Timestamp::UNIX_EPOCH).await.map(|receipt| receipt.summary);
    let asked = asked.lock().unwrap().last().cloned().unwrap_or_default();
    (made, asked)
}

#[tokio::test]
async fn what_is_shown_is_what_is_sent() {
    let (address, asked) = peer(|_| answer(202, "application/json", br#"{"ok": true}"#));
    let registry = registry(&HTTP.replace("http://127.0.0.1:1", &address));
    let action = planned(&registry, "cache_flush", json!({"cache": "a/../b?", "depth": 3})).await.unwrap();
    assert!(asked.lock().unwrap().is_empty(), "planning in words asks nobody");
    assert_eq!(action.title, "cache_flush Cache eu/a/../b?");
    let target = action.target();
    assert_eq!(
        (target.system.as_str(), target.namespace.as_str(), target.name.as_str(), target.verb.as_str()),
        ("cache", "eu", "a/../b?", "post")
    );
    assert_eq!((action.preview.kind.as_str(), action.retry), ("rendered", Retry::Keyed));
    let path = "/api/a%2F..%2Fb%3F/flush?region=eu";
    for part in ["\n\nflush a/../b? in eu", &format!("POST {address}{path}"), "\"deep\": 3", "(marker)"] {
        assert!(action.preview.text.contains(part), "{part}: {}", action.preview.text);
    }
    assert!(action.facts["request"]["url"].as_str().unwrap().ends_with(path));
    let receipt = registry.execute(warrant(&action), Timestamp::UNIX_EPOCH).await.unwrap();
    let asked = asked.lock().unwrap()[0].clone();
    let lower = asked.to_lowercase();
    assert!(asked.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{asked}");
    assert!(lower.contains(&format!("idempotency-key: {}", marker())) && asked.contains("Bearer hunter2-secret"));
    let body: Value = serde_json::from_str(asked.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body, json!({"deep": 3, "marker": marker()}));
    assert!(lower.contains(&format!("x-asked-by: firewarden {}", action.id)), "{asked}");
    assert_eq!(receipt.reference, marker().to_string());
    assert!(!format!("{action:?} {receipt:?}").contains("hunter2"));
}

#[tokio::test]
async fn who_agrees_agrees_to_all_that_is_sent_run_and_may_be_touched() {
    let other = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    let command = |from: &str, to: &str| (other(COMMAND, from, to), "ledger_add", json!({"line": "x"}));
    let request = |from: &str, to: &str| (other(HTTP, from, to), "cache_flush", json!({"cache": "a"}));
    let digest = async |(text, tool, args): (String, &str, Value)| {
        let action = planned(&registry(&text), tool, args).await.unwrap();
        assert!(!format!("{action:?}").contains("hunter2"), "{action:?}");
        let id = crate::domain::InvestigationId::new(uuid::Uuid::nil());
        (action.digest(id, crate::domain::Risk::Low), action.preview.text)
    };
    for (was, cases) in [
        (
            command("", ""),
            vec![
                (command("write: [/var/lib/ledger]", "write: [/var]"), "(writes /var)"),
                (command("write: [/var/lib/ledger]", "write: [/var/lib/ledger]\n    read: [/etc/x]"), "(reads /etc/x)"),
                (
                    command("write: [/var/lib/ledger]", "write: [/var/lib/ledger]\n    network: true"),
                    "(with the network)",
                ),
                (
                    command("write: [/var/lib/ledger]", "write: [/var/lib/ledger]\n    confine: required"),
                    "(only where the kernel confines it)",
                ),
                (
                    command("env: {LEDGER: /ledger}\n    secrets", "env: {LEDGER: /other}\n    secrets"),
                    "LEDGER=\"/other\"",
                ),
                (
                    command("env: {LEDGER: /ledger}\n    secrets", "env: {BASH_ENV: /ledger}\n    secrets"),
                    "BASH_ENV=\"/ledger\"",
                ),
                (
                    command("TOKEN: \"env:LEDGER_TOKEN\"", "OTHER: \"env:LEDGER_TOKEN\""),
                    "(the variable OTHER is the secret of env:LEDGER_TOKEN)",
                ),
            ],
        ),
        (
            request("", ""),
            vec![
                (request("method: POST", "method: DELETE"), "DELETE http://127.0.0.1:1/api/a/flush"),
                (request("flush?region", "drop?region"), "/api/a/drop"),
                (
                    request("    secrets: {Authorization", "    secrets: {X-Key"),
                    "(the header X-Key is the secret of Bearer env:CACHE_TOKEN)",
                ),
                (request("Idempotency-Key", "X-Once"), "X-Once: (marker)"),
                (request("ok: [200, 202]", "ok: [200]"), ""),
            ],
        ),
    ] {
        let before = digest(was).await;
        for (case, shown) in cases {
            let after = digest(case).await;
            assert!(after.1.contains(shown), "{shown}: {}", after.1);
            assert_ne!(before.0, after.0, "{shown}: {}", after.1);
        }
    }
}

#[tokio::test]
async fn who_agrees_agrees_to_what_is_not_shown_any_more() {
    let many = "long ".repeat(4000);
    let long = |word: &str| HTTP.replace("flush {{ cache }} in {{ region }}", &format!("{many}{word}{many}"));
    let one = planned(&registry(&long("a")), "cache_flush", json!({"cache": "a"})).await.unwrap();
    let other = planned(&registry(&long("b")), "cache_flush", json!({"cache": "a"})).await.unwrap();
    assert_eq!(one.preview.text, other.preview.text);
    assert!(one.preview.text.ends_with("[the rest is not shown]") && one.preview.digest() != other.preview.digest());
    let short = planned(&registry(HTTP), "cache_flush", json!({"cache": "a"})).await.unwrap();
    assert_eq!(short.preview.whole, None);
}

#[tokio::test]
async fn what_an_answer_means_for_a_change() {
    let dropped = flushed(|_| vec![]).await.0;
    assert!(matches!(dropped, Err(ActError::Unknown { .. })), "{dropped:?}");
    for (status, expected) in [
        (200, "done"),
        (202, "done"),
        // Fine elsewhere, but not what this server says when it did it.
        (204, "unknown"),
        (302, "unknown"),
        (400, "refused"),
        (401, "refused"),
        (404, "refused"),
        (408, "unknown"),
        (409, "unknown"),
        (422, "refused"),
        (429, "refused"),
        (500, "unknown"),
        (502, "unknown"),
        (503, "unknown"),
    ] {
        let (made, _) = flushed(move |_| answer(status, "text/plain", b"the key hunter2-secret is known")).await;
        let word = match &made {
            Ok(_) => "done",
            Err(ActError::Refused { .. }) => "refused",
            Err(ActError::Stale { .. }) => "stale",
            Err(ActError::Unknown { .. }) => "unknown",
        };
        assert_eq!(word, expected, "{status}");
        assert!(!format!("{made:?}").contains("hunter2"), "{made:?}");
    }
    let registry = registry(HTTP);
    let action = planned(&registry, "cache_flush", json!({"cache": "a"})).await.unwrap();
    // Nobody listens there: nothing was sent.
    assert!(matches!(registry.execute(warrant(&action), Timestamp::UNIX_EPOCH).await, Err(ActError::Refused { .. })));
}

#[tokio::test]
async fn a_permit_for_another_object_sends_nothing() {
    let (address, asked) = peer(|_| answer(200, "application/json", b"{}"));
    let registry = registry(&HTTP.replace("http://127.0.0.1:1", &address));
    let mut action = planned(&registry, "cache_flush", json!({"cache": "a"})).await.unwrap();
    action.args["cache"] = json!("b");
    let error = registry.execute(warrant(&action), Timestamp::UNIX_EPOCH).await.unwrap_err();
    assert!(matches!(&error, ActError::Refused { text } if text.contains("Cache eu/b")), "{error}");
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn looking_after_doubt_believes_the_marker_alone() {
    let said = Arc::new(Mutex::new(json!({})));
    let (address, status) = (
        {
            let said = said.clone();
            peer(move |_| {
                let said = said.lock().unwrap();
                let status = said["status"].as_u64().unwrap_or(200);
                answer(u16::try_from(status).unwrap(), "application/json", said.to_string().as_bytes())
            })
            .0
        },
        503,
    );
    let registry = registry(&HTTP.replace("http://127.0.0.1:1", &address));
    let action = planned(&registry, "cache_flush", json!({"cache": "a"})).await.unwrap();
    let absent = Reconciled::Absent { definite: false };
    for (answered, applied) in [
        (json!({}), false),
        (json!({"done": null}), false),
        (json!({"done": "fw-another"}), false),
        (json!({"done": marker()}), true),
        (json!({"done": ["x", marker()]}), true),
        (json!({"done": {"a": marker()}}), false),
    ] {
        *said.lock().unwrap() = answered.clone();
        let found = registry.reconcile(&action, &marker()).await.unwrap();
        assert_eq!(matches!(found, Reconciled::Applied { .. }), applied, "{answered}");
        assert!(applied || found == absent);
    }
    *said.lock().unwrap() = json!({"status": status, "done": marker()});
    assert!(registry.reconcile(&action, &marker()).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_look_that_shows_nothing_is_no_sign_that_nothing_was_done() {
    // Whole as JSON where it is cut, so that only the cut tells.
    let long = [b"{}".to_vec(), vec![b' '; 1 << 20]].concat();
    for body in [b"<html>sign in</html>".to_vec(), b"".to_vec(), b"{\"done\": \"fw-".to_vec(), long] {
        let (said, length) = (body.clone(), body.len());
        let (address, _) = peer(move |_| answer(200, "text/html", &said));
        let registry = registry(&HTTP.replace("http://127.0.0.1:1", &address));
        let action = planned(&registry, "cache_flush", json!({"cache": "a"})).await.unwrap();
        let looked = registry.reconcile(&action, &marker()).await;
        assert!(looked.clone().is_err_and(|error| error.is_transient()), "{length} bytes: {looked:?}");
    }
}

#[tokio::test]
async fn a_command_is_tried_run_and_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = dir.path().join("ledger");
    std::fs::write(&ledger, "").unwrap();
    let text = COMMAND.replace("/ledger}", &format!("{}}}", ledger.display()));
    let registry = registry(&text);
    let args = json!({"line": "one $(id) ; two"});
    let action = planned(&registry, "ledger_add", args).await.unwrap();
    assert_eq!(action.preview.kind, "server_dry_run");
    assert!(
        action.preview.text.starts_with("\"/bin/sh\" \"-c\"")
            && action.preview.text.ends_with("\n\nwould add one $(id) ; two"),
        "{}",
        action.preview.text
    );
    assert_eq!(action.facts["argv"][4], "one $(id) ; two");
    assert_eq!(registry.reconcile(&action, &marker()).await.unwrap(), Reconciled::Absent { definite: false });
    registry.execute(warrant(&action), Timestamp::UNIX_EPOCH).await.unwrap();
    let written = std::fs::read_to_string(&ledger).unwrap();
    assert_eq!(written, format!("one $(id) ; two {} hunter2-secret\n", marker()));
    assert!(matches!(registry.reconcile(&action, &marker()).await.unwrap(), Reconciled::Applied { .. }));
    let error = planned(&registry, "ledger_add", json!({"line": "-rf"})).await.unwrap_err();
    assert_eq!(error.for_reader(), "argv[4]: a value makes the argument an option: it begins with `-`");
    for (code, refused) in [("2", true), ("3", false), ("125", false)] {
        let registry =
            self::registry(&text.replace("\"{{ line }}\", \"0\"]", &format!("\"{{{{ line }}}}\", \"{code}\"]")));
        let action = planned(&registry, "ledger_add", json!({"line": "x"})).await.unwrap();
        let error = registry.execute(warrant(&action), Timestamp::UNIX_EPOCH).await.unwrap_err();
        assert_eq!(matches!(error, ActError::Refused { .. }), refused, "{code}: {error}");
    }
    let gone = self::registry(&text.replace("[\"/bin/sh\", \"-c\", \"echo", "[\"/no/such/sh\", \"-c\", \"echo"));
    let action = planned(&gone, "ledger_add", json!({"line": "x"})).await.unwrap();
    assert!(matches!(gone.execute(warrant(&action), Timestamp::UNIX_EPOCH).await, Err(ActError::Refused { .. })));
    let slow = self::registry(
        &text.replace("exit \\\"$2\\\"", "sleep 600").replace("refused: [2]", "refused: [2]\ntimeout: 1s"),
    );
    let action = planned(&slow, "ledger_add", json!({"line": "x"})).await.unwrap();
    assert!(matches!(slow.execute(warrant(&action), Timestamp::UNIX_EPOCH).await, Err(ActError::Unknown { .. })));
}

const LOOK: &str = r#"
api_version: firewarden/v1
name: queue_depth
summary: How long a queue is.
effect: read
params: {type: object, additionalProperties: false, required: [queue], properties: {queue: {type: string}}}
run: {command: {argv: ["/bin/sh", "-c", "if [ \"$1\" = sick ]; then echo 'no hunter2-secret' >&2; exit 3; fi; echo \"{\\\"depth\\\": 7, \\\"queue\\\": \\\"$1\\\"}\"", sh, "{{ queue }}"]}}
"#;

async fn looked(registry: &Registry, tool: &str, args: Value) -> Result<Observation, ToolError> {
    registry.look(tool, &args).await
}

#[tokio::test]
async fn a_tool_that_looks_gives_evidence_without_secrets() {
    let registry = registry(LOOK);
    let seen = looked(&registry, "queue_depth", json!({"queue": "mail"})).await.unwrap();
    assert_eq!(seen.data["stdout"], json!({"depth": 7, "queue": "mail"}));
    assert!(seen.text.starts_with("queue_depth ran: an object of 2 keys\n{\n"), "{}", seen.text);
    let error = looked(&registry, "queue_depth", json!({"queue": "sick"})).await.unwrap_err();
    assert_eq!(error.for_reader(), "it ended with exit code 3: \"no [redacted]\"");
    let tool = registry.get("queue_depth").unwrap();
    assert_eq!(tool.argv(&json!({"queue": "mail"})).last().unwrap(), "mail");
    assert_eq!(tool.target(&json!({"queue": "mail"}))[0]["system"], "command");

    let (address, _) = peer(|request| match request.starts_with("GET /q/mail%20x HTTP") {
        true => answer(200, "application/json", b"[1, 2, 3]"),
        false => answer(503, "text/plain", b"later"),
    });
    let run = format!("run: {{http: {{method: GET, url: \"{address}/q/{{{{ queue }}}}\"}}}}\n");
    let registry = self::registry(&format!("{}{run}", &LOOK[..LOOK.find("run:").unwrap()]));
    let seen = looked(&registry, "queue_depth", json!({"queue": "mail x"})).await.unwrap();
    assert_eq!((seen.data["body"].clone(), seen.data["status"].clone()), (json!([1, 2, 3]), json!(200)));
    assert!(seen.text.starts_with("queue_depth was answered with 200: 3 items\n"), "{}", seen.text);
    assert!(looked(&registry, "queue_depth", json!({"queue": "other"})).await.unwrap_err().is_transient());
}
