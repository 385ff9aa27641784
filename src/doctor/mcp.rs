//! MCP servers, and how what is listed of them stands.

use super::{Cause, Finding};
use crate::app;
use crate::config::{Config, McpPeer, McpWay};
use crate::domain::Redactor;
use crate::tools::mcp::{Peer, Standing};
use futures::future::join_all;

/// Every configured server: whether it greets, and which of its listed tools are what they were.
pub(super) async fn servers(config: &Config) -> Vec<Finding> {
    if config.mcp.is_empty() {
        return vec![Finding::ok("mcp", "configured", "no servers")];
    }
    let (peers, redactor) = match (app::mcp(config), app::redactor(config)) {
        (Ok(peers), Ok(redactor)) => (peers, redactor),
        (Err(error), _) => return vec![fail("mcp", error.to_string())],
        (_, Err(error)) => return vec![fail("mcp", error.to_string())],
    };
    let each = config.mcp.iter().zip(&peers).map(|(of, peer)| server(of, peer, &redactor));
    join_all(each).await.into_iter().flatten().collect()
}

fn fail(of: &str, why: String) -> Finding {
    Finding::fail(of, "load", Cause::DoesNotLoad, why, "mend `tools.mcp`")
}

async fn server(of: &McpPeer, peer: &Peer, redactor: &Redactor) -> Vec<Finding> {
    let name = format!("mcp {}", of.name);
    let clean = |text: &str| redactor.text(text).0.into_owned();
    let mut found = vec![];
    if let McpWay::Command { confinement, .. } = &of.way
        && let Some(gap) = confinement.gap()
    {
        let help = "run firewarden on a newer kernel";
        found.push(match confinement.required {
            true => Finding::fail(&name, "confined", Cause::Found, format!("`confine: required`, and {gap}"), help),
            false => Finding::warn(&name, "confined", gap, help),
        });
    }
    let offers = match peer.server.offers().await {
        Ok((offers, odd)) => {
            let unlisted = offers.iter().filter(|of| !peer.tools.iter().any(|listed| listed.tool == of.name)).count();
            let odd = if odd > 0 { format!(", {odd} that cannot be used") } else { String::new() };
            let about = format!("{} tools, {unlisted} of them not listed{odd}", offers.len());
            found.push(Finding::ok(&name, "answers", about));
            offers
        }
        Err(error) => {
            let help = "is its command or address right, and its credential?";
            found.push(Finding::fail(&name, "answers", Cause::Unreached, clean(error.text()), help));
            return found;
        }
    };
    found.extend(peer.standing(&offers).into_iter().map(|standing| tool(&name, &standing, &clean)));
    found
}

fn tool(of: &str, standing: &Standing, clean: &impl Fn(&str) -> String) -> Finding {
    match standing.available {
        true => Finding::ok(of, &standing.name, standing.effect.to_string()),
        false => Finding::fail(
            of,
            &standing.name,
            Cause::Found,
            format!("not offered: {}", clean(&standing.why)),
            format!("look at `firewarden tools offered {}`, then mend what is listed", standing.server),
        ),
    }
}
