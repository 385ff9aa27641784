//! What the answers of peers mean. Pure.

use super::looking::is_there;
use super::{Cause, Finding};
use crate::edge::github::answers::{Permissions, Rate, Repository};
use crate::edge::kube::Right;
use crate::edge::{EdgeError, EdgeErrorKind};
use crate::model::profile::{Grade, Profile};
use crate::model::{About, ModelError};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// What the reading tools ask the API server for.
pub const NEEDED: [Right; 23] = [
    right("list", "", "pods"),
    right("get", "", "pods"),
    right("get", "", "pods/log"),
    right("list", "", "events"),
    right("list", "", "nodes"),
    right("list", "", "namespaces"),
    right("list", "", "services"),
    right("list", "", "persistentvolumeclaims"),
    right("list", "", "persistentvolumes"),
    right("list", "apps", "deployments"),
    right("list", "apps", "replicasets"),
    right("list", "apps", "statefulsets"),
    right("list", "apps", "daemonsets"),
    right("list", "batch", "jobs"),
    right("list", "discovery.k8s.io", "endpointslices"),
    right("list", "networking.k8s.io", "ingresses"),
    right("list", "networking.k8s.io", "networkpolicies"),
    right("list", "autoscaling", "horizontalpodautoscalers"),
    right("list", "policy", "poddisruptionbudgets"),
    right("get", "storage.k8s.io", "storageclasses"),
    right("list", "storage.k8s.io", "volumeattachments"),
    right("list", "metrics.k8s.io", "pods"),
    right("list", "metrics.k8s.io", "nodes"),
];
/// What the tools that change a cluster ask the API server for, each what it needs; what is applied or
/// deleted needs its own.
pub const CHANGES: [Right; 7] = [
    right("patch", "apps", "deployments"),
    right("patch", "apps", "statefulsets"),
    right("patch", "apps", "daemonsets"),
    right("create", "", "pods/eviction"),
    right("patch", "", "nodes"),
    right("patch", "", "persistentvolumeclaims"),
    right("create", "batch", "jobs"),
];
/// What nobody should give to a program that only reads.
pub const TOO_MUCH: Right = right("*", "*", "*");
/// A measurement that is older says little about a server that may have changed.
const OLD: SignedDuration = SignedDuration::from_hours(24 * 90);

const fn right(verb: &'static str, group: &'static str, resource: &'static str) -> Right {
    Right { verb, group, resource }
}

/// A failed exchange with a peer.
pub fn failed(of: &str, check: &str, error: &EdgeError, help: &str) -> Finding {
    let cause = match error.kind() {
        EdgeErrorKind::Unreachable | EdgeErrorKind::Timeout => Cause::Unreached,
        EdgeErrorKind::Invalid => Cause::DoesNotLoad,
        EdgeErrorKind::Status { .. }
        | EdgeErrorKind::NotFound
        | EdgeErrorKind::Unserved
        | EdgeErrorKind::Denied
        | EdgeErrorKind::TooLarge
        | EdgeErrorKind::BadBody => Cause::Found,
    };
    Finding::fail(of, check, cause, error.text(), help)
}

/// The rights at the API server, as pairs of right and answer.
pub fn rights(of: &str, answers: &[(Right, bool)]) -> Finding {
    let missing: Vec<String> = answers.iter().filter(|(_, may)| !may).map(|(right, _)| right.to_string()).collect();
    match missing.len() {
        0 => Finding::ok(of, "rights", format!("all {} rights that the tools need", answers.len())),
        n => Finding::warn(
            of,
            "rights",
            format!("{n} of {} are missing in the cluster as a whole: {}", answers.len(), missing.join(", ")),
            "bind the ClusterRole `view` and the one in docs/tools.md for what lies outside namespaces; what stays \
             missing is a gap in reports",
        ),
    }
}

