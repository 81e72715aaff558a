//! What all parts of a client share: transport, configuration, clock, random numbers, counters and
//! events. Uses no other folder of the driver.

pub(crate) mod cached_clock;
pub(crate) mod connection_limit;
pub(crate) mod environment;
pub(crate) mod events;
pub(crate) mod join_all;
pub(crate) mod link_settings;
pub(crate) mod members;
pub(crate) mod metrics;
pub(crate) mod place_wait;
pub(crate) mod refresh_triggers;
pub(crate) mod shared_future;
pub(crate) mod telemetry;
pub(crate) mod weak_list;
