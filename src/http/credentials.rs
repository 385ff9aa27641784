//! Credentials of senders: shown in a header, or as a signature of the body. Several for one sender are
//! all valid, so that one can be exchanged for the next.

use super::auth::{Access, base64, bearer, refuse_other_hosts, refuse_other_pages, same, scheme};
use super::signature::{Signed, Told};
use super::{Problem, auth};
use crate::domain::Secret;
use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// A credential of a sender.
#[derive(Debug, Clone)]
pub struct IntakeToken {
    /// The sender's name, or `*` for any.
    pub source: String,
    /// The credential, or the key of the signature.
    pub token: Secret,
    /// How the body is signed with it; without it, the credential itself is shown.
    pub signed: Option<Signed>,
}

/// Which senders' alerts are let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Granted {
    everyone: bool,
    sources: BTreeSet<String>,
}

impl Granted {
    /// Everybody's.
    pub fn everyone() -> Self {
        Self { everyone: true, sources: BTreeSet::new() }
    }

    fn add(&mut self, source: &str) {
        if source == "*" {
            self.everyone = true;
        } else {
            self.sources.insert(source.to_owned());
        }
    }

    /// What either lets in.
    pub fn and(mut self, other: Self) -> Self {
        self.everyone |= other.everyone;
        self.sources.extend(other.sources);
        self
    }

    /// Lets everybody in.
    pub fn is_everyone(&self) -> bool {
        self.everyone
    }

    /// Lets nobody in.
    pub fn is_nobody(&self) -> bool {
        !self.everyone && self.sources.is_empty()
    }

    /// Whether alerts of `source`, a sender of this kind, are let in: who names itself is `generic` to
    /// whoever did not foresee the name.
    pub fn covers(&self, source: &str, kind: &str) -> bool {
        self.everyone || self.sources.contains(source) || kind == "generic" && self.sources.contains(kind)
    }
}

impl Access {
    /// Whose alerts the headers of a delivery let in.
    ///
    /// # Errors
    /// When no credential is configured and a browser sends it for somebody else's page.
    pub fn shown(&self, headers: &HeaderMap) -> Result<Granted, Problem> {
        if self.intake.is_empty() {
            // Senders call us by any name; a browser, which names its page, only by this machine's.
            if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
                refuse_other_hosts(headers)?;
            }
            return refuse_other_pages(headers).map(|()| Granted::everyone());
        }
        let given = credentials(headers);
        let mut granted = Granted::default();
        for known in self.intake.iter().filter(|known| known.signed.is_none()) {
            // No early end: how long it takes tells nothing.
            if given.iter().fold(false, |fits, given| fits | same(given, known.token.expose())) {
                granted.add(&known.source);
            }
        }
        Ok(granted)
    }

    /// Whether the delivery carries what could be a signature that lets alerts of `source`, a sender of this kind, in
    /// (any source without one): only then is its body worth reading.
    pub fn may_be_signed(&self, headers: &HeaderMap, source: Option<(&str, &str)>) -> bool {
        let lets_in = |known: &IntakeToken, (source, kind): (&str, &str)| {
            let mut granted = Granted::default();
            granted.add(&known.source);
            granted.covers(source, kind)
        };
        let fits = |known: &&IntakeToken| source.is_none_or(|source| lets_in(known, source));
        let mut signed = self.intake.iter().filter(fits).filter_map(|known| known.signed.as_ref());
        signed.any(|signed| signed.could_be(headers))
    }

    /// Whose alerts the signatures of `body` let in, and whether one that fits was refused for its age.
    pub fn signed(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> (Granted, bool) {
        let (mut granted, mut stale) = (Granted::default(), false);
        for known in &self.intake {
            match known.signed.as_ref().map(|signed| signed.told(&known.token, headers, body, now)) {
                Some(Told::Fits) => granted.add(&known.source),
                Some(Told::Stale) => stale = true,
                Some(Told::Wrong) | None => {}
            }
        }
        (granted, stale)
    }
}

/// What a sender without a fitting credential is told.
pub(super) fn refusal(stale: bool) -> Problem {
    let detail = match stale {
        false => {
            "This path needs a credential of `intake.tokens` for this sender: as `Authorization: Bearer …`, as the \
             password of basic authentication, as `X-Fleet-Events-Token`, or as the signature that is configured. \
             Nothing was stored."
        }
        true => {
            "The signature fits, but its timestamp lies outside of `intake.tokens[].tolerance`: it is a repeat of an old \
             request, or a clock is wrong. Nothing was stored."
        }
    };
    Problem::unauthorized(auth::CHALLENGE, detail)
}

