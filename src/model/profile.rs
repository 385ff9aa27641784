//! How a model did when it was measured, as it is kept beside the store.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The version of the file's form.
pub const FORM: &str = "firewarden/model-profile/v1";
/// [`Window::from`] of a window that was found by trying: the next larger text was not read.
pub const PROBED: &str = "probed";
/// [`Window::from`] when nothing larger was tried.
pub const PROBED_AT_LEAST: &str = "probed, at least";
/// Bytes of a profile that are read; a real one has a few thousand.
const MAX_BYTES: u64 = 256 << 10;

/// What a measured model may be trusted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// It may look and take notes.
    Failed,
    /// A person approves what it proposes to change.
    Weak,
    /// Policy decides as for anybody.
    Ok,
}

impl Grade {
    /// The word of policies and files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Weak => "weak",
            Self::Ok => "ok",
        }
    }
}

/// Tasks of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// Tasks that were done as asked.
    pub passed: u32,
    /// Tasks that were given.
    pub of: u32,
}

impl Score {
    /// From 0 to 1; `None` when no task was given.
    pub fn share(self) -> Option<f64> {
        (self.of > 0).then(|| f64::from(self.passed) / f64::from(self.of))
    }
}

/// What a grade needs, as shares of a kind's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// At least so much for `ok`.
    pub ok: f64,
    /// Less than that is `failed`; between the two is `weak`.
    pub weak: f64,
}

/// One task and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskResult {
    /// Its name.
    pub task: String,
    /// `tools`, `report`, `hierarchy` or `needle`.
    pub kind: String,
    /// Whether it was done as asked.
    pub passed: bool,
    /// What was wrong, or why it was not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// The context window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Tokens, question and answer together; at least that many when it was probed.
    pub tokens: Option<u64>,
    /// Who says so: `configured`, the server's path (`/models`, `/props`, …), [`PROBED`] or
    /// [`PROBED_AT_LEAST`].
    pub from: String,
}

/// How fast it answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speed {
    /// Milliseconds until a one-word answer was whole: no less than the time to the first token.
    pub first_word_ms: Option<u64>,
    /// Tokens of a long answer for each second after that.
    pub tokens_per_s: Option<f64>,
}

/// A measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// [`FORM`].
    pub api_version: String,
    /// The configured name.
    pub name: String,
    /// The model that was asked for.
    pub model: String,
    /// The name that it gave itself in its answers.
    pub answered_as: String,
    /// Where, without credentials.
    pub base_url: String,
    /// When.
    pub measured_at: Timestamp,
    /// Seconds that it took.
    pub took_s: u64,
    /// The version of firewarden that measured.
    pub firewarden: String,
    /// The grade.
    pub verdict: Grade,
    /// Why it is no better.
    pub reasons: Vec<String>,
    /// The window.
    pub window: Window,
    /// The speed.
    pub speed: Speed,
    /// Whether the server counts tokens: `plausible`, `absent` or `implausible`.
    pub usage: String,
    /// Tasks by kind.
    pub scores: BTreeMap<String, Score>,
    /// What was needed, by kind.
    pub thresholds: BTreeMap<String, Threshold>,
    /// Every task.
    pub tasks: Vec<TaskResult>,
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It cannot be read or written.
    #[error("the profile {path} cannot be {doing}: {source}. Check the folder's rights, or name another with --write.")]
    Io {
        /// The file.
        path: String,
        /// `read` or `written`.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is none.
    #[error("{path} is no profile of a model: {why}. Measure again with `firewarden doctor model`.")]
    Form {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Profile {
    /// Where the profile of the model `name` is kept for the store at `store`.
    pub fn path(store: &Path, name: &str) -> PathBuf {
        let plain: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' }).collect();
        // Names that differ only in what a file name may not hold stay apart.
        let file = match plain == name && !plain.is_empty() && plain.len() <= 64 {
            true => plain,
            false => {
                let short: String = plain.chars().take(40).collect();
                format!("{short}-{}", crate::domain::Digest::of(name).short(12))
            }
        };
        store.with_file_name("model-profiles").join(format!("{file}.yaml"))
    }

    /// Reads `path`; `None` when there is no such file.
    ///
    /// # Errors
    /// When it is there and cannot be used.
    pub fn read(path: &Path) -> Result<Option<Self>, ProfileError> {
        let shown = path.display().to_string();
        let form = |why: String| ProfileError::Form { path: shown.clone(), why };
        let text = match std::fs::metadata(path).and_then(|about| match about.len() > MAX_BYTES {
            true => Err(std::io::Error::other(format!("it is larger than {MAX_BYTES} bytes"))),
            false => std::fs::read_to_string(path),
        }) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ProfileError::Io { path: shown, doing: "read", source }),
        };
        let profile: Self = serde_saphyr::from_str(&text).map_err(|e| form(e.to_string()))?;
        match profile.api_version == FORM {
            true => Ok(Some(profile)),
            false => Err(form(format!("its api_version is not {FORM}"))),
        }
    }

    /// The file's text.
    ///
    /// # Errors
    /// When it cannot be written as YAML, which no measurement gives reason for.
    pub fn yaml(&self) -> Result<String, ProfileError> {
        serde_saphyr::to_string(self)
            .map_err(|e| ProfileError::Form { path: "the measurement".into(), why: e.to_string() })
    }

    /// Writes it to `path`, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ProfileError> {
        let text = self.yaml()?;
        let failed = |source| ProfileError::Io { path: path.display().to_string(), doing: "written", source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(folder).map_err(failed)?;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let written = std::fs::File::create(&beside)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&beside, path));
        written.map_err(failed)
    }

    /// The window, where it is known to end.
    pub fn window_tokens(&self) -> Option<u64> {
        self.window.tokens.filter(|_| self.window.from != PROBED_AT_LEAST)
    }

    /// Whether it is about this model at this address.
    pub fn is_of(&self, name: &str, model: &str, base_url: &str) -> bool {
        self.name == name && self.model == model && self.base_url == without_credentials(base_url)
    }
}

