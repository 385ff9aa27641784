//! Signatures of bodies: HMAC-SHA256, with or without a time that bounds how long they are worth
//! anything.

use crate::domain::Secret;
use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;
use std::time::Duration;

/// Most signatures of one request that are looked at: two, and a few more, during a rotation.
const MAX_SIGNATURES: usize = 8;
/// How old a signed request may be, unless configured.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// How a sender signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The header with the signatures, in lower case: hexadecimal, `v1=` or `sha256=` before it or not,
    /// with commas between several.
    pub header: String,
    /// The header with the time, in lower case. With it, `TIME:BODY` is what is signed, as Grafana does it.
    pub timestamp_header: Option<String>,
    /// How far that time may lie from ours.
    pub tolerance: Duration,
}

/// What a signature says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Whoever sent this knows the key.
    Fits,
    /// So it is, but it was sent too long ago, or in the future.
    Stale,
    /// It is missing, or of another body or key.
    Wrong,
}

impl Signed {
    /// How the sender called `source` signs when nobody says otherwise.
    pub fn of(source: &str) -> Self {
        let header = match source {
            "pagerduty" => "x-pagerduty-signature",
            "sentry" => "sentry-hook-signature",
            "grafana" => "x-grafana-alerting-signature",
            _ => "x-signature",
        };
        Self { header: header.to_owned(), timestamp_header: None, tolerance: TOLERANCE }
    }

    /// What the signatures in `headers` say of `body`.
    pub fn told(&self, key: &Secret, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Told {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        if key.expose().is_empty() {
            return Told::Wrong;
        }
        let Some(given) = text(&self.header) else { return Told::Wrong };
        let time = match self.timestamp_header.as_deref().map(text) {
            None => None,
            Some(Some(time)) => Some(time),
            // Without its time nothing is signed as it should be.
            Some(None) => return Told::Wrong,
        };
        let candidates = Self::candidates(given);
        if candidates.is_empty() {
            // Nothing that could fit is worth the work.
            return Told::Wrong;
        }
        // HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()) else { return Told::Wrong };
        if let Some(time) = time {
            mac.update(time.as_bytes());
            mac.update(b":");
        }
        mac.update(body);
        let mut fits = false;
        for bytes in candidates {
            // Compares in constant time.
            fits |= mac.clone().verify_slice(&bytes).is_ok();
        }
        match (fits, time) {
            (false, _) => Told::Wrong,
            (true, Some(time)) if !self.is_fresh(time, now) => Told::Stale,
            (true, _) => Told::Fits,
        }
    }

    /// Whether `headers` hold what could be a signature of some body.
    pub fn could_be(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let is_timed = self.timestamp_header.as_deref().is_none_or(|name| text(name).is_some());
        is_timed && text(&self.header).is_some_and(|given| !Self::candidates(given).is_empty())
    }

    /// What has the form of a signature.
    fn candidates(given: &str) -> Vec<Vec<u8>> {
        let bytes = |signature: &str| {
            let signature = signature.trim();
            from_hex(signature.split_once('=').map_or(signature, |(_, value)| value))
        };
        given.split(',').take(MAX_SIGNATURES).filter_map(bytes).collect()
    }

    fn is_fresh(&self, time: &str, now: Timestamp) -> bool {
        let Ok(count) = time.parse::<i64>() else { return false };
        // Milliseconds have three digits more.
        let sent = match count.unsigned_abs() {
            0..100_000_000_000 => Timestamp::from_second(count),
            _ => Timestamp::from_millisecond(count),
        };
        let tolerance = SignedDuration::try_from(self.tolerance).unwrap_or(SignedDuration::MAX);
        sent.is_ok_and(|sent| now.duration_since(sent).abs() <= tolerance)
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    // SHA-256.
    (digits.len() == 64).then(|| digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    pub(crate) fn now() -> Timestamp {
        "2026-11-21T00:00:00Z".parse().unwrap()
    }

    pub(crate) fn sign(key: &str, parts: &[&[u8]]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn told(signed: &Signed, key: &str, given: &[(&str, &str)], body: &[u8]) -> Told {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        signed.told(&Secret::new(key, "test"), &given.iter().map(pair).collect(), body, now())
    }

    #[test]
    fn a_signature_is_of_this_body_and_this_key_in_any_of_the_usual_forms() {
        let plain = Signed::of("script");
        // RFC 4231, test case 2.
        let known = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let body = b"what do ya want for nothing?";
        for (given, fits) in [
            (known.to_owned(), true),
            (format!("sha256={known}"), true),
            (format!("v1=1234, v1={}", known.to_uppercase()), true),
            (known[..62].to_owned(), false),
            (format!("{known}00"), false),
            (known.replace('5', "6"), false),
            (String::new(), false),
            ("v1=".into(), false),
        ] {
            let expected = if fits { Told::Fits } else { Told::Wrong };
            assert_eq!(told(&plain, "Jefe", &[("x-signature", &given)], body), expected, "{given}");
        }
        assert_eq!(told(&plain, "Jefe", &[("x-signature", known)], b"what do ya want for nothing!"), Told::Wrong);
        assert_eq!(told(&plain, "jefe", &[("x-signature", known)], body), Told::Wrong);
        assert_eq!(told(&plain, "Jefe", &[("x-other", known)], body), Told::Wrong);
        let nothing = sign("", &[body]);
        assert_eq!(told(&plain, "", &[("x-signature", &nothing)], body), Told::Wrong);
    }

    #[test]
    fn with_a_time_the_time_is_signed_and_bounds_the_request() {
        let timed = Signed { timestamp_header: Some("x-time".into()), ..Signed::of("grafana") };
        let body = b"{}";
        let at = |time: &str, signed: &str| {
            let signature = sign("key", &[signed.as_bytes(), b":", body]);
            let given = [("x-grafana-alerting-signature", signature.as_str()), ("x-time", time)];
            told(&timed, "key", &given, body)
        };
        let second = now().as_second();
        for (time, expected) in [
            (second.to_string(), Told::Fits),
            ((second * 1_000).to_string(), Told::Fits),
            ((second - 300).to_string(), Told::Fits),
            ((second - 301).to_string(), Told::Stale),
            ((second + 301).to_string(), Told::Stale),
            (i64::MAX.to_string(), Told::Stale),
            (i64::MIN.to_string(), Told::Stale),
            ("yesterday".into(), Told::Stale),
        ] {
            assert_eq!(at(&time, &time), expected, "{time}");
        }
        // Another time than the signed one, and none at all.
        assert_eq!(at(&second.to_string(), &(second - 9_000).to_string()), Told::Wrong);
        let bare = sign("key", &[body]);
        assert_eq!(told(&timed, "key", &[("x-grafana-alerting-signature", &bare)], body), Told::Wrong);
    }
}
