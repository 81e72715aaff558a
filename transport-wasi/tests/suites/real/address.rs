//! Loopback addresses and ports that the outside gives out.
//!
//! The twin of the native harness's file of that name, as far as it is used here.

use crate::remote::ask_one;
use std::net::Ipv4Addr;

/// A loopback address that nobody else has.
pub fn fresh() -> Ipv4Addr {
    ask_one(&["fresh"]).parse().expect("an address")
}

/// A port on `ip` that is free.
pub fn free_port(ip: Ipv4Addr) -> u16 {
    ask_one(&["free_port", &ip.to_string()]).parse().expect("a port")
}
