//! Tools that a manifest describes whole, in the real program: a server and a ledger that fail in
//! every way there is, and never two effects.

use crate::support::chain::{assert_sound, count, entries};
use crate::support::http::{eventually, is_whole};
use crate::support::model::{Model, Script};
use crate::support::policies::permissive;
use crate::support::site::{SOON, Site};
use firewarden::journal::Entry;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

/// Only debug builds know it.
const CRASH_AT_EFFECT: &str = "FIREWARDEN_CRASH_AT_EFFECT";

/// What the server does with one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    ApplyAndDrop,
    ApplyAnd502,
    ApplyAndGarbage,
    /// A proxy sends it twice.
    ApplyTwice,
    Drop,
    Refuse,
}

#[derive(Debug, Default)]
struct World {
    faults: Mutex<VecDeque<Fault>>,
    orders: Mutex<usize>,
    /// The marks of what was done.
    ledger: Mutex<Vec<String>>,
    /// It refuses a second copy.
    keyed: bool,
}

impl World {
    fn apply(&self, mark: &str) {
        let mut ledger = self.ledger.lock().unwrap();
        if !self.keyed || !ledger.iter().any(|known| known == mark) {
            ledger.push(mark.to_owned());
        }
    }

    /// The answer; nothing where the connection ends without one.
    fn answer(&self, request: &str) -> Option<(u16, String)> {
        let (head, body) = request.split_once("\r\n\r\n")?;
        if head.starts_with("GET ") {
            return Some((200, json!({"marks": *self.ledger.lock().unwrap()}).to_string()));
        }
        *self.orders.lock().unwrap() += 1;
        let body: Value = serde_json::from_str(body).ok()?;
        let mark = body["mark"].as_str()?;
        match self.faults.lock().unwrap().pop_front() {
            Some(Fault::Drop) => return None,
            Some(Fault::Refuse) => return Some((422, "no such cache".into())),
            fault => {
                self.apply(mark);
                match fault {
                    Some(Fault::ApplyAndDrop) => return None,
                    Some(Fault::ApplyAnd502) => return Some((502, "<html>".into())),
                    Some(Fault::ApplyAndGarbage) => return Some((600, "x".into())),
                    Some(Fault::ApplyTwice) => self.apply(mark),
                    _ => {}
                }
            }
        }
        Some((200, json!({"done": true}).to_string()))
    }
}

/// A server of one world. Dropping it closes it.
struct Cache {
    address: String,
    world: Arc<World>,
    task: JoinHandle<()>,
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cache {
    async fn serve(keyed: bool) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let world = Arc::new(World { keyed, ..World::default() });
        let served = world.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let world = served.clone();
                tokio::spawn(async move {
                    let mut request = String::new();
                    let mut buffer = [0; 4096];
                    while !is_whole(&request) {
                        match socket.read(&mut buffer).await {
                            Ok(read @ 1..) => request.push_str(&String::from_utf8_lossy(&buffer[..read])),
                            _ => return,
                        }
                    }
                    if let Some((status, body)) = world.answer(&request) {
                        let head = format!(
                            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                            body.len()
                        );
                        let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
                    }
                });
            }
        });
        Self { address, world, task }
    }

    fn fail(&self, faults: &[Fault]) {
        self.world.faults.lock().unwrap().extend(faults);
    }

    /// How often the server was asked to do something, and what it did.
    fn taken(&self) -> (usize, Vec<String>) {
        let taken = (*self.world.orders.lock().unwrap(), self.world.ledger.lock().unwrap().clone());
        *self.world.orders.lock().unwrap() = 0;
        self.world.ledger.lock().unwrap().clear();
        taken
    }
}

/// What is tested here is not the policy.
pub fn policies(dir: &Path) {
    permissive(&dir.join("policies"));
}

fn manifest(dir: &Path, name: &str, rest: &str) {
    let dir = dir.join("tools");
    std::fs::create_dir_all(&dir).unwrap();
    let text = format!(
        "api_version: firewarden/v1\nname: {name}\nsummary: A test.\n\
         params: {{type: object, additionalProperties: false, required: [cache], properties: {{cache: {{type: string}}}}}}\n{rest}"
    );
    std::fs::write(dir.join(format!("{name}.yaml")), text).unwrap();
}

