//! Selectors: which series, and which of their samples.

use super::{
    Evaluated, Moment, Value,
    value::{Point, Row},
};
use crate::scenario::series::Series;
use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{AtModifier, MatrixSelector, Offset, VectorSelector},
};
use std::time::{Duration, SystemTime};

/// How far back an instant selector looks.
const LOOK_BACK_MS: i64 = 300_000;

impl Moment<'_> {
    pub(super) fn select(&self, selector: &VectorSelector) -> Evaluated<Value> {
        let at_ms = self.effective(selector);
        let mut points = Vec::new();
        for series in self.series.iter().filter(|series| matches_all(selector, series)) {
            self.look(1)?;
            if let Some(sample) = series.newest(at_ms - LOOK_BACK_MS, at_ms) {
                points.push(Point { labels: series.labels.clone(), value: sample.value });
            }
        }
        Ok(Value::Vector(points))
    }

    pub(super) fn select_range(&self, selector: &MatrixSelector) -> Evaluated<Value> {
        let until_ms = self.effective(&selector.vs);
        let after_ms = until_ms - millis(selector.range);
        let mut rows = Vec::new();
        for series in self.series.iter().filter(|series| matches_all(&selector.vs, series)) {
            let samples = series.window(after_ms, until_ms);
            self.look(samples.len())?;
            if !samples.is_empty() {
                rows.push(Row { labels: series.labels.clone(), samples, after_ms, until_ms });
            }
        }
        Ok(Value::Matrix(rows))
    }

    /// When each selected sample was taken: for `timestamp()`.
    pub(super) fn select_times(&self, selector: &VectorSelector) -> Evaluated<Vec<Point>> {
        let at_ms = self.effective(selector);
        Ok(self
            .series
            .iter()
            .filter(|series| matches_all(selector, series))
            .filter_map(|series| Some((series, series.newest(at_ms - LOOK_BACK_MS, at_ms)?)))
            .map(|(series, sample)| {
                Point { labels: series.labels.clone(), value: sample.at_ms as f64 / 1e3 }.unnamed(|v| v)
            })
            .collect())
    }

    fn effective(&self, selector: &VectorSelector) -> i64 {
        let at_ms = match &selector.at {
            None => self.at_ms,
            Some(AtModifier::Start) => self.start_ms,
            Some(AtModifier::End) => self.end_ms,
            Some(AtModifier::At(time)) => match time.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(after) => millis(after),
                Err(before) => -millis(before.duration()),
            },
        };
        match &selector.offset {
            None => at_ms,
            Some(Offset::Pos(back)) => at_ms - millis(*back),
            Some(Offset::Neg(ahead)) => at_ms + millis(*ahead),
        }
    }
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// Whether a series is selected.
pub(crate) fn matches_all(selector: &VectorSelector, series: &Series) -> bool {
    let all = |matchers: &[Matcher]| matchers.iter().all(|m| matches_one(m, series.label(&m.name)));
    let named = selector.name.as_deref().is_none_or(|name| series.label("__name__") == name);
    let either =
        selector.matchers.or_matchers.is_empty() || selector.matchers.or_matchers.iter().any(|group| all(group));
    named && all(&selector.matchers.matchers) && either
}

fn matches_one(matcher: &Matcher, value: &str) -> bool {
    match &matcher.op {
        MatchOp::Equal => matcher.value == value,
        MatchOp::NotEqual => matcher.value != value,
        // The parser anchors patterns at both ends.
        MatchOp::Re(pattern) => pattern.is_match(value),
        MatchOp::NotRe(pattern) => !pattern.is_match(value),
    }
}
