//! What the examples share: a line that shows how far a long step is.
//!
//! The examples themselves lie beside the manifest, one idea each. Nothing of this crate is part of
//! the product.

mod progress;

pub use progress::Progress;
