//! The repositories to look at.

use super::{Resolver, Step, at};
use crate::config::forge::GithubApp;
use crate::config::routes::RouteGithub;
use crate::config::secret::Reference;
use crate::config::{Github, GithubCredential};
use crate::domain::Secret;
use crate::edge::github::{self, ADDRESS, Repo, names};
use crate::journal::PullPlace;

/// Most repositories.
const MOST: usize = 100;

impl Resolver<'_> {
    /// GitHub is configured when the file lists repositories: a token in the environment alone, which
    /// many machines have, opens nothing.
    pub(super) fn github(&mut self) -> Option<Github> {
        let of = &self.loaded.file.tools.github;
        if of.repos.is_empty() {
            if of.token.is_some() || of.app.is_some() || of.base_url.is_some() {
                let help = "list what may be read, `repos: [acme/platform]` for instance";
                self.problem(at!["tools", "github", "repos"], "lists no repository", help);
            }
            return None;
        }
        let base_url = match &of.base_url {
            Some(url) => self.github_address(url),
            None => ADDRESS.to_owned(),
        };
        let repos = self.repositories();
        let credential = self.github_credential()?;
        let write = self.github_writer(&credential);
        Some(Github { base_url, credential, repos, write })
    }

    /// As whom something is changed, where that is permitted: as the reader when nobody else is named.
    fn github_writer(&mut self, reader: &GithubCredential) -> Option<GithubCredential> {
        let of = &self.loaded.file.tools.github;
        let named = of.writer.token.is_some() || of.writer.app.is_some();
        match (of.write, named) {
            (false, true) => {
                let help = "add `write: true`, or take `writer` out";
                self.problem(at!["tools", "github", "writer"], "stands beside `write: false`", help);
                None
            }
            (false, false) => None,
            (true, false) => Some(reader.clone()),
            (true, true) => {
                self.github_written(at!["tools", "github", "writer"], of.writer.token.as_ref(), of.writer.app.as_ref())
            }
        }
    }

    /// Where the pull requests of route number `n` go.
    pub(super) fn route_pulls(&mut self, n: usize, of: &RouteGithub) -> Option<PullPlace> {
        let at = |key: &str| [Step::from("routes"), Step::from(n), Step::from("github"), Step::from(key)];
        let hub = &self.loaded.file.tools.github;
        let listed: Vec<Repo> = hub.repos.iter().filter_map(|repo| Repo::parse(repo).ok()).collect();
        if !hub.write {
            let help = "add `tools.github.write: true`, or take it out";
            self.problem(at!["routes", n, "github"], "stands without `tools.github.write`", help);
        }
        match Repo::parse(&of.repo) {
            Ok(repo) if listed.contains(&repo) => {}
            Ok(repo) => self.problem(&at("repo"), format!("names {repo}"), "add it to `tools.github.repos`"),
            Err(why) => self.problem(&at("repo"), why, "acme/platform for instance"),
        }
        if let Some(Err(why)) = of.base.as_deref().map(names::reference) {
            self.problem(&at("base"), why, "main for instance");
        }
        if of.branch.as_ref().is_some_and(|branch| branch.trim().is_empty()) {
            self.problem(&at("branch"), "is empty", "fix/alert-{{ id }} for instance");
        }
        let odd = |path: &String| path.trim().is_empty() || path.starts_with('/') || path.contains("..");
        if of.paths.iter().any(odd) {
            let help = "patterns from the root of the repository: clusters/**, charts/*/values.yaml";
            self.problem(&at("paths"), "holds what is no pattern", help);
        }
        Some(PullPlace {
            repo: of.repo.trim().to_owned(),
            base: of.base.as_deref().map(str::trim).map(str::to_owned),
            branch: of.branch.clone(),
            paths: of.paths.clone(),
        })
    }

    fn repositories(&mut self) -> Vec<Repo> {
        let listed = &self.loaded.file.tools.github.repos;
        if listed.len() > MOST {
            self.problem(at!["tools", "github", "repos"], format!("lists more than {MOST}"), "keep the important ones");
        }
        let mut repos = vec![];
        for (n, text) in listed.iter().enumerate() {
            let key = at!["tools", "github", "repos", n];
            match Repo::parse(text) {
                Ok(repo) if repos.contains(&repo) => {
                    self.problem(key, format!("names {repo} a second time"), "keep one of them");
                }
                Ok(repo) => repos.push(repo),
                Err(why) => self.problem(key, why, "acme/platform for instance"),
            }
        }
        repos
    }

    fn github_address(&mut self, url: &str) -> String {
        let key = at!["tools", "github", "base_url"];
        if let Err(why) = github::address(url) {
            let help = "https://HOST/api/v3 for GitHub Enterprise; leave it out for github.com";
            self.problem(key, why, help);
        }
        url.trim_end_matches('/').to_owned()
    }

    fn github_credential(&mut self) -> Option<GithubCredential> {
        let of = &self.loaded.file.tools.github;
        if of.token.is_some() || of.app.is_some() {
            return self.github_written(at!["tools", "github"], of.token.as_ref(), of.app.as_ref());
        }
        if let Some(token) = self.variable("GITHUB_TOKEN") {
            return Some(GithubCredential::Token(Secret::new(token, "env:GITHUB_TOKEN")));
        }
        match (self.variable("GITHUB_APP_ID"), self.variable("GITHUB_APP_PRIVATE_KEY")) {
            (Some(id), Some(key)) => Some(GithubCredential::App {
                id: id.to_owned(),
                private_key: Secret::new(key, "env:GITHUB_APP_PRIVATE_KEY"),
            }),
            _ => {
                let help = "add `token: env:NAME` or `app: {id, private_key}`, or set GITHUB_TOKEN, or GITHUB_APP_ID and \
                            GITHUB_APP_PRIVATE_KEY";
                self.problem(at!["tools", "github"], "lists repositories and has no credential", help);
                None
            }
        }
    }

    /// A credential that the file names below `key`.
    fn github_written(
        &mut self,
        key: &[Step],
        token: Option<&Reference>,
        app: Option<&GithubApp>,
    ) -> Option<GithubCredential> {
        let below = |parts: &[&str]| {
            key.iter().cloned().chain(parts.iter().map(|part| Step::Key((*part).to_owned()))).collect::<Vec<_>>()
        };
        match (token, app) {
            (Some(_), Some(_)) => {
                self.problem(&below(&["app"]), "stands beside `token`", "keep one of them");
                None
            }
            (Some(token), None) => Some(GithubCredential::Token(self.secret(&below(&["token"]), token))),
            (None, Some(app)) => {
                if app.id.trim().is_empty() {
                    let help = "write the App's number or its client id";
                    self.problem(&below(&["app", "id"]), "is empty", help);
                }
                let private_key = self.secret(&below(&["app", "private_key"]), &app.private_key);
                Some(GithubCredential::App { id: app.id.trim().to_owned(), private_key })
            }
            (None, None) => None,
        }
    }
}
