//! Whom to trust and who one is, from what people have: PEM files, the system's store, Mozilla's
//! list.
//!
//! Everything else that TLS can be told is in `rustls::ClientConfig`, which [`crate::Tls`] takes as
//! well. There is no switch here that turns verification off: who wants that writes a verifier for
//! a `ClientConfig` and sees what it says.
//!
//! Invariants: PEM text without what it should hold is an error, never an empty list; a
//! configuration that trusts nobody is not built.

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
    /// Who may sign a server's certificate.
    roots: RootCertStore,
    /// What this client shows to servers that ask.
    identity: Option<Identity>,
}

/// A certificate with those between it and an authority, and its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Keys are nobody's business.
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
    /// Trusts nobody yet; the cryptography is `ring`.
    #[cfg(feature = "ring")]
    #[must_use]
    pub fn new() -> Self {
        Self::with_provider(Arc::new(futures_rustls::rustls::crypto::ring::default_provider()))
    }

    /// Trusts nobody yet; the cryptography is your own.
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

    /// Trusts whom the operating system trusts, or whom `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    ///
    /// Reads files: some milliseconds during which the thread is blocked. Single certificates of
    /// the system's store that cannot be read are left out, as all do.
    ///
    /// # Errors
    /// `Setup` if none is found, as in a container that has no such store.
    #[cfg(feature = "native-roots")]
    pub fn trust_native(mut self) -> Result<Self, TlsError> {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = self.roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(TlsError::setup(format!("the system trusts no authority{why}")));
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

    /// Shows this certificate to servers that ask for one (`tls-auth-clients yes`): `chain` is the
    /// certificate itself and then those between it and the authority, `key` its private key.
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

    /// What [`crate::Tls`] takes.
    ///
    /// # Errors
    /// `Setup` if nobody is trusted, or if the client's key does not fit its certificate.
    pub fn build(self) -> Result<Arc<ClientConfig>, TlsError> {
        if self.roots.is_empty() {
            return Err(TlsError::setup("no authority is trusted, so no server could be"));
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
        return Err(TlsError::setup(format!("{what}: there is none in the PEM text")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
