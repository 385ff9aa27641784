//! What a server understands: what the configuration says, and what it turned out not to know.

use super::fault::Fault;
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicBool, Ordering};

/// How the final report is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Structured {
    /// By schema where the server is known to hold to it, otherwise as a call.
    #[default]
    Auto,
    /// By `response_format`, until the server refuses it.
    JsonSchema,
    /// As a call of `submit_report`.
    Tool,
}

/// Whether the server is told which part of the conversation it will see again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheMarks {
    /// Where it needs to be told: Claude behind OpenRouter, LiteLLM and the like.
    #[default]
    Auto,
    /// Never.
    Off,
    /// By `cache_control: {type: ephemeral}`.
    Ephemeral,
}

/// How the next request is to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dialect {
    /// `tool_choice` other than `auto` is refused.
    pub auto_choice_only: bool,
    /// `max_tokens` is refused, `max_completion_tokens` is wanted.
    pub completion_tokens: bool,
    /// The answer is wanted piece by piece.
    pub stream: bool,
    /// Figures are wanted at the end of the stream.
    pub stream_usage: bool,
    /// The final report is asked for by schema.
    pub schema: bool,
    /// What repeats is marked.
    pub marks: bool,
}

/// What is known of one server. What it has refused once is not said to it again.
#[derive(Debug)]
pub(super) struct Learned {
    wanted: Dialect,
    structured: Structured,
    auto_choice_only: AtomicBool,
    completion_tokens: AtomicBool,
    no_stream: AtomicBool,
    no_stream_usage: AtomicBool,
    no_schema: AtomicBool,
    no_marks: AtomicBool,
    holds_to_schemas: AtomicBool,
}

impl Learned {
    /// At the beginning: what the configuration, the host and the model's name tell.
    pub(super) fn new(stream: bool, structured: Structured, cache: CacheMarks, host: &str, model: &str) -> Self {
        let marks = match cache {
            CacheMarks::Auto => model.to_ascii_lowercase().contains("claude"),
            CacheMarks::Off => false,
            CacheMarks::Ephemeral => true,
        };
        Self {
            wanted: Dialect { stream, stream_usage: stream, marks, ..Dialect::default() },
            structured,
            auto_choice_only: AtomicBool::new(false),
            completion_tokens: AtomicBool::new(false),
            no_stream: AtomicBool::new(false),
            no_stream_usage: AtomicBool::new(false),
            no_schema: AtomicBool::new(false),
            no_marks: AtomicBool::new(false),
            holds_to_schemas: AtomicBool::new(host == "api.openai.com"),
        }
    }

    /// How the next request is to be written.
    pub(super) fn dialect(&self) -> Dialect {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let schema = match self.structured {
            Structured::Auto => is(&self.holds_to_schemas),
            Structured::JsonSchema => true,
            Structured::Tool => false,
        };
        let stream = self.wanted.stream && !is(&self.no_stream);
        Dialect {
            auto_choice_only: is(&self.auto_choice_only),
            completion_tokens: is(&self.completion_tokens),
            stream,
            stream_usage: stream && !is(&self.no_stream_usage),
            schema: schema && !is(&self.no_schema),
            marks: self.wanted.marks && !is(&self.no_marks),
        }
    }

