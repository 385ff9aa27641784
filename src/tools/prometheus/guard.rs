//! What a query would touch, before it is sent.
//!
//! Three bounds stand one behind the other. The text alone tells which selectors are narrow; most
//! queries pass here, and a selector that leaves out nothing is refused here, for counting it would be
//! as dear as reading it. Where a wide selector would be read over much time, or names no metric, the
//! server is asked once how many series it has now: one sample of each instead of hundreds. And the
//! query carries `limit` and `timeout`, so that the server itself stops.

use super::time::{Window, written};
use super::{Parsed, Server};
use crate::edge::{EdgeError, EdgeErrorKind, PrometheusReader};
use crate::tools::render::clip;
use crate::tools::spec::ToolError;
use promql_parser::label::MatchOp;
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Expr, LabelModifier, VectorMatchCardinality, VectorSelector};
use serde_json::Value;
use std::time::Duration;

/// A query that reads no more than so many seconds of each series is as cheap as counting them.
const LONG_S: f64 = 1800.0;
/// An aggregation may touch so many times the series that an answer may have.
const TOUCHED: usize = 50;
/// Letters that a pattern of metric names has to begin with.
const BEGINNING: usize = 3;
/// How long the server may count.
const COUNTING: &str = "5s";
/// Most selectors that are counted.
const COUNTED: usize = 16;
/// More than any server has.
const MANY: usize = usize::MAX;

/// How much of the server a selector can mean, by its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// One metric, and a label with one value.
    Narrow,
    /// One metric.
    Metric,
    /// Metrics that are not named, of a label's one value or with a common beginning.
    Open,
    /// Perhaps everything.
    Everything,
}

/// What has to be counted before a query is sent.
#[derive(Debug, PartialEq)]
pub(super) struct Plan<'e> {
    /// The selectors, without offset.
    counted: Vec<&'e VectorSelector>,
}

impl Server {
    /// Lets a query pass that would answer at most as many series as are allowed. `window` is that of a
    /// range query; of an instant one it begins and ends at the moment.
    ///
    /// # Errors
    /// [`ToolError::Invalid`] says what is too wide and what to write instead.
    pub(super) async fn guard(&self, query: &Parsed<'_>, window: Window) -> Result<(), ToolError> {
        let most = self.reader.max_series();
        let Some(expr) = &query.expr else {
            return Err(ToolError::invalid(format!(
                "query: {}; what it would read cannot be told before it is sent; write it without that function",
                query.unknown
            )));
        };
        let plan = plan(expr, window.end - window.start)?;
        if plan.counted.is_empty() {
            return Ok(());
        }
        let at = written(window.end);
        let counts = match self.reader.query_within(&plan.question(), Some(&at), COUNTING).await {
            Ok(answer) => plan.counts(&answer.data),
            Err(error) if *error.kind() == EdgeErrorKind::Timeout => {
                let which = told(plan.counted.first().copied());
                return Err(too_wide(&format!("the server did not even count {which} within {COUNTING}"), most));
            }
            Err(error) => return Err(error.into()),
        };
        judge(expr, &counts, most)
    }
}

/// Of the selectors in `exprs`, those that have no series at `at_s` (unix seconds).
///
/// # Errors
/// When the server does not count.
pub(super) async fn absent<'e>(
    reader: &PrometheusReader,
    exprs: impl Iterator<Item = &'e Expr>,
    at_s: f64,
) -> Result<Vec<String>, EdgeError> {
    let mut counted: Vec<&VectorSelector> = Vec::new();
    for expr in exprs {
        walk(expr, &mut counted);
    }
    counted.retain(|selector| width(selector) != Width::Everything);
    counted.truncate(COUNTED);
    if counted.is_empty() {
        return Ok(Vec::new());
    }
    let plan = Plan { counted };
    let answer = reader.query_within(&plan.question(), Some(&written(at_s)), COUNTING).await?;
    let mut absent: Vec<String> =
        plan.counts(&answer.data).into_iter().filter(|(_, n)| *n == 0).map(|(selector, _)| bare(selector)).collect();
    absent.dedup();
    Ok(absent)
}

