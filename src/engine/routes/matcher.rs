//! Conditions over labels, written as in Alertmanager's configuration.

use crate::domain::SreEvent;
use regex::{Regex, RegexBuilder};

/// Longest matcher, in bytes.
const MAX_MATCHER: usize = 4 << 10;
/// Largest compiled regular expression, in bytes.
const MAX_REGEX: usize = 1 << 20;

/// What is wrong with one matcher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("character {position}: {why}")]
pub struct MatcherError {
    /// Where, from 1.
    pub position: usize,
    /// What is wrong, and what would be right.
    pub why: String,
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    Equal(String),
    NotEqual(String),
    Like(Regex),
    NotLike(Regex),
}

/// One matcher, read.
#[derive(Debug, Clone)]
pub struct Matcher {
    pub(super) label: String,
    pub(super) test: Test,
}

impl Matcher {
    /// Reads Alertmanager's notation. Regular expressions match the whole value.
    ///
    /// # Errors
    /// When it cannot be read; says where and what would be right.
    pub fn parse(text: &str) -> Result<Self, MatcherError> {
        let fail = |at: usize, why: &str| {
            let position = text.get(..at).map_or(0, |before| before.chars().count()) + 1;
            MatcherError { position, why: why.to_owned() }
        };
        if text.len() > MAX_MATCHER {
            return Err(fail(0, "it is longer than 4 KiB; split it into several routes"));
        }
        let start = text.len() - text.trim_start().len();
        let name_end = text[start..]
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
            .map_or(text.len(), |n| start + n);
        let label = &text[start..name_end];
        if label.is_empty() || label.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(fail(start, "a label name is expected here, as in `severity=\"critical\"`"));
        }
        let rest = text[name_end..].trim_start();
        let at = text.len() - rest.len();
        let operators = ["=~", "!~", "!=", "="];
        let Some(operator) = operators.into_iter().find(|operator| rest.starts_with(operator)) else {
            return Err(fail(at, "one of = != =~ !~ is expected here"));
        };
        let rest = rest[operator.len()..].trim_start();
        let at = text.len() - rest.len();
        let value = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted).map_err(|(offset, why)| fail(at + 1 + offset, why))?,
            None => {
                let bare = rest.trim_end();
                match bare.find(|c: char| c.is_whitespace() || "\"{},=~!\\`'".contains(c)) {
                    Some(offset) => {
                        let why = "a value with this character must stand in double quotes, one matcher per list item";
                        return Err(fail(at + offset, why));
                    }
                    None => bare.to_owned(),
                }
            }
        };
        let like = |pattern: &str| {
            RegexBuilder::new(&format!("^(?s:{pattern})$")).size_limit(MAX_REGEX).build().map_err(|error| {
                let last = error.to_string();
                let why = last.lines().last().unwrap_or_default().trim_start_matches("error: ");
                fail(at, &format!("the regular expression is wrong: {why}"))
            })
        };
        let test = match operator {
            "=" => Test::Equal(value),
            "!=" => Test::NotEqual(value),
            "=~" => Test::Like(like(&value)?),
            _ => Test::NotLike(like(&value)?),
        };
        Ok(Self { label: label.to_owned(), test })
    }

    /// The label that it looks at.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether `event` has such a label. One that is not there is empty.
    pub fn matches(&self, event: &SreEvent) -> bool {
        self.holds(event.labels.get(&self.label).map_or("", String::as_str))
    }

    /// Whether the label may have this value.
    pub(super) fn holds(&self, value: &str) -> bool {
        match &self.test {
            Test::Equal(wanted) => value == wanted,
            Test::NotEqual(unwanted) => value != unwanted,
            Test::Like(pattern) => pattern.is_match(value),
            Test::NotLike(pattern) => !pattern.is_match(value),
        }
    }
}

/// The text up to the closing quote; or where it goes wrong, and how.
fn unquote(text: &str) -> Result<String, (usize, &'static str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if chars.as_str().trim().is_empty() => return Ok(value),
            '"' => return Err((at + 1, "nothing may follow the closing quote; write one matcher per list item")),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                // As in Alertmanager: any other backslash is itself, so that `\d` needs no doubling.
                Some((_, other)) => value.extend(['\\', other]),
                None => return Err((at, "the closing quote is missing")),
            },
            c => value.push(c),
        }
    }
    Err((text.len(), "the closing quote is missing"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::event;
    use super::*;

    #[test]
    fn matchers_hold_as_in_alertmanager() {
        let event =
            event(&[("namespace", "production"), ("alertname", "KubePodCrashLooping"), ("text", "a \"b\"\nc\\d")]);
        for (matcher, holds) in [
            (r#"namespace="production""#, true),
            (r#"namespace = "production" "#, true),
            (" namespace=production", true),
            (r#"namespace!="production""#, false),
            (r#"namespace=~"prod""#, false),
            (r#"namespace=~"prod.*""#, true),
            (r#"namespace!~"stag.*|dev""#, true),
            (r#"alertname=~"KubePodCrashLooping|KubeContainerOOMKilled""#, true),
            (r#"alertname=~Kube"#, false),
            (r#"silenced!="true""#, true),
            (r#"silenced="""#, true),
            (r#"silenced="#, true),
            (r#"silenced=~".+""#, false),
            (r#"silenced=~"""#, true),
            (r#"namespace=~"a|production|b""#, true),
            (r#"alertname=~"\w+""#, true),
            (r#"text="a \"b\"\nc\\d""#, true),
            (r#"text=~"a.*d""#, true),
        ] {
            assert_eq!(Matcher::parse(matcher).unwrap().matches(&event), holds, "{matcher}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_matcher_is_said_with_its_place() {
        for (matcher, position, says) in [
            ("", 1, "label name"),
            ("  =\"x\"", 3, "label name"),
            ("9a=\"x\"", 1, "label name"),
            ("severity", 9, "= != =~ !~"),
            ("sévérité=\"x\"", 2, "= != =~ !~"),
            ("severity > 3", 10, "= != =~ !~"),
            ("severity=\"x", 12, "closing quote is missing"),
            ("severity=\"x\\", 12, "closing quote is missing"),
            ("severity=\"x\", a=\"b\"", 13, "one matcher per list item"),
            ("severity==\"x\"", 10, "double quotes"),
            ("severity=a b", 11, "double quotes"),
            ("severity=~\"(\"", 11, "regular expression"),
            ("severity=~\"(\\\\w{500}){500}\"", 11, "regular expression"),
        ] {
            let error = Matcher::parse(matcher).unwrap_err();
            assert!(error.position == position && error.why.contains(says), "{matcher}: {error}");
        }
        assert!(Matcher::parse(&"a".repeat(5_000)).unwrap_err().why.contains("4 KiB"));
    }

    proptest::proptest! {
        #[test]
        fn no_matcher_panics(text in "\\PC{0,40}") {
            let _ = Matcher::parse(&text);
        }

        #[test]
        fn no_nearly_right_matcher_panics(text in r#"[a-b_]{0,3}(=|!=|=~|!~| )["\\(a\[é,]{0,6}["]?"#) {
            let _ = Matcher::parse(&text);
        }
    }
}
