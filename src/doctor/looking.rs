//! The peers that are only looked into: Loki, Elasticsearch, what may be probed, runbooks,
//! repositories.

use super::{Cause, Finding, judge};
use crate::app;
use crate::config::Config;
use crate::domain::Clock;
use crate::edge::{EdgeErrorKind, Probed};
use futures::future::join_all;
use futures::stream::{StreamExt as _, iter};
use jiff::SignedDuration;

/// How far back Loki is asked for labels.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);

pub(super) async fn loki(config: &Config, clock: &dyn Clock) -> Vec<Finding> {
    const OF: &str = "loki";
    let reader = match app::loki(config) {
        Ok(Some(reader)) => reader,
        Ok(None) => return vec![Finding::ok(OF, "configured", "no: there are no Loki tools")],
        Err(error) => return vec![judge::failed(OF, "server", &error, "correct tools.loki")],
    };
    let nanoseconds = |at: jiff::Timestamp| i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX);
    let now = clock.now();
    let since = now.checked_sub(WINDOW).unwrap_or(now);
    let (built, labels) = tokio::join!(reader.version(), reader.labels(None, nanoseconds(since), nanoseconds(now)));
    let server = match built {
        Ok(version) => Finding::ok(OF, "server", format!("{} {version}", reader.address())),
        // Gateways often let nothing through but questions; whoever answers those is there.
        Err(error) if labels.is_ok() => {
            Finding::warn(OF, "server", error.text(), "a gateway that hides the version is fine")
        }
        Err(error) => {
            let help = "check tools.loki.url, bearer or basic, and tenant";
            return vec![judge::failed(OF, "server", &error, help)];
        }
    };
    let labels = match labels {
        Ok(names) => judge::labels(OF, names.len()),
        Err(error) => judge::failed(OF, "labels", &error, "it answers, and does not let us look at logs"),
    };
    vec![server, labels]
}

pub(super) async fn elasticsearch(config: &Config) -> Vec<Finding> {
    const OF: &str = "elasticsearch";
    let reader = match app::elasticsearch(config) {
        Ok(Some(reader)) => reader,
        Ok(None) => return vec![Finding::ok(OF, "configured", "no: there are no Elasticsearch tools")],
        Err(error) => return vec![judge::failed(OF, "server", &error, "correct tools.elasticsearch")],
    };
    let (built, documents) = tokio::join!(reader.version(), reader.count());
    let server = match built {
        Ok(version) => Finding::ok(OF, "server", format!("{} {version}", reader.address())),
        // A key for these indices alone may not ask for the version.
        Err(error) if documents.is_ok() => {
            Finding::warn(OF, "server", error.text(), "a key that may only read its indices is fine")
        }
        Err(error) => {
            let help = "check tools.elasticsearch.url and api_key, basic or bearer";
            return vec![judge::failed(OF, "server", &error, help)];
        }
    };
    let documents = match documents {
        Ok(documents) => judge::documents(OF, reader.indices(), documents),
        Err(error) => {
            let help = "the credential needs the privileges `read` and `view_index_metadata` on these indices";
            judge::failed(OF, "indices", &error, help)
        }
    };
    vec![server, documents]
}

pub(super) async fn probes(config: &Config) -> Vec<Finding> {
    const OF: &str = "http_probe";
    let prober = match app::http_probe(config) {
        Ok(Some(prober)) => prober,
        Ok(None) => return vec![Finding::ok(OF, "configured", "no: nothing may be probed")],
        Err(error) => return vec![judge::failed(OF, "targets", &error, "correct tools.http_probe.targets")],
    };
    let asked = prober.targets().iter().map(|target| async {
        let Probed { answer, .. } = prober.probe(target).await;
        judge::probed(OF, &target.name, &target.shown(), target.expect_status, answer.map(|answer| answer.status))
    });
    join_all(asked).await
}

