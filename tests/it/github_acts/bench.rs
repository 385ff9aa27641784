//! The engine before a GitHub of our own.

use super::REPO;
use crate::support::bench::{self, policy_with};
use crate::support::github::{Hub, TOKEN};
use firewarden::domain::Secret;
use firewarden::edge::github::{Client, Credential, Repo};
use firewarden::edge::{GithubReader, GithubWriter};
use firewarden::engine::routes::Route;
use firewarden::journal::PullPlace;
use firewarden::policy::RegoPolicy;
use firewarden::tools::Sources;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};
use tokio::sync::Notify;

/// A rule that has what was done watched for two minutes.
const WATCH: &str = r#"package firewarden.action.watch

oblige contains {"id": "watch", "kind": "verify_after", "within_s": 120, "reason": "it is watched"} if {
	input.call.tool == "github_open_pull_request"
}
"#;

/// Loading the policies takes longer than most cases.
static POLICY: LazyLock<Arc<RegoPolicy>> = LazyLock::new(|| policy_with("action/watch.rego", WATCH));

/// What the route says.
pub fn place(repo: &str) -> PullPlace {
    PullPlace {
        repo: repo.to_owned(),
        base: Some("main".to_owned()),
        branch: Some("fix/alert-{{ id }}".to_owned()),
        paths: vec!["clusters/**".to_owned(), ".github/**".to_owned()],
    }
}

/// A bench whose tools are those of GitHub.
pub struct Bench(bench::Bench);

impl Deref for Bench {
    type Target = bench::Bench;

    fn deref(&self) -> &bench::Bench {
        &self.0
    }
}

impl Bench {
    pub async fn on(hub: &Hub) -> Self {
        Self::with(hub, Some(place(REPO))).await
    }

    pub async fn with(hub: &Hub, pulls: Option<PullPlace>) -> Self {
        Self::at(&hub.base_url, &[REPO, "acme/other"], pulls, hub.crashed()).await
    }

    /// Before the GitHub at `base_url`.
    pub async fn at(base_url: &str, repos: &[&str], pulls: Option<PullPlace>, crashed: Arc<Notify>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let repos = repos.iter().map(|repo| Repo::parse(repo).unwrap()).collect();
        let bench = bench::Bench::before(
            |clock| {
                let client = || {
                    let token = Credential::Token(Secret::new(TOKEN, "test"));
                    Client::new(base_url, token, clock.clone()).unwrap()
                };
                Sources {
                    github: Some(GithubReader::new(client(), repos)),
                    github_write: Some(GithubWriter::new(client())),
                    ..Sources::none(clock)
                }
            },
            crashed,
        );
        Self(bench.await.judged_by(POLICY.clone()).routed(Route { pulls, ..Route::named("all") }))
    }
}
