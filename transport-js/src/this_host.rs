//! `Js::of_this_host`: which of the modules in `js/` opens the sockets.
//!
//! Invariant: nothing is loaded before the first dial. The modules import nothing themselves, so a
//! program with all three of them starts on every host.
//!
//! Limit: Bun is taken for Node, whose modules it has.

use crate::js::Js;
use js_sys::{Function, Reflect};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(module = "/js/node.js")]
extern "C" {
    #[wasm_bindgen(thread_local_v2, js_name = connect)]
    static NODE: Function;
}

#[wasm_bindgen(module = "/js/deno.js")]
extern "C" {
    #[wasm_bindgen(thread_local_v2, js_name = connect)]
    static DENO: Function;
}

#[wasm_bindgen(module = "/js/workers.js")]
extern "C" {
    #[wasm_bindgen(thread_local_v2, js_name = connect)]
    static WORKERS: Function;
}

impl Js {
    /// A transport with the sockets of the host that this runs in: Node 20.16 or newer, Bun, Deno,
    /// or one with the module `cloudflare:sockets`, which any other host is taken for.
    ///
    /// In a host without sockets, a browser for instance, each dial fails with `Unsupported`.
    #[must_use]
    pub fn of_this_host() -> Self {
        // workerd with `nodejs_compat` looks like Node as well, and so does Deno.
        let connect = if word("navigator", "userAgent").is_some_and(|w| w == "Cloudflare-Workers") {
            &WORKERS
        } else if has("Deno", "connect") {
            &DENO
        } else if has("process", "getBuiltinModule") || has("process", "binding") {
            &NODE
        } else {
            &WORKERS
        };
        Self::new(connect.with(Function::clone))
    }
}

/// `object.property` of the host.
fn global(object: &str, property: &str) -> Option<JsValue> {
    let object = Reflect::get(&js_sys::global(), &JsValue::from_str(object)).ok()?;
    Reflect::get(&object, &JsValue::from_str(property)).ok()
}

fn word(object: &str, property: &str) -> Option<String> {
    global(object, property)?.as_string()
}

fn has(object: &str, property: &str) -> bool {
    global(object, property).is_some_and(|value| value.is_function())
}
