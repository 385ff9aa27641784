mod ollama;
mod streams;

use super::*;
use crate::domain::{FinishReason, Message, Part, ProposedCall, Role, Secret, ToolOffer, Usage};
use crate::edge::{SystemClock, SystemEntropy};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

// ---- a server that says exactly what a test wants -----------------------------------------------

/// What the server does with one request.
#[derive(Clone)]
enum Say {
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// Nothing, with the connection open.
    Silence,
    /// These bytes, and then nothing more, with the connection open.
    Stall(Vec<u8>),
    /// This much of a body, without end.
    Flood(usize),
}

fn http(status: u16, headers: &str, body: &str) -> Say {
    let length = body.len();
    Say::Raw(
        format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
            .into_bytes(),
    )
}

fn ok(body: &Value) -> Say {
    http(200, "content-type: application/json\r\n", &body.to_string())
}

fn says(text: &str) -> Value {
    json!({"model": "m", "choices": [{"finish_reason": "stop", "message": {"content": text}}]})
}

struct Server {
    url: String,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Server {
    /// Answers the n-th request with the n-th of `script`, later ones with the last.
    async fn start(script: Vec<Say>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        tokio::spawn(async move {
            let mut open = Vec::new();
            for n in 0.. {
                let (mut socket, _) = listener.accept().await.unwrap();
                let request = read_request(&mut socket).await;
                log.lock().unwrap().push(request);
                match script.get(n).or(script.last()).cloned().unwrap() {
                    Say::Raw(bytes) => socket.write_all(&bytes).await.unwrap(),
                    Say::Silence => open.push(socket),
                    Say::Stall(bytes) => {
                        socket.write_all(&bytes).await.unwrap();
                        open.push(socket);
                    }
                    Say::Flood(bytes) => {
                        socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n\"").await.unwrap();
                        let block = vec![b'x'; 1 << 16];
                        for _ in 0..bytes >> 16 {
                            if socket.write_all(&block).await.is_err() {
                                break;
                            }
                        }
                    }
                }
            }
        });
        Self { url, seen }
    }

    fn requests(&self) -> Vec<(String, Value)> {
        self.seen.lock().unwrap().clone()
    }
}

