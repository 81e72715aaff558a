//! Subscriptions against real servers: what is published comes, whatever happens to the servers,
//! and what does not come is told.

#![expect(clippy::unwrap_used, reason = "a harness of tests: a surprise is a failure")]

mod basics;
mod durable;
mod follow;
mod many;
mod reader;
mod slow;
