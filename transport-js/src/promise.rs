//! Promises of the host: awaited, or left to themselves.
//!
//! Invariants: whatever the host returns is taken for a promise, also what only has a `then` or
//! is no promise at all; every promise that was touched has a handler of rejections, or Node ends
//! the process when one rejects.
//!
//! Limit: a promise that never settles keeps the few bytes that wait for it, also when the future
//! was dropped.

use crate::host;
use js_sys::{Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// A future of what `value` settles to.
pub(crate) fn of(value: &JsValue) -> Result<JsFuture, JsValue> {
    host::resolve(value).map(|promise| JsFuture::from(promise.unchecked_into::<Promise>()))
}

/// Lets go of what a call returned: its result, its error and its rejection are of no interest.
pub(crate) fn ignore(called: Result<JsValue, JsValue>) {
    let Ok(value) = called else { return };
    if !value.is_object() {
        return;
    }
    if let Ok(promise) = host::resolve(&value) {
        let _ = host::NOTHING
            .with(|nothing| host::then(&promise, &JsValue::UNDEFINED, nothing.as_ref()));
    }
}

/// Lets go of promises that an object has as properties, if it has them.
pub(crate) fn ignore_of(object: &JsValue, properties: &[&str]) {
    for property in properties {
        ignore(Reflect::get(object, &JsValue::from_str(property)));
    }
}