/// Everything in `headers` that may be a sender's credential.
fn credentials(headers: &HeaderMap) -> Vec<String> {
    let own = headers.get("x-fleet-events-token").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let basic = scheme(headers, "basic").and_then(base64).and_then(|bytes| String::from_utf8(bytes).ok());
    let password = basic.as_deref().and_then(|pair| pair.split_once(':')).map(|(_, password)| password.to_owned());
    // A configured token may be `user:password` as a whole.
    [own, bearer(headers).map(str::to_owned), password, basic].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::signature::tests::{now, sign};
    use axum::http::{HeaderName, HeaderValue};
    use std::time::Duration;

    fn headers(given: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        given.iter().map(pair).collect()
    }

    fn token(source: &str, token: &str, signed: Option<Signed>) -> IntakeToken {
        IntakeToken { source: source.into(), token: Secret::new(token, "test"), signed }
    }

    fn access() -> Access {
        let intake = vec![
            token("alertmanager", "tok-123", None),
            token("*", "s3cret", None),
            token("grafana", "for-grafana", None),
            // Two at once: the old one and the new.
            token("pagerduty", "old-key", Some(Signed::of("pagerduty"))),
            token("pagerduty", "new-key", Some(Signed::of("pagerduty"))),
            token(
                "ci",
                "ci-key",
                Some(Signed {
                    timestamp_header: Some("x-time".into()),
                    tolerance: Duration::from_secs(300),
                    ..Signed::of("ci")
                }),
            ),
        ];
        Access { intake, tokens: vec![] }
    }

    #[test]
    fn a_sender_shows_its_credential_in_any_of_the_usual_ways() {
        for (given, fits) in [
            (("authorization", "Bearer tok-123"), true),
            (("authorization", "bearer  s3cret"), true),
            (("x-fleet-events-token", "s3cret"), true),
            // Alertmanager's own basic_auth, as recorded: am:s3cret
            (("authorization", "Basic YW06czNjcmV0"), true),
            (("authorization", "Basic YW06czNjcmU="), false),
            (("authorization", "Bearer for-grafana"), false),
            (("authorization", "Bearer new-key"), false),
            (("authorization", "Bearer "), false),
            (("authorization", "Basic ????"), false),
            (("x-fleet-events-token", "tok-12"), false),
            (("x-other", "tok-123"), false),
        ] {
            let granted = access().shown(&headers(&[given])).unwrap();
            assert_eq!(granted.covers("alertmanager", "alertmanager"), fits, "{given:?}");
        }
        assert!(access().shown(&HeaderMap::new()).unwrap().is_nobody());
        assert!(Access::default().shown(&HeaderMap::new()).unwrap().covers("any", "generic"));
    }

    #[test]
    fn without_credentials_a_page_elsewhere_cannot_send() {
        for (given, fits) in [
            (&[("host", "firewarden.monitoring:8080")][..], true),
            (&[("host", "localhost:1"), ("origin", "http://localhost:1")], true),
            (&[("host", "localhost:1"), ("origin", "https://evil.example")], false),
            // A page elsewhere whose name resolves to our address.
            (&[("host", "evil.example:1"), ("origin", "http://evil.example:1")], false),
        ] {
            assert_eq!(Access::default().shown(&headers(given)).is_ok(), fits, "{given:?}");
        }
    }

    #[test]
    fn a_signature_lets_in_its_own_sender_and_old_and_new_key_both_count() {
        let body = b"{\"event\":1}";
        for (key, fits) in [("old-key", true), ("new-key", true), ("ci-key", false), ("", false)] {
            let given = headers(&[("x-pagerduty-signature", &format!("v1=00,v1={}", sign(key, &[body])))]);
            assert!(access().may_be_signed(&given, Some(("pagerduty", "pagerduty"))));
            assert!(!access().may_be_signed(&given, Some(("alertmanager", "alertmanager"))));
            let (granted, stale) = access().signed(&given, body, now());
            assert_eq!((granted.covers("pagerduty", "pagerduty"), stale), (fits, false), "{key}");
            assert!(!granted.covers("alertmanager", "alertmanager"));
        }
    }

    #[test]
    fn a_body_is_not_read_for_a_header_that_holds_no_signature() {
        let pagerduty = Some(("pagerduty", "pagerduty"));
        for (given, worth) in [
            (&[("x-pagerduty-signature", "v1=00")][..], false),
            (&[("x-pagerduty-signature", "")], false),
            (&[("x-pagerduty-signature", "yes, yes, yes")], false),
            (&[("x-signature", &"ab".repeat(32))], false),
            (&[("x-pagerduty-signature", &"ab".repeat(32))], true),
        ] {
            assert_eq!(access().may_be_signed(&headers(given), pagerduty), worth, "{given:?}");
        }
        // Whoever signs with a time is not read without one.
        let signature = "ab".repeat(32);
        let given = [("x-signature", signature.as_str()), ("x-time", "1")];
        for (given, worth) in [(&given[..1], false), (&given[..], true)] {
            assert_eq!(access().may_be_signed(&headers(given), Some(("ci", "generic"))), worth, "{given:?}");
        }
    }

    #[test]
    fn an_old_signature_is_told_to_be_old_and_lets_nobody_in() {
        let body = b"[1]";
        for (seconds, fits) in [(0, true), (-299, true), (299, true), (-301, false), (301, false)] {
            let time = (now().as_second() + seconds).to_string();
            let signature = sign("ci-key", &[time.as_bytes(), b":", body]);
            let given = headers(&[("x-signature", &format!("sha256={signature}")), ("x-time", &time)]);
            let (granted, stale) = access().signed(&given, body, now());
            assert_eq!((granted.covers("ci", "generic"), stale), (fits, !fits), "{seconds}");
        }
        assert!(refusal(true).detail.contains("tolerance") && refusal(false).challenge == Some("Bearer"));
    }

    #[test]
    fn whoever_names_itself_is_covered_as_generic() {
        let mut granted = Granted::default();
        granted.add("generic");
        assert!(granted.covers("portainer", "generic") && !granted.covers("alertmanager", "alertmanager"));
        assert!(granted.clone().and(Granted::everyone()).covers("alertmanager", "alertmanager"));
    }
}
