//! The Alertmanagers that pollers ask: whether they answer, and what they would tell. Nothing is taken in.

use super::{Cause, Finding, judge};
use crate::app;
use crate::config::Poller;
use crate::sources::MAX_ALERTS;
use crate::sources::alertmanager::api::{Standing, standing};

pub(super) async fn poller(of: String, poller: &Poller) -> Vec<Finding> {
    let name = &poller.name;
    let reader = match app::polled_alertmanager(poller) {
        Ok(reader) => reader,
        Err(error) => return vec![judge::failed(&of, "server", &error, "correct its `alertmanager` in `pollers`")],
    };
    let (version, told) = tokio::join!(reader.version(), reader.told(&poller.matchers));
    let server = match version {
        Ok(version) => Finding::ok(&of, "server", format!("{} {version}", reader.address())),
        Err(error) => {
            let help = format!("check `alertmanager` and `auth` of poller `{name}`");
            return vec![judge::failed(&of, "server", &error, &help)];
        }
    };
    let alerts = match told {
        Err(error) => judge::failed(
            &of,
            "alerts",
            &error,
            "it answers, and does not tell its alerts; check `matchers` and `auth`",
        ),
        Ok(told) => judged(&of, &told.alerts),
    };
    vec![server, alerts]
}

fn judged(of: &str, alerts: &[serde_json::Value]) -> Finding {
    let count = |wanted: Standing| alerts.iter().filter(|alert| standing(alert) == wanted).count();
    let (active, held, unreadable) = (count(Standing::Active), count(Standing::Held), count(Standing::Unreadable));
    let about = format!("{active} fire, {held} are silenced, inhibited or muted");
    match alerts.len() {
        n if n > MAX_ALERTS => {
            let about = format!("{about}: {n} together, and at most {MAX_ALERTS} are taken in at once");
            Finding::fail(of, "alerts", Cause::Found, about, "narrow its `matchers`")
        }
        _ if unreadable > 0 => {
            let about = format!("{about}, {unreadable} make no sense");
            Finding::fail(of, "alerts", Cause::Found, about, "is it Alertmanager, version 0.25 or later?")
        }
        _ => Finding::ok(of, "alerts", about),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use serde_json::{Value, json};

    #[test]
    fn what_it_would_tell_is_counted() {
        let alert = |state: &str| json!({"labels": {}, "fingerprint": "f", "startsAt": "2026-11-20T23:30:30Z", "status": {"state": state}});
        let found = judged("poller am", &[alert("active"), alert("suppressed"), alert("active")]);
        assert_eq!((found.state, found.about.as_str()), (State::Ok, "2 fire, 1 are silenced, inhibited or muted"));
        assert_eq!(judged("poller am", &[alert("active"), Value::Null]).state, State::Fail);
        assert_eq!(judged("poller am", &vec![alert("active"); MAX_ALERTS + 1]).state, State::Fail);
    }
}
