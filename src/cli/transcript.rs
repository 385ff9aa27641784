//! What a model was told and answered, as Markdown. Pure.
//!
//! A request repeats the one before it; only what it adds is written out. Everything that others
//! wrote stands in code blocks whose fences it cannot close.

use super::text::{block, line};
use serde_json::Value;

/// Characters of one message that are written out; `-o json` has all of it.
const MOST: usize = 200_000;

/// The turns of `page`, as `/api/v1/investigations/{id}/transcript` answers them.
pub fn markdown(page: &Value) -> String {
    let mut out = format!("# Transcript of {}\n", text(&page["investigation"]));
    for (name, key) in [("prompts", "prompts_digest"), ("tools", "tools_digest")] {
        if let Some(digest) = page[key].as_str() {
            out.push_str(&format!("\n{name}: `{}`\n", line(digest, 80)));
        }
    }
    let turns = list(&page["items"]);
    if turns.is_empty() {
        out.push_str("\nNo model was asked.\n");
    }
    let summaries = list(&page["summaries"]);
    for turn in turns {
        summaries.iter().filter(|one| one["before_turn"] == turn["turn"]).for_each(|one| summary(&mut out, one));
        self::turn(&mut out, turn);
    }
    // Those whose turn never came, or is on a later page.
    let told = |one: &&Value| turns.iter().any(|turn| turn["turn"] == one["before_turn"]);
    summaries.iter().filter(|one| !told(one)).for_each(|one| summary(&mut out, one));
    if let Some(cursor) = page["next_cursor"].as_str() {
        out.push_str(&format!("\nMore follows after turn {}.\n", line(cursor, 20)));
    }
    out
}

fn turn(out: &mut String, turn: &Value) {
    out.push_str(&format!("\n## Turn {}: {}\n\n", turn["turn"], text(&turn["asked"])));
    let mut facts = vec![format!("asked at {}", text(&turn["asked_at"]))];
    if turn["attempts"].as_u64().is_some_and(|n| n > 1) {
        facts.push(format!("{} attempts", turn["attempts"]));
    }
    if turn["must_answer"] == true {
        facts.push("a final answer was demanded".to_owned());
    }
    if let Some(ms) = turn["took_ms"].as_u64() {
        facts.push(format!("answered by `{}` within {ms} ms", text(&turn["answered"])));
        let usage = &turn["usage"];
        facts.push(format!("{} tokens in, {} out, {} USD", usage["tokens_in"], usage["tokens_out"], turn["cost_usd"]));
    }
    out.push_str(&format!("{}.\n", facts.join("; ")));
    for failure in list(&turn["failures"]) {
        out.push_str(&format!("\nFailed at {}: {}\n", text(&failure["at"]), text(&failure["error"])));
    }
    request(out, &turn["request"]);
    sent(out, &turn["sent"]);
    for cut in list(&turn["cut"]) {
        out.push_str(&format!("\nCut in message {}: {}.\n", cut["message"], text(&cut["what"])));
    }
    for shorter in list(&turn["compacted"]) {
        let calls: Vec<String> = list(&shorter["calls"]).iter().map(text).collect();
        out.push_str(&format!(
            "\nMade shorter before this turn, from {} to {} characters: the results of {}.\n",
            shorter["chars_before"],
            shorter["chars_after"],
            calls.join(", ")
        ));
    }
    answer(out, turn);
}

/// What a cheap model was asked to condense.
fn summary(out: &mut String, summary: &Value) {
    let of = match summary["of"]["kind"].as_str() {
        Some("dropped") => {
            let calls: Vec<String> = list(&summary["of"]["calls"]).iter().map(text).collect();
            format!("the results of {}, before they are made shorter", calls.join(", "))
        }
        _ => format!("the result of {}", text(&summary["of"]["call_id"])),
    };
    out.push_str(&format!("\n## Summary {}: {}\n\nOf {of}", summary["number"], text(&summary["asked"])));
    out.push_str(&format!("; asked at {}", text(&summary["asked_at"])));
    if let Some(ms) = summary["took_ms"].as_u64() {
        let usage = &summary["usage"];
        out.push_str(&format!(
            "; answered by `{}` within {ms} ms; {} tokens in, {} out, {} USD",
            text(&summary["answered"]),
            usage["tokens_in"],
            usage["tokens_out"],
            summary["cost_usd"]
        ));
    }
    out.push_str(".\n");
    if summary["error"].is_string() {
        out.push_str(&format!("\nFailed, so the conversation does without it: {}\n", text(&summary["error"])));
    }
    request(out, &summary["request"]);
    sent(out, &summary["sent"]);
    match &summary["reply"] {
        reply if reply["missing"].is_string() => {
            out.push_str(&format!("\nThe answer is not here: {}.\n", text(&reply["missing"])));
        }
        Value::Null => {}
        reply => {
            out.push_str("\n### Answer\n\n");
            said(out, reply);
        }
    }
}

/// What the server was sent beside the messages.
fn sent(out: &mut String, sent: &Value) {
    match sent {
        Value::Null => {}
        Value::Object(_) if sent["missing"].is_string() => {
            out.push_str(&format!("\nWhat was sent beside the messages is not here: {}.\n", text(&sent["missing"])));
        }
        sent => {
            out.push_str("\nSent beside the messages:\n\n");
            code(out, &sent.to_string());
        }
    }
}

