//! Tools of MCP servers. The configuration lists them with their effect and the digest of what somebody
//! looked at; what is not listed, or is another thing than it was, does not exist here.
//!
//! - here: what is listed, and what of it stands at the moment.
//! - [`offer`]: from what is listed and what a server says to a tool, or to why there is none; pure.

pub mod offer;

use super::custom::check::WrittenRetry;
use super::custom::{self, Aim, Applied, Doors};
use super::registry::Entry;
use super::spec::ToolSpec;
use crate::domain::{Digest, Effect};
use crate::edge::McpServer;
use crate::edge::error::shorten;
use crate::edge::mcp::Offered;
use arc_swap::ArcSwap;
use futures::future::join_all;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// How long the first look at a server may take; whoever waits for it goes on without it then.
const FIRST: Duration = Duration::from_secs(12);
/// How often a server is looked at again, and at most.
const AGAIN: Duration = Duration::from_secs(60);
const SELDOM: Duration = Duration::from_secs(1);
/// Bytes of a reason.
const REASON: usize = 500;

/// A tool as the configuration lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The server's name for it.
    pub tool: String,
    /// What it does to the world.
    pub effect: Effect,
    /// What it has to be; `None`, of a tool that looks, is what it is when it is first seen.
    pub digest: Option<Digest>,
    /// What we say of it instead of the server.
    pub summary: Option<String>,
    /// Words that routes and policies choose it by.
    pub tags: Vec<String>,
    /// What it touches.
    pub target: Option<Aim>,
    /// What a person is told before it is called.
    pub plan: Option<String>,
    /// How one looks whether it was done.
    pub reconcile: Option<Look>,
    /// What may happen after doubt.
    pub retry: WrittenRetry,
    /// It can be taken back.
    pub reversible: bool,
    /// How long a call may take.
    pub timeout: Duration,
    /// Most bytes of text that a reader gets.
    pub max_output: usize,
}

/// A call of another tool of the same server, that tells whether a change was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The server's name for the tool; it is listed, and looks.
    pub tool: String,
    /// What it is given, as templates.
    pub arguments: Map<String, Value>,
    /// What in its answer says so.
    pub applied: Applied,
}

/// A server and what is listed of it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// How it is asked.
    pub server: McpServer,
    /// Its tools.
    pub tools: Vec<Listed>,
}

impl Peer {
    /// How its tools stand, as `offers` have them now.
    pub fn standing(&self, offers: &[Offered]) -> Vec<Standing> {
        let server = self.server.name();
        let stands = |listed: &Listed| {
            let made = offer::made(server, listed, listed.digest.as_ref(), offers, &self.tools);
            let (effect, available, why) = match made {
                Ok(spec) => (spec.effect, true, String::new()),
                Err(why) => (listed.effect, false, why),
            };
            Standing { name: offer::name(server, &listed.tool), server: server.to_owned(), effect, available, why }
        };
        self.tools.iter().map(stands).collect()
    }
}

/// How a listed tool stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The name that it is called by.
    pub name: String,
    /// Our name for its server.
    pub server: String,
    /// What it does to the world, hints considered.
    pub effect: Effect,
    /// It can be called.
    pub available: bool,
    /// Why not, or what is odd about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Everything that is listed of MCP servers, and what of it stands.
#[derive(Default)]
pub(super) struct Mcp {
    peers: Vec<Peer>,
    doors: Doors,
    /// The tools that stand, by the name that they are called by.
    tools: ArcSwap<BTreeMap<String, Arc<Entry>>>,
    standing: Mutex<BTreeMap<String, Standing>>,
    /// Digests of tools that were listed without one, as they were first seen.
    seen: Mutex<BTreeMap<String, Digest>>,
    first: OnceCell<()>,
}

impl Mcp {
    pub(super) fn new(peers: Vec<Peer>) -> Self {
        let mcp = peers.iter().map(|peer| (peer.server.name().to_owned(), peer.server.clone())).collect();
        Self { peers, doors: Doors { mcp, ..Doors::default() }, ..Self::default() }
    }

