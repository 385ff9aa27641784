//! `firewarden init`: what can be edited, written out.

use super::session::Session;
use super::{Exit, Failure};
use include_dir::{Dir, include_dir};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

static PROMPTS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/prompts");
static POLICIES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/policies");
static TOOLS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/tools");
const CONFIG: &str = include_str!("init/firewarden.yaml");

/// Write a commented configuration, prompts, policies and tools for editing
#[derive(Debug, clap::Args)]
pub struct Init {
    /// Where to
    #[arg(default_value = ".")]
    dir: PathBuf,
}

impl Init {
    /// Writes what is not there yet.
    ///
    /// # Errors
    /// When a file cannot be written, or nobody reads.
    pub fn run(self, session: &Session) -> Result<Exit, Failure> {
        let mut files = vec![(PathBuf::from("firewarden.yaml"), CONFIG.as_bytes())];
        for (name, dir) in [("policies", &POLICIES), ("prompts", &PROMPTS), ("tools", &TOOLS)] {
            collect(Path::new(name), dir, &mut files);
        }
        let (mut written, mut kept) = (0, 0);
        for (path, bytes) in files {
            let path = self.dir.join(path);
            match write_new(&path, bytes) {
                Ok(()) => {
                    written += 1;
                    session.out.line(&format!("wrote   {}", path.display()))?;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    kept += 1;
                    session.out.line(&format!("exists  {}", path.display()))?;
                }
                Err(error) => {
                    let what = format!("{} cannot be written: {error}", path.display());
                    return Err(Failure::new(Exit::Internal, what, "name a folder that you may write to"));
                }
            }
        }
        session.out.line(&format!("{written} written, {kept} left as they are; next: firewarden check"))?;
        Ok(Exit::Fine)
    }
}

fn collect(at: &Path, dir: &'static Dir<'static>, files: &mut Vec<(PathBuf, &'static [u8])>) {
    let mut folders = vec![dir];
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        files.extend(folder.files().map(|file| (at.join(file.path()), file.contents())));
    }
    files.sort();
}

/// Never overwrites, not even what appears in the same moment.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn resolve(text: &str, dir: &Path) -> crate::config::Config {
        std::fs::write(dir.join("firewarden.yaml"), text).unwrap();
        let env = [
            "FLEET_EVENTS_TOKEN",
            "FIREWARDEN_TOKEN",
            "OPENAI_API_KEY",
            "CHAT_WEBHOOK_URL",
            "PROMETHEUS_TOKEN",
            "ELASTICSEARCH_API_KEY",
            "GITHUB_TOKEN",
        ];
        let env = env.into_iter().map(|name| (name.to_owned(), "https://value/".to_owned()));
        let env = env.chain([("HOME".to_owned(), "/home/someone".to_owned())]).collect();
        let sources = Sources { file: Some(dir.join("firewarden.yaml")), env, ..Sources::default() };
        sources.load().and_then(|loaded| loaded.resolve()).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn what_is_written_loads_with_and_without_its_examples() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["policies", "prompts", "tools"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let plain = resolve(CONFIG, dir.path());
        assert!(plain.models.is_empty() && plain.kubernetes.is_none());
        assert_eq!(plain.places.tools, Some(dir.path().join("tools")));
        // `#key: …` is an example, `# Words` are words.
        let with_examples: String = CONFIG
            .lines()
            .map(|line| {
                let blanks = line.len() - line.trim_start().len();
                match line.trim_start().strip_prefix('#') {
                    Some(example) if !example.starts_with(' ') => format!("{}{example}\n", &line[..blanks]),
                    _ => format!("{line}\n"),
                }
            })
            .collect();
        let all = resolve(&with_examples, dir.path());
        assert!(all.models.len() == 3 && all.routes.len() == 1 && all.kubernetes.is_some() && all.prometheus.is_some());
        assert!(
            all.loki.is_some()
                && all.elasticsearch.is_some()
                && all.probe_targets.len() == 1
                && all.runbooks.is_some()
                && all.github.is_some()
        );
        all.check_doors().unwrap();
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policies/x.rego");
        write_new(&path, b"mine").unwrap();
        assert_eq!(write_new(&path, b"theirs").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }
}
