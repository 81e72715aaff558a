//! An edge function that limits rates, keeps sessions and streams events on a cluster.
//!
//! The host starts an instance for each request, so every request is a cold start: a client is
//! made, used and dropped within one call of the handler. `memory` keeps the topology of the
//! cluster for the next instance. README.md says how to build, run and use the function.

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

/// The host calls `handler` and never `main`.
fn main() {
    eprintln!("build this for wasm32-wasip2 and serve it: README.md says how");
}
