//! A scripted model of independent make (npm `@copilotkit/aimock`), in OpenAI's dialect and in
//! Ollama's, well-behaved and with faults.

use super::modelled::{Told, investigate};
use super::program::Program;
use crate::support::http::{client, eventually, free_address, send};
use crate::support::model::report;
use crate::support::site::SOON;
use firewarden::journal::Proposal;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tempfile::TempDir;

const REMEDY: &str = "run ./tests/run, or `npm install --ignore-scripts @copilotkit/aimock@1.43.0` and name \
                      node_modules/.bin/llmock in FIREWARDEN_TEST_AIMOCK";

#[derive(Debug)]
struct Aimock {
    address: SocketAddr,
    _program: Program,
    _dir: TempDir,
}

impl Aimock {
    /// Answers by `fixtures`, the first that matches; anything else is an error.
    async fn serve(fixtures: Value, flags: &[&str]) -> Self {
        let (dir, address) = (TempDir::new().unwrap(), free_address());
        let file = dir.path().join("fixtures.json");
        std::fs::write(&file, json!({"fixtures": fixtures}).to_string()).unwrap();
        let program = std::env::var("FIREWARDEN_TEST_AIMOCK").unwrap_or_else(|_| "llmock".to_owned());
        let mut args: Vec<String> = ["--strict", "--host", "127.0.0.1", "--port"].map(str::to_owned).into();
        args.extend([address.port().to_string(), "--fixtures".to_owned(), file.display().to_string()]);
        args.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let program = Program::start("aimock", &program, &args, dir.path(), REMEDY);
        let health = format!("http://{address}/health");
        eventually("aimock answers", SOON, async || {
            send(client().get(&health)).await.filter(|answer| answer.status == 200).map(|_| ())
        })
        .await;
        Self { address, _program: program, _dir: dir }
    }

    /// The entry for `models:`.
    fn config(&self, dialect: Dialect) -> Value {
        match dialect {
            Dialect::OpenAi { stream } => json!({
                "name": "main", "provider": "openai", "model": "scripted-1", "base_url": format!("http://{}/v1", self.address),
                "api_key": "env:SCRIPTED_KEY", "stream": stream, "timeout": "30s"}),
            Dialect::Ollama => json!({
                "name": "main", "provider": "ollama", "model": "scripted-1", "host": format!("http://{}", self.address),
                "timeout": "30s"}),
        }
    }

    /// Its own record of the questions that it was asked.
    async fn chats(&self) -> Vec<Value> {
        let journal = send(client().get(format!("http://{}/__aimock/journal", self.address))).await.unwrap().json();
        let of_chat = |entry: &&Value| entry["path"].as_str().is_some_and(|path| path.contains("/chat"));
        journal.as_array().unwrap().iter().filter(of_chat).cloned().collect()
    }
}

#[derive(Debug, Clone, Copy)]
enum Dialect {
    OpenAi { stream: bool },
    Ollama,
}

const DIALECTS: [Dialect; 3] = [Dialect::OpenAi { stream: true }, Dialect::OpenAi { stream: false }, Dialect::Ollama];

/// A look at the cluster, one at the metrics, then the report.
fn script() -> Value {
    let call = |turn: u32, name: &str, arguments: Value| json!({"match": {"turnIndex": turn}, "response": {"toolCalls": [{"name": name, "arguments": arguments}]}});
    json!([
        call(0, "kubernetes_list", json!({"kind": "Pod"})),
        call(1, "prometheus_query", json!({"query": "vector(1)"})),
        call(2, "submit_report", report()),
    ])
}

fn budget() -> Value {
    json!({"wall": "2m"})
}

