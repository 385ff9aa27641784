//! Changes and the questions about them, as people decide on them. Pure. Everything comes from the
//! typed change that would be made, none of it is anybody's account of it.

use super::text::{block, line, pad, plural, wrap};
use crate::config::Span;
use crate::domain::BlastRadius;
use crate::journal::ApprovalView;
use crate::journal::view::ViewAction;
use jiff::Timestamp;
use serde_json::Value;

/// Most characters of a field.
const MOST: usize = 2_000;
/// Most characters of a preview; more than a tool may show.
const PREVIEW: usize = 16_000;
/// Where fields begin: two blanks, a label, two blanks.
const INDENT: usize = 2 + 11 + 2;
const GIB: f64 = 1_073_741_824.0;

/// A question as whoever answers it has to see it at `now`.
pub(super) fn lines(view: &ApprovalView, now: Timestamp, columns: usize) -> Vec<String> {
    let action = &view.action;
    let back = if action.reversible { "can be taken back" } else { "cannot be taken back" };
    let risk = view.risk.map_or("not judged", |risk| risk.as_str());
    let who: Vec<String> = view
        .requirements
        .iter()
        .map(|asked| {
            let agreed = match asked.granted_by.is_empty() {
                true => String::new(),
                false => format!("; agreed: {}", asked.granted_by.join(", ")),
            };
            format!("{} of {} ({}){agreed}", asked.count.max(1), asked.groups.join(" or "), asked.rule)
        })
        .collect();
    let mut lines = vec![format!("{}  {}", view.id, view.state), line(&action.title, 200)];
    let fields = [
        ("tool", format!("{} ({}; {back})", action.tool, action.effect)),
        ("target", action.target.clone()),
        ("arguments", action.args.to_string()),
        ("touches", touches(&action.blast_radius)),
        ("risk", risk.to_owned()),
        ("because", view.reason.clone()),
        ("alert", format!("{}, {}", view.alert, view.investigation)),
        ("proposed by", view.proposed_by.clone()),
        ("asks", who.join(" and ")),
        ("asked", seconds(view.requested_at)),
        ("expires", format!("{}{}", seconds(view.expires_at), left(view, now))),
        ("digest", view.action_digest.to_string()),
    ];
    for (label, text) in fields {
        lines.extend(field(label, &text, columns));
    }
    match block(&action.preview, PREVIEW).trim_end() {
        "" => lines.push("nothing is shown of what would change".to_owned()),
        preview => {
            lines.push("what would change".to_owned());
            lines.extend(preview.lines().map(|line| format!("  {line}").trim_end().to_owned()));
        }
    }
    lines
}

fn field(label: &str, text: &str, columns: usize) -> Vec<String> {
    let wrapped = wrap(&line(text, MOST), columns.saturating_sub(INDENT));
    let label = |n: usize| if n == 0 { label } else { "" };
    wrapped.iter().enumerate().map(|(n, text)| format!("  {}  {text}", pad(label(n), INDENT - 4))).collect()
}

fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What is left of the time to answer.
fn left(view: &ApprovalView, now: Timestamp) -> String {
    let seconds = view.expires_at.duration_since(now).as_secs();
    match u64::try_from(seconds) {
        _ if view.state.is_final() => String::new(),
        Ok(seconds @ 60..) => format!(", in {}", Span::seconds(seconds / 60 * 60)),
        Ok(seconds @ 1..) => format!(", in {}", Span::seconds(seconds)),
        _ => ", which is over".to_owned(),
    }
}

fn touches(radius: &BlastRadius) -> String {
    if !radius.known {
        return "not known".to_owned();
    }
    let mut parts = vec![plural(radius.pods, "Pod")];
    let counts = [(radius.namespaces, "namespace"), (radius.clusters, "cluster"), (radius.dependents, "dependent")];
    parts.extend(counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| plural(*n, word)));
    if radius.pvc_bytes > 0 {
        parts.push(format!("{:.1} GiB in volumes", radius.pvc_bytes as f64 / GIB));
    }
    parts.join(", ")
}