/// What the credentials for reading may change, which is nothing if all is well.
pub fn reader_may_change(of: &str, answers: &[(Right, bool)]) -> Option<Finding> {
    let may: Vec<String> = answers.iter().filter(|(_, may)| *may).map(|(right, _)| right.to_string()).collect();
    (!may.is_empty()).then(|| {
        let about = format!("the credentials for reading may change something: {}", may.join(", "));
        let help = "bind them to ClusterRole `view` alone; changes have credentials of their own in \
                    tools.kubernetes.writer";
        Finding::warn(of, "reader", about, help)
    })
}

/// Who makes changes.
pub fn writer(of: &str, name: &str, is_the_reader: bool) -> Finding {
    match is_the_reader {
        false => Finding::ok(of, "writer", name),
        true => Finding::warn(
            of,
            "writer",
            format!("changes are made with the credentials for reading, as {name}"),
            "give changes an account of their own: tools.kubernetes.writer.kubeconfig",
        ),
    }
}

/// The rights that changes need, as pairs of right and answer.
pub fn writer_rights(of: &str, answers: &[(Right, bool)]) -> Finding {
    let missing: Vec<String> = answers.iter().filter(|(_, may)| !may).map(|(right, _)| right.to_string()).collect();
    match missing.len() {
        0 => Finding::ok(of, "writer rights", format!("all {} that the tools need", answers.len())),
        n => Finding::warn(
            of,
            "writer rights",
            format!("{n} of {} are missing in the cluster as a whole: {}", answers.len(), missing.join(", ")),
            "docs/tools.md has a ClusterRole; what is left out on purpose, or given in some namespaces only, is fine",
        ),
    }
}

/// What a Prometheus has to evaluate.
pub fn rules(of: &str, data: &Value) -> Finding {
    let groups = data["groups"].as_array().map_or(&[][..], Vec::as_slice);
    let all: Vec<&Value> = groups.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
    let alerting = all.iter().filter(|rule| rule["type"] == "alerting").count();
    let sick: Vec<&str> = all.iter().filter(|r| r["health"] == "err").filter_map(|r| r["name"].as_str()).collect();
    let about = format!("{} rules in {} groups, {alerting} of them alerts", all.len(), groups.len());
    match (alerting, sick.as_slice()) {
        (0, _) => Finding::warn(of, "rules", about, "no alert can fire: load alerting rules with `rule_files`"),
        (_, []) => Finding::ok(of, "rules", about),
        (_, [first, ..]) => Finding::warn(
            of,
            "rules",
            format!("{about}; {} cannot be evaluated, {first} for instance", sick.len()),
            "Prometheus shows the error on its page /rules",
        ),
    }
}

/// Whom a Prometheus tells.
pub fn alertmanagers(of: &str, data: &Value) -> Finding {
    let active = data["activeAlertmanagers"].as_array().map_or(0, Vec::len);
    match active {
        0 => Finding::warn(
            of,
            "alertmanagers",
            "none: alerts that fire reach nobody",
            "set `alerting.alertmanagers` in Prometheus; in Alertmanager, add firewarden as a receiver and a catch-all \
             route behind its own, since `continue: true` goes on to the next sibling only",
        ),
        n => Finding::ok(of, "alertmanagers", format!("{n} active")),
    }
}

/// How many labels Loki knows of the last hour.
pub fn labels(of: &str, names: usize) -> Finding {
    match names {
        0 => Finding::warn(
            of,
            "labels",
            "no log line came in the last hour",
            "if there should be some: check the tenant (tools.loki.tenant) and whoever ships logs",
        ),
        n => Finding::ok(of, "labels", format!("{n} labels in the last hour")),
    }
}

/// How many documents the indices hold that may be searched.
pub fn documents(of: &str, indices: &[String], documents: u64) -> Finding {
    let indices = indices.join(", ");
    match documents {
        0 => Finding::warn(
            of,
            "indices",
            format!("{indices}: no document"),
            "check tools.elasticsearch.indices, and that the credential may read them: what it may not is left out",
        ),
        n => Finding::ok(of, "indices", format!("{indices}: {n} documents or more")),
    }
}

