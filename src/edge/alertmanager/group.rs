//! The alerts of one group, as Alertmanager's API tells them.

use super::{AlertmanagerReader, Labels, Matcher, Verb};
use crate::edge::error::EdgeError;

impl AlertmanagerReader {
    /// The alerts that fire now, that `receiver` is told of and that have all of `labels`; none that is
    /// silenced or inhibited. As told: a JSON list.
    ///
    /// # Errors
    /// See [`crate::edge::EdgeErrorKind`].
    pub async fn group(&self, receiver: Option<&str>, labels: &Labels) -> Result<Vec<u8>, EdgeError> {
        let filters: Vec<String> = labels.iter().map(|(name, value)| Matcher::equal(name, value).to_string()).collect();
        let receiver = receiver.map(literally);
        let mut query =
            vec![("active", "true"), ("silenced", "false"), ("inhibited", "false"), ("unprocessed", "false")];
        query.extend(receiver.iter().map(|receiver| ("receiver", receiver.as_str())));
        query.extend(filters.iter().map(|filter| ("filter", filter.as_str())));
        let answer = self.ask(Verb::Get, "alerts", &query, None).await.map_err(|unanswered| unanswered.error)?;
        match answer.status {
            200 => Ok(answer.body),
            _ => Err(self.refused(&answer)),
        }
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
        assert_eq!(reader.group(Some("agent-max2"), &labels).await.unwrap(), b"[]");
        let asked = asked.lock().unwrap().remove(0);
        for part in ["receiver=agent%5C-max2", "filter=alertname%3D%22PVC+%5C%22High%5C%22%22", "silenced=false"] {
            assert!(asked.contains(part), "{asked}");
        }
        let (address, _) = peer(|_| http(400, "application/json", b"\"bad\""));
        assert!(AlertmanagerReader::new(&address, None).unwrap().group(None, &labels).await.is_err());
    }
}
