//! What the network does to clients' connections by chance, in per mille of the events concerned.
//!
//! All zero is a polite network. A fault plan draws one of these per run; the second phase of the
//! run sets it back to zero.

use std::time::Duration;

/// Chances of the network's own faults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mischief {
    /// A write arrives in several pieces.
    pub(crate) split: u32,
    /// A read or a write takes fewer bytes than it could.
    pub(crate) short: u32,
    /// A piece is held up for a while, and all that follows it on the same connection.
    pub(crate) stall: u32,
    /// How long at most a piece is held up.
    pub(crate) stall_max: Duration,
    /// A connection is reset instead of carrying a write.
    pub(crate) reset_before: u32,
    /// A connection is reset after it carried a write, before the answer.
    pub(crate) reset_after: u32,
    /// The server's side is closed in an orderly way while the client still writes.
    pub(crate) half_close: u32,
    /// A connection goes silent for ever: nothing arrives, and nobody is told.
    pub(crate) black_hole: u32,
    /// A dial is refused.
    pub(crate) refuse: u32,
    /// A dial gets no answer.
    pub(crate) ignore_dial: u32,
    /// A look-up fails.
    pub(crate) lookup_fails: u32,
    /// A look-up takes up to `lookup_slow_max` longer.
    pub(crate) lookup_slow: u32,
    /// How much longer a slow look-up takes at most.
    pub(crate) lookup_slow_max: Duration,
}
