//! A recorded world, served here and seen there.

use super::site::Site;
use firewarden::scenario::{Served, World};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// The recorded incident of step 1.
pub const TYPEDB: &str = "typedb-pvc-full";

/// A world on two listeners.
#[derive(Debug)]
pub struct Stage {
    pub world: Arc<World>,
    pub served: Served,
}

impl Stage {
    /// A built-in world, with its moment now.
    pub async fn embedded(name: &str) -> Self {
        Self::of(World::embedded(name, Some(jiff::Timestamp::now())).unwrap()).await
    }

    /// A world from a folder.
    pub async fn folder(path: &Path) -> Self {
        Self::of(World::from_dir(path, Some(jiff::Timestamp::now())).unwrap()).await
    }

    async fn of(world: World) -> Self {
        let world = Arc::new(world);
        let kube = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let prometheus = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let served = world.clone().serve(kube, prometheus).unwrap();
        Self { world, served }
    }

    /// A site that sees this world. `config` may say more.
    pub fn site(&self, config: Value) -> Site {
        self.site_within(TempDir::new().unwrap(), config)
    }

    /// The same, in a folder of the caller's choice.
    pub fn site_within(&self, dir: TempDir, mut config: Value) -> Site {
        config["tools"]["prometheus"]["url"] = json!(self.served.prometheus_url);
        // Without a model a playbook would ask people about the closer look that the recorded alert is
        // good for; a test that wants that says so.
        if config["playbooks"].is_null() {
            config["playbooks"] = json!({"default": "none"});
        }
        let site = Site::within(dir, config);
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "recorded",
            "clusters": [{"name": "recorded", "cluster": {"server": self.served.kube_url}}],
            "users": [{"name": "recorded", "user": {"token": "recorded-token"}}],
            "contexts": [{"name": "recorded", "context": {"cluster": "recorded", "user": "recorded"}}],
        });
        let path = site.dir.path().join("kubeconfig");
        std::fs::write(&path, kubeconfig.to_string()).unwrap();
        site.variable("KUBECONFIG", path.display().to_string()).variable("SCRIPTED_KEY", "sk-scripted")
    }
}
