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
            Format::Yaml => self.text(&serde_saphyr::to_string(value).map_err(Failure::internal)?),
        }
    }
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
