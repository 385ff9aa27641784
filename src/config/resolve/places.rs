//! Files and folders.

use super::{Resolver, Step, at};
use crate::config::{Place, Places, Problem};
use std::path::{Path, PathBuf};

impl Resolver<'_> {
    pub(super) fn places(&mut self) -> Places {
        let file = &self.loaded.file;
        let policies = self.folder(at!["policies", "dir"], file.policies.dir.as_deref(), Some("policies"));
        let shadow = self.folder(at!["policies", "shadow"], file.policies.shadow.as_deref(), None);
        let prompts = self.folder(at!["prompts", "dir"], file.prompts.dir.as_deref(), Some("prompts"));
        // No folder of this name by chance: many projects have one.
        let tools = self.folder(at!["tools", "dir"], file.tools.dir.as_deref(), None);
        let signing_key = self.loaded.file.audit.signing_key.as_deref();
        let signing_key = signing_key.map(|path| self.absolute(at!["audit", "signing_key"], path));
        Places { store: self.store(), signing_key, policies, shadow, prompts, tools }
    }

    fn folder(&mut self, key: &[Step], configured: Option<&str>, usual: Option<&str>) -> Option<PathBuf> {
        match configured {
            Some(path) => {
                let path = self.absolute(key, path);
                if !path.is_dir() {
                    let help = "`firewarden init` writes the embedded ones there; null takes the embedded ones";
                    self.problem(key, format!("names no folder: {}", path.display()), help);
                }
                Some(path)
            }
            None => usual.map(|usual| self.loaded.sources.base().join(usual)).filter(|path| path.is_dir()),
        }
    }

    fn store(&mut self) -> PathBuf {
        let key = at!["store", "url"];
        let (url, from) = match (&self.loaded.file.store.url, self.variable("DATABASE_URL")) {
            (Some(url), _) => (url.clone(), None),
            (None, Some(url)) => (url.to_owned(), Some("DATABASE_URL")),
            (None, None) => return self.default_store(),
        };
        let mut refuse = |what: &str, help: &str| match from {
            // What the address says may be a credential: it is not repeated.
            Some(name) => self.problems.push(Problem {
                at: Place::Variable(name.to_owned()),
                path: String::new(),
                what: what.to_owned(),
                help: format!("{help}; `store.url` in the configuration goes before {name}"),
            }),
            None => self.problem(key, what, help),
        };
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            refuse("names PostgreSQL, which is not in this version yet", "use sqlite:PATH");
            return PathBuf::new();
        }
        let path = url.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
        match path {
            None => {
                refuse("names no store that we know", "use sqlite:PATH, or leave it out");
                PathBuf::new()
            }
            Some(path) if path.is_empty() || path.contains('?') || path.contains(":memory:") => {
                refuse("names no file", "use sqlite:PATH without parameters: the journal must outlive the process");
                PathBuf::new()
            }
            Some(path) if from.is_some() => self.loaded.sources.cwd.join(path),
            Some(path) => self.absolute(key, path),
        }
    }

    /// Where a program keeps its state by the XDG base directory specification.
    fn default_store(&mut self) -> PathBuf {
        let absolute = |path: &&str| Path::new(path).is_absolute();
        let state = self.variable("XDG_STATE_HOME").filter(absolute).map(PathBuf::from);
        let home = self.variable("HOME").filter(absolute).map(|home| Path::new(home).join(".local/state"));
        match state.or(home) {
            Some(state) => state.join("firewarden/firewarden.db"),
            None => {
                let what = "is needed: neither XDG_STATE_HOME nor HOME says where state is kept";
                self.problem(at!["store", "url"], what, "set store.url to sqlite:/var/lib/firewarden/firewarden.db");
                PathBuf::new()
            }
        }
    }
}
