//! A proxy that breaks connections, as seen from inside: it runs outside.
//!
//! The twin of the native harness's file of that name, as far as it is used here.

use crate::remote::ask;
use std::net::SocketAddr;

/// What a proxy does to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Connections are accepted and stay open; nothing passes.
    BlackHole,
    /// Everything passes.
    Pass,
    /// Nobody listens; open connections go on.
    Refuse,
}

/// A proxy; dropping it closes all its connections.
#[derive(Debug)]
pub struct Proxy {
    /// The outside's name for it.
    id: String,
    /// Where it listens.
    address: SocketAddr,
}

impl Proxy {
    /// A proxy in front of a server, passing everything.
    pub fn to(target: SocketAddr) -> Proxy {
        let answer = ask(&["proxy", &target.to_string()]);
        let [id, address] = answer.as_slice() else { panic!("{answer:?}: an id, an address") };
        Proxy { id: id.clone(), address: address.parse().expect("an address") }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the fault; it holds when this returns.
    pub fn set(&self, fault: Fault) {
        let fault = match fault {
            Fault::BlackHole => "black_hole",
            Fault::Pass => "pass",
            Fault::Refuse => "refuse",
        };
        ask(&["fault", &self.id, fault]);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        ask(&["drop", &self.id]);
    }
}
