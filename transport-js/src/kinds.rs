//! Which kind an error of a JavaScript host has.
//!
//! Hosts say it in different places: Node in `code` (that of the system call, of OpenSSL, or its
//! own), Deno in the error's name, workerd only in the text. The code is read first, then the name,
//! then the text, since a text may quote a name that the user chose.
//!
//! Invariants: a certificate that is not trusted, and two sides that do not understand each other's
//! TLS, are `InvalidData`, so that nobody dials again; what is not known is `Other`, never one of
//! the kinds that the core distinguishes.
//! Source: <https://nodejs.org/api/errors.html>, <https://nodejs.org/api/tls.html>,
//! <https://docs.deno.com/api/deno/errors>; the texts of workerd are those that it was seen to
//! give.

use std::io::ErrorKind;

/// A kind, and the words that mean it.
type Row = (ErrorKind, &'static [&'static str]);

/// Codes of Node as a whole: those of system calls and of the name lookup.
const CODES: &[Row] = &[
    (ErrorKind::AddrNotAvailable, &["EADDRNOTAVAIL"]),
    (ErrorKind::BrokenPipe, &["EPIPE", "ERR_STREAM_DESTROYED", "ERR_STREAM_WRITE_AFTER_END"]),
    (ErrorKind::ConnectionAborted, &["ECONNABORTED"]),
    (ErrorKind::ConnectionRefused, &["ECONNREFUSED"]),
    (ErrorKind::ConnectionReset, &["ECONNRESET", "ERR_SOCKET_CLOSED"]),
    (ErrorKind::HostUnreachable, &["EHOSTUNREACH", "EHOSTDOWN"]),
    (ErrorKind::InvalidData, &["EPROTO", "HOSTNAME_MISMATCH", "PATH_LENGTH_EXCEEDED"]),
    (ErrorKind::InvalidInput, &["ERR_INVALID_ARG_TYPE", "ERR_SOCKET_BAD_PORT"]),
    (ErrorKind::NetworkUnreachable, &["ENETUNREACH", "ENETDOWN"]),
    (ErrorKind::NotFound, &["ENOTFOUND"]),
    (ErrorKind::PermissionDenied, &["EACCES", "EPERM", "ERR_ACCESS_DENIED"]),
    (ErrorKind::TimedOut, &["ETIMEDOUT", "ERR_SOCKET_CONNECTION_TIMEOUT"]),
    (ErrorKind::Unsupported, &["ENOTSUP", "EOPNOTSUPP", "EAFNOSUPPORT", "EPROTONOSUPPORT"]),
];

/// How families of codes begin. Those of certificates are OpenSSL's names of `X509_V_ERR_`.
const CODE_FAMILIES: &[Row] = &[
    (ErrorKind::NotFound, &["EAI_"]),
    (
        ErrorKind::InvalidData,
        &[
            "AKID_",
            "CERT_",
            "CRL_",
            "DEPTH_ZERO_",
            "ERR_SSL_",
            "ERR_TLS_",
            "ERROR_IN_",
            "INVALID_",
            "KEYUSAGE_",
            "SELF_SIGNED_",
            "UNABLE_TO_",
        ],
    ),
];

/// Names of errors, as Deno has them.
const NAMES: &[Row] = &[
    (ErrorKind::AddrNotAvailable, &["AddrNotAvailable"]),
    (ErrorKind::BrokenPipe, &["BrokenPipe"]),
    (ErrorKind::ConnectionAborted, &["ConnectionAborted"]),
    (ErrorKind::ConnectionRefused, &["ConnectionRefused"]),
    (ErrorKind::ConnectionReset, &["ConnectionReset", "UnexpectedEof", "NotConnected"]),
    (ErrorKind::HostUnreachable, &["HostUnreachable"]),
    (ErrorKind::InvalidData, &["InvalidData"]),
    (ErrorKind::NetworkUnreachable, &["NetworkUnreachable"]),
    (ErrorKind::NotFound, &["NotFound"]),
    (ErrorKind::PermissionDenied, &["NotCapable", "PermissionDenied"]),
    (ErrorKind::TimedOut, &["TimedOut", "TimeoutError"]),
    (ErrorKind::Unsupported, &["NotSupported", "NotSupportedError"]),
];

