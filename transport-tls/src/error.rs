//! Why an encrypted connection failed, and what can be done about it.
//!
//! Invariant: the `io::Error` around it has the kind that the core expects of `ConnectTls`:
//! `InvalidData` if another dial would fail as well, `ConnectionRefused` if the server refused a
//! stream that was already open, `ConnectionReset` if the server closed the connection.
//! No text contains a key.
//!
//! Users find it in the chain of an error with [`TlsError::of`].

use futures_rustls::rustls::{AlertDescription, Error as Cause};
use slotcar_core::config::ConfigError;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;

mod certificate;
mod kind;

pub use kind::TlsErrorKind;

/// Why an encrypted connection failed, or cannot be configured.
#[derive(Clone, Debug)]
pub struct TlsError {
    /// What can be done about it.
    kind: TlsErrorKind,
    /// What happened.
    text: String,
    /// The error of rustls.
    cause: Option<Cause>,
}

impl TlsError {
    /// What can be done about it.
    #[must_use]
    pub fn kind(&self) -> TlsErrorKind {
        self.kind
    }

    /// The TLS error in the chain of causes of `error`, if there is one.
    ///
    /// ```
    /// use slotcar_tls::{TlsError, TlsErrorKind};
    ///
    /// fn is_wrong_name(error: &slotcar_core::Error) -> bool {
    ///     TlsError::of(error).is_some_and(|tls| tls.kind() == TlsErrorKind::WrongName)
    /// }
    /// ```
    #[must_use]
    pub fn of<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            // The source of an I/O error is that of the error inside of it; look at that one too.
            let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let found = carried.and_then(|inner| inner.downcast_ref());
            if let Some(found) = found.or_else(|| error.downcast_ref()) {
                return Some(found);
            }
            next = error.source();
        }
        None
    }

    /// The configuration of this client cannot be used.
    pub(crate) fn setup(text: impl Into<String>) -> Self {
        Self { kind: TlsErrorKind::Setup, text: text.into(), cause: None }
    }

    /// The same error, which names the file that the configuration was read from.
    pub(crate) fn of_file(self, path: &Path) -> Self {
        Self { text: format!("{}: {}", path.display(), self.text), ..self }
    }

    /// The configuration of this client cannot be used, with the error of rustls.
    pub(crate) fn unusable(what: &str, cause: Cause) -> Self {
        let text = format!("{what} cannot be used: {cause}");
        Self { kind: TlsErrorKind::Setup, text, cause: Some(cause) }
    }

    /// Why the handshake with the server of this name failed.
    fn handshake(name: &str, cause: Cause) -> Self {
        let (kind, why) = judge(&cause);
        Self { kind, text: format!("TLS with {name}: {why}"), cause: Some(cause) }
    }
}

/// The kind of an error, and its text.
fn judge(cause: &Cause) -> (TlsErrorKind, String) {
    use TlsErrorKind as Kind;
    match cause {
        Cause::InvalidCertificate(error) => certificate::judge(error),
        Cause::InvalidMessage(_) => {
            (Kind::NotTls, "the server does not speak TLS on this port".to_owned())
        }
        Cause::AlertReceived(alert) if is_about_certificate(*alert) => {
            let why = match alert {
                AlertDescription::CertificateRequired => {
                    "the server wants a certificate of this client".to_owned()
                }
                alert => format!("the server does not accept this client's certificate: {alert:?}"),
            };
            (Kind::ClientCertificate, why)
        }
        // TLS 1.2 has one alert for both.
        Cause::AlertReceived(AlertDescription::HandshakeFailure) => (
            Kind::Refused,
            "the server refused the handshake: it wants a certificate of this client, or has no \
             cipher in common with it"
                .to_owned(),
        ),
        Cause::AlertReceived(AlertDescription::ProtocolVersion)
        | Cause::AlertReceived(AlertDescription::InsufficientSecurity)
        | Cause::PeerIncompatible(_) => {
            (Kind::Incompatible, format!("nothing in common with the server: {cause}"))
        }
        other => (Kind::Refused, other.to_string()),
    }
}

/// Whether a server refuses the client's certificate, or its absence, with this alert.
// spec: RFC 8446, section 6.2, "Error Alerts"
fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::NoCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate
    )
}

/// The error of a handshake with the server of this name, with the kind that the core expects.
pub(crate) fn of_handshake(name: &str, error: io::Error) -> io::Error {
    if let Some(cause) = rustls_cause(&error) {
        return io::Error::new(io::ErrorKind::InvalidData, TlsError::handshake(name, cause));
    }
    if error.kind() != io::ErrorKind::UnexpectedEof {
        return io::Error::new(error.kind(), format!("TLS with {name}: {error}"));
    }
    let text = format!("TLS with {name}: the server hung up in the middle of the handshake");
    let closed = TlsError { kind: TlsErrorKind::Closed, text, cause: None };
    io::Error::new(io::ErrorKind::ConnectionReset, closed)
}

/// The error of the first read: the server may refuse the client only now. If the alert is about
/// certificates, the server has processed nothing else.
pub(crate) fn of_first_read(name: &str, error: io::Error) -> io::Error {
    match rustls_cause(&error) {
        Some(Cause::AlertReceived(alert)) if is_about_certificate(alert) => {
            let refused = TlsError::handshake(name, Cause::AlertReceived(alert));
            io::Error::new(io::ErrorKind::ConnectionRefused, refused)
        }
        _ => error,
    }
}

/// Whether the server has refused a handshake, and not this client.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    matches!(rustls_cause(error), Some(Cause::AlertReceived(_)))
}

fn rustls_cause(error: &io::Error) -> Option<Cause> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Cause>()).cloned()
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for TlsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

/// An error of the configuration.
impl From<TlsError> for slotcar_core::Error {
    fn from(error: TlsError) -> Self {
        ConfigError::Conflict { key: "tls", reason: error.text.into() }.into()
    }
}

#[cfg(test)]
mod tests;