/// A site whose model asks for one call of `tool`, and then reports.
async fn site(tool: &'static str) -> (Site, Model) {
    let model = Model::serve(Script::Calls(vec![vec![(tool, json!({"cache": "sessions"}))]])).await;
    let site = Site::new(json!({
        "models": [model.config()],
        "tools": {"dir": "tools"},
        "budgets": {"survey": {"tool_calls": 4, "wall": "5s"}},
    }));
    policies(site.dir.path());
    (site.variable("SCRIPTED_KEY", "sk-scripted"), model)
}

fn http(address: &str, reconcile: bool, retry: &str) -> String {
    let looks = format!(
        "reconcile: {{http: {{method: GET, url: \"{address}/api/{{{{ cache }}}}\", applied: {{pointer: /marks, equals: \"{{{{ marker }}}}\"}}}}}}\n"
    );
    format!(
        "effect: write\ntarget: {{system: cache, kind: Cache, name: \"{{{{ cache }}}}\"}}\n\
         run: {{http: {{method: POST, url: \"{address}/api/{{{{ cache }}}}/flush\", body: {{mark: \"{{{{ marker }}}}\"}}, idempotency_header: Idempotency-Key}}}}\n\
         plan: {{text: \"flush {{{{ cache }}}}\"}}\n{}retry: {retry}\ntimeout: 10s\n",
        if reconcile { looks.as_str() } else { "" }
    )
}

/// An alert that has nothing to do with the others.
fn envelope(n: usize) -> Value {
    let labels = json!({"alertname": format!("Stale{n}"), "namespace": format!("ns-{n}"), "severity": "info", "service": format!("s{n}")});
    json!({
        "version": "4", "groupKey": format!("{{}}:{{alertname=\"Stale{n}\"}}"), "truncatedAlerts": 0, "status": "firing",
        "receiver": "firewarden", "groupLabels": {}, "commonLabels": labels, "commonAnnotations": {}, "externalURL": "http://am",
        "alerts": [{"status": "firing", "labels": labels, "annotations": {"summary": "a case"},
                    "startsAt": "2026-11-20T10:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "",
                    "fingerprint": format!("{n:016x}")}]
    })
}

/// One incident from the alert to its end.
pub async fn incident(site: &Site, n: usize) -> Vec<Entry> {
    let taken = site.deliver(&envelope(n)).await;
    let id = taken["events"][0]["job_id"].as_str().unwrap().to_owned();
    ended(site, &id).await
}

async fn ended(site: &Site, id: &str) -> Vec<Entry> {
    site.closed(id, SOON).await;
    let entries = entries(site, id).await;
    assert_sound(id, &entries);
    entries
}