/// What to count before `expr` is evaluated over `span_s` seconds.
///
/// # Errors
/// When a selector leaves out nothing.
fn plan(expr: &Expr, span_s: f64) -> Result<Plan<'_>, ToolError> {
    let mut all = Vec::new();
    let reach = walk(expr, &mut all);
    let long = span_s + reach.as_secs_f64() >= LONG_S;
    if let Some(selector) = all.iter().find(|s| width(s) == Width::Everything) {
        return Err(ToolError::invalid(format!(
            "query: {} may mean every series there is, and is not sent; name a metric, begin the pattern of its \
             name with at least {BEGINNING} letters, or give a label one value (namespace=\"…\"); prometheus_labels \
             lists names and values",
            told(Some(selector))
        )));
    }
    // Only what reaches the answer counts; one that is aggregated does not.
    let unknown = |selector: &VectorSelector| if width(selector) == Width::Metric { MANY } else { 0 };
    let wide_answer = long && size(expr, &unknown) == MANY;
    let mut counted: Vec<&VectorSelector> = Vec::new();
    for selector in all {
        let asked = match width(selector) {
            Width::Open => true,
            Width::Metric => wide_answer,
            Width::Narrow | Width::Everything => false,
        };
        if asked && !counted.iter().any(|known| same(known, selector)) {
            counted.push(selector);
        }
    }
    if counted.len() > COUNTED {
        return Err(ToolError::invalid(format!(
            "query: it has {} wide selectors, at most {COUNTED} are looked at; ask in several queries",
            counted.len()
        )));
    }
    Ok(Plan { counted })
}

impl Plan<'_> {
    /// One query that counts each selector, told apart by the label `n`.
    fn question(&self) -> String {
        let one = |(n, selector): (usize, &&VectorSelector)| {
            format!("label_replace(count({}), \"n\", \"{n}\", \"\", \"\")", bare(selector))
        };
        self.counted.iter().enumerate().map(one).collect::<Vec<_>>().join(" or ")
    }

    /// How many series each selector has; none where the answer does not speak of it.
    fn counts(&self, answer: &Value) -> Vec<(&VectorSelector, usize)> {
        let mut counts: Vec<(&VectorSelector, usize)> = self.counted.iter().map(|s| (*s, 0)).collect();
        for one in answer["result"].as_array().into_iter().flatten() {
            let which = one["metric"]["n"].as_str().and_then(|n| n.parse::<usize>().ok());
            let count = one["value"][1].as_str().and_then(|v| v.parse::<f64>().ok());
            if let (Some(entry), Some(count)) = (which.and_then(|n| counts.get_mut(n)), count) {
                // Beyond every bound, and so for what is no number.
                entry.1 = if count.is_finite() && count >= 0.0 { count as usize } else { MANY };
            }
        }
        counts
    }
}

/// Whether an answer of that many series, made of that many, is one to ask for.
fn judge(expr: &Expr, counts: &[(&VectorSelector, usize)], most: usize) -> Result<(), ToolError> {
    let count = |selector: &VectorSelector| counts.iter().find(|(s, _)| same(s, selector)).map_or(0, |(_, n)| *n);
    let widest = counts.iter().max_by_key(|(_, n)| *n);
    let told = widest.map_or(String::new(), |(selector, n)| format!("{} has {n} series now", told(Some(selector))));
    if size(expr, &count) > most {
        return Err(too_wide(&told, most));
    }
    let touched =
        counts.iter().filter(|(s, _)| width(s) == Width::Open).map(|(_, n)| *n).fold(0, usize::saturating_add);
    if touched > most.saturating_mul(TOUCHED) {
        return Err(too_wide(&format!("{told}, more than {} even to aggregate", most.saturating_mul(TOUCHED)), most));
    }
    Ok(())
}

fn too_wide(why: &str, most: usize) -> ToolError {
    ToolError::invalid(format!(
        "query: {why}; at most {most} may be answered (tools.prometheus.max_series), so it was not sent; add labels \
         (namespace=\"…\", pod=\"…\"), aggregate (sum by (pod) (…)) or take topk(20, …)"
    ))
}

/// A selector in the words of an error.
fn told(selector: Option<&VectorSelector>) -> String {
    format!("`{}`", clip(&selector.map_or_else(String::new, bare), 160))
}

/// A selector without `offset` and `@`.
fn bare(selector: &VectorSelector) -> String {
    VectorSelector { offset: None, at: None, ..selector.clone() }.to_string()
}

