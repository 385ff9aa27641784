//! What can be wrong with a recorded world.

/// A world that cannot be loaded or served.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// No world of that name is built in.
    #[error("there is no recorded world `{name}`; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The worlds that exist, by comma.
        known: String,
    },
    /// A file or folder cannot be read.
    #[error("cannot read `{path}`: {reason}; check that the folder exists and may be read")]
    Unreadable {
        /// The file or folder.
        path: String,
        /// Why.
        reason: String,
    },
    /// A file says something that no world can be made of.
    #[error("scenario `{scenario}`, file `{file}`, {key}: {reason}")]
    Broken {
        /// The folder's name.
        scenario: String,
        /// Path inside the folder.
        file: String,
        /// The place in the file: a key, a document or a line.
        key: String,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// The folder is larger than any recorded world needs to be.
    #[error("scenario `{scenario}` is too large: {reason}")]
    TooLarge {
        /// The folder's name.
        scenario: String,
        /// Which limit.
        reason: String,
    },
    /// A listener has no address.
    #[error("cannot serve the recorded world: {reason}; bind both listeners to 127.0.0.1:0 first")]
    Listener {
        /// What the operating system said.
        reason: String,
    },
}

/// Says where in a folder something is wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub scenario: &'a str,
    pub file: &'a str,
}

impl Place<'_> {
    pub(crate) fn broken(self, key: impl Into<String>, reason: impl std::fmt::Display) -> ScenarioError {
        ScenarioError::Broken {
            scenario: self.scenario.to_owned(),
            file: self.file.to_owned(),
            key: key.into(),
            reason: reason.to_string(),
        }
    }
}
