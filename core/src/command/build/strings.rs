//! Commands on strings.
//!
//! Spec: <https://redis.io/docs/latest/commands/?group=string>. Called by users and by the client's
//! methods of the same names.

use crate::command::{Command, Head, ToArg};

/// `GET key`
#[inline]
#[must_use]
pub fn get(key: impl ToArg) -> Command {
    Command::start(const { Head::of("GET") }).key(key)
}

/// `SET key value`
#[inline]
#[must_use]
pub fn set(key: impl ToArg, value: impl ToArg) -> Command {
    Command::start(const { Head::of("SET") }).key(key).arg(value)
}
