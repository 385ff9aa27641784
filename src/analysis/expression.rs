//! What the alert's own rule says: is its expression still true for the alert's labels, what does
//! it read, and since when.
//!
//! Rules are configuration and trusted as such, but their text is data: of bounded length, asked as
//! it stands or not at all.

use super::need::Need;
use super::scene::Scene;
use super::snapshot::{Rule, Series, Snapshot};
use super::text::{figure, moment};
use crate::domain::SreEvent;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Most expressions that are asked.
const MAX_ASKED: usize = 3;
/// Windows in minutes, the shortest that shows half an hour before the alert is taken.
const WINDOWS: [u32; 4] = [120, 360, 1440, 4320];
/// Minutes before the alert that belong to it.
const BEFORE_MIN: i64 = 30;

/// What to ask about the alerts' own expressions.
pub(super) fn needs(events: &[SreEvent], snapshot: &Snapshot) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    let mut asked: Vec<&str> = Vec::new();
    for event in events {
        for rule in rules_of(snapshot, event) {
            if asked.contains(&rule.query.as_str()) || asked.len() >= MAX_ASKED {
                continue;
            }
            asked.push(&rule.query);
            needs.push(Need::Query { promql: rule.query.clone() });
            needs.extend(Limit::of(&rule.query).map(|limit| range(event, &limit)));
        }
    }
    needs
}

/// The need asks about an alert's expression.
pub(super) fn asks(snapshot: &Snapshot, need: &Need) -> bool {
    match need {
        Need::Query { promql } => snapshot.rules.iter().any(|r| r.query == *promql),
        Need::Range { promql, .. } => {
            snapshot.rules.iter().any(|r| Limit::of(&r.query).is_some_and(|limit| limit.left == *promql))
        }
        _ => false,
    }
}

/// By when the alert came, so that the same is asked at every later moment.
fn range(event: &SreEvent, limit: &Limit) -> Need {
    let age = event.received_at.duration_since(event.starts_at).as_secs() / 60 + BEFORE_MIN;
    let minutes = WINDOWS.iter().copied().find(|w| i64::from(*w) >= age).unwrap_or(WINDOWS[WINDOWS.len() - 1]);
    Need::Range { promql: limit.left.clone(), minutes }
}

/// The rules of the alert's name that its labels do not contradict.
fn rules_of<'a>(snapshot: &'a Snapshot, event: &SreEvent) -> Vec<&'a Rule> {
    let fits = |rule: &&Rule| {
        // A templated label may be anything.
        rule.name == event.name
            && rule
                .labels
                .iter()
                .all(|(key, value)| value.contains("{{") || event.labels.get(key).is_none_or(|e| e == value))
    };
    let mut rules: Vec<&Rule> = snapshot.rules.iter().filter(fits).collect();
    rules.dedup_by(|a, b| a.query == b.query);
    rules.truncate(MAX_ASKED);
    rules
}

/// Whether an alert's expression holds for the alert's labels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Holds {
    /// It returns something.
    Yes,
    /// It returns nothing, but did within the window that was looked at.
    NoLonger,
    /// It returns nothing and did not do so within the window, as far as that was seen.
    No,
}

/// What an alert's expression says.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub holds: Holds,
    /// The value, where the rule is a comparison or returns one.
    pub value: Option<f64>,
    pub limit: Option<Limit>,
    /// When it became true, or, if it is no longer, when it ceased to be.
    pub since: Option<Timestamp>,
    /// When it was asked.
    pub at: Timestamp,
    /// Evidence of the present answer.
    pub evidence: String,
    /// Evidence of its course, if that was seen, and of the rule.
    pub more: Vec<String>,
}

impl Reading {
    /// The reading of an alert's rule; `None` if no rule was found, asked and answered in full.
    pub(super) fn of(scene: &Scene<'_>, event: &SreEvent) -> Option<Self> {
        let rules = rules_of(scene.snapshot, event);
        let readings: Vec<Self> = rules.iter().filter_map(|rule| read(scene.snapshot, event, rule)).collect();
        // Of several rules of one name every one has to be known before anything is denied.
        let complete = readings.len() == rules.len();
        let best = readings.into_iter().min_by_key(|r| match r.holds {
            Holds::Yes => 0,
            Holds::NoLonger => 1,
            Holds::No => 2,
        })?;
        (best.holds == Holds::Yes || complete).then_some(best)
    }

