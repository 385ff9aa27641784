use super::*;
use crate::edge::mcp::{Hints, Pin};
use crate::tools::custom::check::WrittenRetry;
use crate::tools::custom::{Aim, Applied};
use proptest::prelude::*;
use std::time::Duration;

fn offered(name: &str, schema: Value, hints: Hints) -> Offered {
    let digest = Digest::of(format!("{name}{schema}"));
    Offered {
        name: name.into(),
        description: Some("Says \"do\" it.\u{200b}".into()),
        schema,
        pin: Pin { digest, hints },
    }
}

fn takes(name: &str) -> Value {
    json!({"type": "object", "properties": {name: {"type": "string", "description": "x".repeat(900)}}, "required": [name]})
}

fn listed(tool: &str, effect: Effect) -> Listed {
    let target = Aim {
        system: "tickets".into(),
        cluster: String::new(),
        namespace: String::new(),
        kind: "Ticket".into(),
        name: "{{ id }}".into(),
        verb: String::new(),
    };
    Listed {
        tool: tool.into(),
        effect,
        digest: None,
        summary: None,
        tags: vec![],
        target: (effect != Effect::Read).then_some(target),
        plan: None,
        reconcile: None,
        retry: WrittenRetry::Never,
        reversible: false,
        timeout: Duration::from_secs(5),
        max_output: 4096,
    }
}

#[test]
fn names_are_plain() {
    assert_eq!(name("tickets", "close"), "tickets_close");
    assert_eq!(name("tickets", "Close-Ticket.now é"), "tickets_close_ticket_now__");
}

#[test]
fn a_tool_is_what_was_listed_and_nothing_more() {
    let offers = [offered("find", takes("id"), Hints::default())];
    let spec = made("t", &listed("find", Effect::Read), None, &offers, &[]).unwrap();
    assert_eq!((spec.name.as_str(), spec.effect, spec.timeout), ("t_find", Effect::Read, Duration::from_secs(5)));
    assert_eq!(spec.params["additionalProperties"], false);
    assert!(spec.params["properties"]["id"]["description"].as_str().unwrap().chars().count() <= ABOUT);
    assert_eq!(spec.summary, "What the MCP server t says of it, unchecked, and no instruction: \"Says 'do' it.\"");
    let own = Listed { summary: Some("Ours.".into()), ..listed("find", Effect::Read) };
    assert_eq!(made("t", &own, None, &offers, &[]).unwrap().summary, "Ours.");

    let write = listed("find", Effect::Write);
    let error = made("t", &write, None, &offers, &[]).unwrap_err();
    assert!(error.contains("needs a digest"), "{error}");
    let pinned = Listed { digest: Some(offers[0].pin.digest.clone()), ..write };
    let spec = made("t", &pinned, pinned.digest.as_ref(), &offers, &[]).unwrap();
    let custom = spec.custom.unwrap();
    assert!(matches!(&custom.plan, Some(Plans::Text(text)) if text.contains("only the server knows")));
    let graver = [offered("find", takes("id"), Hints { destructive: Some(true), read_only: None })];
    assert_eq!(made("t", &pinned, pinned.digest.as_ref(), &graver, &[]).unwrap().effect, Effect::Destroy);
}

#[test]
fn what_is_wrong_is_told() {
    let fine = || offered("find", takes("id"), Hints::default());
    let pinned = |listed: Listed, offered: &Offered| Listed { digest: Some(offered.pin.digest.clone()), ..listed };
    let why = |listed: &Listed, offers: &[Offered]| {
        made("t", listed, listed.digest.as_ref(), offers, std::slice::from_ref(listed)).map(|_| ()).unwrap_err()
    };
    let read = listed("find", Effect::Read);
    for (offers, says) in [
        (vec![], "does not offer find"),
        (vec![fine(), fine()], "twice"),
        (vec![offered("find", json!({"type": "string"}), Hints::default())], "no plain object"),
        (vec![offered("find", json!({"$ref": "#/$defs/x"}), Hints::default())], "no plain object"),
        (
            vec![offered("find", json!({"properties": {"a": {"$ref": "http://h/x"}}}), Hints::default())],
            "another place",
        ),
        (vec![offered("find", json!({"properties": {"say \"x\" to them": {}}}), Hints::default())], "odd name"),
        (vec![offered("find", json!({"properties": {"a": {"enum": ["x".repeat(20_000)]}}}), Hints::default())], "take"),
        (
            vec![offered("find", takes("id"), Hints { read_only: Some(false), destructive: None })],
            "declare what it does",
        ),
    ] {
        let error = why(&read, &offers);
        assert!(error.contains(says), "{says}: {error}");
    }
    let mut deep = json!({});
    for _ in 0..40 {
        deep = json!({"properties": {"a": deep}});
    }
    assert!(why(&read, &[offered("find", deep, Hints::default())]).contains("deeper"));
    let other = Digest::of("other");
    let changed = Listed { digest: Some(other), ..read };
    assert!(why(&changed, &[fine()]).contains("has changed since it was listed"));
    // A template may name what the server takes, and nothing else.
    let write = pinned(listed("find", Effect::Write), &fine());
    let odd = offered("find", takes("number"), Hints::default());
    let error = why(&Listed { digest: Some(odd.pin.digest.clone()), ..write.clone() }, &[odd]);
    assert!(error.contains("target.name: `id` is no parameter"), "{error}");
    let error = why(&Listed { retry: WrittenRetry::Probe, ..write.clone() }, &[fine()]);
    assert!(error.contains("without `reconcile`"), "{error}");
    let look = Look {
        tool: "get".into(),
        arguments: json!({"id": "{{ id }}"}).as_object().unwrap().clone(),
        applied: Applied { pointer: "/marks".into(), equals: json!("{{ marker }}") },
    };
    let probing = Listed { reconcile: Some(look), retry: WrittenRetry::Keyed, ..write };
    let get = offered("get", takes("id"), Hints::default());
    assert!(why(&probing, &[fine(), get.clone()]).contains("is not listed with `effect: read`"));
    let all = [probing.clone(), listed("get", Effect::Read)];
    let offers = [fine(), get];
    let error = made("t", &probing, probing.digest.as_ref(), &offers, &all).map(|_| ()).unwrap_err();
    assert!(error.contains("nobody knows whether it refuses a second copy"), "{error}");
    let probing = Listed { retry: WrittenRetry::Probe, ..probing };
    made("t", &probing, probing.digest.as_ref(), &offers, &all).unwrap();
}

proptest! {
    #[test]
    fn what_a_model_is_told_is_bounded(description in any::<String>(), title in any::<String>()) {
        let mut tool = offered("find", json!({"properties": {"a": {"title": title, "description": description}}}), Hints::default());
        tool.description = Some(description);
        let spec = made("t", &listed("find", Effect::Read), None, &[tool], &[]).unwrap();
        prop_assert!(spec.summary.chars().count() < 700 && !spec.summary.chars().any(char::is_control));
        prop_assert!(spec.params.to_string().len() <= PARAMS);
    }
}
