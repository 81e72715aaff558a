//! Loopback addresses and ports, which the suite outside of the component gives out.
//!
//! The twin of the native file of that name.

use super::remote::ask_one;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A loopback address that no other test uses.
pub fn fresh() -> Ipv4Addr {
    ask_one(&["fresh"]).parse().expect("an address")
}

/// A port on `ip` that is free.
pub fn free_port(ip: Ipv4Addr) -> u16 {
    ask_one(&["free_port", &ip.to_string()]).parse().expect("a port")
}

/// An address without a listener: connections are refused.
pub fn refused() -> SocketAddr {
    ask_one(&["refused"]).parse().expect("an address")
}

/// Listens on an address that [`free_port`] promised.
pub fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(at)
}
