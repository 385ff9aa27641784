//! Silences as Alertmanager keeps them, and as we ask for them.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// One condition on the labels of an alert.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// What it has to be.
    pub value: String,
    /// `value` is a pattern for the whole of the label.
    #[serde(default)]
    pub is_regex: bool,
    /// It has to be that, and not anything else.
    #[serde(default = "yes")]
    pub is_equal: bool,
}

const fn yes() -> bool {
    true
}

impl Matcher {
    /// The label `name` is `value`.
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: value.to_owned(), is_regex: false, is_equal: true }
    }

    /// The label `name` fits `pattern` as a whole.
    pub fn pattern(name: &str, pattern: &str) -> Self {
        Self { is_regex: true, ..Self::equal(name, pattern) }
    }
}

/// As amtool takes it: `alertname="A"`, `pod=~"p-.*"`.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = match (self.is_equal, self.is_regex) {
            (true, false) => "=",
            (true, true) => "=~",
            (false, false) => "!=",
            (false, true) => "!~",
        };
        let value = self.value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        write!(f, "{}{operator}\"{value}\"", self.name)
    }
}

/// How a silence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It silences.
    Active,
    /// It will.
    Pending,
    /// It is over.
    Expired,
}

/// A silence as Alertmanager keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// What names it there.
    pub id: String,
    status: Status,
    /// What it silences: alerts that fit all of them.
    pub matchers: Vec<Matcher>,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when. For one that was ended early, when that was.
    pub ends_at: Timestamp,
    /// Whose it is; anybody may write any name.
    pub created_by: String,
    /// What it is for.
    pub comment: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Status {
    state: State,
}

impl Held {
    /// How it stands.
    pub fn state(&self) -> State {
        self.status.state
    }

    /// Whether it silences, or will.
    pub fn stands(&self) -> bool {
        self.state() != State::Expired
    }

    /// Whether it silences exactly what `matchers` say, in whatever order.
    pub fn is_of(&self, matchers: &[Matcher]) -> bool {
        let sorted = |matchers: &[Matcher]| {
            let mut all = matchers.to_vec();
            all.sort();
            all
        };
        sorted(&self.matchers) == sorted(matchers)
    }
}

/// A silence that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it silences: alerts that fit all of them.
    pub matchers: Vec<Matcher>,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// Whose it is.
    pub created_by: String,
    /// What it is for.
    pub comment: String,
}

impl Wanted {
    /// How long it would silence.
    pub fn length(&self) -> SignedDuration {
        self.ends_at.duration_since(self.starts_at)
    }

    pub(super) fn body(&self) -> Value {
        json!({
            "matchers": self.matchers, "startsAt": self.starts_at, "endsAt": self.ends_at,
            "createdBy": self.created_by, "comment": self.comment,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_is_written_as_alertmanager_reads_it() {
        for (name, value, is_regex, is_equal, expected) in [
            ("alertname", "A", false, true, r#"alertname="A""#),
            ("pod", "p-.*", true, true, r#"pod=~"p-.*""#),
            ("pod", "p", false, false, r#"pod!="p""#),
            ("pod", r"a\.b", true, false, r#"pod!~"a\\.b""#),
            ("x", "a\"b\nc", false, true, r#"x="a\"b\nc""#),
        ] {
            let matcher = Matcher { name: name.into(), value: value.into(), is_regex, is_equal };
            assert_eq!(matcher.to_string(), expected);
        }
    }
}
