//! Why there is no encrypted connection, told in words that one can act on.
//!
//! Invariant: the kind of the `io::Error` that carries one is what the core expects of
//! `ConnectTls`: `InvalidData` where another dial would end alike, `ConnectionRefused` where the
//! other side turned a stream away that was already open, `ConnectionReset` where it hung up.
//! No key is in any text.
//!
//! Callers find it in an error's chain with [`TlsError::of`].

use futures_rustls::rustls::{AlertDescription, CertificateError, Error as Cause};
use slotcar_core::config::ConfigError;
use std::error::Error as StdError;
use std::fmt;
use std::io;

/// How many names of a certificate an error shows.
const NAMES_SHOWN_MAX: usize = 4;

/// Why there is no encrypted connection, or none could ever be.
#[derive(Clone, Debug)]
pub struct TlsError {
    /// What can be done about it.
    kind: TlsErrorKind,
    /// What happened, in whole words.
    text: String,
    /// What rustls says.
    cause: Option<Cause>,
}

/// What can be done about a [`TlsError`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsErrorKind {
    /// The server's certificate is damaged, revoked, or not meant for a server.
    BadCertificate,
    /// The server wants a certificate of the client, and has none or does not accept it.
    ClientCertificate,
    /// The server hung up in the middle of the handshake. It may want to be dialled again.
    Closed,
    /// The server's certificate is not valid any more, or not yet: or a clock is wrong.
    Expired,
    /// The two sides have no protocol version or cipher in common.
    Incompatible,
    /// The server does not speak TLS on this port.
    NotTls,
    /// The server refused for another reason, or for one that it did not tell: TLS 1.2 says no more
    /// to a client that lacks a certificate. Or one side broke the protocol.
    Refused,
    /// What this client was given cannot be used: a certificate, a key, a name.
    Setup,
    /// Nobody whom this client trusts has signed the server's certificate.
    UnknownIssuer,
    /// The server's certificate is valid, but for other names or addresses.
    WrongName,
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
            // An I/O error hides what it carries: its source is that one's source.
            let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let found = carried.and_then(|inner| inner.downcast_ref());
            if let Some(found) = found.or_else(|| error.downcast_ref()) {
                return Some(found);
            }
            next = error.source();
        }
        None
    }

    /// What this client was given cannot be used.
    pub(crate) fn setup(text: impl Into<String>) -> Self {
        Self { kind: TlsErrorKind::Setup, text: text.into(), cause: None }
    }

    /// The same, as rustls says.
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

/// A kind, and the words for it.
fn judge(cause: &Cause) -> (TlsErrorKind, String) {
    use TlsErrorKind as Kind;
    match cause {
        Cause::InvalidCertificate(error) => judge_certificate(error),
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
        // All that TLS 1.2 has for either.
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

fn judge_certificate(error: &CertificateError) -> (TlsErrorKind, String) {
    use TlsErrorKind as Kind;
    let (kind, why) = match error {
        CertificateError::UnknownIssuer => {
            (Kind::UnknownIssuer, "is signed by nobody whom this client trusts".to_owned())
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            (Kind::Expired, "has expired".to_owned())
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            (Kind::Expired, "is not valid yet".to_owned())
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            (Kind::WrongName, "names no host at all (subjectAltName)".to_owned())
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            (Kind::WrongName, format!("is valid for {} only", list(presented)))
        }
        CertificateError::NotValidForName => {
            (Kind::WrongName, "is valid for other names only".to_owned())
        }
        other => (Kind::BadCertificate, format!("is bad: {other}")),
    };
    (kind, format!("the server's certificate {why}"))
}

/// The first few names of a certificate, which come as `DnsName("redis.test")`.
fn list(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        inside.unwrap_or(name).trim_matches('"').to_owned()
    };
    let shown: Vec<String> = presented.iter().take(NAMES_SHOWN_MAX).map(bare).collect();
    match presented.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Alerts by which a server says that it does not like the client's certificate or the lack of one.
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

/// What a handshake with the server of this name failed with, as the core wants it.
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

/// What a read failed with before the server had said anything: it may only now refuse the client.
/// An alert that is about certificates comes from a server that has read nothing else.
pub(crate) fn of_first_read(name: &str, error: io::Error) -> io::Error {
    match rustls_cause(&error) {
        Some(Cause::AlertReceived(alert)) if is_about_certificate(alert) => {
            let refused = TlsError::handshake(name, Cause::AlertReceived(alert));
            io::Error::new(io::ErrorKind::ConnectionRefused, refused)
        }
        _ => error,
    }
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

/// What cannot be set up is a wrong configuration.
impl From<TlsError> for slotcar_core::Error {
    fn from(error: TlsError) -> Self {
        ConfigError::Conflict { key: "tls", reason: error.text.into() }.into()
    }
}

#[cfg(test)]
mod tests;
