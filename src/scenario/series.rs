//! Time series as the query engine sees them: labels, and samples in a window of time.

use super::curves::Curve;
use std::collections::BTreeMap;

/// Label names and values; `__name__` is the metric's name.
pub(crate) type Labels = BTreeMap<String, String>;

/// One value at one moment (Unix milliseconds).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    pub at_ms: i64,
    pub value: f64,
}

/// A single request behind a sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Exemplar {
    pub at_ms: i64,
    pub value: f64,
    /// `trace_id` for the most part.
    pub labels: Labels,
}

/// A series. Drawn ones hold no samples: a week at thirty seconds costs nothing until it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub labels: Labels,
    pub source: Source,
    /// In no order.
    pub exemplars: Vec<Exemplar>,
}

/// Where the samples come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Recorded, in time order.
    Stored(Vec<Sample>),
    /// Computed from a curve on a grid of scrapes.
    Drawn(Curve),
}

impl Series {
    /// Samples with `after_ms < at <= until_ms`, oldest first.
    pub(crate) fn window(&self, after_ms: i64, until_ms: i64) -> Vec<Sample> {
        match &self.source {
            Source::Stored(samples) => {
                let from = samples.partition_point(|s| s.at_ms <= after_ms);
                let to = samples.partition_point(|s| s.at_ms <= until_ms);
                samples.get(from..to.max(from)).unwrap_or_default().to_vec()
            }
            Source::Drawn(curve) => curve.window(after_ms, until_ms),
        }
    }

    /// The newest sample with `after_ms < at <= until_ms`.
    pub(crate) fn newest(&self, after_ms: i64, until_ms: i64) -> Option<Sample> {
        match &self.source {
            Source::Stored(samples) => {
                let end = samples.partition_point(|s| s.at_ms <= until_ms);
                samples.get(end.checked_sub(1)?).copied().filter(|s| s.at_ms > after_ms)
            }
            Source::Drawn(curve) => curve.newest(after_ms, until_ms),
        }
    }

    /// The value of one label; absent and empty are the same.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}
