//! What is called of the JavaScript host. Nothing else in this crate calls it.
//!
//! The types stand for whatever the host returned, and are not checked: a property that does not
//! exist is `undefined`, and a method that does not exist throws.
//!
//! Invariant: every import is `catch`, also those that cannot fail where the standard is kept. What
//! throws through Rust otherwise leaves its locks and its stack as they were in the middle, and
//! Workers throw from nearly everything that is called outside of a request, as a finalizer is.

use js_sys::Function;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// A socket of the WinterTC sockets API: <https://sockets-api.proposal.wintertc.org>.
    #[derive(Clone)]
    pub(crate) type Socket;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn readable(this: &Socket) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn writable(this: &Socket) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn opened(this: &Socket) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, catch, js_name = secureTransport)]
    pub(crate) fn secure_transport(this: &Socket) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(crate) fn close(this: &Socket) -> Result<JsValue, JsValue>;
    /// The property itself: not part of the standard.
    #[wasm_bindgen(method, getter, catch, js_name = abort)]
    pub(crate) fn abort_of(this: &Socket) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(crate) fn abort(this: &Socket) -> Result<JsValue, JsValue>;

    /// A `ReadableStream`, or what behaves like one.
    pub(crate) type Readable;
    #[wasm_bindgen(method, catch, js_name = getReader)]
    pub(crate) fn get_reader(this: &Readable) -> Result<Reader, JsValue>;
    #[wasm_bindgen(method, catch, js_name = getReader)]
    pub(crate) fn get_reader_with(this: &Readable, options: &JsValue) -> Result<Reader, JsValue>;

    /// A reader of either sort.
    pub(crate) type Reader;
    #[wasm_bindgen(method, catch)]
    pub(crate) fn read(this: &Reader) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = read)]
    pub(crate) fn read_into(this: &Reader, view: &Bytes) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(crate) fn cancel(this: &Reader) -> Result<JsValue, JsValue>;

    /// What a read resolves to.
    pub(crate) type Chunk;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn done(this: &Chunk) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn value(this: &Chunk) -> Result<JsValue, JsValue>;

    /// A `WritableStream`, or what behaves like one.
    pub(crate) type Writable;
    #[wasm_bindgen(method, catch, js_name = getWriter)]
    pub(crate) fn get_writer(this: &Writable) -> Result<Writer, JsValue>;

    /// A writer.
    pub(crate) type Writer;
    #[wasm_bindgen(method, catch)]
    pub(crate) fn write(this: &Writer, bytes: &Bytes) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = close)]
    pub(crate) fn close_writer(this: &Writer) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = abort)]
    pub(crate) fn abort_writer(this: &Writer) -> Result<JsValue, JsValue>;

    /// A `Uint8Array`.
    #[wasm_bindgen(js_name = Uint8Array)]
    pub(crate) type Bytes;
    /// A view of a whole buffer.
    #[wasm_bindgen(constructor, js_class = Uint8Array, catch)]
    pub(crate) fn over(buffer: &JsValue) -> Result<Bytes, JsValue>;
    #[wasm_bindgen(method, getter, catch, js_name = length)]
    pub(crate) fn len(this: &Bytes) -> Result<u32, JsValue>;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn buffer(this: &Bytes) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(crate) fn subarray(this: &Bytes, from: u32, to: u32) -> Result<Bytes, JsValue>;
    /// Copies `from` into memory of WebAssembly.
    #[wasm_bindgen(catch, js_namespace = ["Uint8Array", "prototype", "set"], js_name = call)]
    pub(crate) fn copy_in(into: &mut [u8], from: &Bytes) -> Result<(), JsValue>;
    /// Copies memory of WebAssembly.
    #[wasm_bindgen(catch, js_namespace = ["Uint8Array", "prototype", "slice"], js_name = call)]
    pub(crate) fn copy_out(from: &[u8]) -> Result<Bytes, JsValue>;

    /// An `ArrayBuffer`, which a read fills.
    #[wasm_bindgen(js_name = ArrayBuffer)]
    pub(crate) type Buffer;
    #[wasm_bindgen(constructor, js_class = ArrayBuffer, catch)]
    pub(crate) fn of_size(bytes: u32) -> Result<Buffer, JsValue>;

    /// A promise that settles as `value` does, or that has settled with it.
    #[wasm_bindgen(catch, js_namespace = Promise)]
    pub(crate) fn resolve(value: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_namespace = ["Promise", "prototype", "then"], js_name = call)]
    pub(crate) fn then(
        promise: &JsValue,
        resolved: &JsValue,
        rejected: &JsValue,
    ) -> Result<JsValue, JsValue>;
    /// Calls the method `then` of whatever has one.
    #[wasm_bindgen(method, catch, js_name = then)]
    fn call_then(
        this: &Thenable,
        resolved: &JsValue,
        rejected: &JsValue,
    ) -> Result<JsValue, JsValue>;
    /// What has a method `then`, or has not.
    type Thenable;
    /// A function that does nothing: what `Boolean` returns is not used.
    #[wasm_bindgen(thread_local_v2, js_name = Boolean)]
    pub(crate) static NOTHING: Function;

    /// An error, or what was thrown instead of one.
    pub(crate) type Thrown;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn code(this: &Thrown) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn name(this: &Thrown) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn message(this: &Thrown) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn cause(this: &Thrown) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, catch)]
    pub(crate) fn errors(this: &Thrown) -> Result<JsValue, JsValue>;
    /// The text of anything.
    #[wasm_bindgen(catch, js_name = String)]
    pub(crate) fn text(value: &JsValue) -> Result<String, JsValue>;

    #[wasm_bindgen(catch, js_name = setTimeout)]
    pub(crate) fn set_timeout(run: &JsValue, millis: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = clearTimeout)]
    pub(crate) fn clear_timeout(id: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(catch, js_namespace = performance, js_name = now)]
    pub(crate) fn performance_now() -> Result<f64, JsValue>;
    #[wasm_bindgen(catch, js_namespace = crypto, js_name = getRandomValues)]
    pub(crate) fn random_values(into: &mut [u8]) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_namespace = Math, js_name = random)]
    pub(crate) fn random_fraction() -> Result<f64, JsValue>;
}

/// Calls the method `then` of whatever has one; throws if it has none.
pub(crate) fn then_of(
    value: &JsValue,
    resolved: &JsValue,
    rejected: &JsValue,
) -> Result<JsValue, JsValue> {
    value.unchecked_ref::<Thenable>().call_then(resolved, rejected)
}
