//! TLS inside of a component, against real servers outside of it.
//!
//! The suite `wasi` of `slotcar-tests` starts the servers: `SLOTCAR_TLS_SERVER` and
//! `SLOTCAR_TLS_CLUSTER` are their URLs, `SLOTCAR_TLS_AUTHORITY` is the PEM text of their
//! authority. Without these the tests are skipped. `cargo xtask wasi tls` does all of this, and
//! needs clang.

#![cfg(all(target_os = "wasi", target_env = "p2"))]

use futures::future::join_all;
use slotcar::tls::{Tls, TlsConfig, TlsError, TlsErrorKind};
use slotcar::{Blob, Client, Config, ErrorKind};
use slotcar_wasi::Wasi;
use std::time::{Duration, Instant};

/// A variable that the suite sets; without it prints that the test is skipped.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if value.is_none() {
        println!("SKIPPED: {name} is not set");
    }
    value
}

fn config(url: &str) -> Config {
    Config::from_url(url).expect("a URL").command_timeout(Duration::from_secs(20))
}

/// A client that trusts the authority of the servers.
async fn connect(url: &str) -> Client {
    let authority = variable("SLOTCAR_TLS_AUTHORITY").expect("it comes with the servers");
    let trusted = TlsConfig::new().trust_pem(authority.as_bytes()).expect("PEM");
    let transport = Tls::new(Wasi::new(), trusted.build().expect("good"));
    Client::connect(transport, config(url)).await.unwrap_or_else(|error| panic!("{error:?}"))
}

#[test]
fn a_server_is_spoken_to() {
    let Some(url) = variable("SLOTCAR_TLS_SERVER") else { return };
    wstd::runtime::block_on(async {
        let began = Instant::now();
        let client = connect(&url).await;
        println!("connected in {:?}", began.elapsed());
        client.set("name", "Ada").await.expect("SET");
        assert_eq!(client.get::<String>("name").await.expect("GET"), "Ada");
        let tasks = (0..16_u16).map(|number| {
            let client = client.clone();
            async move {
                let value = [number as u8, 7].repeat(150_000);
                client.set(number, &value).await.expect("SET");
                let read: Blob = client.get(number).await.expect("GET");
                assert!(read.as_ref() == value.as_slice(), "{number}");
            }
        });
        join_all(tasks).await;
    });
}

/// Several small records of a handshake go out in one write; single writes would wait for a delayed
/// acknowledgement, 40 ms on Linux. The time is printed, the bound is for a busy machine.
#[test]
fn dials_do_not_wait_for_acknowledgements() {
    let Some(url) = variable("SLOTCAR_TLS_SERVER") else { return };
    wstd::runtime::block_on(async {
        let mut best = Duration::MAX;
        for _ in 0..10 {
            let began = Instant::now();
            let client = connect(&url).await;
            client.ping().await.expect("PING");
            best = best.min(began.elapsed());
        }
        println!("the best of 10 dials with a PING took {best:?}");
        assert!(best < Duration::from_millis(400), "{best:?}");
    });
}

#[test]
fn a_cluster_is_spoken_to() {
    let Some(url) = variable("SLOTCAR_TLS_CLUSTER") else { return };
    wstd::runtime::block_on(async {
        let client = connect(&url).await;
        for number in 0..50_u32 {
            client.set(number, number).await.expect("SET");
            assert_eq!(client.get::<u32>(number).await.expect("GET"), number);
        }
    });
}

/// By default the public authorities are trusted; the authority of the tests is not one of them.
#[test]
fn strangers_are_not_trusted() {
    let Some(url) = variable("SLOTCAR_TLS_SERVER") else { return };
    wstd::runtime::block_on(async {
        let error = slotcar::connect(&url).await.expect_err("a stranger");
        assert_eq!(error.kind(), ErrorKind::Handshake, "{error:?}");
        let kind = TlsError::of(&error).map(TlsError::kind);
        assert_eq!(kind, Some(TlsErrorKind::UnknownIssuer), "{error:?}");
    });
}
