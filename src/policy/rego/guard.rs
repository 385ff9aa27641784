//! Which rules have nothing to say of a call, seen from their words alone: most rules about changes begin
//! with `input.call.effect in changing`, and need not be asked about a look.

use super::syntax::{literal, steps};
use regorus::unstable::{BoolOp, Expr, Literal, Module as Tree, Query, Rule as RuleTree, RuleHead};
use std::collections::{BTreeMap, BTreeSet};

/// Names that stand for a set of texts in a whole module, because one rule without a body says so.
pub(super) type Constants = BTreeMap<String, BTreeSet<String>>;

/// The constants of a module. A name that two rules define is none.
pub(super) fn constants(tree: &Tree) -> Constants {
    let mut found: BTreeMap<String, Option<BTreeSet<String>>> = BTreeMap::new();
    for rule in &tree.policy {
        let (name, value) = match rule.as_ref() {
            RuleTree::Default { refr, .. } => (refr.span().text(), None),
            RuleTree::Spec { head, bodies, .. } => {
                let plain = bodies.iter().all(|body| body.query.stmts.is_empty() && body.assign.is_none());
                match head {
                    RuleHead::Compr { refr, assign: Some(assign), .. } if plain => {
                        (refr.span().text(), texts(&assign.value))
                    }
                    RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. } => {
                        (refr.span().text(), None)
                    }
                }
            }
        };
        found.entry(name.to_owned()).and_modify(|known| *known = None).or_insert(value);
    }
    found.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The effects of which a rule says something; `None` when it may say something of any.
pub(super) fn effects(rule: &RuleTree, constants: &Constants) -> Option<BTreeSet<String>> {
    let RuleTree::Spec { bodies, span, .. } = rule else { return None };
    let mut all = BTreeSet::new();
    for body in bodies {
        all.extend(required(&body.query, span.text(), constants)?);
    }
    (!bodies.is_empty()).then_some(all)
}

/// What one statement of a body demands of the effect.
fn required(query: &Query, rule: &str, constants: &Constants) -> Option<BTreeSet<String>> {
    query.stmts.iter().filter(|statement| statement.with_mods.is_empty()).find_map(|statement| {
        let Literal::Expr { expr, .. } = &statement.literal else { return None };
        match expr.as_ref() {
            Expr::Membership { key: None, value, collection, .. } if is_effect(value) => match collection.as_ref() {
                Expr::Var { span, .. } => {
                    // Bound anew within the rule it would be another one.
                    let name = span.text();
                    let said = rule.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| *word == name);
                    constants.get(name).filter(|_| said.count() == 1).cloned()
                }
                set => texts(set),
            },
            Expr::BoolExpr { op: BoolOp::Eq, lhs, rhs, .. } => match (is_effect(lhs), is_effect(rhs)) {
                (true, false) => literal(rhs).map(|word| BTreeSet::from([word])),
                (false, true) => literal(lhs).map(|word| BTreeSet::from([word])),
                _ => None,
            },
            _ => None,
        }
    })
}

fn is_effect(expr: &Expr) -> bool {
    let (path, complete) = steps(expr);
    complete && path == ["input", "call", "effect"]
}

fn texts(expr: &Expr) -> Option<BTreeSet<String>> {
    let Expr::Set { items, .. } = expr else { return None };
    items.iter().map(|item| literal(item)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Interpreter;

    fn effects(rego: &str) -> Vec<String> {
        let mut interpreter = Interpreter::new().unwrap();
        let module =
            interpreter.add_module("action/m.rego", &format!("package firewarden.action.m\n\n{rego}\n")).unwrap();
        let of = module.rules.iter().filter(|rule| rule.name == "deny").map(|rule| match &rule.effects {
            None => "any".to_owned(),
            Some(effects) => effects.iter().cloned().collect::<Vec<_>>().join(" "),
        });
        of.collect()
    }

    #[test]
    fn only_what_can_be_seen_is_believed() {
        let changing = "changing := {\"write\", \"destroy\"}\n\n";
        for (about, rego, expected) in [
            (
                "a constant",
                format!("{changing}deny contains 1 if {{\n\tinput.call.effect in changing\n\tinput.x\n}}"),
                "destroy write",
            ),
            ("a literal", "deny contains 1 if input.call.effect in {\"write\"}".into(), "write"),
            ("equality", "deny contains 1 if \"destroy\" == input.call.effect".into(), "destroy"),
            ("by another road", "deny contains 1 if input[\"call\"].effect == \"write\"".into(), "write"),
            ("nothing said", "deny contains 1 if input.x".into(), "any"),
            ("no body", "deny contains 1".into(), "any"),
            ("negated", format!("{changing}deny contains 1 if not input.call.effect in changing"), "any"),
            ("another path", "deny contains 1 if input.calls.effect == \"write\"".into(), "any"),
            (
                "bound anew",
                format!(
                    "{changing}deny contains 1 if {{\n\tsome changing in [[\"read\"]]\n\tinput.call.effect in changing\n}}"
                ),
                "any",
            ),
            (
                "defined twice",
                format!(
                    "{changing}changing := {{\"read\"}} if input.x\n\ndeny contains 1 if input.call.effect in changing"
                ),
                "any",
            ),
            (
                "with a default",
                "default changing := {\"write\"}\n\ndeny contains 1 if input.call.effect in changing".into(),
                "any",
            ),
            ("a list is none", "deny contains 1 if input.call.effect in [\"write\"]".into(), "any"),
            ("a value within", "deny contains 1 if input.call.effect in {\"write\", input.x}".into(), "any"),
            (
                "under another input",
                "deny contains 1 if input.call.effect == \"write\" with input as {\"call\": {\"effect\": \"write\"}}"
                    .into(),
                "any",
            ),
            ("inequality", "deny contains 1 if input.call.effect != \"write\"".into(), "any"),
        ] {
            assert_eq!(effects(&rego), [expected], "{about}: {rego}");
        }
    }
}
