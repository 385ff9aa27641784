//! What a module contains, read from its syntax tree: rules, the objects in their heads, the
//! functions it calls and the documents it reads.

use super::{guard, shape};
use regorus::unstable::{Expr, Literal, LiteralStmt, Module as Tree, Query, Ref, Rule as RuleTree, RuleHead, Span};
use std::collections::{BTreeMap, BTreeSet};

/// One parsed file.
#[derive(Debug, Clone, Default)]
pub(in crate::policy) struct Module {
    /// Its path in the bundle.
    pub(in crate::policy) path: String,
    /// `firewarden.risk.base`.
    pub(in crate::policy) package: String,
    /// Where the package is named.
    pub(in crate::policy) package_at: Place,
    /// Its rules in the order of the file.
    pub(in crate::policy) rules: Vec<Rule>,
    /// Imported paths by the name they have in the file.
    pub(in crate::policy) imports: BTreeMap<String, Vec<String>>,
    /// Functions called, by their written name.
    pub(in crate::policy) calls: Vec<(String, Place)>,
    /// References that start with `input` or `data`.
    pub(in crate::policy) references: Vec<Reference>,
    /// Patterns written out in calls of `regex.…`.
    pub(in crate::policy) patterns: Vec<(String, Place)>,
    /// Roots of all other references: variables, rules of the module, imports.
    pub(in crate::policy) names: BTreeSet<String>,
    /// Texts written out anywhere in it.
    pub(in crate::policy) literals: BTreeSet<String>,
}

/// A reference into a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::policy) struct Reference {
    /// Its steps from the root, as far as they are literal: `input.event.labels[x]` has three.
    pub(in crate::policy) steps: Vec<String>,
    /// All steps are literal.
    pub(in crate::policy) complete: bool,
    pub(in crate::policy) at: Place,
}

/// Line and column from 1, and how many characters are meant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::policy) struct Place {
    pub(in crate::policy) line: u32,
    pub(in crate::policy) col: u32,
    pub(in crate::policy) width: u32,
}

/// How a rule gives its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::policy) enum RuleKind {
    /// `x := …`
    Value,
    /// `x contains …`
    Set,
    /// `x(…) := …`
    Function,
    /// `default x := …`
    Default,
}

/// One rule.
#[derive(Debug, Clone)]
pub(in crate::policy) struct Rule {
    /// Its name as written in the head.
    pub(in crate::policy) name: String,
    pub(in crate::policy) kind: RuleKind,
    pub(in crate::policy) at: Place,
    /// Bytes of the rule in its file, for tests that take it out.
    #[cfg(test)]
    pub(in crate::policy) bytes: std::ops::Range<usize>,
    /// Keys of the object that a set takes in, with those values that are literal strings.
    /// `None` when the head holds no object.
    pub(in crate::policy) object: Option<BTreeMap<String, Option<String>>>,
    /// The references of the module that stand in this head.
    pub(in crate::policy) head_references: std::ops::Range<usize>,
    /// Statements of its body.
    pub(in crate::policy) conditions: Vec<Condition>,
    /// References of its head and body that start with `input` or `data`.
    pub(in crate::policy) references: Vec<Reference>,
    /// Other names in it, as of [`Condition::names`].
    pub(in crate::policy) names: BTreeSet<String>,
    /// It has one body: its conditions follow each other.
    pub(in crate::policy) one_body: bool,
    /// It says nothing of a call with another effect; `None` when that cannot be seen from its words.
    pub(in crate::policy) effects: Option<BTreeSet<String>>,
}

impl Rule {
    /// It can be asked for by its path.
    pub(in crate::policy) fn has_value(&self) -> bool {
        matches!(self.kind, RuleKind::Value | RuleKind::Set)
    }
}

/// One statement of a body.
#[derive(Debug, Clone)]
pub(in crate::policy) struct Condition {
    /// First and last line.
    pub(in crate::policy) lines: std::ops::RangeInclusive<u32>,
    /// Its text on one line, shortened.
    pub(in crate::policy) text: String,
    /// Its whole text, as it is written, `with …` included.
    pub(in crate::policy) source: String,
    /// What its outcome rests on.
    pub(in crate::policy) shape: Shape,
    /// References that start with `input` or `data`, in it and in what it calls within its own text.
    pub(in crate::policy) references: Vec<Reference>,
    /// Other names in it: variables, functions, rules of the module.
    pub(in crate::policy) names: BTreeSet<String>,
}

