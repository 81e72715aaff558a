//! slotcar on WASI 0.2 sockets: `Wasi`, a transport for components built for `wasm32-wasip2`.
//!
//! It carries bytes, time and chance for the core, on the reactor of `wstd`: call it from inside
//! `wstd::runtime::block_on`, which `#[wstd::main]` and `#[wstd::http_server]` do. There is no
//! background: the task that awaits a command, a subscription or a connection moves its bytes, and
//! nothing of this crate keeps a program running once its root future is done.
//!
//! A client belongs to the `block_on` that it was made in, so in an HTTP server to one request: its
//! sockets wait in that reactor, and must be dropped while it runs.
//!
//! Names are resolved at every dial, by the host and without blocking; every address of a name is
//! tried, and the last cause is kept with the address that it came from. The host has to allow both
//! TCP and the lookup of names; an error of kind `PermissionDenied` says which one it denies.
//!
//! WASI has no `TCP_NODELAY`: bytes that follow others too soon wait for an acknowledgement. The
//! core therefore hands over all it has in one write, and so should a layer in between.
//!
//! TLS is a transport around this one (`slotcar-tls`). Programs depend on `slotcar`, whose
//! `connect` takes this transport by itself in a component.
//!
//! What a component weighs depends on its profile first: compile it as a whole and without names
//! (`lto = true`, `codegen-units = 1`, `strip = true`), and with `opt-level = "z"` if size counts
//! more than time. What the program never calls, the linker leaves out by itself. What only a URL
//! or a command's name could ask for is left out by a feature that is turned off: `fan-out`
//! (commands over several slots or nodes), `read-policies` (reads from replicas) and `sentinel`.
//! A call that needs such a part fails with an error that names the feature.
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
