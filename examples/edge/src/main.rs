//! An edge function with a job: it limits rates, keeps sessions and streams events, on a cluster.
//!
//! Hosts start an instance of it for each request, so every request is a cold start: a client is
//! made, used and dropped within one call of the handler, and what was learnt of the cluster is
//! left in `memory` for the next one. README.md says how it is built, run and used.

#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod events;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod handler;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod limiter;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod memory;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod routes;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod sessions;

/// What a host calls is in `handler`; a program that is run says so.
fn main() {
    eprintln!("build this for wasm32-wasip2 and serve it: README.md says how");
}