pub(super) async fn runbooks(config: &Config, clock: &dyn Clock) -> Vec<Finding> {
    const OF: &str = "runbooks";
    let reader = match app::runbooks(config) {
        Ok(Some(reader)) => reader,
        Ok(None) => return vec![Finding::ok(OF, "configured", "no: no runbook is read")],
        Err(error) => return vec![judge::failed(OF, "hosts", &error, "correct tools.runbooks.hosts")],
    };
    let hosts = reader.starts().into_iter().map(|address| {
        let reader = &reader;
        async move {
            let answer = reader.fetch(&address, clock.now()).await;
            judge::runbook_host(OF, &address, answer.map(|_| ()))
        }
    });
    let mut found = join_all(hosts).await;
    if reader.has_dir() {
        found.push(match reader.documents().await {
            Ok((documents, more)) => judge::runbook_files(OF, documents.len(), more),
            Err(error) => {
                let finding = judge::failed(OF, "files", &error, "make tools.runbooks.dir readable");
                // A folder is no peer.
                Finding { cause: finding.cause.map(|_| Cause::DoesNotLoad), ..finding }
            }
        });
    }
    found
}

/// Repositories that are asked for side by side.
const AT_ONCE: usize = 8;

pub(super) async fn github(config: &Config) -> Vec<Finding> {
    const OF: &str = "github";
    let reader = match app::github(config) {
        Ok(Some(reader)) => reader,
        Ok(None) => return vec![Finding::ok(OF, "configured", "no: there are no GitHub tools")],
        Err(error) => return vec![judge::failed(OF, "server", &error, "correct tools.github")],
    };
    let repos = iter(reader.repos().to_vec()).map(|repo| {
        let reader = &reader;
        async move { (repo.to_string(), reader.repository(&repo).await) }
    });
    let (who, answers) = tokio::join!(reader.who_am_i(), repos.buffered(AT_ONCE).collect::<Vec<_>>());
    let readable = answers.iter().find(|(_, answer)| answer.is_ok()).map(|(name, _)| name.clone());
    let mut found = vec![match who {
        Ok(name) => Finding::ok(OF, "who am I", format!("{name} at {}", reader.address())),
        // A token of a workflow or of an App's installation belongs to nobody.
        Err(error) if readable.is_some() => {
            Finding::warn(OF, "who am I", error.text(), "a token that belongs to no account is fine for reading")
        }
        Err(error) => {
            let help = "check tools.github.token or app, and base_url";
            return vec![judge::failed(OF, "who am I", &error, help)];
        }
    }];
    found.extend(answers.into_iter().map(|(name, answer)| judge::repository(OF, &name, answer)));
    if let Some(repo) = reader.repos().iter().find(|repo| Some(repo.to_string()) == readable) {
        found.push(judge::requests(OF, reader.rate(repo).await));
    }
    found
}

/// Whether the writer may push to each repository.
pub(super) async fn github_writer(config: &Config) -> Vec<Finding> {
    const OF: &str = "github";
    let writer = match app::github_as_writer(config) {
        Ok(Some(writer)) => writer,
        Ok(None) => return vec![],
        Err(error) => return vec![judge::failed(OF, "writer", &error, "correct tools.github.writer")],
    };
    let repos = iter(writer.repos().to_vec()).map(|repo| {
        let writer = &writer;
        async move { judge::pushes(OF, &repo.to_string(), writer.repository(&repo).await) }
    });
    repos.buffered(AT_ONCE).collect().await
}

/// Whether a failure tells that somebody is there all the same.
pub(super) fn is_there(kind: &EdgeErrorKind) -> bool {
    match kind {
        EdgeErrorKind::Status { code, .. } => *code < 500,
        EdgeErrorKind::NotFound | EdgeErrorKind::Unserved | EdgeErrorKind::TooLarge | EdgeErrorKind::BadBody => true,
        EdgeErrorKind::Unreachable | EdgeErrorKind::Timeout | EdgeErrorKind::Denied | EdgeErrorKind::Invalid => false,
    }
}
