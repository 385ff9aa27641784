//! The one door through which something is written into Jira: one entry of one issue, with a
//! [`Permit`] that names it.

use super::{JiraReader, Unanswered, Verb};
use crate::domain::Target;
use crate::edge::error::shorten;
use crate::edge::http::HttpAnswer;
use crate::gate::Permit;
use jiff::Timestamp;
use serde_json::Value;

/// Most bytes of what an error says.
const WORDS: usize = 500;

/// Writes into Jira. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JiraWriter {
    reader: JiraReader,
    issue_type: String,
}

/// Why nothing was written, or something may have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmade {
    /// Jira said no, or was never reached: nothing happened.
    #[error("jira: {text}")]
    Refused {
        /// The HTTP status; 0 when nothing was sent.
        code: u16,
        /// What it said and what to do.
        text: String,
    },
    /// No clear answer: it may have happened.
    #[error("jira: {text}")]
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

impl JiraWriter {
    /// Writes where `reader` reads; new issues are of the type `issue_type`.
    pub fn new(reader: JiraReader, issue_type: &str) -> Self {
        Self { reader, issue_type: issue_type.to_owned() }
    }

    /// What looks at the same Jira.
    pub fn reader(&self) -> &JiraReader {
        &self.reader
    }

    /// The type of new issues.
    pub fn issue_type(&self) -> &str {
        &self.issue_type
    }

    /// A new issue of `target`'s project; gives its key.
    ///
    /// # Errors
    /// Whether nothing happened, or something may have.
    pub async fn create(
        &self,
        permit: &Permit,
        target: &Target,
        body: &Value,
        now: Timestamp,
    ) -> Result<String, Unmade> {
        self.listed(&target.namespace)?;
        let answer = self.send(permit, target, now, Verb::Post, "issue", body).await?;
        let made: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let key = made["key"].as_str().filter(|key| self.reader.project_of(key).is_ok());
        key.map(str::to_owned).ok_or_else(|| Unmade::unknown("it took the issue and does not say which it is"))
    }