/// What the journal says became of the one change.
pub fn outcome(entries: &[Entry]) -> &'static str {
    let last = entries.iter().rev().map(|entry| entry.body.kind()).find(|kind| {
        ["ActionFinished", "ActionReconciled", "ActionFailed", "ActionDoubted", "ActionDropped"].contains(kind)
    });
    match last {
        Some("ActionFinished") => "done",
        Some("ActionReconciled") => "found",
        Some("ActionFailed") => "failed",
        Some("ActionDoubted") => "unknown",
        other => {
            panic!("the change came to {other:?}: {:#?}", entries.iter().map(|e| e.body.kind()).collect::<Vec<_>>())
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_in_every_way_does_it_once() {
    use Fault::*;
    let cache = Cache::serve(true).await;
    let (site, _model) = site("cache_flush").await;
    manifest(site.dir.path(), "cache_flush", &http(&cache.address, true, "keyed"));
    let _server = site.up().await;
    for (n, (faults, orders, effects, expected)) in [
        (&[][..], 1, 1, "done"),
        (&[ApplyAndDrop], 1, 1, "found"),
        (&[ApplyAnd502], 1, 1, "found"),
        (&[ApplyAndGarbage], 1, 1, "found"),
        (&[ApplyTwice], 1, 1, "done"),
        (&[Drop], 2, 1, "done"),
        (&[Drop, ApplyAndDrop], 2, 1, "found"),
        (&[Refuse], 1, 0, "failed"),
    ]
    .into_iter()
    .enumerate()
    {
        cache.fail(faults);
        let entries = incident(&site, n).await;
        let (asked, ledger) = cache.taken();
        assert_eq!((asked, ledger.len(), outcome(&entries)), (orders, effects, expected), "{faults:?}");
        assert_eq!(count(&entries, "ActionStarted"), orders, "{faults:?}");
    }
    site.verify_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_tells_it_is_never_sent_again() {
    use Fault::*;
    let cache = Cache::serve(false).await;
    let (site, _model) = site("cache_flush").await;
    manifest(site.dir.path(), "cache_flush", &http(&cache.address, false, "never"));
    let _server = site.up().await;
    for (n, (fault, effects)) in [(ApplyAndDrop, 1), (ApplyAnd502, 1), (Drop, 0)].into_iter().enumerate() {
        cache.fail(&[fault]);
        let entries = incident(&site, n).await;
        let (asked, ledger) = cache.taken();
        assert_eq!((asked, ledger.len(), outcome(&entries)), (1, effects, "unknown"), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_on_either_side_of_a_request_makes_it_once() {
    let cache = Cache::serve(true).await;
    let (site, _model) = site("cache_flush").await;
    manifest(site.dir.path(), "cache_flush", &http(&cache.address, true, "keyed"));
    for (n, side) in ["before", "after"].into_iter().enumerate() {
        let id = killed_at(&site, side, n).await;
        let _server = site.up().await;
        let entries = ended(&site, &id).await;
        let (_, ledger) = cache.taken();
        assert_eq!(ledger.len(), 1, "{side}");
        assert_eq!(outcome(&entries), if side == "before" { "done" } else { "found" }, "{side}");
    }
    site.verify_audit();
}

/// Lets one incident's change kill the program, and answers its investigation.
async fn killed_at(site: &Site, side: &str, n: usize) -> String {
    let mut server = site.start(&[(CRASH_AT_EFFECT, side)]);
    site.ready(&mut server).await;
    let taken = site.deliver(&envelope(n)).await;
    eventually("the change kills the program", SOON, async || server.ended()).await;
    taken["events"][0]["job_id"].as_str().unwrap().to_owned()
}

/// A command that adds its marker to a file, unless it is there. It reads from another file how it is
/// to end: `LINE-BEFORE LINE-AFTER`, exit codes before and after it was added.
fn command(dir: &Path, reconcile: bool, retry: &str) -> String {
    let ledger = dir.join("ledger");
    std::fs::create_dir_all(&ledger).unwrap();
    std::fs::write(ledger.join("marks"), "").unwrap();
    std::fs::write(ledger.join("runs"), "").unwrap();
    let add = "echo run >> \"$1/runs\"; read -r before after < \"$1/ends\"; echo 0 0 > \"$1/ends\"; \
               [ \"$before\" = 0 ] || exit \"$before\"; \
               grep -qx \"$ACTION_MARKER\" \"$1/marks\" || echo \"$ACTION_MARKER\" >> \"$1/marks\"; exit \"$after\"";
    let place = ledger.display().to_string();
    let call = |script: &str, more: &str| {
        format!("{{command: {{argv: [/bin/sh, -c, {}, sh, {}]{more}}}}}", json!(script), json!(place))
    };
    let look = call("grep -qx \"$ACTION_MARKER\" \"$1/marks\"", &format!(", read: [{place}]"));
    format!(
        "effect: write\ntarget: {{system: ledger, kind: Ledger, name: \"{{{{ cache }}}}\"}}\nrun: {}\nplan: {{text: \"add {{{{ cache }}}}\"}}\n{}retry: {retry}\n",
        call(add, &format!(", write: [{place}], refused: [2]")),
        if reconcile { format!("reconcile: {look}\n") } else { String::new() }
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_ends_in_every_way_does_it_once() {
    let (site, _model) = site("ledger_add").await;
    let dir = site.dir.path().to_owned();
    manifest(&dir, "ledger_add", &command(&dir, true, "keyed"));
    let ledger = dir.join("ledger");
    let lines = |name: &str| std::fs::read_to_string(ledger.join(name)).unwrap().lines().count();
    let server = site.up().await;
    for (n, (ends, runs, effects, expected)) in
        [("0 0", 1, 1, "done"), ("2 0", 1, 0, "failed"), ("0 9", 1, 1, "found"), ("9 0", 2, 1, "done")]
            .into_iter()
            .enumerate()
    {
        let (ran, added) = (lines("runs"), lines("marks"));
        std::fs::write(ledger.join("ends"), format!("{ends}\n")).unwrap();
        let entries = incident(&site, n).await;
        let found = (lines("runs") - ran, lines("marks") - added, outcome(&entries));
        assert_eq!(found, (runs, effects, expected), "{ends}");
    }
    drop(server);
    for (n, side) in [(10, "before"), (11, "after")] {
        let added = lines("marks");
        std::fs::write(ledger.join("ends"), "0 0\n").unwrap();
        let id = killed_at(&site, side, n).await;
        let _server = site.up().await;
        ended(&site, &id).await;
        assert_eq!(lines("marks") - added, 1, "{side}");
    }
    site.verify_audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_nobody_can_look_after_runs_once() {
    let (site, _model) = site("ledger_add").await;
    let dir = site.dir.path().to_owned();
    manifest(&dir, "ledger_add", &command(&dir, false, "never"));
    std::fs::write(dir.join("ledger/ends"), "0 9\n").unwrap();
    let _server = site.up().await;
    let entries = incident(&site, 1).await;
    assert_eq!(outcome(&entries), "unknown");
    assert_eq!(std::fs::read_to_string(dir.join("ledger/runs")).unwrap(), "run\n");
}

#[test]
fn a_command_of_a_tool_is_confined_from_end_to_end() {
    if firewarden::edge::exec::sandbox::abi() < 4 {
        println!("SKIPPED: this kernel's Landlock confines too little");
        return;
    }
    let site = Site::new(json!({"tools": {"dir": "tools"}})).variable("FLAG_TOKEN", "hunter2-token");
    let dir = site.dir.path().to_owned();
    policies(&dir);
    std::fs::create_dir(dir.join("open")).unwrap();
    std::fs::write(dir.join("open/seen"), "seen").unwrap();
    std::fs::write(dir.join("shut"), "kept").unwrap();
    let show = |name: &str, file: &str| {
        let (open, file) = (dir.join("open").display().to_string(), dir.join(file).display().to_string());
        let run = format!(
            "run: {{command: {{argv: [/bin/sh, -c, 'cat \"$1\"; echo \"$FLAG\"', sh, {}], read: [{}], secrets: {{FLAG: \"env:FLAG_TOKEN\"}}, confine: required}}}}\n",
            json!(file),
            json!(open)
        );
        manifest(&dir, name, &format!("effect: read\n{run}"));
    };
    show("show_open", "open/seen");
    show("show_kept", "shut");
    let (code, told, _) = site.run_with_config(&["check"]);
    assert_eq!(code, Some(0), "{told}");
    let call = |name: &str| site.run_with_config(&["tools", "call", name, "cache=x"]);
    let (code, seen, error) = call("show_open");
    assert_eq!(code, Some(0), "{error}");
    assert!(seen.contains("seen") && seen.contains("[redacted]") && !seen.contains("hunter2"), "{seen}");
    let (_, seen, _) = call("show_kept");
    assert!(seen.contains("Permission denied") && !seen.contains("kept\n"), "{seen}");
    let (code, _, error) = site.run_with_config(&["tools", "call", "cache_flush"]);
    assert_eq!(code, Some(2), "{error}");
    std::fs::remove_file(dir.join("tools/show_open.yaml")).unwrap();
    let site = Site::within(site.dir, json!({"tools": {"dir": "tools"}}));
    let (code, told, _) = site.run_with_config(&["check"]);
    assert!(
        code == Some(3)
            && told.contains("show_kept, which names a secret that is not there: the variable FLAG_TOKEN is not set"),
        "{told}"
    );
}

/// Runs one command in the sandbox that the program puts around it.
fn boxed(site: &Site, flags: &[&str], argv: &[&str]) -> (Option<i32>, String) {
    let parent = std::process::id().to_string();
    let mut args = vec!["__sandbox", "--call", "c1", "--parent", &parent];
    args.extend(flags);
    args.push("--");
    args.extend(argv);
    let output = site.run(&args);
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.code(), text)
}

#[test]
fn nothing_leaves_the_sandbox() {
    let abi = firewarden::edge::exec::sandbox::abi();
    if abi < 4 {
        println!("SKIPPED: this kernel's Landlock confines too little");
        return;
    }
    let site = Site::new(json!({}));
    let dir = site.dir.path();
    let (own, secret) = (dir.join("own"), dir.join("secret"));
    std::fs::create_dir(&own).unwrap();
    std::fs::write(&secret, "kept").unwrap();
    std::fs::write(dir.join("run"), "#!/bin/sh\necho ran\n").unwrap();
    let (own, secret) = (own.display().to_string(), secret.display().to_string());
    let sh = |flags: &[&str], script: &str| {
        let argv = ["/bin/sh", "-c", script, "sh", &own, &secret];
        boxed(&site, &[&["--write", &own, "--required"], flags].concat(), &argv)
    };
    assert_eq!(sh(&[], "cd \"$1\" && echo a > b && cat b && rm b && mkdir c && ls /usr > /dev/null").0, Some(0));
    assert_eq!(sh(&["--read", &secret], "cat \"$2\""), (Some(0), "kept".into()));
    let parent = std::process::id();
    let probes = [
        "cat \"$2\"".to_owned(),
        "cat \"$1/../secret\"".into(),
        "ln -s \"$2\" \"$1/link\" && cat \"$1/link\"".into(),
        "ln \"$2\" \"$1/hard\" && cat \"$1/hard\"".into(),
        "mv \"$2\" \"$1/moved\"".into(),
        "echo x >> \"$2\"".into(),
        ": > \"$2\"".into(),
        "rm \"$2\"".into(),
        "chmod +x \"$1/../run\" && \"$1/../run\"".into(),
        "ls / > /dev/null".into(),
        "ls \"$1/..\"".into(),
        "ls /proc".into(),
        "touch /usr/local/x /tmp/firewarden-probe".into(),
        format!("cat /proc/{parent}/environ"),
        format!("cat /proc/{parent}/cmdline"),
        format!("cat /proc/self/root{secret}"),
        format!("ls /proc/self/cwd/../../.. && cat /proc/{parent}/root{secret}"),
    ];
    for probe in probes {
        let (code, said) = sh(&[], &probe);
        assert!(code != Some(0) && !said.contains("kept"), "{probe}: {said}");
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "kept");
    if abi >= 6 {
        let (code, said) = sh(&[], &format!("kill -0 {parent}"));
        assert_ne!(code, Some(0), "{said}");
    }
    let bash = ["/bin/bash", "/usr/bin/bash"].into_iter().find(|path| Path::new(path).exists());
    let Some(bash) = bash else {
        println!("SKIPPED: without bash nothing here makes connections");
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{}", listener.local_addr().unwrap().port());
    assert_eq!(boxed(&site, &["--network"], &[bash, "-c", &script]).0, Some(0));
    assert_ne!(boxed(&site, &[], &[bash, "-c", &script]).0, Some(0));
}

#[test]
fn what_never_became_a_command_says_so() {
    let site = Site::new(json!({}));
    assert_eq!(boxed(&site, &[], &["/bin/sh", "-c", "exit 7"]).0, Some(7));
    let (code, said) = boxed(&site, &[], &["/no/such/program"]);
    assert!(code == Some(125) && said.starts_with("firewarden __sandbox c1: No such file"), "{said}");
    let (code, said) = {
        let output = site.run(&["__sandbox", "--call", "c1", "--parent", "1", "--", "/bin/echo", "ran"]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!((code, said.as_str()), (Some(125), "firewarden __sandbox c1: whoever asked for it is gone"));
    let help = site.run(&["--help"]);
    assert!(!String::from_utf8_lossy(&help.stdout).contains("__sandbox"));
}
