//! Which built-in functions policies have. What reads a clock, rolls a die, asks the network or
//! grows without bound is replaced, whether a check saw it or not.

use regorus::Value;
use regorus::unstable::BUILTINS;

/// Functions that policies do not have, with the number of their arguments.
pub(in crate::policy) const BANNED: &[(&str, u8)] = &[
    ("time.now_ns", 0),
    ("rand.intn", 2),
    ("uuid.rfc4122", 1),
    ("opa.runtime", 0),
    ("http.send", 1),
    ("net.lookup_ip_addr", 1),
    ("net.cidr_expand", 1),
    ("trace", 1),
];

/// Longest array that `numbers.range` makes.
const MAX_RANGE: i128 = 10_000;

/// Whether `name` is a function that policies have.
pub(in crate::policy) fn is_builtin(name: &str) -> bool {
    !BANNED.iter().any(|(banned, _)| *banned == name)
        && (name == "print" || name == "set" || BUILTINS.contains_key(name))
}

/// Every function that the interpreter brings, for suggestions.
pub(in crate::policy) fn builtins() -> impl Iterator<Item = &'static str> {
    BUILTINS.keys().copied().filter(|name| is_builtin(name))
}

/// Replaces the banned and the unbounded.
pub(super) fn confine(engine: &mut regorus::Engine) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    for (name, arguments) in BANNED {
        let refuse = move |_: Vec<Value>| {
            Err(RangeError(format!("{name} is not available to policies: everything they may know is in `input`"))
                .into())
        };
        engine.add_extension((*name).into(), *arguments, Box::new(refuse))?;
    }
    engine.add_extension("numbers.range".into(), 2, Box::new(|args: Vec<Value>| Ok(range(&args)?)))?;
    engine.add_extension("numbers.range_step".into(), 3, Box::new(|args: Vec<Value>| Ok(range(&args)?)))?;
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct RangeError(String);

/// The whole numbers from the first argument to the second, both included, by the third.
fn range(args: &[Value]) -> Result<Value, RangeError> {
    let whole = |n: usize| match args.get(n).map(Value::as_i64) {
        Some(Ok(number)) => Ok(i128::from(number)),
        _ => Err(RangeError("numbers.range wants whole numbers".into())),
    };
    let (from, to) = (whole(0)?, whole(1)?);
    let step = if args.len() > 2 { whole(2)? } else { 1 };
    if step < 1 {
        return Err(RangeError("numbers.range_step wants a step of 1 or more".into()));
    }
    let length = (to - from).abs() / step + 1;
    if length > MAX_RANGE {
        return Err(RangeError(format!("numbers.range would make more than {MAX_RANGE} numbers")));
    }
    let sign = if to < from { -1 } else { 1 };
    let numbers = (0..length).map(|n| Value::from(from + sign * step * n));
    Ok(Value::from(numbers.collect::<Vec<_>>()))
}
