//! From the tree to the types: a serde deserializer that knows the path and place of whatever does
//! not fit.

use super::tree::{Node, Place, Step, Value};
use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use std::fmt;

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wrong {
    /// Where in the tree.
    pub path: Vec<Step>,
    /// Where it was written.
    pub at: Place,
    /// What is wrong.
    pub kind: Kind,
}

/// How it does not fit.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// The path's last key is not known; these are.
    UnknownKey(&'static [&'static str]),
    /// This key is needed.
    Missing(&'static str),
    /// Anything else.
    Other(String),
}

impl Wrong {
    fn new(kind: Kind) -> Self {
        Self { path: vec![], at: Place::Nowhere, kind }
    }

    fn within(mut self, step: Step, at: &Place) -> Self {
        self.path.insert(0, step);
        if self.at == Place::Nowhere {
            self.at = at.clone();
        }
        self
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(Kind::Other(text.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        // A text may be a secret in the wrong place: it is not repeated.
        let found = if matches!(found, Unexpected::Str(_)) { Unexpected::Other("text") } else { found };
        Self::custom(format!("expected {}, found {}", plain(&expected.to_string()), plain(&found.to_string())))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_field(_field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownKey(expected))
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format!("`{found}` is not one of {}", expected.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Kind::Missing(field))
    }
}

/// serde's words in ours.
fn plain(word: &str) -> String {
    match word {
        "u16" | "u32" | "u64" | "usize" => "a whole number from 0".into(),
        "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a string" => "text".into(),
        "a sequence" | "sequence" => "a list".into(),
        "map" => "a mapping".into(),
        "unit value" => "nothing".into(),
        _ if word.starts_with("struct ") => "a mapping of keys".into(),
        _ => word.replace("integer ", "the number ").replace("floating point ", "the number ").replace("boolean ", ""),
    }
}

/// Reads `T` from `tree`.
///
/// # Errors
/// The first thing that does not fit.
pub(super) fn read<'de, T: Deserialize<'de>>(tree: &'de Node) -> Result<T, Wrong> {
    T::deserialize(Reader(tree)).map_err(|mut wrong| {
        if wrong.at == Place::Nowhere {
            wrong.at = tree.at.clone();
        }
        wrong
    })
}

struct Reader<'de>(&'de Node);

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Int(n) => visitor.visit_i64(*n),
            Value::Float(n) => visitor.visit_f64(*n),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(fields) => visitor.visit_map(Fields { rest: fields.iter(), current: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// A number is text where text is expected: `model: 7` names a model.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.0.value {
            Value::Int(n) => visitor.visit_string(n.to_string()),
            Value::Float(n) => visitor.visit_string(n.to_string()),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    /// A key with nothing behind it is an empty section.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match &self.0.value {
            Value::Null => visitor.visit_map(Fields { rest: [].iter(), current: None }),
            // A list would be read as the fields in order.
            Value::List(_) => Err(de::Error::invalid_type(Unexpected::Seq, &"a mapping of keys")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.0.value {
            Value::Null => visitor.visit_seq(Items([].iter())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match &self.0.value {
            Value::Text(word) => visitor.visit_enum(Word(word)),
            _ => Err(de::Error::custom(format!("expected one of {}", variants.join(", ")))),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct map identifier ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, (usize, Node)>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some((number, node)) = self.0.next() else { return Ok(None) };
        seed.deserialize(Reader(node)).map(Some).map_err(|wrong| wrong.within(Step::Item(*number), &node.at))
    }
}

struct Fields<'de> {
    rest: std::slice::Iter<'de, super::tree::Field>,
    current: Option<&'de super::tree::Field>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        let Some(field) = self.rest.next() else { return Ok(None) };
        self.current = Some(field);
        let key: StrDeserializer<'_, Wrong> = field.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|wrong| wrong.within(Step::Key(field.key.clone()), &field.at))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let Some(field) = self.current.take() else { return Err(de::Error::custom("a value without a key")) };
        let at = if field.node.at == Place::Nowhere { &field.at } else { &field.node.at };
        seed.deserialize(Reader(&field.node)).map_err(|wrong| wrong.within(Step::Key(field.key.clone()), at))
    }
}

struct Word<'de>(&'de str);

impl<'de> EnumAccess<'de> for Word<'de> {
    type Error = Wrong;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Wrong> {
        let word: StrDeserializer<'_, Wrong> = self.0.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

impl<'de> VariantAccess<'de> for Word<'de> {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Wrong> {
        Err(de::Error::custom("expected a word"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Wrong> {
        Err(de::Error::custom("expected a word"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Wrong> {
        Err(de::Error::custom("expected a word"))
    }
}
