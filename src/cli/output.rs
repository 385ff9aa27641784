//! Results on stdout: as a table for people, as JSON or YAML for programs.

use super::Failure;
use super::text::{Colour, line, pad};
use clap::ValueEnum;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// stdout, and what it can show.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Whether colours are written.
    pub colour: Colour,
    /// How wide it is, at most 100.
    pub columns: usize,
    /// Whether stdout is a terminal.
    pub terminal: bool,
}

impl Output {
    /// Looks at stdout and the environment. A colour needs a terminal and an unset `NO_COLOR`.
    pub fn of_process() -> Self {
        let terminal = io::stdout().is_terminal();
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = if terminal && !set("NO_COLOR") && !dumb { Colour::On } else { Colour::Off };
        let columns = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).unwrap_or(super::render::COLUMNS);
        Self { colour, columns: columns.clamp(40, super::render::COLUMNS), terminal }
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When nobody reads.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        // Watchers and pipes see each line as it happens.
        Ok(out.flush()?)
    }

    /// Writes lines.
    ///
    /// # Errors
    /// When nobody reads.
    pub fn lines(&self, lines: impl IntoIterator<Item = String>) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        for line in lines {
            writeln!(out, "{line}")?;
        }
        Ok(out.flush()?)
    }

    /// Writes text as it is; it ends with a newline afterwards.
    ///
    /// # Errors
    /// When nobody reads.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        self.line(text.strip_suffix('\n').unwrap_or(text))
    }

    /// Writes `value` as JSON or YAML, or `table` for people.
    ///
    /// # Errors
    /// When nobody reads.
    pub fn value<T: Serialize>(
        &self,
        format: Format,
        value: &T,
        table: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Failure> {
        match format {
            Format::Table => self.lines(table()),
            Format::Json => {
                self.text(&super::text::json(&serde_json::to_string_pretty(value).map_err(Failure::internal)?))
            }
            Format::Yaml => self.text(&yaml(value)?),
        }
    }
}

/// `value` as YAML in which nothing acts on a terminal or hides there: the same values.
fn yaml<T: Serialize>(value: &T) -> Result<String, Failure> {
    let text = serde_saphyr::to_string(value).map_err(Failure::internal)?;
    if !super::text::acts(&text) {
        return Ok(text);
    }
    // In flow style and double quotes, which JSON shares, any character can be escaped.
    let flow = serde_json::to_string_pretty(value).map_err(Failure::internal)?;
    Ok(super::text::yaml_flow(&flow))
}

/// A line on stderr: progress and warnings. Nobody listening is fine.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Aligned columns. Cells are made harmless; the last one is not padded.
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let clean: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| line(cell, 120)).collect::<Vec<_>>()).collect();
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(n, head)| {
            let cells = clean.iter().filter_map(|row| row.get(n)).map(|cell| cell.chars().count());
            cells.chain([head.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let row = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect::<Vec<_>>();
        cells.join("  ").trim_end().to_owned()
    };
    let head: Vec<String> = heads.iter().map(|head| head.to_uppercase()).collect();
    std::iter::once(row(&head)).chain(clean.iter().map(|cells| row(cells))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_hides_nothing_from_a_terminal_and_stays_the_same_value() {
        let plain = serde_json::json!({"a": "one: two\nthree", "b": [1, true, null]});
        assert_eq!(yaml(&plain).unwrap(), serde_saphyr::to_string(&plain).unwrap());
        let hostile =
            "x\u{9b}31m\u{202e}y\u{200b}\u{e0041}\u{85}\u{1b}[2J\u{7f} \"quoted\" \\u202e #: '\ttab\nline\u{2028}";
        let value = serde_json::json!({hostile: [hostile], "n": {"k\u{2066}": hostile}, "plain": "- a: b"});
        let text = yaml(&value).unwrap();
        assert!(
            !text.chars().any(|c| c != '\n' && (c.is_control() || matches!(c, '\u{200b}'..='\u{202e}' | '\u{2066}'))),
            "{text:?}"
        );
        assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&text).unwrap(), value, "{text}");
    }

    proptest::proptest! {
        #[test]
        fn yaml_is_the_same_value_whatever_it_holds(key: String, text in "[\\x00-\\x7f\u{80}-\u{9f}\u{2028}-\u{202f}\u{2066}\u{feff}\u{e0001}é😀]{0,40}") {
            let value = serde_json::json!({key: text});
            let yaml = yaml(&value).unwrap();
            proptest::prop_assert!(!super::super::text::acts(&yaml), "{:?}", yaml);
            proptest::prop_assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&yaml).unwrap(), value);
        }
    }

    #[test]
    fn columns_are_aligned_and_cells_harmless() {
        let rows = vec![
            vec!["a".to_owned(), "one\x1b[31m\ntwo".to_owned(), "x".to_owned()],
            vec!["longer".to_owned(), String::new(), "y".to_owned()],
        ];
        assert_eq!(
            table(&["id", "text", "end"], &rows),
            ["ID      TEXT     END", "a       one two  x", "longer           y"]
        );
    }
}
