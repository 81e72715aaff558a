//! What is wrong with a server's certificate, and how to make a right one.
//!
//! The server's file is the one that `tls-cert-file` names in its configuration. Causes that rustls
//! has no case for come as the name of an error of webpki.

use crate::error::kind::TlsErrorKind;
use futures_rustls::pki_types::UnixTime;
use futures_rustls::rustls::CertificateError;

/// The number of names of a certificate that an error shows.
const NAMES_SHOWN_MAX: usize = 4;

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// The kind of an error, and its text.
pub(super) fn judge(error: &CertificateError) -> (TlsErrorKind, String) {
    use CertificateError as Cause;
    let (kind, why, remedy) = match error {
        Cause::UnknownIssuer => (
            TlsErrorKind::UnknownIssuer,
            "is signed by no authority that this client trusts".to_owned(),
            "trust the authority that signed it (trust_pem); if an intermediate certificate \
             signed it, tls-cert-file must contain that one as well, behind the server's own",
        ),
        Cause::Expired => (TlsErrorKind::Expired, "has expired".to_owned(), RENEW),
        Cause::ExpiredContext { time, not_after } => {
            (TlsErrorKind::Expired, format!("has expired {} ago", span(*not_after, *time)), RENEW)
        }
        Cause::NotValidYet => (TlsErrorKind::Expired, "is not valid yet".to_owned(), CLOCK),
        Cause::NotValidYetContext { time, not_before } => {
            let until = span(*time, *not_before);
            (TlsErrorKind::Expired, format!("is not valid yet, but in {until}"), CLOCK)
        }
        Cause::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            let why = "names no host: it has no subjectAltName, and a common name is no name";
            (TlsErrorKind::WrongName, why.to_owned(), NAMES)
        }
        Cause::NotValidForNameContext { presented, .. } => {
            (TlsErrorKind::WrongName, format!("is valid for {} only", list(presented)), NAMES)
        }
        Cause::NotValidForName => {
            (TlsErrorKind::WrongName, "is valid for other names only".to_owned(), NAMES)
        }
        other => {
            let (why, remedy) = bad(other);
            (TlsErrorKind::BadCertificate, why, remedy)
        }
    };
    (kind, format!("the server's certificate {why}: {remedy}"))
}

const RENEW: &str = "renew the server's tls-cert-file, or set this machine's clock";

const CLOCK: &str = "set this machine's clock, or the one where it was made";

const NAMES: &str = "make one whose subjectAltName has the host or address that is dialled \
                     (openssl req -addext \"subjectAltName=DNS:host,IP:address\"), or name a host \
                     that it has (Tls::server_name)";

/// Why a certificate is bad, and what to do.
fn bad(error: &CertificateError) -> (String, &'static str) {
    use CertificateError as Cause;
    let (why, remedy) = match error {
        Cause::BadEncoding => ("is damaged", "write the server's tls-cert-file again"),
        Cause::Revoked => ("was revoked", "get another one from its authority"),
        Cause::BadSignature => (
            "is not signed by the authority whose name it has",
            "two authorities have one name: trust the one that signed it (trust_pem)",
        ),
        Cause::InvalidPurpose | Cause::InvalidPurposeContext { .. } => (
            "is not meant for a server",
            "make one whose extendedKeyUsage has serverAuth, or has none",
        ),
        other => return named(&other.to_string()),
    };
    (why.to_owned(), remedy)
}

/// The same for an error that has only a name.
fn named(name: &str) -> (String, &'static str) {
    let table = [
        (
            "CaUsedAsEndEntity",
            "is that of an authority (basicConstraints CA:TRUE), which must not be a server's",
            "sign another one for the server with it (openssl x509 -req -CA ca.pem -CAkey ca.key), \
             and let clients trust the authority (trust_pem)",
        ),
        (
            "UnsupportedCertVersion",
            "is of X.509 version 1, which has no subjectAltName",
            "make one of version 3: give openssl x509 -req an -extfile with subjectAltName",
        ),
        (
            "UnsupportedSignatureAlgorithm",
            "is signed with an algorithm that is not safe or not known, as SHA-1 or MD5",
            "sign it with SHA-256 or better (openssl x509 -sha256)",
        ),
        (
            "EndEntityUsedAsCa",
            "is signed by a certificate that is none of an authority",
            "sign it with one whose basicConstraints have CA:TRUE",
        ),
    ];
    let known = table.into_iter().find(|(word, ..)| name.contains(word));
    match known {
        Some((_, why, remedy)) => (why.to_owned(), remedy),
        None => (format!("is bad: {name}"), "make another one for the server's tls-cert-file"),
    }
}

/// The time between two times, roughly.
fn span(from: UnixTime, to: UnixTime) -> String {
    let seconds = to.as_secs().saturating_sub(from.as_secs());
    match seconds / DAY {
        0 => format!("{seconds} seconds"),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

/// The first names of a certificate; rustls gives them as `DnsName("redis.test")`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_certificate_are_shown_bare_and_not_all_of_them() {
        let dns = |name: &str| format!("DnsName({name:?})");
        assert_eq!(list(&[dns("a"), "IpAddress(10.0.0.1)".to_owned()]), "a, 10.0.0.1");
        assert_eq!(list(&["odd".to_owned()]), "odd");
        let many: Vec<String> = (0..250).map(|n| dns(&n.to_string())).collect();
        assert_eq!(list(&many), "0, 1, 2, 3 and 246 more");
    }

    #[test]
    fn times_are_told_in_days() {
        let at = |secs| UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs));
        assert_eq!(span(at(0), at(7)), "7 seconds");
        assert_eq!(span(at(0), at(DAY + 1)), "1 day");
        assert_eq!(span(at(DAY), at(DAY * 41)), "40 days");
    }
}
