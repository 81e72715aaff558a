//! A component behind HTTP: each request has an instance and a client, and nothing of them is left.
//!
//! The host counts its instances, the server its connections. `SLOTCAR_WASI_REQUESTS` is the number
//! of requests; 10000 take some minutes.

use crate::guest::{Guest, Serving};
use crate::http::ask;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Reply, Server, Version};
use std::net::SocketAddr;

/// Number of requests by default.
const REQUESTS: usize = 200;
/// Concurrent requests.
const AT_ONCE: usize = 4;

/// Clients that the server sees, including this connection.
fn connections(server: &Server) -> usize {
    match server.call(&["CLIENT", "LIST"]) {
        Reply::Bulk(list) => String::from_utf8_lossy(&list).lines().count(),
        other => panic!("CLIENT LIST: {other:?}"),
    }
}

/// Instances that exist, by the host's counter.
pub(crate) fn instances(address: SocketAddr) -> usize {
    ask(address, "GET", "/wasi-host/instances", "").body.parse().expect("a number")
}

#[test]
fn requests_leave_nothing_behind() {
    let Some(guest) = Guest::named("counter") else { return };
    let requests = std::env::var("SLOTCAR_WASI_REQUESTS").ok();
    let requests = requests.map_or(REQUESTS, |text| text.parse().expect("a number"));
    let server = Server::start(&Version::any());
    let host: Serving = guest.env("SLOTCAR_URL", &server.url()).serve();
    let address = host.address();
    let before = connections(&server);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                for number in 0..requests / AT_ONCE {
                    assert_eq!(ask(address, "GET", "/page", "").status, 200);
                    if number % 50 == 0 {
                        // Requests in flight, and those whose last bytes are in flight.
                        let now = connections(&server) - before;
                        assert!(now <= 3 * AT_ONCE, "{now} connections after {number} requests");
                    }
                }
            });
        }
    });
    let count = ask(address, "GET", "/page", "").body;
    assert_eq!(count, (requests / AT_ONCE * AT_ONCE + 1).to_string());
    until_true("every instance to end", || instances(address) == 0);
    until_true("every connection to close", || connections(&server) <= before);
    println!("{requests} requests, {} connections before and after", before);
}
