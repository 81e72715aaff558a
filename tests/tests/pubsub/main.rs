//! Subscriptions against real servers.
//!
//! **Invariant**: each published message arrives, or its loss is reported.

#![expect(clippy::unwrap_used, reason = "a harness of tests: a surprise is a failure")]

mod basics;
mod confirmations;
mod durable;
mod follow;
mod inside_replies;
mod keyspace_events;
mod many;
mod output_limit;
mod reader;
mod refused;
mod slow;
