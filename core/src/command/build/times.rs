//! Durations as command arguments, and the words of the commands that set an expiry.
//!
//! Callers give a `Duration`, so that seconds and milliseconds cannot be mixed up.
//! Limits: expiries are whole milliseconds, rounded up so that a short one does not become 0,
//! which the servers refuse.
//! Spec: <https://redis.io/commands/set/>, <https://redis.io/commands/getex/>.

use super::append::Options;
use crate::command::Command;
use std::time::Duration;

/// What SET or GETEX does to a key's expiry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expiry {
    /// The key expires after this time: EX, or PX if that is not whole seconds.
    After(Duration),
    /// The key expires at this time since the Unix epoch: EXAT or PXAT.
    At(Duration),
    /// SET: the key keeps the expiry that it has.
    Keep,
    /// GETEX: the expiry is removed.
    Persist,
}

impl Options for Expiry {
    fn add_to(self, command: Command) -> Command {
        let (seconds, milliseconds, time) = match self {
            Self::After(time) => ("EX", "PX", time),
            Self::At(time) => ("EXAT", "PXAT", time),
            Self::Keep => return command.arg("KEEPTTL"),
            Self::Persist => return command.arg("PERSIST"),
        };
        match whole_seconds(time) {
            Some(time) => command.arg(seconds).arg(time),
            None => command.arg(milliseconds).arg(millis(time)),
        }
    }
}

/// The time in seconds, if it is a whole number of them and not zero.
pub(super) fn whole_seconds(time: Duration) -> Option<u64> {
    (time.subsec_nanos() == 0 && time.as_secs() > 0).then_some(time.as_secs())
}

/// Milliseconds, rounded up.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Seconds with a fraction, as blocking commands take them.
pub(super) fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
