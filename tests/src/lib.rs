//! What the integration suites of slotcar stand on.
//!
//! `real` starts Redis and Valkey servers, clusters and sentinel groups, breaks them on purpose,
//! and puts proxies and scripted peers in between. It is plain blocking code and shares none with
//! slotcar, so that a bug of the client cannot hide in its own tests.

pub mod real;
