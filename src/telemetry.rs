//! L1: spans, metric names, one emit function per event. A name is said here and nowhere else.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// Upper bounds of the buckets of every histogram, in seconds.
pub const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];

/// Tells the exporter what the metrics mean. Call once, after the recorder is installed.
pub fn describe() {
    describe_counter!("firewarden_alerts_total", "Alerts of accepted bodies, by source and outcome.");
    describe_counter!("firewarden_bodies_refused_total", "Bodies that were not accepted, by HTTP status.");
    describe_counter!("firewarden_polls_total", "Questions of pollers, by poller and result: ok, partly, failed.");
    describe_gauge!("firewarden_poller_up", "Whether the last poll was complete (1) or not (0), by poller.");
    describe_gauge!(
        "firewarden_poller_last_success_seconds",
        "When the last complete poll was, in seconds since 1970."
    );
    describe_gauge!("firewarden_poller_alerts", "Alerts that the last poll was told, by poller; held ones included.");
    describe_counter!(
        "firewarden_groups_turned_away_total",
        "Groups whose rest was not read from Alertmanager because too many waited."
    );
    describe_counter!("firewarden_entries_total", "Journal entries written, by kind.");
    describe_counter!("firewarden_investigations_closed_total", "Investigations that ended, by outcome and risk.");
    describe_counter!("firewarden_tool_calls_total", "Reading calls that were made, by result.");
    describe_histogram!("firewarden_tool_call_seconds", "Time that reading calls took.");
    describe_counter!("firewarden_actions_judged_total", "Rulings on changes, by effect and verdict.");
    describe_counter!("firewarden_actions_total", "Changes by effect and result: done, held, not_held, unobserved.");
    describe_counter!("firewarden_approvals_total", "Questions to people, by what became of them.");
    describe_counter!("firewarden_model_turns_total", "Turns of models, by model and result.");
    describe_counter!(
        "firewarden_model_calls_recovered_total",
        "Calls that models wrote into their text and that were taken from there."
    );
    describe_counter!("firewarden_model_tokens_total", "Tokens, by model and direction.");
    describe_gauge!("firewarden_model_cost_usd_total", "US dollars since the start, by model; what failed included.");
    describe_counter!(
        "firewarden_rungs_total",
        "What the budgets permitted, by rung: full, cheap, deterministic, notice."
    );
    describe_gauge!("firewarden_budget_left_usd", "US dollars of the UTC day that are neither spent nor set aside.");
    describe_gauge!("firewarden_budget_left_tokens", "Tokens of the UTC day that are neither spent nor set aside.");
    describe_gauge!("firewarden_budget_left_investigations", "Investigations that may still begin on this UTC day.");
    describe_counter!("firewarden_model_results_shortened_total", "Results shortened in conversations to save room.");
    describe_counter!("firewarden_policy_errors_total", "Evaluations that failed and therefore denied.");
    describe_gauge!("firewarden_investigations_running", "Investigations that are being worked on.");
    describe_counter!("firewarden_notices_total", "Attempts to tell a sink, by result: told, put_off, given_up.");
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

/// A poller has asked. `told` is what was told it, `at_s` when, in seconds since 1970.
#[allow(clippy::cast_precision_loss)]
pub fn polled(poller: &str, result: &'static str, told: Option<usize>, at_s: i64) {
    let poller = poller.to_owned();
    counter!("firewarden_polls_total", "poller" => poller.clone(), "result" => result).increment(1);
    gauge!("firewarden_poller_up", "poller" => poller.clone()).set(if result == "ok" { 1.0 } else { 0.0 });
    if let Some(told) = told {
        gauge!("firewarden_poller_alerts", "poller" => poller.clone()).set(told as f64);
    }
    if result == "ok" {
        gauge!("firewarden_poller_last_success_seconds", "poller" => poller).set(at_s as f64);
    }
}

/// The rest of a group is not read: too many wait.
pub fn group_turned_away() {
    counter!("firewarden_groups_turned_away_total").increment(1);
}

/// An entry was written.
pub fn entry_written(kind: &'static str) {
    counter!("firewarden_entries_total", "kind" => kind).increment(1);
}

/// An investigation ended.
pub fn investigation_closed(outcome: &'static str, risk: &'static str) {
    counter!("firewarden_investigations_closed_total", "outcome" => outcome, "risk" => risk).increment(1);
}

/// Policy judged a change.
pub fn action_judged(effect: &'static str, verdict: &'static str) {
    counter!("firewarden_actions_judged_total", "effect" => effect, "verdict" => verdict).increment(1);
}

/// A change was made, or was watched to the end.
pub fn action_ended(effect: &'static str, result: &'static str) {
    counter!("firewarden_actions_total", "effect" => effect, "result" => result).increment(1);
}

/// Something became of a question to people.
pub fn approval(state: &'static str) {
    counter!("firewarden_approvals_total", "state" => state).increment(1);
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

/// A model was paid. Counters hold whole numbers only, so a gauge that only grows counts money.
pub fn model_cost(model: &str, cost_usd: f64) {
    gauge!("firewarden_model_cost_usd_total", "model" => model.to_owned()).increment(cost_usd);
}

/// The budgets permitted this much.
pub fn rung_taken(rung: &'static str) {
    counter!("firewarden_rungs_total", "rung" => rung).increment(1);
}

/// How the day's budget stands; what has no limit has no gauge.
#[allow(clippy::cast_precision_loss)]
pub fn budget_left(usd: Option<f64>, tokens: Option<u64>, investigations: Option<u32>) {
    if let Some(usd) = usd {
        gauge!("firewarden_budget_left_usd").set(usd);
    }
    if let Some(tokens) = tokens {
        gauge!("firewarden_budget_left_tokens").set(tokens as f64);
    }
    if let Some(investigations) = investigations {
        gauge!("firewarden_budget_left_investigations").set(investigations);
    }
}

/// Results in a conversation were made shorter.
pub fn compacted(results: u64) {
    counter!("firewarden_model_results_shortened_total").increment(results);
}

/// Calls were taken from a model's text, where they stood whole.
pub fn calls_recovered(model: &str, calls: u64) {
    counter!("firewarden_model_calls_recovered_total", "model" => model.to_owned()).increment(calls);
}

/// The policy could not answer.
pub fn policy_failed() {
    counter!("firewarden_policy_errors_total").increment(1);
}

/// A changed policy was refused; the last good one stays in force.
pub fn policy_rejected() {
    counter!("firewarden_policy_reload_failed_total").increment(1);
}

/// Work on an investigation began (+1) or ended (-1).
pub fn running(change: f64) {
    gauge!("firewarden_investigations_running").increment(change);
}

/// A sink was told, will be told later, or is not told any more.
pub fn notice(sink: &str, result: &'static str) {
    counter!("firewarden_notices_total", "sink" => sink.to_owned(), "result" => result).increment(1);
}

/// The first report of an investigation is there.
pub fn reported(seconds: f64) {
    histogram!("firewarden_report_seconds").record(seconds);
}
