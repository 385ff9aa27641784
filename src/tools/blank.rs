//! The one place where secrets are taken out of what was read.

use crate::domain::Redactor;
use serde_json::Value;

/// What stands where a secret stood; the same mark that [`Redactor`] leaves.
const BLANK: &str = "[redacted]";

/// Blanks secrets in `data` and returns how many: what the redactor knows, values of environment
/// variables whose names tell, the word after a telling flag, and keys that span lines.
pub fn data(data: &mut Value, redactor: &Redactor) -> u32 {
    pairs(data) + redactor.json(data)
}

/// The part of [`data`] that needs to know no secret: what a name beside a value, or a flag before it, tells.
pub(super) fn pairs(value: &mut Value) -> u32 {
    match value {
        Value::Object(map) => {
            let telling = map.get("name").and_then(Value::as_str).is_some_and(names_a_secret);
            let mut count = 0;
            if telling && let Some(Value::String(text)) = map.get_mut("value") {
                count += blank(text);
            }
            count + map.values_mut().map(pairs).sum::<u32>()
        }
        Value::Array(items) => {
            let mut count = 0;
            let mut after_flag = false;
            let mut in_key = false;
            for item in items {
                match item {
                    Value::String(text) if in_key || starts_a_key(text) => {
                        in_key = !text.contains("-----END ");
                        count += blank(text);
                    }
                    Value::String(text) => {
                        if after_flag && !text.starts_with('-') {
                            count += blank(text);
                        }
                        after_flag = text.starts_with('-')
                            && !text.contains('=')
                            && names_a_secret(&text.trim_start_matches('-').replace('-', "_"));
                    }
                    other => {
                        after_flag = false;
                        count += pairs(other);
                    }
                }
            }
            count
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The first line of a private key that goes on in the next lines, as in a log.
fn starts_a_key(text: &str) -> bool {
    text.split_once("-----BEGIN ").is_some_and(|(_, rest)| rest.contains("PRIVATE KEY-----"))
}

fn blank(text: &mut String) -> u32 {
    if text.is_empty() || text == BLANK {
        return 0;
    }
    *text = BLANK.to_owned();
    1
}

/// Whether a variable of this name holds a secret. One that says where a secret is holds none.
fn names_a_secret(name: &str) -> bool {
    const TELLING: [&str; 15] = [
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "SECRET",
        "TOKEN",
        "APIKEY",
        "API_KEY",
        "ACCESS_KEY",
        "PRIVATE_KEY",
        "CREDENTIAL",
        "SIGNING_KEY",
        "ENCRYPTION_KEY",
        "CONNECTION_STRING",
        "DATABASE_URL",
        "_DSN",
    ];
    const PLACES: [&str; 11] =
        ["_FILE", "_PATH", "_DIR", "_NAME", "_TTL", "_EXPIRY", "_ENABLED", "_TYPE", "_MOUNT", "_LIMIT", "MAX_TOKENS"];
    let name = name.to_ascii_uppercase().replace(['-', '.'], "_");
    let telling =
        TELLING.iter().any(|word| name.contains(word)) || name == "PWD_" || name.ends_with("_PWD") || name == "PGPASS";
    telling && !PLACES.iter().any(|place| name.ends_with(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_go_where_a_name_tells_and_stay_where_it_does_not() {
        let redactor = Redactor::new(["by-heart-1234"]).unwrap();
        let mut pod = json!({"spec": {"containers": [{
            "env": [
                {"name": "DB_PASSWORD", "value": "correct horse battery"},
                {"name": "SESSION-TOKEN", "value": "x y"},
                {"name": "DB_PASSWORD_FILE", "value": "/run/secrets/db"},
                {"name": "LOG_LEVEL", "value": "debug"},
                {"name": "API_TOKEN", "valueFrom": {"secretKeyRef": {"name": "db", "key": "token"}}},
                {"name": "OTHER", "value": "has by-heart-1234 in it"}],
            "args": ["--password", "hunter 2", "--verbose", "--token", "--dry-run"]}]}});
        assert_eq!(data(&mut pod, &redactor), 4);
        let container = &pod["spec"]["containers"][0];
        let shown: Vec<&str> =
            container["env"].as_array().unwrap().iter().filter_map(|e| e["value"].as_str()).collect();
        assert_eq!(shown, ["[redacted]", "[redacted]", "/run/secrets/db", "debug", "has [redacted] in it"]);
        assert_eq!(container["env"][4]["valueFrom"]["secretKeyRef"]["key"], "token");
        assert_eq!(container["args"], json!(["--password", "[redacted]", "--verbose", "--token", "--dry-run"]));
        assert_eq!(data(&mut pod, &redactor), 0);
    }

    #[test]
    fn a_key_is_blank_over_all_its_lines() {
        let mut log = json!({"lines": ["start", "key: -----BEGIN RSA PRIVATE KEY-----", "MIIEow==", "x", "-----END RSA PRIVATE KEY-----", "error"]});
        assert_eq!(data(&mut log, &Redactor::new([]).unwrap()), 4);
        assert_eq!(log["lines"], json!(["start", BLANK, BLANK, BLANK, BLANK, "error"]));
    }
}