/// What a probe of a target gave; `expected` is the status that is right, else any below 400.
pub fn probed(of: &str, name: &str, address: &str, expected: Option<u16>, answer: Result<u16, EdgeError>) -> Finding {
    let check = format!("target {name}");
    match answer {
        Err(error) => {
            failed(of, &check, &error, "is it up, and may this machine reach it? Else take it out of the targets")
        }
        Ok(status) if expected.map_or(status < 400, |right| status == right) => {
            Finding::ok(of, &check, format!("{address} answers {status}"))
        }
        Ok(status @ (401 | 403)) => Finding::warn(
            of,
            &check,
            format!("{address} answers {status}"),
            "give it a credential with `headers`, or probe an address that asks for none",
        ),
        Ok(status) => Finding::warn(
            of,
            &check,
            match expected {
                Some(right) => format!("{address} answers {status}, not {right}"),
                None => format!("{address} answers {status}"),
            },
            "it is in trouble, or `expect_status` is not what it answers when it is well",
        ),
    }
}

/// What the first page of a host of runbooks gave: any answer will do, a page need not be there.
pub fn runbook_host(of: &str, address: &str, answer: Result<(), EdgeError>) -> Finding {
    let check = format!("host {address}");
    match answer {
        Ok(()) => Finding::ok(of, &check, "answers"),
        Err(error) if is_there(error.kind()) => Finding::ok(of, &check, format!("answers: {}", error.text())),
        Err(error) if *error.kind() == EdgeErrorKind::Denied => {
            let help = "runbooks are read without signing in: publish them to this machine, or copy them to \
                        tools.runbooks.dir";
            Finding::warn(of, &check, error.text(), help)
        }
        Err(error) => failed(of, &check, &error, "is it up, and may this machine reach it?"),
    }
}

/// How many files of runbooks there are.
pub fn runbook_files(of: &str, files: usize, more: bool) -> Finding {
    match (files, more) {
        (0, _) => {
            Finding::warn(of, "files", "the folder holds no Markdown file", "put one `*.md` for each alert there")
        }
        (n, false) => Finding::ok(of, "files", format!("{n} files")),
        (n, true) => {
            Finding::warn(of, "files", format!("more than {n} files, the others are not looked at"), "keep fewer there")
        }
    }
}

/// What GitHub says of a repository.
pub fn repository(of: &str, name: &str, answer: Result<Repository, EdgeError>) -> Finding {
    let check = format!("repository {name}");
    match answer {
        Err(error) => {
            let help = "give the credential `Contents: read` and `Pull requests: read` on it (an App: install it there), \
                        or take it out of tools.github.repos";
            failed(of, &check, &error, help)
        }
        Ok(told) => {
            let seen = if told.private { "private" } else { "public" };
            let about = format!("{seen}, default branch {}", told.default_branch);
            match told.archived {
                true => Finding::warn(
                    of,
                    &check,
                    format!("{about}, archived"),
                    "nothing in it changes any more: take it out",
                ),
                false => Finding::ok(of, &check, about),
            }
        }
    }
}

/// Whether the credential that writes may push to a repository.
pub fn pushes(of: &str, name: &str, answer: Result<Repository, EdgeError>) -> Finding {
    let check = format!("writer at {name}");
    let help =
        "give tools.github.writer `Contents: write` and `Pull requests: write` on it, or set tools.github.write: false";
    match answer.map(|told| told.permissions) {
        Err(error) => failed(of, &check, &error, help),
        Ok(Some(Permissions { push: true })) => Finding::ok(of, &check, "may push branches"),
        Ok(Some(Permissions { push: false })) => Finding::fail(of, &check, Cause::Found, "may not push branches", help),
        Ok(None) => Finding::warn(of, &check, "the server does not say whether it may push", help),
    }
}

