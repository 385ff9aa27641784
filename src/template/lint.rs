//! Which variables a prompt may name, and which of them a template gets wrong.

/// What an incident's prompt is given. A path that ends in `.*` is open: anything may follow.
pub const INCIDENT_VARIABLES: &[&str] = &[
    "title",
    "body",
    "storm",
    "url",
    "id",
    "labels.*",
    "kind",
    "number",
    "event.*",
    "events",
    "resource.type",
    "resource.id",
    "resource.namespace",
    "resource.cluster",
    "risk.level",
    "risk.reasons",
    "risk.may",
    "risk.must_ask",
    "risk.never",
    "findings",
    "hypotheses",
    "timeline",
    "chain",
    "open_questions",
    "evidence",
    "not_collected",
    "changes",
    "budget.turns",
    "budget.tool_calls",
    "budget.wall_s",
    "now",
    "nonce",
];

/// What the forced last prompt may be given beside them; it tests whether they are there.
pub const FINAL_VARIABLES: &[&str] = &["reason", "evidence_ids"];

/// Names that every template may use.
const GLOBALS: &[&str] =
    &["untrusted", "fence_marker", "range", "dict", "namespace", "loop", "debug", "none", "lipsum"];

/// The variables of the template `name` (without its endings). Templates that we do not know are
/// prompts of routes and parts of them.
pub fn documented(name: &str) -> Vec<&'static str> {
    match name {
        // The head of every conversation and of every request beside it: the same everywhere.
        "system" | "summary" => Vec::new(),
        "final" => [INCIDENT_VARIABLES, FINAL_VARIABLES].concat(),
        _ => INCIDENT_VARIABLES.to_vec(),
    }
}

/// Whether `path`, as a template names it, is among `documented`.
pub fn is_documented(path: &str, documented: &[&str]) -> bool {
    let root = path.split('.').next().unwrap_or(path);
    GLOBALS.contains(&root)
        || documented.iter().any(|known| match known.strip_suffix(".*") {
            Some(open) => root == open,
            // `risk` alone is fine, `risk.level` is, `title.x` and `risk.levle` are not.
            None => *known == path || known.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')),
        })
}

/// The documented name that looks most like `path`, if one is near.
pub fn nearest(path: &str, documented: &[&'static str]) -> Option<&'static str> {
    documented
        .iter()
        .map(|known| known.trim_end_matches(".*"))
        .map(|known| (distance(path, known), known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Levenshtein distance in bytes; the names compared are short.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (&a.as_bytes()[..a.len().min(64)], b.as_bytes());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_known_by_what_is_documented() {
        for (path, known) in [
            ("title", true),
            ("risk", true),
            ("risk.level", true),
            ("risk.levle", false),
            ("title.text", false),
            ("labels", true),
            ("labels.severity", true),
            ("event.resource.id", true),
            ("tilte", false),
            ("range", true),
        ] {
            assert_eq!(is_documented(path, INCIDENT_VARIABLES), known, "{path}");
        }
    }

    #[test]
    fn a_slip_gets_a_suggestion_and_a_strange_word_none() {
        assert_eq!(nearest("tilte", INCIDENT_VARIABLES), Some("title"));
        assert_eq!(nearest("risk.levle", INCIDENT_VARIABLES), Some("risk.level"));
        assert_eq!(nearest("weather_forecast", INCIDENT_VARIABLES), None);
    }
}
