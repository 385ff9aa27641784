//! Jira: whose credential it is, and what it may do in each project.

use super::{Cause, Finding, judge};
use crate::app;
use crate::config::{Config, Jira};
use crate::edge::{EdgeError, JiraReader};
use futures::future::join_all;

const OF: &str = "jira";

pub(super) async fn jira(config: &Config) -> Vec<Finding> {
    let (settings, reader) = match (&config.jira, app::jira(config)) {
        (Some(settings), Ok(Some(reader))) => (settings, reader),
        (_, Err(error)) => return vec![judge::failed(OF, "server", &error, "correct tools.jira")],
        (_, Ok(_)) => return vec![Finding::ok(OF, "configured", "no: there are no Jira tools")],
    };
    let mut found = match reader.myself().await {
        Ok(who) => {
            let kind = format!("{:?}", reader.deployment()).to_lowercase();
            vec![Finding::ok(OF, "who am I", format!("{} at {} ({kind})", who.name, reader.address()))]
        }
        Err(error) => {
            let help = "check tools.jira.url, deployment, username and token";
            return vec![judge::failed(OF, "who am I", &error, help)];
        }
    };
    let asked = reader.projects().iter().map(|key| async {
        let (types, rights) = tokio::join!(reader.project(key), reader.permissions(key));
        project(settings, key, types, rights)
    });
    found.extend(join_all(asked).await);
    found.push(search(&reader).await);
    found
}

/// What the account may do in one project.
fn project(
    settings: &Jira,
    key: &str,
    types: Result<Vec<String>, EdgeError>,
    rights: Result<Vec<(&'static str, bool)>, EdgeError>,
) -> Finding {
    let check = format!("project {key}");
    let help = "give the account the project role that may browse it";
    let (types, rights) = match (types, rights) {
        (Ok(types), Ok(rights)) => (types, rights),
        (Err(error), _) | (_, Err(error)) => return judge::failed(OF, &check, &error, help),
    };
    let missing: Vec<&str> = rights.iter().filter(|(_, may)| !may).map(|(name, _)| *name).collect();
    let ours = settings.projects.first().is_some_and(|first| first == key);
    match () {
        () if missing.contains(&"BROWSE_PROJECTS") => {
            Finding::fail(OF, &check, Cause::Found, "its issues may not be read", help)
        }
        () if !settings.write => {
            Finding::ok(OF, &check, "its issues may be read; nothing is written (tools.jira.write)")
        }
        () if ours && !types.is_empty() && !types.contains(&settings.issue_type) => Finding::fail(
            OF,
            &check,
            Cause::Found,
            format!("it has no issues of type {}, but {}", settings.issue_type, types.join(", ")),
            "set tools.jira.issue_type",
        ),
        () if ours && missing.contains(&"CREATE_ISSUES") => {
            let help = "give the account CREATE_ISSUES there, or set tools.jira.write: false";
            Finding::fail(OF, &check, Cause::Found, "no issue may be made in it", help)
        }
        () if missing.is_empty() => Finding::ok(OF, &check, "its issues may be read and written"),
        () => {
            let help = "the tools that need them are refused by Jira";
            Finding::warn(OF, &check, format!("missing: {}", missing.join(", ")), help)
        }
    }
}

/// Whether issues are found at all: a query is another right than a look.
async fn search(reader: &JiraReader) -> Finding {
    match reader.search("", &["summary"], 1).await {
        Ok(found) if found.issues.is_empty() => Finding::ok(OF, "search", "no issue yet"),
        Ok(_) => Finding::ok(OF, "search", "issues are found"),
        Err(error) => judge::failed(OF, "search", &error, "it answers, and finds nothing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use crate::edge::EdgeErrorKind;

    #[test]
    fn what_an_account_lacks_is_named() {
        let settings = |write: bool| Jira {
            url: "https://jira.example.org".into(),
            deployment: None,
            credential: None,
            projects: vec!["OPS".into(), "WEB".into()],
            issue_type: "Task".into(),
            write,
        };
        let rights = |missing: &[&str]| {
            let all = crate::edge::jira::read::NEEDED;
            Ok(all.map(|name| (name, !missing.contains(&name))).to_vec())
        };
        let types = || Ok(vec!["Task".to_owned(), "Bug".to_owned()]);
        for (key, write, found_types, found_rights, state, says) in [
            ("OPS", true, types(), rights(&[]), State::Ok, "read and written"),
            ("OPS", true, types(), rights(&["CREATE_ISSUES"]), State::Fail, "no issue may be made"),
            ("WEB", true, types(), rights(&["CREATE_ISSUES"]), State::Warn, "missing: CREATE_ISSUES"),
            ("OPS", false, types(), rights(&["CREATE_ISSUES"]), State::Ok, "nothing is written"),
            ("OPS", true, types(), rights(&["BROWSE_PROJECTS"]), State::Fail, "may not be read"),
            ("OPS", true, Ok(vec!["Bug".into()]), rights(&[]), State::Fail, "no issues of type Task, but Bug"),
            ("WEB", true, Ok(vec!["Bug".into()]), rights(&[]), State::Ok, "read and written"),
            (
                "OPS",
                true,
                Err(EdgeError::new("jira", EdgeErrorKind::NotFound, "there is no project OPS")),
                rights(&[]),
                State::Fail,
                "no project",
            ),
        ] {
            let finding = project(&settings(write), key, found_types, found_rights);
            assert!(finding.state == state && finding.about.contains(says), "{key} {write}: {finding:?}");
        }
    }
}
