//! What a read policy of the application's own sees, and how it is plugged in.
//!
//! A policy is a pure choice over a table of candidates: no I/O, no clock, so that it can be tested
//! with a table written by hand. The built-in policies choose over the same facts
//! (`routing/read_from.rs`). Called by `driver/pick.rs`, which makes the table.

use crate::bounds::{MaybeSend, MaybeSync};
use crate::endpoint::Endpoint;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// A node that could serve a read, with all that this client knows of it.
///
/// For tests, make one with [`Candidate::primary`] or [`Candidate::replica`] and set fields.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Where it listens.
    pub endpoint: &'a Endpoint,
    /// Whether it is the shard's primary; each shard has one candidate that is.
    pub is_primary: bool,
    /// Its availability zone, if it is known.
    pub zone: Option<&'a str>,
    /// Commands of this client that it owes replies to.
    pub in_flight: u32,
    /// What its real replies took of late, as a moving average; `None` before the first.
    pub latency: Option<Duration>,
    /// It lacks at most what was written within this time; `None` when nothing is known. Known only
    /// where `max_staleness` is set. Zero for the primary.
    pub lag: Option<Duration>,
    /// It has failed of late, or says that it has lost its primary: better somebody else.
    pub is_quarantined: bool,
}

impl<'a> Candidate<'a> {
    /// A primary of which nothing else is known.
    #[must_use]
    pub const fn primary(endpoint: &'a Endpoint) -> Self {
        let lag = Some(Duration::ZERO);
        Self { is_primary: true, lag, ..Self::replica(endpoint) }
    }

    /// A replica of which nothing else is known.
    #[must_use]
    pub const fn replica(endpoint: &'a Endpoint) -> Self {
        Self {
            endpoint,
            is_primary: false,
            zone: None,
            in_flight: 0,
            latency: None,
            lag: None,
            is_quarantined: false,
        }
    }
}

/// A read policy of the application's own, for [`ReadFrom::custom`](crate::ReadFrom::custom).
pub trait ReadPolicy: MaybeSend + MaybeSync + 'static {
    /// What it is called where a policy is shown: `custom:NAME`.
    fn name(&self) -> &str;

    /// The index of the node to read from; `None`, or an index that there is none of, fails the
    /// read with `NoReplica`.
    ///
    /// `candidates` are the nodes of one shard, without those at which this very call has failed
    /// and, under a `max_staleness`, without those that are not known to keep it. `turn` grows by
    /// one with each choice for the shard. Called for each read, so it should be quick, and it must
    /// not wait.
    fn choose(&self, candidates: &[Candidate<'_>], turn: u64) -> Option<usize>;
}

/// A [`ReadPolicy`] as a value: a clone is the same policy, and equal to no other.
#[derive(Clone)]
pub struct Custom {
    /// Shared by clones.
    policy: Arc<dyn ReadPolicy>,
}

impl Custom {
    pub(super) fn new(policy: impl ReadPolicy) -> Self {
        Self { policy: Arc::new(policy) }
    }

    /// The policy itself.
    #[must_use]
    pub fn policy(&self) -> &dyn ReadPolicy {
        &*self.policy
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Custom").field(&self.policy.name()).finish()
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.policy, &other.policy)
    }
}

impl Eq for Custom {}

impl Hash for Custom {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.policy).cast::<()>().hash(state);
    }
}
