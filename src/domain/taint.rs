//! How far what was read can be trusted.

use serde::{Deserialize, Serialize};

/// Sources that are told.
const MOST_SOURCES: usize = 16;

/// How much text was read that others wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Taint {
    /// The worst that was read: 0 nothing but our own configuration; 1 names and figures that were looked
    /// up; 2 text that others wrote, as the alert, logs and tickets are; 3 text that looks like
    /// instructions to whoever reads it.
    pub level: u8,
    /// Where text of this level was read: `alert:evt_…`, `kubernetes_logs:E3`. At most 16.
    pub sources: Vec<String>,
}

impl Taint {
    /// Text that others wrote.
    pub const TEXT: u8 = 2;
    /// Text that looks like instructions.
    pub const INSTRUCTIONS: u8 = 3;

    /// Something of this level was read there. The level only goes up.
    pub fn note(&mut self, level: u8, source: String) {
        if level < self.level {
            return;
        }
        if level > self.level {
            (self.level, self.sources) = (level, vec![]);
        }
        if self.sources.len() < MOST_SOURCES && !self.sources.contains(&source) {
            self.sources.push(source);
        }
    }

    /// Both were read.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for source in &other.sources {
            self.note(other.level, source.clone());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(level: u8, sources: &[&str]) -> Taint {
        Taint { level, sources: sources.iter().map(|s| (*s).to_owned()).collect() }
    }

    #[test]
    fn the_worst_counts_and_its_sources_are_told() {
        let mut read = Taint::default();
        for (level, source) in [(2, "alert:a"), (2, "logs:E1"), (3, "logs:E2"), (2, "logs:E3"), (3, "logs:E2")] {
            read.note(level, source.to_owned());
        }
        assert_eq!(read, taint(3, &["logs:E2"]));
        for n in 0..99 {
            read.note(3, format!("logs:X{n}"));
        }
        assert_eq!(read.sources.len(), MOST_SOURCES);
    }

    #[test]
    fn two_are_as_bad_as_the_worse() {
        let (low, high) = (taint(2, &["a"]), taint(3, &["b"]));
        assert_eq!(low.clone().and(&high), high);
        assert_eq!(high.clone().and(&low), high);
        assert_eq!(low.and(&taint(2, &["a", "c"])), taint(2, &["a", "c"]));
    }
}
