//! Credentials in files, who is asked for alerts, which way these take, and what may be spent on them are read again
//! while the program runs, so that they can be changed.

use super::rounds::Rounds;
use super::rules::{Rules, Written};
use super::watched::{Changed, Watched};
use crate::config::{Config, Credential, Poller, resolve_secret};
use crate::domain::{Redactor, Secret};
use crate::engine::Engine;
use crate::http::{Access, Web};
use crate::template::Templates;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(5);
/// Most values of before that are still blanked out of texts, beside those of the start.
const REMEMBERED: usize = 256;

/// What was read last.
#[derive(Debug)]
pub(super) struct Rotation {
    access: Access,
    /// Who is asked for alerts.
    pollers: Vec<Poller>,
    /// Where that is written.
    watched: Watched,
    /// Which way alerts take, and what may be spent on them.
    written: Written,
    templates: Arc<Templates>,
    /// Secrets of peers: blanked out as soon as they change, in force from the next start on.
    peers: Vec<Secret>,
    /// Every secret of the start: those of other peers, and the first values of ours.
    first: Vec<Secret>,
    /// Values that came later, the newest last.
    later: VecDeque<Secret>,
    /// Files that could not be read: each is complained about once.
    failing: BTreeSet<String>,
}

/// What is in force after a change.
struct Renewed {
    access: Access,
    redactor: Redactor,
    pollers: Vec<Poller>,
    rules: Option<Rules>,
}

/// The secrets of pollers.
fn secrets(pollers: &[Poller]) -> impl Iterator<Item = &Secret> {
    pollers.iter().filter_map(|poller| poller.credential.as_ref().map(Credential::secret))
}

impl Rotation {
    pub(super) fn new(access: Access, config: &Config, templates: Arc<Templates>) -> Self {
        let first: Vec<Secret> = config.secrets().into_iter().cloned().collect();
        let own = access.intake.iter().map(|known| &known.token).chain(access.tokens.iter().map(|known| &known.token));
        let own: BTreeSet<&str> = own.chain(secrets(&config.pollers)).map(Secret::origin).collect();
        let peers = first.iter().filter(|secret| !own.contains(secret.origin())).cloned().collect();
        Self {
            access,
            pollers: config.pollers.clone(),
            watched: Watched::new(config),
            written: Written::of(config),
            templates,
            peers,
            first,
            later: VecDeque::new(),
            failing: BTreeSet::new(),
        }
    }

    /// Reads every file again; what is now in force, if something changed. A file that cannot be read
    /// leaves its credential as it is.
    fn refresh(&mut self) -> Option<Renewed> {
        let (mut access, mut peers, mut pollers) = (self.access.clone(), self.peers.clone(), self.pollers.clone());
        let (mut fresh, mut rules, mut written) = (vec![], None, None);
        if let Some(Changed { config, rules: fit }) = self.watched.look() {
            (written, rules) = fit.then(|| self.rules(&config)).flatten().unzip();
            let known: BTreeSet<&str> = self.first.iter().chain(&self.later).map(Secret::expose).collect();
            fresh.extend(secrets(&config.pollers).filter(|secret| !known.contains(secret.expose())).cloned());
            pollers = config.pollers;
        }
        let intake = access.intake.iter_mut().map(|known| &mut known.token);
        let polled = pollers.iter_mut().filter_map(|poller| poller.credential.as_mut().map(Credential::secret_mut));
        let own = intake.chain(access.tokens.iter_mut().map(|known| &mut known.token)).chain(polled);
        for (secret, in_force) in own.map(|s| (s, true)).chain(peers.iter_mut().map(|s| (s, false))) {
            let origin = secret.origin().to_owned();
            if !origin.starts_with("file:") {
                continue;
            }
            // The origin of a file is absolute: it stands in no folder and needs no variable.
            match resolve_secret(&origin, Path::new("/"), &BTreeMap::new()) {
                Ok(read) => {
                    self.failing.remove(&origin);
                    if read.expose() != secret.expose() {
                        fresh.push(read.clone());
                        if !in_force {
                            tracing::warn!(origin, "the credential of a peer has changed; restart to use it");
                        }
                        *secret = read;
                    }
                }
                Err(error) => {
                    if self.failing.insert(origin) {
                        tracing::warn!(error, "a credential cannot be read again; its last value stays in force");
                    }
                }
            }
        }
        if fresh.is_empty() && pollers == self.pollers && rules.is_none() {
            return None;
        }
        let mut later = self.later.clone();
        later.extend(fresh);
        while later.len() > REMEMBERED {
            later.pop_front();
        }
        // What is in force is blanked out however long ago it came.
        let tokens =
            access.intake.iter().map(|known| &known.token).chain(access.tokens.iter().map(|known| &known.token));
        let in_force = tokens.chain(&peers).chain(secrets(&pollers));
        match Redactor::new(self.first.iter().chain(&later).chain(in_force).map(Secret::expose)) {
            Ok(redactor) => {
                self.later = later;
                if let Some(written) = written {
                    self.written = written;
                }
                (self.access, self.peers, self.pollers) = (access.clone(), peers, pollers.clone());
                Some(Renewed { access, redactor, pollers, rules })
            }
            Err(error) => {
                // A credential that could not be kept out of texts is not put in force; it is tried again.
                self.watched.forget();
                tracing::warn!(%error, "changed credentials cannot be looked for in texts; the last ones stay in force");
                None
            }
        }
    }

