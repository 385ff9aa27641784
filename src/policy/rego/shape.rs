//! What the outcome of a condition rests on: the parts whose values are worth showing.

use super::syntax::{Shape, whole};
use regorus::unstable::{AssignOp, BinOp, BoolOp, Expr, Literal, LiteralStmt};

/// Most operands that are shown of one condition.
const MOST: usize = 4;

/// Reads a statement.
pub(super) fn of(statement: &LiteralStmt) -> Shape {
    let with = statement.with_mods.iter().map(|with| whole(&with.span)).collect::<Vec<_>>().join(" ");
    let mut shape = match &statement.literal {
        Literal::SomeVars { .. } => Shape::default(),
        Literal::SomeIn { collection, .. } => Shape { operands: written([collection.as_ref()]), ..Shape::default() },
        Literal::Every { domain, .. } => Shape { operands: written([domain.as_ref()]), ..Shape::default() },
        Literal::Expr { expr, .. } => of_expr(expr),
        Literal::NotExpr { expr, .. } => Shape { negated: true, ..of_expr(expr) },
    };
    shape.operands.truncate(MOST);
    // The modifiers' own span may begin behind the word.
    shape.with = if with.is_empty() || with.starts_with("with") { with } else { format!("with {with}") };
    shape
}

fn of_expr(expr: &Expr) -> Shape {
    let pair = |operator: &str, lhs: &Expr, rhs: &Expr| Shape {
        operands: written_all([lhs, rhs]),
        operator: operator.into(),
        ..Shape::default()
    };
    match expr {
        Expr::BoolExpr { op, lhs, rhs, .. } => {
            let operator = match op {
                BoolOp::Lt => "<",
                BoolOp::Le => "<=",
                BoolOp::Eq => "==",
                BoolOp::Ge => ">=",
                BoolOp::Gt => ">",
                BoolOp::Ne => "!=",
            };
            pair(operator, lhs, rhs)
        }
        Expr::Membership { key: None, value, collection, .. } => pair("in", value, collection),
        Expr::BinExpr { op, lhs, rhs, .. } => pair(if *op == BinOp::Union { "|" } else { "&" }, lhs, rhs),
        Expr::AssignExpr { op: AssignOp::ColEq, rhs, .. } => {
            Shape { operands: written([rhs.as_ref()]), ..Shape::default() }
        }
        Expr::AssignExpr { lhs, rhs, .. } => pair("=", lhs, rhs),
        Expr::Call { params, .. } => {
            Shape { operands: written(params.iter().map(|param| param.as_ref())), ..Shape::default() }
        }
        other => Shape { operands: written([other]), ..Shape::default() },
    }
}

/// The text of what is not written out as a value already.
fn written<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> Vec<String> {
    exprs.into_iter().filter(|expr| !is_constant(expr)).map(|expr| whole(expr.span()).to_owned()).collect()
}

/// The text of each, for both sides of an operator.
fn written_all<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> Vec<String> {
    exprs.into_iter().map(|expr| whole(expr.span()).to_owned()).collect()
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } => {
            true
        }
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().all(|item| is_constant(item)),
        _ => false,
    }
}
