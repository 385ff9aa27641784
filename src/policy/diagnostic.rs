//! What is wrong with a bundle, where, and how to mend it.

use super::rego::{Position, RegoError, syntax::Place};
use serde::Serialize;
use std::fmt;

/// One mistake in a bundle. Displayed as `rustc` displays its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// What kind of mistake: `parse`, `duplicate-id`, `unknown-data`, …
    pub code: &'static str,
    /// The file's path in the bundle.
    pub path: String,
    /// Line from 1; 0 when the whole file is meant.
    pub line: u32,
    /// Column from 1; 0 when the whole line is meant.
    pub col: u32,
    /// How many characters are meant.
    pub width: u32,
    /// What is wrong.
    pub message: String,
    /// The line itself.
    pub source: Option<String>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A mistake that concerns a whole file.
    pub(super) fn of_file(code: &'static str, path: &str, message: impl Into<String>) -> Self {
        Self { code, path: path.into(), line: 0, col: 0, width: 1, message: message.into(), source: None, help: None }
    }

    /// A mistake at a place in `text`.
    pub(super) fn at(code: &'static str, path: &str, text: &str, place: Place, message: impl Into<String>) -> Self {
        let source = place.line.checked_sub(1).and_then(|n| text.lines().nth(n as usize)).map(str::to_owned);
        let Place { line, col, width } = place;
        Self { line, col, width, source, ..Self::of_file(code, path, message) }
    }

    /// A mistake that the interpreter found. `text_of` finds the file that it names, which may be
    /// another than `path`.
    pub(super) fn from_rego(
        code: &'static str,
        path: &str,
        error: &RegoError,
        text_of: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let RegoError::Failed { at: Some(Position { path, line, col }), message } = error else {
            return Self::of_file(code, path, error.to_string());
        };
        let place = Place { line: *line, col: *col, width: 1 };
        let found = Self::at(code, path, &text_of(path).unwrap_or_default(), place, message);
        let help = usual_help(message, found.source.as_deref().unwrap_or(""));
        found.help(help)
    }

    /// A bundle with it may not decide. What is over, an exception that ended, is only told.
    pub fn is_in_the_way(&self) -> bool {
        self.code != super::exceptions::EXPIRED
    }

    /// Adds what to do.
    pub(super) fn help(mut self, help: Option<impl Into<String>>) -> Self {
        self.help = help.map(Into::into).or(self.help);
        self
    }
}

/// Advice for the interpreter's commonest complaints.
fn usual_help(message: &str, line: &str) -> Option<&'static str> {
    let says = |text: &str| message.contains(text);
    if says("nested more than") {
        Some("take the inner part out into a rule of its own")
    } else if says("unsafe") {
        Some("the variable has no value: bind it with `some … in` or `:=`, or correct its name")
    } else if says("`if`") || (line.trim_end().ends_with('{') && !line.contains(" if ")) {
        Some("Rego v1 writes `name if { … }` and `set contains value if { … }`")
    } else if says("exceeds maximum") {
        Some("split the line or the file")
    } else {
        None
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.col > 0 {
            write!(f, ":{}", self.col)?;
        }
        write!(f, ": error[{}]: {}", self.code, self.message)?;
        if let Some(source) = &self.source {
            // Tabs count as one column for us and as several for a terminal.
            write!(f, "\n{:>6} | {}", self.line, source.replace('\t', " "))?;
            if self.col > 0 {
                let width = (self.width as usize).clamp(1, 120);
                write!(f, "\n       | {}{}", " ".repeat(self.col as usize - 1), "^".repeat(width))?;
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// The one of `known` that was probably meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).clamp(1, 3);
    known.into_iter().map(|k| (distance(word, k), k)).filter(|(d, _)| *d <= limit).min().map(|(_, k)| k)
}

/// Edits from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_reads_like_a_compiler_s() {
        let text = "package a\n\n    some f in data.org.freezs\n";
        let place = Place { line: 3, col: 15, width: 15 };
        let shown = Diagnostic::at("unknown-data", "action/freeze.rego", text, place, "data.org.freezs is not defined")
            .help(Some("did you mean data.org.freezes?"));
        insta::assert_snapshot!(shown.to_string(), @r"
        action/freeze.rego:3:15: error[unknown-data]: data.org.freezs is not defined
             3 |     some f in data.org.freezs
               |               ^^^^^^^^^^^^^^^
          help: did you mean data.org.freezes?
        ");
        assert_eq!(
            Diagnostic::of_file("bad-data", "data/a.yaml", "no").to_string(),
            "data/a.yaml: error[bad-data]: no"
        );
    }

    #[test]
    fn only_near_words_are_suggested() {
        assert_eq!(nearest("freezs", ["freezes", "rate"]), Some("freezes"));
        assert_eq!(nearest("resorce", ["resource", "event"]), Some("resource"));
        assert_eq!(nearest("x", ["resource", "event"]), None);
    }
}
