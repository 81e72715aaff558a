//! Certificate authorities and client certificates, from PEM files, the system's trust store or
//! Mozilla's list.
//!
//! Every other option of TLS is in `rustls::ClientConfig`, which [`crate::Tls`] accepts as well.
//! Nothing here turns verification off: that takes a verifier of your own in a `ClientConfig`.
//!
//! Invariants: PEM text without certificates is an error, never an empty list; a configuration
//! without authorities is not built.

use crate::error::TlsError;
use futures_rustls::pki_types::pem::{self, PemObject};
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::client::Resumption;
use futures_rustls::rustls::crypto::CryptoProvider;
use futures_rustls::rustls::{self, ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use std::{fmt, fs};

/// How many labels of PEM text an error shows.
const LABELS_SHOWN_MAX: usize = 3;

/// The first byte of a certificate or a key in DER.
const DER_SEQUENCE: u8 = 0x30;

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
    /// Whether sessions are resumed.
    resumption: bool,
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
        Self::with_provider(Arc::new(rustls::crypto::ring::default_provider()))
    }

    /// No authorities yet, with another provider of cryptography.
    #[must_use]
    pub fn with_provider(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, roots: RootCertStore::empty(), identity: None, resumption: true }
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

    /// Trusts the authorities in this PEM file. Reads it, which blocks the thread.
    ///
    /// # Errors
    /// `Setup` as [`TlsConfig::trust_pem`]; it names the file.
    pub fn trust_pem_file(self, path: impl AsRef<Path>) -> Result<Self, TlsError> {
        let path = path.as_ref();
        self.trust_pem(&read(path)?).map_err(|error| error.of_file(path))
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
        let key = private_key(key)?;
        self.identity = Some((chain, key));
        Ok(self)
    }

    /// The same from two PEM files. Reads them, which blocks the thread.
    ///
    /// # Errors
    /// `Setup` as [`TlsConfig::identity_pem`]; it names the file.
    pub fn identity_pem_files(
        mut self,
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        let (chain, key) = (chain.as_ref(), key.as_ref());
        let certificates = certificates(&read(chain)?, "the client's certificate");
        let certificates = certificates.map_err(|error| error.of_file(chain))?;
        let key = private_key(&read(key)?).map_err(|error| error.of_file(key))?;
        self.identity = Some((certificates, key));
        Ok(self)
    }

    /// Whether connections resume the TLS session of an earlier one, which saves a signature and,
    /// in TLS 1.2, a round trip. Default: true. A server that refuses to resume one is dialled once
    /// more without it.
    #[must_use]
    pub fn resumption(self, resumption: bool) -> Self {
        Self { resumption, ..self }
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
        let mut config = match self.identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                config.with_client_auth_cert(chain, key).map_err(unusable_identity)?
            }
        };
        if !self.resumption {
            config.resumption = Resumption::disabled();
        }
        Ok(Arc::new(config))
    }
}

/// Reads a file of the configuration.
fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::setup(format!("{}: {error}", path.display())))
}

/// At least one certificate.
fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| unreadable(what, &error.to_string(), pem))?;
    if found.is_empty() {
        return Err(unreadable(what, "it contains none (BEGIN CERTIFICATE)", pem));
    }
    Ok(found)
}

/// The first private key.
fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            unreadable("the client's key", "it contains none (BEGIN PRIVATE KEY)", pem)
        }
        error => unreadable("the client's key", &error.to_string(), pem),
    })
}

/// What is wrong with PEM text, what it is instead, and how to make it right.
fn unreadable(what: &str, why: &str, pem: &[u8]) -> TlsError {
    let text = String::from_utf8_lossy(pem);
    let found: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("-----BEGIN ")?.split("-----").next())
        .collect();
    let is_encrypted = |label: &&str| label.starts_with("ENCRYPTED");
    let hint = if found.iter().any(is_encrypted) || text.contains("Proc-Type: 4,ENCRYPTED") {
        "it is encrypted, and this client has no passphrase: decrypt it (openssl pkey -in key.pem \
         -out plain.pem) and let only this program read it"
            .to_owned()
    } else if pem.is_empty() {
        "it is empty".to_owned()
    } else if pem.first() == Some(&DER_SEQUENCE) {
        "it looks like DER: convert it to PEM (openssl x509 -inform der, openssl pkey -inform der)"
            .to_owned()
    } else if found.is_empty() {
        "it has no line that begins with -----BEGIN".to_owned()
    } else {
        let shown: Vec<&str> = found.into_iter().take(LABELS_SHOWN_MAX).collect();
        format!("it has {}", shown.join(", "))
    };
    TlsError::setup(format!("{what} cannot be read: {why}; {hint}"))
}

/// Why rustls does not take a certificate and a key, and what to do.
fn unusable_identity(error: rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => TlsError::setup(
            "the client's certificate and key do not belong together: take the key that the \
             certificate was made with, and put the client's certificate before the intermediate \
             ones",
        ),
        error => TlsError::unusable("the client's certificate and key", error),
    }
}

#[cfg(test)]
mod tests;
