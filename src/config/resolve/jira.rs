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
        let project = of.project.clone().or_else(|| self.variable("JIRA_PROJECT_KEY").map(str::to_owned));
        // An address among the variables alone is somebody else's business until a project is named.
        if *of == Default::default() && project.is_none() {
            return None;
        }
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

#[cfg(test)]
mod tests {
    use crate::config::{Config, Credential, Sources};

    fn resolved(yaml: &str, env: &[(&str, &str)]) -> Result<Config, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        std::fs::write(dir.path().join("f.yaml"), yaml).map_err(|e| e.to_string())?;
        let env = env.iter().chain([&("HOME", "/home/someone")]);
        let env = env.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let sources = Sources { file: Some("f.yaml".into()), env, flags: vec![], cwd: dir.path().into() };
        sources.load().and_then(|loaded| loaded.resolve()).map_err(|e| e.to_string())
    }

    #[test]
    fn variables_of_either_spelling_are_enough() {
        for env in [
            [
                ("JIRA_URL", "https://acme.atlassian.net/"),
                ("JIRA_USERNAME", "a@b.c"),
                ("JIRA_API_TOKEN", "t0ken"),
                ("JIRA_PROJECT_KEY", "OPS"),
            ],
            [
                ("JIRA_BASE_URL", "https://acme.atlassian.net"),
                ("JIRA_EMAIL", "a@b.c"),
                ("JIRA_API_KEY", "t0ken"),
                ("JIRA_PROJECT_KEY", "OPS"),
            ],
        ] {
            let config = resolved("{}", &env).unwrap();
            assert!(config.has_peer("jira") && config.has_peer("jira_write"));
            assert!(config.secrets().iter().any(|secret| secret.expose() == "t0ken"));
            let jira = config.jira.unwrap();
            assert_eq!(
                (jira.url.as_str(), jira.projects.as_slice()),
                ("https://acme.atlassian.net", &["OPS".to_owned()][..])
            );
            assert!(matches!(jira.credential, Some(Credential::Basic { username, .. }) if username == "a@b.c"));
        }
        let none = resolved("{}", &[("JIRA_URL", "https://jira.example.org"), ("JIRA_API_TOKEN", "t")]).unwrap();
        assert!(none.jira.is_none(), "without a project it is none of our business");
    }

    #[test]
    fn the_file_comes_first_and_says_what_may_be_written() {
        let yaml = "tools: {jira: {url: 'http://jira:8080', token: 'env:PAT', project: OPS, projects: [WEB, OPS], write: false, issue_type: ' Incident '}}";
        let config =
            resolved(yaml, &[("PAT", "p4t"), ("JIRA_PROJECT_KEY", "ENV"), ("JIRA_URL", "http://other")]).unwrap();
        assert!(config.has_peer("jira") && !config.has_peer("jira_write"));
        let jira = config.jira.unwrap();
        assert_eq!(
            (jira.url.as_str(), jira.issue_type.as_str(), jira.projects.join(" ").as_str()),
            ("http://jira:8080", "Incident", "OPS WEB")
        );
        assert!(matches!(jira.credential, Some(Credential::Bearer(_))));
        for (wrong, says) in [
            ("{url: 'http://jira'}", "tools.jira.project"),
            ("{url: 'http://jira', project: ops}", "is no key of a project"),
            ("{url: 'http://jira', project: OPS, projects: ['A\" OR']}", "tools.jira.projects[0]"),
            ("{project: OPS, token: 'env:PAT'}", "tools.jira.url"),
            ("{url: 'http://jira', project: OPS, issue_type: ' '}", "tools.jira.issue_type"),
            ("{url: 'http://jira', project: OPS, deployment: onprem}", "deployment"),
        ] {
            let error = resolved(&format!("tools: {{jira: {wrong}}}"), &[("PAT", "p4t")]).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }
}
