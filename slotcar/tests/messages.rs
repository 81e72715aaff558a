//! What the compiler says about mistakes that every user makes once. The texts are slotcar's own:
//! they name what is missing and how to write it.
//!
//! **Invariant**: each case in `messages/` does not compile, and its text is beside it. `TRYBUILD=
//! overwrite cargo test -p slotcar --test messages` writes the texts anew.

#![cfg(not(target_family = "wasm"))]

#[test]
fn mistakes_have_messages_of_their_own() {
    trybuild::TestCases::new().compile_fail("tests/messages/*.rs");
}