/// An address as profiles hold it: without user, password, query and a slash at its end.
pub fn without_credentials(url: &str) -> String {
    let Ok(mut parsed) = reqwest::Url::parse(url.trim()) else { return "(no address)".to_owned() };
    // Cannot fail for an address with a host; without one there is nothing to hide.
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.set_query(None);
    parsed.set_fragment(None);
    parsed.as_str().trim_end_matches('/').to_owned()
}

/// What is known of a model's grade while it works.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing(Option<(Grade, String)>);

impl Standing {
    /// What `profile` says.
    pub fn of(profile: &Profile) -> Self {
        Self(Some((profile.verdict, profile.answered_as.clone())))
    }

    /// The word for policies: `ok`, `weak` or `failed`; `unknown` when it was not measured, or answers
    /// under another name (`answers_as`) than the one that was.
    pub fn word(&self, answers_as: Option<&str>) -> &'static str {
        match &self.0 {
            Some((grade, measured)) if answers_as.is_none_or(|name| name == measured) => grade.as_str(),
            Some(_) | None => "unknown",
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn profile(verdict: Grade) -> Profile {
        Profile {
            api_version: FORM.into(),
            name: "main".into(),
            model: "m-1".into(),
            answered_as: "m-1-2026".into(),
            base_url: "http://127.0.0.1:9/v1".into(),
            measured_at: "2026-04-01T00:00:00Z".parse().unwrap(),
            took_s: 40,
            firewarden: "0.1.0".into(),
            verdict,
            reasons: vec!["tools: 3 of 7, 5 were needed".into()],
            window: Window { tokens: Some(32_768), from: "/props".into() },
            speed: Speed { first_word_ms: Some(300), tokens_per_s: Some(41.5) },
            usage: "plausible".into(),
            scores: BTreeMap::from([("tools".into(), Score { passed: 3, of: 7 })]),
            thresholds: BTreeMap::from([("tools".into(), Threshold { ok: 0.85, weak: 0.6 })]),
            tasks: vec![TaskResult { task: "x".into(), kind: "tools".into(), passed: false, why: "a: \"b\"\n".into() }],
        }
    }

    #[test]
    fn a_profile_is_kept_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = Profile::path(&dir.path().join("firewarden.db"), "main");
        assert_eq!(path, dir.path().join("model-profiles/main.yaml"));
        assert!(Profile::read(&path).unwrap().is_none());
        let kept = profile(Grade::Weak);
        kept.write(&path).unwrap();
        kept.write(&path).unwrap();
        assert_eq!(Profile::read(&path).unwrap().unwrap(), kept);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        for text in [
            "",
            "verdict: ok",
            "[",
            &kept.yaml().unwrap().replace("/v1\n", "/v9\n"),
            &format!("{}\nmore: 1\n", kept.yaml().unwrap()),
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(Profile::read(&path), Err(ProfileError::Form { .. })), "{text}");
        }
    }

    #[test]
    fn names_stay_apart_and_inside_the_folder() {
        let path = |name: &str| Profile::path(Path::new("/s/db"), name);
        for name in ["../../etc/passwd", "a/b", "", ".", "ä", &"x".repeat(300)] {
            let path = path(name);
            assert_eq!(path.parent().unwrap(), Path::new("/s/model-profiles"), "{name}");
            assert!(path.file_name().unwrap().len() < 80);
        }
        assert_ne!(path("a/b"), path("a:b"));
    }

    #[test]
    fn a_profile_holds_for_one_model_at_one_address() {
        let kept = profile(Grade::Ok);
        assert!(kept.is_of("main", "m-1", "http://user:secret@127.0.0.1:9/v1/"));
        for (name, model, url) in [
            ("other", "m-1", "http://127.0.0.1:9/v1"),
            ("main", "m-2", "http://127.0.0.1:9/v1"),
            ("main", "m-1", "http://127.0.0.2:9/v1"),
        ] {
            assert!(!kept.is_of(name, model, url));
        }
        assert_eq!(without_credentials("https://u:p@h/v1?key=s#f"), "https://h/v1");
        let standing = Standing::of(&kept);
        assert_eq!(
            (standing.word(None), standing.word(Some("m-1-2026")), standing.word(Some("m-2"))),
            ("ok", "ok", "unknown")
        );
        assert_eq!(Standing::default().word(None), "unknown");
    }
}
