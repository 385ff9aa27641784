//! Asking, all at once, each within its own time.

use super::judge::{self, NEEDED, TOO_MUCH};
use super::{Cause, Finding, alertmanager, custom, jira, looking, mcp, pollers, writing};
use crate::app;
use crate::config::{Config, Model, Places, Provider};
use crate::domain::Clock;
use crate::edge::http::Limits;
use crate::edge::{HttpPeer, KubeReader, PrometheusReader};
use crate::model;
use crate::policy;
use crate::store::StoreError;
use crate::template::Templates;
use futures::future::{BoxFuture, join_all};
use jiff::Timestamp;
use std::path::Path;
use std::time::Duration;

/// How long one peer may take, all its questions together.
const PATIENCE: Duration = Duration::from_secs(15);
/// The limits of one question to a running server.
const LIMITS: Limits = Limits { total: Duration::from_secs(5), body_bytes: 64 << 10 };

/// Looks at everything that `config` names, in the order of the configuration. Nothing is changed, no
/// model is asked for an answer, and nobody is told anything.
pub async fn examine(config: &Config, clock: &dyn Clock) -> Vec<Finding> {
    let mut questions: Vec<(String, BoxFuture<'_, Vec<Finding>>)> = vec![
        ("files".into(), Box::pin(async { files(&config.places, clock.now()) })),
        ("store".into(), Box::pin(store(&config.places.store))),
        ("kubernetes".into(), Box::pin(kubernetes(config))),
        ("prometheus".into(), Box::pin(prometheus(config))),
        ("loki".into(), Box::pin(looking::loki(config, clock))),
        ("alertmanager".into(), Box::pin(alertmanager::alertmanager(config))),
        ("elasticsearch".into(), Box::pin(looking::elasticsearch(config))),
        ("http_probe".into(), Box::pin(looking::probes(config))),
        ("runbooks".into(), Box::pin(looking::runbooks(config, clock))),
        ("github".into(), Box::pin(looking::github(config))),
        ("github writer".into(), Box::pin(looking::github_writer(config))),
        ("jira".into(), Box::pin(jira::jira(config))),
        ("mcp".into(), Box::pin(mcp::servers(config))),
    ];
    for poller in &config.pollers {
        let of = format!("poller {}", poller.name);
        questions.push((of.clone(), Box::pin(pollers::poller(of, poller))));
    }
    for model in &config.models {
        let of = format!("model {}", model.name);
        questions.push((of.clone(), Box::pin(about_model(of, model, &config.places.store, clock))));
    }
    let asked = questions.into_iter().map(|(of, question)| async move {
        tokio::time::timeout(PATIENCE, question).await.unwrap_or_else(|_| {
            let about = format!("no answer within {} s", PATIENCE.as_secs());
            vec![Finding::fail(&of, "answers", Cause::Unreached, about, "is it overloaded, or behind a slow network?")]
        })
    });
    let mut found: Vec<Finding> = join_all(asked).await.into_iter().flatten().collect();
    if config.models.is_empty() {
        found.push(Finding::ok("models", "configured", "none: reports come from the survey alone"));
    }
    found.push(match config.notify.as_slice() {
        [] => Finding::ok("notify", "configured", "the log only"),
        sinks => {
            let names: Vec<&str> = sinks.iter().map(|sink| sink.name.as_str()).collect();
            Finding::ok("notify", "configured", format!("log, {}; not called", names.join(", ")))
        }
    });
    found
}

/// Policies, prompts and tools.
fn files(places: &Places, now: Timestamp) -> Vec<Finding> {
    let loads = |of: &str, result: Result<String, String>, help: &str| match result {
        Ok(about) => Finding::ok(of, "load", about),
        Err(why) => Finding::fail(of, "load", Cause::DoesNotLoad, why, help),
    };
    let policies = app::bundle(places.policies.as_deref()).map_err(|e| e.to_string()).and_then(|bundle| {
        match policy::check(&bundle, now).first() {
            None => Ok(format!("{} files, {}", bundle.files().count(), bundle.digest().short(12))),
            Some(first) => Err(first.to_string()),
        }
    });
    let prompts = Templates::load(places.prompts.as_deref()).map_err(|e| e.to_string()).and_then(|templates| {
        match templates.lint().into_iter().next() {
            None => Ok(format!("{} prompts, {}", templates.names().len(), templates.digest().short(12))),
            Some(first) => Err(first),
        }
    });
    let manifests = app::manifests(places.tools.as_deref());
    let commands = manifests.as_ref().map(custom::commands).unwrap_or_default();
    let tools = manifests.map(|tools| format!("{} tools", tools.specs().count())).map_err(|e| e.to_string());
    let loaded = vec![
        loads("policies", policies, "`firewarden policy check` tells every mistake"),
        loads("prompts", prompts, "`firewarden check` tells every mistake"),
        loads("tools", tools, "`firewarden check` tells every mistake"),
    ];
    loaded.into_iter().chain(commands).collect()
}

async fn store(path: &Path) -> Vec<Finding> {
    let place = path.display().to_string();
    if let Some(holder) = app::holder(path) {
        return vec![held(&place, &holder).await];
    }
    vec![match app::probe_store(path).await {
        Ok(Some(versions)) => Finding::ok("store", "commits", format!("{place}: {versions}")),
        Ok(None) => not_there(path),
        Err(StoreError::Locked { holder, .. }) => held(&place, &holder).await,
        Err(error) => Finding::fail("store", "commits", Cause::Found, error.to_string(), ""),
    }]
}

