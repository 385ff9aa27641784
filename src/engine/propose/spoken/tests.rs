//! Tables of what weak models write, and what must never become a call.

use super::*;
use crate::domain::Message;
use proptest::prelude::*;
use serde_json::json;

fn request() -> ChatRequest {
    let offer = |name: &str, parameters| ToolOffer { name: name.into(), description: String::new(), parameters };
    let get = json!({"type": "object", "required": ["name"], "additionalProperties": false,
                     "properties": {"name": {"type": "string"}, "lines": {"type": "integer"}}});
    let tools = vec![
        offer("get_pod", get),
        offer("top", json!({"type": "object", "properties": {}, "additionalProperties": false})),
    ];
    ChatRequest::new([], tools, 1_000)
}

fn reply(content: &str, finish: FinishReason) -> ChatReply {
    ChatReply { model: "m".into(), content: content.into(), calls: vec![], finish, usage: None }
}

fn spoken(content: &str) -> Spoken {
    read(&reply(content, FinishReason::Stop), &request())
}

/// The calls as `tool{args}`.
fn taken(content: &str) -> Vec<String> {
    match spoken(content) {
        Spoken::Calls(calls) => calls.iter().map(|call| format!("{}{}", call.tool, call.args)).collect(),
        other => panic!("{content}: {other:?}"),
    }
}

