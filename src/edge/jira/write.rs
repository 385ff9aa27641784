//! The one door through which something is written into Jira: one entry of one issue, with a
//! [`Permit`] that names it.

use super::{JiraReader, PEER, Verb};
use crate::domain::Target;
use crate::edge::change::{Sending, Unmade};
use crate::edge::http::HttpAnswer;
use crate::gate::Permit;
use jiff::Timestamp;
use serde_json::Value;

/// Writes into Jira. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JiraWriter {
    reader: JiraReader,
    issue_type: String,
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
        key.map(str::to_owned).ok_or_else(|| Unmade::unknown(PEER, "it took the issue and does not say which it is"))
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
        id.ok_or_else(|| Unmade::unknown(PEER, "it took the comment and does not say which it is"))
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
        self.reader.listed(project).map(|_| ()).map_err(|error| Unmade::unsent(PEER, error.text()))
    }

    fn known(&self, key: &str) -> Result<(), Unmade> {
        self.reader.project_of(key).map(|_| ()).map_err(|error| Unmade::unsent(PEER, error.text()))
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
        let path = self.reader.path(rest);
        let limits = self.reader.limits;
        let sending = Sending { permit, target, now, verb, path: &path, body: Some(body), limits };
        self.reader.peer.change(PEER, sending, |answer| self.reader.refused(answer)).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::http::tests::{Asked, http, peer};
    use super::super::Deployment;
    use super::*;
    use crate::domain::{Action, Digest, Marker, Secret};
    use crate::edge::change::UnmadeKind;
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
            (201, "<html>", "Unknown"),
            (201, r#"{"key":"HR-7"}"#, "Unknown"),
            (400, r#"{"errorMessages":[],"errors":{"priority":"Priority is required."}}"#, "Refused(400)"),
            (401, "", "Refused(401)"),
            (404, "{}", "Refused(404)"),
            (429, "{}", "Refused(429)"),
            (302, "", "Unsent"),
            (408, "", "Unknown"),
            (500, "{}", "Unknown"),
            (502, "<html>", "Unknown"),
        ] {
            let (writer, asked) = answering(status, body);
            let made = writer.create(&permit(), &target("OPS"), &json!({}), Timestamp::UNIX_EPOCH).await;
            let told = match &made {
                Ok(key) => format!("made {key}"),
                Err(unmade) => format!("{:?}", unmade.kind()),
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
        assert!(made.as_ref().is_err_and(|unmade| unmade.kind() == UnmadeKind::Unsent), "{made:?}");
        let (address, _) = peer(|_| Vec::new());
        let made = writer(&address).create(&permit(), &target("OPS"), &json!({}), Timestamp::UNIX_EPOCH).await;
        assert!(made.as_ref().is_err_and(|unmade| unmade.kind() == UnmadeKind::Unknown), "{made:?}");
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
