//! Values in the places that a manifest gives them: in an address, a header, JSON, an argument. What
//! a value holds never makes it leave its place.

use super::FUEL;
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value as Given};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use url::Url;

/// Bytes of one text.
const BYTES: usize = 64 << 10;

/// Why a template gives no text. Says nothing of the values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlaceError(String);

/// Where values stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In words for people, or in JSON, which is quoted later.
    Words,
    /// Between the slashes of an address.
    Path,
    /// Behind its question mark.
    Query,
    /// In a header.
    Header,
    /// In one argument or variable of a process.
    Argument,
}

/// Words for people.
///
/// # Errors
/// When `source` is no template, names what is not given, or gives too much.
pub fn words(source: &str, given: &Value) -> Result<String, PlaceError> {
    render(Place::Words, source, given)
}

/// The value of a header.
///
/// # Errors
/// As [`words`], and when a value holds a control character.
pub fn header(source: &str, given: &Value) -> Result<String, PlaceError> {
    render(Place::Header, source, given)
}

/// One argument of a process, or the value of one of its variables. Never more than one, whatever it
/// holds; and no option or file (`-x`, `@x`) where the template does not begin with one.
///
/// # Errors
/// As [`words`].
pub fn argument(source: &str, given: &Value) -> Result<String, PlaceError> {
    let text = render(Place::Argument, source, given)?;
    let literal = |mark: char| source.trim_start().starts_with(mark);
    for (mark, what) in [('-', "an option"), ('@', "a file")] {
        if text.trim_start().starts_with(mark) && !literal(mark) {
            return Err(PlaceError(format!("a value makes the argument {what}: it begins with `{mark}`")));
        }
    }
    Ok(text)
}

/// Whether the name of an option would come from a value: `-{{ x }}`, `--{{ x }}`.
pub fn names_option(source: &str) -> bool {
    let rest = source.trim_start();
    rest.starts_with('-') && rest.trim_start_matches('-').starts_with("{{")
}

