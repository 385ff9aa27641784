//! Times as senders write them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::Value;

/// The time that `value` means: RFC 3339, a date and time without a zone (read as UTC), or a count since
/// 1970 in seconds, milliseconds, microseconds or nanoseconds, told apart by its size. Zero and what lies
/// before 1970 is "not yet", as is what is no time.
pub(super) fn time(value: &Value) -> Option<Timestamp> {
    let time = match value {
        Value::Number(number) => match number.as_i64() {
            Some(count) => since_epoch(count),
            // Seconds with a fraction.
            None => number.as_f64().filter(|s| s.abs() < 1e11).and_then(|seconds| {
                let ms = (seconds * 1_000.0).round();
                Timestamp::from_millisecond(ms as i64).ok()
            }),
        },
        Value::String(text) => {
            let text = text.trim();
            let count = || text.parse::<i64>().ok().and_then(since_epoch);
            let zoned = || text.parse::<Timestamp>().ok();
            let civil = || text.parse::<DateTime>().ok()?.in_tz("UTC").ok().map(|at| at.timestamp());
            count().or_else(zoned).or_else(civil)
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    time.filter(|time| *time > Timestamp::UNIX_EPOCH)
}

fn since_epoch(count: i64) -> Option<Timestamp> {
    match count.unsigned_abs() {
        0..100_000_000_000 => Timestamp::from_second(count).ok(),
        100_000_000_000..100_000_000_000_000 => Timestamp::from_millisecond(count).ok(),
        100_000_000_000_000..100_000_000_000_000_000 => Timestamp::from_microsecond(count).ok(),
        _ => Timestamp::from_nanosecond(i128::from(count)).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_of_all_senders_are_understood() {
        for (written, at) in [
            (json!("2026-11-20T23:31:02.123Z"), Some("2026-11-20T23:31:02.123Z")),
            (json!("2026-11-21T00:31:02+01:00"), Some("2026-11-20T23:31:02Z")),
            (json!("2026-11-20 23:31:02.123"), Some("2026-11-20T23:31:02.123Z")),
            (json!(1_795_217_417), Some("2026-11-20T23:30:17Z")),
            (json!(1_795_217_417.5), Some("2026-11-20T23:30:17.5Z")),
            (json!(1_795_217_417_980_i64), Some("2026-11-20T23:30:17.98Z")),
            (json!("1795217417980"), Some("2026-11-20T23:30:17.98Z")),
            (json!(1_795_217_417_980_001_000_i64), Some("2026-11-20T23:30:17.980001Z")),
            (json!("0001-01-01T00:00:00Z"), None),
            (json!(0), None),
            (json!(-5), None),
            (json!(1e300), None),
            (json!("yesterday"), None),
            (json!(true), None),
            (Value::Null, None),
        ] {
            assert_eq!(time(&written).map(|t| t.to_string()).as_deref(), at, "{written}");
        }
    }
}
