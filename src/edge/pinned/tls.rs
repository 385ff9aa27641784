//! Trust, and the peer's certificate even when it is not trusted.

use super::Pinned;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::sync::{Arc, Mutex, PoisonError};

/// Largest certificate that is kept.
const CERTIFICATE_BYTES: usize = 64 << 10;

/// Asks another verifier, and remembers what it was asked about.
#[derive(Debug)]
pub(super) struct Watching {
    inner: Arc<dyn ServerCertVerifier>,
    seen: Mutex<Option<Vec<u8>>>,
}

impl Watching {
    /// The certificate that the peer showed, in DER.
    pub(super) fn certificate(&self) -> Option<Vec<u8>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Watching {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if certificate.len() <= CERTIFICATE_BYTES {
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(certificate.to_vec());
        }
        self.inner.verify_server_cert(certificate, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

impl Pinned {
    /// What one handshake needs, and what remembers the certificate.
    pub(super) fn tls(&self) -> Result<(ClientConfig, Arc<Watching>), String> {
        let provider = Arc::new(ring::default_provider());
        let inner = match self.trust.get() {
            Some(trust) => trust.clone(),
            None => {
                let trust = system(provider.clone())?;
                self.trust.get_or_init(|| trust).clone()
            }
        };
        let watching = Arc::new(Watching { inner, seen: Mutex::new(None) });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(watching.clone())
            .with_no_client_auth();
        Ok((config, watching))
    }
}

fn system(provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let verifier = rustls_platform_verifier::Verifier::new(provider)
        .map_err(|e| format!("the system's trusted certificates cannot be read: {e}"))?;
    Ok(Arc::new(verifier))
}