fn request(out: &mut String, request: &Value) {
    if let Some(why) = request["missing"].as_str() {
        out.push_str(&format!("\nThe request is not here: {}.\n", line(why, 200)));
        return;
    }
    let names: Vec<String> = list(&request["tools"]).iter().map(|tool| text(&tool["name"])).collect();
    let offered = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    let holds = if request["digest_holds"] == true { "holds" } else { "DOES NOT HOLD" };
    out.push_str(&format!(
        "\nOffered: {offered}. At most {} tokens. Digest `{}` {holds}.\n",
        request["max_tokens"],
        text(&request["digest"])
    ));
    let new_from = request["new_from"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    if new_from > 0 {
        out.push_str(&format!("\nMessages 0 to {} are those of the turn before.\n", new_from - 1));
    }
    for (n, message) in list(&request["messages"]).iter().enumerate().skip(new_from) {
        let to = message["answers"].as_str().map_or(String::new(), |call| format!(", answers `{}`", line(call, 40)));
        out.push_str(&format!("\n### Message {n}, {}{to}\n\n", text(&message["role"])));
        said(out, message);
    }
}

fn answer(out: &mut String, turn: &Value) {
    let reply = &turn["reply"];
    if reply.is_null() {
        out.push_str("\n### No answer\n");
        return;
    }
    if let Some(why) = reply["missing"].as_str() {
        out.push_str(&format!("\nThe answer is not here: {}.\n", line(why, 200)));
        return;
    }
    out.push_str("\n### Answer\n\n");
    said(out, reply);
    let outcome = &turn["outcome"];
    match outcome["kind"].as_str() {
        Some("report") => out.push_str("\nIt handed in a report.\n"),
        Some("unusable") => out.push_str(&format!("\nUnusable; it was told: {}\n", text(&outcome["remedy"]))),
        _ => {
            for call in list(&outcome["accepted"]) {
                out.push_str(&format!("\n`{}` {} went on to policy.\n", text(&call["id"]), text(&call["tool"])));
            }
            for call in list(&outcome["refused"]) {
                out.push_str(&format!("\n{} was refused: {}\n", text(&call["tool"]), text(&call["remedy"])));
            }
        }
    }
}

/// What a message or an answer says and calls.
fn said(out: &mut String, message: &Value) {
    let content = message["content"].as_str().unwrap_or_default();
    if !content.is_empty() {
        code(out, content);
    }
    for (n, call) in list(&message["calls"]).iter().enumerate() {
        let gap = if n > 0 || !content.is_empty() { "\n" } else { "" };
        out.push_str(&format!("{gap}calls {}\n\n", text(&call["tool"])));
        code(out, &call["args"].as_str().map_or_else(|| call["args"].to_string(), str::to_owned));
    }
}

/// A code block whose fence is longer than anything inside.
fn code(out: &mut String, content: &str) {
    let content = block(content, MOST);
    let longest = content.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    out.push_str(&format!("{fence}text\n{content}\n{fence}\n"));
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    let text = line(value.as_str().unwrap_or("-"), 2_000);
    // Outside of code blocks nothing of it is markup.
    text.chars().map(|c| if matches!(c, '`' | '<' | '[' | ']' | '*' | '|') { '\'' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_turn_reads_from_question_to_what_became_of_the_answer() {
        let page = json!({
            "investigation": "inv_1", "prompts_digest": "sha256:ab", "tools_digest": null, "next_cursor": "2",
            "items": [
                {"turn": 1, "asked": "main", "asked_at": "2026-04-01T00:00:00Z", "attempts": 2, "must_answer": false,
                 "answered": "m-1", "took_ms": 1200, "usage": {"tokens_in": 100, "tokens_out": 20}, "cost_usd": 0.01,
                 "failures": [{"at": "2026-04-01T00:00:00Z", "error": "timed out", "transient": true}],
                 "request": {"messages": [{"role": "system", "content": "rules"}, {"role": "user", "content": "case\n```\n# not a heading\u{1b}[2J"}],
                             "new_from": 0, "tools": [{"name": "get_pod"}], "max_tokens": 4096, "digest": "sha256:cd", "digest_holds": true},
                 "reply": {"content": "", "calls": [{"tool": "get_pod", "args": {"name": "a"}}]},
                 "outcome": {"kind": "calls", "accepted": [{"id": "call_1_1", "tool": "get_pod"}],
                             "refused": [{"tool": "rm <b>", "remedy": "not run"}]},
                 "cut": [{"message": 1, "what": "300 characters"}]},
                {"turn": 2, "asked": "main", "asked_at": "2026-04-01T00:01:00Z", "attempts": 1, "must_answer": true,
                 "failures": [], "request": {"messages": [{"role": "system", "content": "rules"}, {"role": "tool", "content": "E1", "answers": "call_1_1"}],
                             "new_from": 1, "tools": [], "max_tokens": 4096, "digest": "sha256:ef", "digest_holds": false},
                 "reply": null, "outcome": null, "cut": []}]
        });
        insta::assert_snapshot!(markdown(&page));
        assert!(markdown(&json!({"investigation": "inv_1", "items": []})).contains("No model was asked."));
    }
}