/// Whether the credentials that look and those that change belong to one cluster.
pub fn one_cluster(of: &str, reader: Result<String, EdgeError>, writer: Result<String, EdgeError>) -> Finding {
    const CHECK: &str = "one cluster";
    match (reader, writer) {
        (Ok(reader), Ok(writer)) if reader == writer => {
            Finding::ok(of, CHECK, "what looks and what changes is one cluster")
        }
        (Ok(_), Ok(_)) => {
            let help = "point tools.kubernetes.writer at the cluster that is looked at";
            Finding::fail(
                of,
                CHECK,
                Cause::Found,
                "changes would go to another cluster than the one that is looked at",
                help,
            )
        }
        (Err(error), _) | (_, Err(error)) => {
            let help = "let both `get` the namespace kube-system, whose uid names the cluster";
            Finding::warn(of, CHECK, format!("it cannot be told: {}", error.text()), help)
        }
    }
}

/// How many requests GitHub takes yet in this hour.
pub fn requests(of: &str, answer: Result<Rate, EdgeError>) -> Finding {
    const CHECK: &str = "requests";
    match answer {
        Ok(Rate { limit, remaining }) if remaining.saturating_mul(10) < limit => Finding::warn(
            of,
            CHECK,
            format!("{remaining} of {limit} are left of this hour"),
            "somebody else uses the same credential: give firewarden its own, or an App",
        ),
        Ok(Rate { limit, remaining }) => {
            Finding::ok(of, CHECK, format!("{remaining} of {limit} are left of this hour"))
        }
        Err(error) if *error.kind() == EdgeErrorKind::NotFound => Finding::ok(of, CHECK, "this server sets no limit"),
        Err(error) => Finding::warn(of, CHECK, error.text(), "it answers otherwise; reading is not affected"),
    }
}

/// What a model's server says of itself.
pub fn server(of: &str, model: &str, answer: &Result<About, ModelError>) -> Finding {
    match answer {
        Err(error) => {
            let cause = match error {
                ModelError::Unreachable { .. } | ModelError::Broken { .. } | ModelError::Timeout { .. } => {
                    Cause::Unreached
                }
                ModelError::Settings { .. } => Cause::DoesNotLoad,
                _ => Cause::Found,
            };
            Finding::fail(of, "server", cause, error.to_string(), "")
        }
        Ok(about) => {
            let window =
                about.context_tokens.map_or(String::new(), |n| format!(", window {n} tokens ({})", about.said_at));
            match about.serves(model) {
                Some(true) => Finding::ok(of, "server", format!("serves {model}{window}")),
                None => Finding::ok(of, "server", format!("answers, and keeps no list of models{window}")),
                Some(false) => {
                    let known = about.models.as_deref().unwrap_or_default();
                    let some = known.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
                    let help = match known.is_empty() {
                        true => "load the model on the server".to_owned(),
                        false => format!("set `model` to one that it serves ({} in all): {some}", known.len()),
                    };
                    Finding::fail(of, "server", Cause::Found, format!("does not serve {model}"), help)
                }
            }
        }
    }
}

