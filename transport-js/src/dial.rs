//! From an endpoint to an open stream: the host's `connect`, and what may be wrong with it.
//!
//! Invariants:
//! - where TLS was asked for, no stream is returned that says of itself that it has none;
//! - a host that misbehaves (no function, no socket, an error) is an error of a dial, never a panic
//!   and never a rejection that nobody handles.
//!
//! Limit: the host resolves the name, tries its addresses and checks the certificate, all before
//! `opened` resolves; how long each took is not known.

use crate::socket::{Opening, object};
use crate::stream::Stream;
use crate::{errors, promise};
use js_sys::{Function, Reflect};
use slotcar_core::{DialNotes, Endpoint};
use std::io;
use wasm_bindgen::JsValue;

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
    let called = call(connect, host, *port, secure).map_err(|thrown| errors::of_dial(&thrown))?;
    let socket = Opening::of(called).await?;
    let opened = socket.get().opened().map_err(|thrown| errors::of_dial(&thrown))?;
    let opened = promise::of(&opened).map_err(|thrown| errors::of_dial(&thrown))?;
    opened.await.map_err(|thrown| errors::of_dial(&thrown))?;
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
