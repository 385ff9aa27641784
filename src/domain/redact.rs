//! The one door for text from outside: secrets are blanked out before anything is stored, hashed,
//! shown or sent.

mod forms;
mod key_material;

use key_material::KeyMaterial;
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

/// What stands where a secret stood.
pub const BLANK: &str = "[redacted]";

/// Blanks out known secret values and what looks like one.
#[derive(Debug, Clone)]
pub struct Redactor {
    patterns: Regex,
    keys: KeyMaterial,
    values: Option<Regex>,
}

/// One alternation, compiled once. Groups of [`KEPT`] stay visible: the name of a secret is no secret.
/// `NAME` is the name of one, `LAST` the last word of a variable's.
const PATTERNS: &str = r#"(?x)
  (?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}
| (?-u:\b)(?:AKIA|ASIA)[0-9A-Z]{16}(?-u:\b)
| (?-u:\b)gh[pousr]_[A-Za-z0-9]{20,}
| (?-u:\b)github_pat_[A-Za-z0-9_]{20,}
| (?-u:\b)glpat-[A-Za-z0-9_-]{16,}
| (?-u:\b)xox[abprs]-[A-Za-z0-9-]{10,}
| (?-u:\b)sk-[A-Za-z0-9_-]{16,}
| LS0tLS1CRUdJTiB(?:SU0EgUFJJ|FQyBQUkl|QUklWQV|PUEVO|FTkNS|EU0EgUFJ|QR1AgUFJ)[A-Za-z0-9+/=_-]*
| (?P<keep_url>[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s/:@"']{0,128}:)[^\s/@"']{1,256}(?P<at>@)
| (?P<keep_auth>(?i:authorization|proxy-authorization)["']?\s{0,4}[:=]\s{0,4}["']?(?i:bearer|basic|token)\s{1,4})[^\s"',;]+
| (?P<keep_bearer>(?-u:\b)(?i:bearer)\s{1,4})[A-Za-z0-9._~+/-]{12,}=*
| (?P<keep_variable>(?-u:\b)(?i:name)\\{0,7}["']?\s{0,4}[:=]\s{0,4}\\{0,7}["']?[A-Za-z0-9_.-]{0,64}LAST\\{0,7}["']?,?
    (?:\\{1,7}[rn])*\s{0,40}\\{0,7}["']?(?i:value)\\{0,7}["']?\s{0,4}[:=]\s{0,4})
    (?:(?P<open_variable>\\{0,7}["'])(?:[^"'\\\r\n]|\\{1,7}[^"'\\\r\n])+|[^\s"'\\}][^\r\n"'\\}]*)
| (?P<keep_escaped>NAME\\{1,7}["']\s{0,4}[:=]\s{0,4}\\{1,7}["'])(?:[^"'\\\r\n]|\\{1,7}[^"'\\\r\n]){4,}
| (?P<keep_double>NAME["']?\s{0,4}[:=]\s{0,4}")(?:[^"\\\r\n]|\\[^\r\n]){4,}
| (?P<keep_single>NAME["']?\s{0,4}[:=]\s{0,4}')[^'\r\n]{4,}
| (?P<keep_pair>NAME\\{0,7}["']?\s{0,4}[:=]\s{0,4}["']?)[^\s"',;&}\])<>\[{(]{4,}
"#;
const NAME: &str = r"(?:(?i:password|passwd|passphrase|secret|api[_-]?key|apikey|access[_-]?key|private[_-]?key|client[_-]?secret|auth[_-]?token|access[_-]?token|refresh[_-]?token|session[_-]?token|(?-u:\b)token|(?-u:\b)pwd)[A-Za-z0-9_-]{0,16}|(?i:(?:(?-u:\b)(?:tls|ca|server|client|private)\.key|\.docker(?:configjson|cfg))))";
const LAST: &str = r"(?i:password|passwd|passphrase|pwd|secret|token|credentials?|(?:api|access|private|secret|signing|encryption)[_-]?key|connection[_-]?string|database[_-]?url|dsn)";
/// What stays of what is found.
const KEPT: [&str; 8] = [
    "keep_url",
    "keep_auth",
    "keep_bearer",
    "keep_variable",
    "keep_escaped",
    "keep_double",
    "keep_single",
    "keep_pair",
];

impl Redactor {
    /// Knows the shapes of secrets, and `values` by heart, longer ones in each form in which programs write
    /// them. Values shorter than four characters are left out: blanking them would blank ordinary words.
    ///
    /// # Errors
    /// When the alternation of all values is too large to compile.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, regex::Error> {
        let forms: BTreeSet<String> = values.into_iter().filter(|v| v.len() >= 4).flat_map(forms::of).collect();
        let mut values: Vec<String> = forms.iter().map(|form| regex::escape(form)).collect();
        // Longest first: a secret that starts with another is blanked as a whole.
        values.sort_by_key(|v| std::cmp::Reverse(v.len()));
        let values = match values.is_empty() {
            true => None,
            false => Some(RegexBuilder::new(&values.join("|")).size_limit(64 << 20).build()?),
        };
        let patterns = Regex::new(&PATTERNS.replace("NAME", NAME).replace("LAST", LAST))?;
        Ok(Self { patterns, keys: KeyMaterial::new()?, values })
    }

    /// `text` without secrets, and how many were blanked out.
    pub fn text<'t>(&self, text: &'t str) -> (Cow<'t, str>, u32) {
        let mut blanked = 0;
        // Most texts hold no secret, and looking costs less than making room for what might be found.
        let known = match self.values.as_ref().filter(|values| values.is_match(text)) {
            Some(values) => values.replace_all(text, |_: &regex::Captures<'_>| {
                blanked += 1;
                BLANK
            }),
            None => Cow::Borrowed(text),
        };
        let keys = self.keys.find(&known);
        blanked += u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let known = if keys.is_empty() { known } else { Cow::Owned(without(&[known.as_ref()], &keys).concat()) };
        if is_plain(&known) || !self.patterns.is_match(&known) {
            return match known {
                Cow::Borrowed(_) if blanked == 0 => (Cow::Borrowed(text), 0),
                known => (Cow::Owned(known.into_owned()), blanked),
            };
        }
        let shaped = self.patterns.replace_all(&known, |found: &regex::Captures<'_>| {
            let part = |name: &str| found.name(name).map_or("", |m| m.as_str());
            let whole = found.get(0).map_or("", |m| m.as_str());
            let kept = KEPT.map(part).concat() + part("open_variable");
            // What is blank already stays as it is, and is not counted twice.
            if whole[kept.len()..].starts_with(&BLANK[1..]) || whole.contains(BLANK) {
                return whole.to_owned();
            }
            blanked += 1;
            format!("{kept}{BLANK}{}", part("at"))
        });
        match shaped {
            Cow::Borrowed(_) if blanked == 0 => (Cow::Borrowed(text), 0),
            shaped => (Cow::Owned(shaped.into_owned()), blanked),
        }
    }

    /// `text` without private keys, whose lines alone do not show what they are, and how many were
    /// blanked out: for a stream whose lines are redacted one by one later.
    pub fn keys<'t>(&self, text: &'t str) -> (Cow<'t, str>, u32) {
        let keys = self.keys.find(text);
        match keys.len() {
            0 => (Cow::Borrowed(text), 0),
            found => (Cow::Owned(without(&[text], &keys).concat()), u32::try_from(found).unwrap_or(u32::MAX)),
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
            Value::Array(items) => {
                let count = self.across(items);
                count + items.iter_mut().map(|item| self.json(item)).sum::<u32>()
            }
            Value::Object(map) => {
                let mut count = self.keys_of(map);
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

    /// Blanks what goes from one text of a list into the next, such as a private key in the lines
    /// of a log. The list gets shorter by what one secret filled.
    fn across(&self, items: &mut Vec<Value>) -> u32 {
        let mut count = 0;
        if items.len() < 2 || !items.iter().all(Value::is_string) {
            return 0;
        }
        for known in [true, false] {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            let joined = texts.join("\n");
            let found: Vec<Range<usize>> = match (known, &self.values) {
                (true, Some(values)) => values.find_iter(&joined).map(|m| m.range()).collect(),
                (true, None) => continue,
                (false, _) => self.keys.find(&joined),
            };
            if !found.is_empty() {
                count += u32::try_from(found.len()).unwrap_or(u32::MAX);
                *items = without(&texts, &found).into_iter().map(Value::String).collect();
            }
        }
        count
    }

    /// Blanks secrets in the names of `map`; two that become the same are numbered.
    fn keys_of(&self, map: &mut Map<String, Value>) -> u32 {
        if map.keys().all(|key| self.text(key).1 == 0) {
            return 0;
        }
        let mut count = 0;
        for (key, mut item) in std::mem::take(map) {
            let (clean, blanked) = self.text(&key);
            count += blanked;
            if names_a_secret(&key)
                && let Value::String(text) = &mut item
                && !text.is_empty()
            {
                *text = BLANK.to_owned();
            }
            let mut name = clean.clone().into_owned();
            let mut n = 1;
            while map.contains_key(&name) {
                n += 1;
                name = format!("{clean} {n}");
            }
            map.insert(name, item);
        }
        count
    }
}

/// `texts`, as if joined by newlines, with a mark in place of each of the `found` ranges, which are
/// in order and apart. Texts that one range joins become one.
fn without(texts: &[&str], found: &[Range<usize>]) -> Vec<String> {
    let mut out = Vec::with_capacity(texts.len());
    let mut found = found.iter().peekable();
    let mut current = String::new();
    let mut start = 0;
    for text in texts {
        let end = start + text.len();
        let mut at = start;
        let mut open = false;
        while let Some(range) = found.peek().filter(|range| range.start <= end) {
            // A range that began in a text before is marked there.
            if range.start >= start {
                current.push_str(&text[at - start..range.start - start]);
                current.push_str(BLANK);
            }
            if range.end > end {
                open = true;
                break;
            }
            at = range.end;
            found.next();
        }
        if !open {
            current.push_str(&text[at - start..]);
            out.push(std::mem::take(&mut current));
        }
        start = end + 1;
    }
    if !current.is_empty() {
        out.push(current);
    }
    out
}

/// Whether nothing in `text` can have the shape of a secret: the shortest, `pwd:abcd`, has eight bytes,
/// and the shortest of letters alone, the id of an access key, twenty. Most names are that plain.
fn is_plain(text: &str) -> bool {
    text.len() < 8 || (text.len() < 20 && text.bytes().all(|byte| byte.is_ascii_alphabetic()))
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
    let same = |(a, b): (u8, u8)| a.to_ascii_lowercase() == b || (a, b) == (b'-', b'_');
    WORDS.iter().any(|word| {
        let Some(before) = key.len().checked_sub(word.len()) else { return false };
        let (before, end) = key.as_bytes().split_at(before);
        end.iter().copied().zip(word.bytes()).all(same) && before.last().is_none_or(|last| matches!(last, b'_' | b'-'))
    })
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
        for text in [
            "token: abcdefgh1234 and s3cr3t-value",
            "- name: DB_PASSWORD\n  value: hunter22\n",
            r#"{"name":"DB_PASSWORD","value":"correct horse"}"#,
            r#"{"a":"{\"db_password\":\"correct horse\"}"}"#,
            "password: \"correct horse\" tls.key: abcdef",
        ] {
            let once = redactor().text(text).0.into_owned();
            assert_ne!(once, text);
            assert_eq!(redactor().text(&once), (Cow::Borrowed(once.as_str()), 0));
        }
    }

    #[test]
    fn a_secret_goes_as_a_whole_however_it_is_written_down() {
        let key = "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlFb3dJQkFBS0NBUUVB";
        for (dirty, clean) in [
            (
                "- name: DB_PASSWORD\n  value: hunter22\n- name: A",
                "- name: DB_PASSWORD\n  value: [redacted]\n- name: A",
            ),
            ("- name: db.token\n  value: x y z\n  b: 1", "- name: db.token\n  value: [redacted]\n  b: 1"),
            ("- name: \"API_KEY\"\n  value: \"x y\"", "- name: \"API_KEY\"\n  value: \"[redacted]\""),
            (r#"{"name":"DB_PASSWORD","value":"x y"}"#, r#"{"name":"DB_PASSWORD","value":"[redacted]"}"#),
            (
                r#"{\"name\": \"DB_PASSWORD\", \"value\": \"x y\"}"#,
                r#"{\"name\": \"DB_PASSWORD\", \"value\": \"[redacted]\"}"#,
            ),
            (r"name: DB_PASSWORD\n  value: hunter22\n", r"name: DB_PASSWORD\n  value: [redacted]\n"),
            ("tls.key: LS0tLS1CRUdJTi", "tls.key: [redacted]"),
            (".dockerconfigjson: eyJhdXRocyI6e30=", ".dockerconfigjson: [redacted]"),
            (&format!("key.pem={key}"), "key.pem=[redacted]"),
            (r#"{\"db_password\":\"hunter22\",\"a\":1}"#, r#"{\"db_password\":\"[redacted]\",\"a\":1}"#),
            (r#"{\\\"db_password\\\": \\\"hunter 22\\\"}"#, r#"{\\\"db_password\\\": \\\"[redacted]\\\"}"#),
            ("password: \"correct horse battery\" next", "password: \"[redacted]\" next"),
            ("password='correct horse battery' next", "password='[redacted]' next"),
            (r#"password: "quo\"te it" next"#, r#"password: "[redacted]" next"#),
        ] {
            let (told, count) = redactor().text(dirty);
            assert_eq!((told.as_ref(), count), (clean, 1), "{dirty}");
        }
        for text in [
            "- name: DB_PASSWORD\n  valueFrom:\n    secretKeyRef: {name: db, key: pw}",
            "- name: DB_PASSWORD_FILE\n  value: /run/secrets/db",
            "- name: LOG_LEVEL\n  value: debug",
            "name: max_tokens value: 5",
            "cert: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t and LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0t",
            "cache.key: users-2026",
        ] {
            assert_eq!(redactor().text(text), (Cow::Borrowed(text), 0));
        }
    }

    #[test]
    fn a_known_value_disappears_in_each_form() {
        use base64::Engine as _;
        use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
        let redactor = Redactor::new(["p/ss w\"rd~?>1"]).unwrap();
        for before in ["", "a", "ab", "user:"] {
            let whole = format!("{before}p/ss w\"rd~?>1!");
            for text in [BASE64_STANDARD.encode(&whole), BASE64_URL_SAFE_NO_PAD.encode(&whole)] {
                assert_eq!(redactor.text(&text).1, 1, "{before} {text}");
            }
        }
        for text in
            ["q=p%2Fss+w%22rd~%3F%3E1&x", "p%2fss%20w%22rd~%3f%3e1", "702f737320772272647e3f3e31", r#"p/ss w\"rd~?>1"#]
        {
            let (clean, count) = redactor.text(text);
            assert!(count == 1 && !clean.contains("ss"), "{text}: {clean}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_plain_has_the_shape_of_no_secret(text in "[a-zA-Z]{0,24}|[A-Z]{0,24}|(eyJ|AKIA|ghp_|sk-|pwd|token|ab://|bearer)[ -~]{0,5}") {
            proptest::prop_assert!(!is_plain(&text) || !redactor().patterns.is_match(&text), "{}", text);
        }
    }

    #[test]
    fn the_shortest_secrets_are_not_plain() {
        for text in ["pwd:abcd", "ab://:x@", "AKIAABCDEFGHIJKLMNOP"] {
            assert_eq!((is_plain(text), redactor().text(text).1), (false, 1), "{text}");
        }
    }

    #[test]
    fn names_tell_of_secrets_by_their_last_words() {
        for name in ["password", "DB_PASSWORD", "db-password", "Api-Key", "x_API-key", "é_client_secret", "--passwd"] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["", "word", "mypassword", "password_file", "é", "épasswd", "api.key", "token"] {
            assert!(!names_a_secret(name), "{name}");
        }
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

    #[test]
    fn a_key_in_the_lines_of_a_log_disappears_as_a_whole() {
        let body = [
            "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj".to_owned(),
            "MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu".to_owned(),
            "NMoSfm76oqFvAp8Gy0iz5sxjZmSnXyCdPEovGhLa0VzMaQ8s+CLOyS56YyCFGeJZ".to_owned(),
            "qgtzJ6GR3eqoYSW9b9UMvkBpZODSctWSNGj3P7jRFDO5VoTwCQAWbFnOjDfH5Ulg".to_owned(),
            "p2PKSQnSJP3AJLQNFNe7br1X".to_owned(),
        ];
        let (begin, end) = ("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----");
        for prefix in ["", "2026-07-01T10:00:00.123Z stderr F ", "    "] {
            let mut block = vec![format!("{prefix}{begin}")];
            block.extend(body.iter().map(|line| format!("{prefix}{line}")));
            block.push(format!("{prefix}{end}"));
            // All of it, a cut end, a cut head, only the middle.
            for part in [&block[..], &block[..3], &block[4..], &block[5..], &block[1..4], &block[2..5]] {
                let mut lines = vec!["started on port 8080".to_owned()];
                lines.extend_from_slice(part);
                lines.push("ready to accept connections".to_owned());
                let mut value = json!({"lines": lines, "total_lines": 99});
                assert!(redactor().json(&mut value) >= 1, "{lines:?}");
                let kept = value["lines"].as_array().unwrap();
                assert_eq!(
                    (kept[0].as_str(), kept.last().unwrap().as_str()),
                    (Some("started on port 8080"), Some("ready to accept connections")),
                    "{value}"
                );
                assert!(!body.iter().any(|line| value.to_string().contains(line.as_str())), "{value}");
                assert_eq!(redactor().json(&mut value), 0);
                let joined = lines.join("\n");
                let (text, _) = redactor().text(&joined);
                assert!(text.contains("ready to") && !body.iter().any(|line| text.contains(line.as_str())), "{text}");
            }
        }
    }

    #[test]
    fn lists_keep_their_shape_where_nothing_is_secret() {
        let digest = |n: u32| format!("pulled sha256:{}", format!("{n:02x}").repeat(32));
        for list in [
            json!(["expected -----BEGIN PRIVATE KEY----- in the file", "next try in 5 s", "gave up"]),
            json!(["at com.example.Main.run(Main.java:17)", "password:", "enter it again"]),
            json!((0..9).map(digest).collect::<Vec<_>>()),
            json!(vec!["/usr/share/applications/organisation/department/thing/directory/file"; 5]),
            json!(vec!["=".repeat(64); 5]),
            json!(["sh", "-c", "one\ntwo\n"]),
        ] {
            let mut clean = list.clone();
            let count = redactor().json(&mut clean);
            assert_eq!(clean.as_array().unwrap().len(), list.as_array().unwrap().len());
            assert!(count == 0 || list[0].as_str().unwrap().contains("BEGIN"), "{clean}");
            assert_eq!(clean[1], list[1]);
            assert_eq!(clean[2], list[2]);
        }
    }

    #[test]
    fn a_known_value_over_two_lines_and_in_a_name_disappears() {
        let redactor = Redactor::new(["first-half\nsecond-half", "s3cr3t-value"]).unwrap();
        let mut value = json!({"lines": ["a first-half", "second-half b", "c"],
            "labels": {"s3cr3t-value": 1, "x s3cr3t-value": 2, "y": {"s3cr3t-value/a": 3}}, "n": {"a": 1}});
        assert_eq!(redactor.json(&mut value), 4);
        assert_eq!(
            value,
            json!({"lines": ["a [redacted] b", "c"],
            "labels": {"[redacted]": 1, "x [redacted]": 2, "y": {"[redacted]/a": 3}}, "n": {"a": 1}})
        );
        let mut two =
            json!({"ghp_0123456789abcdefghij0123456789abcdef": "a", "ghp_9123456789abcdefghij0123456789abcdef": "b"});
        assert_eq!(redactor.json(&mut two), 2);
        assert_eq!(two, json!({"[redacted]": "a", "[redacted] 2": "b"}));
    }

    #[test]
    fn a_flood_of_marks_takes_no_time() {
        let begun = std::time::Instant::now();
        for line in ["-----BEGIN PRIVATE KEY-----\n", "-----END PRIVATE KEY-----\n", "a -----BEGIN PRIVATE KEY-----"] {
            redactor().text(&line.repeat(20_000));
        }
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }

    proptest::proptest! {
        #[test]
        fn cutting_is_the_same_in_a_list_and_in_a_text(lines in proptest::collection::vec("[a-c]{0,3}s3cr3t-value[a-c]{0,2}|[a-z]{0,6}", 2..6)) {
            let mut list = json!(lines);
            redactor().json(&mut list);
            let joined: Vec<&str> = list.as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let (joined, lines) = (joined.join("\n"), lines.join("\n"));
            let (text, _) = redactor().text(&lines);
            proptest::prop_assert_eq!(joined, text);
        }

        #[test]
        fn no_known_value_survives(before in ".{0,40}", after in ".{0,40}") {
            let text = format!("{before}s3cr3t-value{after}");
            let (clean, _) = redactor().text(&text);
            proptest::prop_assert!(!clean.contains("s3cr3t-value"));
        }
    }
}
