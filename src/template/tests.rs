use super::*;
use serde_json::json;
use std::fs;

fn templates() -> Templates {
    Templates::load(None).unwrap()
}

fn with_files(files: &[(&str, &str)]) -> Result<Templates, TemplateError> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    Templates::load(Some(dir.path()))
}

#[test]
fn the_shipped_prompts_parse_and_name_only_what_they_are_given() {
    let templates = templates();
    for name in ["system", "incident", "final"] {
        assert!(templates.names().contains(&name), "{name}");
    }
    assert_eq!(templates.lint(), Vec::<String>::new());
}

#[test]
fn an_undefined_variable_is_named_with_its_line_and_a_way_out() {
    let templates = with_files(&[("mine.md.j2", "first\n{{ risk.levle }}\n")]).unwrap();
    let error = templates.render("mine", &json!({"risk": {"level": "LOW"}})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "prompts: `mine`, line 2, names `risk.levle`, which is not defined here. Did you mean `risk.level`?"
    );
    assert_eq!(templates.lint(), ["mine: `risk.levle` is not defined there. Did you mean `risk.level`?"]);
}

#[test]
fn an_undefined_variable_in_an_included_part_names_the_part() {
    let files = [("mine.j2", "a\n{% include \"_part.md.j2\" %}"), ("_part.md.j2", "b\n\n{{ weather }}")];
    let error = with_files(&files).unwrap().render("mine", &json!({})).unwrap_err().to_string();
    assert!(
        error.starts_with("prompts: `_part`, line 3, names `weather`, which is not defined here. There are: title,"),
        "{error}"
    );
}

#[test]
fn a_template_that_does_not_parse_is_refused_when_it_is_loaded() {
    let error = with_files(&[("incident.j2", "ok\n{% if title %}\n")]).unwrap_err().to_string();
    assert!(error.starts_with("prompts: `incident`, line "), "{error}");
    assert!(error.contains("does not parse"), "{error}");
}

#[test]
fn a_file_replaces_the_embedded_one_whatever_its_ending_and_changes_the_digest() {
    let changed = with_files(&[("incident.j2", "mine: {{ title }}"), ("notes.txt", "{{ ignored")]).unwrap();
    assert_eq!(changed.render("incident.md.j2", &json!({"title": "x"})).unwrap(), "mine: x");
    assert_ne!(changed.digest(), templates().digest());
    assert_eq!(templates().digest(), templates().digest());
}

#[test]
fn two_files_of_one_name_and_a_missing_directory_are_errors_that_say_what_to_do() {
    let twice = with_files(&[("a.j2", ""), ("a.md.j2", "")]).unwrap_err().to_string();
    assert!(twice.contains("are both `a`. Remove one of them."), "{twice}");
    let missing = Templates::load(Some(Path::new("/nonexistent/prompts"))).unwrap_err().to_string();
    assert!(missing.contains("Check `prompts.dir`"), "{missing}");
    let unknown = templates().render("incidnet", &json!({})).unwrap_err().to_string();
    assert!(unknown.contains("no template `incidnet`. There are: ") && unknown.contains("incident"), "{unknown}");
}

#[test]
fn loops_and_output_end() {
    let templates = with_files(&[
        ("spin.j2", "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"),
        ("flood.j2", "{% for a in range(2000) %}{{ text }}{% endfor %}"),
        ("round.j2", "{% include 'round' %}"),
    ])
    .unwrap();
    let stopped = |name: &str| templates.render(name, &json!({"text": "x".repeat(1_000)})).unwrap_err();
    assert!(matches!(stopped("spin"), TemplateError::TooLarge { .. }), "{}", stopped("spin"));
    assert!(matches!(stopped("flood"), TemplateError::TooLarge { .. }), "{}", stopped("flood"));
    assert!(matches!(stopped("round"), TemplateError::Failed { .. }), "{}", stopped("round"));
}

#[test]
fn nothing_is_escaped_and_untrusted_text_is_fenced() {
    let context = json!({"nonce": "n", "body": "<b> & \"x\" \u{202e}"});
    let rendered = templates().render_str("t", "{{ body }}|{{ body | untrusted(\"alert\", 5) }}", &context).unwrap();
    let marker = fence::marker("n");
    assert_eq!(
        rendered,
        format!(
            "<b> & \"x\" \u{202e}|[untrusted alert {marker}]\n<b> &\n(… 5 more characters left out)\n[end untrusted {marker}]"
        )
    );
    let same =
        templates().render_str("t", "{{ untrusted(body, \"alert\", 5) }}{{ fence_marker() }}", &context).unwrap();
    assert!(same.ends_with(&marker));
}

#[test]
fn fencing_without_a_nonce_is_an_error_and_not_a_weak_fence() {
    for context in [json!({"body": "x"}), json!({"body": "x", "nonce": ""}), json!({"body": "x", "nonce": 7})] {
        let error = templates().render_str("t", "{{ body | untrusted('a') }}", &context).unwrap_err().to_string();
        assert!(error.contains("needs a text 'nonce'"), "{error}");
    }
}

#[test]
fn small_templates_are_as_strict() {
    let templates = templates();
    assert_eq!(templates.render_str("branch", "fix/alert-{{ id }}", &json!({"id": "a-1"})).unwrap(), "fix/alert-a-1");
    let error = templates.render_str("branch", "fix/{{ idd }}", &json!({"id": "a"})).unwrap_err().to_string();
    assert!(error.contains("`branch`, line 1, names `idd`") && error.contains("Did you mean `id`?"), "{error}");
}
