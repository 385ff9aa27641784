//! What exports carry of an entry, with what has to be read for it: in OPA's decision log, each decision with
//! the input that was judged.

use super::recorded::{Input, Inputs, Recorded, decisions};
use crate::audit::Format;
use crate::journal::Entry;
use crate::policy::InputKind;
use crate::store::{Store, StoreError};
use serde_json::{Value, json};

/// The lines for `entry`, which stands at `position` of the log called `origin`.
///
/// # Errors
/// When the store does not answer or the entry is no JSON.
pub async fn told(
    store: &dyn Store,
    inputs: &mut Inputs,
    format: Format,
    entry: &Entry,
    (position, origin): (u64, &str),
) -> Result<Vec<Value>, StoreError> {
    if format != Format::Opa {
        let told = format.entry(entry, position, origin).map_err(|error| StoreError::Corrupt {
            what: format!("entry {} of {}", entry.seq, entry.chain),
            place: "the store".into(),
            why: error.to_string(),
        })?;
        return Ok(told.into_iter().collect());
    }
    let mut lines = vec![];
    for recorded in decisions(std::slice::from_ref(entry)) {
        let input = inputs.read(store, &recorded).await?;
        lines.push(line(&recorded, input, position, origin));
    }
    Ok(lines)
}

/// One decision in the words of OPA's decision log. An input that is not there any more is `erased`, as OPA
/// calls it.
fn line(recorded: &Recorded, input: Input, position: u64, origin: &str) -> Value {
    let (input, missing) = match input {
        Input::Exact(input) => (Some(input), None),
        Input::Gone => (None, Some("erased")),
        // What is kept is not what was judged: it is not shown as if it were.
        Input::Other => (None, Some("damaged")),
    };
    let decision = &recorded.decision;
    let policy = decision.policy();
    let (bundle, version) = policy.bundle.rsplit_once('@').unwrap_or((&policy.bundle, ""));
    let kind = match recorded.kind {
        InputKind::Risk => "risk",
        InputKind::Action => "action",
    };
    let mut result = decision.document(input.as_ref().unwrap_or(&Value::Null), None, None);
    // Those of this program; the digest covers those that judged.
    if let Some(policy) = result["policy"].as_object_mut() {
        ["contract", "engine", "modules"].into_iter().for_each(|key| drop(policy.remove(key)));
    }
    let mut line = json!({
        "decision_id": recorded.id,
        "timestamp": recorded.at,
        "path": format!("firewarden/{kind}"),
        "labels": {
            "app": "firewarden",
            "id": origin,
            "version": env!("CARGO_PKG_VERSION"),
            "investigation": recorded.investigation,
            "entry": recorded.seq.to_string(),
            "position": position.to_string(),
            "bundle_version": version,
        },
        "bundles": {bundle: {"revision": policy.digest}},
        "result": result,
        // How long it took is not recorded.
        "metrics": {},
    });
    match input {
        Some(input) => line["input"] = input,
        None => line["erased"] = json!(["/input"]),
    }
    if missing == Some("damaged") {
        line["labels"]["input"] = json!("damaged");
    }
    if let Some(error) = decision.error() {
        line["error"] = json!({"code": "evaluation_error", "message": error});
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BlobRef, DecisionId, Digest, PolicyRef, Reason, Risk, RiskDecision};
    use crate::journal::{Body, Draft, Head, Phase};
    use crate::policy::{RiskInput, sample_event};
    use jiff::Timestamp;

    fn recorded(error: Option<&str>) -> Recorded {
        let decision = RiskDecision {
            id: DecisionId::new(uuid::Uuid::from_u128(1)),
            level: Risk::High,
            reasons: vec![Reason {
                rule: "risk/base/severity".into(),
                effect: "level".into(),
                reason: "critical alerts are HIGH".into(),
                at: Some("risk/base.rego:5".into()),
            }],
            obligations: vec![],
            exceptions: vec![],
            policy: PolicyRef { digest: Digest::of("p"), bundle: "acme@42".into() },
            input_digest: Digest::of("i"),
            error: error.map(str::to_owned),
        };
        let body = Body::RiskAssessed { phase: Phase::Alert, decision, input: BlobRef::commit(&[7; 16], b"input") };
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let entry = Head::genesis("inv_1").seal("inv_1", at, Draft::engine(body)).unwrap();
        decisions(&[entry]).remove(0)
    }

    #[test]
    fn a_decision_as_opa_logs_it() {
        let input = RiskInput::of(&sample_event(), Timestamp::UNIX_EPOCH, 1);
        let input = Input::Exact(serde_json::to_value(input).unwrap());
        let mut whole = line(&recorded(None), input, 12, "log.example/a");
        assert_eq!(whole["input"]["schema"], "firewarden.risk/v1");
        // What an input is stands elsewhere.
        whole["input"] = json!({"schema": "firewarden.risk/v1"});
        let lines = [
            whole,
            line(&recorded(Some("evaluation took longer than 100 ms")), Input::Gone, 13, "log.example/a"),
            line(&recorded(None), Input::Other, 14, "log.example/a"),
        ];
        let shown = serde_json::to_string_pretty(&lines).unwrap().replace(env!("CARGO_PKG_VERSION"), "VERSION");
        insta::assert_snapshot!(shown);
    }
}
