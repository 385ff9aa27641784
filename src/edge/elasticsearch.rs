//! A reader of the search API of Elasticsearch and OpenSearch.

use super::error::{EdgeError, EdgeErrorKind};
use super::http::{Auth, HttpPeer, Limits};
use serde_json::{Value, json};
use std::time::Duration;

const PEER: &str = "elasticsearch";

/// Searches. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ElasticsearchReader {
    peer: HttpPeer,
    indices: Vec<String>,
    time_field: String,
    limits: Limits,
}

impl ElasticsearchReader {
    /// The server at `url`, of which `indices` (names and patterns with `*`) may be searched. Documents
    /// have their time in `time_field`.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when `url` is no address.
    pub fn new(url: &str, auth: Option<Auth>, indices: Vec<String>, time_field: &str) -> Result<Self, EdgeError> {
        let limits = Limits { total: Duration::from_secs(25), body_bytes: 8 << 20 };
        Ok(Self { peer: HttpPeer::new(PEER, url, auth)?, indices, time_field: time_field.to_owned(), limits })
    }

    /// What may be searched.
    pub fn indices(&self) -> &[String] {
        &self.indices
    }

    /// The field that holds a document's time.
    pub fn time_field(&self) -> &str {
        &self.time_field
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        self.peer.address()
    }

    /// Which program answers, and its version.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn version(&self) -> Result<String, EdgeError> {
        let answer = self.peer.get("/", &[], self.limits).await?;
        if !(200..300).contains(&answer.status) {
            return Err(self.peer.refused(&answer));
        }
        let built: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(number) = built["version"]["number"].as_str() else {
            let text = format!("{} does not say its version; is it an Elasticsearch?", self.peer.address());
            return Err(self.peer.error(EdgeErrorKind::BadBody, &text));
        };
        let program = built["version"]["distribution"].as_str().unwrap_or("elasticsearch");
        let told = format!("{program} {number}");
        Ok(told.chars().filter(|c| !c.is_control()).take(60).collect())
    }

    /// How many documents may be searched, as far as the server counts.
    ///
    /// # Errors
    /// See [`Self::search`].
    pub async fn count(&self) -> Result<u64, EdgeError> {
        let found = self.search(&self.indices, &json!({"size": 0})).await?;
        let total = &found["hits"]["total"];
        Ok(total["value"].as_u64().or(total.as_u64()).unwrap_or(0))
    }

    /// Whether everything that `pattern` can mean is covered by what may be searched.
    pub fn may_search(&self, pattern: &str) -> bool {
        self.indices.iter().any(|listed| listed == pattern || covers(listed, pattern))
    }

    /// Puts `body` to `_search` of `indices`, which [`Self::may_search`] each.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Denied`] when one of `indices` may not be searched; [`EdgeErrorKind::Invalid`]
    /// when the server finds the query wrong.
    pub async fn search(&self, indices: &[String], body: &Value) -> Result<Value, EdgeError> {
        if indices.is_empty() || !indices.iter().all(|index| self.may_search(index)) {
            let text = format!("only these may be searched: {}", self.indices.join(", "));
            return Err(self.peer.error(EdgeErrorKind::Denied, &text));
        }
        let path = format!("/{}/_search", indices.join(","));
        let answer = self.peer.post_json(&path, body, self.limits).await?;
        let parsed = serde_json::from_slice::<Value>(&answer.body).ok();
        let code = answer.status;
        if let Some(found) = &parsed
            && (200..300).contains(&code)
            && found["hits"]["hits"].is_array()
        {
            return Ok(parsed.unwrap_or_default());
        }
        let Some(found) = parsed.filter(|found| !found["error"].is_null()) else {
            return Err(match code {
                200..=299 => self.peer.error(
                    EdgeErrorKind::BadBody,
                    &format!("the answer of {} has no hits; is it an Elasticsearch?", self.peer.address()),
                ),
                _ => self.peer.refused(&answer),
            });
        };
        let said = said(&found["error"]);
        let kind = found["error"]["type"].as_str().unwrap_or_default().to_owned();
        Err(match code {
            400 => self.peer.error(EdgeErrorKind::Invalid, &format!("it finds the question wrong: {said}")),
            401 | 403 => {
                let help = "check tools.elasticsearch.api_key, basic or bearer, and that it may read these indices";
                self.peer.error(EdgeErrorKind::Denied, &format!("it answers {code}: {said}; {help}"))
            }
            404 => self.peer.error(EdgeErrorKind::NotFound, &format!("there is no such index: {said}")),
            _ => self.peer.error(EdgeErrorKind::Status { code, reason: kind }, &format!("it answers {code}: {said}")),
        })
    }
}

