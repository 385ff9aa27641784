//! The peers of the reading tools beside cluster and Prometheus.

use super::{Resolver, Step, at};
use crate::config::file::Basic;
use crate::config::secret::{self, Reference};
use crate::config::{Credential, Elasticsearch, Loki, ProbeTarget, Runbooks};
use crate::domain::Secret;
use crate::edge::AllowedHosts;
use std::collections::BTreeSet;
use std::time::Duration;

/// Longest time of a probe.
const PROBE: Duration = Duration::from_secs(30);
/// Most targets of probes, patterns of indices and hosts of runbooks.
const MOST: usize = 100;

impl Resolver<'_> {
    /// How `tools.<peer>` is to be asked; one way at most.
    pub(super) fn credential(
        &mut self,
        peer: &str,
        api_key: Option<&Reference>,
        bearer: Option<&Reference>,
        basic: Option<&Basic>,
    ) -> Option<Credential> {
        let ways = [("api_key", api_key.is_some()), ("bearer", bearer.is_some()), ("basic", basic.is_some())];
        let ways: Vec<&str> = ways.into_iter().filter_map(|(name, there)| there.then_some(name)).collect();
        if let [first, .., last] = ways.as_slice() {
            self.problem(at!["tools", peer, *last], format!("stands beside `{first}`"), "keep one of them");
            return None;
        }
        if let Some(key) = api_key {
            return Some(Credential::ApiKey(self.secret(at!["tools", peer, "api_key"], key)));
        }
        if let Some(token) = bearer {
            return Some(Credential::Bearer(self.secret(at!["tools", peer, "bearer"], token)));
        }
        basic.map(|basic| Credential::Basic {
            username: basic.username.clone(),
            password: self.secret(at!["tools", peer, "basic", "password"], &basic.password),
        })
    }

    /// The address of `tools.<peer>`, else of the first of `variables`. One that is missing beside a
    /// credential is a problem.
    pub(super) fn peer_address(
        &mut self,
        peer: &str,
        url: Option<&String>,
        variables: &[&str],
        has_credential: bool,
    ) -> Option<String> {
        if let Some(url) = url {
            return Some(self.address(at!["tools", peer, "url"], url));
        }
        if let Some(url) = variables.iter().find_map(|name| self.variable(name)) {
            return Some(url.trim_end_matches('/').to_owned());
        }
        if has_credential {
            self.problem(at!["tools", peer, "url"], "is missing beside a credential", "add `url: http://HOST:PORT`");
        }
        None
    }

    pub(super) fn loki(&mut self) -> Option<Loki> {
        let of = &self.loaded.file.tools.loki;
        let credential = self.credential("loki", None, of.bearer.as_ref(), of.basic.as_ref());
        let url = self.peer_address("loki", of.url.as_ref(), &["LOKI_URL", "LOKI_ADDR"], credential.is_some())?;
        let tenant = of.tenant.as_ref().map(|tenant| tenant.trim().to_owned());
        if tenant.as_ref().is_some_and(|tenant| tenant.is_empty() || !tenant.chars().all(|c| c.is_ascii_graphic())) {
            self.problem(at!["tools", "loki", "tenant"], "is no tenant", "write its id; `a|b` asks as several");
        }
        Some(Loki { url, credential, tenant })
    }

    pub(super) fn elasticsearch(&mut self) -> Option<Elasticsearch> {
        let of = &self.loaded.file.tools.elasticsearch;
        let (key, bearer, basic) = (of.api_key.as_ref(), of.bearer.as_ref(), of.basic.as_ref());
        let credential = self.credential("elasticsearch", key, bearer, basic);
        let url = self.peer_address("elasticsearch", of.url.as_ref(), &[], credential.is_some())?;
        let plain = |index: &String| {
            !index.is_empty()
                && !index.starts_with(['-', '_', '+'])
                && index.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.*".contains(c))
        };
        if of.indices.is_empty() || of.indices.len() > MOST {
            let help = "list what may be searched, `indices: [\"logs-*\"]` for instance";
            self.problem(at!["tools", "elasticsearch", "indices"], "lists nothing that may be searched", help);
        }
        for (n, _) in of.indices.iter().enumerate().filter(|(_, index)| !plain(index)) {
            let help = "write a name in lower case, or a pattern with `*`";
            self.problem(at!["tools", "elasticsearch", "indices", n], "is no name of an index", help);
        }
        Some(Elasticsearch { url, credential, indices: of.indices.clone(), time_field: of.time_field.clone() })
    }

    pub(super) fn probe_targets(&mut self) -> Vec<ProbeTarget> {
        let mut names = BTreeSet::new();
        let targets = &self.loaded.file.tools.http_probe.targets;
        if targets.len() > MOST {
            self.problem(
                at!["tools", "http_probe", "targets"],
                format!("lists more than {MOST}"),
                "keep the important ones",
            );
        }
        let mut resolved = vec![];
        for (n, target) in targets.iter().enumerate() {
            self.name(at!["tools", "http_probe", "targets", n, "name"], &target.name, &mut names);
            self.address(at!["tools", "http_probe", "targets", n, "url"], &target.url);
            if target.timeout.0.is_zero() || target.timeout.0 > PROBE {
                self.problem(
                    at!["tools", "http_probe", "targets", n, "timeout"],
                    "is not between 1ms and 30s",
                    "10s is usual",
                );
            }
            if target.expect_status.is_some_and(|status| !(100..600).contains(&status)) {
                self.problem(at!["tools", "http_probe", "targets", n, "expect_status"], "is no status", "200 is usual");
            }
            let mut headers = vec![];
            for (header, value) in &target.headers {
                let key = at!["tools", "http_probe", "targets", n, "headers", header.as_str()];
                let value = match secret::is_reference(value) {
                    true => self.secret(key, &Reference(value.clone())),
                    false => Secret::new(value.clone(), "configuration"),
                };
                headers.push((header.clone(), value));
            }
            resolved.push(ProbeTarget {
                name: target.name.clone(),
                // As written: a slash at its end is a part of it.
                url: target.url.clone(),
                method: target.method,
                expect_status: target.expect_status,
                timeout: target.timeout.0,
                headers,
            });
        }
        resolved
    }

    pub(super) fn runbooks(&mut self) -> Option<Runbooks> {
        let of = &self.loaded.file.tools.runbooks;
        if of.hosts.len() > MOST {
            self.problem(
                at!["tools", "runbooks", "hosts"],
                format!("lists more than {MOST}"),
                "keep the important ones",
            );
        }
        for (n, host) in of.hosts.iter().enumerate() {
            if let Err(why) = AllowedHosts::new(&[host]) {
                self.problem(at!["tools", "runbooks", "hosts", n], why, "write runbooks.example.org or wiki.corp:8443");
            }
        }
        let key = at!["tools", "runbooks", "dir"];
        let dir = of.dir.as_ref().map(|dir| self.absolute(key, dir));
        if let Some(dir) = dir.as_ref().filter(|dir| !dir.is_dir()) {
            self.problem(key, format!("names no folder: {}", dir.display()), "make it, or leave it out");
        }
        (!of.hosts.is_empty() || dir.is_some()).then(|| Runbooks { hosts: of.hosts.clone(), dir })
    }
}
