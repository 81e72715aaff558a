//! Which cause becomes which kind, and what each tells the core.

use super::*;
use futures_rustls::rustls::{CertificateError, InvalidMessage, PeerIncompatible};

fn text_of(error: &io::Error) -> String {
    error.to_string()
}

/// Each cause of rustls with the kind that it becomes and a word that the text must have.
#[test]
fn causes_become_kinds_that_one_can_act_on() {
    use TlsErrorKind as Kind;
    let certificate = Cause::InvalidCertificate;
    let alert = Cause::AlertReceived;
    let table = [
        (
            certificate(CertificateError::UnknownIssuer),
            Kind::UnknownIssuer,
            "signed by no authority",
        ),
        (certificate(CertificateError::Expired), Kind::Expired, "has expired"),
        (certificate(CertificateError::NotValidYet), Kind::Expired, "not valid yet"),
        (certificate(CertificateError::NotValidForName), Kind::WrongName, "other names"),
        (certificate(CertificateError::Revoked), Kind::BadCertificate, "was revoked"),
        (Cause::InvalidMessage(InvalidMessage::InvalidContentType), Kind::NotTls, "not speak TLS"),
        (
            alert(AlertDescription::CertificateRequired),
            Kind::ClientCertificate,
            "wants a certificate",
        ),
        (alert(AlertDescription::UnknownCA), Kind::ClientCertificate, "UnknownCA"),
        (alert(AlertDescription::ProtocolVersion), Kind::Incompatible, "nothing in common"),
        (
            Cause::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
            Kind::Incompatible,
            "nothing in common",
        ),
        (alert(AlertDescription::HandshakeFailure), Kind::Refused, "wants a certificate of this"),
        (alert(AlertDescription::InternalError), Kind::Refused, "InternalError"),
    ];
    for (cause, kind, word) in table {
        let error = of_handshake("redis.test", io::Error::new(io::ErrorKind::InvalidData, cause));
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        let found = TlsError::of(&error).expect("it carries one");
        assert_eq!(found.kind(), kind, "{error}");
        let text = text_of(&error);
        assert!(text.contains("redis.test") && text.contains(word), "{text}");
        assert!(found.source().is_some(), "{text}");
    }
}

/// What the stream below failed with keeps its kind: another dial may help.
#[test]
fn a_lost_stream_is_no_verdict() {
    let reset = io::Error::from(io::ErrorKind::ConnectionReset);
    let told = of_handshake("h", reset);
    assert_eq!(told.kind(), io::ErrorKind::ConnectionReset);
    assert!(TlsError::of(&told).is_none(), "{told}");
    let told = of_handshake("h", io::ErrorKind::UnexpectedEof.into());
    assert_eq!(told.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(TlsError::of(&told).map(TlsError::kind), Some(TlsErrorKind::Closed));
}

/// Only what a server says before it reads anything counts as a refusal; a broken record does not,
/// for the server may have run what was sent.
#[test]
fn only_alerts_about_certificates_say_that_nothing_was_read() {
    let alert = |alert| io::Error::new(io::ErrorKind::InvalidData, Cause::AlertReceived(alert));
    let refused = of_first_read("h", alert(AlertDescription::CertificateRequired));
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(TlsError::of(&refused).map(TlsError::kind), Some(TlsErrorKind::ClientCertificate));
    let broken = of_first_read("h", alert(AlertDescription::BadRecordMac));
    assert_eq!(broken.kind(), io::ErrorKind::InvalidData);
    let reset = of_first_read("h", io::ErrorKind::ConnectionReset.into());
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_setup_error_becomes_a_configuration_error() {
    let error = slotcar_core::Error::from(TlsError::setup("no authority"));
    assert_eq!(error.kind(), slotcar_core::ErrorKind::Config);
    assert_eq!(error.to_string(), "tls: no authority");
}
