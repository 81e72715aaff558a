//! `#[test]`, with the test's body handed to `crate::stage::run` as a closure.
//!
//! A crate that says `#[macro_use] extern crate slotcar_stage;` gets this one wherever it writes
//! `#[test]`, so test files that it includes by path stay as they are. The suites inside of
//! components need it (`transport-wasi/tests/staged`): there, a test has to run as a whole within
//! one executor.
//!
//! Limit: for functions without arguments that return nothing, which tests are.

use proc_macro::{Delimiter, Group, Punct, Spacing, TokenStream, TokenTree};

/// See the head of this file.
#[proc_macro_attribute]
pub fn test(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut function: Vec<TokenTree> = item.into_iter().collect();
    // The body is a function's last token.
    let body = function.pop();
    let bar = |spacing| TokenTree::Punct(Punct::new('|', spacing));
    let closure = [bar(Spacing::Joint), bar(Spacing::Alone)].into_iter().chain(body).collect();
    let group = |delimiter, stream| TokenTree::Group(Group::new(delimiter, stream));
    let mut call = tokens("crate::stage::run");
    call.extend([group(Delimiter::Parenthesis, closure)]);
    let mut test = tokens("#[::core::prelude::v1::test]");
    test.extend(function);
    test.extend([group(Delimiter::Brace, call)]);
    test
}

fn tokens(text: &str) -> TokenStream {
    text.parse().unwrap_or_default()
}