/// The store is in use: its holder knows best.
async fn held(place: &str, holder: &str) -> Finding {
    if !holder.starts_with("http") {
        return Finding::ok("store", "commits", format!("{place}: held by a command that runs now"));
    }
    let answer = match HttpPeer::new("firewarden", holder, None) {
        Ok(server) => server.get("/readyz", &[], LIMITS).await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) if answer.status == 200 => {
            Finding::ok("store", "commits", format!("{place}: held by the server at {holder}, which is ready"))
        }
        Ok(answer) => {
            let about = format!("{place}: held by the server at {holder}, which answers {}", answer.status);
            Finding::fail("store", "commits", Cause::Found, about, "its log says why it cannot commit")
        }
        Err(error) => judge::failed("store", "commits", &error, "the server holds the store and does not answer"),
    }
}

/// Whether a store could be made at `path`.
fn not_there(path: &Path) -> Finding {
    let there = path.ancestors().skip(1).find(|folder| folder.is_dir());
    let folder = there.unwrap_or_else(|| Path::new("."));
    let beside = folder.join(format!(".firewarden-doctor-{}", std::process::id()));
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&beside);
    match made.and_then(|_| std::fs::remove_file(&beside)) {
        Ok(()) => Finding::ok("store", "commits", format!("{}: made at the first start", path.display())),
        Err(error) => Finding::fail(
            "store",
            "commits",
            Cause::Found,
            format!("{} cannot be made: {}: {error}", path.display(), folder.display()),
            "make the folder writable for the user that runs firewarden, or set store.url",
        ),
    }
}

async fn kubernetes(config: &Config) -> Vec<Finding> {
    const OF: &str = "kubernetes";
    let reader: KubeReader = match app::kubernetes(config.kubernetes.as_ref()).await {
        Ok(Some(reader)) => reader,
        Ok(None) if config.kubernetes.is_some() => {
            let about = "configured, but there is neither a kubeconfig nor a service account";
            return vec![Finding::fail(
                OF,
                "server",
                Cause::DoesNotLoad,
                about,
                "set tools.kubernetes.kubeconfig or .url",
            )];
        }
        Ok(None) => return vec![Finding::ok(OF, "configured", "no: there are no Kubernetes tools")],
        Err(error) => return vec![judge::failed(OF, "server", &error, "")],
    };
    let mut found = match reader.version().await {
        Ok(version) => vec![Finding::ok(OF, "server", version)],
        Err(error) => return vec![judge::failed(OF, "server", &error, "")],
    };
    let rights = async {
        let asked = NEEDED.iter().chain([&TOO_MUCH]).map(|right| async { (*right, reader.may(*right).await) });
        join_all(asked).await
    };
    let (who, answers) = tokio::join!(reader.who_am_i(), rights);
    found.push(match who {
        Ok(name) => Finding::ok(OF, "who am I", name),
        Err(error) => Finding::warn(OF, "who am I", error.text(), "servers before 1.28 cannot tell"),
    });
    let mut needed = vec![];
    for (right, answer) in answers {
        match answer {
            Ok(true) if right == TOO_MUCH => found.push(Finding::warn(
                OF,
                "rights",
                "it may do everything in the cluster",
                "firewarden only reads: give it the ClusterRole `view` and no more",
            )),
            Ok(_) if right == TOO_MUCH => {}
            Ok(may) => needed.push((right, may)),
            Err(error) => {
                found.push(judge::failed(
                    OF,
                    &format!("may I {right}"),
                    &error,
                    "access reviews are open to everybody",
                ));
                return found;
            }
        }
    }
    found.push(judge::rights(OF, &needed));
    found.extend(writing::kubernetes(config, &reader).await);
    found
}

async fn prometheus(config: &Config) -> Vec<Finding> {
    const OF: &str = "prometheus";
    let reader: PrometheusReader = match app::prometheus(config) {
        Ok(Some(reader)) => reader,
        Ok(None) => return vec![Finding::ok(OF, "configured", "no: there are no Prometheus tools")],
        Err(error) => return vec![judge::failed(OF, "server", &error, "")],
    };
    let (built, rules, managers) = tokio::join!(reader.build_info(), reader.rules(), reader.alertmanagers());
    let word = "what speaks its API without this path is fine";
    let server = match built {
        Ok(answer) => {
            let version = answer.data["version"].as_str().unwrap_or("of an unknown version").to_owned();
            Finding::ok(OF, "server", format!("{} {version}", reader.address()))
        }
        // Thanos, Mimir and others may lack it; whoever answers the next question is there.
        Err(error) if rules.is_ok() => Finding::warn(OF, "server", error.text(), word),
        Err(error) => return vec![judge::failed(OF, "server", &error, "")],
    };
    let rules = match rules {
        Ok(answer) => judge::rules(OF, &answer.data),
        Err(error) => judge::failed(OF, "rules", &error, ""),
    };
    let managers = match managers {
        Ok(answer) => judge::alertmanagers(OF, &answer.data),
        Err(error) => Finding::warn(OF, "alertmanagers", error.text(), word),
    };
    vec![server, rules, managers]
}

async fn about_model(of: String, model: &Model, store: &Path, clock: &dyn Clock) -> Vec<Finding> {
    if model.provider == Provider::Replay {
        let about = "a recording: nobody is asked, and what it would change waits for a person";
        return vec![Finding::ok(&of, "server", about)];
    }
    let answer = model::about(&model.name, &model.model, &model.base_url, model.api_key.as_ref()).await;
    let profile = match app::profile(model, store) {
        Ok(profile) => judge::profile(&of, &model.name, profile.as_ref(), clock.now()),
        Err(error) => Finding::fail(&of, "profile", Cause::Found, error.to_string(), ""),
    };
    vec![judge::server(&of, &model.model, &answer), profile]
}
