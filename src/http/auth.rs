//! Who may. Intake credentials open the webhooks and nothing else ([`super::credentials`]); access tokens
//! open the API. A handler names the privilege that it needs in its signature: [`Viewer`], [`Operator`],
//! [`Approver`], [`Admin`].

use super::{IntakeToken, Problem, Web};
use crate::domain::{Digest, Person, Secret};
use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, header, request::Parts};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// What is asked for where a credential is missing.
pub(super) const CHALLENGE: &str = "Bearer";

/// What a person or program may do with the API. Each may what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also cancels, retries, gives feedback.
    Operator,
    /// Also grants and denies where a group fits.
    Approver,
    /// Everything.
    Admin,
}

impl Role {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }
}

/// A credential for the API.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// Whose it is; stands in the journal.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// Groups of its holder.
    pub groups: Vec<String>,
    /// The credential.
    pub token: Secret,
}

/// All credentials. With none for the API, requests must come from this machine's own pages and
/// programs; with none for the intake, senders need none (whether that may be is decided at start).
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Credentials of senders.
    pub intake: Vec<IntakeToken>,
    /// Credentials for the API.
    pub tokens: Vec<AccessToken>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose credential it is; `local` without any.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Its groups.
    pub groups: Vec<String>,
    /// The only user of this machine, of whom no credential is asked.
    pub is_local: bool,
}

impl Caller {
    /// Who stands in the journal with an answer.
    pub fn person(&self) -> Person {
        let groups = if self.is_local { vec![] } else { self.groups.clone() };
        Person { name: self.name.clone(), groups, every_group: self.is_local }
    }
}

impl Access {
    /// Who sends a request to the API.
    ///
    /// # Errors
    /// When that cannot be told, or a browser sends it for somebody else's page.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        if self.tokens.is_empty() {
            refuse_other_hosts(headers)?;
            refuse_other_pages(headers)?;
            let groups = vec!["*".into()];
            return Ok(Caller { name: "local".into(), role: Role::Admin, groups, is_local: true });
        }
        let given = bearer(headers);
        let mut found = None;
        for known in &self.tokens {
            if given.is_some_and(|given| same(given, known.token.expose())) {
                found = Some(known);
            }
        }
        let known = found.ok_or_else(|| {
            let detail = "This path needs a token of `access.tokens` as `Authorization: Bearer …`. Intake credentials \
                          do not open it.";
            Problem::unauthorized(CHALLENGE, detail)
        })?;
        let AccessToken { name, role, groups, .. } = known.clone();
        Ok(Caller { name, role, groups, is_local: false })
    }
}

/// Compares without telling by its duration how much of it fits.
pub(super) fn same(given: &str, known: &str) -> bool {
    !known.is_empty() && bool::from(Digest::of(given).as_str().as_bytes().ct_eq(Digest::of(known).as_str().as_bytes()))
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    scheme(headers, "bearer")
}

pub(super) fn scheme<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case(name).then(|| rest.trim())
}

/// Standard base64, padded or not.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut held, mut bits) = (0_u32, 0_u32);
    for c in text.bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(six)) & 0xFFFF;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xFF) as u8);
        }
    }
    Some(bytes)
}

/// Without credentials, the name under which we are called must be this machine's: a page elsewhere
/// may have its own name resolve to our address.
pub(super) fn refuse_other_hosts(headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match is_loopback(host) {
        true => Ok(()),
        false => Err(Problem::forbidden(
            "Without `access.tokens` this is for this machine alone: call it as 127.0.0.1 or localhost, or configure tokens.",
        )),
    }
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']').map_or("", |(host, _)| host),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    let host = host.to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Without credentials, a browser may speak only for our own pages.
pub(super) fn refuse_other_pages(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text(header::HeaderName::from_static("sec-fetch-site"));
    let own_site = site.is_none_or(|site| matches!(site, "none" | "same-origin"));
    let host = text(header::HOST).unwrap_or_default();
    let own_origin = text(header::ORIGIN).is_none_or(|origin| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some_and(|authority| !host.is_empty() && authority.eq_ignore_ascii_case(host))
    });
    match own_site && own_origin {
        true => Ok(()),
        false => Err(Problem::forbidden(
            "This request comes from another site's page in a browser. Without configured tokens only firewarden's own \
             pages may send it.",
        )),
    }
}

