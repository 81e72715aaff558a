//! The error of a program on a host that denies a permission.
//!
//! `SLOTCAR_DENIED` says what the host denies: `names` or `tcp`. The suite `wasi` of
//! `slotcar-tests` runs this once for each; without it, there is nothing to test.

#![cfg(all(target_os = "wasi", target_env = "p2"))]

use slotcar::{Endpoint, Transport};
use slotcar_wasi::Wasi;
use std::io;

#[test]
fn the_error_names_the_missing_permission() {
    let Ok(denied) = std::env::var("SLOTCAR_DENIED") else {
        println!("SKIPPED: SLOTCAR_DENIED is not set");
        return;
    };
    // (endpoint, what it ends in on a host that denies names, the same for TCP): no server listens.
    let refused = (io::ErrorKind::ConnectionRefused, "127.0.0.1:1");
    let tcp = (io::ErrorKind::PermissionDenied, "wasi:sockets/tcp");
    let table = [
        ("127.0.0.1", refused, tcp),
        ("localhost", (io::ErrorKind::PermissionDenied, "wasi:sockets/ip-name-lookup"), tcp),
    ];
    wstd::runtime::block_on(async {
        for (host, without_names, without_tcp) in table {
            let (kind, part) = if denied == "names" { without_names } else { without_tcp };
            let error = match Wasi::new().connect(&Endpoint::tcp(host, 1)).await {
                Ok(_) => panic!("{host}: connected"),
                Err(error) => error,
            };
            assert_eq!(error.kind(), kind, "{host}: {error}");
            assert!(error.to_string().contains(part), "{host}: {error}");
        }
    });
}