    /// Whether the server refused a word that there is another one for, or that can be left out. It
    /// is not said from now on.
    pub(super) fn refusal(&self, fault: &Fault, sent: &Map<String, Value>) -> bool {
        let Fault::Status { status: 400 | 404 | 415 | 422 | 500 | 501, message, .. } = fault else { return false };
        // A gateway's "upstream" says nothing of streams.
        let message = message.to_ascii_lowercase().replace("upstream", "");
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        let about_streams = message.replace("stream_options", "").contains("stream");
        let forced = sent.get("tool_choice").is_some_and(|choice| choice == "required");
        let streamed = sent.get("stream").is_some_and(|stream| stream == true);
        let rules: [(bool, &[&str], &AtomicBool); 6] = [
            (sent.get("max_tokens").is_some(), &["max_completion_tokens"], &self.completion_tokens),
            (forced, &["tool_choice", "tool choice"], &self.auto_choice_only),
            (sent.get("stream_options").is_some(), &["stream_options", "include_usage"], &self.no_stream_usage),
            (self.dialect().marks, &["cache_control"], &self.no_marks),
            (
                sent.get("response_format").is_some(),
                &["response_format", "json_schema", "schema", "structured", "grammar"],
                &self.no_schema,
            ),
            (streamed && about_streams, &["stream"], &self.no_stream),
        ];
        rules.iter().any(|(was_sent, words, flag)| *was_sent && says(words) && !flag.swap(true, Ordering::Relaxed))
    }

    /// Notes which program answered.
    pub(super) fn server(&self, name: &str) {
        // Its grammar makes every answer fit the schema.
        if name.starts_with("llama.cpp") {
            self.holds_to_schemas.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that an answer did not keep to the schema that was sent: the next one is asked for as a
    /// call.
    pub(super) fn schema_was_ignored(&self) {
        self.no_schema.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refuses(message: &str) -> Fault {
        Fault::Status { status: 400, message: message.to_owned(), retry_after: None }
    }

    fn learned(structured: Structured, cache: CacheMarks) -> Learned {
        Learned::new(true, structured, cache, "host", "anthropic/claude-sonnet")
    }

    #[test]
    fn each_refused_word_is_left_out_once_and_for_good() {
        let learned = learned(Structured::JsonSchema, CacheMarks::Auto);
        let object = |value: Value| value.as_object().cloned().unwrap();
        let sent = object(
            json!({"max_tokens": 1, "tool_choice": "required", "stream": true, "stream_options": {}, "response_format": {}}),
        );
        for (message, changed) in [
            ("unknown field `stream_options`", Dialect { stream_usage: false, ..learned.dialect() }),
            ("Streaming is not supported", Dialect { stream: false, stream_usage: false, ..learned.dialect() }),
            ("response_format is unavailable", Dialect { schema: false, ..learned.dialect() }),
            ("messages.0.content: cache_control not allowed", Dialect { marks: false, ..learned.dialect() }),
            ("use max_completion_tokens", Dialect { completion_tokens: true, ..learned.dialect() }),
            ("Tool choice must be auto", Dialect { auto_choice_only: true, ..learned.dialect() }),
        ] {
            let fresh = Learned::new(true, Structured::JsonSchema, CacheMarks::Auto, "h", "claude");
            assert!(fresh.refusal(&refuses(message), &sent), "{message}");
            assert_eq!(fresh.dialect(), changed, "{message}");
            assert!(!fresh.refusal(&refuses(message), &sent), "{message}");
        }
        assert!(!learned.refusal(&refuses("stream_options"), &object(json!({"stream": false}))), "it was not sent");
        assert!(!learned.refusal(&refuses("no such model"), &sent));
        assert!(!learned.refusal(&refuses("Upstream error"), &sent));
        assert!(!learned.refusal(&Fault::Timeout, &sent));
    }

    #[test]
    fn what_is_known_to_work_is_used() {
        let schema = |structured, host| Learned::new(true, structured, CacheMarks::Off, host, "m").dialect().schema;
        assert!(schema(Structured::Auto, "api.openai.com") && !schema(Structured::Auto, "other"));
        assert!(schema(Structured::JsonSchema, "other") && !schema(Structured::Tool, "api.openai.com"));
        let llama = learned(Structured::Auto, CacheMarks::Auto);
        assert!(!llama.dialect().schema && llama.dialect().marks);
        llama.server("llama.cpp");
        assert!(llama.dialect().schema);
        llama.schema_was_ignored();
        assert!(!llama.dialect().schema);
        assert!(!learned(Structured::Auto, CacheMarks::Off).dialect().marks);
    }
}
