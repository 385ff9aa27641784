//! What a manifest may say, and what the tool does that it describes.

mod acting;

use super::super::manifest::Manifests;
use super::*;
use crate::domain::{Observation, Redactor};
use crate::edge::http::tests::{http as answer, peer};
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
