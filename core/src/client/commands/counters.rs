//! The client's methods for strings that are numbers.
//!
//! Invariant: each method sends the command of the same name in `command/build/`, and nothing else.
//! It names the reply's type where only one makes sense; otherwise the caller chooses it.

use crate::client::{Call, Client};
use crate::command::{self, ToArg};

impl Client {
    /// `INCR key`: the value after it.
    ///
    /// Since 1.0.0. <https://redis.io/commands/incr/>
    pub fn incr(&self, key: impl ToArg) -> Call<'_, i64> {
        self.send(command::incr(key))
    }

    /// `INCRBY key increment`: the value after it.
    ///
    /// Since 1.0.0. <https://redis.io/commands/incrby/>
    pub fn incrby(&self, key: impl ToArg, increment: i64) -> Call<'_, i64> {
        self.send(command::incrby(key, increment))
    }

    /// `INCRBYFLOAT key increment`: the value after it.
    ///
    /// Since 2.6.0. <https://redis.io/commands/incrbyfloat/>
    pub fn incrbyfloat(&self, key: impl ToArg, increment: f64) -> Call<'_, f64> {
        self.send(command::incrbyfloat(key, increment))
    }

    /// `DECR key`: the value after it.
    ///
    /// Since 1.0.0. <https://redis.io/commands/decr/>
    pub fn decr(&self, key: impl ToArg) -> Call<'_, i64> {
        self.send(command::decr(key))
    }

    /// `DECRBY key decrement`: the value after it.
    ///
    /// Since 1.0.0. <https://redis.io/commands/decrby/>
    pub fn decrby(&self, key: impl ToArg, decrement: i64) -> Call<'_, i64> {
        self.send(command::decrby(key, decrement))
    }
}