/// The reason behind all others: that one says what is wrong.
fn said(error: &Value) -> String {
    let Some(own) = error["reason"].as_str() else { return error.as_str().unwrap_or("no reason given").to_owned() };
    let root = error["root_cause"][0]["reason"].as_str().unwrap_or(own);
    let deepest = std::iter::successors(error.get("caused_by"), |cause| cause.get("caused_by")).take(8).last();
    let deepest = deepest.and_then(|cause| cause["reason"].as_str()).unwrap_or(root);
    if deepest == own { own.to_owned() } else { format!("{own}: {deepest}") }
}

/// Whether every name that fits `asked` fits `listed`, too. A `*` in `asked` is met by a `*` in
/// `listed` only. What means more than names (several patterns, exclusion, date math, other clusters,
/// hidden indices that the list does not speak of) fits nothing.
fn covers(listed: &str, asked: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.*".contains(c);
    let hidden = asked.starts_with('.') && !listed.starts_with('.');
    let named = !asked.is_empty() && asked.len() <= 255 && !asked.starts_with(['-', '_']) && asked.chars().all(plain);
    named && !hidden && glob(listed.as_bytes(), asked.as_bytes())
}

/// `*` is any text; in time proportional to the product of both lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) && text[t] != b'*' {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::super::http::tests::{Asked, http, peer};
    use super::*;
    use crate::domain::Secret;

    fn answering(status: u16, body: Value) -> (ElasticsearchReader, Asked) {
        let (address, asked) = peer(move |_| http(status, "application/json", body.to_string().as_bytes()));
        let auth = Some(Auth::ApiKey(Secret::new("a2V5", "env:K")));
        let indices = vec!["logs-*".to_owned(), "audit".to_owned()];
        (ElasticsearchReader::new(&address, auth, indices, "@timestamp").unwrap(), asked)
    }

    #[tokio::test]
    async fn program_version_and_documents_are_told() {
        for (body, told) in [
            (json!({"version": {"number": "9.1.2"}, "tagline": "You Know, for Search"}), "elasticsearch 9.1.2"),
            (json!({"version": {"number": "3.2.0", "distribution": "opensearch"}}), "opensearch 3.2.0"),
        ] {
            let (reader, asked) = answering(200, body);
            assert_eq!(reader.version().await.unwrap(), told);
            assert!(asked.lock().unwrap()[0].starts_with("GET / "));
        }
        let (reader, _) = answering(200, json!({"hello": "world"}));
        assert_eq!(*reader.version().await.unwrap_err().kind(), EdgeErrorKind::BadBody);
        let (reader, _) = answering(401, json!({"error": {"type": "security_exception", "reason": "no key"}}));
        assert_eq!(*reader.version().await.unwrap_err().kind(), EdgeErrorKind::Denied);
        for (total, documents) in
            [(json!({"value": 10_000, "relation": "gte"}), 10_000), (json!(7), 7), (json!(null), 0)]
        {
            let (reader, asked) = answering(200, json!({"hits": {"total": total, "hits": []}}));
            assert_eq!(reader.count().await.unwrap(), documents);
            assert!(
                asked.lock().unwrap()[0].starts_with("POST /logs-*,audit/_search"),
                "{:?}",
                asked.lock().unwrap()[0]
            );
        }
    }

    #[test]
    fn a_pattern_is_covered_or_it_is_not_searched() {
        for (listed, asked, fine) in [
            ("logs-*", "logs-shop", true),
            ("logs-*", "logs-*", true),
            ("logs-*", "logs-shop-*", true),
            ("logs-*-prod", "logs-*-prod", true),
            ("logs-*-prod", "logs-shop-*", false),
            ("logs-*", "logs*", false),
            ("logs-*", "*", false),
            ("logs-*", "audit", false),
            ("logs-*", "logs-a,audit", false),
            ("logs-*", "logs-a,-logs-b", false),
            ("logs-*", "logs-x:other", false),
            ("logs-*", "<logs-{now/d}>", false),
            ("logs-*", "logs-a/_doc", false),
            ("logs-*", "logs-%2f", false),
            ("logs-*", "_all", false),
            ("*", "anything", true),
            ("*", "*", true),
            ("*", ".security", false),
            ("*", "_all", false),
            ("*", "-a", false),
            (".kibana*", ".kibana_1", true),
            ("audit", "audit", true),
            ("audit", "audit*", false),
            ("logs-*", "", false),
        ] {
            assert_eq!(covers(listed, asked), fine, "{listed} {asked}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_covered_pattern_means_is_listed(listed in "[ab*.]{1,6}", asked in "[ab*.,:_-]{1,6}", fill in "[ab]{0,3}") {
            if covers(&listed, &asked) {
                let name = asked.replace('*', &fill);
                proptest::prop_assert!(glob(listed.as_bytes(), name.as_bytes()), "{listed} {asked} {name}");
            }
        }
    }

    #[tokio::test]
    async fn only_listed_indices_are_asked_and_only_to_search() {
        let (reader, asked) = answering(200, json!({"hits": {"hits": []}}));
        for wrong in ["secrets", "logs-a,secrets", "../_cluster/settings", "_all"] {
            let error = reader.search(&[wrong.to_owned()], &json!({})).await.unwrap_err();
            assert_eq!(*error.kind(), EdgeErrorKind::Denied, "{wrong}");
        }
        assert!(asked.lock().unwrap().is_empty());
        reader.search(&["logs-shop-*".into(), "audit".into()], &json!({"size": 1})).await.unwrap();
        let asked = asked.lock().unwrap().remove(0);
        assert!(asked.starts_with("POST /logs-shop-*,audit/_search "), "{asked}");
        assert!(asked.contains("authorization: ApiKey a2V5") && asked.ends_with(r#"{"size":1}"#), "{asked}");
    }

    #[tokio::test]
    async fn errors_are_told_with_their_root() {
        let failed = |kind: &str, reason: &str| json!({"error": {"root_cause": [{"type": kind, "reason": reason}], "type": "search_phase_execution_exception", "reason": "all shards failed"}, "status": 400});
        for (status, body, kind, says) in [
            (
                400,
                failed("query_shard_exception", "Failed to parse query [a AND]"),
                EdgeErrorKind::Invalid,
                "Failed to parse query",
            ),
            (401, failed("security_exception", "unable to authenticate"), EdgeErrorKind::Denied, "api_key"),
            (
                404,
                failed("index_not_found_exception", "no such index [logs-x]"),
                EdgeErrorKind::NotFound,
                "no such index [logs-x]",
            ),
            (
                429,
                failed("circuit_breaking_exception", "Data too large"),
                EdgeErrorKind::Status { code: 429, reason: "search_phase_execution_exception".into() },
                "Data too large",
            ),
            (
                503,
                json!({"error": "overloaded"}),
                EdgeErrorKind::Status { code: 503, reason: String::new() },
                "overloaded",
            ),
            (200, json!({"name": "x"}), EdgeErrorKind::BadBody, "no hits"),
            (502, json!("<html>"), EdgeErrorKind::Status { code: 502, reason: String::new() }, "502"),
        ] {
            let (reader, _) = answering(status, body);
            let error = reader.search(&["audit".into()], &json!({})).await.unwrap_err();
            assert!(*error.kind() == kind && error.text().contains(says), "{error}");
        }
    }
}
