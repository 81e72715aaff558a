//! `slotcar::connect` with a `rediss://` URL and no other configuration.
//!
//! `SSL_CERT_FILE` names the authorities of the system, and a process has one environment: so each
//! test runs itself again in a process of its own.

use super::SHARED;
use slotcar::ErrorKind;
use slotcar::prelude::*;
use slotcar_tests::polling::run;
use slotcar_tests::real::{Server, Version, scratch};
use std::process::Command;

/// The URL that the process of its own connects to.
const URL: &str = "SLOTCAR_TEST_TLS_URL";

/// Not a test: prints the result of `connect`.
#[test]
fn child() {
    let Ok(url) = std::env::var(URL) else { return };
    match run(slotcar::connect(&url)) {
        Ok(client) => println!("ping: {:?}", run(client.ping())),
        Err(error) => println!("{:?}: {error}", error.kind()),
    }
}

/// The output of the child process with these authorities.
fn told(url: &str, authorities: &str) -> String {
    let file = scratch::folder("authorities").join("ca.pem");
    std::fs::write(&file, authorities).expect("the folder is ours");
    let itself = std::env::current_exe().expect("a test has a program");
    let output = Command::new(itself)
        .args(["--exact", "system::child", "--nocapture"])
        .env("SSL_CERT_FILE", &file)
        .env_remove("SSL_CERT_DIR")
        .env(URL, url)
        .output()
        .expect("it starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_url_alone_is_enough_where_the_system_trusts_the_server() {
    let server = Server::of(&Version::any()).config(&SHARED.addresses.listening()).start();
    let url = format!("rediss://{}", server.tls_address());
    let said = told(&url, SHARED.authority.pem());
    assert!(said.contains("ping: Ok"), "{said}");
    let said = told(&url, SHARED.stranger.pem());
    let kind = format!("{:?}: ", ErrorKind::Handshake);
    assert!(said.contains(&kind) && said.contains("signed by no authority"), "{said}");
    let said = told(&url, "");
    let kind = format!("{:?}: ", ErrorKind::Config);
    assert!(
        said.contains(&kind) && said.contains("trust store has no certificate authority"),
        "{said}"
    );
}
