//! The interface for a read policy of the application.
//!
//! A policy chooses among candidates and does nothing else: no I/O, no clock. So a test can call it
//! with candidates written by hand. The built-in policies (`routing/read_from.rs`) choose by the
//! same facts. `driver/replica/select.rs` makes the list of candidates.

use crate::bounds::{MaybeSend, MaybeSync};
use crate::endpoint::Endpoint;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// A node that could serve a read, with what this client knows of it.
///
/// For tests, make one with [`Candidate::primary`] or [`Candidate::replica`] and set fields.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its address.
    pub endpoint: &'a Endpoint,
    /// Whether it is the primary; one candidate of each shard is.
    pub is_primary: bool,
    /// Its availability zone, if it is known.
    pub zone: Option<&'a str>,
    /// Commands of this client that it has not answered yet.
    pub in_flight: u32,
    /// The moving average of its recent reply times; `None` before the first reply.
    pub latency: Option<Duration>,
    /// It lacks at most what was written within this time; `None` if that is not known. It is known
    /// only if `max_staleness` is set. Zero for the primary.
    pub lag: Option<Duration>,
    /// It has failed recently, or reports that it has lost its primary: use another node if
    /// possible.
    pub is_quarantined: bool,
}

impl<'a> Candidate<'a> {
    /// A primary; the other fields say that nothing is known.
    #[must_use]
    pub const fn primary(endpoint: &'a Endpoint) -> Self {
        let lag = Some(Duration::ZERO);
        Self { is_primary: true, lag, ..Self::replica(endpoint) }
    }

    /// A replica; the other fields say that nothing is known.
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

/// A read policy of the application, for [`ReadFrom::custom`](crate::ReadFrom::custom).
pub trait ReadPolicy: MaybeSend + MaybeSync + 'static {
    /// Its name, which is shown as `custom:NAME`.
    fn name(&self) -> &str;

    /// Returns the index of the node to read from. With `None`, or an index that is out of range,
    /// the read fails with `NoReplica`.
    ///
    /// `candidates` are the nodes of one shard, without those where this call has already failed
    /// and, with `max_staleness`, without those whose lag may be greater. `turn` grows by one with
    /// each choice for the shard. The function is called for each read: it should be fast and must
    /// not block.
    fn choose(&self, candidates: &[Candidate<'_>], turn: u64) -> Option<usize>;
}

/// A [`ReadPolicy`] as a value. It is equal to its clones and to nothing else.
#[derive(Clone)]
pub struct Custom {
    /// Shared by clones.
    policy: Arc<dyn ReadPolicy>,
}

impl Custom {
    pub(super) fn new(policy: impl ReadPolicy) -> Self {
        Self { policy: Arc::new(policy) }
    }

    /// The policy.
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
