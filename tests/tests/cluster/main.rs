//! The client against real clusters: routing, redirects, failovers, addresses that change.
//!
//! Each test has a cluster of its own. `load` runs a closed loop of commands over all shards and
//! records each result with its time, so a test sees which slots a fault hurt and for how long.

mod addresses;
mod atomic_migration;
mod blocked;
mod healing;
mod identity;
mod key_scan;
mod limited;
mod load;
mod moves;
mod recovery;
mod routing;
mod scan;
mod slot_arguments;
mod spread;
