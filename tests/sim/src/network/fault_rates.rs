//! Random faults of the network on clients' connections, in per mille of the events concerned.
//!
//! With all zero there are no faults. A fault plan draws one of these per run; the second phase of
//! the run sets it back to zero.

use std::time::Duration;

/// Chances of the network's own faults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FaultRates {
    /// A write arrives in several pieces.
    pub(crate) split: u32,
    /// A read or a write takes fewer bytes than it could.
    pub(crate) short: u32,
    /// A piece is delayed, and with it all that follows on the same connection.
    pub(crate) stall: u32,
    /// The longest delay of a piece.
    pub(crate) stall_max: Duration,
    /// A connection is reset instead of carrying a write.
    pub(crate) reset_before: u32,
    /// A connection is reset after it carried a write, before the reply.
    pub(crate) reset_after: u32,
    /// The server closes its side in order while the client still writes.
    pub(crate) half_close: u32,
    /// A connection is silent from then on: nothing arrives, and no side gets an error.
    pub(crate) black_hole: u32,
    /// A connection attempt is refused.
    pub(crate) refuse: u32,
    /// A connection attempt gets no answer.
    pub(crate) ignore_dial: u32,
    /// A name lookup fails.
    pub(crate) lookup_fails: u32,
    /// A name lookup takes up to `lookup_slow_max` longer.
    pub(crate) lookup_slow: u32,
    /// The longest delay of a name lookup.
    pub(crate) lookup_slow_max: Duration,
}
