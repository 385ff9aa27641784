//! Which silences there are: whose, until when, and what for.

use super::shown;
use crate::domain::Clock;
use crate::edge::AlertmanagerReader;
use crate::edge::alertmanager::{Held, State};
use crate::tools::gist::{CHARS, counted, listed, name};
use crate::tools::render::{span, table};
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec, arguments, given};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Most silences of one answer.
const MOST: usize = 100;

/// `alertmanager_silences`.
#[derive(Debug, Clone)]
pub struct Silences {
    pub(super) spec: Arc<ToolSpec>,
    pub(super) reader: AlertmanagerReader,
    pub(super) clock: Arc<dyn Clock>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    text: Option<String>,
    #[serde(default)]
    expired: bool,
}

#[async_trait]
impl ReadTool for Silences {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn target(&self, _: &Value) -> Vec<Value> {
        vec![json!({
            "cluster": null, "namespace": null, "api_version": null, "kind": "Silence", "name": null, "verb": "list",
        })]
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let words = given(&args.text).map(str::to_lowercase);
        let mut found = self.reader.silences(&[]).await?;
        found.retain(|held| (args.expired || held.stands()) && words.as_ref().is_none_or(|words| says(held, words)));
        // What stands first, and of that what ends first; of what is over, the last one first.
        found.sort_by_key(|held| match held.stands() {
            true => (false, held.ends_at.as_second(), held.id.clone()),
            false => (true, held.ends_at.as_second().saturating_neg(), held.id.clone()),
        });
        let total = found.len();
        found.truncate(MOST);
        let now = self.clock.now();
        let rows: Vec<Value> = found.iter().map(|held| row(held, now)).collect();
        let mut seen = Seen::all(json!({"silences": rows, "total": total}));
        if total > MOST {
            seen.truncated = true;
            seen.notes.push(format!("{MOST} of {total} are shown; send `text` to see those that say it"));
        }
        Ok(seen)
    }

    fn gist(&self, args: &Value, seen: &Seen) -> String {
        let total = seen.data["total"].as_u64().unwrap_or(0) as usize;
        let head = match (total, args["text"].as_str()) {
            (0, Some(text)) if !text.trim().is_empty() => return format!("no silence says {}", name(text)),
            (0, _) => return "nothing is silenced".to_owned(),
            _ => counted(total, "silence", "silences"),
        };
        listed(&head, &column(seen, "matchers").map(name).collect::<Vec<_>>(), CHARS)
    }

    fn text(&self, _: &Value, seen: &Seen) -> String {
        if column(seen, "id").next().is_none() {
            return String::new();
        }
        const HEAD: [&str; 6] = ["state", "ends", "by", "matchers", "id", "comment"];
        let cells = |row: &Value| HEAD.map(|key| row[key].as_str().unwrap_or_default().to_owned()).to_vec();
        let rows: Vec<Vec<String>> = seen.data["silences"].as_array().into_iter().flatten().map(cells).collect();
        table(&HEAD, &rows)
    }
}

fn column<'a>(seen: &'a Seen, key: &'static str) -> impl Iterator<Item = &'a str> {
    seen.data["silences"].as_array().into_iter().flatten().filter_map(move |row| row[key].as_str())
}

fn says(held: &Held, words: &str) -> bool {
    [&shown(&held.matchers), &held.comment, &held.created_by].iter().any(|text| text.to_lowercase().contains(words))
}

fn row(held: &Held, now: Timestamp) -> Value {
    let away = held.ends_at.as_second().saturating_sub(now.as_second());
    let ends = match held.state() {
        State::Expired => format!("{} ago", span(away.saturating_neg())),
        State::Active | State::Pending => format!("in {}", span(away)),
    };
    json!({
        "id": held.id, "state": held.state(), "ends": ends, "starts_at": held.starts_at, "ends_at": held.ends_at,
        "by": held.created_by, "comment": held.comment, "matchers": shown(&held.matchers),
    })
}
