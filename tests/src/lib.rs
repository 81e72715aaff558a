//! What the integration suites of slotcar stand on.
//!
//! `real` starts Redis and Valkey servers, clusters and sentinel groups, breaks them on purpose,
//! and puts proxies and scripted peers in between. It is plain blocking code and shares none with
//! slotcar, so that a bug of the client cannot hide in its own tests. `beside` is where load comes
//! from. `watched` sees what the
//! client does on its own side of the wire, `told` checks what its errors say, and `turns` polls
//! its futures by hand.

pub mod beside;
pub mod real;
pub mod told;
pub mod turns;
pub mod watched;

pub use told::Told;
pub use watched::Watched;
