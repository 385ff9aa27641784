//! What an expression is worth.

use super::{Evaluated, QueryError};
use crate::scenario::series::{Labels, Sample};

/// One element of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub labels: Labels,
    pub value: f64,
}

/// One element of a range vector: its samples and the window they were taken from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub labels: Labels,
    pub samples: Vec<Sample>,
    /// Window, Unix milliseconds; open on the left.
    pub after_ms: i64,
    pub until_ms: i64,
}

/// The value of an expression at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Scalar(f64),
    Vector(Vec<Point>),
    Matrix(Vec<Row>),
    Text(String),
}

impl Value {
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "scalar",
            Self::Vector(_) => "vector",
            Self::Matrix(_) => "matrix",
            Self::Text(_) => "string",
        }
    }

    pub(super) fn into_vector(self) -> Evaluated<Vec<Point>> {
        match self {
            Self::Vector(points) => Ok(points),
            other => Err(other.instead_of("instant vector")),
        }
    }

    pub(super) fn into_rows(self) -> Evaluated<Vec<Row>> {
        match self {
            Self::Matrix(rows) => Ok(rows),
            other => Err(other.instead_of("range vector")),
        }
    }

    pub(super) fn into_scalar(self) -> Evaluated<f64> {
        match self {
            Self::Scalar(value) => Ok(value),
            other => Err(other.instead_of("scalar")),
        }
    }

    pub(super) fn into_text(self) -> Evaluated<String> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(other.instead_of("string")),
        }
    }

    fn instead_of(&self, wanted: &str) -> QueryError {
        QueryError::Execution(format!("expected {wanted}, got {}", self.type_name()))
    }
}

impl Point {
    /// The point with another value and without its metric name, which no longer fits.
    pub(super) fn unnamed(mut self, change: impl Fn(f64) -> f64) -> Self {
        self.labels.remove("__name__");
        self.value = change(self.value);
        self
    }
}

/// A number as Prometheus writes it: shortest form, never an exponent.
pub(crate) fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".into() } else { "-Inf".into() }
    } else {
        value.to_string()
    }
}
