//! How a command ends.

use super::text;
use crate::config::ConfigError;
use std::io;

/// Exit codes, as docs and scripts know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is fine.
    Fine = 0,
    /// The check found something.
    Found = 1,
    /// The command was not understood.
    Usage = 2,
    /// Configuration, policy, prompt or manifest does not load.
    DoesNotLoad = 3,
    /// A peer could not be reached.
    Unreachable = 4,
    /// A fault of ours or of the machine.
    Internal = 5,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command cannot go on.
#[derive(Debug)]
pub enum Failure {
    /// What happened and what to do, one or more.
    Told {
        /// The exit code.
        exit: Exit,
        /// What happened, and what to do; the latter may be empty.
        lines: Vec<(String, String)>,
    },
    /// Nobody reads our output any more: no error.
    PipeClosed,
}

impl Failure {
    /// What happened, and what to do about it.
    pub fn new(exit: Exit, what: impl std::fmt::Display, help: impl Into<String>) -> Self {
        Self::Told { exit, lines: vec![(what.to_string(), help.into())] }
    }

    /// Used wrongly in a way that the argument parser cannot see.
    pub fn usage(what: impl std::fmt::Display, help: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what, help)
    }

    /// Something that does not load.
    pub fn does_not_load(what: impl std::fmt::Display, help: impl Into<String>) -> Self {
        Self::new(Exit::DoesNotLoad, what, help)
    }

    /// A peer that does not answer.
    pub fn unreachable(what: impl std::fmt::Display, help: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, what, help)
    }

    /// A fault of ours or of the machine.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        Self::new(Exit::Internal, what, "if it stays, please report it with this text and `firewarden version`")
    }

    /// The machine's fault, told with its remedy already.
    pub fn internal_without_report(what: impl std::fmt::Display) -> Self {
        Self::new(Exit::Internal, what, "")
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Told { exit, .. } => *exit,
            Self::PipeClosed => Exit::Fine,
        }
    }

    /// What stands on stderr.
    pub fn text(&self) -> String {
        match self {
            Self::PipeClosed => String::new(),
            Self::Told { lines, .. } => lines
                .iter()
                .map(|(what, help)| {
                    let what = text::block(what, 8000);
                    match help.is_empty() {
                        true => format!("error: {what}\n"),
                        false => format!("error: {what}\n  help: {help}\n"),
                    }
                })
                .collect(),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Told { exit: Exit::DoesNotLoad, lines: error.lines() }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_say_what_happened_and_what_to_do() {
        let failure = Failure::unreachable("http://h:1 cannot be reached", "is `firewarden serve` running?");
        assert_eq!(failure.text(), "error: http://h:1 cannot be reached\n  help: is `firewarden serve` running?\n");
        assert_eq!(failure.exit() as u8, 4);
        let pipe = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((pipe.text().as_str(), pipe.exit() as u8), ("", 0));
        assert!(!Failure::usage("a\x1b[2Jb", "").text().contains('\x1b'));
    }
}
