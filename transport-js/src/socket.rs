//! The socket that a call of `connect` made, and that is closed when nobody wants it any more.
//!
//! Invariants:
//! - a socket is closed if it, or the dial that waits for it, is dropped; also if the host returns
//!   it only later, since `connect` may be an async function;
//! - nothing that is done here throws or leaves a rejection that nobody handles.

use crate::{errors, host, promise, tasks};
use js_sys::{Object, Reflect};
use std::io;
use wasm_bindgen::{JsCast, JsValue};

/// An object with these properties.
pub(crate) fn object(properties: &[(&str, JsValue)]) -> Result<JsValue, JsValue> {
    let object = Object::new();
    for (name, value) in properties {
        Reflect::set(&object, &JsValue::from_str(name), value)?;
    }
    Ok(object.into())
}

/// A socket that is closed when this is dropped.
pub(crate) struct Opening(host::Socket);

impl Opening {
    /// The socket that a call of `connect` returned, or that the promise resolves to.
    pub(crate) async fn of(called: JsValue) -> io::Result<Self> {
        let then = Reflect::get(&called, &JsValue::from_str("then"));
        if !then.is_ok_and(|then| then.is_function()) {
            return Self::new(called);
        }
        let pending = promise::of(&called).map_err(|thrown| errors::of_dial(&thrown))?;
        let mut late = Late(Some(called));
        let settled = pending.await;
        late.0 = None;
        Self::new(settled.map_err(|thrown| errors::of_dial(&thrown))?)
    }

    fn new(value: JsValue) -> io::Result<Self> {
        if !value.is_object() {
            let what = host::text(&value).unwrap_or_default();
            return Err(errors::broken_host(&format!("`connect` returned {what}, no socket")));
        }
        promise::ignore_of(&value, &["opened", "closed"]);
        let opening = Self(value.unchecked_into());
        let both = [opening.0.readable(), opening.0.writable()];
        if both.iter().any(|stream| !stream.as_ref().is_ok_and(JsValue::is_object)) {
            let what = "`connect` returned an object without `readable` and `writable`";
            return Err(errors::broken_host(what));
        }
        Ok(opening)
    }

    pub(crate) fn get(&self) -> &host::Socket {
        &self.0
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        promise::ignore(self.0.close());
    }
}

/// A promise of a socket, which is closed as soon as it is there, unless this was emptied.
struct Late(Option<JsValue>);

impl Drop for Late {
    fn drop(&mut self) {
        let Some(socket) = self.0.take().and_then(|promised| promise::of(&promised).ok()) else {
            return;
        };
        tasks::spawn(Box::pin(async move {
            // An error is one of a dial that nobody waits for.
            drop(socket.await.map(Opening::new));
        }));
    }
}