/// The parts of a condition whose values explain it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::policy) struct Shape {
    /// The parts as they are written.
    pub(in crate::policy) operands: Vec<String>,
    /// What stands between two of them: `>`, `in`, …; empty when they are arguments of something else.
    pub(in crate::policy) operator: String,
    /// It is `not …`.
    pub(in crate::policy) negated: bool,
    /// `with …` behind it, as it is written.
    pub(in crate::policy) with: String,
}

/// Reads a syntax tree.
pub(super) fn read(path: &str, tree: &Tree) -> Module {
    let mut module = Module {
        path: path.into(),
        package: tree.package.refr.span().text().into(),
        package_at: place(tree.package.refr.span()),
        ..Module::default()
    };
    for import in &tree.imports {
        let (steps, _) = steps(&import.refr);
        let name = import.r#as.as_ref().map(|s| s.text().to_owned()).or_else(|| steps.last().cloned());
        if let Some(name) = name {
            note_reference(&import.refr, import.refr.span(), &mut module);
            module.imports.insert(name, steps);
        }
    }
    let constants = guard::constants(tree);
    for rule in &tree.policy {
        let read = read_rule(rule, &constants, &mut module);
        module.rules.push(read);
    }
    module
}

fn read_rule(rule: &RuleTree, constants: &guard::Constants, module: &mut Module) -> Rule {
    let references_before = module.references.len();
    let calls_before = module.calls.len();
    // A module's names are those of all its rules.
    let names_before = std::mem::take(&mut module.names);
    let mut head_references = references_before..references_before;
    let (refr, kind, object, conditions, bodies) = match rule {
        RuleTree::Default { refr, value, .. } => {
            walk(value, module);
            (refr, RuleKind::Default, None, Vec::new(), 0)
        }
        RuleTree::Spec { head, bodies, .. } => {
            let (refr, kind, object) = match head {
                RuleHead::Compr { refr, assign, .. } => {
                    assign.iter().for_each(|a| walk(&a.value, module));
                    (refr, RuleKind::Value, None)
                }
                RuleHead::Set { refr, key, .. } => {
                    key.iter().for_each(|k| walk(k, module));
                    head_references.end = module.references.len();
                    (refr, RuleKind::Set, key.as_ref().and_then(object_keys))
                }
                RuleHead::Func { refr, args, assign, .. } => {
                    args.iter().for_each(|a| walk(a, module));
                    assign.iter().for_each(|a| walk(&a.value, module));
                    (refr, RuleKind::Function, None)
                }
            };
            let mut conditions = Vec::new();
            for body in bodies {
                body.assign.iter().for_each(|a| walk(&a.value, module));
                walk_query(&body.query, module);
                conditions.extend(body.query.stmts.iter().map(condition));
            }
            (refr, kind, object, conditions, bodies.len())
        }
    };
    let calls = module.calls.get(calls_before..).unwrap_or_default().iter().map(|(name, _)| name.clone());
    let names: BTreeSet<String> = module.names.iter().cloned().chain(calls).collect();
    module.names.extend(names_before);
    let references = module.references.get(references_before..).unwrap_or_default().to_vec();
    Rule {
        name: refr.span().text().into(),
        kind,
        at: place(refr.span()),
        #[cfg(test)]
        bytes: rule.span().start as usize..rule.span().end as usize,
        object,
        head_references,
        conditions,
        references,
        names,
        one_body: bodies == 1,
        effects: guard::effects(rule, constants),
    }
}

fn condition(statement: &LiteralStmt) -> Condition {
    let span = &statement.span;
    let source = whole(span).to_owned();
    let first = place(span).line;
    let last = first + source.matches('\n').count() as u32;
    let text = source.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut inner = Module::default();
    walk_statement(statement, &mut inner);
    let names = inner.calls.into_iter().map(|(name, _)| name).chain(inner.names).collect();
    Condition {
        lines: first..=last,
        text: text.chars().take(200).collect(),
        source,
        shape: shape::of(statement),
        references: inner.references,
        names,
    }
}

/// The text of a span with the quotes around it: those of a text at its beginning or end are not part of it.
pub(super) fn whole(span: &Span) -> &str {
    let contents = span.source.contents();
    let (start, end) = (span.start as usize, span.end as usize);
    let quoted =
        |at: Option<usize>| at.and_then(|at| contents.as_bytes().get(at)).is_some_and(|b| matches!(b, b'"' | b'`'));
    let start = if quoted(start.checked_sub(1)) { start - 1 } else { start };
    let end = if quoted(Some(end)) { end + 1 } else { end };
    contents.get(start..end).unwrap_or_else(|| span.text())
}

