//! The input documents as JSON Schemas, for whoever writes an input by hand and for whoever reads what
//! a rule may know. They are made from the types of [`super::contract`], so that what the program asks
//! is valid by its type; documents from outside are validated here.

use super::decision::{BadInput, InputKind};
use jsonschema::Validator;
use serde_json::Value;
use std::sync::LazyLock;

/// Mistakes that are told.
const MOST: usize = 10;

const RISK: &str = include_str!("../../policies/schema/risk.schema.json");
const ACTION: &str = include_str!("../../policies/schema/action.schema.json");
const ORG: &str = include_str!("../../policies/schema/org.schema.json");

static VALIDATORS: LazyLock<[Option<Validator>; 2]> = LazyLock::new(|| {
    let compile = |text: &str| jsonschema::validator_for(&serde_json::from_str(text).ok()?).ok();
    [compile(RISK), compile(ACTION)]
});

/// The text of a schema: `risk` and `action` for inputs, `org` for `data.org`.
pub fn text(name: &str) -> Option<&'static str> {
    match name {
        "risk" => Some(RISK),
        "action" => Some(ACTION),
        "org" => Some(ORG),
        _ => None,
    }
}

/// Checks that `input` is what its schema says.
pub(super) fn validate(kind: InputKind, input: &Value) -> Result<(), BadInput> {
    let [risk, action] = &*VALIDATORS;
    let validator = match kind {
        InputKind::Risk => risk,
        InputKind::Action => action,
    };
    let wrong = match validator {
        None => vec!["its schema does not compile".to_owned()],
        Some(validator) if validator.is_valid(input) => return Ok(()),
        Some(validator) => mistakes(validator, input),
    };
    Err(BadInput::Invalid { schema: kind.schema(), wrong })
}

/// What is wrong with the organisation's data, by the schema that its bundle carries.
pub(super) fn org_mistakes(schema: &str, org: &Value) -> Vec<String> {
    let compiled = serde_json::from_str::<Value>(schema).map_err(|e| e.to_string());
    match compiled.and_then(|schema| jsonschema::validator_for(&schema).map_err(|e| e.to_string())) {
        Ok(validator) => mistakes(&validator, org),
        Err(error) => vec![format!("the schema itself is none: {}", clip(&error))],
    }
}

fn mistakes(validator: &Validator, document: &Value) -> Vec<String> {
    let told = validator.iter_errors(document).take(MOST).map(|error| {
        let place = error.instance_path().as_str();
        let said = clip(&error.masked().to_string());
        if place.is_empty() { said } else { format!("{place}: {said}") }
    });
    told.collect()
}

fn clip(text: &str) -> String {
    text.chars().take(200).collect()
}

/// The schemas as the types say them; the files have to be these.
#[cfg(test)]
pub(super) mod made {
    use super::super::{ActionInput, RiskInput};
    use super::*;
    use crate::domain::{Effect, Risk};
    use schemars::generate::SchemaSettings;
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    pub fn risk_word(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"enum": Risk::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()})
    }

    pub fn effect_word(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"enum": Effect::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()})
    }

    pub fn of<T: JsonSchema>(name: &str, title: &str) -> Value {
        let settings = SchemaSettings::draft2020_12().for_serialize().with(|s| s.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
        schema["$id"] = format!("https://firewarden.dev/schema/{name}.schema.json").into();
        schema["title"] = title.into();
        schema["properties"]["schema"] = serde_json::json!({"const": title});
        // Sizes of machine words say nothing to who writes an input.
        strip(&mut schema);
        schema
    }

    fn strip(schema: &mut Value) {
        match schema {
            Value::Object(map) => {
                map.remove("format");
                map.remove("default");
                map.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }

    #[test]
    fn the_files_are_what_the_types_say() {
        let made = [
            ("risk", of::<RiskInput>("risk", "firewarden.risk/v1")),
            ("action", of::<ActionInput>("action", "firewarden.action/v1")),
        ];
        for (name, schema) in made {
            let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
            let path =
                std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("policies/schema/{name}.schema.json"));
            if std::env::var_os("FIREWARDEN_BLESS").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "FIREWARDEN_BLESS=1 writes it anew");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn what_the_program_asks_is_valid() {
        for (kind, input) in [
            (InputKind::Risk, serde_json::to_value(sample::risk_input()).unwrap()),
            (InputKind::Action, serde_json::to_value(sample::action_input()).unwrap()),
        ] {
            assert_eq!(validate(kind, &input), Ok(()));
        }
    }

    #[test]
    fn any_missing_key_is_told() {
        let whole = serde_json::to_value(sample::action_input()).unwrap();
        for key in whole.as_object().unwrap().keys() {
            let mut input = whole.clone();
            input.as_object_mut().unwrap().remove(key);
            let BadInput::Invalid { wrong, .. } = validate(InputKind::Action, &input).unwrap_err() else { panic!() };
            assert!(wrong[0].contains(key.as_str()), "{key}: {wrong:?}");
        }
    }

    #[test]
    fn an_organisation_s_data_is_held_to_its_schema() {
        let schema = r#"{"type": "object", "properties": {"rate": {"type": "object", "additionalProperties": {"type": "integer"}}}}"#;
        assert_eq!(org_mistakes(schema, &serde_json::json!({"rate": {"resource_1h": 3}})), Vec::<String>::new());
        assert!(
            org_mistakes(schema, &serde_json::json!({"rate": {"resource_1h": "3"}}))[0]
                .starts_with("/rate/resource_1h: ")
        );
        assert!(org_mistakes("{", &Value::Null)[0].starts_with("the schema itself is none"));
    }
}
