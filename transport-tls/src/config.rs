//! Certificate authorities and client certificates, from PEM files, the system's trust store or
//! Mozilla's list.
//!
//! Every other option of TLS is in `rustls::ClientConfig`, which [`crate::Tls`] accepts as well.
//! Nothing here turns verification off: that takes a verifier of your own in a `ClientConfig`.
//!
//! Invariants: PEM text without certificates is an error, never an empty list; a configuration
//! without authorities is not built.

use crate::error::TlsError;
use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::crypto::CryptoProvider;
use futures_rustls::rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::sync::Arc;

/// Builds the usual `rustls::ClientConfig`s.
///
/// ```
/// # fn example(ca: &[u8]) -> Result<(), slotcar_tls::TlsError> {
/// let config = slotcar_tls::TlsConfig::new().trust_pem(ca)?.build()?;
/// # Ok(())
/// # }
/// ```
pub struct TlsConfig {
    /// The cryptography.
    provider: Arc<CryptoProvider>,
    /// The authorities that may sign the certificate of a server.
    roots: RootCertStore,
    /// The client certificate, for servers that ask for one.
    identity: Option<Identity>,
}

/// A certificate with the intermediate ones, and its private key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Does not show keys.
impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig").field("roots", &self.roots.len()).finish_non_exhaustive()
    }
}

#[cfg(feature = "ring")]
impl Default for TlsConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl TlsConfig {
    /// No authorities yet; the cryptography is `ring`.
    #[cfg(feature = "ring")]
    #[must_use]
    pub fn new() -> Self {
        Self::with_provider(Arc::new(futures_rustls::rustls::crypto::ring::default_provider()))
    }

    /// No authorities yet, with another provider of cryptography.
    #[must_use]
    pub fn with_provider(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, roots: RootCertStore::empty(), identity: None }
    }

    /// Trusts the authorities in `pem`, one certificate or several.
    ///
    /// # Errors
    /// `Setup` if there is none, or one that cannot be read.
    pub fn trust_pem(mut self, pem: &[u8]) -> Result<Self, TlsError> {
        for certificate in certificates(pem, "the authority's certificate")? {
            let added = self.roots.add(certificate);
            added.map_err(|error| TlsError::unusable("the authority's certificate", error))?;
        }
        Ok(self)
    }

    /// Trusts the authorities of the operating system, or those in `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR`.
    ///
    /// Reads files, which blocks the thread for some milliseconds. Certificates of the system that
    /// cannot be read are skipped, as other programs do.
    ///
    /// # Errors
    /// `Setup` if none is found, as in a container without a trust store.
    #[cfg(feature = "native-roots")]
    pub fn trust_native(mut self) -> Result<Self, TlsError> {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = self.roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(TlsError::setup(format!(
                "the system's trust store has no certificate authority{why}"
            )));
        }
        Ok(self)
    }

    /// Trusts Mozilla's authorities as of the version of `webpki-roots` that was compiled in.
    #[cfg(feature = "webpki-roots")]
    #[must_use]
    pub fn trust_webpki(mut self) -> Self {
        self.roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        self
    }

    /// Sends this certificate to servers that ask for one (`tls-auth-clients yes`). `chain` is the
    /// certificate, followed by the intermediate ones; `key` is its private key.
    ///
    /// # Errors
    /// `Setup` if one of them is missing or cannot be read.
    pub fn identity_pem(mut self, chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(chain, "the client's certificate")?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            TlsError::setup(format!("the client's key cannot be read: {error}"))
        })?;
        self.identity = Some((chain, key));
        Ok(self)
    }

    /// Builds the configuration for [`crate::Tls`].
    ///
    /// # Errors
    /// `Setup` if there is no authority, or if the client's key does not fit its certificate.
    pub fn build(self) -> Result<Arc<ClientConfig>, TlsError> {
        if self.roots.is_empty() {
            return Err(TlsError::setup(
                "no authority is trusted: add one with trust_pem, trust_native or trust_webpki",
            ));
        }
        let config = ClientConfig::builder_with_provider(self.provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::unusable("the cryptography", error))?
            .with_root_certificates(self.roots);
        let config = match self.identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => config
                .with_client_auth_cert(chain, key)
                .map_err(|error| TlsError::unusable("the client's certificate and key", error))?,
        };
        Ok(Arc::new(config))
    }
}

/// At least one certificate.
fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found =
        found.map_err(|error| TlsError::setup(format!("{what} cannot be read: {error}")))?;
    if found.is_empty() {
        return Err(TlsError::setup(format!("{what}: the PEM text contains none")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
