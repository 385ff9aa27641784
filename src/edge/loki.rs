//! A reader of the Loki HTTP API.

use super::error::{EdgeError, EdgeErrorKind};
use super::http::{Auth, HttpAnswer, HttpPeer, Limits};
use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

const PEER: &str = "loki";
/// The header that names a tenant.
const TENANT: &str = "x-scope-orgid";

/// Reads logs and their labels. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LokiReader {
    peer: HttpPeer,
    limits: Limits,
}

/// A question for a window of time, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LokiQuery<'a> {
    /// LogQL.
    pub query: &'a str,
    /// The beginning.
    pub start: i64,
    /// The end.
    pub end: i64,
    /// Most lines.
    pub limit: usize,
    /// The oldest lines of the window instead of the newest.
    pub forward: bool,
    /// For LogQL that counts: seconds between samples.
    pub step: f64,
}

/// What Loki found.
#[derive(Debug, Clone, PartialEq)]
pub enum LokiFound {
    /// Lines, oldest first.
    Lines {
        /// The labels of each stream.
        streams: Vec<BTreeMap<String, String>>,
        /// Time in nanoseconds, number of the stream, and line.
        lines: Vec<(i64, usize, String)>,
    },
    /// Samples, as Prometheus gives them.
    Matrix(Value),
}

impl LokiReader {
    /// The server at `url`; with `tenant`, as that tenant.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when `url` is no address or `tenant` no header.
    pub fn new(url: &str, auth: Option<Auth>, tenant: Option<&str>) -> Result<Self, EdgeError> {
        let peer = HttpPeer::new(PEER, url, auth)?;
        let peer = match tenant {
            Some(tenant) => peer.with_header(TENANT, tenant)?,
            None => peer,
        };
        Ok(Self { peer, limits: Limits { body_bytes: 12 << 20, ..Limits::default() } })
    }

    /// Evaluates LogQL over a window.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when the server finds the query wrong.
    pub async fn query_range(&self, asked: LokiQuery<'_>) -> Result<LokiFound, EdgeError> {
        let (start, end, limit) = (asked.start.to_string(), asked.end.to_string(), asked.limit.to_string());
        let step = asked.step.to_string();
        let direction = if asked.forward { "forward" } else { "backward" };
        let params = [
            ("query", asked.query),
            ("start", &start),
            ("end", &end),
            ("limit", &limit),
            ("direction", direction),
            ("step", &step),
        ];
        let answer = self.ask("query_range", &params).await?;
        let found: Envelope<'_> = self.read("query_range", &answer)?;
        match found.data {
            Data::Streams { result } => {
                let mut streams = Vec::with_capacity(result.len());
                let mut lines = Vec::new();
                for (number, stream) in result.into_iter().enumerate() {
                    streams.push(stream.stream);
                    lines.extend(stream.values.into_iter().map(|line| (line.at, number, line.text.into_owned())));
                }
                // Stable: lines of one moment keep their order within a stream.
                lines.sort_by_key(|(at, _, _)| *at);
                Ok(LokiFound::Lines { streams, lines })
            }
            Data::Matrix { result } => Ok(LokiFound::Matrix(result)),
        }
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        self.peer.address()
    }

