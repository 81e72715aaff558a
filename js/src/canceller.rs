//! Ends one call early, for an `AbortSignal`.
//!
//! The canceller that was made last belongs to the next call that is started: both happen in one
//! step of the caller. Invariant: a cancelled call is dropped at once, as any future may be, and
//! its promise is rejected; a canceller whose call has ended does nothing.

use crate::error;
use futures::future::{AbortHandle, AbortRegistration, Abortable};
use js_sys::Promise;
use slotcar_core::Error;
use std::cell::Cell;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::future_to_promise;

thread_local! {
    /// What ends the next call.
    static NEXT: Cell<Option<AbortRegistration>> = const { Cell::new(None) };
}

/// Ends the next call that is started.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Canceller {
    /// The call's other half.
    handle: AbortHandle,
}

#[wasm_bindgen]
impl Canceller {
    /// For the next call that is started.
    pub fn arm() -> Self {
        let (handle, registration) = AbortHandle::new_pair();
        NEXT.set(Some(registration));
        Self { handle }
    }

    /// Ends the call, whose promise is rejected.
    pub fn cancel(&self) {
        self.handle.abort();
    }
}

/// A promise of the call's result, which the canceller that was made for it may end.
pub(crate) fn promise_of<F>(call: F) -> Promise
where
    F: Future<Output = Result<JsValue, Error>> + 'static,
{
    let Some(registration) = NEXT.take() else {
        return future_to_promise(async move { call.await.map_err(|e| error::to_js(&e)) });
    };
    future_to_promise(async move {
        let began = Cell::new(false);
        let call = async {
            began.set(true);
            call.await
        };
        match Abortable::new(call, registration).await {
            Ok(result) => result.map_err(|e| error::to_js(&e)),
            Err(_) => Err(error::aborted(began.get())),
        }
    })
}
