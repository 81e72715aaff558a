//! Peers that a component cannot play itself.
//!
//! The sockets of WASI cannot send a reset.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A server that reads one byte of each connection and closes it: the unread rest makes the kernel
/// send a reset. It runs until the process ends.
pub(crate) fn resetting_server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let _ = socket.read(&mut [0]);
        }
    });
    address
}
