//! What can be wrong with routes.

use super::{Part, Problem};
use crate::app;
use crate::config::Config;
use crate::engine::routes::Shadowed;
use crate::template::places::names;
use crate::tools::mcp::{Listed, offer};
use std::collections::BTreeSet;

pub(super) fn check(config: &Config) -> Part {
    let mut part = Part { name: "routes", about: format!("{} and `default`", config.routes.len()), problems: vec![] };
    match app::routes(config) {
        Err(error) => part.problems.push(Problem::new(error, "")),
        Ok(routes) => part.problems.extend(routes.shadowed().into_iter().map(|Shadowed { route, by }| {
            let what = format!("no alert reaches route `{route}`: `{by}`, which stands before it, takes all of them");
            only_found(what, "put it first, narrow the earlier one, or take it out")
        })),
    }
    for route in &config.routes {
        if let Some(template) = route.pulls.as_ref().and_then(|pulls| pulls.branch.as_ref())
            && names(template).is_ok_and(|names| !names.contains("id"))
        {
            let what = format!("route `{}` gives several incidents one branch: `{template}`", route.name);
            let help = "put `{{ id }}` into github.branch; a branch that holds something else is left as it is";
            part.problems.push(only_found(what, help));
        }
    }
    if let Ok(manifests) = app::manifests(config.places.tools.as_deref()) {
        let known: BTreeSet<&str> = manifests
            .specs()
            .flat_map(|(_, spec)| spec.tags.iter().map(String::as_str).chain([spec.name.as_str()]))
            .collect();
        let listed = |word: &str| {
            config.mcp.iter().any(|of| {
                let is = |tool: &Listed| {
                    tool.tags.iter().any(|tag| tag == word) || offer::name(&of.name, &tool.tool) == word
                };
                of.tools.iter().any(is)
            })
        };
        for route in &config.routes {
            for tool in route.tools.iter().filter(|tool| !known.contains(tool.as_str()) && !listed(tool)) {
                let what = format!("route `{}` names `{tool}`, which is no tool and no tag of one", route.name);
                part.problems.push(Problem::new(what, "`firewarden tools list` shows what there is"));
            }
        }
    }
    part
}

/// What is told and stops no start.
fn only_found(what: String, help: &str) -> Problem {
    Problem { only_found: true, ..Problem::new(what, help) }
}
