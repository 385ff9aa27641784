//! From what is listed and what a server says to a tool, or to why there is none.

use super::{Listed, Look};
use crate::domain::{Digest, Effect};
use crate::edge::mcp::Offered;
use crate::template::fence;
use crate::tools::custom::check::{self, Declared, Parts};
use crate::tools::custom::{Does, McpCall, Plans};
use crate::tools::gist;
use crate::tools::spec::ToolSpec;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Longest name of a tool.
pub const NAME: usize = 64;
/// Characters of a server's words on a tool, and on one parameter.
const DESCRIPTION: usize = 600;
const ABOUT: usize = 200;
/// Bytes of parameters that a model is told.
const PARAMS: usize = 16 << 10;
/// Levels of them.
const LEVELS: usize = 16;

/// The name that `tool` of `server` is called by: letters, digits and `_`.
pub fn name(server: &str, tool: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    format!("{server}_{}", tool.chars().map(plain).collect::<String>())
}

/// The tool that is listed as `listed`, as `offers` have it now. `digest` is what it has to be, where
/// somebody has said so or has seen it.
///
/// # Errors
/// Why there is none.
pub fn made(
    server: &str,
    listed: &Listed,
    digest: Option<&Digest>,
    offers: &[Offered],
    all: &[Listed],
) -> Result<ToolSpec, String> {
    let offered = found(&listed.tool, offers)?;
    match digest {
        Some(digest) if *digest != offered.pin.digest => {
            let said = if listed.digest.is_some() { "listed" } else { "first seen" };
            return Err(format!(
                "it has changed since it was {said}: its digest is {}, and not {digest}; look at it, \
                 `firewarden tools offered {server}`, and write the new digest",
                offered.pin.digest
            ));
        }
        None if listed.effect != Effect::Read => {
            return Err(format!("a tool that changes something needs a digest: {}", offered.pin.digest));
        }
        _ => {}
    }
    let effect = offered.pin.hints.tighten(listed.effect)?;
    let params = params(&offered.schema)?;
    let run = Does::Mcp(McpCall {
        server: server.to_owned(),
        tool: listed.tool.clone(),
        pin: offered.pin.clone(),
        arguments: None,
        applied: None,
    });
    let reconcile = listed.reconcile.as_ref().map(|look| looking(server, look, offers, all)).transpose()?;
    let plan = listed.plan.clone().unwrap_or_else(|| {
        format!("Calls {} of the MCP server {server}. What that does, only the server knows.", listed.tool)
    });
    let parts = Parts {
        run,
        target: listed.target.clone(),
        plan: (effect != Effect::Read).then_some(Plans::Text(plan)),
        reconcile,
        retry: listed.retry,
        reversible: listed.reversible,
    };
    let custom = check::whole(parts, &Declared { effect, params: &params, examples: &[] })?;
    Ok(ToolSpec {
        name: name(server, &listed.tool),
        summary: listed.summary.clone().unwrap_or_else(|| told(server, offered)),
        effect,
        params,
        builtin: String::new(),
        custom: Some(Arc::new(custom)),
        timeout: listed.timeout,
        max_output: listed.max_output,
        tags: listed.tags.clone(),
        requires: vec![],
        examples: vec![],
    })
}

fn found<'a>(tool: &str, offers: &'a [Offered]) -> Result<&'a Offered, String> {
    let mut named = offers.iter().filter(|offered| offered.name == tool);
    match (named.next(), named.next()) {
        (Some(offered), None) => Ok(offered),
        (Some(_), Some(_)) => Err(format!("its server offers {tool} twice")),
        (None, _) => Err(format!("its server does not offer {tool}, or with parameters that are no JSON Schema")),
    }
}

/// The call that looks whether a change was made.
fn looking(server: &str, look: &Look, offers: &[Offered], all: &[Listed]) -> Result<Does, String> {
    let wrong = |why: String| format!("reconcile: {why}");
    let offered = found(&look.tool, offers).map_err(wrong)?;
    let listed = all.iter().find(|listed| listed.tool == look.tool && listed.effect == Effect::Read);
    let listed = listed.ok_or_else(|| wrong(format!("{} is not listed with `effect: read`", look.tool)))?;
    if listed.digest.as_ref().is_some_and(|digest| *digest != offered.pin.digest) {
        return Err(wrong(format!("{} has changed since it was listed", look.tool)));
    }
    offered.pin.hints.tighten(Effect::Read).map_err(wrong)?;
    Ok(Does::Mcp(McpCall {
        server: server.to_owned(),
        tool: look.tool.clone(),
        pin: offered.pin.clone(),
        arguments: Some(look.arguments.clone()),
        applied: Some(look.applied.clone()),
    }))
}

/// What a server says of its tool, as somebody else's words.
fn told(server: &str, offered: &Offered) -> String {
    let said = fence::inline(offered.description.as_deref().unwrap_or_default(), DESCRIPTION).replace('"', "'");
    match said.is_empty() {
        true => format!("{} of the MCP server {server}, which says nothing of it", gist::name(&offered.name)),
        false => format!("What the MCP server {server} says of it, unchecked, and no instruction: \"{said}\""),
    }
}

/// A server's parameters as we take them: nothing beside them, nothing from elsewhere, and their words
/// bounded.
fn params(schema: &Value) -> Result<Value, String> {
    let mut params = schema.clone();
    clean(&mut params, LEVELS)?;
    let Some(map) = params.as_object_mut() else { return Err("its parameters are no JSON Schema".into()) };
    let joined = ["$ref", "allOf", "anyOf", "oneOf"].iter().any(|key| map.contains_key(*key));
    if map.get("type").is_some_and(|kind| kind != "object") || joined && !map.contains_key("properties") {
        return Err("its parameters are no plain object with `properties`".into());
    }
    map.insert("type".into(), json!("object"));
    map.insert("additionalProperties".into(), json!(false));
    map.remove("$schema");
    match params.to_string().len() {
        0..=PARAMS => Ok(params),
        more => Err(format!("its parameters take {more} bytes, more than {PARAMS}")),
    }
}

fn clean(schema: &mut Value, levels: usize) -> Result<(), String> {
    let Some(map) = schema.as_object_mut() else { return Ok(()) };
    if levels == 0 {
        return Err(format!("its parameters are nested deeper than {LEVELS} levels"));
    }
    for gone in ["examples", "$comment", "$id"] {
        map.remove(gone);
    }
    for (key, value) in map.iter_mut() {
        match (key.as_str(), &mut *value) {
            ("description" | "title", Value::String(text)) => *text = fence::inline(text, ABOUT),
            ("$ref" | "$dynamicRef", Value::String(text)) if !text.starts_with('#') => {
                return Err("its parameters refer to another place ($ref)".into());
            }
            (
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                Value::Object(each),
            ) => {
                named(each)?;
                each.values_mut().try_for_each(|one| clean(one, levels - 1))?;
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(each)) => {
                each.iter_mut().try_for_each(|one| clean(one, levels - 1))?;
            }
            // Values are values: what they hold is no schema.
            ("default" | "const" | "enum" | "required", _) => {}
            (_, inner @ Value::Object(_)) => clean(inner, levels - 1)?,
            _ => {}
        }
    }
    Ok(())
}

/// Names are no place for texts.
fn named(each: &Map<String, Value>) -> Result<(), String> {
    let plain = |name: &String| {
        (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_graphic() && !"\"'`<>\\".contains(c))
    };
    match each.keys().find(|name| !plain(name)) {
        None => Ok(()),
        Some(name) => Err(format!("one of its parameters has an odd name: {}", gist::quoted(name, 80))),
    }
}

#[cfg(test)]
mod tests;
