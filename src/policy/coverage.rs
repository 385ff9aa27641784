//! Which lines and which contributions of a bundle its tests have reached.

use super::check::Loaded;
use super::rego::Session;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// What was reached.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// Lines reached, of a hundred that can be.
    pub percent: f64,
    /// By file.
    pub files: Vec<FileCoverage>,
    /// Contributing rules in all.
    pub contributions: usize,
    /// Those that no test made speak, with their place.
    pub never_spoke: Vec<String>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileCoverage {
    /// Its path in the bundle.
    pub path: String,
    /// Lines that were reached.
    pub covered: usize,
    /// Lines that were not.
    pub not_covered: Vec<u32>,
}

/// Collects what evaluations reach.
#[derive(Debug, Default)]
pub(super) struct Collector {
    covered: BTreeMap<String, BTreeSet<u32>>,
    seen: BTreeMap<String, BTreeSet<u32>>,
}

impl Collector {
    /// Adds what a session reached.
    pub(super) fn add(&mut self, session: &Session<'_>) {
        for (path, covered, not_covered) in session.coverage() {
            self.seen.entry(path.clone()).or_default().extend(covered.iter().chain(&not_covered));
            self.covered.entry(path).or_default().extend(covered);
        }
    }

    /// The whole, of the rules that decide.
    pub(super) fn finish(self, loaded: &Loaded) -> Coverage {
        let none = BTreeSet::new();
        let mut files = vec![];
        let (mut covered, mut all) = (0, 0);
        for module in loaded.modules.iter() {
            let reached = self.covered.get(&module.path).unwrap_or(&none);
            let seen = self.seen.get(&module.path).unwrap_or(&none);
            let not_covered: Vec<u32> = seen.difference(reached).copied().collect();
            covered += reached.len();
            all += reached.len() + not_covered.len();
            files.push(FileCoverage { path: module.path.clone(), covered: reached.len(), not_covered });
        }
        let mut contributions = 0;
        let mut never_spoke = vec![];
        for (module, rule, _, full) in loaded.rules() {
            contributions += 1;
            if !self.covered.get(&module.path).is_some_and(|lines| lines.contains(&rule.at.line)) {
                never_spoke.push(format!("{full} {}:{}", module.path, rule.at.line));
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let percent = if all == 0 { 100.0 } else { covered as f64 * 100.0 / all as f64 };
        // One decimal is what is shown and compared.
        Coverage { percent: (percent * 10.0).round() / 10.0, files, contributions, never_spoke }
    }
}

impl Coverage {
    /// For a terminal: files that are not covered whole, and rules that never spoke.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for file in self.files.iter().filter(|file| !file.not_covered.is_empty()) {
            let lines: Vec<String> = ranges(&file.not_covered);
            let _ = writeln!(out, "  {}  not reached: {}", file.path, lines.join(", "));
        }
        for rule in &self.never_spoke {
            let _ = writeln!(out, "  never spoke: {rule}");
        }
        let spoke = self.contributions - self.never_spoke.len();
        let _ = writeln!(out, "coverage {:.1} %   {spoke} of {} contributions", self.percent, self.contributions);
        out
    }
}

/// `3`, `7-9`.
fn ranges(lines: &[u32]) -> Vec<String> {
    let mut found: Vec<(u32, u32)> = vec![];
    for line in lines {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == *line => *last = *line,
            _ => found.push((*line, *line)),
        }
    }
    found.into_iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_a_row_are_one_range() {
        assert_eq!(ranges(&[3, 7, 8, 9, 12]), ["3", "7-9", "12"]);
    }
}