    pub(super) fn evidence(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.evidence).chain(&self.more)
    }

    /// ` (limit: > 75)`, or nothing.
    pub(super) fn limit_text(&self) -> String {
        self.limit.as_ref().map_or(String::new(), |l| format!(" (limit: {} {})", l.operator, figure(l.value)))
    }

    /// `its expression reads 77.3 (limit: > 75), true since …`.
    pub(super) fn text(&self) -> String {
        let reads = self.value.map(|v| format!("reads {}{}", figure(v), self.limit_text()));
        let since = self.since.map_or(String::new(), |at| format!(" since {}", moment(at)));
        match (self.holds, reads) {
            (Holds::Yes, Some(reads)) => format!("its expression {reads}{}", comma(&since, "true")),
            (Holds::Yes, None) => format!("its expression is true{since}"),
            (Holds::NoLonger, reads) => format!("its expression is no longer true{since}{}", and(reads)),
            (Holds::No, reads) => format!("its expression is not true now{}", and(reads)),
        }
    }
}

fn comma(since: &str, what: &str) -> String {
    if since.is_empty() { String::new() } else { format!(", {what}{since}") }
}

fn and(reads: Option<String>) -> String {
    reads.map_or(String::new(), |reads| format!(" and {reads}"))
}

fn read(snapshot: &Snapshot, event: &SreEvent, rule: &Rule) -> Option<Reading> {
    let answer = snapshot.answers.iter().rfind(|a| a.promql == rule.query)?;
    let now = about(snapshot, event, rule, |s| s.minutes == 0 && s.promql == rule.query);
    if now.is_none() && !answer.complete {
        return None;
    }
    let limit = Limit::of(&rule.query);
    let course = limit.as_ref().and_then(|limit| {
        let series = about(snapshot, event, rule, |s| s.minutes > 0 && s.promql == limit.left)?;
        Some((limit, series))
    });
    let turn = course.and_then(|(limit, series)| {
        let last = limit.holds(series.last()?);
        // The first point of the last run of points that all agree with the last one.
        let turned = series.points.iter().rposition(|p| limit.holds(p.1) != last)? + 1;
        Some((last, Timestamp::from_second(series.points.get(turned)?.0 as i64).ok()))
    });
    let holds = match (now, turn) {
        (Some(_), _) => Holds::Yes,
        (None, Some(_)) => Holds::NoLonger,
        (None, None) => Holds::No,
    };
    let since = turn.filter(|(last, _)| *last == now.is_some()).and_then(|(_, at)| at);
    let mut more: Vec<String> = course.map(|(_, series)| series.evidence.clone()).into_iter().collect();
    more.push(rule.evidence.clone());
    Some(Reading {
        holds,
        value: now.and_then(Series::last).or_else(|| course.and_then(|(_, series)| series.last())),
        limit,
        since,
        at: answer.at,
        evidence: answer.evidence.clone(),
        more,
    })
}

/// The series that the alert is about, the one that shares most labels with it.
fn about<'a>(
    snapshot: &'a Snapshot,
    event: &SreEvent,
    rule: &Rule,
    asked: impl Fn(&Series) -> bool,
) -> Option<&'a Series> {
    let fits = |labels: &BTreeMap<String, String>| {
        // The rule's labels replace those of the series.
        let own = labels.iter().filter(|(key, _)| *key != "__name__" && !rule.labels.contains_key(*key));
        let mut shared = 0;
        for (key, value) in own {
            match event.labels.get(key) {
                Some(e) if e == value => shared += 1,
                Some(_) => return None,
                // Relabelling between Prometheus and us may have dropped it.
                None => {}
            }
        }
        Some(shared)
    };
    let candidates = snapshot.series.iter().filter(|s| asked(s)).filter_map(|s| Some((fits(&s.labels)?, s)));
    // Of equals the first.
    candidates.min_by_key(|(shared, _)| usize::MAX - shared).map(|(_, series)| series)
}

/// `left operator value`, all of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limit {
    /// What is compared.
    pub left: String,
    /// `>`, `<=`, …
    pub operator: &'static str,
    /// With what.
    pub value: f64,
}

