//! The Jira that is looked at and written into.

use super::{Resolver, Step, at};
use crate::config::{Credential, Jira};
use crate::domain::Secret;
use crate::edge::jira::is_project;

/// Most projects.
const MOST: usize = 50;

impl Resolver<'_> {
    /// A Jira needs a project: what is not listed is neither read nor written.
    pub(super) fn jira(&mut self) -> Option<Jira> {
        let of = &self.loaded.file.tools.jira;
        let token = of.token.as_ref().map(|token| self.secret(at!["tools", "jira", "token"], token));
        let url = self.peer_address("jira", of.url.as_ref(), &["JIRA_URL", "JIRA_BASE_URL"], token.is_some())?;
        let variable = |name: &'static str| Some((name, self.variable(name)?.to_owned()));
        let username = of.username.clone();
        let username = username.or_else(|| ["JIRA_USERNAME", "JIRA_EMAIL"].into_iter().find_map(variable).map(|v| v.1));
        let token = token.or_else(|| {
            let (name, token) = ["JIRA_API_TOKEN", "JIRA_API_KEY"].into_iter().find_map(variable)?;
            Some(Secret::new(token, format!("env:{name}")))
        });
        let credential = match (token, username) {
            (Some(password), Some(username)) => Some(Credential::Basic { username, password }),
            (Some(token), None) => Some(Credential::Bearer(token)),
            (None, _) => None,
        };
        let project = of.project.clone().or_else(|| self.variable("JIRA_PROJECT_KEY").map(str::to_owned));
        if project.is_none() {
            let help = "name the one where issues are made, `project: OPS` for instance (also JIRA_PROJECT_KEY)";
            self.problem(at!["tools", "jira", "project"], "is missing beside an address", help);
        }
        const HELP: &str = "write its key in capital letters, OPS for instance";
        if project.as_ref().is_some_and(|project| !is_project(project)) {
            self.problem(at!["tools", "jira", "project"], "is no key of a project", HELP);
        }
        for (n, _) in of.projects.iter().enumerate().filter(|(_, project)| !is_project(project)) {
            self.problem(at!["tools", "jira", "projects", n], "is no key of a project", HELP);
        }
        if of.projects.len() > MOST {
            let what = format!("lists more than {MOST}");
            self.problem(at!["tools", "jira", "projects"], what, "keep the important ones");
        }
        if of.issue_type.trim().is_empty() {
            self.problem(at!["tools", "jira", "issue_type"], "is empty", "Task is usual");
        }
        let mut projects: Vec<String> = project.into_iter().collect();
        projects.extend(of.projects.iter().filter(|project| !projects.contains(project)).cloned().collect::<Vec<_>>());
        Some(Jira {
            url,
            deployment: of.deployment,
            credential,
            projects,
            issue_type: of.issue_type.trim().to_owned(),
            write: of.write,
        })
    }
}
