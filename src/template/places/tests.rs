//! No value leaves its place.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn given(value: impl Into<Value>) -> Value {
    json!({"v": value.into()})
}

fn said<T: std::fmt::Debug>(result: Result<T, PlaceError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_value_is_written_as_its_place_wants_it() {
    let url = |source: &str, value: &str| address(source, &given(value)).unwrap().to_string();
    assert_eq!(url("https://a.example/x/{{ v }}/y", "a/b?c#d%"), "https://a.example/x/a%2Fb%3Fc%23d%25/y");
    assert_eq!(url("https://a.example/x?q={{ v }}&p=1", "1&p=2"), "https://a.example/x?q=1%26p%3D2&p=1");
    assert_eq!(url("http://127.0.0.1:8080?q={{ v }}", "é ü"), "http://127.0.0.1:8080/?q=%C3%A9%20%C3%BC");
    assert_eq!(url("https://a.example", ""), "https://a.example/");
    let body = json!({"n": "{{ v }}", "text": "n is {{ v }}", "list": [1, "{{v}}", null], "{{ v }}": true});
    assert_eq!(
        json(&body, &given(7)).unwrap(),
        json!({"n": 7, "text": "n is 7", "list": [1, 7, null], "{{ v }}": true})
    );
    assert_eq!(json(&json!("{{ v }}"), &given(json!({"a": [1]}))).unwrap(), json!({"a": [1]}));
    assert_eq!(argument("--region={{ v }}", &given("-x y")).unwrap(), "--region=-x y");
    assert_eq!(argument("-v", &given("")).unwrap(), "-v");
    assert_eq!(words("{% if w is defined %}{{ w }}{% else %}none{% endif %}", &given(1)).unwrap(), "none");
    assert_eq!(
        names("{{ a }}{{ b.c }}{% if d is defined %}{% endif %}").unwrap().into_iter().collect::<Vec<_>>(),
        ["a", "b", "d"]
    );
}

#[test]
fn what_would_leave_its_place_is_refused() {
    let url = |source: &str, value: &str| said(address(source, &given(value)));
    for (source, value, words) in [
        ("https://a.example/x/{{ v }}/y", "..", "leads elsewhere"),
        ("https://a.example/x/{{ v }}/y", ".", "leads elsewhere"),
        ("https://a.example/x/{{ v }}{{ v }}", ".", "leads elsewhere"),
        ("https://a.example/x/{{ v }}/y", "", "a part of the path is empty"),
        ("https://{{ v }}/x", "a.example", "written out"),
        ("https://a{{ v }}.example/x", "a", "written out"),
        ("https://a.example:{{ v }}/x", "1", "written out"),
        ("{{ v }}://a.example/x", "https", "must begin with https://"),
        ("https://user@a.example/x", "", "carries a user"),
        ("https://A.example/x", "", "leads elsewhere"),
        ("https://a.example:443/x", "", "leads elsewhere"),
        ("https://a.example/a b", "", "leads elsewhere"),
        ("https://a.example/x#{{ v }}", "a", "never sent"),
        ("https://a.example/x?a=1#{{ v }}", "a", "never sent"),
        ("ftp://a.example/x", "", "must begin with https://"),
    ] {
        assert!(url(source, value).contains(words), "{source} {value}: {}", url(source, value));
    }
    for value in ["-rf", " -rf", "--all", "@/etc/passwd"] {
        assert!(said(argument("{{ v }}", &given(value))).contains("a value makes the argument"), "{value}");
    }
    assert!(said(argument("{{ v }}", &given("a\0b"))).contains("no argument can"));
    assert!(said(argument("{{ v }}", &given(json!(["a", "b"])))).contains("only a text"));
    assert!(said(header("{{ v }}", &given("a\r\nX: y"))).contains("no header can"));
    assert!(names_option("-{{ v }}") && names_option("--{{ v }}=1"));
    assert!(!names_option("-n{{ v }}") && !names_option("--name={{ v }}") && !names_option("{{ v }}"));
}

#[test]
fn a_template_that_names_what_is_not_there_says_which() {
    assert_eq!(said(words("{{ w }}", &given(1))), "`w` is not given");
    assert_eq!(said(json(&json!("{{ w }}"), &given(1))), "`w` is not given");
    assert!(said(words("{{ w", &given(1))).starts_with("it is no template"));
    assert!(said(words("{% for i in range(99999) %}{{ i }}{% endfor %}", &given(1))).contains("too long"));
    // The value is nobody's business but the place's.
    assert!(!said(argument("{{ v }}", &given("-hunter2"))).contains("hunter2"));
}

proptest! {
    #[test]
    fn an_address_keeps_its_shape(value in any::<String>()) {
        let shape = |value: &str| {
            let url = address("https://a.example:8443/one/{{ v }}/two?q={{ v }}&r=1", &given(value)).ok()?;
            let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            Some((url.origin().ascii_serialization(), url.path().split('/').count(), url.path().ends_with("/two"), pairs))
        };
        let Some((origin, segments, ends, pairs)) = shape(&value) else {
            prop_assert!(matches!(value.as_str(), "" | "." | ".."), "{value:?} was refused");
            return Ok(());
        };
        prop_assert_eq!((origin.as_str(), segments, ends), ("https://a.example:8443", 4, true));
        prop_assert_eq!(pairs, vec![("q".to_owned(), value), ("r".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn json_holds_the_value_and_nothing_else(value in any::<String>()) {
        let made = json(&json!({"a": "{{ v }}", "b": "x{{ v }}y"}), &given(value.as_str())).unwrap();
        prop_assert_eq!(&made, &json!({"a": value, "b": format!("x{value}y")}));
        let read: Value = serde_json::from_str(&made.to_string()).unwrap();
        prop_assert_eq!(read, made);
    }

    #[test]
    fn an_argument_is_the_value_and_no_option(value in any::<String>()) {
        match argument("{{ v }}", &given(value.as_str())) {
            Ok(text) => {
                prop_assert!(!text.trim_start().starts_with(['-', '@']) && !text.contains('\0'));
                prop_assert_eq!(text, value);
            }
            Err(_) => prop_assert!(value.trim_start().starts_with(['-', '@']) || value.contains('\0')),
        }
    }

    #[test]
    fn a_header_stays_one_line(value in any::<String>()) {
        if let Ok(text) = header("x {{ v }}", &given(value.as_str())) {
            prop_assert!(!text.chars().any(char::is_control));
        }
    }
}