    /// The routes and budgets of `config` where they are not those in force.
    fn rules(&self, config: &Config) -> Option<(Written, Rules)> {
        let written = Written::of(config);
        if self.written == written {
            return None;
        }
        match Rules::of(config, &self.templates) {
            Ok(rules) => Some((written, rules)),
            Err(error) => {
                tracing::error!(%error, "the changed routes are refused; the last good ones stay in force");
                None
            }
        }
    }

    /// Keeps what is in force at `web` and in `engine`, and who is asked for alerts, up to date, for ever: at every
    /// SIGHUP, and every few seconds. From the return of this on, SIGHUP does not end the process any more.
    pub(super) fn begin(
        mut self,
        web: Arc<Web>,
        engine: Arc<Engine>,
        polled: watch::Sender<Arc<[Poller]>>,
    ) -> JoinHandle<()> {
        let mut rounds = Rounds::begin(EVERY);
        tokio::spawn(async move {
            loop {
                if rounds.next().await {
                    tracing::info!("SIGHUP: credentials, pollers, routes and budgets are read again");
                    self.watched.forget();
                }
                let reading = tokio::task::spawn_blocking(move || {
                    let renewed = self.refresh();
                    (self, renewed)
                });
                let Ok((rotation, renewed)) = reading.await else {
                    tracing::error!("credentials are not read again any more; restart to exchange one");
                    return;
                };
                self = rotation;
                if let Some(Renewed { access, redactor, pollers, rules }) = renewed {
                    // First what blanks the new values out, here and in the engine and its tools that
                    // share it, then what lets them in.
                    web.redactor.store(Arc::new(redactor));
                    web.access.store(Arc::new(access));
                    polled.send_if_modified(|current| {
                        let is_another = **current != *pollers;
                        *current = pollers.into();
                        is_another
                    });
                    if let Some(rules) = rules {
                        rules.apply(&web, &engine);
                    }
                    tracing::info!("what changed of credentials, pollers, routes and budgets is in force");
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::App;
    use super::*;
    use crate::config::Sources;
    use crate::edge::{Auth, HttpPeer, http::Limits};
    use std::time::Instant;

    fn config(folder: &Path) -> Config {
        let _ = rustls::crypto::ring::default_provider().install_default();
        std::fs::write(folder.join("intake"), "intake-0\n").unwrap();
        std::fs::write(folder.join("token"), "token-00\n").unwrap();
        std::fs::write(folder.join("key"), "model-key-0\n").unwrap();
        let file = folder.join("firewarden.yaml");
        let text = "store: {url: sqlite://fw.db}\nserver: {listen: \"127.0.0.1:0\"}\n\
                    intake: {tokens: [{token: \"file:intake\"}]}\n\
                    access: {tokens: [{name: ann, role: viewer, token: \"file:token\"}]}\n\
                    models: [{name: main, provider: openai, model: m, base_url: \"http://127.0.0.1:1/v1\", api_key: \"file:key\"}]\n";
        std::fs::write(&file, text).unwrap();
        let sources = Sources { file: Some(file), env: BTreeMap::new(), flags: vec![], cwd: folder.to_owned() };
        sources.load().unwrap().resolve().unwrap()
    }

    #[test]
    fn what_cannot_be_read_stays_and_all_values_are_blanked_out() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let mut rotation =
            Rotation::new(super::super::access::access(&config), &config, Arc::new(Templates::load(None).unwrap()));
        assert!(rotation.refresh().is_none());
        std::fs::remove_file(folder.path().join("token")).unwrap();
        std::fs::write(folder.path().join("intake"), "intake-1").unwrap();
        let Renewed { access, .. } = rotation.refresh().unwrap();
        assert_eq!((access.intake[0].token.expose(), access.tokens[0].token.expose()), ("intake-1", "token-00"));
        assert_eq!(rotation.failing.len(), 1);
        assert!(rotation.refresh().is_none());
        std::fs::write(folder.path().join("token"), "token-11").unwrap();
        let Renewed { access, redactor, .. } = rotation.refresh().unwrap();
        assert_eq!((access.tokens[0].token.expose(), rotation.failing.len()), ("token-11", 0));
        let text = redactor.text("intake-0 intake-1 token-00 token-11").0.into_owned();
        assert_eq!(text, ["[redacted]"; 4].join(" "));
        std::fs::write(folder.path().join("key"), "model-key-1").unwrap();
        let Renewed { redactor, .. } = rotation.refresh().unwrap();
        assert_eq!(redactor.text("model-key-0 model-key-1").0, ["[redacted]"; 2].join(" "));
        assert!(rotation.refresh().is_none());
    }

    #[tokio::test]
    async fn a_changed_file_is_in_force_without_a_restart_and_sighup_ends_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let app = Arc::new(App::build(config(folder.path())).await.unwrap());
        let listener = app.listen().await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let serving = tokio::spawn({
            let app = app.clone();
            async move { app.serve(listener, stopped).await }
        });
        let status = async |token: &str| {
            let peer = HttpPeer::new("own", &address, Some(Auth::Bearer(Secret::new(token, "test")))).unwrap();
            peer.get("/api/v1/events", &[], Limits::default()).await.unwrap().status
        };
        assert_eq!((status("token-00").await, status("token-11").await), (200, 401));
        let process = std::process::id().to_string();
        for (old, new, sighup) in [("token-00", "token-11", true), ("token-11", "token-22", false)] {
            std::fs::write(folder.path().join("token"), new).unwrap();
            if sighup {
                assert!(std::process::Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
            }
            let begun = Instant::now();
            while status(new).await != 200 {
                assert!(begun.elapsed() < 4 * EVERY, "{new} is not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            assert_eq!(status(old).await, 401);
            // Whoever looks at texts knows both: the intake, the engine and its tools.
            let text = format!("{old} {new}");
            assert_eq!(app.engine.redactor.load().text(&text).0, ["[redacted]"; 2].join(" "));
        }
        let id = {
            let labels = serde_json::json!({"alertname": "A", "severity": "info", "said": "it was token-22 today"});
            let alert = serde_json::json!({"status": "firing", "labels": labels, "startsAt": "2026-11-20T23:30:30Z"});
            let body = serde_json::json!({"version": "4", "status": "firing", "alerts": [alert]});
            let token = Some(Auth::Bearer(Secret::new("intake-0", "test")));
            let peer = HttpPeer::new("own", &address, token).unwrap();
            let answer = peer.post_json("/webhook/alertmanager", &body, Limits::default()).await.unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            answer["events"][0]["event_id"].as_str().unwrap().parse().unwrap()
        };
        let kept = crate::store::Events::event(app.store.as_ref(), id).await.unwrap().unwrap();
        assert_eq!(kept.event.labels["said"], "it was [redacted] today");
        stop.send(true).unwrap();
        serving.await.unwrap().unwrap();
    }
}
