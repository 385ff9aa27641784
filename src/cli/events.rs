//! `firewarden events list|show|replay`.

use super::output::table;
use super::session::Session;
use super::{Exit, Failure, Written};
use serde_json::Value;

/// Alerts that a running server took in
#[derive(Debug, clap::Subcommand)]
pub enum Events {
    /// The newest alerts
    List {
        /// Whom they concern
        #[arg(long)]
        subject: Option<String>,
        /// Who sent them
        #[arg(long)]
        source: Option<String>,
        /// How loud: critical, error, warning, info
        #[arg(long)]
        severity: Option<String>,
        /// What became of them: opened, merged, resolved, ignored, quarantined
        #[arg(long)]
        outcome: Option<String>,
        /// What could not be read: bodies and single alerts
        #[arg(long, conflicts_with_all = ["outcome", "subject", "severity"])]
        quarantined: bool,
        /// Received at or after, RFC 3339
        #[arg(long)]
        since: Option<String>,
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        written: Written,
    },
    /// One alert
    Show {
        /// Its id, evt_…
        id: String,
        #[command(flatten)]
        written: Written,
    },
    /// Read what is quarantined again, by the mapping as it is now, and take it in
    Replay {
        /// Its id, evt_…
        id: String,
        #[command(flatten)]
        written: Written,
    },
}

/// How much of a list is wanted.
#[derive(Debug, Clone, clap::Args)]
pub struct Paging {
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// Go on behind this cursor
    #[arg(long)]
    pub cursor: Option<String>,
}

impl Events {
    /// Runs it.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses, or nobody reads.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        match self {
            Self::List { subject, source, severity, outcome, quarantined, since, paging, written } => {
                let outcome = outcome.or_else(|| quarantined.then(|| "quarantined".to_owned()));
                let is_unread = outcome.as_deref() == Some("quarantined");
                let filters = [
                    ("subject", subject),
                    ("source", source),
                    ("severity", severity),
                    ("outcome", outcome),
                    ("since", since),
                ];
                let page = list(session, "/api/v1/events", filters, paging).await?;
                if is_unread {
                    let cells = |row: &Value| {
                        let again = if row["replayed"].is_null() { "-" } else { "yes" };
                        let keys = ["received_at", "kind", "source", "id"].iter().map(|key| word(row, key));
                        keys.chain([word(row, "deliveries"), again.to_owned(), word(row, "reason")]).collect()
                    };
                    let heads = ["received", "what", "source", "id", "times", "replayed", "reason"];
                    session.out.value(written.output, &page, || rows(&page, &heads, cells))?;
                    return Ok(Exit::Fine);
                }
                let cells = |row: &Value| {
                    let keys = ["received_at", "severity", "status", "name", "subject", "outcome", "investigation"];
                    keys.iter().map(|key| word(row, key)).collect()
                };
                let heads = ["received", "severity", "status", "alert", "subject", "outcome", "investigation"];
                session.out.value(written.output, &page, || rows(&page, &heads, cells))?;
            }
            Self::Show { id, written } => {
                let event = session.client()?.get(&format!("/api/v1/events/{}", plain(&id)?), &[]).await?;
                session.out.value(written.output, &event, || shown(&event))?;
            }
            Self::Replay { id, written } => {
                let path = format!("/api/v1/events/{}/replay", plain(&id)?);
                let answer = session.client()?.post(&path, &Value::Object(serde_json::Map::new())).await?;
                session.out.value(written.output, &answer, || became(&answer))?;
            }
        }
        Ok(Exit::Fine)
    }
}

/// What became of what was read again.
fn became(answer: &Value) -> Vec<String> {
    let words = ["accepted", "merged", "resolved", "ignored", "quarantined"];
    let counts = words.iter().filter_map(|word| Some((word, answer["became"][word].as_u64().filter(|n| *n > 0)?)));
    let counts: Vec<String> = counts.map(|(word, n)| format!("{n} {word}")).collect();
    let when = if answer["replayed_before"] == true { "replayed before: " } else { "" };
    let rows = answer["became"]["events"].as_array().into_iter().flatten().take(20);
    let row = |row: &Value| format!("{}  {}  {}", word(row, "outcome"), word(row, "event_id"), word(row, "job_id"));
    std::iter::once(format!("{when}{}", counts.join(", "))).chain(rows.map(row)).collect()
}

/// An alert for people: what was done about it stands below, a line for each step.
fn shown(event: &Value) -> Vec<String> {
    let mut head = event.clone();
    let log = head.as_object_mut().and_then(|fields| fields.remove("remediation_log")).unwrap_or_default();
    let mut lines = fields(&head);
    let steps = log.as_array().map_or(&[][..], Vec::as_slice);
    if steps.is_empty() {
        return lines;
    }
    let rows: Vec<Vec<String>> = steps
        .iter()
        .map(|step| {
            let outcome = format!("{}:{}", word(step, "step"), word(step, "outcome"));
            vec![word(step, "at"), outcome, about(step)]
        })
        .collect();
    lines.push(String::new());
    lines.extend(table(&["what was done", "", ""], &rows));
    lines
}