    /// The names that its tools are called by, whether they stand or not.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.peers.iter().flat_map(|peer| peer.tools.iter().map(|listed| offer::name(peer.server.name(), &listed.tool)))
    }

    pub(super) fn tools(&self) -> Arc<BTreeMap<String, Arc<Entry>>> {
        self.tools.load_full()
    }

    pub(super) fn standing(&self) -> Vec<Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Waits until every server was looked at once. Whoever is first makes it so.
    pub(super) async fn first(&self) {
        let look = || async { drop(join_all(self.peers.iter().map(|peer| self.look_at(peer))).await) };
        self.first.get_or_init(look).await;
    }

    /// Looks at the servers again and again, each for itself; never ends.
    pub(super) async fn keep(&self) {
        self.first().await;
        let each = self.peers.iter().map(|peer| async move {
            let mut changed = peer.server.changed();
            loop {
                tokio::time::sleep(SELDOM).await;
                let _ = tokio::time::timeout(AGAIN, changed.changed()).await;
                self.look_at(peer).await;
            }
        });
        join_all(each).await;
    }

    async fn look_at(&self, peer: &Peer) {
        let offers = tokio::time::timeout(FIRST, peer.server.offers()).await;
        let offers = match offers {
            Ok(Ok((offers, _))) => Ok(offers),
            Ok(Err(error)) => Err(error.text().to_owned()),
            Err(_) => Err(format!("it did not answer within {} s", FIRST.as_secs())),
        };
        let mut tools = BTreeMap::clone(&self.tools.load_full());
        for listed in &peer.tools {
            let name = offer::name(peer.server.name(), &listed.tool);
            let stood = tools.get(&name).cloned();
            let (effect, found) = match &offers {
                Ok(offers) => match self.entry(peer, listed, offers) {
                    Ok((spec, entry)) => (spec.effect, Ok(entry)),
                    Err(why) => (listed.effect, Err(why)),
                },
                // What it was when it last answered is checked again by each call.
                Err(why) => match stood {
                    Some(entry) => {
                        let told = format!("its server is not there: {}", shorten(why, REASON));
                        self.note(&name, peer, entry.spec().effect, true, told);
                        continue;
                    }
                    None => (listed.effect, Err(format!("its server is not there: {}", shorten(why, REASON)))),
                },
            };
            match found {
                Ok(entry) => {
                    tools.insert(name.clone(), Arc::new(entry));
                    self.note(&name, peer, effect, true, String::new());
                }
                Err(why) => {
                    tools.remove(&name);
                    self.note(&name, peer, effect, false, why);
                }
            }
        }
        // Others may have looked at other servers meanwhile.
        self.tools.rcu(|now| {
            let mut next = BTreeMap::clone(now);
            for listed in &peer.tools {
                let name = offer::name(peer.server.name(), &listed.tool);
                match tools.get(&name) {
                    Some(entry) => next.insert(name, entry.clone()),
                    None => next.remove(&name),
                };
            }
            next
        });
    }

    fn entry(&self, peer: &Peer, listed: &Listed, offers: &[Offered]) -> Result<(ToolSpec, Entry), String> {
        let server = peer.server.name();
        let name = offer::name(server, &listed.tool);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = listed.digest.as_ref().or_else(|| seen.get(&name));
        let spec = offer::made(server, listed, digest, offers, &peer.tools)?;
        if digest.is_none()
            && let Some(offered) = offers.iter().find(|offered| offered.name == listed.tool)
        {
            tracing::info!(tool = name, digest = %offered.pin.digest, "a tool without a digest is taken as it is now");
            seen.insert(name, offered.pin.digest.clone());
        }
        let tool = custom::Tool::new(&spec, &self.doors)?.ok_or("it describes no tool")?;
        let entry = Entry::of(tool)?;
        Ok((spec, entry))
    }

    fn note(&self, name: &str, peer: &Peer, effect: Effect, available: bool, why: String) {
        let server = peer.server.name().to_owned();
        let now = Standing { name: name.to_owned(), server, effect, available, why };
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = standing.insert(name.to_owned(), now.clone());
        if before.as_ref() == Some(&now) {
            return;
        }
        match (available, now.why.is_empty()) {
            (true, true) if before.is_some() => tracing::info!(tool = name, "a tool of an MCP server is there again"),
            (true, true) => {}
            // Its server's words stay out of the log: they may hold what nobody may see.
            (true, false) => tracing::warn!(tool = name, server = now.server, "an MCP server is not there"),
            (false, _) => tracing::warn!(tool = name, server = now.server, "a tool of an MCP server is not offered"),
        }
    }
}
