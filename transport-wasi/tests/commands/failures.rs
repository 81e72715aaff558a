//! Errors without a server, a name or a permission, and when a server ends.
//!
//! The kind of the host's own error is at the end of the chain of causes.

use crate::{bounded, on_clients, on_servers, pause};
use slotcar::prelude::*;
use slotcar::{Error, ErrorKind, cmd};
use std::error::Error as _;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

/// The error of a connection that must fail, and the kind of its cause.
async fn failure(url: &str) -> (Error, io::ErrorKind) {
    let error = match slotcar::connect(url).await {
        Ok(_) => panic!("connected to {url}"),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    let mut cause = error.source();
    while let Some(source) = cause {
        if let Some(io) = source.downcast_ref::<io::Error>() {
            return (error.clone(), io.kind());
        }
        cause = source.source();
    }
    panic!("{error}: no cause of the host's");
}

#[test]
fn refused() {
    wstd::runtime::block_on(bounded(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
        let port = listener.local_addr().expect("address").port();
        drop(listener);
        let (error, cause) = failure(&format!("redis://127.0.0.1:{port}")).await;
        assert_eq!(cause, io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&port.to_string()), "{error}");
    }));
}

#[test]
fn no_such_name() {
    wstd::runtime::block_on(bounded(async {
        let name = format!("{}.invalid", "x".repeat(64));
        let (error, cause) = failure(&format!("redis://{name}:6379")).await;
        assert_eq!(cause, io::ErrorKind::NotFound);
        assert!(error.to_string().contains(&name), "{error}");
    }));
}

/// The host of the tests allows no address outside of the machine (192.0.2.0/24 is reserved: RFC
/// 5737).
#[test]
fn denied_by_the_host() {
    wstd::runtime::block_on(bounded(async {
        let (error, cause) = failure("redis://192.0.2.1:6379").await;
        assert_eq!(cause, io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("wasi:sockets/tcp"), "{error}");
    }));
}

/// A connection that the server closes while it is idle is replaced without an error.
#[test]
fn an_idle_connection_that_was_closed_is_replaced() {
    on_servers(async |url| {
        let (client, killer) = (slotcar::connect(url).await?, slotcar::connect(url).await?);
        let id: u64 = client.send(cmd("CLIENT").arg("ID")).await?;
        killer.send::<()>(cmd("CLIENT").arg("KILL").arg("ID").arg(id)).await.ok();
        pause(Duration::from_millis(20)).await;
        let new: u64 = client.send(cmd("CLIENT").arg("ID")).await?;
        assert_ne!(new, id);
        Ok(())
    });
}

/// The connection ends during a command: a read is retried, and the client works on.
#[test]
fn a_connection_closed_under_a_command() {
    on_clients(async |client| {
        client.set("failures:key", 7).await?;
        let kill = client.send::<()>(cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal"));
        kill.await.ok();
        let own = client.send::<u64>(cmd("CLIENT").arg("KILL").arg("SKIPME").arg("no"));
        own.await.ok();
        assert_eq!(client.get::<u32>("failures:key").await?, 7);
        Ok(())
    });
}
