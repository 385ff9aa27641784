//! The organisation's clock: what `data.org` says of a moment, by the same functions that policies use
//! (`lib/when.rego`).

use super::contract::Calendar;
use super::rego::{Interpreter, RegoError};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// The shipped functions: a bundle of somebody else may have none.
const WHEN: &str = include_str!("../../policies/lib/when.rego");
const ALMANAC: &str = include_str!("almanac.rego");

/// Reads days, hours and maintenance windows out of the data of one bundle.
#[derive(Debug)]
pub(super) struct Almanac {
    interpreter: Interpreter,
}

impl Almanac {
    pub(super) fn of(data: &Value) -> Result<Self, RegoError> {
        let mut interpreter = Interpreter::new()?;
        interpreter.add_module("lib/when.rego", WHEN)?;
        interpreter.add_module("almanac.rego", ALMANAC)?;
        interpreter.add_data(data)?;
        interpreter.prepare()?;
        Ok(Self { interpreter })
    }

    /// The moment, for something in `environment`. What the data do not tell is as in UTC, and no window
    /// is open.
    pub(super) fn calendar(&self, environment: &str, now: Timestamp, limit: Duration) -> Calendar {
        let mut calendar = Calendar::at(now);
        let input = json!({"environment": environment, "now_ns": super::contract::nanoseconds(now)});
        let mut session = self.interpreter.session(Some(&input), limit);
        let mut told = |rule: &str| match session.value(&format!("firewarden.almanac.{rule}")) {
            Ok(value) => value,
            Err(error) => {
                tracing::warn!(rule, %error, "data.org does not tell the time");
                None
            }
        };
        let text = |value: Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
        let (tz, weekday) = (text(told("tz")), text(told("weekday")));
        let hour = told("hour").as_ref().and_then(Value::as_i64).and_then(|hour| i8::try_from(hour).ok());
        if let (Some(tz), Some(weekday), Some(hour)) = (tz, weekday, hour) {
            calendar = Calendar { tz, weekday, hour, ..calendar }.in_business();
        }
        let mut holds = |rule| told(rule) == Some(Value::Bool(true));
        if holds("has_hours") {
            calendar.business_hours = holds("business_hours");
        }
        calendar.maintenance = holds("maintenance");
        calendar
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(org: &Value, environment: &str, now: &str) -> Calendar {
        let almanac = Almanac::of(&json!({ "org": org })).unwrap();
        almanac.calendar(environment, now.parse().unwrap(), Duration::from_secs(10))
    }

    #[test]
    fn a_window_is_open_for_whom_it_is_about() {
        let org = json!({
            "timezone": "Europe/Berlin",
            "environments": {"prod": "production"},
            "hours": {"days": ["thursday"], "from_hour": 9, "until_hour": 17},
            "maintenance_windows": [{"id": "nights", "days": ["thursday"], "from_hour": 22, "until_hour": 4,
                                     "environments": ["production"]}],
        });
        for (environment, now, open) in [
            // Thursday, 24 December 2026; Berlin is an hour ahead.
            ("production", "2026-12-24T21:00:00Z", true),
            ("prod", "2026-12-24T21:00:00Z", true),
            ("production", "2026-12-24T20:59:59Z", false),
            ("production", "2026-12-24T12:00:00Z", false),
            ("staging", "2026-12-24T21:00:00Z", false),
            // Nobody knows that it is meant.
            ("unknown", "2026-12-24T21:00:00Z", false),
        ] {
            assert_eq!(at(&org, environment, now).maintenance, open, "{environment} {now}");
        }
        let noon = at(&org, "staging", "2026-12-24T08:30:00Z");
        let told = (noon.tz.as_str(), noon.weekday.as_str(), noon.hour, noon.business_hours);
        assert_eq!(told, ("Europe/Berlin", "thursday", 9, true));
        assert!(!at(&org, "staging", "2026-12-25T08:30:00Z").business_hours, "by the organisation's days");
    }

    #[test]
    fn without_data_it_is_utc_and_nothing_is_open() {
        for org in [json!({}), json!({"timezone": "Nowhere/Land", "maintenance_windows": [{"id": "x"}]})] {
            let calendar = at(&org, "production", "2026-12-24T12:00:00Z");
            assert_eq!(calendar, Calendar::at("2026-12-24T12:00:00Z".parse().unwrap()), "{org}");
        }
    }

    #[test]
    fn the_shipped_data_tell_the_time() {
        let bundle = super::super::Bundle::embedded();
        let calendar = Almanac::of(bundle.data()).unwrap().calendar(
            "production",
            "2026-12-24T12:00:00Z".parse().unwrap(),
            Duration::from_secs(10),
        );
        assert_eq!(calendar, Calendar::at("2026-12-24T12:00:00Z".parse().unwrap()));
    }
}
