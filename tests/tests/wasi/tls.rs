//! TLS inside of a component. Its cryptography is built with clang, which some machines do not
//! have. So `cargo xtask wasi tls` is a command of its own, which builds the component and runs
//! this test.

use crate::guest::Guest;
use slotcar_tests::real::{Authority, Cluster, Server, Version, address};

#[test]
fn components_speak_tls() {
    if std::env::var_os("SLOTCAR_WASI_TLS").is_none() {
        println!("SKIPPED: SLOTCAR_WASI_TLS is not set; `cargo xtask wasi tls` sets it");
        return;
    }
    let Some(guest) = Guest::named("tls") else { return };
    let authority = Authority::new("slotcar tests");
    let pem = authority.sign_block(address::fresh());
    let version = Version::any();
    let server = Server::of(&version).config(&pem.listening()).start();
    let cluster = Cluster::of(&version).replicas(0);
    let cluster = cluster.config(&pem.clustered()).start();
    guest
        .env("SLOTCAR_TLS_SERVER", &format!("rediss://{}", server.tls_address()))
        .env("SLOTCAR_TLS_CLUSTER", &format!("rediss-cluster://{}", cluster.node(1).tls_address()))
        .env("SLOTCAR_TLS_AUTHORITY", authority.pem())
        .run_tests("1", &[]);
}