fn same(a: &VectorSelector, b: &VectorSelector) -> bool {
    a.name == b.name && a.matchers == b.matchers
}

/// How much of the server a selector can mean.
pub(super) fn width(selector: &VectorSelector) -> Width {
    let matchers = &selector.matchers.matchers;
    let of_name = || matchers.iter().filter(|m| m.name == "__name__");
    let named = selector.name.is_some() || of_name().any(|m| m.op == MatchOp::Equal && !m.value.is_empty());
    let pinned = matchers.iter().any(|m| m.name != "__name__" && m.op == MatchOp::Equal && !m.value.is_empty());
    let begun = || of_name().any(|m| matches!(m.op, MatchOp::Re(_)) && beginning(&m.value) >= BEGINNING);
    match () {
        // Not PromQL as Prometheus speaks it, and as wide as its widest part.
        () if !selector.matchers.or_matchers.is_empty() && !named => Width::Everything,
        () if named && pinned => Width::Narrow,
        () if named => Width::Metric,
        () if pinned || begun() => Width::Open,
        () => Width::Everything,
    }
}

/// Letters that whatever matches `pattern` begins with; rather too few than too many.
fn beginning(pattern: &str) -> usize {
    if pattern.contains(['(', '[', '{', '\\']) && pattern.contains('|') {
        // Which branches stand where is not worth finding out.
        return 0;
    }
    let literal = |branch: &str| {
        let letters = branch.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':')).count();
        // The last letter may be absent; behind a plus, too, when more follows that says how often.
        match &branch.as_bytes()[letters..] {
            [b'*' | b'?' | b'{', ..] | [b'+', b'*' | b'?' | b'+' | b'{', ..] => letters.saturating_sub(1),
            _ => letters,
        }
    };
    pattern.split('|').map(literal).min().unwrap_or(0)
}

/// Collects the selectors of `expr`; tells how much time of each it reads for one moment at most.
fn walk<'e>(expr: &'e Expr, selectors: &mut Vec<&'e VectorSelector>) -> Duration {
    match expr {
        Expr::VectorSelector(selector) => {
            selectors.push(selector);
            Duration::ZERO
        }
        Expr::MatrixSelector(matrix) => {
            selectors.push(&matrix.vs);
            matrix.range
        }
        Expr::Subquery(inner) => inner.range.saturating_add(walk(&inner.expr, selectors)),
        Expr::Paren(inner) => walk(&inner.expr, selectors),
        Expr::Unary(inner) => walk(&inner.expr, selectors),
        Expr::Aggregate(of) => {
            walk(&of.expr, selectors).max(of.param.as_ref().map_or(Duration::ZERO, |param| walk(param, selectors)))
        }
        Expr::Binary(of) => walk(&of.lhs, selectors).max(walk(&of.rhs, selectors)),
        Expr::Call(call) => call.args.args.iter().map(|arg| walk(arg, selectors)).max().unwrap_or_default(),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Duration::ZERO,
    }
}

/// The most series that `expr` answers, given how many its selectors have.
fn size(expr: &Expr, count: &dyn Fn(&VectorSelector) -> usize) -> usize {
    match expr {
        Expr::VectorSelector(selector) => count(selector),
        Expr::MatrixSelector(matrix) => count(&matrix.vs),
        Expr::Subquery(inner) => size(&inner.expr, count),
        Expr::Paren(inner) => size(&inner.expr, count),
        Expr::Unary(inner) => size(&inner.expr, count),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => 1,
        Expr::Aggregate(of) => match of.param.as_deref() {
            // These choose among what they are given; the others make few of many.
            Some(Expr::NumberLiteral(most)) if matches!(of.op.to_string().as_str(), "topk" | "bottomk" | "limitk") => {
                let groups = match &of.modifier {
                    Some(LabelModifier::Include(by)) if by.is_empty() => 1,
                    None => 1,
                    Some(_) => MANY,
                };
                size(&of.expr, count).min((most.val.max(0.0) as usize).saturating_mul(groups))
            }
            Some(_) if matches!(of.op.to_string().as_str(), "topk" | "bottomk" | "limitk" | "limit_ratio") => {
                size(&of.expr, count)
            }
            _ => 1,
        },
        Expr::Call(call) => match call.func.name {
            "absent" | "absent_over_time" | "scalar" | "vector" | "time" | "pi" => 1,
            _ => call.args.args.iter().map(|arg| size(arg, count)).max().unwrap_or(1),
        },
        Expr::Binary(of) => {
            let (left, right) = (size(&of.lhs, count), size(&of.rhs, count));
            let card = of.modifier.as_ref().map(|m| &m.card);
            match (of.op.to_string().as_str(), card) {
                ("or", _) => left.saturating_add(right),
                ("and" | "unless", _) => left,
                _ if is_scalar(&of.lhs) => right,
                _ if is_scalar(&of.rhs) => left,
                (_, Some(VectorMatchCardinality::ManyToOne(_))) => left,
                (_, Some(VectorMatchCardinality::OneToMany(_))) => right,
                _ => left.min(right),
            }
        }
    }
}

