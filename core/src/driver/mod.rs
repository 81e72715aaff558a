//! The part that awaits: moves bytes, dials, retries, keeps the routes. The decisions are made
//! below.
//!
//! From `observe` (what is counted and told) over `link` (one connection) and `topology` (the
//! routes) up to `dispatch` and `batch` (a command's way, many commands' way) and `spread` (one
//! command, many nodes).

pub(crate) mod alarm;
pub(crate) mod ask;
pub(crate) mod background;
pub(crate) mod batch;
pub(crate) mod checkup;
pub(crate) mod discover;
pub(crate) mod dispatch;
pub(crate) mod exchange;
pub(crate) mod host;
pub(crate) mod hub;
pub(crate) mod inbox;
pub(crate) mod io;
pub(crate) mod lane;
pub(crate) mod lessons;
pub(crate) mod link;
mod look;
mod moment;
pub(crate) mod node;
pub(crate) mod observe;
pub(crate) mod parcel;
pub(crate) mod pick;
mod publish;
pub(crate) mod pubsub;
pub(crate) mod push;
pub(crate) mod react;
pub(crate) mod reads;
pub(crate) mod request;
pub(crate) mod routes;
pub(crate) mod rule;
pub(crate) mod scan;
pub(crate) mod sentinels;
pub(crate) mod signal;
pub(crate) mod spread;
pub(crate) mod together;
pub(crate) mod topology;
pub(crate) mod transaction;
pub(crate) mod vitals;
pub(crate) mod watch;
pub(crate) mod work;