/// What a step tells beside its outcome, the most telling first.
fn about(step: &Value) -> String {
    let told = ["title", "topic", "reason", "summary", "by", "approval", "top_cause", "tool"];
    let parts: Vec<String> = told
        .iter()
        .filter_map(|key| step[*key].as_str().filter(|text| !text.is_empty()))
        .take(3)
        .map(str::to_owned)
        .collect();
    parts.join("; ")
}

/// A page of a list.
pub(super) async fn list<const N: usize>(
    session: &Session,
    path: &str,
    filters: [(&str, Option<String>); N],
    paging: Paging,
) -> Result<Value, Failure> {
    let limit = paging.limit.to_string();
    let mut query: Vec<(&str, &str)> = vec![("limit", &limit)];
    query.extend(filters.iter().filter_map(|(key, value)| value.as_deref().map(|value| (*key, value))));
    query.extend(paging.cursor.as_deref().map(|cursor| ("cursor", cursor)));
    session.client()?.get(path, &query).await
}

/// A page for people, and where it goes on.
pub(super) fn rows(page: &Value, heads: &[&str], cells: impl Fn(&Value) -> Vec<String>) -> Vec<String> {
    let items: Vec<Vec<String>> = page["items"].as_array().into_iter().flatten().map(cells).collect();
    if items.is_empty() {
        return vec!["none".to_owned()];
    }
    let mut lines = table(heads, &items);
    if let Some(cursor) = page["next_cursor"].as_str() {
        lines.push(format!("more: --cursor {}", super::text::line(cursor, 200)));
    }
    lines
}

/// A value in one word.
pub(super) fn word(row: &Value, key: &str) -> String {
    match &row[key] {
        Value::Null => "-".to_owned(),
        Value::String(text) => match text.parse::<jiff::Timestamp>() {
            // Seconds are enough for people.
            Ok(at) => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Err(_) => text.clone(),
        },
        other => other.to_string(),
    }
}

/// Names of a list that are shown; the rest is counted.
const NAMES: usize = 3;

/// An object as `key  value` lines; a list of names is cut, and what is nested else stays JSON.
pub(super) fn fields(value: &Value) -> Vec<String> {
    let map = value.as_object().into_iter().flatten();
    let shown = |key: &String, field: &Value| names(field).unwrap_or_else(|| word(value, key));
    let rows: Vec<(&String, String)> = map.map(|(key, field)| (key, shown(key, field))).collect();
    let widest = rows.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
    rows.iter()
        .map(|(key, text)| format!("{}  {}", super::text::pad(key, widest), super::text::line(text, 2000)))
        .collect()
}

/// The first ones of a list of names, in words.
fn names(field: &Value) -> Option<String> {
    let names: Vec<&str> = field.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
    let first = names.get(..NAMES).unwrap_or(&names).join(", ");
    match names.len() {
        0 => None,
        all if all > NAMES => Some(format!("{first} and {} more", all - NAMES)),
        _ => Some(first),
    }
}

/// An id that is safe in a path.
pub(super) fn plain(id: &str) -> Result<&str, Failure> {
    let fine = !id.is_empty() && id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    fine.then_some(id).ok_or_else(|| Failure::usage("this is no id", "ids look like inv_0190… or evt_0190…"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn of_many_names_the_first_are_shown_and_the_rest_is_counted() {
        let of = |count: usize| fields(&json!({"events": (0..count).map(|n| format!("evt_{n}")).collect::<Vec<_>>()}));
        assert_eq!(of(0), ["events  []"]);
        assert_eq!(of(3), ["events  evt_0, evt_1, evt_2"]);
        assert_eq!(of(100), ["events  evt_0, evt_1, evt_2 and 97 more"]);
        assert_eq!(fields(&json!({"usage": [{"turns": 1}]})), ["usage  [{\"turns\":1}]"]);
    }

    #[test]
    fn an_alert_is_shown_with_what_was_done_about_it() {
        let event = json!({
            "id": "evt_1", "subject": "caddy-mcp", "remediation_status": "escalate:queued",
            "remediation_log": [
                {"step": "observe", "outcome": "complete", "at": "2026-11-26T10:00:01Z", "entry": 9, "top_cause": "not_ready: Deployment tools/caddy-mcp"},
                {"step": "classify", "outcome": "service_down", "at": "2026-11-26T10:00:01Z", "entry": 10, "by": "default"},
                {"step": "escalate", "outcome": "queued", "at": "2026-11-26T10:00:02Z", "entry": 14, "title": "restart Deployment tools/caddy-mcp", "approval": "apr_1"},
            ],
        });
        insta::assert_snapshot!(shown(&event).join("\n"));
        let none = json!({"id": "evt_1", "remediation_log": []});
        assert_eq!(shown(&none), ["id  evt_1"]);
    }
}
