//! Ollama, as it answers and as it fails.

use super::*;

fn show(capabilities: &[&str]) -> Say {
    ok(&json!({"license": "x", "details": {}, "capabilities": capabilities,
               "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40_960}}))
}

fn lines(lines: &[Value]) -> Say {
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Say::Raw(format!("HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n\r\n{lines}").into_bytes())
}

fn says(text: &str) -> Value {
    json!({"model": "qwen3:8b", "message": {"role": "assistant", "content": text}, "done": true, "done_reason": "stop",
           "prompt_eval_count": 20, "eval_count": 5})
}

fn options(server: &Server) -> OllamaOptions {
    OllamaOptions {
        timeout: Duration::from_secs(5),
        backoff: vec![Duration::from_millis(5), Duration::from_millis(10)],
        max_body: 1 << 20,
        // With a path, as behind a gateway, and without the slash at its end.
        ..OllamaOptions::new("main", "qwen3:8b", server.url.replace("/v1", "/ollama"))
    }
}

fn ollama(options: OllamaOptions) -> Ollama {
    rustls::crypto::ring::default_provider().install_default().ok();
    Ollama::new(options, Arc::new(SystemClock), Arc::new(SystemEntropy::default())).unwrap()
}

async fn chat(script: Vec<Say>) -> (Result<ChatReply, ModelError>, Server) {
    let server = Server::start(script).await;
    let answer = ollama(options(&server)).chat(&request(), &Arc::default()).await;
    (answer, server)
}

#[tokio::test]
async fn it_is_shown_once_and_asked_with_its_context() {
    let thought = json!({"model": "qwen3:8b", "message": {"content": "", "thinking": "hm"}, "done": false});
    let call = json!({"function": {"name": "look", "arguments": {"a": 1}}});
    let called = json!({"model": "qwen3:8b", "message": {"content": "", "tool_calls": [call]}, "done": false});
    let server = Server::start(vec![
        show(&["completion", "tools", "thinking"]),
        lines(&[thought, called, says("")]),
        lines(&[says("<think>hm</think>Done.")]),
    ])
    .await;
    let provider = ollama(OllamaOptions { api_key: Some(Secret::new("gate-key", "env:K")), ..options(&server) });
    assert_eq!(provider.limits(), Limits::default());
    let progress = Arc::new(Progress::default());
    let reply = provider.chat(&request(), &progress).await.unwrap();
    let call = ProposedCall { id: String::new(), tool: "look".into(), args: json!({"a": 1}) };
    assert_eq!((reply.model.as_str(), reply.calls, reply.finish), ("qwen3:8b", vec![call], FinishReason::ToolCalls));
    assert_eq!(reply.usage, Some(Usage { tokens_in: 20, tokens_out: 5, tokens_cached: 0 }));
    assert_eq!(progress.tokens(), 2);
    assert_eq!(provider.limits(), Limits { context_tokens: Some(32_768) });
    assert_eq!(provider.chat(&request(), &progress).await.unwrap().content, "Done.");

    let requests = server.requests();
    let paths: Vec<&str> = requests.iter().map(|(head, _)| head.split(' ').nth(1).unwrap()).collect();
    assert_eq!(paths, ["/ollama/api/show", "/ollama/api/chat", "/ollama/api/chat"]);
    assert!(requests.iter().all(|(head, _)| head.contains("authorization: bearer gate-key")));
    assert!(!format!("{provider:?}").contains("gate-key"));
    let body = &requests[1].1;
    assert_eq!(body["options"], json!({"num_ctx": 32_768, "num_predict": 500}));
    assert_eq!((&body["stream"], &body["think"]), (&json!(true), &json!(true)));
    assert_eq!(body["tools"][0]["function"]["parameters"], json!({"type": "object"}));
}

#[tokio::test]
async fn odd_answers_are_read_and_wrong_ones_are_not() {
    let tools = || show(&["tools"]);
    let odd = json!({"model": "qwen3:8b", "message": {"content": "Done.", "tool_calls": null}, "done": true});
    let reply = chat(vec![tools(), lines(&[odd])]).await.0.unwrap();
    assert_eq!((reply.content.as_str(), reply.usage), ("Done.", None));
    let silent = json!({"model": "q", "message": {"tool_calls": [{"function": {"name": "look", "arguments": "{}"}}]}, "done": true});
    assert_eq!(chat(vec![tools(), lines(&[silent])]).await.0.unwrap().calls[0].args, json!("{}"));
    // Servers that only look like Ollama do not know `show`.
    let (answer, _) = chat(vec![http(404, "", "404 page not found"), lines(&[says("Done.")])]).await;
    assert_eq!(answer.unwrap().content, "Done.");

    let begun = json!({"model": "q", "message": {"content": "The di"}, "done": false});
    let (cut, _) = chat(vec![tools(), lines(std::slice::from_ref(&begun))]).await;
    assert!(matches!(&cut, Err(ModelError::Broken { why, .. }) if why.contains("ended in the middle")), "{cut:?}");
    for (say, malformed) in [(http(200, "", "<html>"), true), (lines(&[says("")]), true), (lines(&[says("x")]), false)]
    {
        let (answer, _) = chat(vec![tools(), say]).await;
        assert_eq!(matches!(answer, Err(ModelError::Malformed { .. })), malformed, "{answer:?}");
    }
    let length = json!({"model": "q", "message": {"content": "The di"}, "done": true, "done_reason": "length"});
    assert_eq!(chat(vec![tools(), lines(&[length])]).await.0.unwrap().finish, FinishReason::Length);
    let flood: Vec<Value> = std::iter::repeat_n(json!({"message": {"content": "x".repeat(9_000)}}), 200).collect();
    let (answer, _) = chat(vec![tools(), lines(&flood)]).await;
    assert_eq!(answer, Err(ModelError::TooLarge { model: "main".into(), limit: 1 << 20 }));
}

#[tokio::test]
async fn what_ollama_cannot_do_is_told_with_a_remedy() {
    let error = |text: &str| json!({"error": text}).to_string();
    let missing = error("model 'qwen3:8b' not found");
    for (script, words, requests) in [
        (vec![http(404, "", &missing)], "Run `ollama pull qwen3:8b` there", 1),
        (vec![show(&["tools"]), http(404, "", &missing)], "Run `ollama pull qwen3:8b` there", 2),
        (vec![show(&["completion"])], "Choose a model that can", 1),
        (
            vec![show(&["tools"]), http(400, "", &error("qwen3:8b does not support tools"))],
            "Choose a model that can",
            2,
        ),
        (
            vec![
                show(&["tools"]),
                http(500, "", &error("model requires more system memory (9 GiB) than is available")),
            ],
            "a smaller `num_ctx`",
            2,
        ),
        (
            vec![show(&["tools"]), lines(&[json!({"error": "model runner has unexpectedly stopped"})])],
            "Look at Ollama's log",
            2,
        ),
    ] {
        let (answer, server) = chat(script).await;
        let error = answer.unwrap_err();
        assert!(error.to_string().contains(words) && !error.is_transient(), "{error}");
        assert_eq!(server.requests().len(), requests, "{words}");
    }
    let (answer, server) = chat(vec![show(&["tools"]), http(503, "", &error("server busy, please try again"))]).await;
    assert!(matches!(answer, Err(ModelError::Unavailable { status: 503, .. })), "{answer:?}");
    assert_eq!(server.requests().len(), 4, "repeated twice");
}

#[tokio::test]
async fn a_missing_model_is_pulled_where_that_is_wanted() {
    let missing = http(404, "", r#"{"error":"model 'qwen3:8b' not found"}"#);
    let pulled = lines(&[json!({"status": "pulling manifest"}), json!({"status": "success"})]);
    let server = Server::start(vec![missing.clone(), pulled, show(&["tools"]), lines(&[says("Done.")])]).await;
    let provider = ollama(OllamaOptions { pull: true, ..options(&server) });
    provider.prepare().await;
    assert_eq!(provider.limits(), Limits { context_tokens: Some(32_768) });
    assert_eq!(provider.chat(&request(), &Arc::default()).await.unwrap().content, "Done.");
    let requests = server.requests();
    let paths: Vec<&str> = requests.iter().map(|(head, _)| head.split(' ').nth(1).unwrap()).collect();
    assert_eq!(paths, ["/ollama/api/show", "/ollama/api/pull", "/ollama/api/show", "/ollama/api/chat"]);

    let server =
        Server::start(vec![missing, lines(&[json!({"error": "pull model manifest: file does not exist"})])]).await;
    let provider = ollama(OllamaOptions { pull: true, ..options(&server) });
    let error = provider.chat(&request(), &Arc::default()).await.unwrap_err().to_string();
    assert!(error.contains("file does not exist") && error.contains("Pull it by hand"), "{error}");
}

#[tokio::test]
async fn a_conversation_that_ollama_would_cut_in_silence_is_refused() {
    let server = Server::start(vec![show(&["tools"])]).await;
    let provider = ollama(OllamaOptions { num_ctx: Some(8_192), ..options(&server) });
    let mut request = request();
    let long = "x".repeat(8_192 * 5 + 10);
    request.messages[1] = Message { content: long, ..Message::clone(&request.messages[1]) }.into();
    let error = provider.chat(&request, &Arc::default()).await.unwrap_err();
    assert!(matches!(error, ModelError::TooLong { .. }), "{error}");
    assert_eq!(server.requests().len(), 1, "only `show`");
}

#[tokio::test]
async fn the_last_word_is_asked_for_by_schema_and_pins_hold() {
    let server = Server::start(vec![show(&["tools"]), lines(&[says("{}")])]).await;
    let provider = ollama(OllamaOptions { pin: Some("qwen3:8b".into()), ..options(&server) });
    let last = ChatRequest { must_answer: true, ..request() };
    provider.chat(&last, &Arc::default()).await.unwrap();
    let (_, body) = server.requests().pop().unwrap();
    assert_eq!((&body["format"], body.get("tools")), (&json!({"type": "object"}), None));
    let server = Server::start(vec![show(&["tools"]), lines(&[says("x")])]).await;
    let provider = ollama(OllamaOptions { pin: Some("qwen3:14b".into()), ..options(&server) });
    let error = provider.chat(&last, &Arc::default()).await.unwrap_err();
    assert!(matches!(error, ModelError::NotPinned { .. }), "{error}");
}

#[test]
fn settings_that_cannot_work_are_refused_at_once() {
    rustls::crypto::ring::default_provider().install_default().ok();
    for (host, model, key, words) in [
        ("localhost:11434", "m", None, "must begin with http"),
        ("not a url", "m", None, "is no address"),
        ("http://u:p@host", "m", None, "use `api_key`"),
        ("http://host", "", None, "`model` is empty"),
        ("http://host", "m", Some("a\nb"), "no header may hold"),
    ] {
        let api_key = key.map(|k| Secret::new(k, "env:K"));
        let options = OllamaOptions { api_key, ..OllamaOptions::new("main", model, host) };
        let made = Ollama::new(options, Arc::new(SystemClock), Arc::new(SystemEntropy::default()));
        let error = made.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
