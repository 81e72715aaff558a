//! What PEM text may hold, and what is said when it does not.

use super::*;
use crate::error::TlsErrorKind;
use rcgen::{CertificateParams, KeyPair};

fn pair() -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["redis.test".to_owned()]).expect("a name");
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

#[test]
fn what_pem_text_lacks_is_named() {
    let (certificate, key) = pair();
    let broken = certificate.replace('M', "!");
    let cases = [
        (TlsConfig::new().trust_pem(b"").map(drop), "contains none"),
        (TlsConfig::new().trust_pem(key.as_bytes()).map(drop), "contains none"),
        (TlsConfig::new().trust_pem(broken.as_bytes()).map(drop), "authority's certificate"),
        (TlsConfig::new().identity_pem(b"x", key.as_bytes()).map(drop), "client's certificate"),
        (
            TlsConfig::new().identity_pem(certificate.as_bytes(), certificate.as_bytes()).map(drop),
            "client's key",
        ),
        (TlsConfig::new().build().map(drop), "no authority is trusted"),
    ];
    for (built, words) in cases {
        let error = built.expect_err(words);
        assert_eq!(error.kind(), TlsErrorKind::Setup);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_key_that_fits_no_certificate_is_refused() {
    let ((certificate, _), (_, other)) = (pair(), pair());
    let config = TlsConfig::new().trust_pem(certificate.as_bytes()).expect("good");
    let config = config.identity_pem(certificate.as_bytes(), other.as_bytes()).expect("readable");
    let error = config.build().expect_err("they do not fit");
    assert!(error.to_string().contains("certificate and key"), "{error}");
}

#[test]
fn several_authorities_are_trusted_together_and_no_key_is_shown() {
    let ((one, key), (two, _)) = (pair(), pair());
    let config = TlsConfig::new().trust_pem((one.clone() + &two).as_bytes()).expect("good");
    let config = config.identity_pem(one.as_bytes(), key.as_bytes()).expect("good");
    assert_eq!(format!("{config:?}"), "TlsConfig { roots: 2, .. }");
    config.build().expect("good");
}

#[cfg(feature = "webpki-roots")]
#[test]
fn mozillas_authorities_are_there() {
    TlsConfig::new().trust_webpki().build().expect("over a hundred of them");
}
