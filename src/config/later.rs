//! Keys that the interface names and this version does not act on. Their default is accepted; any
//! other value is refused at once instead of being ignored for months.

use super::tree::{Node, Step, Value, path_text};
use super::{Place, Problem};

/// Path, default as YAML, and what to do meanwhile.
pub(super) const LATER: &[(&str, &str, &str)] = &[
    ("access.oidc", "null", "use access.tokens"),
    ("routes[].runner", "in_process", "leave it out: investigations run in this process"),
    ("memory.runbooks", "null", "leave it out"),
    ("telemetry.otlp_endpoint", "null", "scrape /metrics"),
];

/// Takes these keys out of `tree`. One problem for each that has another value than its default.
pub(super) fn take_out(tree: &mut Node) -> Vec<Problem> {
    let mut problems = vec![];
    for (pattern, default, instead) in LATER {
        for path in matching(tree, pattern) {
            let Some(node) = tree.get(&path) else { continue };
            let default = Node::from_word(default, &Place::Nowhere).json();
            let value = node.json();
            let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
            if value != default && !(empty && (default.is_null() || default.is_object() || default.is_array())) {
                problems.push(Problem {
                    at: tree.place(&path),
                    path: path_text(&path),
                    what: "is not in this version yet".into(),
                    help: (*instead).to_owned(),
                });
            }
            tree.remove(&path);
        }
    }
    // What only held such keys is gone, too.
    drop_if_empty(tree, &[Step::Key("memory".into())]);
    problems
}

fn drop_if_empty(tree: &mut Node, path: &[Step]) {
    let empty = tree.get(path).is_some_and(|node| match &node.value {
        Value::Null => true,
        Value::Map(fields) => fields.is_empty(),
        _ => false,
    });
    if empty {
        tree.remove(path);
    }
}

/// The paths in `tree` that `pattern` names; `[]` stands for every item.
fn matching(tree: &Node, pattern: &str) -> Vec<Vec<Step>> {
    let mut paths = vec![vec![]];
    for part in pattern.split('.') {
        let (key, every) = part.strip_suffix("[]").map_or((part, false), |key| (key, true));
        paths = paths
            .into_iter()
            .flat_map(|mut path: Vec<Step>| {
                path.push(Step::Key(key.to_owned()));
                match (every, tree.get(&path).map(|node| &node.value)) {
                    (true, Some(Value::List(items))) => items
                        .iter()
                        .map(|(number, _)| path.iter().cloned().chain([Step::Item(*number)]).collect())
                        .collect(),
                    (true, _) | (false, None) => vec![],
                    (false, Some(_)) => vec![path],
                }
            })
            .collect();
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_accepted_and_anything_else_is_named() {
        let mut tree =
            Node::parse("access: {tokens: [], oidc: null}\nmemory:\nroutes: [{name: a, runner: in_process}]\n")
                .unwrap();
        assert_eq!(take_out(&mut tree), []);
        assert_eq!(tree.json(), serde_json::json!({"access": {"tokens": []}, "routes": [{"name": "a"}]}));
        let mut tree =
            Node::parse("memory:\n  dir: null\n  runbooks: next\nroutes:\n- name: a\n- name: b\n  runner: x\n")
                .unwrap();
        let found = take_out(&mut tree);
        let shown: Vec<_> = found.iter().map(|p| (p.path.as_str(), p.at.clone())).collect();
        assert_eq!(shown, [("routes[1].runner", Place::Line(7)), ("memory.runbooks", Place::Line(3))]);
    }
}
