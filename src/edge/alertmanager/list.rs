//! Lists of alerts as Alertmanager's API tells them: of one group, and of all that a poller asks for.

use super::{AlertmanagerReader, Labels, Matcher, PEER, Verb};
use crate::edge::error::{EdgeError, EdgeErrorKind};
use crate::edge::http::Limits;
use crate::sources::{SourceError, read_json};
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// The limits of a poll: as many bytes as a webhook's body may have.
const POLL: Limits = Limits { total: Duration::from_secs(30), body_bytes: 32 << 20 };

/// A list of alerts.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The answer as it came.
    pub bytes: Vec<u8>,
    /// What is in it.
    pub alerts: Vec<Value>,
}

impl AlertmanagerReader {
    /// The alerts that fire now, that `receiver` is told of and that have all of `labels`; none that is
    /// silenced or inhibited.
    ///
    /// # Errors
    /// See [`crate::edge::EdgeErrorKind`].
    pub async fn group(&self, receiver: Option<&str>, labels: &Labels) -> Result<Told, EdgeError> {
        let filters: Vec<String> = labels.iter().map(|(name, value)| Matcher::equal(name, value).to_string()).collect();
        let receiver = receiver.map(literally);
        let mut query =
            vec![("active", "true"), ("silenced", "false"), ("inhibited", "false"), ("unprocessed", "false")];
        query.extend(receiver.iter().map(|receiver| ("receiver", receiver.as_str())));
        query.extend(filters.iter().map(|filter| ("filter", filter.as_str())));
        self.list(&query, self.limits).await
    }

    /// All alerts that fit every one of `filters`, written as Alertmanager's configuration writes matchers;
    /// what is silenced or inhibited, too.
    ///
    /// # Errors
    /// See [`crate::edge::EdgeErrorKind`].
    pub async fn told(&self, filters: &[String]) -> Result<Told, EdgeError> {
        let mut query = vec![("active", "true"), ("silenced", "true"), ("inhibited", "true"), ("unprocessed", "true")];
        query.extend(filters.iter().map(|filter| ("filter", filter.as_str())));
        self.list(&query, POLL).await
    }

    /// Since when it runs; `None` when it does not say.
    ///
    /// # Errors
    /// See [`crate::edge::EdgeErrorKind`].
    pub async fn started(&self) -> Result<Option<Timestamp>, EdgeError> {
        let told: Value = self.look("status", &[]).await?;
        Ok(told["uptime"].as_str().and_then(|text| text.parse().ok()))
    }

    async fn list(&self, query: &[(&str, &str)], limits: Limits) -> Result<Told, EdgeError> {
        let path = Self::path("alerts");
        let answer = self.peer.json(Verb::Get, &path, query, None, limits).await.map_err(|lost| lost.error)?;
        if answer.status != 200 {
            return Err(self.refused(&answer));
        }
        let alerts = match read_json(&answer.body) {
            Ok(Value::Array(alerts)) => alerts,
            // The one answer that says that nothing fires.
            Err(SourceError::Nothing { .. }) if answer.body.trim_ascii() == b"[]" => vec![],
            Ok(_) | Err(SourceError::Nothing { .. }) => return Err(self.no_list("it is no list")),
            Err(error) => return Err(self.no_list(&error.to_string())),
        };
        Ok(Told { bytes: answer.body, alerts })
    }

    fn no_list(&self, why: &str) -> EdgeError {
        let text = format!("what {} answers is no list of alerts ({why}); is another server there?", self.address());
        EdgeError::new(PEER, EdgeErrorKind::BadBody, text)
    }
}

/// The pattern that is `text` and nothing else; Alertmanager anchors it.
fn literally(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::super::super::http::tests::{http, peer};
    use super::*;

    #[tokio::test]
    async fn a_group_is_asked_for_by_its_receiver_and_its_labels() {
        let (address, asked) = peer(|_| http(200, "application/json", b"[]"));
        let reader = AlertmanagerReader::new(&address, None).unwrap();
        let labels = Labels::from([("alertname".into(), "PVC \"High\"".into())]);
        assert_eq!(reader.group(Some("agent-max2"), &labels).await.unwrap().alerts, Vec::<Value>::new());
        let asked = asked.lock().unwrap().remove(0);
        for part in ["receiver=agent%5C-max2", "filter=alertname%3D%22PVC+%5C%22High%5C%22%22", "silenced=false"] {
            assert!(asked.contains(part), "{asked}");
        }
        let (address, _) = peer(|_| http(400, "application/json", b"\"bad\""));
        assert!(AlertmanagerReader::new(&address, None).unwrap().group(None, &labels).await.is_err());
    }

    #[tokio::test]
    async fn a_poll_asks_for_what_is_silenced_too_and_takes_nothing_but_a_list() {
        let (address, asked) = peer(|_| http(200, "application/json", b" [{\"fingerprint\":\"a\"}]\n"));
        let reader = AlertmanagerReader::new(&address, None).unwrap();
        let told = reader.told(&["severity=~\"warning|critical\"".to_owned()]).await.unwrap();
        assert_eq!((told.alerts.len(), told.alerts[0]["fingerprint"].as_str()), (1, Some("a")));
        let asked = asked.lock().unwrap().remove(0);
        for part in ["active=true", "silenced=true", "inhibited=true", "filter=severity%3D%7E%22warning%7Ccritical%22"]
        {
            assert!(asked.contains(part), "{asked}");
        }
        for (body, is_list) in [
            ("[]", true),
            ("\n[] ", true),
            ("{}", false),
            ("null", false),
            ("\"oops\"", false),
            ("{\"status\":\"success\",\"data\":[]}", false),
            ("<html>", false),
            ("", false),
            ("[{\"a\":1,\"a\":2}]", false),
        ] {
            let (address, _) = peer(move |_| http(200, "application/json", body.as_bytes()));
            let reader = AlertmanagerReader::new(&address, None).unwrap();
            match reader.told(&[]).await {
                Ok(told) => assert!(is_list && told.alerts.is_empty(), "{body}"),
                Err(error) => assert!(!is_list && *error.kind() == EdgeErrorKind::BadBody, "{body}: {error}"),
            }
        }
    }

    #[tokio::test]
    async fn a_poller_is_told_where_its_mistakes_are_and_since_when_alertmanager_runs() {
        let (address, _) = peer(|_| http(401, "text/plain", b"no"));
        let reader = AlertmanagerReader::new(&address, None).unwrap();
        assert!(reader.told(&[]).await.unwrap_err().text().contains("check tools.alertmanager.bearer or basic"));
        let reader = reader.configured("`alertmanager` of poller `am`", "`auth` of poller `am`");
        assert!(reader.told(&[]).await.unwrap_err().text().contains("check `auth` of poller `am`"));
        for version in ["0.25.0", "0.28.1", "0.33.1"] {
            let file = format!("{}/tests/fixtures/alertmanager_api/{version}/status.json", env!("CARGO_MANIFEST_DIR"));
            let told = std::fs::read(file).unwrap();
            let (address, _) = peer(move |_| http(200, "application/json", &told));
            let started = AlertmanagerReader::new(&address, None).unwrap().started().await.unwrap().unwrap();
            assert!(started.to_string().starts_with("2026-11-20T23:29:28.3"), "{version}: {started}");
        }
    }
}
