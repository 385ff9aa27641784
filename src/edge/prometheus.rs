//! A reader of the Prometheus HTTP API, and of whatever speaks it (Thanos, Mimir, VictoriaMetrics).

use super::error::{EdgeError, EdgeErrorKind};
use super::http::{Auth, HttpAnswer, HttpPeer, Limits};
use serde_json::Value;

/// The peer's name in errors.
const PEER: &str = "prometheus";
/// Longer questions are posted: proxies and servers limit the length of an address.
const GET_BYTES: usize = 1500;
/// How long the server may work on one query: behind a proxy it may not learn that nobody waits any more.
const EVALUATION: &str = "20s";
/// Most series of one answer, unless the reader is told otherwise.
pub const MAX_SERIES: usize = 2000;

/// Reads metrics, alerts, rules and targets. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PrometheusReader {
    peer: HttpPeer,
    limits: Limits,
    max_series: usize,
}

/// The `data` of an answer, with what the server warns of.
#[derive(Debug, Clone, PartialEq)]
pub struct PrometheusData {
    /// The payload.
    pub data: Value,
    /// Warnings in the server's words: partial results, truncation.
    pub warnings: Vec<String>,
}

impl PrometheusReader {
    /// The server at `url`, which may have a path prefix and, in it, a user and password.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when `url` is no address.
    pub fn new(url: &str, auth: Option<Auth>) -> Result<Self, EdgeError> {
        Ok(Self { peer: HttpPeer::new(PEER, url, auth)?, limits: Limits::default(), max_series: MAX_SERIES })
    }

    /// The same server, asked for at most `series` series by one query.
    #[must_use]
    pub fn with_max_series(self, series: usize) -> Self {
        Self { max_series: series, ..self }
    }

    /// Most series of one answer. Servers that know `limit` stop behind them; one more than these tells
    /// that there are more.
    pub fn max_series(&self) -> usize {
        self.max_series
    }

    /// The server's address, without credentials.
    pub fn address(&self) -> &str {
        self.peer.address()
    }

    /// Evaluates `query` at `time` (unix seconds) or now. The answer has at most one series more than
    /// [`Self::max_series`] where the server knows `limit`.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when the server finds the query wrong.
    pub async fn query(&self, query: &str, time: Option<&str>) -> Result<PrometheusData, EdgeError> {
        let limit = self.limit();
        self.instant(query, time, &[("timeout", EVALUATION), ("limit", limit.as_str())]).await
    }

    /// As [`Self::query`] for a query that by itself answers with few series, so without `limit`; the
    /// server gives up after `timeout` (`5s`).
    ///
    /// # Errors
    /// [`EdgeErrorKind::Timeout`] when it did.
    pub async fn query_within(
        &self,
        query: &str,
        time: Option<&str>,
        timeout: &str,
    ) -> Result<PrometheusData, EdgeError> {
        self.instant(query, time, &[("timeout", timeout)]).await
    }

    async fn instant(
        &self,
        query: &str,
        time: Option<&str>,
        bounds: &[(&str, &str)],
    ) -> Result<PrometheusData, EdgeError> {
        let mut params = vec![("query", query)];
        params.extend(time.map(|time| ("time", time)));
        params.extend(bounds);
        self.ask("query", &params).await
    }

    fn limit(&self) -> String {
        self.max_series.saturating_add(1).to_string()
    }

    /// Evaluates `query` from `start` to `end` (unix seconds) every `step` seconds; at most so many
    /// series as [`Self::query`] gives.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when the server finds the query wrong.
    pub async fn query_range(
        &self,
        query: &str,
        start: &str,
        end: &str,
        step: &str,
    ) -> Result<PrometheusData, EdgeError> {
        let (limit, window) = (self.limit(), [("query", query), ("start", start), ("end", end), ("step", step)]);
        let bounds = [("timeout", EVALUATION), ("limit", limit.as_str())];
        self.ask("query_range", &[window.as_slice(), &bounds].concat()).await
    }