    /// Sets the property `name` of the issue `key`; true for whoever comes first.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn claim(
        &self,
        permit: &Permit,
        target: &Target,
        (key, name): (&str, &str),
        value: &Value,
        now: Timestamp,
    ) -> Result<bool, Unmade> {
        self.known(key)?;
        let rest = format!("issue/{key}/properties/{name}");
        Ok(self.send(permit, target, now, Verb::Put, &rest, value).await?.status == 201)
    }

    /// A comment on the issue `key`; gives its id.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn comment(
        &self,
        permit: &Permit,
        target: &Target,
        key: &str,
        body: &Value,
        now: Timestamp,
    ) -> Result<String, Unmade> {
        self.known(key)?;
        let answer = self.send(permit, target, now, Verb::Post, &format!("issue/{key}/comment"), body).await?;
        let made: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let id = made["id"].as_str().map(str::to_owned);
        id.ok_or_else(|| Unmade::unknown("it took the comment and does not say which it is"))
    }

    /// Moves the issue `key` on.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn transition(
        &self,
        permit: &Permit,
        target: &Target,
        key: &str,
        body: &Value,
        now: Timestamp,
    ) -> Result<(), Unmade> {
        self.known(key)?;
        self.send(permit, target, now, Verb::Post, &format!("issue/{key}/transitions"), body).await.map(|_| ())
    }

    /// A link out of the issue `key`; one of the same `globalId` is replaced.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn link(
        &self,
        permit: &Permit,
        target: &Target,
        key: &str,
        body: &Value,
        now: Timestamp,
    ) -> Result<(), Unmade> {
        self.known(key)?;
        self.send(permit, target, now, Verb::Post, &format!("issue/{key}/remotelink"), body).await.map(|_| ())
    }

    fn listed(&self, project: &str) -> Result<(), Unmade> {
        self.reader.listed(project).map(|_| ()).map_err(|error| Unmade::refused(0, error.text()))
    }

    fn known(&self, key: &str) -> Result<(), Unmade> {
        self.reader.project_of(key).map(|_| ()).map_err(|error| Unmade::refused(0, error.text()))
    }

    async fn send(
        &self,
        permit: &Permit,
        target: &Target,
        now: Timestamp,
        verb: Verb,
        rest: &str,
        body: &Value,
    ) -> Result<HttpAnswer, Unmade> {
        permit.covers(target, now).map_err(|refused| Unmade::refused(0, &refused.to_string()))?;
        let answer = self.reader.ask(verb, rest, &[], Some(body)).await?;
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
    use super::super::Deployment;
    use super::*;
    use crate::domain::{Action, Digest, Marker, Secret};
    use crate::edge::http::Auth;
    use crate::gate::Warrant;
    use serde_json::json;

    fn target(project: &str) -> Target {
        Target { system: "jira".into(), namespace: project.into(), kind: "Issue".into(), ..Target::default() }
    }

    fn permit() -> Permit {
        let marker = Marker::sign(&Digest::of("s"), b"k");
        let action: Action = serde_json::from_value(json!({
            "id": "act_00000000-0000-0000-0000-000000000000", "tool": "t", "effect": "record", "reversible": false,
            "args": {}, "title": "t", "targets": [target("OPS")],
            "preview": {"kind": "rendered", "text": "", "adds": 1, "changes": 0, "removes": 0},
            "precondition": null, "retry": "settle", "facts": null, "nonce": "n",
            "blast_radius": {"known": true, "pods": 0, "namespaces": 0, "clusters": 0, "dependents": 0, "pvc_bytes": 0},
        }))
        .unwrap();
        let warrant = Warrant::for_test(action, marker, Timestamp::UNIX_EPOCH);
        warrant.redeem("t", Timestamp::UNIX_EPOCH).unwrap().0
    }

    fn writer(address: &str) -> JiraWriter {
        let auth = Some(Auth::Bearer(Secret::new("t0ken", "env:T")));
        let reader = JiraReader::new(address, auth, Deployment::Server, vec!["OPS".into(), "WEB".into()]).unwrap();
        JiraWriter::new(reader, "Task")
    }

    fn answering(status: u16, body: &'static str) -> (JiraWriter, Asked) {
        let (address, asked) = peer(move |_| http(status, "application/json", body.as_bytes()));
        (writer(&address), asked)
    }

    #[tokio::test]
    async fn an_answer_is_a_yes_a_no_or_a_doubt() {
        for (status, body, expected) in [
            (201, r#"{"id":"1","key":"OPS-7"}"#, "made OPS-7"),
            (201, "<html>", "unknown"),
            (201, r#"{"key":"HR-7"}"#, "unknown"),
            (400, r#"{"errorMessages":[],"errors":{"priority":"Priority is required."}}"#, "refused 400"),
            (401, "", "refused 401"),
            (404, "{}", "refused 404"),
            (429, "{}", "refused 429"),
            (302, "", "refused 0"),
            (408, "", "unknown"),
            (500, "{}", "unknown"),
            (502, "<html>", "unknown"),
        ] {
            let (writer, asked) = answering(status, body);
            let made = writer.create(&permit(), &target("OPS"), &json!({}), Timestamp::UNIX_EPOCH).await;
            let told = match &made {
                Ok(key) => format!("made {key}"),
                Err(Unmade::Refused { code, .. }) => format!("refused {code}"),
                Err(Unmade::Unknown { .. }) => "unknown".to_owned(),
            };
            assert_eq!(told, expected, "{status} {body}: {made:?}");
            let asked = asked.lock().unwrap();
            assert_eq!(asked.len(), 1, "{status}: sent once");
            assert!(
                asked[0].starts_with("POST /rest/api/2/issue ") && asked[0].contains("authorization: Bearer t0ken")
            );
            if status == 400 {
                assert!(made.unwrap_err().to_string().contains("priority: Priority is required."));
            }
        }
        let absent = writer("http://127.0.0.1:1");
        let made = absent.create(&permit(), &target("OPS"), &json!({}), Timestamp::UNIX_EPOCH).await;
        assert!(matches!(made, Err(Unmade::Refused { code: 0, .. })), "{made:?}");
        let (address, _) = peer(|_| Vec::new());
        let made = writer(&address).create(&permit(), &target("OPS"), &json!({}), Timestamp::UNIX_EPOCH).await;
        assert!(matches!(made, Err(Unmade::Unknown { .. })), "{made:?}");
    }

    #[tokio::test]
    async fn nothing_leaves_without_a_permit_for_it() {
        let (writer, asked) = answering(201, r#"{"id":"1","key":"OPS-7"}"#);
        let (body, now) = (json!({}), Timestamp::UNIX_EPOCH);
        let late = now.checked_add(jiff::SignedDuration::from_secs(1)).unwrap();
        assert!(writer.create(&permit(), &target("WEB"), &body, now).await.is_err());
        assert!(writer.create(&permit(), &target("OPS"), &body, late).await.is_err());
        assert!(writer.comment(&permit(), &target("OPS"), "HR-1", &body, now).await.is_err());
        assert!(writer.transition(&permit(), &target("OPS"), "OPS-1/../HR-1", &body, now).await.is_err());
        assert!(writer.link(&permit(), &target("WEB"), "WEB-1", &body, now).await.is_err());
        assert!(writer.claim(&permit(), &target("WEB"), ("WEB-1", "p"), &body, now).await.is_err());
        assert!(asked.lock().unwrap().is_empty());
    }
}