/// The model's report is in the report, after exactly the calls that it made.
fn assert_modelled(told: &Told, dialect: Dialect) {
    assert_eq!(told.mode(), "hybrid", "{dialect:?}: {:#}", told.report);
    assert_eq!(told.calls(), ["kubernetes_list", "prometheus_query"], "{dialect:?}");
    assert!(matches!(told.proposals().last(), Some(Proposal::Report { .. })), "{dialect:?}");
    assert_eq!(told.without_model(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs aimock: run ./tests/run"]
async fn a_model_calls_sees_and_reports_in_every_dialect() {
    for dialect in DIALECTS {
        let aimock = Aimock::serve(script(), &[]).await;
        let told = investigate(aimock.config(dialect), budget()).await;
        assert_modelled(&told, dialect);
        assert_eq!(told.asked(), [false; 3]);
        let chats = aimock.chats().await;
        assert_eq!(chats.len(), 3, "{dialect:?}: each question once");
        // It understood the whole conversation: calls and results are where its dialect has them.
        let messages = chats[2]["body"]["messages"].as_array().unwrap();
        let roles: Vec<&str> = messages.iter().filter_map(|message| message["role"].as_str()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool", "assistant", "tool"], "{dialect:?}");
        assert!(messages[3]["content"].to_string().contains("typedb-0"), "{dialect:?}: {}", messages[3]);
        assert!(chats.iter().all(|chat| chat["response"]["status"] == 200), "{dialect:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs aimock: run ./tests/run"]
async fn every_fault_ends_in_a_report_that_says_what_happened() {
    // A turn is tried twice. 429 and 5xx are repeated twice within a try; an answer that broke off or
    // makes no sense is not, since it may have been paid for.
    for (fault, words, most) in [
        ("--chaos-drop", "the server failed with 500", 6),
        ("--chaos-ratelimit", "rate limit", 6),
        ("--chaos-malformed", "", 2),
        ("--chaos-disconnect", "", 2),
    ] {
        for dialect in DIALECTS {
            let aimock = Aimock::serve(script(), &[fault, "1"]).await;
            let told = investigate(aimock.config(dialect), budget()).await;
            let (case, chats) = (format!("{fault} {dialect:?}"), aimock.chats().await.len());
            assert!((1..=most).contains(&chats), "{case}: asked {chats} times");
            assert_eq!(told.mode(), "deterministic", "{case}");
            assert_eq!(told.calls(), [""; 0], "{case}");
            let said = told.without_model();
            assert!(said.contains("model `main`") && said.contains(words), "{case}: {said:?}");
            assert!((1..=2).contains(&told.failures().len()), "{case}: {:?}", told.failures());
            println!("{case}: {chats} requests: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs aimock: run ./tests/run"]
async fn a_server_that_recovers_is_asked_again_and_the_report_is_the_models() {
    for dialect in DIALECTS {
        // The first question is refused once, as a server under load does.
        let mut fixtures = script();
        let refusal = json!({"match": {"turnIndex": 0, "sequenceIndex": 0}, "response": {"status": 429, "error": {"message": "too many requests", "type": "rate_limit_error"}}});
        fixtures.as_array_mut().unwrap().insert(0, refusal);
        let aimock = Aimock::serve(fixtures, &["--chaos-latency", "200"]).await;
        let told = investigate(aimock.config(dialect), budget()).await;
        assert_modelled(&told, dialect);
        assert_eq!(aimock.chats().await.len(), 4, "{dialect:?}: three questions, one of them twice");
        assert_eq!(told.failures(), [""; 0], "{dialect:?}: repeated where it was asked");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs aimock: run ./tests/run"]
async fn nothing_of_an_answer_that_is_cut_is_used() {
    for dialect in [Dialect::OpenAi { stream: true }, Dialect::Ollama] {
        let long = json!({"kind": "Pod", "namespace": "f3iai", "labels": "app=typedb"});
        let cut = json!([{"match": {}, "truncateAfterChunks": 2, "chunkSize": 4,
            "response": {"toolCalls": [{"name": "kubernetes_list", "arguments": long}]}}]);
        let aimock = Aimock::serve(cut, &[]).await;
        let told = investigate(aimock.config(dialect), budget()).await;
        assert_eq!(told.calls(), [""; 0], "{dialect:?}");
        assert_eq!((told.mode(), told.proposals().len()), ("deterministic", 0), "{dialect:?}");
        assert!(!told.failures().is_empty() && aimock.chats().await.len() <= 2, "{dialect:?}: {:?}", told.failures());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs aimock: run ./tests/run"]
async fn an_answer_at_its_token_limit_is_not_run_and_one_in_text_is() {
    let dialect = Dialect::OpenAi { stream: true };
    let in_text = "<tool_call>\n{\"name\": \"kubernetes_list\", \"arguments\": {\"kind\": \"Pod\"}}\n</tool_call>";
    let fixtures = json!([
        {"match": {"turnIndex": 0}, "response": {"content": in_text, "finishReason": "length"}},
        {"match": {"turnIndex": 1}, "response": {"content": in_text}},
        {"match": {"turnIndex": 2}, "response": {"toolCalls": [{"name": "submit_report", "arguments": report()}]}},
    ]);
    let aimock = Aimock::serve(fixtures, &[]).await;
    let told = investigate(aimock.config(dialect), budget()).await;
    assert_eq!(told.calls(), ["kubernetes_list"]);
    let proposals = told.proposals();
    assert!(matches!(proposals[0], Proposal::Invalid { remedy } if remedy.contains("cut at the token limit")));
    assert!(matches!(proposals[1], Proposal::Calls { accepted, recovered: true, .. } if accepted.len() == 1));
    assert_eq!(told.mode(), "hybrid");
    // What was taken from the text is said back as a call with its result.
    let last = aimock.chats().await.pop().unwrap();
    let messages = last["body"]["messages"].as_array().unwrap();
    let made = messages.iter().filter(|message| message["role"] == "assistant" && message["tool_calls"].is_array());
    assert_eq!(made.count(), 1, "{messages:#?}");
    assert!(messages.iter().any(|message| message["role"] == "tool" && message["tool_call_id"] == "call_2_1"));
}
