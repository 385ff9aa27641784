//! Streams, refusals, schemas, pins and marks of servers with the chat completions protocol.

use super::*;

/// A stream of these events, then the end of the connection.
fn stream(events: &[Value]) -> Vec<u8> {
    let events: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n{events}").into_bytes()
}

fn delta(delta: Value) -> Value {
    json!({"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn end(reason: &str) -> Value {
    json!({"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

fn half_a_call() -> Value {
    delta(json!({"tool_calls": [{"index": 0, "id": "1", "function": {"name": "look", "arguments": "{\"a\":"}}]}))
}

fn last_word() -> ChatRequest {
    ChatRequest { must_answer: true, ..request() }
}

async fn ask(provider: &OpenAi, request: &ChatRequest) -> Result<ChatReply, ModelError> {
    provider.chat(request, &Arc::default()).await
}

#[tokio::test]
async fn a_recorded_stream_reads_like_the_answer_in_one_piece() {
    let recorded = fixture("chat-stream-tool");
    let body = recorded["response"]["body"].as_str().unwrap();
    // It ends with `length`, so nothing of its five calls may be used; with another end they are whole.
    let (cut, server) = chat(vec![http(200, "content-type: text/event-stream\r\n", body)]).await;
    let cut = cut.unwrap();
    let usage = Some(Usage { tokens_in: 895, tokens_out: 400, tokens_cached: 894 });
    assert_eq!((cut.calls.len(), &cut.finish, cut.usage), (0, &FinishReason::Length, usage));
    let (_, sent) = server.requests().remove(0);
    assert_eq!((&sent["stream"], &sent["stream_options"]), (&json!(true), &json!({"include_usage": true})));

    let ended = body.replace("\"finish_reason\":\"length\"", "\"finish_reason\":\"tool_calls\"");
    let progress = Arc::new(Progress::default());
    let server = Server::start(vec![http(200, "", &ended)]).await;
    let whole = provider(options(&server.url)).chat(&request(), &progress).await.unwrap();
    assert_eq!((whole.model.as_str(), whole.calls.len()), ("tiny-random", 5));
    for call in &whole.calls {
        let args: Value = serde_json::from_str(call.args.as_str().unwrap()).unwrap();
        assert!(args.is_object() && !call.tool.is_empty() && call.id.len() == 32, "{call:?}");
    }
    assert!(progress.tokens() > 100, "{}", progress.tokens());
}

#[tokio::test]
async fn plain_json_to_a_streaming_request_is_an_answer() {
    assert_eq!(chat(vec![ok(&says("plain"))]).await.0.unwrap().content, "plain");
    let whole = stream(&[json!({"choices": [{"message": {"content": "all at once"}, "finish_reason": "stop"}]})]);
    assert_eq!(chat(vec![Say::Raw(whole)]).await.0.unwrap().content, "all at once");
    let (empty, _) = chat(vec![http(200, "", "data: {\"choices\":[]}\n\ndata: [DONE]\n\n")]).await;
    assert!(matches!(empty, Err(ModelError::Malformed { .. })), "{empty:?}");
}

#[tokio::test]
async fn l03_a_stream_that_falls_silent_is_given_up_and_dropped() {
    let server = Server::start(vec![Say::Stall(stream(&[delta(json!({"content": "The di"}))]))]).await;
    let idle_timeout = Duration::from_millis(100);
    let provider = provider(OpenAiOptions { idle_timeout, ..options(&server.url) });
    let error = ask(&provider, &request()).await.unwrap_err();
    assert_eq!(error, ModelError::Stalled { model: "main".into(), after: idle_timeout });
    assert!(error.is_transient() && server.requests().len() == 1, "it may have been paid for");
}

#[tokio::test]
async fn l03_the_first_token_may_take_as_long_as_the_whole() {
    // The role, and comments that keep the connection open, are no token.
    let mut begun = stream(&[delta(json!({"role": "assistant", "content": ""}))]);
    begun.extend_from_slice(b": PROCESSING\n\n");
    let server = Server::start(vec![Say::Stall(begun)]).await;
    let (idle_timeout, timeout) = (Duration::from_millis(20), Duration::from_millis(400));
    let provider = provider(OpenAiOptions { idle_timeout, timeout, ..options(&server.url) });
    let error = ask(&provider, &request()).await.unwrap_err();
    assert_eq!(error, ModelError::Timeout { model: "main".into(), after: timeout });
}

#[tokio::test]
async fn l04_a_stream_that_is_cut_inside_a_call_leaves_nothing() {
    let whole = stream(&[half_a_call(), delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}))]);
    let mut inside_an_event = stream(&[half_a_call()]);
    inside_an_event.extend_from_slice(b"data: {\"choices\":[{\"del");
    for bytes in [stream(&[half_a_call()]), whole, inside_an_event, stream(&[])] {
        let (answer, server) = chat(vec![Say::Raw(bytes)]).await;
        let error = answer.unwrap_err();
        let told = matches!(&error, ModelError::Broken { why, .. } if why.contains("ended in the middle"));
        assert!(told && error.is_transient(), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn l05_calls_of_an_answer_that_was_cut_are_not_kept() {
    let call = json!({"tool_calls": [{"index": 0, "id": "1", "function": {"name": "look", "arguments": "{}"}}]});
    for call in [delta(call), half_a_call()] {
        let reply = chat(vec![Say::Raw(stream(&[call, end("length")]))]).await.0.unwrap();
        assert_eq!((reply.calls.len(), reply.finish), (0, FinishReason::Length));
    }
}

#[tokio::test]
async fn an_error_in_the_stream_is_the_failure_of_the_whole_answer() {
    let error = json!({"error": {"message": "Provider returned error", "code": 502}});
    let (answer, _) = chat(vec![Say::Raw(stream(&[delta(json!({"content": "All is well."})), error]))]).await;
    let error = answer.unwrap_err();
    assert!(
        matches!(&error, ModelError::Malformed { what, .. } if what.contains("Provider returned error")),
        "{error}"
    );
}

#[tokio::test]
async fn l11_a_stream_without_end_is_dropped_at_the_limit() {
    let event = delta(json!({"content": "x".repeat(10_000)}));
    let events: Vec<Value> = std::iter::repeat_n(event, 200).collect();
    let (answer, _) = chat(vec![Say::Stall(stream(&events))]).await;
    assert_eq!(answer.unwrap_err(), ModelError::TooLarge { model: "main".into(), limit: 1 << 20 });
    let mut line = stream(&[]);
    line.extend_from_slice(format!("data: {}", "x".repeat(2 << 20)).as_bytes());
    let (answer, _) = chat(vec![Say::Stall(line)]).await;
    assert_eq!(answer.unwrap_err(), ModelError::TooLarge { model: "main".into(), limit: 1 << 20 });
}

#[tokio::test]
async fn l13_ids_of_calls_are_theirs_and_may_be_anything() {
    let piece =
        |index: u64, id: &str| json!({"index": index, "id": id, "function": {"name": "look", "arguments": "{}"}});
    let same = delta(json!({"tool_calls": [piece(0, "x"), piece(1, "x"), piece(2, "")]}));
    let reply = chat(vec![Say::Raw(stream(&[same, end("tool_calls")]))]).await.0.unwrap();
    assert_eq!(reply.calls.iter().map(|call| call.id.as_str()).collect::<Vec<_>>(), ["x", "x", ""]);
}

#[tokio::test]
async fn thoughts_are_no_answer() {
    for events in [
        vec![delta(json!({"reasoning_content": "hm, {\"verdict\""})), delta(json!({"content": "Done."})), end("stop")],
        vec![delta(json!({"content": "<think>hm"})), delta(json!({"content": "</think>\n\nDone."})), end("stop")],
    ] {
        assert_eq!(chat(vec![Say::Raw(stream(&events))]).await.0.unwrap().content, "Done.");
    }
    let only_thought = stream(&[delta(json!({"reasoning": "hm"})), end("stop")]);
    assert!(matches!(chat(vec![Say::Raw(only_thought)]).await.0, Err(ModelError::Malformed { .. })));
}

#[tokio::test]
async fn l16_figures_count_hidden_thoughts_and_what_was_cached() {
    for (usage, expected) in [
        (json!({"prompt_tokens": 9, "completion_tokens": 2}), (9, 2, 0)),
        (json!({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 40}), (9, 31, 0)),
        (json!({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 1}), (9, 2, 0)),
        (json!({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 8}}), (9, 2, 8)),
        (
            json!({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": null, "cache_read_input_tokens": 7}),
            (9, 2, 7),
        ),
        (json!({"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 4_000}), (9, 2, 9)),
    ] {
        let mut body = says("x");
        body["usage"] = usage.clone();
        let (tokens_in, tokens_out, tokens_cached) = expected;
        let read = chat(vec![ok(&body)]).await.0.unwrap().usage;
        assert_eq!(read, Some(Usage { tokens_in, tokens_out, tokens_cached }), "{usage}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_stream_is_asked_without_from_then_on() {
    let refusal = http(400, "", r#"{"error":{"message":"Streaming is not supported with tools"}}"#);
    let server = Server::start(vec![refusal, ok(&says("a"))]).await;
    let provider = provider(options(&server.url));
    assert_eq!(ask(&provider, &request()).await.unwrap().content, "a");
    assert_eq!(ask(&provider, &request()).await.unwrap().content, "a");
    let asked: Vec<Value> = server.requests().iter().map(|(_, body)| body["stream"].clone()).collect();
    assert_eq!(asked, [json!(true), json!(false), json!(false)]);
    assert_eq!(server.requests()[1].1.get("stream_options"), None);
}

#[tokio::test]
async fn l01_a_pause_that_is_too_long_is_kept_without_asking_again() {
    let server = Server::start(vec![http(429, "retry-after: 60\r\n", "{\"error\":\"slow down\"}")]).await;
    let provider = provider(options(&server.url));
    assert!(matches!(ask(&provider, &request()).await, Err(ModelError::RateLimited { .. })));
    let error = ask(&provider, &request()).await.unwrap_err();
    let told = matches!(&error, ModelError::RateLimited { message, .. } if message.contains("was not asked again"));
    assert!(told && error.is_transient(), "{error}");
    assert_eq!(server.requests().len(), 1, "nothing was sent, so nothing is to be paid");
}

#[tokio::test]
async fn l17_another_model_than_the_pinned_one_fails_closed() {
    let pinned = |pin: &str, url: &str| provider(OpenAiOptions { pin: Some(pin.into()), ..options(url) });
    let answer = |model: Option<&str>| {
        let mut body = says("fine");
        body["model"] = json!(model);
        ok(&body)
    };
    let server = Server::start(vec![answer(Some("gpt-9-0001")), answer(Some("gpt-9-0002")), answer(None)]).await;
    let provider = pinned("gpt-9-0001", &server.url);
    assert_eq!(ask(&provider, &request()).await.unwrap().model, "gpt-9-0001");
    for answered in ["gpt-9-0002", ""] {
        let error = ask(&provider, &request()).await.unwrap_err();
        let (model, pinned) = ("main".to_owned(), "gpt-9-0001".to_owned());
        assert!(error.to_string().contains("gpt-9-0001") && error.to_string().contains(answered), "{error}");
        assert!(!error.is_transient());
        assert_eq!(error, ModelError::NotPinned { model, pinned, answered: answered.into() });
    }
    let streamed = Server::start(vec![Say::Raw(stream(&[delta(json!({"content": "x"})), end("stop")]))]).await;
    assert!(matches!(ask(&pinned("other", &streamed.url), &request()).await, Err(ModelError::NotPinned { .. })));
}

#[tokio::test]
async fn the_last_word_is_asked_for_by_schema_where_that_works() {
    let by_schema = |url: &str| provider(OpenAiOptions { structured: Structured::JsonSchema, ..options(url) });
    let recorded = fixture("chat-json-schema")["response"]["body"].clone();
    let server = Server::start(vec![ok(&recorded)]).await;
    let provider = by_schema(&server.url);
    assert_eq!(ask(&provider, &last_word()).await.unwrap().content, "{\"risk\":\"high\",\"ok\":true}");
    ask(&provider, &request()).await.unwrap();
    let sent: Vec<Value> = server.requests().into_iter().map(|(_, body)| body).collect();
    let format = json!({"name": "look", "description": "Looks.", "schema": {"type": "object"}, "strict": true});
    assert_eq!(sent[0]["response_format"], json!({"type": "json_schema", "json_schema": format}));
    assert_eq!((sent[0].get("tools"), sent[0].get("tool_choice")), (None, None));
    assert!(sent[1].get("response_format").is_none() && sent[1]["tools"].is_array(), "only for the last word");

    // Refused, or taken and not kept to: as a call from then on.
    for first in [http(400, "", r#"{"error":{"message":"response_format is not supported"}}"#), ok(&says("Well, …"))]
    {
        let server = Server::start(vec![first, ok(&says("a"))]).await;
        let provider = by_schema(&server.url);
        ask(&provider, &last_word()).await.unwrap();
        ask(&provider, &last_word()).await.unwrap();
        let (_, last) = server.requests().pop().unwrap();
        assert!(last.get("response_format").is_none() && last["tool_choice"] == "required", "{last}");
    }
    // `auto`: llama.cpp holds to schemas by its grammar, and says who it is.
    let llama = http(200, "server: llama.cpp\r\n", &says("{}").to_string());
    let server = Server::start(vec![llama]).await;
    let provider = super::provider(options(&server.url));
    ask(&provider, &last_word()).await.unwrap();
    ask(&provider, &last_word()).await.unwrap();
    let sent = server.requests();
    assert!(sent[0].1.get("response_format").is_none() && sent[1].1.get("response_format").is_some());
}

#[tokio::test]
async fn what_repeats_is_marked_for_servers_that_need_to_be_told() {
    let server = Server::start(vec![ok(&says("a"))]).await;
    let model = "anthropic/claude-sonnet-4.5".to_owned();
    let claude = provider(OpenAiOptions { model, ..options(&server.url) });
    let mut request = request();
    let said = |role, content: &str| Message { role, content: content.into(), calls: vec![], answers: None };
    request.messages.extend([said(Role::Assistant, "hm"), said(Role::User, "more")].map(Part::from));
    ask(&claude, &request).await.unwrap();
    request.messages.push(said(Role::User, "the last word").into());
    ask(&claude, &ChatRequest { must_answer: true, ..request.clone() }).await.unwrap();
    ask(&provider(options(&server.url)), &request).await.unwrap();
    let sent: Vec<Value> = server.requests().into_iter().map(|(_, body)| body["messages"].clone()).collect();
    let marked = |text: &str| json!([{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]);
    for messages in &sent[..2] {
        assert_eq!(messages[0]["content"], marked("rules"));
        assert_eq!((&messages[1]["content"], &messages[2]["content"]), (&json!("case"), &json!("hm")));
        assert_eq!(messages[3]["content"], marked("more"), "the demand for a last word is not repeated");
    }
    assert_eq!(sent[1][4]["content"], "the last word");
    assert!(!sent[2].to_string().contains("cache_control"));
}