async fn read_request(socket: &mut tokio::net::TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    let mut block = [0; 4096];
    loop {
        let n = socket.read(&mut block).await.unwrap();
        bytes.extend_from_slice(&block[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length =
                head.lines().find_map(|l| l.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
            if body.len() >= length || n == 0 {
                return (head, serde_json::from_str(body).unwrap_or(Value::Null));
            }
        }
    }
}

fn options(url: &str) -> OpenAiOptions {
    OpenAiOptions {
        timeout: Duration::from_secs(5),
        backoff: vec![Duration::from_millis(5), Duration::from_millis(10)],
        max_body: 1 << 20,
        ..OpenAiOptions::new("main", "tiny", url)
    }
}

fn provider(options: OpenAiOptions) -> OpenAi {
    rustls::crypto::ring::default_provider().install_default().ok();
    OpenAi::new(options, Arc::new(SystemClock), Arc::new(SystemEntropy::default())).unwrap()
}

fn request() -> ChatRequest {
    let said = |role, content: &str| Message { role, content: content.to_owned(), calls: vec![], answers: None };
    let look = ToolOffer { name: "look".into(), description: "Looks.".into(), parameters: json!({"type": "object"}) };
    ChatRequest::new([said(Role::System, "rules"), said(Role::User, "case")], vec![look], 500)
}

async fn chat(script: Vec<Say>) -> (Result<ChatReply, ModelError>, Server) {
    let server = Server::start(script).await;
    let answer = provider(options(&server.url)).chat(&request(), &Arc::default()).await;
    (answer, server)
}

// ---- recorded exchanges of llama-server ---------------------------------------------------------

fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/openai/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

async fn replay_fixture(name: &str) -> Result<ChatReply, ModelError> {
    let response = &fixture(name)["response"];
    let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
    chat(vec![http(status, "", &response["body"].to_string())]).await.0
}

fn call(id: &str, tool: &str, args: &str) -> ProposedCall {
    ProposedCall { id: id.into(), tool: tool.into(), args: Value::String(args.into()) }
}

#[tokio::test]
async fn recorded_answers_are_read_whole() {
    let auto = replay_fixture("chat-tool-auto").await.unwrap();
    let args = r#"{"namespace":"shop","replicas":1,"dry":true}"#;
    assert_eq!(
        auto,
        ChatReply {
            model: "tiny-random".into(),
            content: String::new(),
            calls: vec![call("TlywwbZK0kU6JmBpUQlmeGozzmBivhAt", "k8s_get_pod", args)],
            finish: FinishReason::ToolCalls,
            usage: Some(Usage { tokens_in: 895, tokens_out: 94, tokens_cached: 894 }),
        }
    );
    assert_eq!(replay_fixture("chat-tool-parallel").await.unwrap().calls.len(), 2);
    let plain = replay_fixture("chat-plain").await.unwrap();
    assert_eq!((plain.content.as_str(), plain.finish), ("<tool_call>\n{", FinishReason::Stop));
}

#[tokio::test]
async fn an_answer_that_was_cut_keeps_no_call() {
    let cut = replay_fixture("chat-length-cut-tool").await.unwrap();
    assert_eq!((cut.calls.len(), cut.finish), (0, FinishReason::Length));
    // The server sends complete calls together with `length`; the recording of the named choice shows it.
    let recorded = fixture("chat-tool-named");
    assert_eq!(recorded["response"]["body"]["choices"][0]["finish_reason"], "length");
    let named = replay_fixture("chat-tool-named").await.unwrap();
    assert_eq!((named.calls.len(), named.finish), (0, FinishReason::Length));
}

#[tokio::test]
async fn recorded_errors_keep_their_status_and_words() {
    let told = |r: Result<ChatReply, ModelError>| r.unwrap_err();
    for (name, expected, words) in [
        ("error-401", 401, "Invalid API Key"),
        ("error-404", 404, "File Not Found"),
        ("error-bad-json", 400, "parse error"),
        ("error-bad-tool-schema", 400, "unrecognized type nope"),
        ("error-no-messages", 400, "'messages' is required"),
    ] {
        let error = told(replay_fixture(name).await);
        let ModelError::Rejected { status, message, .. } = &error else { panic!("{name}: {error}") };
        assert_eq!(*status, expected, "{name}");
        assert!(message.contains(words), "{name}: {message}");
        assert!(!error.is_transient());
    }
    let overflow = told(replay_fixture("error-context-overflow").await);
    assert!(matches!(overflow, ModelError::TooLong { .. }), "{overflow}");
}

// ---- what servers do when they do not do well ---------------------------------------------------

#[tokio::test]
async fn answers_in_the_wrong_shape_are_malformed_and_not_repeated() {
    for (body, words) in [
        (json!({}), "no `choices`"),
        (json!({"choices": []}), "no `choices`"),
        (json!({"choices": "x"}), "no `choices`"),
        (json!({"choices": [{"text": "old protocol"}]}), "no `message`"),
        (json!({"choices": [{"message": {"content": null}}]}), "it is empty"),
        (json!({"choices": [{"message": {"content": " \n", "tool_calls": []}}]}), "it is empty"),
        (json!({"error": {"message": "no capacity", "code": 503}}), "no capacity"),
        (json!([1, 2]), "no `choices`"),
        (json!(null), "no `choices`"),
    ] {
        let (answer, server) = chat(vec![ok(&body)]).await;
        let error = answer.unwrap_err();
        assert!(matches!(&error, ModelError::Malformed { what, .. } if what.contains(words)), "{body}: {error}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn garbage_is_malformed() {
    let deep = "[".repeat(10_000);
    for body in ["<html>Bad gateway</html>", "", "{\"choices\":[{\"mess", &deep, "{\"choices\":[],\"n\":1e999}"] {
        let (answer, server) = chat(vec![http(200, "", body)]).await;
        let error = answer.unwrap_err();
        assert!(matches!(error, ModelError::Malformed { .. }), "{error}");
        assert_eq!(server.requests().len(), 1);
        assert!(error.to_string().len() < 600);
    }
    let (answer, _) = chat(vec![Say::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())]).await;
    assert!(matches!(answer, Err(ModelError::Broken { .. })), "{answer:?}");
    let (answer, _) =
        chat(vec![Say::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"choices\":[{".to_vec())]).await;
    assert!(matches!(answer, Err(ModelError::Broken { .. })), "{answer:?}");
}

#[tokio::test]
async fn odd_but_readable_answers_are_read() {
    let message = |message: Value| json!({"choices": [{"finish_reason": "eos", "message": message}], "usage": "none"});
    let function = |f: Value| message(json!({"tool_calls": [{"function": f}]}));
    for (body, tool, args) in [
        (function(json!({"name": "look", "arguments": {"a": 1}})), "look", json!({"a": 1})),
        (function(json!({"name": "look", "arguments": "{\"a\":1}"})), "look", json!("{\"a\":1}")),
        (function(json!({"name": "look"})), "look", json!("")),
        (function(json!({"name": "look", "arguments": [1]})), "look", json!("[1]")),
        (function(json!({"arguments": "{}"})), "", json!("{}")),
        (message(json!({"function_call": {"name": "look", "arguments": "{}"}})), "look", json!("{}")),
        (message(json!({"tool_calls": [{"name": "look", "arguments": {}}]})), "look", json!({})),
        (
            message(json!({"tool_calls": [7, null, {"function": {"name": "look", "arguments": "x"}}]})),
            "look",
            json!("x"),
        ),
    ] {
        let reply = chat(vec![ok(&body)]).await.0.unwrap();
        assert_eq!(reply.calls, [ProposedCall { id: String::new(), tool: tool.into(), args }], "{body}");
        assert_eq!((reply.finish, reply.usage, reply.model.as_str()), (FinishReason::ToolCalls, None, "tiny"));
    }
    let parts = message(json!({"content": [{"type": "text", "text": "a"}, {"type": "image"}, {"text": "b"}]}));
    assert_eq!(chat(vec![ok(&parts)]).await.0.unwrap().content, "ab");
    let refusal = message(json!({"content": null, "refusal": "I cannot"}));
    assert_eq!(chat(vec![ok(&refusal)]).await.0.unwrap().content, "I cannot");
}

#[tokio::test]
async fn usage_that_cannot_be_true_is_none() {
    for usage in [
        json!(null),
        json!({}),
        json!({"prompt_tokens": -4, "completion_tokens": 1}),
        json!({"prompt_tokens": 0, "completion_tokens": 0}),
        json!({"prompt_tokens": 99_000_000_000_u64, "completion_tokens": 1}),
        json!({"prompt_tokens": "12", "completion_tokens": "3"}),
        json!({"prompt_tokens": 5}),
    ] {
        let mut body = says("x");
        body["usage"] = usage;
        assert_eq!(chat(vec![ok(&body)]).await.0.unwrap().usage, None);
    }
}

#[tokio::test]
async fn two_hundred_calls_are_not_kept() {
    let calls: Vec<Value> =
        (0..200).map(|n| json!({"function": {"name": format!("t{n}"), "arguments": "{}"}})).collect();
    let body = json!({"choices": [{"message": {"tool_calls": calls}}]});
    assert_eq!(chat(vec![ok(&body)]).await.0.unwrap().calls.len(), MAX_CALLS);
}

#[tokio::test]
async fn rate_limits_and_failures_are_repeated_twice_and_no_more() {
    for status in [429, 500, 502, 503, 529] {
        let (answer, server) = chat(vec![http(status, "", "{\"error\":{\"code\":1,\"message\":\"busy\"}}")]).await;
        let error = answer.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("busy"), "{error}");
        assert_eq!(server.requests().len(), 3, "{status}");
    }
    let (answer, server) =
        chat(vec![http(500, "", "oops"), http(429, "retry-after: 0\r\n", "{}"), ok(&says("fine"))]).await;
    assert_eq!(answer.unwrap().content, "fine");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn retry_after_is_honoured_up_to_twenty_seconds() {
    let begun = Instant::now();
    let (answer, _) = chat(vec![http(429, "retry-after: 1\r\n", "{}"), ok(&says("fine"))]).await;
    assert_eq!(answer.unwrap().content, "fine");
    assert!(begun.elapsed() >= Duration::from_secs(1));

    let (answer, server) = chat(vec![http(429, "retry-after: 21\r\n", "{\"error\":\"slow down\"}")]).await;
    let error = answer.unwrap_err();
    let expected = ModelError::RateLimited {
        model: "main".into(),
        retry_after: Some(Duration::from_secs(21)),
        message: "slow down".into(),
    };
    assert_eq!(error, expected);
    assert_eq!(
        error.to_string(),
        "model `main`: rate limited (slow down). Wait 21 s, or raise the quota at the provider."
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn what_repeating_cannot_help_is_not_repeated() {
    for (status, body) in [
        (400, "{\"error\":{\"code\":400,\"message\":\"no\"}}"),
        (400, "{\"error\":\"text\"}"),
        (400, "not json"),
        (401, ""),
        (403, "{\"detail\":\"no\"}"),
        (404, "{}"),
        (302, ""),
        (429, "{\"error\":{\"message\":\"pay\",\"type\":\"insufficient_quota\"}}"),
    ] {
        let (answer, server) = chat(vec![http(status, "", body)]).await;
        assert!(answer.is_err());
        assert_eq!(server.requests().len(), 1, "{status} {body}");
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_ends_at_the_time_limit() {
    for script in [vec![Say::Silence], vec![http(503, "retry-after: 19\r\n", ""), Say::Silence]] {
        let server = Server::start(script).await;
        let begun = Instant::now();
        let options = OpenAiOptions { timeout: Duration::from_millis(300), ..options(&server.url) };
        let error = provider(options).chat(&request(), &Arc::default()).await.unwrap_err();
        assert_eq!(error, ModelError::Timeout { model: "main".into(), after: Duration::from_millis(300) });
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable_and_says_where() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let error = provider(options(&url)).chat(&request(), &Arc::default()).await.unwrap_err();
    assert!(matches!(error, ModelError::Unreachable { .. }) && error.is_transient(), "{error}");
    assert!(error.to_string().contains(&url), "{error}");
}

#[tokio::test]
async fn a_body_without_end_is_dropped_at_the_limit() {
    let (answer, _) = chat(vec![Say::Flood(10 << 20)]).await;
    assert_eq!(answer.unwrap_err(), ModelError::TooLarge { model: "main".into(), limit: 1 << 20 });
    let huge = Say::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10485760\r\n\r\n".to_vec());
    let (answer, _) = chat(vec![huge]).await;
    assert_eq!(answer.unwrap_err(), ModelError::TooLarge { model: "main".into(), limit: 1 << 20 });
}

// ---- what we send -------------------------------------------------------------------------------

#[tokio::test]
async fn the_request_is_plain_and_carries_the_key_only_as_a_header() {
    let server = Server::start(vec![ok(&says("x"))]).await;
    let key = Secret::new("sk-very-secret-0123456789", "env:KEY");
    let provider = provider(OpenAiOptions { api_key: Some(key), ..options(&server.url) });
    let mut request = request();
    let tool = |id: &str, text: &str| Message {
        role: Role::Tool,
        content: text.into(),
        calls: vec![],
        answers: Some(id.into()),
    };
    let asked = Message {
        role: Role::Assistant,
        content: String::new(),
        calls: vec![
            ProposedCall { id: "call_1_1".into(), tool: "look".into(), args: json!({"a": 1}) },
            call("call_1_2", "bad name!", "{cut"),
        ],
        answers: None,
    };
    let said = [asked, tool("call_1_1", "seen"), tool("call_1_2", "not run")];
    request.messages.extend(said.map(Part::from));
    provider.chat(&request, &Arc::default()).await.unwrap();
    let (head, body) = server.requests().remove(0);
    assert!(head.starts_with("post /v1/chat/completions http/1.1"), "{head}");
    assert!(head.contains("authorization: bearer sk-very-secret-0123456789"), "{head}");
    assert!(!format!("{provider:?}").contains("very-secret"));
    insta::assert_json_snapshot!(body);
}

#[tokio::test]
async fn no_key_sends_no_header_and_the_environment_is_not_read() {
    let (_, server) = chat(vec![ok(&says("x"))]).await;
    let (head, _) = server.requests().remove(0);
    assert!(!head.contains("authorization") && !head.contains("openai-"), "{head}");
}

#[tokio::test]
async fn a_server_that_echoes_the_key_does_not_get_it_into_the_error() {
    let body = r#"{"error":{"message":"Incorrect API key provided: my-own-key-4711"}}"#;
    let server = Server::start(vec![http(401, "", body)]).await;
    let key = Some(Secret::new("my-own-key-4711", "file:key"));
    let error = provider(OpenAiOptions { api_key: key, ..options(&server.url) })
        .chat(&request(), &Arc::default())
        .await
        .unwrap_err();
    assert!(!format!("{error} {error:?}").contains("4711"), "{error}");
    assert!(error.to_string().contains("Check `api_key`"), "{error}");
}

#[tokio::test]
async fn a_server_without_required_gets_auto_once_and_for_good() {
    let refusal = http(400, "", r#"{"error":{"message":"tool_choice must be auto or none"}}"#);
    let server = Server::start(vec![refusal.clone(), ok(&says("a")), ok(&says("b")), refusal]).await;
    let provider = provider(options(&server.url));
    let request = ChatRequest { must_answer: true, ..request() };
    assert_eq!(provider.chat(&request, &Arc::default()).await.unwrap().content, "a");
    assert_eq!(provider.chat(&request, &Arc::default()).await.unwrap().content, "b");
    assert!(provider.chat(&request, &Arc::default()).await.is_err());
    let choices: Vec<Value> = server.requests().iter().map(|(_, body)| body["tool_choice"].clone()).collect();
    assert_eq!(choices, ["required", "auto", "auto", "auto"]);
}

#[tokio::test]
async fn a_server_that_wants_the_newer_limit_gets_it() {
    let refusal = r#"{"error":{"message":"Unsupported parameter: use 'max_completion_tokens' instead"}}"#;
    let (answer, server) = chat(vec![http(400, "", refusal), ok(&says("a"))]).await;
    assert_eq!(answer.unwrap().content, "a");
    let (_, body) = server.requests().remove(1);
    assert_eq!((&body["max_completion_tokens"], body.get("max_tokens")), (&json!(500), None));
}

#[test]
fn settings_that_cannot_work_are_refused_at_once() {
    rustls::crypto::ring::default_provider().install_default().ok();
    for (url, model, key, words) in [
        ("localhost:8080/v1", "m", None, "must begin with http"),
        ("not a url", "m", None, "is no address"),
        ("https://u:p@host/v1", "m", None, "use `api_key`"),
        ("http://host/v1", " ", None, "`model` is empty"),
        ("http://host/v1", "m", Some("a\nb"), "no header may hold"),
    ] {
        let api_key = key.map(|k| Secret::new(k, "env:K"));
        let options = OpenAiOptions { api_key, ..OpenAiOptions::new("main", model, url) };
        let made = OpenAi::new(options, Arc::new(SystemClock), Arc::new(SystemEntropy::default()));
        let error = made.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}
