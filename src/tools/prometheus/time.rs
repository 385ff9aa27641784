//! Instants, windows and steps as people write them.

use crate::tools::spec::ToolError;
use jiff::Timestamp;
use serde::Deserialize;

/// The most samples per series that Prometheus gives.
pub const POINTS_MAX: f64 = 11_000.0;
/// Samples per series when no step is asked for.
const POINTS: f64 = 240.0;
/// Longest window, in seconds: a year and a day.
const WINDOW_MAX: f64 = 366.0 * 86_400.0;

/// A time or a length of time as an argument: a text, or a number of seconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Written {
    /// `now`, `-6h`, RFC 3339; `5m`.
    Text(String),
    /// Unix seconds; seconds.
    Number(f64),
}

/// The text of an argument; an empty one, which models send for "none", is absent.
pub fn text(argument: &Option<Written>) -> Option<String> {
    match argument {
        Some(Written::Text(text)) => Some(text.trim().to_owned()).filter(|t| !t.is_empty()),
        Some(Written::Number(number)) => Some(number.to_string()),
        None => None,
    }
}

/// A window of time, in unix seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Its beginning.
    pub start: f64,
    /// Its end.
    pub end: f64,
}

/// An instant in unix seconds: `now`, `-6h`, `now-6h`, RFC 3339, or unix seconds.
///
/// # Errors
/// Names the argument and what can be written.
pub fn instant(argument: &str, text: &str, now: Timestamp) -> Result<f64, ToolError> {
    let text = text.trim();
    let now = now.as_millisecond() as f64 / 1000.0;
    if text == "now" {
        return Ok(now);
    }
    let ago = text.strip_prefix("now").unwrap_or(text).trim();
    if let Some(ago) = ago.strip_prefix('-')
        && let Some(seconds) = seconds(ago.trim())
    {
        return Ok(now - seconds);
    }
    if let Ok(at) = text.parse::<f64>()
        && at.is_finite()
        && (0.0..1e11).contains(&at)
    {
        return Ok(at);
    }
    text.parse::<Timestamp>().map(|at| at.as_millisecond() as f64 / 1000.0).map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        ToolError::invalid(format!(
            "{argument}: `{shown}` is no time; write `now`, `-6h`, 2026-11-21T00:00:00Z or unix seconds"
        ))
    })
}

/// Seconds in `90s`, `5m`, `1h30m`, `7d` or a plain number.
pub fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Ok(plain) = text.parse::<f64>() {
        return Some(plain).filter(|s| s.is_finite() && *s > 0.0);
    }
    let (mut total, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let word = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += number
            * match rest[..word].trim() {
                "ms" => 0.001,
                "s" => 1.0,
                "m" | "min" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                "w" => 604_800.0,
                "y" => 31_536_000.0,
                _ => return None,
            };
        rest = &rest[word..];
    }
    Some(total).filter(|s| s.is_finite() && *s > 0.0)
}

fn length(argument: &str, text: &str) -> Result<f64, ToolError> {
    seconds(text).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        ToolError::invalid(format!("{argument}: `{shown}` is no length of time; write `30s`, `5m`, `6h` or `7d`"))
    })
}

/// The window of a call: `start` to `end`, or `window` up to `end`, or the last `fallback` seconds.
///
/// # Errors
/// When the arguments contradict each other.
pub fn window(
    start: Option<&str>,
    end: Option<&str>,
    window: Option<&str>,
    fallback: f64,
    now: Timestamp,
) -> Result<Window, ToolError> {
    let end = instant("end", end.unwrap_or("now"), now)?;
    let start = match (start, window) {
        (Some(_), Some(_)) => {
            return Err(ToolError::invalid("start and window are given; send one of them, `window: 6h` for instance"));
        }
        (Some(start), None) => instant("start", start, now)?,
        (None, window) => end - window.map_or(Ok(fallback), |w| length("window", w))?,
    };
    if start >= end {
        return Err(ToolError::invalid("start is not before end; `window: 6h` means the six hours up to end"));
    }
    if end - start > WINDOW_MAX {
        return Err(ToolError::invalid("the window is longer than a year; send a shorter one"));
    }
    Ok(Window { start: start.max(0.0), end })
}

/// The step of a range query in seconds, and whether the one that was asked for was too small.
///
/// # Errors
/// When `step` is no length of time.
pub fn step(step: Option<&str>, window: Window) -> Result<(f64, bool), ToolError> {
    const ROUND: [f64; 14] =
        [1.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0];
    let length_s = window.end - window.start;
    let round_up = |least: f64| ROUND.into_iter().find(|r| *r >= least).unwrap_or(least.ceil());
    match step {
        None => Ok((round_up((length_s / POINTS).max(15.0_f64.min(length_s / 4.0))), false)),
        Some(text) => {
            let asked = length("step", text)?;
            let least = length_s / (POINTS_MAX - 1.0);
            if asked >= least { Ok((asked, false)) } else { Ok((round_up(least), true)) }
        }
    }
}

/// A number as Prometheus takes it in `time`, `start`, `end` and `step`.
pub fn written(seconds: f64) -> String {
    let text = format!("{seconds:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let at = now().as_second() as f64;
        for (text, expected) in [
            ("now", at),
            ("-6h", at - 21_600.0),
            ("now-1h30m", at - 5400.0),
            ("now - 5m", at - 300.0),
            ("1795219398.297", 1_795_219_398.297),
            ("2026-11-20T23:00:00Z", at - 3600.0),
        ] {
            assert_eq!(instant("time", text, now()).unwrap(), expected, "{text}");
        }
        for wrong in ["", "yesterday", "-", "1e300", "-6", "6h ago"] {
            let result = instant("time", wrong, now());
            assert!(result.is_err() || wrong == "-6", "{wrong} {result:?}");
        }
        assert_eq!(seconds("1h30m"), Some(5400.0));
        assert_eq!(seconds("0s"), None);
        assert_eq!(seconds("5 parsecs"), None);
    }

    #[test]
    fn a_window_ends_where_it_is_said_and_a_step_never_asks_for_too_much() {
        let w = window(None, Some("2026-11-20T12:00:00Z"), Some("6h"), 3600.0, now()).unwrap();
        assert_eq!(w.end - w.start, 21_600.0);
        assert!(window(Some("-1h"), None, Some("1h"), 1.0, now()).is_err());
        assert!(window(Some("now"), Some("-1h"), None, 1.0, now()).is_err());
        assert_eq!(step(None, w).unwrap(), (120.0, false));
        assert_eq!(step(Some("15s"), w).unwrap(), (15.0, false));
        assert_eq!(step(Some("1s"), w).unwrap(), (5.0, true));
        assert_eq!((written(1_795_219_398.25), written(15.0)), ("1795219398.25".into(), "15".into()));
    }

    proptest::proptest! {
        #[test]
        fn no_step_asks_for_more_than_the_server_gives(length_s in 1.0..3e7, asked in 0.001..1e5) {
            let w = Window { start: 1e9, end: 1e9 + length_s };
            for text in [None, Some(format!("{asked}"))] {
                let (s, _) = step(text.as_deref(), w).unwrap();
                proptest::prop_assert!(length_s / s + 1.0 <= POINTS_MAX + 1e-3, "{s}");
            }
        }
    }
}
