//! The lines as a reader gets them: all of them when they are few, else what they say and how often.

use serde_json::Value;
use std::fmt::Write as _;

/// Characters that a reader gets of the lines unless more was asked for; with gist, head and notes
/// that is less than 2,000 tokens.
pub const BUDGET: usize = 7_400;
/// Characters of the budget that go to forms when not all lines fit.
const FORMS: usize = 3_000;
/// Most characters of a line when not all lines fit.
const LINE: usize = 500;

/// The lines of `data`, as [`super::fold::Folded::data`] gives it, in `budget` characters. With
/// `first`, the oldest lines matter most.
pub fn lines(data: &Value, first: bool, budget: usize) -> String {
    let lines: Vec<&str> = data["lines"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let runs = runs(&lines);
    let whole: String = runs.iter().map(|(line, same)| run(line, *same)).collect();
    let forms = forms(data, FORMS.min(budget / 2));
    if whole.chars().count() <= budget {
        // What was left out of the lines is told by its form.
        let told = format!("{forms}{}{whole}", lead(first));
        return if forms.is_empty() || told.chars().count() > budget { whole } else { told };
    }
    let mut room = budget.saturating_sub(forms.chars().count() + 60);
    let mut taken = Vec::new();
    let ends: Box<dyn Iterator<Item = &(&str, usize)>> =
        if first { Box::new(runs.iter()) } else { Box::new(runs.iter().rev()) };
    for (line, same) in ends {
        let text = run(&crate::tools::render::clip(line, LINE), *same);
        let Some(left) = room.checked_sub(text.chars().count()) else { break };
        room = left;
        taken.push(text);
    }
    if !first {
        taken.reverse();
    }
    format!("{forms}{}{}", lead(first), taken.concat())
}

/// All lines that were kept, where [`lines`] does not show them all in `budget` characters.
pub fn whole(data: &Value, budget: usize) -> Option<String> {
    let lines = data["lines"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let whole: String = lines.flat_map(|line| [line, "\n"]).collect();
    (whole.chars().count() > budget).then_some(whole)
}

fn lead(first: bool) -> &'static str {
    if first { "the first lines:\n" } else { "the last lines:\n" }
}

fn runs<'l>(lines: &[&'l str]) -> Vec<(&'l str, usize)> {
    let mut runs: Vec<(&str, usize)> = Vec::new();
    for line in lines {
        match runs.last_mut() {
            Some((last, same)) if last == line => *same += 1,
            _ => runs.push((line, 1)),
        }
    }
    runs
}

fn run(line: &str, same: usize) -> String {
    if same > 1 { format!("{line}  (x{same})\n") } else { format!("{line}\n") }
}

/// What the lines say, each form with how often, errors first.
fn forms(data: &Value, room: usize) -> String {
    let Some(forms) = data["forms"].as_array() else { return String::new() };
    let mut out = String::from("what the lines say, <*> where they differ:\n");
    let (mut chars, mut told) = (out.len(), 0u64);
    let mut total = data["lines_of_other_forms"].as_u64().unwrap_or(0);
    for form in forms {
        let count = form["count"].as_u64().unwrap_or(0);
        total += count;
        let line = format!("x{count} {}\n", form["form"].as_str().unwrap_or_default());
        chars += line.chars().count();
        if chars <= room {
            told += count;
            out.push_str(&line);
        }
    }
    if total > told {
        let _ = writeln!(out, "x{} of other forms", total - told);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn few_lines_are_shown_as_they_are() {
        let data = json!({"lines": ["a", "b", "b", "b"], "total_lines": 4});
        assert_eq!(lines(&data, false, BUDGET), "a\nb  (x3)\n");
        assert_eq!(lines(&json!({"lines": []}), false, BUDGET), "");
        assert_eq!(whole(&data, BUDGET), None);
        assert_eq!(whole(&data, 5).as_deref(), Some("a\nb\nb\nb\n"));
    }

    #[test]
    fn many_lines_are_told_by_form_and_by_their_end() {
        let many: Vec<String> = (0..2000).map(|n| format!("request {n} took long")).collect();
        let forms = json!([{"count": 3, "form": "error: <*>"}, {"count": 9000, "form": "request <*> took long"}]);
        let data = json!({"lines": many, "total_lines": 9010, "forms": forms, "lines_of_other_forms": 7});
        for first in [true, false] {
            let text = lines(&data, first, 1000);
            assert!(text.chars().count() <= 1000, "{}", text.len());
            assert!(text.starts_with("what the lines say, <*> where they differ:\nx3 error: <*>\nx9000 request <*>"));
            assert!(text.contains("x7 of other forms\n"), "{text}");
            assert!(if first {
                text.contains("the first lines:\nrequest 0 ")
            } else {
                text.ends_with("request 1999 took long\n")
            });
        }
    }

    #[test]
    fn the_words_between_forms_and_lines_count_too() {
        let forms = json!([{"count": 2, "form": "request <*>"}]);
        let data = json!({"lines": ["a".repeat(90), "b"], "total_lines": 2, "forms": forms});
        for budget in 150..400 {
            let told = lines(&data, false, budget);
            assert!(told.chars().count() <= budget, "{budget}: {told}");
        }
        assert!(lines(&data, false, 399).starts_with("what the lines say"));
    }

    proptest::proptest! {
        #[test]
        fn a_budget_holds(many in proptest::collection::vec("\\PC{0,700}", 0..60), form in "\\PC{0,240}", budget in 300usize..4000) {
            let data = json!({"lines": many, "forms": [{"count": 2, "form": form}], "total_lines": 99});
            proptest::prop_assert!(lines(&data, false, budget).chars().count() <= budget);
        }
    }
}
