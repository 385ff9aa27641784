//! The one door through which something is silenced, or heard again: one silence, with a [`Permit`] that
//! names it. Nothing is silenced for longer than the configuration lets.

use super::{AlertmanagerReader, Unanswered, Verb, Wanted, is_id};
use crate::domain::Target;
use crate::edge::error::shorten;
use crate::edge::http::HttpAnswer;
use crate::gate::Permit;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::time::Duration;

/// Most bytes of what an error says.
const WORDS: usize = 500;

/// Makes silences and ends them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AlertmanagerWriter {
    reader: AlertmanagerReader,
    longest: Duration,
}

/// Why nothing was silenced or ended, or something may have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmade {
    /// Alertmanager said no, or was never reached: nothing happened.
    #[error("alertmanager: {text}")]
    Refused {
        /// The HTTP status; 0 when nothing was sent.
        code: u16,
        /// What it said and what to do.
        text: String,
    },
    /// No clear answer: it may have happened.
    #[error("alertmanager: {text}")]
    Unknown {
        /// What went wrong.
        text: String,
    },
}

impl Unmade {
    fn refused(code: u16, text: &str) -> Self {
        Self::Refused { code, text: shorten(text, WORDS).into_owned() }
    }

    fn unknown(text: &str) -> Self {
        Self::Unknown { text: shorten(text, WORDS).into_owned() }
    }
}

impl From<Unanswered> for Unmade {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered.may_have_arrived {
            true => Self::unknown(unanswered.error.text()),
            false => Self::refused(0, unanswered.error.text()),
        }
    }
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
            return Err(Unmade::refused(422, "that silence is wider or longer than any may be"));
        }
        let answer = self.send(permit, target, now, Verb::Post, "silences", Some(&wanted.body())).await?;
        let made: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let id = made["silenceID"].as_str().filter(|id| is_id(id)).map(str::to_owned);
        id.ok_or_else(|| Unmade::unknown("it took the silence and does not say which it is"))
    }

    /// Ends the silence `id`.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn expire(&self, permit: &Permit, target: &Target, id: &str, now: Timestamp) -> Result<(), Unmade> {
        let path = self.reader.path_of(id).map_err(|error| Unmade::refused(0, error.text()))?;
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
        permit.covers(target, now).map_err(|refused| Unmade::refused(0, &refused.to_string()))?;
        let answer = self.reader.ask(verb, rest, &[], body).await?;
        match answer.status {
            200..=299 => Ok(answer),
            // The server gave up waiting for the request, or whoever stands before it did.
            code @ (408 | 499) => Err(Unmade::unknown(&format!("it answers {code}"))),
            code @ 400..=498 => Err(Unmade::refused(code, self.reader.refused(&answer).text())),
            _ => Err(Unmade::unknown(self.reader.refused(&answer).text())),
        }
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
            Err(Unmade::Refused { code, .. }) => format!("refused {code}"),
            Err(Unmade::Unknown { .. }) => "unknown".to_owned(),
        }
    }

    #[tokio::test]
    async fn an_answer_is_a_yes_a_no_or_a_doubt() {
        let now = Timestamp::UNIX_EPOCH;
        for (status, body, expected) in [
            (200, r#"{"silenceID":"a-1"}"#, "made"),
            (200, "<html>", "unknown"),
            (200, r#"{"silenceID":"../x"}"#, "unknown"),
            (400, r#""bad silence: end time can't be in the past""#, "refused 400"),
            (401, "", "refused 401"),
            (429, "", "refused 429"),
            (302, "", "refused 0"),
            (408, "", "unknown"),
            (500, r#""oops""#, "unknown"),
            (502, "<html>", "unknown"),
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
