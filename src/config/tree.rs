//! The configuration as written: YAML with the place of each value, overlaid with variables and
//! flags.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// Keys and items deeper than this are no configuration of ours.
const DEPTH: usize = 16;
/// Items of one list that a variable can name.
const ITEMS: usize = 1000;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Place {
    /// Nowhere: a default.
    #[default]
    Nowhere,
    /// In the file, on this line.
    Line(u64),
    /// In a variable of the environment.
    Variable(String),
    /// In a flag of the command line.
    Flag(String),
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A key of a mapping.
    Key(String),
    /// An item of a list, from 0.
    Item(usize),
}

/// Writes a path as people write it, `routes[0].name`.
pub fn path_text(path: &[Step]) -> String {
    path.iter().fold(String::new(), |mut text, step| {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Item(number) => text.push_str(&format!("[{number}]")),
        }
        text
    })
}

/// A value.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list; each item keeps its number when others are taken out.
    List(Vec<(usize, Node)>),
    /// A mapping, in the order of the file.
    Map(Vec<Field>),
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub at: Place,
}

/// One key of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The key.
    pub key: String,
    /// Where the key was written.
    pub at: Place,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// Parses a YAML document.
    ///
    /// # Errors
    /// When it is no YAML.
    pub fn parse(text: &str) -> Result<Self, serde_saphyr::Error> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        // `y`, `no` and `on` are words: only true and false are true and false.
        let options = serde_saphyr::options! { strict_booleans: true };
        serde_saphyr::from_str_with_options::<Self>(text, options)
    }

    /// A value from a variable or flag: a word, a number, `[…]` or `{…}`.
    pub fn from_word(word: &str, at: &Place) -> Self {
        let structured = word.starts_with(['[', '{']);
        let mut node = match (structured, word.trim()) {
            (true, text) => Self::parse(text).unwrap_or_else(|_| Self::text(word)),
            (false, "true") => Value::Bool(true).into(),
            (false, "false") => Value::Bool(false).into(),
            (false, "null" | "~") => Self::default(),
            (false, text) => match (text.parse::<i64>(), text.parse::<f64>()) {
                // A leading zero or sign is part of a text: `007` is no seven.
                (Ok(number), _) if number.to_string() == text => Value::Int(number).into(),
                (Err(_), Ok(number)) if text.starts_with(|c: char| c.is_ascii_digit()) => Value::Float(number).into(),
                _ => Self::text(word),
            },
        };
        node.move_to(at);
        node
    }

    /// Text, written nowhere.
    pub fn text(text: impl Into<String>) -> Self {
        Value::Text(text.into()).into()
    }

    /// All of it stands at `at`.
    pub fn move_to(&mut self, at: &Place) {
        self.at = at.clone();
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|(_, node)| node.move_to(at)),
            Value::Map(fields) => fields.iter_mut().for_each(|field| {
                field.at = at.clone();
                field.node.move_to(at);
            }),
            _ => {}
        }
    }

    /// The value at `path`.
    pub fn get(&self, path: &[Step]) -> Option<&Self> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        match (&self.value, first) {
            (Value::Map(fields), Step::Key(key)) => fields.iter().find(|f| &f.key == key)?.node.get(rest),
            (Value::List(items), Step::Item(number)) => items.iter().find(|(n, _)| n == number)?.1.get(rest),
            _ => None,
        }
    }

    /// Where `path` was written: the value, or the nearest thing around it.
    pub fn place(&self, path: &[Step]) -> Place {
        (0..=path.len())
            .rev()
            .filter_map(|n| self.get(path.get(..n)?))
            .map(|node| node.at.clone())
            .find(|at| *at != Place::Nowhere)
            .unwrap_or_default()
    }

    /// Puts `node` at `path`, making what stands on the way.
    ///
    /// # Errors
    /// When something on the way is neither mapping nor list, with the path up to there.
    pub fn set(&mut self, path: &[Step], node: Self) -> Result<(), String> {
        let Some((first, rest)) = path.split_first() else {
            *self = node;
            return Ok(());
        };
        if path.len() > DEPTH {
            return Err("is deeper than any key".into());
        }
        if self.value == Value::Null {
            self.at = node.at.clone();
            self.value = match first {
                Step::Key(_) => Value::Map(vec![]),
                Step::Item(_) => Value::List(vec![]),
            };
        }
        match (&mut self.value, first) {
            (Value::Map(fields), Step::Key(key)) => {
                if !fields.iter().any(|f| &f.key == key) {
                    fields.push(Field { key: key.clone(), at: node.at.clone(), node: Self::default() });
                }
                match fields.iter_mut().find(|f| &f.key == key) {
                    Some(field) => field.node.set(rest, node),
                    None => Ok(()),
                }
            }
            (Value::List(items), Step::Item(number)) => {
                if *number > items.len() || *number >= ITEMS {
                    return Err(format!("names item {number} of a list that has {} items", items.len()));
                }
                if !items.iter().any(|(n, _)| n == number) {
                    items.push((*number, Self { at: node.at.clone(), ..Self::default() }));
                }
                match items.iter_mut().find(|(n, _)| n == number) {
                    Some((_, item)) => item.set(rest, node),
                    None => Ok(()),
                }
            }
            (Value::List(_), Step::Key(key)) => Err(format!("names `{key}` where a list stands; use a number")),
            (Value::Map(_), Step::Item(number)) => Err(format!("names item {number} where a mapping stands")),
            _ => Err("goes below a plain value".into()),
        }
    }

    /// Takes out what stands at `path`; the other items of a list keep their numbers.
    pub fn remove(&mut self, path: &[Step]) {
        let Some((last, way)) = path.split_last() else {
            *self = Self::default();
            return;
        };
        let Some(around) = self.get_mut(way) else { return };
        match (&mut around.value, last) {
            (Value::Map(fields), Step::Key(key)) => fields.retain(|f| &f.key != key),
            (Value::List(items), Step::Item(number)) => items.retain(|(n, _)| n != number),
            _ => {}
        }
    }

    fn get_mut(&mut self, path: &[Step]) -> Option<&mut Self> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        match (&mut self.value, first) {
            (Value::Map(fields), Step::Key(key)) => fields.iter_mut().find(|f| &f.key == key)?.node.get_mut(rest),
            (Value::List(items), Step::Item(number)) => items.iter_mut().find(|(n, _)| n == number)?.1.get_mut(rest),
            _ => None,
        }
    }

    /// The same as JSON, without places.
    pub fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Int(n) => (*n).into(),
            Value::Float(n) => (*n).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(|(_, node)| node.json()).collect(),
            Value::Map(fields) => {
                fields.iter().map(|f| (f.key.clone(), f.node.json())).collect::<serde_json::Map<_, _>>().into()
            }
        }
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        Self { value, at: Place::Nowhere }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(d)?;
        let line = spanned.referenced.line();
        Ok(Self { value: spanned.value, at: Place::Line(line) })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = vec![];
        while let Some(node) = items.next_element::<Node>()? {
            list.push((list.len(), node));
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = vec![];
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let at = Place::Line(key.referenced.line());
            fields.push(Field { key: key.value, at, node: entries.next_value()? });
        }
        Ok(Value::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Step {
        Step::Key(text.into())
    }

    #[test]
    fn each_value_knows_its_line() {
        let tree =
            Node::parse("server:\n  listen: 127.0.0.1:1\nroutes:\n  - name: a\n    tools: [x,\n      y]\n").unwrap();
        assert_eq!(tree.place(&[key("server"), key("listen")]), Place::Line(2));
        assert_eq!(tree.place(&[key("routes"), Step::Item(0), key("tools"), Step::Item(1)]), Place::Line(6));
        assert_eq!(tree.place(&[key("routes"), Step::Item(0), key("absent")]), Place::Line(4));
        assert_eq!(
            tree.json(),
            serde_json::json!({"server": {"listen": "127.0.0.1:1"}, "routes": [{"name": "a", "tools": ["x", "y"]}]})
        );
    }

    #[test]
    fn an_empty_file_is_an_empty_configuration() {
        for text in ["", "\n\n", "# nothing\n  # here\n", "---\n", "{}"] {
            let tree = Node::parse(text).unwrap();
            assert!(matches!(&tree.value, Value::Null) || tree.value == Value::Map(vec![]), "{text:?}");
        }
    }

    #[test]
    fn words_become_what_they_look_like() {
        let at = Place::Variable("X".into());
        for (word, json) in [
            ("true", "true"),
            ("12", "12"),
            ("0.5", "0.5"),
            ("007", "\"007\""),
            ("-", "\"-\""),
            ("inf", "\"inf\""),
            ("30s", "\"30s\""),
            ("env:A", "\"env:A\""),
            ("[a, b]", r#"["a","b"]"#),
            ("{a: 1}", r#"{"a":1}"#),
            ("[broken", "\"[broken\""),
            ("null", "null"),
        ] {
            assert_eq!(Node::from_word(word, &at).json().to_string(), json, "{word}");
        }
    }

    #[test]
    fn a_value_is_set_anywhere_but_below_a_word() {
        let mut tree = Node::parse("a: {b: 1}\nl: [{x: 1}]").unwrap();
        tree.set(&[key("a"), key("c"), key("d")], Node::text("v")).unwrap();
        tree.set(&[key("l"), Step::Item(0), key("x")], Node::text("w")).unwrap();
        tree.set(&[key("l"), Step::Item(1), key("x")], Node::text("z")).unwrap();
        assert_eq!(tree.json(), serde_json::json!({"a": {"b": 1, "c": {"d": "v"}}, "l": [{"x": "w"}, {"x": "z"}]}));
        assert!(tree.set(&[key("a"), key("b"), key("c")], Node::text("v")).is_err());
        assert!(tree.set(&[key("l"), Step::Item(9)], Node::text("v")).is_err());
        assert!(tree.set(&[key("l"), key("x")], Node::text("v")).is_err());
        tree.remove(&[key("l"), Step::Item(0)]);
        assert_eq!(tree.get(&[key("l"), Step::Item(1), key("x")]).unwrap().json(), "z");
    }
}