/// An address. Scheme, host and port are literal; values are percent-encoded.
///
/// # Errors
/// As [`words`]; when the address is not as its reader would write it, a value of `..` for instance;
/// and when a part of the path would be empty.
pub fn address(source: &str, given: &Value) -> Result<Url, PlaceError> {
    let (origin, path, query) = parts(source)?;
    let path = render(Place::Path, path, given)?;
    let query = query.map(|query| render(Place::Query, query, given)).transpose()?;
    let slash = if path.is_empty() { "/" } else { "" };
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    let text = format!("{origin}{slash}{path}{query}");
    let url = Url::parse(&text).map_err(|e| PlaceError(format!("it is no address: {e}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(PlaceError("it carries a user; name a credential under `secrets`".into()));
    }
    match url.as_str() == text {
        true => Ok(url),
        false => Err(PlaceError(
            "it leads elsewhere than it says: no value may be `.` or `..`, and what is literal is written \
             percent-encoded and in lower case"
                .into(),
        )),
    }
}

/// JSON. A text that is one placeholder keeps the type of its value; names of keys are literal.
///
/// # Errors
/// As [`words`].
pub fn json(source: &Value, given: &Value) -> Result<Value, PlaceError> {
    Ok(match source {
        Value::String(text) => match whole(text) {
            Some(expression) => value(expression, given)?,
            None => Value::String(words(text, given)?),
        },
        Value::Array(items) => Value::Array(items.iter().map(|item| json(item, given)).collect::<Result<_, _>>()?),
        Value::Object(map) => {
            let mut out = serde_json::Map::new();
            for (key, item) in map {
                out.insert(key.clone(), json(item, given)?);
            }
            Value::Object(out)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => source.clone(),
    })
}

/// The names that `source` needs.
///
/// # Errors
/// When it is no template.
pub fn names(source: &str) -> Result<BTreeSet<String>, PlaceError> {
    let env = environment(Place::Words);
    let template = env.template_from_str(source).map_err(|e| explain(&e))?;
    Ok(template.undeclared_variables(false).into_iter().collect())
}

/// Whether nothing in `source` is a template.
pub fn is_literal(source: &str) -> bool {
    !["{{", "{%", "{#"].iter().any(|mark| source.contains(mark))
}

fn render(place: Place, source: &str, given: &Value) -> Result<String, PlaceError> {
    let env = environment(place);
    let text = env.render_str(source, Serde(given)).map_err(|e| explain(&e))?;
    match text.len() > BYTES {
        true => Err(PlaceError(format!("it gives more than {BYTES} bytes"))),
        false => Ok(text),
    }
}

/// What an expression is, in its own type.
fn value(expression: &str, given: &Value) -> Result<Value, PlaceError> {
    let env = environment(Place::Words);
    let found = env.compile_expression(expression).and_then(|e| e.eval(Serde(given))).map_err(|e| explain(&e))?;
    if found.is_undefined() {
        return Err(PlaceError(format!("`{}` is not given", expression.trim())));
    }
    serde_json::to_value(&found).map_err(|e| PlaceError(format!("it is no JSON: {e}")))
}

/// What stands in a text that is one placeholder.
fn whole(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{") && !inner.contains("}}")).then_some(inner)
}

/// Origin, path and query of an address that is a template.
fn parts(source: &str) -> Result<(&str, &str, Option<&str>), PlaceError> {
    let scheme = ["https://", "http://"].into_iter().find(|scheme| source.starts_with(scheme));
    let Some(scheme) = scheme else { return Err(PlaceError("it must begin with https:// or http://".into())) };
    let host = &source[scheme.len()..];
    let end = scheme.len() + host.find(['/', '?', '#', '{']).unwrap_or(host.len());
    let (origin, rest) = source.split_at(end);
    if rest.starts_with('{') || end == scheme.len() {
        return Err(PlaceError("scheme, host and port are written out; values stand in path and query only".into()));
    }
    let mark = outside(rest).find(|at| rest[*at..].starts_with(['?', '#']));
    match mark {
        Some(at) if rest[at..].starts_with('#') => Err(PlaceError("what follows `#` is never sent".into())),
        Some(at) => {
            let query = &rest[at + 1..];
            match outside(query).any(|at| query[at..].starts_with('#')) {
                true => Err(PlaceError("what follows `#` is never sent".into())),
                false => Ok((origin, &rest[..at], Some(query))),
            }
        }
        None => Ok((origin, rest, None)),
    }
}

/// The places of `text` that stand in no placeholder.
fn outside(text: &str) -> impl Iterator<Item = usize> {
    let mut until = 0;
    text.char_indices().filter_map(move |(at, _)| {
        if at < until {
            return None;
        }
        let closing =
            [("{{", "}}"), ("{%", "%}"), ("{#", "#}")].into_iter().find(|(open, _)| text[at..].starts_with(open));
        match closing {
            Some((_, close)) => {
                until = text[at..].find(close).map_or(text.len(), |end| at + end + close.len());
                None
            }
            None => Some(at),
        }
    })
}

fn environment<'a>(place: Place) -> Environment<'a> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_fuel(Some(FUEL));
    env.set_debug(true);
    env.set_formatter(move |out, _, value| {
        let text = written(place, value)?;
        out.write_str(&text).map_err(|_| refused("it cannot be written"))
    });
    env
}

fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

fn written(place: Place, value: &Given) -> Result<String, Error> {
    if place == Place::Words {
        return Ok(value.to_string());
    }
    if !matches!(value.kind(), ValueKind::String | ValueKind::Number | ValueKind::Bool) {
        return Err(refused("only a text, a number or true and false can stand there"));
    }
    let text = value.to_string();
    match place {
        Place::Path if text.is_empty() => Err(refused("a part of the path is empty")),
        Place::Path | Place::Query => Ok(encoded(&text)),
        Place::Header if text.chars().any(char::is_control) => Err(refused("a value holds what no header can")),
        Place::Argument if text.contains('\0') => Err(refused("a value holds what no argument can")),
        Place::Words | Place::Header | Place::Argument => Ok(text),
    }
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

fn explain(error: &Error) -> PlaceError {
    let detail = || super::fence::inline(&error.detail().map_or_else(|| error.kind().to_string(), str::to_owned), 200);
    PlaceError(match error.kind() {
        ErrorKind::UndefinedError => {
            let range = error.range().unwrap_or(0..0);
            let name = error.template_source().and_then(|source| source.get(range)).unwrap_or_default();
            format!("`{}` is not given", super::fence::inline(name, 80))
        }
        ErrorKind::SyntaxError => format!("it is no template: {}", detail()),
        ErrorKind::OutOfFuel => "it takes too long".to_owned(),
        _ => detail(),
    })
}

#[cfg(test)]
mod tests;