    /// The exemplars of the series that `query` selects, between `start` and `end` (unix seconds). A
    /// server that keeps none answers with an empty list.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when the server finds the query wrong.
    pub async fn exemplars(&self, query: &str, start: &str, end: &str) -> Result<PrometheusData, EdgeError> {
        self.ask("query_exemplars", &[("query", query), ("start", start), ("end", end)]).await
    }

    /// The flags that the server was started with.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`]; proxies often do not let this through.
    pub async fn flags(&self) -> Result<PrometheusData, EdgeError> {
        self.ask("status/flags", &[]).await
    }

    /// The series that match any of `matches` between `start` and `end` (unix seconds).
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when the server finds a selector wrong.
    pub async fn series(&self, matches: &[String], start: &str, end: &str) -> Result<PrometheusData, EdgeError> {
        let mut params: Vec<(&str, &str)> = matches.iter().map(|m| ("match[]", m.as_str())).collect();
        params.extend([("start", start), ("end", end)]);
        self.ask("series", &params).await
    }

    /// The names of labels of the series that match any of `matches` (all without one) between
    /// `start` and `end` (unix seconds). Servers that know `limit` stop there and warn.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when the server finds a selector wrong.
    pub async fn label_names(
        &self,
        matches: &[String],
        start: &str,
        end: &str,
        limit: usize,
    ) -> Result<PrometheusData, EdgeError> {
        let limit = limit.to_string();
        self.ask("labels", &selection(matches, start, end, &limit)).await
    }

