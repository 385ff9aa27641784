//! What an answer that is none means, and what to do.

use super::PEER;
use super::client::Asked;
use super::names::Repo;
use crate::edge::error::{EdgeError, EdgeErrorKind, shorten};
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Most bytes of GitHub's own words.
const WORDS: usize = 300;
/// The word for a limit that is reached, whatever status told of it.
pub const RATE_LIMIT: &str = "rate limit";

/// What the headers of an answer say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Headers {
    /// There is a next page.
    pub more: bool,
    remaining: Option<u64>,
    reset: Option<Timestamp>,
    retry_after: Option<SignedDuration>,
    /// Single sign-on is wanted.
    sso: bool,
}

impl Headers {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let number = |name: &str| text(name).and_then(|value| value.trim().parse::<i64>().ok());
        Self {
            more: text("link").is_some_and(|links| links.contains("rel=\"next\"")),
            remaining: number("x-ratelimit-remaining").and_then(|left| u64::try_from(left).ok()),
            reset: number("x-ratelimit-reset").and_then(|at| Timestamp::from_second(at).ok()),
            retry_after: number("retry-after").map(|s| SignedDuration::from_secs(s.clamp(0, 86_400))),
            sso: text("x-github-sso").is_some(),
        }
    }

    /// How long nothing should be asked, where a limit is the reason.
    fn limited(&self, status: u16, said: &str, now: Timestamp) -> Option<Option<SignedDuration>> {
        let said = said.to_ascii_lowercase();
        let secondary = said.contains("secondary rate limit") || said.contains("abuse detection");
        let primary = self.remaining == Some(0) || said.contains("rate limit exceeded");
        if !matches!(status, 403 | 429) || !(status == 429 || secondary || primary || self.retry_after.is_some()) {
            return None;
        }
        let until_reset = self.reset.filter(|_| primary).map(|at| at.duration_since(now));
        Some(self.retry_after.or(until_reset).filter(|wait| wait.is_positive()))
    }
}

/// The error for an answer with `status`.
pub(super) fn refused(
    status: u16,
    headers: &Headers,
    body: &[u8],
    asked: &Asked<'_>,
    repo: Option<&Repo>,
    now: Timestamp,
) -> EdgeError {
    let (said, code) = words(body);
    let (what, right) = (&asked.what, asked.right);
    let on = repo.map_or(String::new(), |repo| format!(" on {repo}"));
    let error = |kind: EdgeErrorKind, text: String| EdgeError::new(PEER, kind, text);
    let with = |code: u16, reason: &str| EdgeErrorKind::Status { code, reason: reason.to_owned() };
    if let Some(wait) = headers.limited(status, &said, now) {
        let wait = match wait {
            Some(wait) => format!("in {} s", wait.as_secs().max(1)),
            None => "in a minute".to_owned(),
        };
        // As 429, however it was told: time mends it.
        return error(
            with(429, RATE_LIMIT),
            format!("its rate limit is reached ({said}); ask again {wait}, and for less"),
        );
    }
    match status {
        301 | 302 | 307 | 308 => error(
            with(status, "moved"),
            format!("{what} has moved; write the repository's present name into tools.github.repos"),
        ),
        401 => {
            let help = "check tools.github.token or tools.github.app: expired, revoked, or of another server?";
            error(EdgeErrorKind::Denied, format!("it answers 401: {said}; {help}"))
        }
        403 | 451 if headers.sso => {
            let help = "authorize the credential for the organization's single sign-on";
            error(EdgeErrorKind::Denied, format!("it answers {status}: {said}; {help}"))
        }
        403 | 451 => error(
            EdgeErrorKind::Denied,
            format!("it answers {status}: {said}; for {what}, the credential needs {right}{on}"),
        ),
        404 | 410 => error(
            EdgeErrorKind::NotFound,
            format!("{what} is not there, or is hidden from the credential, which needs {right}{on}"),
        ),
        409 => error(with(409, &code), format!("{what}: {said}")),
        400 | 422 => error(with(status, &code), format!("it finds the question for {what} wrong: {said}")),
        500.. => error(with(status, ""), format!("it has a fault and answers {status}; try again in a minute")),
        _ => error(with(status, ""), format!("it answers {status} about {what}: {said}")),
    }
}