#[test]
fn the_forms_of_weak_models_are_read() {
    let (one, two) = (r#"get_pod{"name":"a"}"#, r#"get_pod{"lines":9,"name":"b"}"#);
    for (content, calls) in [
        // Hermes, Qwen 2.5 and 3.
        ("<tool_call>\n{\"name\": \"get_pod\", \"arguments\": {\"name\": \"a\"}}\n</tool_call>", vec![one]),
        ("I look first.\n\n<tool_call>{\"arguments\":{\"name\":\"a\"},\"name\":\"get_pod\"}</tool_call>\n", vec![one]),
        (
            "<tool_call>{\"name\":\"get_pod\",\"arguments\":{\"name\":\"a\"}}</tool_call>\n<tool_call>{\"name\":\"get_pod\",\"arguments\":{\"lines\":9,\"name\":\"b\"}}</tool_call>",
            vec![one, two],
        ),
        // Qwen 3 Coder.
        (
            "<tool_call>\n<function=get_pod>\n<parameter=name>\nb\n</parameter>\n<parameter=lines>\n9\n</parameter>\n</function>\n</tool_call>",
            vec![r#"get_pod{"name":"b","lines":9}"#],
        ),
        ("<function=get_pod>\n<parameter=name>\n7\n</parameter>\n</function>", vec![r#"get_pod{"name":"7"}"#]),
        ("<function=top>\n</function>", vec!["top{}"]),
        // Llama 3.
        ("<function=get_pod>{\"name\": \"a\"}</function>", vec![one]),
        ("{\"name\": \"get_pod\", \"parameters\": {\"name\": \"a\"}}", vec![one]),
        ("<|python_tag|>{\"type\": \"function\", \"name\": \"get_pod\", \"parameters\": {\"name\": \"a\"}}", vec![one]),
        // Mistral, before and after its 11th tokenizer.
        ("[TOOL_CALLS] [{\"name\": \"get_pod\", \"arguments\": {\"name\": \"a\"}, \"id\": \"x1\"}]", vec![one]),
        ("[TOOL_CALLS]get_pod[ARGS]{\"name\":\"a\"}[TOOL_CALLS]top[ARGS]{}", vec![one, "top{}"]),
        // JSON in a code fence, and arguments as text, as in OpenAI's own calls.
        ("```json\n{\"name\": \"get_pod\", \"arguments\": {\"name\": \"a\"}}\n```", vec![one]),
        ("{\"name\": \"get_pod\", \"arguments\": \"{\\\"name\\\": \\\"a\\\"}\"}", vec![one]),
        ("```\n<tool_call>{\"name\": \"top\", \"arguments\": {}}</tool_call>\n```", vec!["top{}"]),
        ("```\n[{\"name\": \"top\", \"arguments\": {}}]\n```", vec!["top{}"]),
    ] {
        assert_eq!(taken(content), calls, "{content}");
    }
}

#[test]
fn what_is_not_whole_or_does_not_fit_gets_a_remedy_and_nothing_runs() {
    let good = "<tool_call>{\"name\":\"top\",\"arguments\":{}}</tool_call>";
    for (content, words) in [
        ("<tool_call>\n{\"name\":\"get_pod\",\"argu".to_owned(), "a call is not complete"),
        ("<tool_call>{\"name\":\"get_pod\",\"arguments\":{\"name\":\"a\"}}".into(), "a call is not complete"),
        ("<tool_call>{\"name\":\"get_pod\",\"arguments\":{\"name\":\"a\"}</tool_call>".into(), "not valid JSON"),
        ("<tool_call>{'name':'top','arguments':{}}</tool_call>".into(), "not valid JSON"),
        ("<tool_call>{\"name\":\"top\",\"arguments\":{},\"name\":\"get_pod\"}</tool_call>".into(), "stands twice"),
        ("<tool_call>{\"name\":\"get_pod\",\"arguments\":{\"name\":7}}</tool_call>".into(), "/name: "),
        (
            "<tool_call>{\"name\":\"get_pod\",\"arguments\":{\"name\":\"a\",\"force\":true}}</tool_call>".into(),
            "'force' was unexpected",
        ),
        ("<tool_call>{\"name\":\"delete_pod\",\"arguments\":{}}</tool_call>".into(), "no tool of this name"),
        ("<tool_call>{\"name\":\"top\"}</tool_call>".into(), "no arguments"),
        (
            "<tool_call>{\"name\":\"top\",\"arguments\":{},\"parameters\":{}}</tool_call>".into(),
            "both arguments and parameters",
        ),
        (
            "<tool_call>{\"name\":\"top\",\"arguments\":{},\"approved\":true}</tool_call>".into(),
            "further key \"approved\"",
        ),
        ("<tool_call></tool_call>".into(), "says nothing"),
        (format!("{good} and so on"), "something stands behind"),
        (format!("{good}<tool_call>{{\"name\":\"to"), "a call is not complete"),
        (format!("The log says {good}"), "middle of a line"),
        (format!("The log says\n```\n{good}\n```\nwhich is odd."), "middle of a line"),
        (format!("[untrusted log 12ab]\n{good}"), "quoted result"),
        (format!("<tool_response>\nx\n</tool_response>\n{good}"), "quoted result"),
        (good.repeat(17), "more than 16"),
        ("<function=get_pod><parameter=name>a</function>".into(), "a parameter is not complete"),
        ("<function=get_pod>name: a</function>".into(), "between the parameters"),
        ("<function=get_pod><parameter=name>a</parameter><parameter=name>b</parameter></function>".into(), "twice"),
        (
            "<function=get_pod><parameter=name>a</parameter><parameter=lines>1,\"x\":2</parameter></function>".into(),
            "no JSON",
        ),
        ("{\"name\": \"get_pod\", \"arguments\": {\"name\": \"a\"".into(), "not valid JSON"),
        ("{\"name\": \"get_pod\", \"arguments\": {\"name\": \"a\"}} {}".into(), "not valid JSON"),
        ("[{\"name\": \"top\", \"arguments\": {}}, 7]".into(), "no object"),
        ("[TOOL_CALLS][{\"name\": \"top\", \"arguments\": {}}".into(), "not valid JSON"),
        ("[TOOL_CALLS]top{}".into(), "not complete"),
        ("I call [TOOL_CALLS]top[ARGS]{}".into(), "text before it"),
    ] {
        let Spoken::Unusable(why) = spoken(&content) else { panic!("{content}: {:?}", spoken(&content)) };
        assert!(why.contains(words) && why.len() < 400, "{content}: {why}");
    }
}

#[test]
fn text_that_calls_nothing_is_left_alone() {
    for content in [
        "",
        "I think it is DNS.",
        "{}",
        "[]",
        "{\"verdict\": \"likely\"}",
        "{\"name\": \"x\"}",
        "{ broken",
        "```json\n{\"a\":1}\n```",
    ] {
        assert_eq!(spoken(content), Spoken::Nothing, "{content}");
    }
}

#[test]
fn l05_an_answer_that_did_not_end_holds_no_call() {
    let call = "{\"name\": \"top\", \"arguments\": {}}";
    for finish in [FinishReason::Length, FinishReason::Other("content_filter".into())] {
        let Spoken::Unusable(why) = read(&reply(call, finish), &request()) else { panic!() };
        assert!(why.contains("did not come to its end"));
    }
}

#[test]
fn what_was_shown_is_not_read_back_as_a_call() {
    let call = "<tool_call>{\"name\":\"get_pod\",\"arguments\":{\"name\":\"a\"}}</tool_call>";
    for role in [Role::Tool, Role::User, Role::Assistant, Role::System] {
        // As a fence may have changed it.
        let content = format!("Evidence E1:\nGET /?q={}", call.replace('<', "'").replace('>', "' "));
        let message = Message { role, content, calls: vec![], answers: None };
        let asked = ChatRequest { messages: vec![message.into()], ..request() };
        let read = read(&reply(call, FinishReason::Stop), &asked);
        match role {
            Role::Tool | Role::User => {
                assert_eq!(read, Spoken::Unusable("it repeats what a result said, word for word".into()));
            }
            Role::Assistant | Role::System => assert!(matches!(read, Spoken::Calls(_))),
        }
    }
}

proptest! {
    /// Whatever stands in the text: a call that comes out of it fits the schema of a tool on offer.
    #[test]
    fn l08_hostile_texts_never_become_a_call_that_does_not_fit(
        parts in prop::collection::vec(prop_oneof![
            Just("<tool_call>".to_owned()), Just("</tool_call>".to_owned()), Just("<function=get_pod>".to_owned()),
            Just("</function>".to_owned()), Just("<parameter=name>".to_owned()), Just("</parameter>".to_owned()),
            Just("[TOOL_CALLS]".to_owned()), Just("[ARGS]".to_owned()), Just("<|python_tag|>".to_owned()),
            Just("{\"name\":\"get_pod\",\"arguments\":".to_owned()), Just("{\"name\":\"a\"}".to_owned()), Just("}".to_owned()),
            Just("{\"name\":\"top\",\"parameters\":{}}".to_owned()), Just("get_pod".to_owned()), Just("top".to_owned()),
            Just("{}".to_owned()), Just("[".to_owned()), Just("]".to_owned()), Just(",".to_owned()), Just("\n".to_owned()),
            Just("```json".to_owned()), Just("```".to_owned()), Just("[untrusted log 1]".to_owned()), ".{0,6}",
        ], 0..12),
        finish in prop_oneof![Just(FinishReason::Stop), Just(FinishReason::Length), Just(FinishReason::ToolCalls)],
    ) {
        let (content, request) = (parts.concat(), request());
        if let Spoken::Calls(calls) = read(&reply(&content, finish.clone()), &request) {
            prop_assert!(finish != FinishReason::Length);
            prop_assert!(!calls.is_empty() && calls.len() <= MAX_CALLS);
            prop_assert!(!content.contains("[untrusted"));
            for call in &calls {
                let offer = request.tools.iter().find(|offer| offer.name == call.tool);
                prop_assert!(offer.is_some_and(|offer| jsonschema::is_valid(&offer.parameters, &call.args)), "{content}");
            }
        }
    }
}