/// How a model did when it was measured.
pub fn profile(of: &str, name: &str, profile: Option<&Profile>, now: Timestamp) -> Finding {
    let again = format!("`firewarden doctor model --model {name}` measures it in two minutes");
    match profile {
        None => Finding::warn(of, "profile", "not measured: what it would change waits for a person", again),
        Some(profile) => {
            let about = format!("{} on {}", profile.verdict.as_str(), profile.measured_at.strftime("%Y-%m-%d"));
            let reasons = profile.reasons.join("; ");
            match profile.verdict {
                Grade::Ok if now.duration_since(profile.measured_at) > OLD => {
                    Finding::warn(of, "profile", format!("{about}, which is long ago"), again)
                }
                Grade::Ok => Finding::ok(of, "profile", about),
                Grade::Weak => Finding::warn(
                    of,
                    "profile",
                    format!("{about} ({reasons}): what it would change waits for a person"),
                    "a better model, or a larger window; then measure again",
                ),
                Grade::Failed => Finding::warn(
                    of,
                    "profile",
                    format!("{about} ({reasons}): it may look and take notes"),
                    "choose another model; reports do not depend on it",
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use crate::model::profile::tests::profile as measured;
    use serde_json::json;

    #[test]
    fn missing_rights_are_named() {
        let all: Vec<(Right, bool)> = NEEDED.iter().map(|right| (*right, true)).collect();
        assert_eq!(rights("kubernetes", &all).state, State::Ok);
        let mut some = all.clone();
        some[2].1 = false;
        some[9].1 = false;
        let found = rights("kubernetes", &some);
        assert_eq!(found.state, State::Warn);
        assert!(found.about.ends_with("get pods/log, list deployments.apps"), "{}", found.about);
    }

    #[test]
    fn who_may_change_what_is_told() {
        let all = |may: bool| CHANGES.map(|right| (right, may));
        assert_eq!(reader_may_change("k", &all(false)), None);
        let found = reader_may_change("k", &all(true)).unwrap();
        assert!(found.state == State::Warn && found.about.contains("patch nodes"), "{found:?}");
        assert_eq!(writer("k", "w", false).state, State::Ok);
        assert_eq!(writer("k", "w", true).state, State::Warn);
        assert_eq!(writer_rights("k", &all(true)).state, State::Ok);
        let found = writer_rights("k", &all(false));
        assert!(found.about.starts_with("7 of 7 are missing") && found.about.contains("create pods/eviction"));
    }

    #[test]
    fn rules_and_alertmanagers_are_counted() {
        let alert = |health: &str| json!({"type": "alerting", "name": "Down", "health": health});
        for (rules_data, state, words) in [
            (json!({"groups": []}), State::Warn, "0 rules in 0 groups"),
            (json!({"groups": [{"rules": [{"type": "recording", "health": "ok"}]}]}), State::Warn, "1 rules"),
            (json!({"groups": [{"rules": [alert("ok"), alert("unknown")]}]}), State::Ok, "2 of them alerts"),
            (json!({"groups": [{"rules": [alert("ok"), alert("err")]}]}), State::Warn, "1 cannot be evaluated, Down"),
            (json!("odd"), State::Warn, "0 rules"),
        ] {
            let found = rules("prometheus", &rules_data);
            assert!(found.state == state && found.about.contains(words), "{found:?}");
        }
        assert_eq!(alertmanagers("prometheus", &json!({"activeAlertmanagers": []})).state, State::Warn);
        assert_eq!(alertmanagers("prometheus", &json!({"activeAlertmanagers": [{}]})).state, State::Ok);
    }

    #[test]
    fn what_is_only_looked_into_is_judged_by_its_answers() {
        let error = |kind: EdgeErrorKind| EdgeError::new("p", kind, "words");
        let kept = |archived: bool| {
            let (full_name, default_branch) = ("a/b".to_owned(), "main".to_owned());
            Repository { full_name, default_branch, private: true, archived, permissions: None }
        };
        let may = |push: bool| Ok(Repository { permissions: Some(Permissions { push }), ..kept(false) });
        let uid = |uid: &str| Ok(uid.to_owned());
        for (found, state, cause) in [
            (labels("loki", 7), State::Ok, None),
            (labels("loki", 0), State::Warn, Some(Cause::Found)),
            (documents("e", &["logs-*".into()], 3), State::Ok, None),
            (documents("e", &["logs-*".into()], 0), State::Warn, Some(Cause::Found)),
            (probed("p", "a", "http://a", None, Ok(204)), State::Ok, None),
            (probed("p", "a", "http://a", Some(503), Ok(503)), State::Ok, None),
            (probed("p", "a", "http://a", Some(200), Ok(204)), State::Warn, Some(Cause::Found)),
            (probed("p", "a", "http://a", None, Ok(401)), State::Warn, Some(Cause::Found)),
            (
                probed("p", "a", "http://a", None, Err(error(EdgeErrorKind::Unreachable))),
                State::Fail,
                Some(Cause::Unreached),
            ),
            (runbook_host("r", "https://a/", Ok(())), State::Ok, None),
            (runbook_host("r", "https://a/", Err(error(EdgeErrorKind::NotFound))), State::Ok, None),
            (runbook_host("r", "https://a/", Err(error(EdgeErrorKind::Denied))), State::Warn, Some(Cause::Found)),
            (runbook_host("r", "https://a/", Err(error(EdgeErrorKind::Timeout))), State::Fail, Some(Cause::Unreached)),
            (repository("g", "a/b", Ok(kept(false))), State::Ok, None),
            (repository("g", "a/b", Ok(kept(true))), State::Warn, Some(Cause::Found)),
            (repository("g", "a/b", Err(error(EdgeErrorKind::NotFound))), State::Fail, Some(Cause::Found)),
            (pushes("g", "a/b", may(true)), State::Ok, None),
            (pushes("g", "a/b", may(false)), State::Fail, Some(Cause::Found)),
            (pushes("g", "a/b", Ok(kept(false))), State::Warn, Some(Cause::Found)),
            (pushes("g", "a/b", Err(error(EdgeErrorKind::Denied))), State::Fail, Some(Cause::Found)),
            (one_cluster("k", uid("u1"), uid("u1")), State::Ok, None),
            (one_cluster("k", uid("u1"), uid("u2")), State::Fail, Some(Cause::Found)),
            (one_cluster("k", uid("u1"), Err(error(EdgeErrorKind::Denied))), State::Warn, Some(Cause::Found)),
            (requests("g", Ok(Rate { limit: 5000, remaining: 4000 })), State::Ok, None),
            (requests("g", Ok(Rate { limit: 5000, remaining: 400 })), State::Warn, Some(Cause::Found)),
            (requests("g", Err(error(EdgeErrorKind::NotFound))), State::Ok, None),
            (requests("g", Err(error(EdgeErrorKind::Timeout))), State::Warn, Some(Cause::Found)),
            (runbook_files("r", 2, false), State::Ok, None),
            (runbook_files("r", 0, false), State::Warn, Some(Cause::Found)),
            (runbook_files("r", 500, true), State::Warn, Some(Cause::Found)),
        ] {
            assert_eq!((found.state, found.cause), (state, cause), "{found:?}");
            assert_eq!(found.help.is_empty(), state == State::Ok, "a remedy: {found:?}");
        }
    }

    #[test]
    fn a_server_without_the_model_says_what_it_has() {
        let about = |models: &[&str]| {
            let models = Some(models.iter().map(|m| (*m).to_owned()).collect());
            Ok(About { models, context_tokens: Some(8192), said_at: "/models" })
        };
        let fine = server("model main", "m", &about(&["m", "n"]));
        assert_eq!((fine.state, fine.about.as_str()), (State::Ok, "serves m, window 8192 tokens (/models)"));
        let absent = server("model main", "x", &about(&["m", "n"]));
        assert_eq!((absent.state, absent.cause), (State::Fail, Some(Cause::Found)));
        assert!(absent.help.ends_with("(2 in all): m, n"), "{}", absent.help);
        let gone = ModelError::Unreachable { model: "main".into(), base_url: "http://h".into(), why: "refused".into() };
        assert_eq!(server("model main", "x", &Err(gone)).cause, Some(Cause::Unreached));
    }

    #[test]
    fn a_profile_says_what_the_model_may() {
        let now = "2026-04-02T00:00:00Z".parse().unwrap();
        let late = "2026-12-02T00:00:00Z".parse().unwrap();
        for (profile, now, state, words) in [
            (None, now, State::Warn, "not measured"),
            (Some(measured(Grade::Ok)), now, State::Ok, "ok on 2026-04-01"),
            (Some(measured(Grade::Ok)), late, State::Warn, "long ago"),
            (Some(measured(Grade::Weak)), now, State::Warn, "waits for a person"),
            (Some(measured(Grade::Failed)), now, State::Warn, "may look and take notes"),
        ] {
            let found = super::profile("model main", "main", profile.as_ref(), now);
            assert!(found.state == state && found.about.contains(words), "{found:?}");
        }
    }
}