/// May read.
#[derive(Debug, Clone)]
pub struct Viewer(pub Caller);

/// May also cancel, retry and give feedback.
#[derive(Debug, Clone)]
pub struct Operator(pub Caller);

/// May also answer questions, where a group fits.
#[derive(Debug, Clone)]
pub struct Approver(pub Caller);

/// May also put policies in force.
#[derive(Debug, Clone)]
pub struct Admin(pub Caller);

fn at_least(role: Role, parts: &Parts, web: &Web) -> Result<Caller, Problem> {
    let caller = web.access.load().caller(&parts.headers)?;
    match caller.role >= role {
        true => Ok(caller),
        false => Err(Problem::forbidden(format!(
            "{} is {}, and this needs {}. Use a token with that role.",
            caller.name,
            caller.role.as_str(),
            role.as_str()
        ))),
    }
}

impl FromRequestParts<Arc<Web>> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Problem> {
        at_least(Role::Viewer, parts, web).map(Self)
    }
}

impl FromRequestParts<Arc<Web>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Problem> {
        at_least(Role::Operator, parts, web).map(Self)
    }
}

impl FromRequestParts<Arc<Web>> for Approver {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Problem> {
        at_least(Role::Approver, parts, web).map(Self)
    }
}

impl FromRequestParts<Arc<Web>> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Problem> {
        at_least(Role::Admin, parts, web).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue, StatusCode};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_str(v).unwrap())).collect()
    }

    fn access() -> Access {
        let secret = |value: &str| Secret::new(value, "env:X");
        Access {
            intake: [("alertmanager", "tok-123"), ("*", "s3cret")]
                .map(|(source, token)| IntakeToken { source: source.into(), token: secret(token), signed: None })
                .into(),
            tokens: vec![AccessToken { name: "ann".into(), role: Role::Viewer, groups: vec![], token: secret("view") }],
        }
    }

    #[test]
    fn without_tokens_only_this_machine_and_its_own_pages_may() {
        let open = Access::default();
        for (host, fits) in [
            ("127.0.0.1:8080", true),
            ("localhost", true),
            ("LocalHost:80", true),
            ("[::1]:8080", true),
            ("127.8.8.8", true),
            ("evil.example:8080", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("10.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(open.caller(&headers(&[("host", host)])).is_ok(), fits, "{host}");
        }
        for (name, value, fits) in [
            ("origin", "http://localhost:1", true),
            ("origin", "http://localhost:2", false),
            ("origin", "https://evil.example", false),
            ("origin", "null", false),
            ("sec-fetch-site", "same-origin", true),
            ("sec-fetch-site", "none", true),
            ("sec-fetch-site", "cross-site", false),
            ("sec-fetch-site", "same-site", false),
        ] {
            let given = headers(&[("host", "localhost:1"), (name, value)]);
            assert_eq!(open.caller(&given).is_ok(), fits, "{name}: {value}");
        }
        assert_eq!(open.caller(&headers(&[("host", "localhost")])).unwrap().role, Role::Admin);
    }

    #[test]
    fn with_tokens_the_bearer_is_who_asks_and_intake_credentials_open_nothing() {
        let by = |value: &str| access().caller(&headers(&[("host", "localhost"), ("authorization", value)]));
        assert_eq!(by("Bearer view").unwrap().name, "ann");
        for value in ["Bearer tok-123", "Bearer s3cret", "Bearer vie", "Basic dmlldw=="] {
            assert_eq!(by(value).unwrap_err().status, StatusCode::UNAUTHORIZED, "{value}");
        }
        // A group of this name is no other group than any.
        let mut star = access();
        star.tokens[0].groups = vec!["*".into()];
        let ann = star.caller(&headers(&[("authorization", "Bearer view")])).unwrap().person();
        assert!(!ann.every_group && !ann.is_in_any(&["oncall".into()]));
        let local = Access::default().caller(&headers(&[("host", "localhost")])).unwrap().person();
        assert!(local.every_group && local.is_in_any(&["oncall".into()]));
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Approver && Role::Approver < Role::Admin);
    }

    #[test]
    fn base64_is_read_as_written() {
        for (text, bytes) in [("", &b""[..]), ("Zg==", b"f"), ("Zm8", b"fo"), ("Zm9v", b"foo"), ("+/8=", b"\xfb\xff")] {
            assert_eq!(base64(text).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(base64("a-b"), None);
    }
}
