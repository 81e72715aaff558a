//! Turns what the host threw or rejected with into an `io::Error`.
//!
//! Invariants: the text is the host's own, so that what a user searches for is there; the kind is
//! that of the first error of the chain (`errors` of several addresses, `cause`) that has one.
//! Whatever was thrown may be no error at all, and its properties may throw. An error of an open
//! stream is `ConnectionRefused` only if the server has processed nothing.
//! Limits: eight errors of a chain are read, and 1 KiB of text.

use crate::{host, kinds};
use std::io;
use wasm_bindgen::{JsCast, JsValue};

/// How many errors of a chain are read.
const CHAIN_MAX: usize = 8;
/// Bytes of text that are kept.
const TEXT_MAX: usize = 1024;

/// What is known of an error.
struct Read {
    /// Its kind.
    kind: io::ErrorKind,
    /// The host's text.
    text: String,
    /// The server does not accept the client's certificate.
    refuses_client: bool,
}

/// The error of a dial.
pub(crate) fn of_dial(thrown: &JsValue) -> io::Error {
    let read = read(thrown);
    let hint = kinds::hint(&read.text);
    io::Error::new(read.kind, format!("{}{hint}", read.text))
}

/// The error of an open stream; `may_refuse` if the stream has TLS and nothing was read before.
///
/// Only a server that refuses the client then is `ConnectionRefused`, since the core takes that as
/// a proof that nothing was processed, and only then a server has done so.
pub(crate) fn of_stream(thrown: &JsValue, may_refuse: bool) -> io::Error {
    let read = read(thrown);
    let kind = match read.kind {
        _ if may_refuse && read.refuses_client => io::ErrorKind::ConnectionRefused,
        io::ErrorKind::ConnectionRefused => io::ErrorKind::ConnectionReset,
        kind => kind,
    };
    io::Error::new(kind, read.text)
}

/// An error of this crate about something that the host did.
pub(crate) fn broken_host(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what)
}

fn read(thrown: &JsValue) -> Read {
    let mut read = Read { kind: io::ErrorKind::Other, text: String::new(), refuses_client: false };
    let mut next = Some(thrown.clone());
    for _ in 0..CHAIN_MAX {
        let Some(value) = next.take() else { break };
        let error: &host::Thrown = value.unchecked_ref();
        let is_object = value.is_object() || value.is_function();
        let property = |got: fn(&host::Thrown) -> Result<JsValue, JsValue>| {
            if is_object { got(error).ok() } else { None }
        };
        let string = |got| property(got).and_then(|v: JsValue| v.as_string()).unwrap_or_default();
        let (code, name) = (string(host::Thrown::code), string(host::Thrown::name));
        let message = match string(host::Thrown::message) {
            text if !text.is_empty() => text,
            // An error of several addresses has no text of its own.
            _ if !code.is_empty() => code.clone(),
            _ => host::text(&value).unwrap_or_else(|_| "an error without text".to_owned()),
        };
        if read.kind == io::ErrorKind::Other {
            read.kind = kinds::of(&code, &name, &message);
        }
        read.refuses_client |= kinds::refuses_client(&code, &message);
        if !read.text.contains(&message) {
            let between = if read.text.is_empty() { "" } else { ": " };
            read.text = format!("{}{between}{message}", read.text);
        }
        let last = property(host::Thrown::errors).and_then(last);
        next = last.or_else(|| property(host::Thrown::cause).filter(|cause| cause.is_object()));
    }
    let mut end = read.text.len().min(TEXT_MAX);
    while !read.text.is_char_boundary(end) {
        end -= 1;
    }
    read.text.truncate(end);
    read
}

/// The last element of an array.
fn last(value: JsValue) -> Option<JsValue> {
    let array = value.dyn_into::<js_sys::Array>().ok()?;
    let at = array.length().checked_sub(1)?;
    Some(array.get(at)).filter(|last| last.is_object())
}
