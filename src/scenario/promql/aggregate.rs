//! Aggregations over the elements of an instant vector.

use super::{
    Evaluated, Moment, QueryError, Value, range, unsupported,
    value::{Point, number},
};
use crate::scenario::series::Labels;
use promql_parser::parser::{AggregateExpr, LabelModifier};
use std::collections::BTreeMap;

impl Moment<'_> {
    pub(super) fn aggregate(&self, expr: &AggregateExpr, depth: usize) -> Evaluated<Value> {
        let points = self.evaluate(&expr.expr, depth)?.into_vector()?;
        let parameter = expr.param.as_ref().map(|param| self.evaluate(param, depth)).transpose()?;
        let mut groups: BTreeMap<Labels, Vec<Point>> = BTreeMap::new();
        for point in points {
            groups.entry(grouping(&point.labels, expr.modifier.as_ref())).or_default().push(point);
        }
        let name = expr.op.to_string();
        let scalar = || match &parameter {
            Some(Value::Scalar(value)) => Ok(*value),
            _ => Err(QueryError::Execution(format!("{name} needs a number first"))),
        };
        let mut result = Vec::new();
        for (labels, members) in groups {
            let values = || members.iter().map(|p| p.value);
            let count = members.len() as f64;
            let value = match name.as_str() {
                "sum" => values().sum(),
                "avg" => values().sum::<f64>() / count,
                "min" => values().reduce(f64::min).unwrap_or(f64::NAN),
                "max" => values().reduce(f64::max).unwrap_or(f64::NAN),
                "count" => count,
                "group" => 1.0,
                "stdvar" => range::variance(values(), count),
                "stddev" => range::variance(values(), count).sqrt(),
                "quantile" => range::quantile(scalar()?, values().collect()),
                "topk" | "bottomk" => {
                    result.extend(extreme(members, scalar()?, name == "topk"));
                    continue;
                }
                "count_values" => {
                    let Some(Value::Text(label)) = &parameter else {
                        return Err(QueryError::Execution("count_values needs a label name first".into()));
                    };
                    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
                    for value in values() {
                        *counts.entry(number(value)).or_default() += 1.0;
                    }
                    result.extend(counts.into_iter().map(|(text, value)| {
                        let mut labels = labels.clone();
                        labels.insert(label.clone(), text);
                        Point { labels, value }
                    }));
                    continue;
                }
                other => return Err(unsupported(&format!("the aggregation `{other}`"))),
            };
            result.push(Point { labels, value });
        }
        Ok(Value::Vector(result))
    }
}

/// The labels by which a point is grouped.
fn grouping(labels: &Labels, modifier: Option<&LabelModifier>) -> Labels {
    match modifier {
        None => Labels::new(),
        Some(LabelModifier::Include(by)) => {
            labels.iter().filter(|(name, _)| by.labels.contains(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
        }
        Some(LabelModifier::Exclude(without)) => labels
            .iter()
            .filter(|(name, _)| name.as_str() != "__name__" && !without.labels.contains(name))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
    }
}

/// The `k` largest or smallest, keeping all their labels; NaN comes last.
fn extreme(mut members: Vec<Point>, k: f64, largest: bool) -> Vec<Point> {
    members.sort_by(|a, b| {
        let order = if largest { b.value.total_cmp(&a.value) } else { a.value.total_cmp(&b.value) };
        a.value.is_nan().cmp(&b.value.is_nan()).then(order)
    });
    members.truncate(if k >= 1.0 { k as usize } else { 0 });
    members
}