    /// The server's version.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn version(&self) -> Result<String, EdgeError> {
        const ENDPOINT: &str = "status/buildinfo";
        let answer = self.ask(ENDPOINT, &[]).await?;
        let built: Value = self.read(ENDPOINT, &answer)?;
        let version =
            built["version"].as_str().or(built["data"]["version"].as_str()).unwrap_or("of an unknown version");
        Ok(version.chars().filter(|c| !c.is_control()).take(60).collect())
    }

    /// The names of all labels; with `label`, its values. Times in nanoseconds.
    ///
    /// # Errors
    /// See [`EdgeErrorKind`].
    pub async fn labels(&self, label: Option<&str>, start: i64, end: i64) -> Result<Vec<String>, EdgeError> {
        let (start, end) = (start.to_string(), end.to_string());
        let path = match label {
            Some(label) => format!("label/{label}/values"),
            None => "labels".to_owned(),
        };
        let answer = self.ask(&path, &[("start", &start), ("end", &end)]).await?;
        // A server without any leaves the list out.
        Ok(self.read::<Names>(&path, &answer)?.data)
    }

    async fn ask(&self, endpoint: &str, params: &[(&str, &str)]) -> Result<HttpAnswer, EdgeError> {
        let answer = self.peer.get(&format!("/loki/api/v1/{endpoint}"), params, self.limits).await?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        // Errors are plain text, of a gateway before it anything.
        let said = String::from_utf8_lossy(&answer.body[..answer.body.len().min(400)]).trim().to_owned();
        let code = answer.status;
        let (kind, text) = match code {
            400 | 422 => (EdgeErrorKind::Invalid, format!("it finds the question wrong: {said}")),
            401 | 403 => {
                let help = "check tools.loki.bearer or basic, and tools.loki.tenant";
                (EdgeErrorKind::Denied, format!("it answers {code}: {said}; {help}"))
            }
            404 | 405 => {
                let help = "check tools.loki.url and its path prefix";
                (EdgeErrorKind::NotFound, format!("{} serves no {endpoint}; {help}", self.peer.address()))
            }
            429 => {
                let kind = EdgeErrorKind::Status { code, reason: String::new() };
                (kind, format!("it has too much to do: {said}; ask for a shorter window"))
            }
            504 => (EdgeErrorKind::Timeout, format!("the query took too long: {said}; ask for a shorter window")),
            _ => return Err(self.peer.refused(&answer)),
        };
        Err(self.peer.error(kind, &text))
    }

    fn read<'a, T: Deserialize<'a>>(&self, endpoint: &str, answer: &'a HttpAnswer) -> Result<T, EdgeError> {
        serde_json::from_slice(&answer.body).map_err(|e| {
            let text =
                format!("the answer of {} to {endpoint} is none of Loki's ({e}); is it a Loki?", self.peer.address());
            self.peer.error(EdgeErrorKind::BadBody, &text)
        })
    }
}

#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    data: Vec<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Stream<'a> {
    stream: BTreeMap<String, String>,
    #[serde(borrow)]
    values: Vec<Line<'a>>,
}

enum Data<'a> {
    Streams { result: Vec<Stream<'a>> },
    Matrix { result: Value },
}

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        // `result` waits unread until the type is known: the server may write it first.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw<'r> {
            result_type: String,
            #[serde(borrow)]
            result: &'r serde_json::value::RawValue,
        }
        let raw = Raw::deserialize(d)?;
        match raw.result_type.as_str() {
            "streams" => {
                Ok(Self::Streams { result: serde_json::from_str(raw.result.get()).map_err(D::Error::custom)? })
            }
            "matrix" => Ok(Self::Matrix { result: serde_json::from_str(raw.result.get()).map_err(D::Error::custom)? }),
            _ => Err(D::Error::custom("its result is neither streams nor a matrix")),
        }
    }
}

struct Line<'a> {
    at: i64,
    text: Cow<'a, str>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Line<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Triple;
        impl<'de> Visitor<'de> for Triple {
            type Value = Line<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[\"nanoseconds\", \"line\"]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Line<'de>, A::Error> {
                #[derive(Deserialize)]
                struct Text<'t>(#[serde(borrow)] Cow<'t, str>);
                let at: Text<'de> = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let text: Text<'de> = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
                // Structured metadata may follow.
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                let at = at.0.parse().map_err(|_| A::Error::custom("a time that is no number of nanoseconds"))?;
                Ok(Line { at, text: text.0 })
            }
        }
        d.deserialize_seq(Triple)
    }
}

#[cfg(test)]
mod tests {
    use super::super::http::tests::{Asked, http, peer};
    use super::*;
    use crate::domain::Secret;
    use serde_json::json;

    fn answering(status: u16, media_type: &'static str, body: String) -> (LokiReader, Asked) {
        let (address, asked) = peer(move |_| http(status, media_type, body.as_bytes()));
        let auth = Some(Auth::Bearer(Secret::new("t0ken", "env:T")));
        (LokiReader::new(&format!("{address}/prefix"), auth, Some("team-a")).unwrap(), asked)
    }

