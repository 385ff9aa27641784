//! Moves every instant of a recording by one distance, so that its `now` becomes the present.

use jiff::{SignedDuration, Timestamp, Zoned, tz::TimeZone};
use regex::Regex;
use serde_json::Value;
use std::{borrow::Cow, sync::LazyLock};

/// RFC 3339, wherever it stands in a text. The pattern is a constant; a broken one would be seen by
/// every test, so its absence only switches shifting off.
static INSTANT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.(\d{1,9}))?(?:Z|[+-]\d{2}:\d{2})").ok());

/// A distance in whole seconds: objects carry whole seconds, metrics milliseconds, and both must
/// stay where they were relative to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shift(i64);

impl Shift {
    pub(crate) const NONE: Self = Self(0);

    /// The distance from `from` to `to`, rounded down to a second.
    pub(crate) fn between(from: Timestamp, to: Timestamp) -> Self {
        Self(to.as_second() - from.as_second())
    }

    pub(crate) fn millis(self) -> i64 {
        self.0.saturating_mul(1_000)
    }

    pub(crate) fn instant(self, at: Timestamp) -> Timestamp {
        at.checked_add(SignedDuration::from_secs(self.0)).unwrap_or(at)
    }

    /// Every instant in `text`, moved; its precision and its offset are kept.
    pub(crate) fn text<'t>(self, text: &'t str) -> Cow<'t, str> {
        match INSTANT.as_ref() {
            Some(pattern) if self.0 != 0 => pattern.replace_all(text, |found: &regex::Captures<'_>| {
                let whole = found.get(0).map_or("", |m| m.as_str());
                let digits = found.get(1).map_or(0, |m| m.len());
                self.one(whole, digits).unwrap_or_else(|| whole.to_owned())
            }),
            _ => Cow::Borrowed(text),
        }
    }

    fn one(self, text: &str, digits: usize) -> Option<String> {
        // Alertmanager's zero time means "not yet"; it does not move.
        if text.starts_with("0001-") {
            return None;
        }
        let moved = self.instant(text.parse::<Timestamp>().ok()?);
        let offset = if text.ends_with('Z') { "+00:00" } else { text.get(text.len() - 6..)? };
        let minutes = offset.get(1..3)?.parse::<i32>().ok()? * 60 + offset.get(4..6)?.parse::<i32>().ok()?;
        let seconds = if offset.starts_with('-') { -minutes * 60 } else { minutes * 60 };
        let local = Zoned::new(moved, TimeZone::fixed(jiff::tz::Offset::from_seconds(seconds).ok()?));
        let fraction = match digits {
            0 => String::new(),
            n => format!(".{}", format!("{:09}", local.subsec_nanosecond()).get(..n)?),
        };
        let zone = if text.ends_with('Z') { "Z" } else { offset };
        Some(format!("{}{fraction}{zone}", local.strftime("%Y-%m-%dT%H:%M:%S")))
    }

    /// Every instant in every string of `value`.
    pub(crate) fn json(self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(moved) = self.text(text) {
                    *text = moved;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.json(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_move_wherever_they_stand_and_keep_their_form() {
        let shift = Shift::between("2026-01-01T00:00:00Z".parse().unwrap(), "2026-01-02T01:00:00.9Z".parse().unwrap());
        for (before, after) in [
            ("at 2026-01-01T10:00:00Z it broke", "at 2026-01-02T11:00:00Z it broke"),
            ("2026-01-01T10:00:00.417Z", "2026-01-02T11:00:00.417Z"),
            ("2026-01-01T10:00:00.000001+02:00 x", "2026-01-02T11:00:00.000001+02:00 x"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("checkpoint 1775044273271069", "checkpoint 1775044273271069"),
            ("2026-99-01T10:00:00Z is no instant", "2026-99-01T10:00:00Z is no instant"),
        ] {
            assert_eq!(shift.text(before), after);
        }
        assert_eq!(Shift::NONE.text("2026-01-01T10:00:00Z"), "2026-01-01T10:00:00Z");
    }
}
