//! Parts of requests. A conversation repeats itself, so its parts are shared between requests, and
//! each is written once.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// A part of a request: cheap to copy, and it never changes.
pub struct Part<T>(Arc<Inner<T>>);

struct Inner<T> {
    part: T,
    /// As we write it ourselves.
    json: OnceLock<String>,
    /// As a protocol has it, and which one.
    sent: OnceLock<(&'static str, Box<RawValue>)>,
}

impl<T> Part<T> {
    /// The part in the words of `protocol`, for which `write` is asked once. Another protocol's
    /// words are not kept beside them.
    pub fn in_words_of(&self, protocol: &'static str, write: impl Fn(&T) -> Box<RawValue>) -> Cow<'_, RawValue> {
        match self.0.sent.get_or_init(|| (protocol, write(self))) {
            (known, words) if *known == protocol => Cow::Borrowed(words),
            _ => Cow::Owned(write(self)),
        }
    }
}

impl<T: Serialize> Part<T> {
    /// The part as our own JSON; empty where it cannot be written.
    pub fn json(&self) -> &str {
        self.0.json.get_or_init(|| serde_json::to_string(&self.0.part).unwrap_or_default())
    }
}

impl<T> From<T> for Part<T> {
    fn from(part: T) -> Self {
        Self(Arc::new(Inner { part, json: OnceLock::new(), sent: OnceLock::new() }))
    }
}

impl<T> Deref for Part<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.part
    }
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: PartialEq> PartialEq for Part<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.part == other.0.part
    }
}

impl<T: fmt::Debug> fmt::Debug for Part<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.part.fmt(f)
    }
}

impl<T: Serialize> Serialize for Part<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.part.serialize(s)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        T::deserialize(d).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_part_is_written_once_for_the_protocol_that_asks_first() {
        let part = Part::from(vec![1, 2]);
        let written = Cell::new(0);
        let write = |part: &Vec<i32>| {
            written.set(written.get() + 1);
            RawValue::from_string(format!("{{\"n\":{}}}", part.len())).unwrap()
        };
        let copy = part.clone();
        for part in [&part, &copy, &part] {
            assert_eq!(part.in_words_of("a", write).get(), r#"{"n":2}"#);
        }
        assert_eq!(written.get(), 1);
        let other = |_: &Vec<i32>| RawValue::from_string("7".to_owned()).unwrap();
        assert_eq!(part.in_words_of("b", other).get(), "7");
        assert_eq!(part.in_words_of("a", write).get(), r#"{"n":2}"#);
        assert_eq!((part.json(), written.get()), ("[1,2]", 1));
    }

    #[test]
    fn a_part_reads_and_compares_as_what_it_holds() {
        let part = Part::from(vec!["a".to_owned()]);
        assert_eq!(serde_json::to_string(&part).unwrap(), r#"["a"]"#);
        assert_eq!(serde_json::from_str::<Part<Vec<String>>>(r#"["a"]"#).unwrap(), part);
        assert_eq!((part.len(), format!("{part:?}").as_str()), (1, r#"["a"]"#));
    }
}
