//! Duties of a call as rules write them: `{id, kind, reason, …}`.

use crate::domain::{Duties, VerifyAfter};
use serde_json::{Map, Value};

/// The kinds that this program carries out.
pub(super) const KINDS: [&str; 3] = ["dry_run_first", "max_blast_radius", "verify_after"];

/// Longest time that a change is watched, in seconds.
const LONGEST_S: u64 = 24 * 3600;

/// Reads one duty; `kind` is one of [`KINDS`]. The error says what is malformed.
pub(super) fn read(object: &Map<String, Value>) -> Result<Duties, String> {
    let number = |key: &str| object.get(key).and_then(Value::as_u64);
    let none = Duties::default();
    match object.get("kind").and_then(Value::as_str) {
        Some("dry_run_first") => Ok(Duties { dry_run_first: true, ..none }),
        Some("max_blast_radius") => {
            let pods = number("pods").ok_or("`max_blast_radius` needs `pods`, a whole number")?;
            Ok(Duties { max_pods: Some(pods), ..none })
        }
        Some("verify_after") => {
            let within_s = number("within_s").filter(|s| (1..=LONGEST_S).contains(s));
            let within_s = within_s.ok_or("`verify_after` needs `within_s`, seconds from 1 to 86400")?;
            let rollback_on_failure = match object.get("rollback_on_failure") {
                None => false,
                Some(Value::Bool(rollback)) => *rollback,
                Some(_) => return Err("`rollback_on_failure` must be true or false".into()),
            };
            Ok(Duties { verify_after: Some(VerifyAfter { within_s, rollback_on_failure }), ..none })
        }
        other => Err(format!("the duty `{}` is not known", other.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn duties_are_read_strictly() {
        let read = |value: Value| read(value.as_object().unwrap());
        assert!(read(json!({"kind": "dry_run_first"})).unwrap().dry_run_first);
        assert_eq!(read(json!({"kind": "max_blast_radius", "pods": 4})).unwrap().max_pods, Some(4));
        let watch = VerifyAfter { within_s: 600, rollback_on_failure: true };
        let given = json!({"kind": "verify_after", "within_s": 600, "rollback_on_failure": true});
        assert_eq!(read(given).unwrap().verify_after, Some(watch));
        for wrong in [
            json!({"kind": "max_blast_radius", "pods": -1}),
            json!({"kind": "max_blast_radius"}),
            json!({"kind": "verify_after", "within_s": 0}),
            json!({"kind": "verify_after", "within_s": "10m"}),
            json!({"kind": "verify_after", "within_s": 60, "rollback_on_failure": "no"}),
            json!({"kind": "page_the_ceo"}),
            json!({}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