/// What was planned and done in an investigation, with the one command that answers what is asked.
pub(super) fn changes(actions: &Value, columns: usize) -> Vec<String> {
    let actions: Vec<ViewAction> = serde_json::from_value(actions.clone()).unwrap_or_default();
    if actions.is_empty() {
        return vec![];
    }
    let mut lines = vec!["actions".to_owned()];
    for action in &actions {
        lines.extend(field(&action.state, &format!("{} ({}, {})", action.title, action.tool, action.effect), columns));
        let mut below = vec![];
        if let Some(verdict) = action.verdict {
            let rules = if action.rules.is_empty() { String::new() } else { format!(": {}", action.rules.join(", ")) };
            below.push(format!("policy says {verdict}{rules}"));
        }
        below.extend(action.detail.clone());
        below.extend(action.reference.as_ref().map(|reference| format!("see {reference}")));
        lines.extend(below.iter().flat_map(|text| field("", text, columns)));
        if let (Some(until), Some(approval)) = (action.expires_at, action.approval_id) {
            lines.extend(field("", &format!("approve until {}:", seconds(until)), columns));
            // In one piece, however narrow the terminal is: it is to be copied.
            lines.push(format!("{}firewarden approvals grant {approval}", " ".repeat(INDENT)));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ApprovalState;
    use crate::journal::asked::sample;
    use serde_json::json;

    fn view() -> ApprovalView {
        sample(1, "inv_00000000-0000-0000-0000-000000000007".parse().unwrap())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn whoever_answers_sees_exactly_what_would_be_done() {
        insta::assert_snapshot!(lines(&view(), at("2026-11-21T00:00:30Z"), 100).join("\n"));
    }

    #[test]
    fn what_is_not_known_or_over_is_said() {
        let mut view = view();
        view.action.blast_radius = BlastRadius { pvc_bytes: 5 << 30, ..BlastRadius::default() };
        view.action.preview = String::new();
        view.requirements[0].granted_by = vec!["ann".into()];
        view.requirements[0].count = 2;
        let shown = lines(&view, at("2026-11-21T00:10:00Z"), 100).join("\n");
        for expected in ["not known", "nothing is shown", "2 of oncall (action/pressure); agreed: ann", "which is over"]
        {
            assert!(shown.contains(expected), "`{expected}` is missing:\n{shown}");
        }
        view.action.blast_radius.known = true;
        view.state = ApprovalState::Denied;
        let shown = lines(&view, at("2026-11-21T00:00:00Z"), 100).join("\n");
        assert!(
            shown.contains("0 Pods, 5.0 GiB in volumes") && shown.contains("expires      2026-11-21T00:10:00Z\n"),
            "{shown}"
        );
    }

    #[test]
    fn hostile_text_stays_in_its_place() {
        let evil = "\x1b]0;owned\x07\x1b[2J\u{202e}evil\r\n  expires      2099-01-01T00:00:00Z\x08";
        let mut view = view();
        for text in [&mut view.action.title, &mut view.action.target, &mut view.action.preview, &mut view.reason] {
            *text = evil.repeat(40);
        }
        (view.alert, view.proposed_by) = (evil.into(), format!("model:{evil}"));
        view.action.args = json!({ evil: evil });
        view.requirements[0].groups = vec![evil.into()];
        let shown = lines(&view, at("2026-11-21T00:00:00Z"), 100);
        assert!(shown.iter().all(|l| !l.chars().any(|c| c.is_control() || c == '\u{202e}')), "{shown:#?}");
        let head = shown.iter().take_while(|l| *l != "what would change");
        assert_eq!(head.filter(|l| l.starts_with("  expires      ")).count(), 1, "{shown:#?}");
    }

    #[test]
    fn an_investigation_shows_its_changes_and_the_command_that_answers() {
        let action = |state: &str, rest: Value| {
            let mut action = json!({
                "id": "act_00000000-0000-0000-0000-000000000001", "tool": "kubernetes_scale", "effect": "write",
                "title": "scale Deployment payments/api from 2 to 3 replicas", "target": "Deployment payments/api",
                "state": state, "verdict": null, "rules": [], "approval_id": null, "reference": null, "detail": null,
            });
            for (key, value) in rest.as_object().unwrap() {
                action[key] = value.clone();
            }
            action
        };
        let actions = json!([
            action(
                "asked",
                json!({"verdict": "ask", "rules": ["action/pressure"], "expires_at": "2026-11-21T00:10:00Z",
                                   "approval_id": "apr_00000000-0000-0000-0000-000000000001"})
            ),
            action(
                "verified",
                json!({"verdict": "allow", "reference": "Deployment/payments/api@9",
                                      "detail": "3 of 3 are ready; it held"})
            ),
            action(
                "refused",
                json!({"verdict": "deny", "rules": ["action/self", "action/rate"],
                                     "detail": "firewarden does not change itself\x1b[2J (action/self)"})
            ),
        ]);
        insta::assert_snapshot!(changes(&actions, 100).join("\n"));
        assert_eq!(changes(&json!([]), 100), [] as [String; 0]);
        assert_eq!(changes(&Value::Null, 100), [] as [String; 0]);
    }
}
