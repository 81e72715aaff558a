//! The record of what servers executed, for the checker. No client can see it.
//!
//! A test marks a request by an argument that starts with [`TOKEN_PREFIX`]. A server that runs such
//! a write for a client (not as a replica that applies it) adds an entry here. So "it ran twice" is
//! a fact and not a guess.
//!
//! **Limits**: [`ENTRIES_MAX`] entries; a run that has more is not checked beyond them.

use crate::ids::HostId;
use bytes::Bytes;
use slotcar::Timestamp;
use std::net::SocketAddr;

/// The prefix of an argument that marks a request.
pub const TOKEN_PREFIX: &str = "tok:";

/// Entries that are kept.
const ENTRIES_MAX: usize = 1_000_000;

/// One execution of a marked write.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    /// The mark.
    pub(crate) token: Bytes,
    /// The server that ran it.
    pub(crate) host: HostId,
    /// When it ran.
    pub(crate) at: Timestamp,
}

/// Sentinels promoted a server to primary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promotion {
    /// The server.
    pub(crate) host: HostId,
    /// When they did.
    pub(crate) at: Timestamp,
    /// The epoch of the failover.
    pub(crate) epoch: u64,
}

/// A sentinel reports another primary, or another epoch, than before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opinion {
    /// The sentinel.
    pub(crate) sentinel: HostId,
    /// Since when.
    pub(crate) at: Timestamp,
    /// The epoch.
    pub(crate) epoch: u64,
    /// The primary.
    pub(crate) primary: SocketAddr,
}

/// All executions of marked writes, all promotions and all reports of sentinels, in order.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// In order of execution.
    pub(crate) executions: Vec<Execution>,
    /// In order.
    pub(crate) promotions: Vec<Promotion>,
    /// In order.
    pub(crate) opinions: Vec<Opinion>,
}

impl Journal {
    /// Records a promotion by sentinels, which they may report more than once.
    pub(crate) fn promoted(&mut self, host: HostId, at: Timestamp, epoch: u64) {
        let known = self.promotions.iter().any(|p| p.host == host && p.epoch == epoch);
        if !known && self.promotions.len() < ENTRIES_MAX {
            self.promotions.push(Promotion { host, at, epoch });
        }
    }

    /// Records what a sentinel reports to clients from now on.
    pub(crate) fn record_report(&mut self, opinion: Opinion) {
        if self.opinions.len() < ENTRIES_MAX {
            self.opinions.push(opinion);
        }
    }

    /// Records a write, if it is marked.
    pub(crate) fn note(&mut self, host: HostId, at: Timestamp, arguments: &[Bytes]) {
        let marked = arguments.iter().find(|a| a.starts_with(TOKEN_PREFIX.as_bytes()));
        if let Some(token) = marked
            && self.executions.len() < ENTRIES_MAX
        {
            self.executions.push(Execution { token: token.clone(), host, at });
        }
    }
}
