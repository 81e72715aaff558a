//! Errors as JavaScript sees them: made by the class `SlotcarError` of `js/lib/errors.js`.
//!
//! The class is given once, by `install`; a module of its own could not import it without a
//! bundler's help. Invariant: no text here holds a password, as in the core.

use js_sys::{Array, Function};
use slotcar_core::{Delivery, Error, ErrorKind, ServerError};
use std::cell::RefCell;
use std::error::Error as StdError;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// More causes than this are not told: an error that is its own cause ends.
const CAUSES_MAX: usize = 8;

thread_local! {
    /// Makes an error of its parts, and the host's type of bytes of a `Uint8Array`.
    static FACE: RefCell<Option<(Function, Option<Function>)>> = const { RefCell::new(None) };
}

/// Sets the functions that make an error, and the host's own type of bytes, if it has one. Called
/// once, before anything else.
#[wasm_bindgen]
pub fn install(error: Function, bytes: Option<Function>) {
    FACE.set(Some((error, bytes)));
}

/// These bytes as the host's type of bytes.
pub(crate) fn host_bytes(bytes: &[u8]) -> JsValue {
    let copy = JsValue::from(js_sys::Uint8Array::from(bytes));
    FACE.with_borrow(|face| match face {
        Some((_, Some(convert))) => convert.call1(&JsValue::NULL, &copy).unwrap_or(copy),
        _ => copy,
    })
}

/// The error of a call.
pub(crate) fn to_js(error: &Error) -> JsValue {
    let causes = Array::new();
    let mut cause = error.source();
    while let Some(inner) = cause.filter(|_| (causes.length() as usize) < CAUSES_MAX) {
        causes.push(&text(inner));
        cause = inner.source();
    }
    let code = error.server_error().map(ServerError::code);
    let endpoint = error.endpoint().map(ToString::to_string);
    make(&[
        text(error),
        kind(error.kind()).into(),
        delivery(error.delivery()).into(),
        code.into(),
        error.command().into(),
        endpoint.into(),
        error.attempts().into(),
        causes.into(),
    ])
}

/// The error in the place of a value, as in the reply of a script.
pub(crate) fn of_server(error: &ServerError) -> JsValue {
    let absent = JsValue::UNDEFINED;
    make(&[
        text(error),
        kind(ErrorKind::Server).into(),
        delivery(Delivery::Answered).into(),
        error.code().into(),
        absent.clone(),
        absent.clone(),
        0.into(),
        absent,
    ])
}

/// The error of a call that its caller has ended; `began` if something may have been sent.
pub(crate) fn aborted(began: bool) -> JsValue {
    let known = if began { Delivery::Unknown } else { Delivery::NotSent };
    let absent = JsValue::UNDEFINED;
    make(&[
        "the call was aborted by its signal".into(),
        "Aborted".into(),
        delivery(known).into(),
        absent.clone(),
        absent.clone(),
        absent.clone(),
        0.into(),
        absent,
    ])
}

/// The error of an argument that this crate cannot use.
pub(crate) fn config(message: &str) -> JsValue {
    let absent = JsValue::UNDEFINED;
    make(&[
        message.into(),
        kind(ErrorKind::Config).into(),
        delivery(Delivery::NotSent).into(),
        absent.clone(),
        absent.clone(),
        absent.clone(),
        0.into(),
        absent,
    ])
}

fn make(parts: &[JsValue]) -> JsValue {
    let parts: Array = parts.iter().collect();
    let made = FACE.with_borrow(|face| {
        let (make, _) = face.as_ref()?;
        make.apply(&JsValue::NULL, &parts).ok()
    });
    made.unwrap_or_else(|| parts.get(0))
}

fn text(error: &(impl ToString + ?Sized)) -> JsValue {
    error.to_string().into()
}

fn kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Closed => "Closed",
        ErrorKind::Config => "Config",
        ErrorKind::Connect => "Connect",
        ErrorKind::Convert => "Convert",
        ErrorKind::Handshake => "Handshake",
        ErrorKind::Limit => "Limit",
        ErrorKind::Protocol => "Protocol",
        ErrorKind::Server => "Server",
        ErrorKind::Timeout => "Timeout",
        ErrorKind::Topology => "Topology",
        _ => "Unknown",
    }
}

fn delivery(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::NotSent => "NotSent",
        Delivery::Refused => "Refused",
        Delivery::Unknown => "Unknown",
        Delivery::Answered => "Answered",
    }
}