/// GitHub's own words, and its word for programs where it gives one.
fn words(body: &[u8]) -> (String, String) {
    let Ok(told) = serde_json::from_slice::<Value>(body) else {
        let said = String::from_utf8_lossy(body);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = if said.is_empty() { "no reason given" } else { &said };
        return (shorten(said, WORDS).into_owned(), String::new());
    };
    let mut said = told["message"].as_str().unwrap_or("no reason given").to_owned();
    let mut code = String::new();
    for one in told["errors"].as_array().into_iter().flatten().take(3) {
        let field = [&one["resource"], &one["field"], &one["code"]].map(|part| part.as_str().unwrap_or_default());
        let detail = one.as_str().or(one["message"].as_str()).map_or_else(|| field.join(" "), str::to_owned);
        said.push_str(&format!("; {}", detail.trim()));
        if code.is_empty() {
            code = one["code"].as_str().unwrap_or_default().to_owned();
        }
    }
    (shorten(&said, WORDS).into_owned(), code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> EdgeError {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| {
            map.insert(*name, value.parse().unwrap());
        });
        let asked = Asked::get(&["x"], "a.yaml at main", "Contents: read");
        let repo = Repo::parse("acme/platform").unwrap();
        let now = Timestamp::from_second(1_000).unwrap();
        refused(status, &Headers::read(&map), body.as_bytes(), &asked, Some(&repo), now)
    }

    #[test]
    fn every_refusal_says_what_to_do_and_whether_time_mends_it() {
        let message = |text: &str| format!(r#"{{"message":"{text}","documentation_url":"https://docs.github.com"}}"#);
        let secondary = message("You have exceeded a secondary rate limit. Please wait a few minutes");
        let exceeded = message("API rate limit exceeded for user ID 1");
        let taken = r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","code":"custom","message":"A pull request already exists for a:b."}]}"#;
        let status = |code: u16, reason: &str| EdgeErrorKind::Status { code, reason: reason.to_owned() };
        let cases: [(u16, &[(&str, &str)], &str, EdgeErrorKind, bool, &str); 15] = [
            (401, &[], &message("Bad credentials"), EdgeErrorKind::Denied, false, "tools.github.token"),
            (
                403,
                &[],
                &message("Resource not accessible by integration"),
                EdgeErrorKind::Denied,
                false,
                "needs Contents: read on acme/platform",
            ),
            (403, &[("x-github-sso", "required; url=https://x")], "{}", EdgeErrorKind::Denied, false, "single sign-on"),
            (
                403,
                &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1090")],
                &exceeded,
                status(429, RATE_LIMIT),
                true,
                "again in 90 s",
            ),
            (403, &[("retry-after", "30")], &secondary, status(429, RATE_LIMIT), true, "again in 30 s"),
            (403, &[], &secondary, status(429, RATE_LIMIT), true, "again in a minute"),
            (429, &[("x-ratelimit-remaining", "12")], "", status(429, RATE_LIMIT), true, "again in a minute"),
            (404, &[], &message("Not Found"), EdgeErrorKind::NotFound, false, "hidden from the credential"),
            (409, &[], &message("Git Repository is empty."), status(409, ""), false, "is empty"),
            (422, &[], taken, status(422, "custom"), false, "already exists for a:b"),
            (422, &[], r#"{"message":"m","errors":["plain words"]}"#, status(422, ""), false, "plain words"),
            (301, &[("location", "https://x/repositories/1")], "{}", status(301, "moved"), false, "present name"),
            (500, &[], "", status(500, ""), true, "try again"),
            (502, &[], "<html>bad gateway</html>", status(502, ""), true, "try again"),
            (418, &[], "<p>tea\n pot", status(418, ""), false, "tea pot"),
        ];
        for (code, headers, body, kind, transient, words) in cases {
            let error = told(code, headers, body);
            assert_eq!(*error.kind(), kind, "{code}: {error}");
            assert_eq!(error.is_transient(), transient, "{code}: {error}");
            assert!(error.text().contains(words), "{code}: {error}");
        }
    }

    #[test]
    fn a_next_page_is_told_by_the_link() {
        let mut map = HeaderMap::new();
        assert!(!Headers::read(&map).more);
        map.insert("link", r#"<https://api.github.com/x?page=2>; rel="next", <x>; rel="last""#.parse().unwrap());
        assert!(Headers::read(&map).more);
    }
}
