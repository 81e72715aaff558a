//! The types that a reply may be decoded into.
//!
//! Invariant: these are all that serde deserializes and that borrow nothing. The trait exists for
//! what the compiler says where a type is missing.

use serde::de::DeserializeOwned;

/// A type that a reply is decoded into: everything that serde deserializes and that borrows
/// nothing. `docs/decoding.md` has the rules. Not to be implemented: derive `serde::Deserialize`.
#[diagnostic::on_unimplemented(
    message = "a reply cannot be decoded into `{Self}`",
    label = "what the reply is decoded into is not known, or cannot be deserialized",
    note = "if no type was written, write it: `let name: Option<String> = \
            client.get(\"name\").await?`, or `client.get::<Option<String>>(\"name\")`, or `()` if \
            the reply does not matter",
    note = "if it is a type of yours, derive `serde::Deserialize` for it; it may borrow nothing",
    note = "if it is `TooManyReplies`: types follow up to 16 commands; for more, use `push` and \
            `run::<Vec<_>>`"
)]
pub trait FromReply: DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> FromReply for T {}
