//! Commands on data: each is a function of the store and its arguments.
//!
//! **Invariants**: a command depends on nothing but the store, its clock and its seed. It does not
//! know connections, replicas or clusters, because the same functions serve clients, scripts, and
//! replicas that apply the changes of their primary.

pub(crate) mod bits;
pub(crate) mod expire;
pub(crate) mod hashes;
pub(crate) mod keys;
pub(crate) mod list_moves;
pub(crate) mod lists;
pub(crate) mod scan;
pub(crate) mod sets;
pub(crate) mod sorted;
pub(crate) mod sorted_algebra;
pub(crate) mod sorted_ranges;
pub(crate) mod stream;
pub(crate) mod stream_claims;
pub(crate) mod stream_groups;
pub(crate) mod stream_info;
pub(crate) mod streams;
pub(crate) mod strings;
