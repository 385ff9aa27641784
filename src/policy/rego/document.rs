//! Documents as the interpreter has them.

use regorus::Value;
use std::collections::BTreeMap;

/// `document`, built piece by piece: the interpreter's own way in reads it as a stream.
pub(super) fn read(document: &serde_json::Value) -> Value {
    match document {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        serde_json::Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => Value::from(number),
            (None, Some(number), _) => Value::from(number),
            (None, None, Some(number)) => Value::from(number),
            (None, None, None) => Value::Undefined,
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::from(items.iter().map(read).collect::<Vec<_>>()),
        serde_json::Value::Object(map) => {
            let members = map.iter().map(|(key, value)| (Value::from(key.as_str()), read(value)));
            Value::from(members.collect::<BTreeMap<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn agrees(document: &serde_json::Value) -> Result<(), TestCaseError> {
        prop_assert_eq!(read(document), Value::from(document.clone()));
        Ok(())
    }

    #[test]
    fn the_edges_are_what_the_interpreter_reads_itself() {
        for document in [
            json!({"b": [], "a": {}, "": null, "é😀": "\u{0}\"", "n": [0, -1, 1.5, -0.0, u64::MAX, i64::MIN, 1e300]}),
            json!([[[true]], false, "x"]),
            json!(1.0),
        ] {
            agrees(&document).unwrap();
        }
    }

    fn any_document() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<u64>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::vec(("[a-f]{0,3}|\\PC{0,3}", inner), 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_document_is_what_the_interpreter_reads_itself(document in any_document()) {
            agrees(&document)?;
        }
    }
}
