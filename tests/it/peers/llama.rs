//! llama-server with a model of ours that calls tools for ever: the server's grammar makes each call
//! fit its schema, and nothing makes it stop.

use super::modelled::investigate;
use super::program::Program;
use crate::support::http::{client, eventually, free_address, send};
use crate::support::site::SOON;
use firewarden::journal::{Body, Proposal};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tempfile::TempDir;

#[derive(Debug)]
struct Llama {
    address: SocketAddr,
    _program: Program,
    _dir: TempDir,
}

impl Llama {
    async fn serve(context: u32) -> Self {
        let root = std::env::var("FIREWARDEN_TEST_LLAMA").expect(
            "FIREWARDEN_TEST_LLAMA names the folder that tests/peers/llama-root has filled; ./tests/run does both",
        );
        let (dir, address) = (TempDir::new().unwrap(), free_address());
        let mut args = vec![root, "/usr/bin/llama-server".to_owned()];
        let (port, context) = (address.port().to_string(), context.to_string());
        args.extend(
            [
                "-m",
                "/calls.gguf",
                "--jinja",
                "--chat-template-file",
                "/chat.jinja",
                "--alias",
                "calls-for-ever",
                "--host",
                "127.0.0.1",
                "--port",
                &port,
                "-np",
                "1",
                // One thread: several wait for each other by turning in circles, and the tests need the rest.
                "-t",
                "1",
                // One row of dice for every answer: chance must not decide a test.
                "--seed",
                "2",
                "-c",
                &context,
            ]
            .map(str::to_owned),
        );
        let program = Program::start("llama-server", "chroot", &args, dir.path(), "it takes root to change the root");
        let health = format!("http://{address}/health");
        eventually("llama-server is ready", SOON, async || {
            send(client().get(&health)).await.filter(|answer| answer.status == 200).map(|_| ())
        })
        .await;
        Self { address, _program: program, _dir: dir }
    }

    fn config(&self, more: Value) -> Value {
        let mut config = json!({
            "name": "main", "provider": "openai", "model": "calls-for-ever", "timeout": "80s",
            "base_url": format!("http://{}/v1", self.address), "api_key": "env:SCRIPTED_KEY"});
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        config
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs llama-server: run ./tests/run"]
async fn a_model_that_calls_tools_for_ever_is_stopped_and_the_report_says_how_far_it_came() {
    // Each byte is a token of this model, so it gets little to read in a wide context.
    let llama = Llama::serve(131_072).await;
    let told = investigate(llama.config(json!({"context_tokens": 8_192})), json!({"wall": "110s", "turns": 8})).await;
    let asked = told.asked();
    println!("asked {asked:?}, called {:?}, failed {:?}", told.calls(), told.failures());
    assert!(!told.calls().is_empty(), "it called nothing: {:?}", told.failures());
    let last = asked.len() - 1;
    // The grammar can make it stumble into a report that holds, and that ends the work, too.
    let reported = matches!(told.proposals().last(), Some(Proposal::Report { .. }));
    assert!(asked.len() <= 8 && (asked[last] || reported), "it had to answer in the end: {asked:?}");
    // The same calls again are recognised long before the turns are spent.
    assert!(asked.len() <= 5, "{asked:?}");
    if told.mode() == "deterministic" {
        let said = told.without_model();
        assert!(said.contains(&format!("after {} turns", told.proposals().len().max(last + 1))), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs llama-server: run ./tests/run"]
async fn a_context_that_is_too_small_is_noticed_and_not_asked_for_ever() {
    let llama = Llama::serve(4_096).await;
    // Said wrongly on purpose: the server has less than the configuration says.
    let told = investigate(llama.config(json!({"context_tokens": 131_072})), json!({"wall": "100s"})).await;
    assert_eq!(told.mode(), "deterministic");
    let failures = told.failures();
    assert!(!failures.is_empty() && failures.len() <= 2, "{failures:?}");
    assert!(failures[0].contains("longer than its context"), "{failures:?}");
    assert!(told.without_model().contains("longer than its context"), "{}", told.without_model());
    assert!(!told.entries.iter().any(|entry| matches!(entry.body, Body::ModelReplied { .. })));
}
