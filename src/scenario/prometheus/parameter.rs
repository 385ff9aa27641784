//! Times, steps and time-outs as clients write them.

use super::Failure;
use crate::scenario::curves::duration_ms;
use jiff::Timestamp;
use serde_json::Value;

/// The pairs of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameters<'a> {
    pairs: &'a [(String, String)],
    now_ms: i64,
}

impl<'a> Parameters<'a> {
    pub(super) fn new(pairs: &'a [(String, String)], now_ms: i64) -> Self {
        Self { pairs, now_ms }
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The first value that is not empty.
    pub(super) fn one(&self, name: &str) -> Option<&'a str> {
        self.pairs.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter that may be repeated.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A moment, Unix milliseconds: seconds with a fraction, or RFC 3339.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.one(name) else { return Ok(None) };
        if let Some(seconds) = text.parse::<f64>().ok().filter(|s| s.abs() < 1e14) {
            return Ok(Some((seconds * 1e3).round() as i64));
        }
        text.parse::<Timestamp>().map(|at| Some(at.as_millisecond())).map_err(|_| {
            // The endpoint with a single time words it twice, as the real server does.
            let detail = format!("cannot parse \"{text}\" to a valid timestamp");
            match name {
                "time" => Failure::parameter(name, format!("invalid time value for '{name}': {detail}")),
                _ => Failure::parameter(name, detail),
            }
        })
    }

    /// The step of a range query in milliseconds.
    pub(super) fn step(&self) -> Result<i64, Failure> {
        let text = self.one("step").unwrap_or_default();
        match milliseconds(text) {
            None => Err(Failure::parameter("step", format!("cannot parse \"{text}\" to a valid duration"))),
            Some(ms) if ms <= 0 => Err(Failure::parameter(
                "step",
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            )),
            Some(ms) => Ok(ms),
        }
    }

    /// Most items of an answer; 0 and what is no number set no limit.
    pub(super) fn limit(&self) -> Option<usize> {
        self.one("limit").and_then(|text| text.parse().ok()).filter(|limit| *limit > 0)
    }

    /// `rows`, cut to `limit`, and whether that cut something off.
    pub(super) fn cut(&self, mut rows: Vec<Value>) -> (Value, bool) {
        let most = self.limit().unwrap_or(usize::MAX);
        let cut = rows.len() > most;
        rows.truncate(most);
        (rows.into(), cut)
    }

    /// Checks the form of `timeout`; a recorded world is quick enough not to need it.
    pub(super) fn timeout(&self) -> Result<(), Failure> {
        match self.one("timeout") {
            Some(text) if milliseconds(text).is_none() => {
                Err(Failure::parameter("timeout", format!("cannot parse \"{text}\" to a valid duration")))
            }
            _ => Ok(()),
        }
    }
}

fn milliseconds(text: &str) -> Option<i64> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.abs() < 1e12 => Some((seconds * 1e3).round() as i64),
        _ => duration_ms(text).ok(),
    }
}
