//! A GitHub App: its key signs for minutes, and for that GitHub gives tokens for an hour. Each is for
//! one repository and only for what it is asked for.

use super::PEER;
use super::client::Permissions;
use super::names::Repo;
use crate::domain::Secret;
use crate::edge::error::{EdgeError, EdgeErrorKind};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use std::fmt;
use tokio::sync::Mutex;

/// GitHub's clock may be behind ours.
const SKEW: SignedDuration = SignedDuration::from_secs(60);
/// How long a signature holds; GitHub takes ten minutes at most.
const SIGNED_FOR: SignedDuration = SignedDuration::from_mins(9);
/// A token that ends sooner is not used any more.
const LEFT: SignedDuration = SignedDuration::from_mins(5);

/// An App.
pub(super) struct App {
    id: String,
    key: RsaKeyPair,
    tokens: Mutex<Vec<Token>>,
}

/// What an App was given for one repository.
#[derive(Clone)]
struct Token {
    repo: Repo,
    permissions: Permissions,
    token: Secret,
    until: Timestamp,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("id", &self.id).finish_non_exhaustive()
    }
}

impl App {
    /// The App `id` (its number or its client id) with its private key, as GitHub gives it for download.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when the key is none.
    pub(super) fn new(id: &str, key: &Secret) -> Result<Self, EdgeError> {
        let invalid = |why: &str| {
            let text = format!("the App's private key ({}) {why}; take the .pem file that GitHub gave", key.origin());
            EdgeError::new(PEER, EdgeErrorKind::Invalid, text)
        };
        // In variables, people write line ends out.
        let pem = key.expose().replace("\\n", "\n");
        let pair = match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
            Ok(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            Ok(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            Ok(_) => return Err(invalid("is none of RSA")),
            Err(_) => return Err(invalid("is none in PEM")),
        };
        let pair = pair.map_err(|_| invalid("is none that signs with RSA"))?;
        Ok(Self { id: id.to_owned(), key: pair, tokens: Mutex::default() })
    }

    /// The App's id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What proves, for minutes, that we are the App: a JWT by RS256.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Invalid`] when the key cannot sign.
    pub(super) fn signed(&self, now: Timestamp) -> Result<Secret, EdgeError> {
        let head = json!({"alg": "RS256", "typ": "JWT"});
        let claims = json!({
            "iat": (now - SKEW).as_second(), "exp": (now + SIGNED_FOR).as_second(), "iss": self.id,
        });
        let text = format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).map_err(|_| {
            EdgeError::new(PEER, EdgeErrorKind::Invalid, "the App's private key does not sign; make a new one")
        })?;
        Ok(Secret::new(format!("{text}.{}", BASE64.encode(signature)), "GitHub App"))
    }

    /// The token for `repo` with `permissions`, fetched by `fetch` unless it is there already. Whoever
    /// comes while it is being fetched waits for it.
    ///
    /// # Errors
    /// Those of `fetch`.
    pub(super) async fn token(
        &self,
        repo: &Repo,
        permissions: Permissions,
        now: Timestamp,
        fetch: impl AsyncFnOnce() -> Result<(Secret, Timestamp), EdgeError>,
    ) -> Result<Secret, EdgeError> {
        let mut tokens = self.tokens.lock().await;
        tokens.retain(|token| token.until > now + LEFT);
        if let Some(found) = tokens.iter().find(|token| token.repo == *repo && token.permissions == permissions) {
            return Ok(found.token.clone());
        }
        let (token, until) = fetch().await?;
        tokens.push(Token { repo: repo.clone(), permissions, token: token.clone(), until });
        Ok(token)
    }

    /// Forgets a token that GitHub does not accept any more.
    pub(super) async fn forget(&self, token: &Secret) {
        self.tokens.lock().await.retain(|known| known.token.expose() != token.expose());
    }
}
