//! What servers really executed, for the checker: the truth that no client sees.
//!
//! A test marks a request by an argument that starts with [`TOKEN_PREFIX`]. Every server that runs
//! such a write for a client (not as a replica that repeats it) leaves an entry here, so "it ran
//! twice" is a fact and no guess.
//!
//! Limit: [`ENTRIES_MAX`] entries; a run that has more is not checked for the rest.

use crate::ids::HostId;
use bytes::Bytes;
use slotcar::Timestamp;
use std::net::SocketAddr;

/// How an argument starts that makes a request recognisable.
pub const TOKEN_PREFIX: &str = "tok:";

/// Entries that are kept.
const ENTRIES_MAX: usize = 1_000_000;

/// One execution of a marked write.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    /// The mark.
    pub(crate) token: Bytes,
    /// Who ran it.
    pub(crate) host: HostId,
    /// When.
    pub(crate) at: Timestamp,
}

/// Sentinels made a server a primary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promotion {
    /// Which.
    pub(crate) host: HostId,
    /// When.
    pub(crate) at: Timestamp,
    /// The epoch of the failover.
    pub(crate) epoch: u64,
}

/// A sentinel tells another primary, or another epoch, than before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opinion {
    /// Who.
    pub(crate) sentinel: HostId,
    /// Since when.
    pub(crate) at: Timestamp,
    /// The epoch.
    pub(crate) epoch: u64,
    /// The primary.
    pub(crate) primary: SocketAddr,
}

/// All executions of marked writes, all promotions and all that sentinels told, in order.
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
    /// Notes that sentinels made a server the primary, which they may say more than once.
    pub(crate) fn promoted(&mut self, host: HostId, at: Timestamp, epoch: u64) {
        let known = self.promotions.iter().any(|p| p.host == host && p.epoch == epoch);
        if !known && self.promotions.len() < ENTRIES_MAX {
            self.promotions.push(Promotion { host, at, epoch });
        }
    }

    /// Notes what a sentinel tells clients from now on.
    pub(crate) fn told(&mut self, opinion: Opinion) {
        if self.opinions.len() < ENTRIES_MAX {
            self.opinions.push(opinion);
        }
    }

    /// Notes a write, if it is marked.
    pub(crate) fn note(&mut self, host: HostId, at: Timestamp, arguments: &[Bytes]) {
        let marked = arguments.iter().find(|a| a.starts_with(TOKEN_PREFIX.as_bytes()));
        if let Some(token) = marked
            && self.executions.len() < ENTRIES_MAX
        {
            self.executions.push(Execution { token: token.clone(), host, at });
        }
    }
}
