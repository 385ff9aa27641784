//! The query DSL of a call. Callers give words, fields and times; no part of theirs becomes a clause.

use crate::tools::prometheus::time::Window;
use crate::tools::spec::ToolError;
use serde_json::{Map, Value, json};

/// Most filters, and most fields that are asked for.
pub const FILTERS: usize = 10;
pub const FIELDS: usize = 20;
/// How long the server may search before it answers with what it has.
const TIMEOUT: &str = "15s";
/// Hits that are counted exactly.
const COUNTED: u32 = 10_000;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Lucene's query string.
    pub query: Option<&'a str>,
    /// Fields that must hold exactly this.
    pub filters: &'a Map<String, Value>,
    /// Fields that are wanted; none is all.
    pub fields: &'a [String],
    /// When.
    pub window: Window,
    /// Most hits.
    pub size: usize,
    /// The oldest first.
    pub oldest: bool,
    /// The field of the time.
    pub time_field: &'a str,
}

impl Question<'_> {
    /// The body of `_search`.
    ///
    /// # Errors
    /// When a filter is no plain value or a field no name.
    pub fn body(&self) -> Result<Value, ToolError> {
        let millis = |seconds: f64| (seconds * 1000.0).round() as i64;
        let mut filter = vec![json!({"range": {self.time_field: {
            "gte": millis(self.window.start), "lte": millis(self.window.end), "format": "epoch_millis"}}})];
        if let Some(query) = self.query {
            filter.push(json!({"query_string": {
                "query": query, "default_operator": "AND", "allow_leading_wildcard": false, "lenient": true}}));
        }
        if self.filters.len() > FILTERS {
            return Err(ToolError::invalid(format!("filters: at most {FILTERS} fields")));
        }
        for (field, value) in self.filters {
            named("filters", field)?;
            if !(value.is_string() || value.is_number() || value.is_boolean()) {
                return Err(ToolError::invalid(format!("filters: {field} must be a text, a number, true or false")));
            }
            filter.push(json!({"match_phrase": {field.as_str(): {"query": value}}}));
        }
        let mut body = json!({
            "size": self.size,
            "timeout": TIMEOUT,
            "track_total_hits": COUNTED,
            "sort": [{self.time_field: {"order": if self.oldest { "asc" } else { "desc" }, "unmapped_type": "date"}}],
            "query": {"bool": {"filter": filter}},
        });
        if !self.fields.is_empty() {
            let mut fields = vec![self.time_field.to_owned()];
            for field in self.fields.iter().take(FIELDS) {
                named("fields", field)?;
                fields.push(field.clone());
            }
            body["_source"] = json!({"includes": fields});
        }
        Ok(body)
    }
}

fn named(argument: &str, field: &str) -> Result<(), ToolError> {
    let plain = |c: char| c.is_alphanumeric() || "_-.@".contains(c);
    match !field.is_empty() && field.len() <= 200 && field.chars().all(plain) {
        true => Ok(()),
        false => {
            let shown: String = field.chars().take(40).collect();
            Err(ToolError::invalid(format!("{argument}: `{shown}` is no name of a field")))
        }
    }
}
