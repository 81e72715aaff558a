//! A component behind HTTP: an instance and a client for each request, and nothing left of either.
//!
//! The host counts its instances; the server counts its connections.

use crate::guest::{Guest, Serving};
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Reply, Server, Version};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Requests, a quarter of them at a time.
const REQUESTS: usize = 200;

fn get(address: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("the host accepts");
    let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("write");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("read");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    body.to_owned()
}

/// Clients that the server sees, this question's own among them.
fn connections(server: &Server) -> usize {
    match server.call(&["CLIENT", "LIST"]) {
        Reply::Bulk(list) => String::from_utf8_lossy(&list).lines().count(),
        other => panic!("CLIENT LIST: {other:?}"),
    }
}

#[test]
fn requests_leave_nothing_behind() {
    let Some(guest) = Guest::named("counter") else { return };
    let server = Server::start(&Version::any());
    let host: Serving = guest.env("SLOTCAR_URL", &server.url()).serve();
    let address = host.address();
    let before = connections(&server);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..REQUESTS / 4).for_each(|_| drop(get(address, "/page"))));
        }
    });
    assert_eq!(plain(get(address, "/page")), (REQUESTS + 1).to_string());
    let patience = Duration::from_secs(10);
    until_true("every instance to end", patience, || {
        plain(get(address, "/wasi-host/instances")) == "0"
    });
    until_true("every connection to close", patience, || connections(&server) <= before);
}

/// A short body without the frame of its one chunk, if it was sent in chunks.
fn plain(body: String) -> String {
    body.split("\r\n").nth(1).map_or(body.clone(), ToOwned::to_owned)
}
