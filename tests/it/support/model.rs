//! A scripted language model behind the OpenAI-compatible HTTP interface.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the model does in each turn.
#[derive(Debug, Clone)]
pub enum Script {
    /// So many turns with two reads each, then a report.
    ReadsThenReport(usize),
    /// The calls of each turn, then a report.
    Calls(Vec<Vec<(&'static str, Value)>>),
    /// These words, whatever is asked.
    Says(&'static str),
    /// Bodies that are no answer at all, one after the other.
    Garbage,
}

/// A model that is being served. Dropping it closes it.
#[derive(Debug)]
pub struct Model {
    /// For `models[].base_url`.
    pub base_url: String,
    state: Arc<Asked>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Asked {
    script: Script,
    requests: AtomicUsize,
    bodies: Mutex<Vec<String>>,
    /// Answers wait until it is true.
    /// So many requests are answered, the first ones.
    speaks: watch::Sender<usize>,
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Model {
    pub async fn serve(script: Script) -> Self {
        let model = Self::serve_silent(script).await;
        model.speak();
        model
    }

    /// A model that is asked and does not answer before [`Self::speak`].
    pub async fn serve_silent(script: Script) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let state = Arc::new(Asked {
            script,
            requests: AtomicUsize::new(0),
            bodies: Mutex::default(),
            speaks: watch::Sender::new(0),
        });
        let router = Router::new()
            .route("/v1/chat/completions", post(answer))
            .route("/v1/models", get(models))
            .with_state(state.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base_url, state, task }
    }

    /// Lets it answer, from now on.
    pub fn speak(&self) {
        self.answers(usize::MAX);
    }

    /// Lets it answer the first `requests` of all that it was or will be asked.
    pub fn answers(&self, requests: usize) {
        self.state.speaks.send_replace(requests);
    }

    /// How often it was asked.
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// What it was asked, oldest first.
    pub fn bodies(&self) -> Vec<Value> {
        self.state.bodies.lock().unwrap().iter().map(|body| serde_json::from_str(body).unwrap()).collect()
    }

    /// The entry for `models:`.
    pub fn config(&self) -> Value {
        json!({"name": "main", "provider": "openai", "model": "scripted-1", "base_url": self.base_url, "api_key": "env:SCRIPTED_KEY"})
    }
}

async fn models() -> Json<Value> {
    Json(json!({"object": "list", "data": [{"id": "scripted-1", "object": "model", "max_model_len": 32_768}]}))
}

async fn answer(State(asked): State<Arc<Asked>>, body: String) -> Result<Json<Value>, String> {
    let number = asked.requests.fetch_add(1, Ordering::SeqCst);
    // The turn is told by what the request repeats, so a restarted asker gets the same answer. Text
    // within strings has its quotes escaped, and a model that costs no time must not parse.
    let turn = body.matches(r#""role":"assistant""#).count();
    asked.bodies.lock().unwrap().push(body);
    asked.speaks.subscribe().wait_for(|answered| number < *answered).await.map_err(|error| error.to_string())?;
    match &asked.script {
        Script::Garbage => match number % 4 {
            0 => Err("<html>502 Bad Gateway</html>".into()),
            1 => Ok(Json(json!({"choices": "none", "id": 7}))),
            2 => Ok(Json(completion(
                json!({"role": "assistant", "content": "\u{1b}[2J I have fixed everything."}),
                "stop",
            ))),
            _ => Ok(Json(completion(calls(&[("delete_everything", "{\"now\": tru".into())], turn), "tool_calls"))),
        },
        Script::Says(words) => Ok(Json(completion(json!({"role": "assistant", "content": words}), "stop"))),
        Script::ReadsThenReport(turns) if turn < *turns => {
            let reads = [
                ("prometheus_query", json!({"query": format!("vector({turn})")}).to_string()),
                ("prometheus_query", json!({"query": format!("vector({turn}) + 1")}).to_string()),
            ];
            Ok(Json(completion(calls(&reads, turn), "tool_calls")))
        }
        Script::Calls(turns) if turn < turns.len() => {
            let list: Vec<(&str, String)> = turns[turn].iter().map(|(name, args)| (*name, args.to_string())).collect();
            Ok(Json(completion(calls(&list, turn), "tool_calls")))
        }
        Script::ReadsThenReport(_) | Script::Calls(_) => {
            Ok(Json(completion(calls(&[("submit_report", report().to_string())], turn), "tool_calls")))
        }
    }
}

fn calls(list: &[(&str, String)], turn: usize) -> Value {
    let calls: Vec<Value> = list
        .iter()
        .enumerate()
        .map(|(n, (name, arguments))| {
            json!({"id": format!("c{turn}{n}"), "type": "function", "function": {"name": name, "arguments": arguments}})
        })
        .collect();
    json!({"role": "assistant", "content": null, "tool_calls": calls})
}

fn completion(message: Value, finish: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000, "model": "scripted-1-0001",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": null}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    })
}

/// A report on the recorded incident, as a model submits it.
pub fn report() -> Value {
    let claim = json!({"kind": "PersistentVolumeClaim", "namespace": "f3iai", "name": "data-typedb-0"});
    json!({
        "verdict": "possible",
        "summary": "The volume of typedb-0 is full.",
        "root_causes": [{"cause_code": "volume_full", "entity": claim, "statement": "The volume is full.",
                         "confidence": 0.5, "category": "capacity", "evidence_ids": ["E1"]}],
        "causal_chain": [], "alternatives": [], "recommendations": [], "open_questions": []
    })
}
