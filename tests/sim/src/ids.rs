//! Ids of hosts, and of the connections between them.
//!
//! A host has a network address: a server, a sentinel, or the machine of a client. Ids are dense
//! and never used twice in one run, so a trace is unambiguous.

use std::fmt;

/// One host on the simulated network.
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
