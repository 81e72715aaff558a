//! Ends one call early, for an `AbortSignal`.
//!
//! The canceller that was made last belongs to the next call that is started: both happen in one
//! step of the caller. Invariant: a cancelled call is dropped at once, as any future may be, and
//! its promise is rejected; a canceller whose call has ended does nothing.

use crate::error;
use futures::future::{AbortHandle, AbortRegistration, Abortable};
use js_sys::Function;
use slotcar_core::{BoxFuture, Error};
use std::cell::Cell;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

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

/// How the promise of a call is settled: by the functions that its executor gets.
pub(crate) struct Settle {
    /// Called with the result.
    pub(crate) resolve: Function,
    /// Called with the error.
    pub(crate) reject: Function,
}

impl Settle {
    fn settle(&self, result: Result<JsValue, JsValue>) {
        // The functions of a promise do not throw.
        let _ = match result {
            Ok(value) => self.resolve.call1(&JsValue::UNDEFINED, &value),
            Err(error) => self.reject.call1(&JsValue::UNDEFINED, &error),
        };
    }

    /// Runs a call and settles its promise, which the canceller that was made for it may end. One
    /// without a canceller begins at once; another may still be ended by its caller, unsent.
    pub(crate) fn with<F>(self, call: F)
    where
        F: Future<Output = Result<JsValue, Error>> + 'static,
    {
        let Some(registration) = NEXT.take() else {
            return slotcar_js::start(async move {
                self.settle(call.await.map_err(|e| error::to_js(&e)));
            });
        };
        let call: BoxFuture<'static, _> = Box::pin(call);
        slotcar_js::spawn(Box::pin(async move {
            let began = Cell::new(false);
            let call = async {
                began.set(true);
                call.await
            };
            self.settle(match Abortable::new(call, registration).await {
                Ok(result) => result.map_err(|e| error::to_js(&e)),
                Err(_) => Err(error::aborted(began.get())),
            });
        }));
    }
}