/// Parts of texts in lower case. The first that occurs decides, so what is special stands first.
const TEXTS: &[Row] = &[
    // A permission of the host, as workerd and Deno word it.
    (
        ErrorKind::PermissionDenied,
        &["disallowed operation", "different request", "not permitted", "requires net access"],
    ),
    (ErrorKind::PermissionDenied, &["permission denied", "operation not allowed", "prohibited"]),
    // Before "certificate": the host's resolver may be reached through TLS itself.
    (
        ErrorKind::NotFound,
        &[
            "dns",
            "lookup address",
            "not known",
            "no address associated",
            "getaddrinfo",
            "name resol",
        ],
    ),
    (ErrorKind::InvalidData, &["certificate", "hostname mismatch", "ssl", "tls", "handshake"]),
    // What Workers say of every address that does not accept.
    (ErrorKind::ConnectionRefused, &["refused", "proxy request failed", "cannot connect to the"]),
    (ErrorKind::TimedOut, &["timed out", "timeout"]),
    (ErrorKind::HostUnreachable, &["no route to host", "host is unreachable"]),
    (ErrorKind::NetworkUnreachable, &["network is unreachable"]),
    (ErrorKind::ConnectionReset, &["connection lost", "reset", "disconnected", "prematurely"]),
    (ErrorKind::BrokenPipe, &["broken pipe"]),
    (ErrorKind::Unsupported, &["not supported", "unsupported", "not implemented"]),
];

/// The kind of an error with this `code`, `name` and `text`; each may be empty.
pub(crate) fn of(code: &str, name: &str, text: &str) -> ErrorKind {
    let text = text.to_ascii_lowercase();
    find(CODES, |code_of_row| code == code_of_row)
        .or_else(|| find(CODE_FAMILIES, |family| code.starts_with(family)))
        .or_else(|| find(NAMES, |name_of_row| name == name_of_row))
        .or_else(|| find(TEXTS, |part| text.contains(part)))
        .unwrap_or(ErrorKind::Other)
}

/// Whether the server says with an alert of TLS that it does not accept the client's certificate,
/// or that it wants one.
///
/// Only those: another alert may come at any time, after commands that the server has run.
pub(crate) fn refuses_client(code: &str, text: &str) -> bool {
    let said = if code.starts_with("ERR_SSL_") && code.contains("_ALERT_") {
        code
    } else if text.contains("received fatal alert: ") {
        text
    } else {
        return false;
    };
    let said = said.to_ascii_lowercase().replace('_', "");
    ["accessdenied", "certificate", "unknownca"].iter().any(|word| said.contains(word))
}

/// What Workers say of so much that the text alone helps nobody; empty for any other text.
pub(crate) fn hint(text: &str) -> &'static str {
    if text.contains("proxy request failed") {
        "; Workers say so of a port on which nothing listens, of a name that is unknown, of an \
         address that they forbid and, with TLS, of a certificate that they do not trust"
    } else {
        ""
    }
}

