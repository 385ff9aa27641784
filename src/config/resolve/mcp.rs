//! MCP servers, and what is listed of them.

use super::{Resolver, Step, at};
use crate::config::mcp::{Command, Http, Look, Server, Tool};
use crate::config::secret::{self, Reference};
use crate::config::{McpPeer, McpWay};
use crate::domain::{Digest, Effect};
use crate::edge::call::check_header;
use crate::edge::exec::Confinement;
use crate::tools::custom::check::{is_plain_path, may_be_set};
use crate::tools::custom::{Confine, reference};
use crate::tools::mcp::{self, Listed, offer};
use std::collections::BTreeSet;
use std::time::Duration;

/// Most servers, and tools of one.
const SERVERS: usize = 32;
const TOOLS: usize = 128;
/// Most arguments of a command.
const ARGUMENTS: usize = 64;
/// Longest name of a server.
const NAME: usize = 32;
/// Longest call, and what a reader gets of it.
const LONGEST: Duration = Duration::from_secs(300);
const OUTPUT: std::ops::RangeInclusive<u64> = 1 << 10..=1 << 20;
/// Headers that the protocol has for itself.
const PROTOCOL: [&str; 4] = ["accept", "content-type", "mcp-session-id", "mcp-protocol-version"];

impl Resolver<'_> {
    pub(super) fn mcp(&mut self) -> Vec<McpPeer> {
        let servers = &self.loaded.file.tools.mcp;
        if servers.len() > SERVERS {
            self.problem(at!["tools", "mcp"], format!("lists more than {SERVERS}"), "keep the important ones");
        }
        let (mut names, mut tools) = (BTreeSet::new(), BTreeSet::new());
        servers.iter().enumerate().filter_map(|(n, of)| self.mcp_server(n, of, &mut names, &mut tools)).collect()
    }

    fn mcp_server(
        &mut self,
        n: usize,
        of: &Server,
        names: &mut BTreeSet<String>,
        taken: &mut BTreeSet<String>,
    ) -> Option<McpPeer> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let key = at!["tools", "mcp", n, "name"];
        if of.name.len() > NAME || !of.name.starts_with(|c: char| c.is_ascii_lowercase()) || !of.name.chars().all(plain)
        {
            let help =
                format!("use lower-case letters, digits and `_`, at most {NAME}; names of its tools begin with it");
            self.problem(key, "is no name of a server", help);
        } else if !names.insert(of.name.clone()) {
            self.problem(key, format!("names `{}` a second time", of.name), "give each its own name");
        }
        if of.tools.is_empty() || of.tools.len() > TOOLS {
            let help = format!("list what may be used: `firewarden tools offered {}` shows what there is", of.name);
            self.problem(at!["tools", "mcp", n, "tools"], format!("lists no tool, or more than {TOOLS}"), help);
        }
        let tools = of.tools.iter().enumerate().map(|(m, tool)| self.mcp_tool(n, m, of, tool, taken)).collect();
        let way = match (&of.command, &of.http) {
            (Some(command), None) => self.mcp_command(n, command),
            (None, Some(http)) => self.mcp_http(n, http),
            (both, _) => {
                let what = if both.is_some() { "is reached in two ways" } else { "is reached in no way" };
                self.problem(at!["tools", "mcp", n], what, "write `command: {argv: [/PATH, …]}` or `http: {url: …}`");
                return None;
            }
        };
        Some(McpPeer { name: of.name.clone(), way, tools })
    }

    fn mcp_command(&mut self, n: usize, of: &Command) -> McpWay {
        let program = of.argv.first().map_or("", String::as_str);
        if !is_plain_path(program) || of.argv.len() > ARGUMENTS {
            let help = format!("write the program by its absolute path, and at most {ARGUMENTS} items");
            self.problem(at!["tools", "mcp", n, "command", "argv"], "is no command", help);
        }
        for (list, paths) in [("read", &of.read), ("write", &of.write)] {
            for (m, _) in paths.iter().enumerate().filter(|(_, path)| !is_plain_path(path)) {
                let key = at!["tools", "mcp", n, "command", list, m];
                self.problem(key, "is no absolute path", "write /PATH");
            }
        }
        let (mut env, mut secrets) = (vec![], vec![]);
        for (name, value) in &of.env {
            let key = at!["tools", "mcp", n, "command", "env", name.as_str()];
            if !may_be_set(name) {
                self.problem(key, "cannot be set", "it is ours, or would put other code into the program");
            }
            match secret::is_reference(value) {
                true => secrets.push((name.clone(), self.secret(key, &Reference(value.clone())))),
                false => env.push((name.clone(), value.clone())),
            }
        }
        let confinement = Confinement {
            read: of.read.iter().map(Into::into).collect(),
            write: of.write.iter().map(Into::into).collect(),
            network: of.network,
            required: of.confine == Confine::Required,
        };
        McpWay::Command { argv: of.argv.clone(), env, secrets, confinement }
    }

    fn mcp_http(&mut self, n: usize, of: &Http) -> McpWay {
        self.address(at!["tools", "mcp", n, "http", "url"], &of.url);
        let (mut headers, mut secrets) = (vec![], vec![]);
        for (name, value) in &of.headers {
            let key = at!["tools", "mcp", n, "http", "headers", name.as_str()];
            let own = PROTOCOL.contains(&name.to_ascii_lowercase().as_str());
            if own || check_header(name).is_err() {
                self.problem(key, "cannot be set", "the protocol sets it itself, or it is no header");
            }
            let (word, rest) = reference(value);
            match secret::is_reference(rest) {
                true => secrets.push((name.clone(), word.to_owned(), self.secret(key, &Reference(rest.to_owned())))),
                false => headers.push((name.clone(), value.clone())),
            }
        }
        // As written: a slash at its end is a part of it.
        McpWay::Http { url: of.url.clone(), headers, secrets }
    }

    fn mcp_tool(&mut self, n: usize, m: usize, server: &Server, of: &Tool, taken: &mut BTreeSet<String>) -> Listed {
        let name = offer::name(&server.name, &of.name);
        let key = at!["tools", "mcp", n, "tools", m, "name"];
        if of.name.is_empty() || name.len() > offer::NAME {
            let help = format!("it is called {name}, which may have at most {} characters", offer::NAME);
            self.problem(key, "is no name of a tool that could be offered", help);
        } else if !taken.insert(name.clone()) {
            self.problem(key, format!("is called {name}, and so is another"), "list it once, or rename a server");
        }
        let key = at!["tools", "mcp", n, "tools", m, "digest"];
        let ask = format!("`firewarden tools offered {}` prints it", server.name);
        let digest = of.digest.as_ref().and_then(|digest| match digest.parse::<Digest>() {
            Ok(digest) => Some(digest),
            Err(_) => {
                self.problem(key, "is no digest: sha256: and 64 digits", ask.clone());
                None
            }
        });
        let acts = of.effect != Effect::Read;
        if acts && of.digest.is_none() {
            self.problem(key, "is missing: a tool that changes something is pinned to what was looked at", ask);
        }
        if acts && of.target.is_none() {
            let help = "say what is changed, `{system: tickets, kind: Ticket, name: \"{{ id }}\"}` for instance";
            self.problem(at!["tools", "mcp", n, "tools", m, "target"], "is missing", help);
        }
        let only_acts =
            [("plan", of.plan.is_some()), ("reconcile", of.reconcile.is_some()), ("reversible", of.reversible)];
        for (part, _) in only_acts.into_iter().filter(|(_, there)| *there && !acts) {
            let key = at!["tools", "mcp", n, "tools", m, part];
            self.problem(key, "stands beside `effect: read`", "a tool that looks changes nothing; leave it out");
        }
        if of.timeout.0.is_zero() || of.timeout.0 > LONGEST {
            self.problem(at!["tools", "mcp", n, "tools", m, "timeout"], "is not between 1ms and 5m", "30s is usual");
        }
        if !OUTPUT.contains(&of.max_output.0) {
            let key = at!["tools", "mcp", n, "tools", m, "max_output"];
            self.problem(key, "is not between 1KiB and 1MiB", "32KiB is usual");
        }
        let reconcile = of.reconcile.as_ref().map(|look| self.mcp_look(n, m, server, look));
        Listed {
            tool: of.name.clone(),
            effect: of.effect,
            digest,
            summary: of.summary.as_ref().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")),
            tags: of.tags.clone(),
            target: of.target.clone(),
            plan: of.plan.clone(),
            reconcile,
            retry: of.retry,
            reversible: of.reversible,
            timeout: of.timeout.0,
            max_output: usize::try_from(of.max_output.0).unwrap_or(usize::MAX),
        }
    }

    fn mcp_look(&mut self, n: usize, m: usize, server: &Server, of: &Look) -> mcp::Look {
        if !server.tools.iter().any(|tool| tool.name == of.tool && tool.effect == Effect::Read) {
            let key = at!["tools", "mcp", n, "tools", m, "reconcile", "tool"];
            let what = format!("names `{}`, which is not listed with `effect: read`", of.tool);
            self.problem(key, what, "list it beside this tool");
        }
        mcp::Look { tool: of.tool.clone(), arguments: of.arguments.clone(), applied: of.applied.clone() }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, McpWay, Sources};
    use crate::domain::Effect;
    use std::time::Duration;

    fn resolved(yaml: &str) -> Result<Config, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        std::fs::write(dir.path().join("f.yaml"), yaml).map_err(|e| e.to_string())?;
        let env = [("HOME", "/home/someone"), ("T", "t0ken")];
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let sources = Sources { file: Some("f.yaml".into()), env, flags: vec![], cwd: dir.path().into() };
        sources.load().and_then(|loaded| loaded.resolve()).map_err(|e| e.to_string())
    }

    #[test]
    fn servers_and_their_tools_are_read() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let config = resolved(&format!(
            "tools:\n  mcp:\n  - name: tickets\n    command: {{argv: [/bin/cat], env: {{A: b, TOKEN: 'env:T'}}, write: [/var/x]}}\n    \
             tools:\n    - {{name: Search, effect: read, tags: [x], timeout: 5s}}\n    \
             - {{name: close, effect: write, digest: '{digest}', target: {{system: t, kind: T, name: '{{{{ id }}}}'}}, retry: probe,\n       \
             reconcile: {{tool: Search, arguments: {{n: 1}}, applied: {{pointer: /a, equals: [1]}}}}}}\n  \
             - name: other\n    http: {{url: 'https://h/mcp/', headers: {{authorization: 'Bearer env:T', x: y}}}}\n    tools: [{{name: a, effect: read}}]\n"
        ))
        .unwrap();
        let [tickets, other] = config.mcp.as_slice() else { panic!("{:?}", config.mcp) };
        assert_eq!((tickets.tools[0].effect, tickets.tools[0].timeout), (Effect::Read, Duration::from_secs(5)));
        assert_eq!(tickets.tools[1].digest.as_ref().map(ToString::to_string), Some(digest));
        assert!(matches!(&tickets.way, McpWay::Command { env, secrets, .. } if env.len() == 1 && secrets.len() == 1));
        let McpWay::Http { url, headers, secrets } = &other.way else { panic!("{other:?}") };
        assert_eq!((url.as_str(), headers.len(), secrets[0].1.as_str()), ("https://h/mcp/", 1, "Bearer"));
        assert_eq!(config.secrets().iter().filter(|secret| secret.expose() == "t0ken").count(), 2);
        assert!(!format!("{config:?}").contains("t0ken"));
    }
}