fn is_scalar(expr: &Expr) -> bool {
    expr.value_type() == ValueType::Scalar
}

#[cfg(test)]
mod tests {
    use super::*;
    use promql_parser::parser::parse;

    fn width_of(text: &str) -> Width {
        match parse(text).unwrap() {
            Expr::VectorSelector(selector) => width(&selector),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn selectors_are_as_wide_as_their_text_allows() {
        for (text, expected) in [
            ("up", Width::Metric),
            ("{__name__=\"up\"}", Width::Metric),
            ("up{job=~\"a|b\"}", Width::Metric),
            ("up{job!=\"a\"}", Width::Metric),
            ("up{job=\"\"}", Width::Metric),
            ("up{job=\"a\"}", Width::Narrow),
            ("{namespace=\"shop\"}", Width::Open),
            ("{__name__=~\"kubelet_volume.*\"}", Width::Open),
            ("{__name__=~\"kube_pod.*|kube_node.+\"}", Width::Open),
            ("{__name__=~\".+\"}", Width::Everything),
            ("{__name__=~\"kubelet_volume.*|.+\"}", Width::Everything),
            ("{__name__=~\"kub?e*.*\"}", Width::Everything),
            ("{__name__=~\"ku(belet)?.*\"}", Width::Everything),
            ("{__name__=~\"(kube|.*)x\"}", Width::Everything),
            ("{__name__=~\"abc{0}.*\"}", Width::Everything),
            ("{__name__=~\"(?i)abcd.*\"}", Width::Everything),
            ("{__name__!=\"\"}", Width::Everything),
            ("{job=~\".+\"}", Width::Everything),
            ("{job!=\"\"}", Width::Everything),
            ("{namespace=\"a\" or job=~\".+\"}", Width::Everything),
        ] {
            assert_eq!(width_of(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_narrow_aggregated_or_short_is_not_counted() {
        let asked = |query: &str, span_s: f64| plan(&parse(query).unwrap(), span_s).map(|p| p.question());
        for (query, span_s) in [
            ("up", 0.0),
            ("rate(x[5m])", 0.0),
            ("up{job=\"a\"}", 86_400.0),
            ("sum by (pod) (rate(x[5m]))", 86_400.0),
            ("topk(5, x)", 86_400.0),
            ("sum(a) / sum(b) > 0.1", 86_400.0),
            ("a{pod=\"x\"} / b", 86_400.0),
            ("count(x) by (ns)", 86_400.0),
            ("absent(x)", 86_400.0),
            ("vector(1)", 86_400.0),
            ("histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))", 86_400.0),
        ] {
            assert_eq!(asked(query, span_s).unwrap(), "", "{query}");
        }
        for (query, span_s, counted) in [
            ("x", 3600.0, "count(x)"),
            ("x offset 1d", 3600.0, "count(x)"),
            ("max_over_time(x[1h])", 0.0, "count(x)"),
            ("max_over_time(rate(x[5m])[1h:1m])", 0.0, "count(x)"),
            ("{namespace=\"a\"}", 0.0, "count({namespace=\"a\"})"),
            ("sum({namespace=\"a\"})", 0.0, "count({namespace=\"a\"})"),
            ("topk by (pod) (5, x)", 3600.0, "count(x)"),
            ("a * on (pod) group_left b{c=\"d\"}", 3600.0, "count(a)"),
        ] {
            let wanted = format!("label_replace({counted}, \"n\", \"0\", \"\", \"\")");
            assert_eq!(asked(query, span_s).unwrap(), wanted, "{query}");
            parse(&wanted).unwrap();
        }
        for everything in ["sum({__name__=~\".+\"})", "x and {job!=\"\"}", "topk(1, {__name__!=\"\",job!=\"a\"})"] {
            let refused = asked(everything, 0.0).unwrap_err().to_string();
            assert!(refused.contains("may mean every series") && refused.contains("prometheus_labels"), "{refused}");
        }
    }

    #[test]
    fn answers_are_sized_by_how_vectors_match() {
        let count = |s: &VectorSelector| match s.name.as_deref() {
            Some("many") => 5000,
            Some("some") => 300,
            _ => 7,
        };
        for (query, expected) in [
            ("many", 5000),
            ("many / some", 300),
            ("many * on (a) group_left some", 5000),
            ("some * on (a) group_right many", 5000),
            ("many or some", 5300),
            ("some and many", 300),
            ("some unless many", 300),
            ("2 * many > 1", 5000),
            ("1 < bool many", 5000),
            ("-(many)", 5000),
            ("topk(9, many)", 9),
            ("topk(scalar(some), many)", 5000),
            ("topk by (a) (9, many)", 5000),
            ("sum without (a) (many)", 1),
            ("absent(many)", 1),
            ("max_over_time(many[5m])", 5000),
            ("clamp_max(some, 9)", 300),
            ("time() - some", 300),
            ("1 + 1", 1),
        ] {
            assert_eq!(size(&parse(query).unwrap(), &count), expected, "{query}");
        }
    }

    #[test]
    fn counts_decide_and_say_what_to_write() {
        let decide = |query: &str, answer: Value| {
            let expr = parse(query).unwrap();
            let plan = plan(&expr, 3600.0).unwrap();
            judge(&expr, &plan.counts(&answer), 2000).map_err(|e| e.to_string())
        };
        let counted = |counts: &[&str]| {
            let one = |(n, c): (usize, &&str)| serde_json::json!({"metric": {"n": n.to_string()}, "value": [1, c]});
            serde_json::json!({"resultType": "vector", "result": counts.iter().enumerate().map(one).collect::<Vec<_>>()})
        };
        assert_eq!(decide("x", counted(&["2000"])), Ok(()));
        assert_eq!(decide("x", counted(&[])), Ok(()), "there are none");
        assert_eq!(decide("a / b", counted(&["1500", "90000"])), Ok(()));
        assert_eq!(decide("sum({namespace=\"a\"})", counted(&["90000"])), Ok(()));
        for (query, counts, says) in [
            ("x", vec!["2001"], "`x` has 2001 series now; at most 2000 may be answered"),
            ("a or b", vec!["1500", "1501"], "`b` has 1501 series now"),
            ("{namespace=\"a\"}", vec!["9000"], "`{namespace=\"a\"}` has 9000 series now"),
            ("sum({namespace=\"a\"})", vec!["100001"], "more than 100000 even to aggregate"),
            ("x", vec!["NaN"], "at most 2000"),
        ] {
            let refused = decide(query, counted(&counts)).unwrap_err();
            assert!(refused.contains(says) && refused.contains("topk(20"), "{query}: {refused}");
        }
    }

    #[test]
    fn a_letter_that_may_be_absent_does_not_count() {
        for (pattern, letters) in
            [("abc", 3), ("abc+", 3), ("abc+.*", 3), ("abc*", 2), ("a+??", 0), ("abc+{0}", 2), ("ab|a?", 0)]
        {
            assert_eq!(beginning(pattern), letters, "{pattern}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_matches_a_pattern_begins_with_its_letters(pattern in "[a-c]{0,5}[a-c|.*?+]{0,6}", name in "[a-c]{0,8}") {
            let letters = beginning(&pattern);
            if let Ok(regex) = regex::Regex::new(&format!("^(?:{pattern})$")) && regex.is_match(&name) && !pattern.contains('|') {
                proptest::prop_assert!(name.as_bytes().starts_with(&pattern.as_bytes()[..letters]), "{} {} {}", pattern, name, letters);
            }
        }
    }
}
