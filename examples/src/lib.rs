//! What the examples share: a server to use, and a progress bar.
//!
//! The examples are the files beside `Cargo.toml`. Nothing here is part of the product.

mod progress;
mod server;

pub use progress::Progress;
pub use server::Server;
