//! The name of the branch that an incident's pull request comes from.

use super::super::propose::incident_slug;
use crate::domain::{Digest, SreEvent};
use crate::template::{TemplateError, Templates};
use serde_json::{Value, json};

/// Longest name, in bytes.
const MOST_BYTES: usize = 120;
/// Of a longer one, so much of its digest keeps it apart from others that begin alike.
const DIGEST_BYTES: usize = 12;
/// What templates are called in errors.
const PLACE: &str = "routes[].github.branch";

/// The name of a branch for an incident, by a route's template; strict in what stands in it, and made fit
/// for git. The same alert gives the same name at every attempt.
///
/// # Errors
/// When the template names what there is not, or nothing is left of it.
pub fn branch_name(templates: &Templates, template: &str, event: &SreEvent) -> Result<String, TemplateError> {
    let known = json!({
        "id": incident_slug(event), "title": event.name, "name": event.name, "subject": event.subject,
        "namespace": event.resource.namespace, "labels": event.labels,
    });
    rendered(templates, template, &known)
}

/// Whether a route's template for branches renders, as far as that is known without an alert: which labels
/// there are is not.
///
/// # Errors
/// When it does not.
pub fn check_branch(templates: &Templates, template: &str) -> Result<(), TemplateError> {
    let text = ["id", "title", "name", "subject", "namespace"].map(|key| (key.to_owned(), json!("x")));
    let known = Value::Object(text.into_iter().chain([("labels".to_owned(), json!({}))]).collect());
    match rendered(templates, template, &known) {
        Err(error) if !template.contains("labels") => Err(error),
        _ => Ok(()),
    }
}

fn rendered(templates: &Templates, template: &str, known: &Value) -> Result<String, TemplateError> {
    let text = templates.render_str(PLACE, template, known)?;
    let whole = fit(&text);
    let name = match whole.len() > MOST_BYTES {
        false => whole,
        // What tells incidents apart usually stands last.
        true => {
            let kept = trimmed(&whole[..MOST_BYTES - DIGEST_BYTES - 1]);
            format!("{kept}-{}", Digest::of(&whole).short(DIGEST_BYTES))
        }
    };
    match name.is_empty() {
        false => Ok(name),
        true => Err(TemplateError::Failed {
            at: format!("`{PLACE}`"),
            why: "nothing is left of it that could name a branch".into(),
        }),
    }
}

/// `text` as git takes it: letters, digits, and single `_ - . /` between them.
fn fit(text: &str) -> String {
    let ends_in_word = |name: &String| name.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let mut name = String::new();
    for c in text.trim().chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => name.push(c),
            '/' | '.' if ends_in_word(&name) => name.push(c),
            _ if ends_in_word(&name) => name.push('-'),
            _ => {}
        }
    }
    trimmed(&name).replace(".lock", "-lock")
}

fn trimmed(name: &str) -> &str {
    name.trim_end_matches(['/', '.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::github::names::reference;
    use proptest::prelude::*;

    #[test]
    fn a_branch_is_named_by_its_template_and_fit_for_git() {
        let templates = Templates::load(None).unwrap();
        let known = json!({"id": "case-f00d-abc", "title": "Disk: 95% full!", "labels": {"team": "db"}});
        for (template, expected) in [
            ("fix/alert-{{ id }}", Some("fix/alert-case-f00d-abc")),
            ("investigate/{{ title }}-{{ id }}", Some("investigate/Disk-95-full-case-f00d-abc")),
            ("{{ labels.team }}/{{ title }}", Some("db/Disk-95-full")),
            ("//a..b~^:?*[\\@{x.lock/", Some("a.b-x-lock")),
            ("-x/../y.", Some("x/y")),
            ("~^:", None),
            ("{{ nothing }}", None),
            ("{{ labels.none }}", None),
            ("{% if", None),
        ] {
            let name = rendered(&templates, template, &known).ok();
            assert_eq!(name.as_deref(), expected, "{template}");
            if let Some(name) = name {
                assert!(reference(&name).is_ok(), "{name}");
            }
        }
        for (template, fine) in
            [("fix/{{ id }}", true), ("fix/{{ labels.team }}", true), ("fix/{{ alert_id }}", false), ("{{ id", false)]
        {
            assert_eq!(check_branch(&templates, template).is_ok(), fine, "{template}");
        }
    }

    #[test]
    fn long_names_that_differ_at_their_end_stay_apart() {
        let templates = Templates::load(None).unwrap();
        let name = |id: &str| {
            let known = json!({"title": "x".repeat(200), "id": id});
            rendered(&templates, "investigate/{{ title }}-{{ id }}", &known).unwrap()
        };
        let (one, other) = (name("a-1"), name("a-2"));
        assert!(one.len() == MOST_BYTES && one != other && one == name("a-1"), "{one} {other}");
    }

    proptest! {
        #[test]
        fn whatever_stands_in_a_name_git_takes_it(text in "[a-z./~ -]{0,40}(\\PC|.lock|/){0,120}") {
            let templates = Templates::load(None).unwrap();
            if let Ok(name) = rendered(&templates, "{{ x }}", &json!({"x": text})) {
                prop_assert!(reference(&name).is_ok() && name.len() <= MOST_BYTES, "{}", name);
            }
        }
    }
}
