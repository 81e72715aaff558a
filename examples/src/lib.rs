//! What the examples share: a server to talk to, and a line that shows how far a long step is.
//!
//! The examples themselves lie beside the manifest, one idea each, under 80 lines. Nothing of this
//! crate is part of the product.

mod progress;
mod server;

pub use progress::Progress;
pub use server::Server;
