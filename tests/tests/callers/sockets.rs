//! Each kind of socket through a whole client: unix sockets, IPv6, host names, over smol's reactor
//! and over tokio's.

use super::{config, server};
use slotcar::prelude::*;
use slotcar::{Client, Config};
use slotcar_tcp::{Smol, Tokio};
use slotcar_tests::polling::{bounded, run};
use slotcar_tests::real::Server;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

/// Commands, a pipeline, a value of a megabyte, and a new connection after the old one was cut.
async fn use_it(client: Client, server: &Server) {
    client.set("k", "v").await.expect("SET");
    assert_eq!(client.get::<String>("k").await.expect("GET"), "v");
    let large = "x".repeat(1 << 20);
    client.set("large", &large).await.expect("SET");
    assert_eq!(client.get::<String>("large").await.expect("GET"), large);
    let pipeline =
        client.pipeline().add(slotcar::command::incr("n")).add(slotcar::command::get("k"));
    let (n, k): (i64, String) = pipeline.run().await.expect("a pipeline");
    assert_eq!((n, k.as_str()), (1, "v"));
    server.kill_clients("normal");
    assert_eq!(client.get::<String>("k").await.expect("a read is sent again"), "v");
}

/// The same over smol's reactor and over tokio's.
fn over_both(config: &Config, server: &Server) {
    run(async {
        let client = Client::connect(Smol::new(), config.clone()).await.expect("smol");
        use_it(client, server).await;
    });
    server.call(&["FLUSHALL"]);
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
    tokio.block_on(bounded(async {
        let transport = Tokio::current().expect("inside of tokio");
        let client = Client::connect(transport, config.clone()).await.expect("tokio");
        use_it(client, server).await;
    }));
}

#[test]
fn a_unix_socket() {
    let server = server();
    let path = server.unix_path();
    over_both(&config(&format!("unix://{}", path.display())), &server);
}

#[test]
fn version_six() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("SKIPPED: this machine has no IPv6 loopback");
        return;
    }
    let version = server().version().clone();
    let server =
        Server::of(&version).ip(Ipv4Addr::LOCALHOST).config("bind 127.0.0.1 ::1\n").start();
    let port = server.address().port();
    over_both(&config(&format!("redis://[::1]:{port}")), &server);
}

#[test]
fn a_host_name() {
    let version = server().version().clone();
    let server =
        Server::of(&version).ip(Ipv4Addr::LOCALHOST).config("bind 127.0.0.1 -::1\n").start();
    let port = server.address().port();
    over_both(&config(&format!("redis://localhost:{port}")), &server);
}
