//! From an endpoint to an open stream: the host's `connect`, and what may be wrong with it.
//!
//! Invariants:
//! - a socket that the host made is closed if the dial is dropped or fails, also if the host
//!   returns it later: `connect` may be an async function;
//! - where TLS was asked for, no stream is returned that says of itself that it has none;
//! - a host that misbehaves (no function, no socket, an error) is an error of a dial, never a panic
//!   and never a rejection that nobody handles.
//!
//! Limit: the host resolves the name, tries its addresses and checks the certificate, all before
//! `opened` resolves; how long each took is not known.

use crate::stream::Stream;
use crate::{errors, host, promise};
use js_sys::{Function, Object, Reflect};
use slotcar_core::{DialNotes, Endpoint};
use std::io;
use wasm_bindgen::{JsCast, JsValue};

/// What this crate needs of the host beside sockets.
const GLOBALS: &[&str] = &["setTimeout", "clearTimeout", "performance"];

/// Opens a stream; with TLS if `secure`.
pub(crate) async fn dial(
    connect: &Function,
    endpoint: &Endpoint,
    secure: bool,
    notes: &DialNotes,
) -> io::Result<Stream> {
    let Endpoint::Tcp { host, port } = endpoint else {
        return Err(errors::broken_host("JavaScript hosts have no unix sockets"));
    };
    check_globals()?;
    let called = call(connect, host, *port, secure).map_err(|thrown| errors::of(&thrown))?;
    let socket = Opening::of(called).await?;
    let opened = socket.get().opened().map_err(|thrown| errors::of(&thrown))?;
    let opened = promise::of(&opened).map_err(|thrown| errors::of(&thrown))?;
    opened.await.map_err(|thrown| errors::of(&thrown))?;
    let says = socket.get().secure_transport().ok().and_then(|says| says.as_string());
    if secure && says.is_some_and(|says| says != "on") {
        return Err(errors::broken_host("`connect` was asked for TLS and opened a socket without"));
    }
    Stream::new(socket, secure, notes.abort_flag())
}

/// Fails if the host has no timers or no clock: no deadline would ever pass.
fn check_globals() -> io::Result<()> {
    let global = js_sys::global();
    for name in GLOBALS {
        let value = Reflect::get(&global, &JsValue::from_str(name)).unwrap_or_default();
        if !value.is_function() && !value.is_object() {
            return Err(errors::broken_host(&format!("this host has no `{name}`")));
        }
    }
    Ok(())
}

/// Calls `connect` as the standard says.
fn call(connect: &Function, host: &str, port: u16, secure: bool) -> Result<JsValue, JsValue> {
    if !connect.is_function() {
        return Err(JsValue::from_str("not supported: `connect` is no function"));
    }
    let address = object(&[("hostname", host.into()), ("port", port.into())])?;
    let transport = if secure { "on" } else { "off" };
    let options = [("secureTransport", transport.into()), ("allowHalfOpen", false.into())];
    connect.call2(&JsValue::UNDEFINED, &address, &object(&options)?)
}

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
    async fn of(called: JsValue) -> io::Result<Self> {
        let then = Reflect::get(&called, &JsValue::from_str("then"));
        if !then.is_ok_and(|then| then.is_function()) {
            return Self::new(called);
        }
        let pending = promise::of(&called).map_err(|thrown| errors::of(&thrown))?;
        let mut late = Late(Some(called));
        let settled = pending.await;
        late.0 = None;
        Self::new(settled.map_err(|thrown| errors::of(&thrown))?)
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
        wasm_bindgen_futures::spawn_local(async move {
            // An error is one of a dial that nobody waits for.
            drop(socket.await.map(Opening::new));
        });
    }
}