    const ASKED: LokiQuery<'_> = LokiQuery {
        query: r#"{app="shop"} |= "error""#,
        start: 1,
        end: 2_000_000_000,
        limit: 10,
        forward: false,
        step: 60.0,
    };

    #[tokio::test]
    async fn its_version_is_told_whoever_wraps_it() {
        for body in [json!({"version": "3.5.1", "revision": "x"}), json!({"data": {"version": "3.5.1"}})] {
            let (reader, asked) = answering(200, "application/json", body.to_string());
            assert_eq!(reader.version().await.unwrap(), "3.5.1");
            let asked = asked.lock().unwrap().remove(0);
            assert!(asked.starts_with("GET /prefix/loki/api/v1/status/buildinfo"), "{asked}");
        }
        let (reader, _) = answering(200, "application/json", "{}".to_owned());
        assert_eq!(reader.version().await.unwrap(), "of an unknown version");
        let (reader, _) = answering(401, "text/plain", "no org id".to_owned());
        assert_eq!(*reader.version().await.unwrap_err().kind(), EdgeErrorKind::Denied);
    }

    #[tokio::test]
    async fn lines_of_all_streams_come_in_the_order_of_time() {
        let body = json!({"status": "success", "data": {"resultType": "streams", "result": [
            {"stream": {"app": "shop", "pod": "a"}, "values": [["30", "late \"quoted\""], ["10", "early"]]},
            {"stream": {"app": "shop", "pod": "b"}, "values": [["20", "between", {"trace_id": "x"}]]}],
            "stats": {"summary": {"bytesProcessedPerSecond": 1}}}});
        let (reader, asked) = answering(200, "application/json", body.to_string());
        let LokiFound::Lines { streams, lines } = reader.query_range(ASKED).await.unwrap() else { panic!("no lines") };
        assert_eq!(lines, [(10, 0, "early".into()), (20, 1, "between".into()), (30, 0, "late \"quoted\"".into())]);
        assert_eq!(streams[1]["pod"], "b");
        let asked = asked.lock().unwrap().remove(0);
        assert!(asked.starts_with("GET /prefix/loki/api/v1/query_range?query=%7Bapp%3D%22shop%22%7D"), "{asked}");
        assert!(asked.contains("&start=1&end=2000000000&limit=10&direction=backward&step=60 "), "{asked}");
        assert!(
            asked.contains("x-scope-orgid: team-a\r\n") && asked.contains("authorization: Bearer t0ken"),
            "{asked}"
        );
    }

    #[tokio::test]
    async fn counts_are_samples_and_labels_are_lists() {
        let body =
            json!({"data": {"result": [{"metric": {"app": "a"}, "values": [[1, "2"]]}], "resultType": "matrix"}});
        let (reader, _) = answering(200, "application/json", body.to_string());
        assert!(
            matches!(reader.query_range(ASKED).await.unwrap(), LokiFound::Matrix(m) if m[0]["metric"]["app"] == "a")
        );
        let (reader, asked) = answering(200, "application/json", r#"{"status":"success","data":["app","pod"]}"#.into());
        assert_eq!(reader.labels(Some("app"), 1, 2).await.unwrap(), ["app", "pod"]);
        assert!(asked.lock().unwrap()[0].starts_with("GET /prefix/loki/api/v1/label/app/values?start=1&end=2 "));
        let (reader, _) = answering(200, "application/json", r#"{"status":"success"}"#.into());
        assert!(reader.labels(None, 1, 2).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn errors_are_plain_text_and_told_apart_by_status() {
        for (status, said, kind) in [
            (400, "parse error at line 1, col 5: syntax error: unexpected IDENTIFIER", EdgeErrorKind::Invalid),
            (401, "no org id", EdgeErrorKind::Denied),
            (404, "404 page not found", EdgeErrorKind::NotFound),
            (429, "too many outstanding requests", EdgeErrorKind::Status { code: 429, reason: String::new() }),
            (504, "context deadline exceeded", EdgeErrorKind::Timeout),
            (500, "oops", EdgeErrorKind::Status { code: 500, reason: String::new() }),
            (200, "<html>sign in</html>", EdgeErrorKind::BadBody),
            (
                200,
                r#"{"data":{"resultType":"streams","result":[{"stream":{},"values":[[1,"x"]]}]}}"#,
                EdgeErrorKind::BadBody,
            ),
            (200, r#"{"data":{"resultType":"vector","result":[]}}"#, EdgeErrorKind::BadBody),
        ] {
            let (reader, _) = answering(status, "text/plain", said.to_owned());
            let error = reader.query_range(ASKED).await.unwrap_err();
            assert_eq!(*error.kind(), kind, "{said}: {error}");
        }
    }
}
