//! slotcar on WASI 0.2 sockets: `Wasi`, a transport for components built for `wasm32-wasip2`.
//!
//! It gives the core connections, time and random numbers, on the reactor of `wstd`: use it inside
//! of `wstd::runtime::block_on`, which `#[wstd::main]` and `#[wstd::http_server]` call. There are
//! no background tasks: a task that awaits a command, a subscription or a connection moves its
//! bytes. Nothing of this crate keeps a program running after its root future has completed.
//!
//! A client belongs to the `block_on` that it was made in, so in an HTTP server to one request: its
//! sockets wait in that reactor and must be dropped while it runs.
//!
//! A client has one connection to each node that it sends commands to, and one more to each that
//! serves a channel of a subscription; blocking calls have their own. Where the host allows few,
//! `subscription_connection=shared` puts commands and subscriptions on one.
//!
//! Names are resolved at every dial, by the host and without blocking; every address of a name is
//! tried. If all fail, the error is that of the last address and names it. The host must allow both
//! TCP and the lookup of names; an error of kind `PermissionDenied` says which one it denies.
//!
//! WASI has no `TCP_NODELAY`: a write that follows another too soon waits for an acknowledgement.
//! So the core puts all that it has into one write, and a layer in between should do the same.
//!
//! WASI cannot reset a connection either, so a stream here keeps no `AbortFlag`: when a connection
//! is given up, the host goes on sending what it had accepted, as long as it likes. After a black
//! hole a command that was reported as `Unknown` may run behind later ones.
//!
//! `slotcar-tls` adds TLS to this transport. Programs depend on `slotcar`, whose `connect` uses
//! this transport in a component.
//!
//! The size of a component depends first on its profile: use `lto = true`, `codegen-units = 1` and
//! `strip = true`, and `opt-level = "z"` if size matters more than speed. The linker drops what the
//! program never calls. It cannot drop what a URL or the name of a command could need: for that,
//! turn off the features `cluster`, `fan-out` (commands over several slots or nodes), `pubsub`
//! (subscriptions), `read-policies` (reads from replicas) and `sentinel`. A call that needs one of
//! them then gets an error that names the feature.
//!
//! **On every other target this crate is empty**, so that a workspace that holds it builds
//! anywhere.

#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod dial;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod errors;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod interest;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod resolve;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod stream;
#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod wasi;

#[cfg(all(target_os = "wasi", target_env = "p2"))]
pub use crate::wasi::Wasi;