impl Limit {
    /// Splits an expression that is one comparison with a number. `None` for everything else and
    /// whenever in doubt: set operators, `bool`, comments, unbalanced brackets.
    pub(super) fn of(expression: &str) -> Option<Self> {
        const OPERATORS: [&str; 6] = [">=", "<=", "==", "!=", ">", "<"];
        let mut depth = 0_i32;
        let mut quote: Option<char> = None;
        let mut escaped = false;
        let mut found: Option<(usize, &'static str)> = None;
        let mut skip_to = 0;
        for (at, c) in expression.char_indices() {
            if at < skip_to {
                continue;
            }
            if let Some(open) = quote {
                match c {
                    _ if escaped => escaped = false,
                    // In backquotes nothing is escaped.
                    '\\' if open != '`' => escaped = true,
                    c if c == open => quote = None,
                    _ => {}
                }
                continue;
            }
            match c {
                '"' | '\'' | '`' => quote = Some(c),
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                '#' => return None,
                '>' | '<' | '=' | '!' if depth == 0 => {
                    let operator = OPERATORS.into_iter().find(|o| expression[at..].starts_with(o))?;
                    if found.replace((at, operator)).is_some() {
                        return None;
                    }
                    skip_to = at + operator.len();
                }
                c if depth == 0 && c.is_ascii_alphabetic() => {
                    let word: String = expression[at..].chars().take_while(|c| is_word(*c)).collect();
                    if ["and", "or", "unless"].contains(&word.to_ascii_lowercase().as_str()) {
                        return None;
                    }
                    skip_to = at + word.len();
                }
                c if depth == 0 && is_word(c) => {
                    // A number with letters, or the rest of a name.
                    let word: usize = expression[at..].chars().take_while(|c| is_word(*c)).map(char::len_utf8).sum();
                    skip_to = at + word;
                }
                _ => {}
            }
            if depth < 0 {
                return None;
            }
        }
        let (at, operator) = found.filter(|_| depth == 0 && quote.is_none())?;
        let left = expression[..at].trim();
        // `bool` and every other operand that is no number fail here.
        let value: f64 = expression[at + operator.len()..].trim().parse().ok()?;
        let is_series = !left.is_empty() && left.parse::<f64>().is_err();
        (is_series && value.is_finite()).then(|| Self { left: left.to_owned(), operator, value })
    }

    fn holds(&self, value: f64) -> bool {
        match self.operator {
            ">" => value > self.value,
            ">=" => value >= self.value,
            "<" => value < self.value,
            "<=" => value <= self.value,
            "==" => value == self.value,
            "!=" => value != self.value,
            _ => false,
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_comparison_with_a_number_is_split() {
        for (expression, split) in [
            ("up == 0", Some(("up", "==", 0.0))),
            ("(a / b) * 100 > 75", Some(("(a / b) * 100", ">", 75.0))),
            (
                "rate(x{code=~\"5..\",p!=\"a>b\"}[5m]) >= 0.05",
                Some(("rate(x{code=~\"5..\",p!=\"a>b\"}[5m])", ">=", 0.05)),
            ),
            ("max_over_time(x[5m:1m] offset 1h)\n  != 1e3", Some(("max_over_time(x[5m:1m] offset 1h)", "!=", 1e3))),
            ("android_or_ios:rate5m < -2", Some(("android_or_ios:rate5m", "<", -2.0))),
            ("count(x == 1) > 2", Some(("count(x == 1)", ">", 2.0))),
            ("x{a=`\\`} > 1", Some(("x{a=`\\`}", ">", 1.0))),
            ("a > 1 and b < 2", None),
            ("a > 1 AND b", None),
            ("a unless b > 1", None),
            ("a > bool 1", None),
            ("a > b", None),
            ("a > on(x) b", None),
            ("0 < a", None),
            ("1 < a < 2", None),
            ("absent(up)", None),
            ("a > 1 # or so", None),
            ("(a > 1", None),
            ("a) > 1", None),
            ("x{a=\"} > 1", None),
            ("a > NaN", None),
            ("a = 1", None),
            ("> 1", None),
            ("", None),
        ] {
            let got = Limit::of(expression);
            let expected = split.map(|(left, operator, value)| Limit { left: left.into(), operator, value });
            assert_eq!(got, expected, "{expression}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_split_or_not(text in "[ab_ä><=!0-9.{}()\\[\\]\"'`#\\\\ or]{0,40}") {
            if let Some(limit) = Limit::of(&text) {
                proptest::prop_assert!(text.starts_with(limit.left.as_str()) || text.trim_start().starts_with(&limit.left));
                proptest::prop_assert!(limit.value.is_finite());
            }
        }
    }
}
