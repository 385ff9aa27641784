//! From the description of a command and arguments to one run, and what its end means.

use super::{CommandCall, Confine, Tool};
use crate::edge::error::shorten;
use crate::edge::exec::{Confinement, Ended, Order, Status};
use crate::template::places;
use crate::tools::gist;
use crate::tools::spec::ToolError;
use serde_json::{Value, json};

/// Bytes of each output that are kept.
const OUTPUT_BYTES: usize = 1 << 20;
/// The names of a change in the environment of a command that makes it, or looks for it.
pub(super) const NAMES: [(&str, &str); 2] = [("ACTION_ID", "action_id"), ("ACTION_MARKER", "marker")];

/// The arguments of the command for what is `given`.
pub(super) fn argv(call: &CommandCall, given: &Value) -> Result<Vec<String>, ToolError> {
    let item = |(n, source): (usize, &String)| {
        places::argument(source, given).map_err(|e| ToolError::invalid(format!("argv[{n}]: {e}")))
    };
    call.argv.iter().enumerate().map(item).collect()
}

/// The command that `call` describes for what is `given`.
pub(super) fn order(tool: &Tool, call: &CommandCall, given: &Value) -> Result<Order, ToolError> {
    let call = &filled(call, given)?;
    let mut env: Vec<(String, String)> = call.env.clone().into_iter().collect();
    for (name, key) in NAMES {
        env.extend(given[key].as_str().map(|value| (name.to_owned(), value.to_owned())));
    }
    let mut secrets = vec![];
    for (name, written) in &call.secrets {
        secrets.push((name.clone(), tool.secret(written)?.1.clone()));
    }
    Ok(Order {
        argv: call.argv.clone(),
        env,
        secrets,
        confinement: confinement(call),
        total: tool.patience(),
        output_bytes: OUTPUT_BYTES,
    })
}

/// What the command may touch.
pub fn confinement(call: &CommandCall) -> Confinement {
    Confinement {
        read: call.read.iter().map(Into::into).collect(),
        write: call.write.iter().map(Into::into).collect(),
        network: call.network,
        required: call.confine == Confine::Required,
    }
}

/// The call with every template filled in, secrets still as references: what is run, and what it may
/// touch, follow from it alone.
pub(super) fn filled(call: &CommandCall, given: &Value) -> Result<CommandCall, ToolError> {
    let variable = |(name, source): (&String, &String)| {
        let value = places::argument(source, given).map_err(|e| ToolError::invalid(format!("env.{name}: {e}")))?;
        Ok((name.clone(), value))
    };
    let env = call.env.iter().map(variable).collect::<Result<_, ToolError>>()?;
    Ok(CommandCall { argv: argv(call, given)?, env, ..call.clone() })
}

/// What a person reads of a command that is [`filled`] before it runs: one argument in each pair of
/// quotes, then what it is given and what it may touch.
pub(super) fn shown(call: &CommandCall) -> String {
    let mut out = call.argv.iter().map(|word| json!(word).to_string()).collect::<Vec<_>>().join(" ");
    for (name, value) in &call.env {
        out.push_str(&format!("\n{name}={}", json!(value)));
    }
    for (name, written) in &call.secrets {
        out.push_str(&format!("\n(the variable {name} is the secret of {written})"));
    }
    for (what, paths) in [("reads", &call.read), ("writes", &call.write)] {
        if !paths.is_empty() {
            out.push_str(&format!("\n({what} {})", paths.join(", ")));
        }
    }
    out.push_str(if call.network { "\n(with the network)" } else { "\n(without the network)" });
    if call.confine == Confine::Required {
        out.push_str("\n(only where the kernel confines it)");
    }
    out
}

/// What it wrote: JSON where it is some, else text.
pub(super) fn data(ended: &Ended) -> Value {
    let stdout = ended.stdout.text();
    let stdout = match serde_json::from_str::<Value>(&stdout) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) if !ended.stdout.is_cut() => value,
        _ => json!(stdout),
    };
    let cut = ended.stdout.is_cut() || ended.stderr.is_cut();
    json!({"stdout": stdout, "stderr": ended.stderr.text(), "output_cut": cut})
}

/// How it ended, and what it complained about, in short.
pub(super) fn said(ended: &Ended) -> String {
    let (stderr, stdout) = (ended.stderr.text(), ended.stdout.text());
    let text = if stderr.trim().is_empty() { stdout } else { stderr };
    let last: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = last[last.len().saturating_sub(3)..].join(" ");
    match last.is_empty() {
        true => ended.status.to_string(),
        false => format!("{}: {}", ended.status, gist::quoted(&shorten(&last, 300), 300)),
    }
}

/// Whether it says that it did nothing.
pub(super) fn is_refusal(call: &CommandCall, status: Status) -> bool {
    matches!(status, Status::Exited(code) if call.refused.iter().any(|refused| i32::from(*refused) == code))
}