/// Where a span begins. The line and column of a reference's span are those of its last dot, so
/// both are counted from its first byte.
fn place(span: &Span) -> Place {
    let before = span.source.contents().get(..span.start as usize).unwrap_or("");
    let line = u32::try_from(before.matches('\n').count()).unwrap_or(0) + 1;
    let col = u32::try_from(before.rsplit('\n').next().unwrap_or("").chars().count()).unwrap_or(0) + 1;
    let width = span.text().lines().next().unwrap_or("").chars().count();
    Place { line, col, width: u32::try_from(width).unwrap_or(1).max(1) }
}

fn object_keys(head: &Ref<Expr>) -> Option<BTreeMap<String, Option<String>>> {
    let Expr::Object { fields, .. } = head.as_ref() else { return None };
    Some(fields.iter().filter_map(|(_, key, value)| Some((literal(key)?, literal(value)))).collect())
}

pub(super) fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::String { value, .. } | Expr::RawString { value, .. } => value.as_string().ok().map(|s| s.to_string()),
        _ => None,
    }
}

/// The literal steps of a reference from its root, and whether these are all.
pub(super) fn steps(expr: &Expr) -> (Vec<String>, bool) {
    let mut reversed: Vec<Option<String>> = Vec::new();
    let mut at = expr;
    loop {
        match at {
            Expr::RefDot { refr, field, .. } => {
                reversed.push(Some(field.0.text().to_owned()));
                at = refr;
            }
            Expr::RefBrack { refr, index, .. } => {
                reversed.push(literal(index));
                at = refr;
            }
            Expr::Var { span, .. } => {
                reversed.push(Some(span.text().to_owned()));
                break;
            }
            _ => return (Vec::new(), false),
        }
    }
    let all = reversed.len();
    let steps: Vec<String> = reversed.into_iter().rev().map_while(|step| step).collect();
    let complete = steps.len() == all;
    (steps, complete)
}

fn walk_query(query: &Query, module: &mut Module) {
    query.stmts.iter().for_each(|statement| walk_statement(statement, module));
}

fn walk_statement(statement: &LiteralStmt, module: &mut Module) {
    match &statement.literal {
        Literal::SomeVars { .. } => {}
        Literal::SomeIn { key, value, collection, .. } => {
            key.iter().for_each(|k| walk(k, module));
            walk(value, module);
            walk(collection, module);
        }
        Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => walk(expr, module),
        Literal::Every { domain, query, .. } => {
            walk(domain, module);
            walk_query(query, module);
        }
    }
    for with in &statement.with_mods {
        walk(&with.r#as, module);
    }
}

/// Notes every call and every reference in `expr`.
fn walk(expr: &Expr, module: &mut Module) {
    match expr {
        Expr::String { .. } | Expr::RawString { .. } => module.literals.extend(literal(expr)),
        Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } => {}
        Expr::Var { span, .. } => note_reference(expr, span, module),
        Expr::RefDot { span, .. } | Expr::RefBrack { span, .. } => {
            note_reference(expr, span, module);
            walk_indexes(expr, module);
        }
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|i| walk(i, module)),
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
            walk(key, module);
            walk(value, module);
        }),
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
            walk(term, module);
            walk_query(query, module);
        }
        Expr::ObjectCompr { key, value, query, .. } => {
            walk(key, module);
            walk(value, module);
            walk_query(query, module);
        }
        Expr::Call { fcn, params, .. } => {
            let name = fcn.span().text();
            if let (true, Some(first)) = (name.starts_with("regex."), params.first()) {
                module.patterns.extend(literal(first).map(|pattern| (pattern, place(first.span()))));
            }
            module.calls.push((name.to_owned(), place(fcn.span())));
            params.iter().for_each(|p| walk(p, module));
        }
        Expr::UnaryExpr { expr, .. } => walk(expr, module),
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => {
            walk(lhs, module);
            walk(rhs, module);
        }
        Expr::Membership { key, value, collection, .. } => {
            key.iter().for_each(|k| walk(k, module));
            walk(value, module);
            walk(collection, module);
        }
    }
}

fn note_reference(expr: &Expr, span: &Span, module: &mut Module) {
    let (steps, complete) = steps(expr);
    match steps.first() {
        Some(root) if root == "input" || root == "data" => {
            module.references.push(Reference { steps, complete, at: place(span) });
        }
        Some(name) => {
            module.names.insert(name.clone());
        }
        None => {}
    }
}

/// Walks what stands in the brackets of a reference, and its root unless that is a name.
fn walk_indexes(expr: &Expr, module: &mut Module) {
    match expr {
        Expr::RefDot { refr, .. } => walk_indexes(refr, module),
        Expr::RefBrack { refr, index, .. } => {
            walk(index, module);
            walk_indexes(refr, module);
        }
        Expr::Var { .. } => {}
        other => walk(other, module),
    }
}
