//! A configuration, a store and the real binary on them.

use super::http::{Answer, client, eventually, free_address, send};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Long enough for a busy machine; whoever needs it has failed already.
pub const SOON: Duration = Duration::from_secs(60);

/// A folder with a configuration and a store; processes come and go.
#[derive(Debug)]
pub struct Site {
    pub dir: TempDir,
    pub address: SocketAddr,
    pub client: reqwest::Client,
    variables: Vec<(String, String)>,
}

impl Site {
    /// Writes `config` with `server.listen` and `store.url` filled in.
    pub fn new(config: Value) -> Self {
        Self::within(TempDir::new().unwrap(), config)
    }

    /// The same, in a folder of the caller's choice.
    pub fn within(dir: TempDir, mut config: Value) -> Self {
        let address = free_address();
        if config["server"]["listen"].is_null() {
            config["server"]["listen"] = json!(address.to_string());
        }
        if config["store"]["url"].is_null() {
            config["store"]["url"] = json!(format!("sqlite://{}", dir.path().join("firewarden.db").display()));
        }
        // JSON is YAML.
        std::fs::write(dir.path().join("firewarden.yaml"), serde_json::to_vec_pretty(&config).unwrap()).unwrap();
        Self { dir, address, client: client(), variables: vec![] }
    }

    /// Writes the configuration anew, changed.
    pub fn reconfigure(&self, change: impl Fn(&mut Value)) {
        let path = self.dir.path().join("firewarden.yaml");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut config);
        std::fs::write(path, config.to_string()).unwrap();
    }

    /// Sets a variable for every process of this site.
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    pub fn database(&self) -> PathBuf {
        self.dir.path().join("firewarden.db")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firewarden"));
        // Nothing of this machine's configuration reaches the program.
        command.env_clear().current_dir(self.dir.path()).stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.dir.path());
        command.env("XDG_STATE_HOME", self.dir.path().join("state")).env("RUST_BACKTRACE", "1");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command().args(args).output().unwrap()
    }

    /// Begins a command and does not wait; its stdout is a pipe.
    pub fn begin(&self, args: &[&str]) -> Child {
        let config = self.dir.path().join("firewarden.yaml");
        self.command()
            .args(args)
            .arg("--config")
            .arg(config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Runs `firewarden COMMAND… --config`, and answers exit code, stdout and stderr.
    pub fn run_with_config(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let config = self.dir.path().join("firewarden.yaml").display().to_string();
        let output = self.run(&[args, &["--config", &config]].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// Starts the server and does not wait.
    pub fn start(&self, variables: &[(&str, &str)]) -> Server {
        let log = self.dir.path().join("serve.log");
        let file = || -> File { OpenOptions::new().create(true).append(true).open(&log).unwrap() };
        let child = self
            .command()
            .args(["serve", "--config"])
            .arg(self.dir.path().join("firewarden.yaml"))
            .envs(variables.iter().copied())
            .stdout(file())
            .stderr(file())
            .spawn()
            .unwrap();
        Server { child, log }
    }

    /// Starts the server and waits until it is ready.
    pub async fn up(&self) -> Server {
        let mut server = self.start(&[]);
        self.ready(&mut server).await;
        server
    }

    /// Waits until the server is ready.
    pub async fn ready(&self, server: &mut Server) {
        eventually("the server is ready", SOON, async || {
            if let Some(status) = server.ended() {
                panic!("the server ended with {status:?} instead of serving");
            }
            self.get("/readyz").await.filter(|a| a.status == 200).map(|_| ())
        })
        .await;
    }

    pub async fn get(&self, path: &str) -> Option<Answer> {
        send(self.client.get(self.url(path))).await
    }

    /// The JSON at `path`, which must be there.
    pub async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await.unwrap_or_else(|| panic!("GET {path}: nobody answered"));
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text);
        answer.json()
    }

    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Option<Answer> {
        send(self.client.post(self.url(path)).header("content-type", "application/json").body(body)).await
    }

    /// Delivers an Alertmanager envelope, again and again until somebody takes it, as Alertmanager does.
    pub async fn deliver(&self, envelope: &Value) -> Value {
        let body = envelope.to_string();
        eventually("the alert is accepted", SOON, async || {
            let answer = self.post("/webhook/alertmanager", body.clone()).await?;
            (answer.status == 200).then(|| answer.json())
        })
        .await
    }

    /// All investigations, newest first.
    pub async fn investigations(&self) -> Vec<Value> {
        let page = self.json("/api/v1/investigations?limit=1000").await;
        page["items"].as_array().cloned().unwrap_or_default()
    }

    /// All alerts, newest first.
    pub async fn events(&self) -> Vec<Value> {
        let (mut all, mut cursor) = (vec![], String::new());
        loop {
            let page = self.json(&format!("/api/v1/events?limit=1000{cursor}")).await;
            all.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }

    /// Waits until investigation `id` is closed, and answers it.
    pub async fn closed(&self, id: &str, limit: Duration) -> Value {
        eventually(&format!("{id} is closed"), limit, async || {
            let answer = self.get(&format!("/api/v1/investigations/{id}")).await?;
            Some(answer.json()).filter(|inv| inv["state"] == "closed")
        })
        .await
    }

    pub async fn report(&self, id: &str) -> Value {
        self.json(&format!("/api/v1/investigations/{id}/report")).await
    }

    /// `firewarden audit verify` finds nothing wrong.
    pub fn verify_audit(&self) {
        let (code, stdout, stderr) = self.run_with_config(&["audit", "verify"]);
        assert_eq!(code, Some(0), "audit verify:\n{stdout}{stderr}");
    }
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the server's log ends so:\n{}", tail(&self.log, 60));
        }
    }
}

/// The last lines of a file.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
