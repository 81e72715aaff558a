//! Subscriptions against real servers: what is published comes, whatever happens to the servers,
//! and what does not come is told.

#![expect(clippy::unwrap_used, reason = "a harness of tests: a surprise is a failure")]

mod basics;
mod follow;
mod reader;
mod slow;
