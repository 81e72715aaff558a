//! A function for each of the everyday commands, which returns it as a value.
//!
//! One file per data type. Each function only writes arguments: what a reply becomes is the
//! caller's choice, or that of the client's method of the same name. A command without a function
//! here goes through `cmd`.

mod strings;

pub use strings::*;
