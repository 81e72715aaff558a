//! What this crate does in a build without one of its features. `cargo xtask ci` builds this file
//! with the default features; a build of the whole workspace turns all of them on.

#![cfg(not(target_family = "wasm"))]

use slotcar::Config;
#[cfg(not(feature = "tls"))]
use slotcar::ErrorKind;

/// No server is needed: nothing is dialled.
#[cfg(not(feature = "tls"))]
#[test]
fn a_url_that_asks_for_tls_needs_the_feature() {
    for url in ["rediss://127.0.0.1:1", "valkeys-cluster://127.0.0.1:1"] {
        let error = smol::block_on(slotcar::connect(url)).expect_err("there is no TLS");
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains("the feature `tls`"), "{error}");
    }
}

/// A lazy client is made without a server in every build.
#[test]
fn a_lazy_client_needs_no_server() {
    let config = Config::from_url("redis://127.0.0.1:1").expect("a URL");
    smol::block_on(slotcar::connect_lazy(config)).expect("nothing is dialled");
}
