//! The one door through which something is silenced, or heard again: one silence, with a [`Permit`] that
//! names it. Nothing is silenced for longer than the configuration lets.

use super::{AlertmanagerReader, PEER, Verb, Wanted, is_id};
use crate::domain::Target;
use crate::edge::change::{Sending, Unmade};
use crate::edge::http::HttpAnswer;
use crate::gate::Permit;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::time::Duration;

/// Makes silences and ends them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AlertmanagerWriter {
    reader: AlertmanagerReader,
    longest: Duration,
}

impl AlertmanagerWriter {
    /// Writes where `reader` reads, and silences for `longest` at most.
    pub fn new(reader: AlertmanagerReader, longest: Duration) -> Self {
        Self { reader, longest }
    }

    /// What looks at the same Alertmanager.
    pub fn reader(&self) -> &AlertmanagerReader {
        &self.reader
    }

    /// How long a silence may last.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// A new silence; gives its name.
    ///
    /// # Errors
    /// Whether nothing happened, or something may have.
    pub async fn create(
        &self,
        permit: &Permit,
        target: &Target,
        wanted: &Wanted,
        now: Timestamp,
    ) -> Result<String, Unmade> {
        let longest = SignedDuration::try_from(self.longest).unwrap_or(SignedDuration::ZERO);
        if wanted.matchers.is_empty() || wanted.length() > longest || wanted.ends_at.duration_since(now) > longest {
            return Err(Unmade::refused(PEER, 422, "that silence is wider or longer than any may be"));
        }
        let answer = self.send(permit, target, now, Verb::Post, "silences", Some(&wanted.body())).await?;
        let made: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let id = made["silenceID"].as_str().filter(|id| is_id(id)).map(str::to_owned);
        id.ok_or_else(|| Unmade::unknown(PEER, "it took the silence and does not say which it is"))
    }

    /// Ends the silence `id`.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn expire(&self, permit: &Permit, target: &Target, id: &str, now: Timestamp) -> Result<(), Unmade> {
        let path = self.reader.path_of(id).map_err(|error| Unmade::unsent(PEER, error.text()))?;
        self.send(permit, target, now, Verb::Delete, &path, None).await.map(|_| ())
    }

    async fn send(
        &self,
        permit: &Permit,
        target: &Target,
        now: Timestamp,
        verb: Verb,
        rest: &str,
        body: Option<&Value>,
    ) -> Result<HttpAnswer, Unmade> {
        let path = AlertmanagerReader::path(rest);
        let limits = self.reader.limits;
        let sending = Sending { permit, target, now, verb, path: &path, body, limits };
        self.reader.peer.change(PEER, sending, |answer| self.reader.refused(answer)).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::http::tests::{Asked, http, peer};
    use super::super::Matcher;
    use super::*;

    fn target(name: &str) -> Target {
        Target { system: "alertmanager".into(), kind: "Silence".into(), name: name.into(), ..Target::default() }
    }

    fn answering(status: u16, body: &'static str) -> (AlertmanagerWriter, Asked) {
        let (address, asked) = peer(move |_| http(status, "application/json", body.as_bytes()));
        (AlertmanagerWriter::new(AlertmanagerReader::new(&address, None).unwrap(), Duration::from_secs(3600)), asked)
    }

    fn wanted(seconds: i64) -> Wanted {
        let start = Timestamp::UNIX_EPOCH;
        Wanted {
            matchers: vec![Matcher::equal("alertname", "A")],
            starts_at: start,
            ends_at: start.checked_add(SignedDuration::from_secs(seconds)).unwrap(),
            created_by: "firewarden".into(),
            comment: "c".into(),
        }
    }

    fn told<T>(made: &Result<T, Unmade>) -> String {
        match made {
            Ok(_) => "made".to_owned(),
            Err(unmade) => format!("{:?}", unmade.kind()),
        }
    }

    #[tokio::test]
    async fn an_answer_is_a_yes_a_no_or_a_doubt() {
        let now = Timestamp::UNIX_EPOCH;
        for (status, body, expected) in [
            (200, r#"{"silenceID":"a-1"}"#, "made"),
            (200, "<html>", "Unknown"),
            (200, r#"{"silenceID":"../x"}"#, "Unknown"),
            (400, r#""bad silence: end time can't be in the past""#, "Refused(400)"),
            (401, "", "Refused(401)"),
            (429, "", "Refused(429)"),
            (302, "", "Unsent"),
            (408, "", "Unknown"),
            (500, r#""oops""#, "Unknown"),
            (502, "<html>", "Unknown"),
        ] {
            let (writer, asked) = answering(status, body);
            let permit = Permit::for_test(vec![target("x")], now);
            let made = writer.create(&permit, &target("x"), &wanted(3600), now).await;
            assert_eq!(told(&made), expected, "{status} {body}: {made:?}");
            let asked = asked.lock().unwrap();
            assert!(asked.len() == 1 && asked[0].starts_with("POST /api/v2/silences "), "{asked:?}");
            let body = asked[0].split("\r\n\r\n").nth(1).unwrap_or_default();
            let sent: Value = serde_json::from_str(body).unwrap();
            assert_eq!(sent["matchers"][0]["isEqual"], true, "{sent}");
            assert_eq!((&sent["endsAt"], &sent["createdBy"]), (&"1970-01-01T01:00:00Z".into(), &"firewarden".into()));
        }
        let (writer, asked) = answering(200, "");
        let permit = Permit::for_test(vec![target("a-1")], now);
        assert_eq!(told(&writer.expire(&permit, &target("a-1"), "a-1", now).await), "made");
        assert!(asked.lock().unwrap()[0].starts_with("DELETE /api/v2/silence/a-1 "));
    }

    #[tokio::test]
    async fn nothing_leaves_without_a_permit_or_beyond_the_longest() {
        let (writer, asked) = answering(200, r#"{"silenceID":"a-1"}"#);
        let now = Timestamp::UNIX_EPOCH;
        let late = now.checked_add(SignedDuration::from_secs(1)).unwrap();
        let permit = || Permit::for_test(vec![target("x")], now);
        let early = Wanted { starts_at: now.checked_sub(SignedDuration::from_secs(9)).unwrap(), ..wanted(3600) };
        let far = Wanted { starts_at: wanted(9000).starts_at, ..wanted(3601) };
        let all = Wanted { matchers: vec![], ..wanted(60) };
        for (name, silence, at) in [
            ("y", wanted(60), now),
            ("x", wanted(60), late),
            ("x", wanted(3601), now),
            ("x", early, now),
            ("x", far, now),
            ("x", all, now),
        ] {
            assert!(writer.create(&permit(), &target(name), &silence, at).await.is_err(), "{name} {silence:?} {at}");
        }
        assert!(writer.expire(&permit(), &target("x"), "../alerts", now).await.is_err());
        assert!(writer.expire(&permit(), &target("y"), "y", now).await.is_err());
        assert!(asked.lock().unwrap().is_empty());
    }
}