fn find(rows: &[Row], matches: impl Fn(&str) -> bool) -> Option<ErrorKind> {
    rows.iter().find(|(_, words)| words.iter().any(|word| matches(word))).map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Node 20, Deno 2.9 and workerd of 2026-11 give.
    #[test]
    fn the_errors_of_each_host_have_the_kinds_of_the_trait() {
        let table = [
            (
                "ECONNREFUSED",
                "Error",
                "connect ECONNREFUSED 127.0.0.1:1",
                ErrorKind::ConnectionRefused,
            ),
            ("ENOTFOUND", "Error", "getaddrinfo ENOTFOUND h.invalid", ErrorKind::NotFound),
            ("EAI_AGAIN", "Error", "getaddrinfo EAI_AGAIN h.invalid", ErrorKind::NotFound),
            ("ETIMEDOUT", "Error", "connect ETIMEDOUT 10.0.0.1:1", ErrorKind::TimedOut),
            ("EACCES", "Error", "connect EACCES 10.0.0.1:1", ErrorKind::PermissionDenied),
            (
                "ECONNRESET",
                "Error",
                "socket disconnected before secure TLS",
                ErrorKind::ConnectionReset,
            ),
            (
                "SELF_SIGNED_CERT_IN_CHAIN",
                "Error",
                "self-signed certificate",
                ErrorKind::InvalidData,
            ),
            ("DEPTH_ZERO_SELF_SIGNED_CERT", "Error", "self-signed", ErrorKind::InvalidData),
            ("UNABLE_TO_VERIFY_LEAF_SIGNATURE", "Error", "unable to", ErrorKind::InvalidData),
            ("CERT_HAS_EXPIRED", "Error", "certificate has expired", ErrorKind::InvalidData),
            ("ERR_TLS_CERT_ALTNAME_INVALID", "Error", "Hostname/IP", ErrorKind::InvalidData),
            ("ERR_SSL_WRONG_VERSION_NUMBER", "Error", "wrong version", ErrorKind::InvalidData),
            ("ENOTSUP", "Error", "this host has no sockets", ErrorKind::Unsupported),
            (
                "",
                "ConnectionRefused",
                "Connection refused (os error 111)",
                ErrorKind::ConnectionRefused,
            ),
            ("", "NotCapable", "Requires net access to \"h:1\"", ErrorKind::PermissionDenied),
            ("", "InvalidData", "invalid peer certificate: UnknownIssuer", ErrorKind::InvalidData),
            (
                "",
                "Error",
                "failed to lookup address information: Name or service not known",
                ErrorKind::NotFound,
            ),
            (
                "",
                "Error",
                "proxy request failed, cannot connect to the specified address",
                ErrorKind::ConnectionRefused,
            ),
            (
                "",
                "Error",
                "TLS peer's certificate is not trusted; reason = x",
                ErrorKind::InvalidData,
            ),
            ("", "Error", "DNS lookup failed.", ErrorKind::NotFound),
            ("", "Error", "Network connection lost.", ErrorKind::ConnectionReset),
            (
                "",
                "Error",
                "Disallowed operation called within global scope",
                ErrorKind::PermissionDenied,
            ),
            ("", "TypeError", "x is not a function", ErrorKind::Other),
            ("", "", "", ErrorKind::Other),
        ];
        for (code, name, text, kind) in table {
            assert_eq!(of(code, name, text), kind, "{code} {name} {text}");
        }
    }

    #[test]
    fn only_an_alert_about_a_certificate_refuses_the_client() {
        let table = [
            ("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "", true),
            ("ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE", "", true),
            ("ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "", true),
            ("", "received fatal alert: CertificateRequired", true),
            ("", "received fatal alert: UnknownCA", true),
            ("ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR", "certificate", false),
            ("ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC", "", false),
            ("", "received fatal alert: InternalError", false),
            ("ERR_SSL_WRONG_VERSION_NUMBER", "", false),
            ("UNABLE_TO_VERIFY_LEAF_SIGNATURE", "certificate", false),
        ];
        for (code, text, refuses) in table {
            assert_eq!(refuses_client(code, text), refuses, "{code} {text}");
        }
    }
    #[test]
    fn only_the_text_of_workers_that_says_nothing_gets_a_hint() {
        assert!(
            hint("proxy request failed, cannot connect to the address").contains("certificate")
        );
        assert_eq!(hint("connect ECONNREFUSED 127.0.0.1:1"), "");
    }
}
