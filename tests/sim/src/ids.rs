//! Names for the parties of a simulation: hosts and the connections between them.
//!
//! A host is whatever has a network address: a server, a sentinel, or the machine that a client
//! runs on. Ids are dense and never used twice in one run, so that a trace is unambiguous.

use std::fmt;

/// One party on the simulated network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostId(pub(crate) u16);

impl HostId {
    /// Its place in a table of hosts.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// One connection from a client to a server, from dial to the last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnId(pub(crate) u64);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
