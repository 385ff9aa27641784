//! What the policy was asked with about reading calls, kept once for all that were judged together:
//! such questions differ in little but the call.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The inputs of calls that were judged together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// What all have in common.
    common: Map<String, Value>,
    /// By the id of a call: what is its own.
    calls: BTreeMap<String, Map<String, Value>>,
}

impl Asked {
    /// Puts together whole inputs, by the id of their call. What is no object is left out.
    pub fn of(inputs: Vec<(String, Value)>) -> Self {
        let mut documents: Vec<(String, Map<String, Value>)> = inputs
            .into_iter()
            .filter_map(|(id, input)| match input {
                Value::Object(input) => Some((id, input)),
                _ => None,
            })
            .collect();
        let Some((_, first)) = documents.first() else { return Self::default() };
        let same = |key: &str, value: &Value| documents.iter().all(|(_, document)| document.get(key) == Some(value));
        // One alone has nothing in common with others, and need not be torn apart.
        let common: Map<String, Value> =
            first.iter().filter(|(key, value)| same(key, value)).map(|(k, v)| (k.clone(), v.clone())).collect();
        for (_, document) in &mut documents {
            document.retain(|key, _| !common.contains_key(key));
        }
        Self { common, calls: documents.into_iter().collect() }
    }

    /// The input, where there is one alone.
    pub fn only(&self) -> Option<Value> {
        let mut ids = self.calls.keys();
        ids.next().filter(|_| ids.next().is_none()).and_then(|id| self.input(id))
    }

    /// The whole input of one call, as it was given.
    pub fn input(&self, call: &str) -> Option<Value> {
        let mut whole = self.common.clone();
        whole.extend(self.calls.get(call)?.iter().map(|(key, value)| (key.clone(), value.clone())));
        Some(Value::Object(whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_is_common_is_kept_once() {
        let big = "x".repeat(1000);
        let input = |id: &str, turn: u64| json!({"event": big, "turn": turn, "call": {"id": id}});
        let asked = Asked::of(vec![("a".into(), input("a", 1)), ("b".into(), input("b", 2))]);
        assert!(serde_json::to_string(&asked).unwrap().len() < 1200);
        assert_eq!((asked.input("a"), asked.input("b")), (Some(input("a", 1)), Some(input("b", 2))));
        assert_eq!(asked.input("c"), None);
        let alone = Asked::of(vec![("a".into(), input("a", 1))]);
        assert_eq!((alone.input("a"), alone.only()), (Some(input("a", 1)), Some(input("a", 1))));
        assert_eq!(asked.only(), None);
        assert_eq!(Asked::of(vec![]).input("a"), None);
    }

    proptest! {
        #[test]
        fn each_input_comes_back_as_it_was(
            inputs in prop::collection::vec(prop::collection::btree_map("[a-c]", 0u8..3, 0..4), 0..5)
        ) {
            let inputs: Vec<(String, Value)> =
                inputs.into_iter().enumerate().map(|(n, map)| (n.to_string(), json!(map))).collect();
            let asked = Asked::of(inputs.clone());
            let read: Asked = serde_json::from_value(serde_json::to_value(&asked).unwrap()).unwrap();
            for (id, input) in inputs {
                prop_assert_eq!(read.input(&id), Some(input));
            }
        }
    }
}
