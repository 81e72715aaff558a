//! The client's methods for strings that are numbers.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::execute::Execute;
use crate::command::{self, ToArg};

/// Commands of this group, for everything that runs commands: see [`Execute`].
pub trait CounterCommands: Execute {
    /// `INCR key`: the value after it.
    ///
    /// Since 1.0.0. <https://redis.io/commands/incr/>
    fn incr(self, key: impl ToArg) -> Self::Output<i64> {
        self.execute(command::incr(key))
    }

    /// `INCRBY key increment`: the value after it.
    ///
    /// Since 1.0.0. <https://redis.io/commands/incrby/>
    fn incrby(self, key: impl ToArg, increment: i64) -> Self::Output<i64> {
        self.execute(command::incrby(key, increment))
    }

    /// `INCRBYFLOAT key increment`: the value after it.
    ///
    /// Since 2.6.0. <https://redis.io/commands/incrbyfloat/>
    fn incrbyfloat(self, key: impl ToArg, increment: f64) -> Self::Output<f64> {
        self.execute(command::incrbyfloat(key, increment))
    }

    /// `DECR key`: the value after it.
    ///
    /// Since 1.0.0. <https://redis.io/commands/decr/>
    fn decr(self, key: impl ToArg) -> Self::Output<i64> {
        self.execute(command::decr(key))
    }

    /// `DECRBY key decrement`: the value after it.
    ///
    /// Since 1.0.0. <https://redis.io/commands/decrby/>
    fn decrby(self, key: impl ToArg, decrement: i64) -> Self::Output<i64> {
        self.execute(command::decrby(key, decrement))
    }
}

impl<E: Execute> CounterCommands for E {}
