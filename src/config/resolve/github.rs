//! The repositories to look at.

use super::{Resolver, Step, at};
use crate::config::{Github, GithubCredential};
use crate::domain::Secret;
use crate::edge::github::{self, ADDRESS, Repo};

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
        Some(Github { base_url, credential, repos })
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
        match (&of.token, &of.app) {
            (Some(_), Some(_)) => {
                self.problem(at!["tools", "github", "app"], "stands beside `token`", "keep one of them");
                return None;
            }
            (Some(token), None) => {
                return Some(GithubCredential::Token(self.secret(at!["tools", "github", "token"], token)));
            }
            (None, Some(app)) => {
                if app.id.trim().is_empty() {
                    let help = "write the App's number or its client id";
                    self.problem(at!["tools", "github", "app", "id"], "is empty", help);
                }
                let private_key = self.secret(at!["tools", "github", "app", "private_key"], &app.private_key);
                return Some(GithubCredential::App { id: app.id.trim().to_owned(), private_key });
            }
            (None, None) => {}
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
}
