//! The client against real clusters: routing, redirects, failovers, addresses that change.
//!
//! Each test has a cluster of its own. `load` runs a closed loop of commands over all shards and
//! records every outcome with its time, so that a test can say how long whom a fault hurt.

mod addresses;
mod healing;
mod load;
mod moves;
mod recovery;
mod routing;
mod scan;
mod spread;
