//! L1: spans, metric names, one emit function per event. A name is said here and nowhere else.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// Upper bounds of the buckets of every histogram, in seconds.
pub const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];

/// Tells the exporter what the metrics mean. Call once, after the recorder is installed.
pub fn describe() {
    describe_counter!("firewarden_alerts_total", "Alerts of accepted bodies, by source and outcome.");
    describe_counter!("firewarden_bodies_refused_total", "Bodies that were not accepted, by HTTP status.");
    describe_counter!("firewarden_entries_total", "Journal entries written, by kind.");
    describe_counter!("firewarden_investigations_closed_total", "Investigations that ended, by outcome and risk.");
    describe_counter!("firewarden_tool_calls_total", "Reading calls that were made, by result.");
    describe_histogram!("firewarden_tool_call_seconds", "Time that reading calls took.");
    describe_counter!("firewarden_model_turns_total", "Turns of models, by model and result.");
    describe_counter!("firewarden_model_tokens_total", "Tokens, by model and direction.");
    describe_counter!("firewarden_model_results_shortened_total", "Results shortened in conversations to save room.");
    describe_counter!("firewarden_policy_errors_total", "Evaluations that failed and therefore denied.");
    describe_gauge!("firewarden_investigations_running", "Investigations that are being worked on.");
    describe_histogram!("firewarden_report_seconds", "Time from the accepted alert to the first report.");
}

/// Alerts of one body were accepted.
pub fn alerts_accepted(source: &'static str, outcome: &'static str, alerts: u64) {
    counter!("firewarden_alerts_total", "source" => source, "outcome" => outcome).increment(alerts);
}

/// A body was refused.
pub fn body_refused(status: u16) {
    counter!("firewarden_bodies_refused_total", "status" => status.to_string()).increment(1);
}

/// An entry was written.
pub fn entry_written(kind: &'static str) {
    counter!("firewarden_entries_total", "kind" => kind).increment(1);
}

/// An investigation ended.
pub fn investigation_closed(outcome: &'static str, risk: &'static str) {
    counter!("firewarden_investigations_closed_total", "outcome" => outcome, "risk" => risk).increment(1);
}

/// A reading call came back.
pub fn tool_called(result: &'static str, duration_ms: u64) {
    counter!("firewarden_tool_calls_total", "result" => result).increment(1);
    #[allow(clippy::cast_precision_loss)]
    histogram!("firewarden_tool_call_seconds").record(duration_ms as f64 / 1000.0);
}

/// A model answered, or did not.
pub fn model_turn(model: &str, result: &'static str, tokens_in: u64, tokens_out: u64) {
    let model = model.to_owned();
    counter!("firewarden_model_turns_total", "model" => model.clone(), "result" => result).increment(1);
    counter!("firewarden_model_tokens_total", "model" => model.clone(), "direction" => "in").increment(tokens_in);
    counter!("firewarden_model_tokens_total", "model" => model, "direction" => "out").increment(tokens_out);
}

/// Results in a conversation were made shorter.
pub fn compacted(results: u64) {
    counter!("firewarden_model_results_shortened_total").increment(results);
}

/// The policy could not answer.
pub fn policy_failed() {
    counter!("firewarden_policy_errors_total").increment(1);
}

/// Work on an investigation began (+1) or ended (-1).
pub fn running(change: f64) {
    gauge!("firewarden_investigations_running").increment(change);
}

/// The first report of an investigation is there.
pub fn reported(seconds: f64) {
    histogram!("firewarden_report_seconds").record(seconds);
}
