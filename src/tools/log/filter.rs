//! Which lines are wanted.

use regex::{Regex, RegexBuilder};

/// Which lines are wanted; in any case of letters.
#[derive(Debug, Clone)]
pub enum Filter {
    /// A regular expression.
    Pattern(Regex),
    /// Words, in lower case.
    Literal(String),
}

impl Filter {
    /// The pattern; one that is no pattern, or too large a one, is looked for as it stands.
    pub fn new(pattern: &str) -> Self {
        match RegexBuilder::new(pattern).case_insensitive(true).size_limit(1 << 20).build() {
            Ok(pattern) => Self::Pattern(pattern),
            Err(_) => Self::Literal(pattern.to_lowercase()),
        }
    }

    /// Whether `line` is wanted.
    pub fn is_match(&self, line: &str) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.is_match(line),
            Self::Literal(text) => line.to_lowercase().contains(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_is_none_is_taken_literally() {
        assert!(Filter::new("OOM|panic").is_match("fatal: PANIC at"));
        let odd = Filter::new("conn[");
        assert!(odd.is_match("bad conn[7]") && !odd.is_match("conn 7"));
        assert!(!Filter::new(&"(a{1000}){1000}".repeat(3)).is_match("aaa"));
    }
}
