//! The one door for text from outside: secrets are blanked out before anything is stored, hashed,
//! shown or sent.

use regex::{Regex, RegexBuilder};
use serde_json::Value;
use std::borrow::Cow;

/// What stands where a secret stood.
const BLANK: &str = "[redacted]";

/// Blanks out known secret values and what looks like one.
#[derive(Debug, Clone)]
pub struct Redactor {
    patterns: Regex,
    values: Option<Regex>,
}

/// One alternation, compiled once. Group `keep` stays visible: the name of a secret is no secret.
const PATTERNS: &str = r#"(?x)
  (?s:-----BEGIN\ [A-Z\ ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z\ ]*PRIVATE\ KEY-----|\z))
| (?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}
| (?-u:\b)(?:AKIA|ASIA)[0-9A-Z]{16}(?-u:\b)
| (?-u:\b)gh[pousr]_[A-Za-z0-9]{20,}
| (?-u:\b)github_pat_[A-Za-z0-9_]{20,}
| (?-u:\b)glpat-[A-Za-z0-9_-]{16,}
| (?-u:\b)xox[abprs]-[A-Za-z0-9-]{10,}
| (?-u:\b)sk-[A-Za-z0-9_-]{16,}
| (?P<keep_url>[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s/:@"']{0,128}:)[^\s/@"']{1,256}(?P<at>@)
| (?P<keep_auth>(?i:authorization|proxy-authorization)["']?\s{0,4}[:=]\s{0,4}["']?(?i:bearer|basic|token)\s{1,4})[^\s"',;]+
| (?P<keep_bearer>(?-u:\b)(?i:bearer)\s{1,4})[A-Za-z0-9._~+/-]{12,}=*
| (?P<keep_pair>(?i:password|passwd|passphrase|secret|api[_-]?key|apikey|access[_-]?key|private[_-]?key|client[_-]?secret|auth[_-]?token|access[_-]?token|refresh[_-]?token|session[_-]?token|(?-u:\b)token|(?-u:\b)pwd)[A-Za-z0-9_-]{0,16}["']?\s{0,4}(?:=|:)\s{0,4}["']?)[^\s"',;&}\])<>\[{(]{4,}
"#;

impl Redactor {
    /// Knows the shapes of secrets, and `values` by heart. Values shorter than four characters are
    /// left out: blanking them would blank ordinary words.
    ///
    /// # Errors
    /// When the alternation of all values is too large to compile.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, regex::Error> {
        let mut values: Vec<String> = values.into_iter().filter(|v| v.len() >= 4).map(regex::escape).collect();
        // Longest first: a secret that starts with another is blanked as a whole.
        values.sort_by_key(|v| std::cmp::Reverse(v.len()));
        let values = match values.is_empty() {
            true => None,
            false => Some(RegexBuilder::new(&values.join("|")).size_limit(64 << 20).build()?),
        };
        Ok(Self { patterns: Regex::new(PATTERNS)?, values })
    }

    /// `text` without secrets, and how many were blanked out.
    pub fn text<'t>(&self, text: &'t str) -> (Cow<'t, str>, u32) {
        let mut blanked = 0;
        let known = match &self.values {
            Some(values) => values.replace_all(text, |_: &regex::Captures<'_>| {
                blanked += 1;
                BLANK
            }),
            None => Cow::Borrowed(text),
        };
        let shaped = self.patterns.replace_all(&known, |found: &regex::Captures<'_>| {
            let keep = ["keep_url", "keep_auth", "keep_bearer", "keep_pair"].iter().find_map(|name| found.name(name));
            let whole = found.get(0).map_or("", |m| m.as_str());
            let keep = keep.map_or("", |m| m.as_str());
            // What is blank already stays as it is, and is not counted twice.
            if whole[keep.len()..].starts_with(&BLANK[1..]) || whole.contains(BLANK) {
                return whole.to_owned();
            }
            blanked += 1;
            format!("{keep}{BLANK}{}", found.name("at").map_or("", |m| m.as_str()))
        });
        match shaped {
            Cow::Borrowed(_) if blanked == 0 => (Cow::Borrowed(text), 0),
            shaped => (Cow::Owned(shaped.into_owned()), blanked),
        }
    }

    /// Redacts every string in `value`, keys of objects included, and whole values under keys that
    /// name a secret. Returns how many were blanked out.
    pub fn json(&self, value: &mut Value) -> u32 {
        match value {
            Value::String(text) => match self.text(text) {
                (_, 0) => 0,
                (clean, count) => {
                    *text = clean.into_owned();
                    count
                }
            },
            Value::Array(items) => items.iter_mut().map(|item| self.json(item)).sum(),
            Value::Object(map) => {
                let mut count = 0;
                for (key, item) in map.iter_mut() {
                    match item {
                        Value::String(text) if names_a_secret(key) && !text.is_empty() && text != BLANK => {
                            *text = BLANK.to_owned();
                            count += 1;
                        }
                        item => count += self.json(item),
                    }
                }
                count
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
    }
}

/// Keys whose whole value is a secret, however it looks.
fn names_a_secret(key: &str) -> bool {
    const WORDS: [&str; 10] = [
        "password",
        "passwd",
        "passphrase",
        "api_key",
        "apikey",
        "access_key",
        "private_key",
        "client_secret",
        "auth_token",
        "access_token",
    ];
    let key = key.to_ascii_lowercase().replace('-', "_");
    WORDS.iter().any(|word| key == *word || key.ends_with(&format!("_{word}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn redactor() -> &'static Redactor {
        static ONCE: std::sync::LazyLock<Redactor> =
            std::sync::LazyLock::new(|| Redactor::new(["s3cr3t-value", "abc"]).unwrap());
        &ONCE
    }

    #[test]
    fn known_values_and_known_shapes_disappear() {
        for (dirty, clean) in [
            ("got s3cr3t-value here", "got [redacted] here"),
            ("password=hunter22 next", "password=[redacted] next"),
            (r#"{"db_password": "hunter22"}"#, r#"{"db_password": "[redacted]"}"#),
            ("Authorization: Bearer abcdefghijklmnop", "Authorization: Bearer [redacted]"),
            ("postgres://app:pa55w0rd@db:5432/x", "postgres://app:[redacted]@db:5432/x"),
            ("key AKIAABCDEFGHIJKLMNOP", "key [redacted]"),
            ("ghp_0123456789abcdefghij0123456789abcdef", "[redacted]"),
        ] {
            assert_eq!(redactor().text(dirty).0, clean);
            assert_eq!(redactor().text(dirty).1, 1, "{dirty}");
        }
    }

    #[test]
    fn redacting_twice_changes_nothing_more() {
        let once = redactor().text("token: abcdefgh1234 and s3cr3t-value").0.into_owned();
        assert_eq!(redactor().text(&once), (Cow::Borrowed(once.as_str()), 0));
    }

    #[test]
    fn ordinary_operations_text_stays() {
        for text in [
            "PVC data-typedb-0 in namespace f3iai is 93.1% full.",
            "Back-off restarting failed container typedb in pod typedb-0",
            "secret \"db-credentials\" not found",
            "MountVolume.SetUp failed for volume \"token\"",
            "max_tokens reached",
        ] {
            assert_eq!(redactor().text(text), (Cow::Borrowed(text), 0));
        }
    }

    #[test]
    fn json_is_cleaned_in_place_and_under_telling_keys() {
        let mut value = json!({"env": [{"name": "X", "value": "s3cr3t-value"}], "password": "x y z", "n": 1});
        assert_eq!(redactor().json(&mut value), 2);
        assert_eq!(value, json!({"env": [{"name": "X", "value": "[redacted]"}], "password": "[redacted]", "n": 1}));
    }

    proptest::proptest! {
        #[test]
        fn no_known_value_survives(before in ".{0,40}", after in ".{0,40}") {
            let text = format!("{before}s3cr3t-value{after}");
            let (clean, _) = redactor().text(&text);
            proptest::prop_assert!(!clean.contains("s3cr3t-value"));
        }
    }
}
