//! A recorded world on stage: served on loopback, with a store in a temporary folder.

use super::Failure;
use crate::config::{
    Config, Credential, Github, GithubCredential, Jira, JiraDeployment, Kubernetes, KubernetesWriter, Prometheus,
};
use crate::domain::{Clock as _, Entropy as _, Secret};
use crate::edge::github::Repo;
use crate::edge::{MAX_SERIES, SystemClock, SystemEntropy};
use crate::scenario::{ScenarioError, Served, World};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;

/// The scenario that is played when none is named.
pub(super) const USUAL: &str = "typedb-pvc-full";

/// Whether anything is changed in a world that is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hands {
    /// It is only looked at: nothing is proposed, and nobody is waited for.
    Off,
    /// What policy lets happen happens.
    On,
}

/// A world that is being played. Dropping it ends the play and removes the folder.
#[derive(Debug)]
pub(super) struct Stage {
    /// The world.
    pub(super) world: Arc<World>,
    /// What the whole is to be built from.
    pub(super) config: Config,
    served: Served,
    /// Goes with the stage.
    _folder: Folder,
}

impl Stage {
    /// Serves the embedded scenario `name` and points `config` at it: cluster, metrics, repository, Jira and
    /// store are the recorded ones; nobody is told, and no credential is asked for. They take changes where
    /// `hands` may make some.
    ///
    /// # Errors
    /// When there is no such scenario, or no folder or listener for it.
    pub(super) async fn set(name: &str, mut config: Config, hands: Hands) -> Result<Self, Failure> {
        let world = World::embedded(name, Some(SystemClock.now()))?;
        let acts = hands == Hands::On;
        let world = Arc::new(if acts { world.writable() } else { world });
        let loopback = || TcpListener::bind(("127.0.0.1", 0));
        let served = world.clone().serve(loopback().await?, loopback().await?)?;
        let served = served.with_desks(loopback().await?, loopback().await?)?;
        let folder = Folder::new()?;
        config.places.store = folder.0.join("firewarden.db");
        // What is only played is never signed with a key that counts.
        config.places.signing_key = None;
        let write = acts.then(KubernetesWriter::default);
        config.kubernetes = Some(Kubernetes { url: Some(served.kube_url.clone()), write, ..Kubernetes::default() });
        config.github = github(&world, &served).map(|github| Github { write: github.write.filter(|_| acts), ..github });
        config.jira = jira(&world, &served).map(|jira| Jira { write: acts, ..jira });
        config.prometheus =
            Some(Prometheus { url: served.prometheus_url.clone(), credential: None, max_series: MAX_SERIES });
        config.notify.clear();
        config.access.clear();
        config.intake.tokens.clear();
        config.server.public_url = None;
        Ok(Self { world, config, served, _folder: folder })
    }

    /// The world as it is served, with what was changed in it.
    pub(super) fn served(&self) -> &Served {
        &self.served
    }
}

/// A token that opens nothing outside the recorded world.
fn made_up() -> Secret {
    Secret::new("recorded-world-token", "the recorded world")
}

fn github(world: &World, served: &Served) -> Option<Github> {
    let (base_url, repo) = (served.github_url.clone()?, Repo::parse(world.repository()?).ok()?);
    let credential = GithubCredential::Token(made_up());
    Some(Github { base_url, write: Some(credential.clone()), credential, repos: vec![repo] })
}

fn jira(world: &World, served: &Served) -> Option<Jira> {
    Some(Jira {
        url: served.jira_url.clone()?,
        deployment: Some(JiraDeployment::Server),
        credential: Some(Credential::Bearer(made_up())),
        projects: vec![world.project()?.to_owned()],
        issue_type: "Task".to_owned(),
        write: true,
    })
}

/// A folder of our own that goes with us.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// A new one, for us alone.
    ///
    /// # Errors
    /// When the system's folder for what is temporary takes none.
    pub(super) fn new() -> Result<Self, Failure> {
        let name = format!("firewarden-{}", SystemEntropy::default().uuid(SystemClock.now()));
        let path = std::env::temp_dir().join(name);
        let private = |path: &Path| {
            use std::os::unix::fs::DirBuilderExt as _;
            std::fs::DirBuilder::new().mode(0o700).create(path)
        };
        private(&path).map_err(|e| {
            let what = format!("{} cannot be made: {e}", path.display());
            Failure::new(super::Exit::Internal, what, "TMPDIR names another folder for what is temporary")
        })?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl From<ScenarioError> for Failure {
    fn from(error: ScenarioError) -> Self {
        match error {
            ScenarioError::Unknown { .. } => Self::usage(error, "`firewarden demo --list` shows what there is"),
            _ => Self::does_not_load(error, ""),
        }
    }
}