    /// The values of one label, as [`Self::label_names`].
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when `label` is no label's name, or the selectors are longer than
    /// an address may be: this question cannot be posted.
    pub async fn label_values(
        &self,
        label: &str,
        matches: &[String],
        start: &str,
        end: &str,
        limit: usize,
    ) -> Result<PrometheusData, EdgeError> {
        let begins = label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        // It becomes a part of the path: anything else would be another path.
        if !begins || label.len() > 128 || !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            let shown: String = label.chars().take(60).collect();
            let text = format!("`{shown}` is no label's name: letters, digits and `_`, at most 128");
            return Err(self.peer.error(EdgeErrorKind::Invalid, &text));
        }
        if matches.iter().map(String::len).sum::<usize>() > GET_BYTES {
            let text = format!("the selectors are longer than {GET_BYTES} bytes; send fewer or shorter ones");
            return Err(self.peer.error(EdgeErrorKind::Invalid, &text));
        }
        let path = format!("/api/v1/label/{label}/values");
        let limit = limit.to_string();
        let answer = self.peer.get(&path, &selection(matches, start, end, &limit), self.limits).await?;
        self.unwrap(&path, &answer)
    }

    /// Type, help and unit of metrics as their targets tell them: of one, or of at most `limit`.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn metadata(&self, metric: Option<&str>, limit: usize) -> Result<PrometheusData, EdgeError> {
        let limit = limit.to_string();
        let mut params = vec![("limit", limit.as_str())];
        params.extend(metric.map(|metric| ("metric", metric)));
        self.ask("metadata", &params).await
    }

    /// Pending and firing alerts.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn alerts(&self) -> Result<PrometheusData, EdgeError> {
        self.ask("alerts", &[]).await
    }

    /// Alerting and recording rules by group.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn rules(&self) -> Result<PrometheusData, EdgeError> {
        self.ask("rules", &[]).await
    }

    /// What is scraped.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn targets(&self) -> Result<PrometheusData, EdgeError> {
        self.ask("targets", &[("state", "active")]).await
    }

    /// Version and build.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn build_info(&self) -> Result<PrometheusData, EdgeError> {
        self.ask("status/buildinfo", &[]).await
    }

    /// The Alertmanagers that it sends alerts to.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn alertmanagers(&self) -> Result<PrometheusData, EdgeError> {
        self.ask("alertmanagers", &[]).await
    }

    async fn ask(&self, endpoint: &str, params: &[(&str, &str)]) -> Result<PrometheusData, EdgeError> {
        let path = format!("/api/v1/{endpoint}");
        let length: usize = params.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
        let answer = match length > GET_BYTES {
            true => self.peer.post_form(&path, params, self.limits).await?,
            false => self.peer.get(&path, params, self.limits).await?,
        };
        self.unwrap(&path, &answer)
    }

    /// Takes the envelope off. Errors are told apart by `errorType`: the texts differ between versions.
    fn unwrap(&self, path: &str, answer: &HttpAnswer) -> Result<PrometheusData, EdgeError> {
        let Ok(mut envelope) = serde_json::from_slice::<Value>(&answer.body) else {
            return Err(match answer.status {
                // Plain text: not even the API's own error.
                404 | 405 => self.peer.error(
                    EdgeErrorKind::NotFound,
                    &format!("{} serves no {path}; check prometheus.url and its path prefix", self.address()),
                ),
                200..=299 => self.peer.error(
                    EdgeErrorKind::BadBody,
                    &format!("the answer of {} to {path} is not JSON; is it a Prometheus?", self.address()),
                ),
                _ => self.peer.refused(answer),
            });
        };
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).take(10).map(str::to_owned).collect()
        };
        match (envelope["status"].as_str(), envelope["errorType"].as_str()) {
            (Some("success"), _) if envelope.get("data").is_some() => {
                Ok(PrometheusData { warnings: texts(&envelope["warnings"]), data: envelope["data"].take() })
            }
            (Some("error"), Some(kind)) => {
                let said = envelope["error"].as_str().unwrap_or("no message").to_owned();
                let code = answer.status;
                let status = || EdgeErrorKind::Status { code, reason: kind.to_owned() };
                Err(match kind {
                    "bad_data" => {
                        self.peer.error(EdgeErrorKind::Invalid, &format!("it finds the question wrong: {said}"))
                    }
                    "execution" => {
                        self.peer.error(EdgeErrorKind::Invalid, &format!("the query cannot be evaluated: {said}"))
                    }
                    "timeout" | "canceled" => self.peer.error(
                        EdgeErrorKind::Timeout,
                        &format!("the query took too long: {said}; ask for less: a shorter window, fewer series"),
                    ),
                    "not_found" => self.peer.error(EdgeErrorKind::NotFound, &said),
                    _ => self.peer.error(status(), &format!("it answers {code} {kind}: {said}")),
                })
            }
            _ if !(200..300).contains(&answer.status) => Err(self.peer.refused(answer)),
            _ => Err(self.peer.error(
                EdgeErrorKind::BadBody,
                &format!("the answer of {} to {path} has no status and data; is it a Prometheus?", self.address()),
            )),
        }
    }
}

