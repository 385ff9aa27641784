//! Arguments as a model writes them, read without mercy: what two readers could understand
//! differently is not read at all.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Bytes of the arguments of one call.
pub const MAX_BYTES: usize = 64 << 10;
/// Levels of nesting.
pub const MAX_DEPTH: usize = 64;

/// Reads one JSON object.
///
/// # Errors
/// What is wrong, in words for the model: no JSON, no object, a key twice, too deep, too large.
pub fn object(text: &str) -> Result<Map<String, Value>, String> {
    if text.trim().is_empty() {
        return Err("the arguments are empty; send a JSON object, {} if there are none".to_owned());
    }
    if text.len() > MAX_BYTES {
        return Err(format!("the arguments have {} bytes; at most {MAX_BYTES} are read", text.len()));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: 0 }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match value {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err("the arguments are no JSON object".to_owned()),
        Err(error) => Err(format!("the arguments are not valid JSON ({error})")),
    }
}

/// Checks arguments that arrived as an object already.
///
/// # Errors
/// As [`object`]; keys that came twice cannot be seen any more.
pub fn bounded(map: &Map<String, Value>) -> Result<(), String> {
    if map.values().any(|value| depth(value, 1) > MAX_DEPTH) {
        return Err(format!("the arguments are nested deeper than {MAX_DEPTH} levels"));
    }
    let bytes = serde_json::to_vec(map).map_or(usize::MAX, |bytes| bytes.len());
    if bytes > MAX_BYTES {
        return Err(format!("the arguments have {bytes} bytes; at most {MAX_BYTES} are read"));
    }
    Ok(())
}

fn depth(value: &Value, above: usize) -> usize {
    if above > MAX_DEPTH {
        return above;
    }
    match value {
        Value::Array(items) => items.iter().map(|item| depth(item, above + 1)).max().unwrap_or(above),
        Value::Object(map) => map.values().map(|item| depth(item, above + 1)).max().unwrap_or(above),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => above,
    }
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn below<E: Error>(self) -> Result<Self, E> {
        match self.depth {
            MAX_DEPTH => Err(E::custom(format!("nested deeper than {MAX_DEPTH} levels"))),
            depth => Ok(Self { depth: depth + 1 }),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            out.push(item);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut out = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(below)?;
            if out.contains_key(&key) {
                return Err(A::Error::custom(format!(
                    "the key {:?} stands twice",
                    key.chars().take(60).collect::<String>()
                )));
            }
            out.insert(key, value);
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn l06_only_one_plain_object_is_read() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(64), "]".repeat(64));
        let abyss = format!("{{\"a\":{}", "[".repeat(10_000));
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_BYTES));
        for (text, words) in [
            ("", "are empty"),
            ("  \n", "are empty"),
            ("[1]", "no JSON object"),
            ("\"{}\"", "no JSON object"),
            ("{\"a\":1,\"a\":2}", "the key \"a\" stands twice"),
            ("{\"a\":{\"b\":1,\"b\":1}}", "stands twice"),
            ("{\"a\":NaN}", "not valid JSON"),
            ("{\"a\":1e999}", "not valid JSON"),
            ("{\"a\":1", "not valid JSON"),
            ("{} {}", "not valid JSON"),
            ("{'a':1}", "not valid JSON"),
            (&deep, "deeper than 64"),
            (&abyss, "not valid JSON"),
            (&large, "at most 65536 are read"),
        ] {
            let error = object(text).unwrap_err();
            assert!(error.contains(words) && error.len() < 250, "{error}");
        }
    }

    #[test]
    fn objects_that_came_as_such_have_the_same_limits() {
        let of = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        assert!(bounded(&of("{\"a\":[[1]]}")).is_ok());
        assert!(bounded(&of(&format!("{{\"a\":{}1{}}}", "[".repeat(70), "]".repeat(70)))).is_err());
        assert!(bounded(&of(&format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_BYTES)))).is_err());
    }

    proptest! {
        #[test]
        fn what_serde_writes_is_read_back(keys in prop::collection::btree_map(".{0,8}", any::<i64>(), 0..8), text in ".*") {
            let mut map: Map<String, Value> = keys.into_iter().map(|(k, v)| (k, Value::from(v))).collect();
            map.insert("text".into(), Value::from(text));
            prop_assert_eq!(object(&Value::Object(map.clone()).to_string()).unwrap(), map);
        }
    }
}
