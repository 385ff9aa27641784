//! Regular expressions for policies, compiled once. The interpreter's own functions compile their
//! pattern at each call, which costs more than all the rest of a decision.

use regex::{Regex, RegexBuilder};
use regorus::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Largest compiled pattern, in bytes.
const MAX_COMPILED_BYTES: usize = 1024 * 1024;
/// Most patterns that are kept. Patterns stand in rules and data, so a sound bundle stays below.
const MAX_KEPT: usize = 1000;
/// Most finds and most parts that one call may give.
const MAX_FOUND: usize = 10_000;

/// Compiles a pattern as policies will use it. The error is one line.
pub(in crate::policy) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(MAX_COMPILED_BYTES).build().map_err(|error| {
        let text = error.to_string();
        text.lines().last().unwrap_or("").trim().trim_start_matches("error: ").to_owned()
    })
}

/// Patterns by their text. A pattern is shared and never cloned: a clone begins without the automaton
/// that matching builds as it goes, and building it costs more than the match.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<HashMap<String, Arc<Regex>>>>);

impl Kept {
    fn get(&self, pattern: &str) -> Result<Arc<Regex>, Failed> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(regex) = kept.get(pattern) {
            return Ok(regex.clone());
        }
        let regex = compile(pattern).map_err(|why| Failed(format!("`{pattern}` is no regular expression: {why}")))?;
        let regex = Arc::new(regex);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

type Function = fn(&Kept, &[Value]) -> Result<Value, Failed>;

/// Replaces `regex.match`, `find_n`, `replace` and `split`.
pub(super) fn replace_functions(engine: &mut regorus::Engine) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let kept = Kept::default();
    let functions: [(&str, u8, Function); 4] = [
        ("regex.match", 2, matches),
        ("regex.find_n", 3, find),
        ("regex.replace", 3, replace),
        ("regex.split", 2, split),
    ];
    for (name, arguments, function) in functions {
        let kept = kept.clone();
        let call = move |args: Vec<Value>| Ok(function(&kept, &args).map_err(|e| Failed(format!("{name}: {e}")))?);
        engine.add_extension(name.into(), arguments, Box::new(call))?;
    }
    Ok(())
}

fn text(args: &[Value], n: usize) -> Result<&str, Failed> {
    match args.get(n) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(Failed(format!("argument {} must be a text", n + 1))),
    }
}

fn matches(kept: &Kept, args: &[Value]) -> Result<Value, Failed> {
    Ok(Value::from(kept.get(text(args, 0)?)?.is_match(text(args, 1)?)))
}

/// At most as many finds as the third argument says; a negative number means all.
fn find(kept: &Kept, args: &[Value]) -> Result<Value, Failed> {
    let wanted =
        args.get(2).and_then(|n| n.as_i64().ok()).ok_or_else(|| Failed("argument 3 must be a number".into()))?;
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let regex = kept.get(text(args, 0)?)?;
    let found: Vec<Value> =
        regex.find_iter(text(args, 1)?).take(wanted.min(MAX_FOUND + 1)).map(|m| m.as_str().into()).collect();
    list(found)
}

fn replace(kept: &Kept, args: &[Value]) -> Result<Value, Failed> {
    Ok(Value::from(kept.get(text(args, 1)?)?.replace_all(text(args, 0)?, text(args, 2)?).into_owned()))
}

fn split(kept: &Kept, args: &[Value]) -> Result<Value, Failed> {
    let parts: Vec<Value> =
        kept.get(text(args, 0)?)?.split(text(args, 1)?).take(MAX_FOUND + 1).map(Value::from).collect();
    list(parts)
}

fn list(items: Vec<Value>) -> Result<Value, Failed> {
    match items.len() {
        0..=MAX_FOUND => Ok(Value::from(items)),
        _ => Err(Failed(format!("more than {MAX_FOUND} results"))),
    }
}