/// Which series in which window, and how many answers.
fn selection<'a>(matches: &'a [String], start: &'a str, end: &'a str, limit: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut params: Vec<(&str, &str)> = matches.iter().map(|m| ("match[]", m.as_str())).collect();
    params.extend([("start", start), ("end", end), ("limit", limit)]);
    params
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::http::tests::{Asked, http, peer};
    use super::*;

    /// A recorded answer of a real server.
    pub(crate) fn fixture(version: &str, name: &str) -> Value {
        let path = format!("{}/tests/fixtures/prometheus/{version}/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))).unwrap()
    }

    /// A server that answers everything with one recorded answer.
    pub(crate) fn replaying(recorded: Value) -> (PrometheusReader, Asked) {
        let media_type = recorded["headers"]["Content-Type"].as_str().unwrap_or("application/json").to_owned();
        let body = recorded["body"].as_str().map_or_else(|| recorded["body"].to_string(), str::to_owned);
        let status = recorded["status"].as_u64().unwrap_or(200) as u16;
        let (address, asked) = peer(move |_| http(status, &media_type, body.as_bytes()));
        (PrometheusReader::new(&address, None).unwrap(), asked)
    }

    #[tokio::test]
    async fn every_recorded_answer_is_understood() {
        for version in ["2.42.0", "3.5.3"] {
            for (name, kind) in [
                ("query-vector", "vector"),
                ("query-matrix", "matrix"),
                ("query-scalar", "scalar"),
                ("query-string", "string"),
                ("query-nan-inf", "vector"),
                ("query-empty", "vector"),
                ("query-range", "matrix"),
            ] {
                let (reader, _) = replaying(fixture(version, name));
                assert_eq!(reader.query("x", None).await.unwrap().data["resultType"], kind, "{version} {name}");
            }
        }
        let (reader, _) = replaying(fixture("3.5.3", "query-limit"));
        assert_eq!(reader.query("up", None).await.unwrap().warnings, ["results truncated due to limit"]);
    }

    #[tokio::test]
    async fn errors_are_told_apart_by_type_in_every_version() {
        for version in ["2.42.0", "3.5.3"] {
            for (name, kind) in [
                ("error-bad-query", EdgeErrorKind::Invalid),
                ("error-too-many-points", EdgeErrorKind::Invalid),
                ("error-execution", EdgeErrorKind::Invalid),
                ("error-real-timeout", EdgeErrorKind::Timeout),
                ("error-unknown-path", EdgeErrorKind::NotFound),
                ("error-method", EdgeErrorKind::NotFound),
            ] {
                let (reader, _) = replaying(fixture(version, name));
                let error = reader.query("x", None).await.unwrap_err();
                assert_eq!(*error.kind(), kind, "{version} {name}: {error}");
            }
        }
    }

    #[tokio::test]
    async fn a_page_of_a_proxy_is_no_answer() {
        for (status, kind) in [
            (200, EdgeErrorKind::BadBody),
            (401, EdgeErrorKind::Denied),
            (502, EdgeErrorKind::Status { code: 502, reason: String::new() }),
        ] {
            let (reader, _) = replaying(serde_json::json!({"status": status, "body": "<html>sign in</html>"}));
            assert_eq!(*reader.alerts().await.unwrap_err().kind(), kind);
        }
        let (reader, _) = replaying(serde_json::json!({"status": 200, "body": {"hello": 1}}));
        assert_eq!(*reader.rules().await.unwrap_err().kind(), EdgeErrorKind::BadBody);
    }

    #[tokio::test]
    async fn the_server_is_told_when_to_stop() {
        let (reader, asked) = replaying(fixture("3.5.3", "query-range"));
        let reader = reader.with_max_series(7);
        reader.query_range("up", "1", "2", "1").await.unwrap();
        reader.query_within("up", None, "5s").await.unwrap();
        let asked = asked.lock().unwrap();
        let range = "GET /api/v1/query_range?query=up&start=1&end=2&step=1&timeout=20s&limit=8 ";
        assert!(asked[0].starts_with(range), "{}", asked[0]);
        assert!(asked[1].starts_with("GET /api/v1/query?query=up&timeout=5s "), "{}", asked[1]);
    }

    #[tokio::test]
    async fn long_questions_are_posted_as_a_form() {
        let (reader, asked) = replaying(fixture("3.5.3", "query-vector"));
        reader.query("up", Some("1.5")).await.unwrap();
        reader.query(&format!("up{{job=~\"{}\"}}", "x".repeat(2000)), None).await.unwrap();
        reader.series(&["up".into(), "down".into()], "1", "2").await.unwrap();
        let asked = asked.lock().unwrap();
        assert!(asked[0].starts_with("GET /api/v1/query?query=up&time=1.5&timeout=20s&limit=2001 "), "{}", asked[0]);
        assert!(
            asked[1].starts_with("POST /api/v1/query ") && asked[1].contains("\r\n\r\nquery=up%7Bjob"),
            "{}",
            asked[1]
        );
        assert!(
            asked[2].starts_with("GET /api/v1/series?match%5B%5D=up&match%5B%5D=down&start=1&end=2 "),
            "{}",
            asked[2]
        );
    }
}
