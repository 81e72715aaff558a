//! Promises of the host: awaited, or left to themselves.
//!
//! Invariants: whatever the host returns is taken for a promise, also what only has a `then` or
//! is no promise at all; every promise that was touched has a handler of rejections, or Node ends
//! the process when one rejects; what is called when one settles may come while we ask for it.
//!
//! The two functions that a promise calls are made once for each `Waiter`, and again for the next
//! promise: the host registers each function of ours with its garbage collector, which costs more
//! than all else about a promise.
//!
//! Limits: a promise that never settles keeps the few bytes that wait for it, also when the future
//! was dropped; what is no promise, has a `then` and calls again after the future was dropped gets
//! an exception of its own.

use crate::{host, tasks};
use js_sys::Reflect;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;

/// What a promise calls when it settles.
type Called = Closure<dyn Fn(JsValue)>;

/// Waits for promises, one after the other.
#[derive(Default)]
pub(crate) struct Waiter {
    /// What the functions share with this.
    shared: Rc<Shared>,
    /// Called with the value, and with the reason of a rejection; made for the first promise.
    functions: Option<(Called, Called)>,
}

/// What a waiter shares with its functions.
#[derive(Default)]
struct Shared {
    /// A promise has been asked and has not settled.
    is_pending: Cell<bool>,
    /// How it has settled.
    settled: RefCell<Option<Result<JsValue, JsValue>>>,
    /// Who waits.
    waker: RefCell<Option<Waker>>,
    /// The functions, if the waiter was dropped while the promise was pending: it will call them.
    left: RefCell<Option<(Called, Called)>>,
}

impl Shared {
    /// Stores how the promise has settled, and runs who waits. Anything but a promise may call
    /// twice, which changes nothing.
    fn settle(&self, settled: Result<JsValue, JsValue>) {
        if !self.is_pending.replace(false) {
            return;
        }
        let left = self.left.take();
        if left.is_none() {
            self.settled.replace(Some(settled));
            let waker = self.waker.take();
            tasks::enter(|| waker.into_iter().for_each(Waker::wake));
        }
    }
}

impl Waiter {
    /// Waits for `value` from now on. Only when the last one has settled.
    pub(crate) fn begin(&mut self, value: &JsValue) -> Result<(), JsValue> {
        let shared = &self.shared;
        let (resolved, rejected) = self.functions.get_or_insert_with(|| {
            let (fulfilled, failed) = (Rc::clone(shared), Rc::clone(shared));
            let resolved = Closure::new(move |value| fulfilled.settle(Ok(value)));
            (resolved, Closure::new(move |reason| failed.settle(Err(reason))))
        });
        shared.is_pending.set(true);
        let (resolved, rejected) = (resolved.as_ref(), rejected.as_ref());
        if host::then_of(value, resolved, rejected).is_ok() {
            return Ok(());
        }
        // It has no `then`, or one that throws.
        let begun = host::resolve(value).and_then(|it| host::then(&it, resolved, rejected));
        if begun.is_err() {
            shared.is_pending.set(false);
        }
        begun.map(drop)
    }

    /// Whether a promise was begun whose end was not taken.
    pub(crate) fn is_waiting(&self) -> bool {
        self.shared.is_pending.get() || self.shared.settled.borrow().is_some()
    }

    /// Takes how the promise has settled.
    pub(crate) fn poll_settled(&mut self, cx: &Context<'_>) -> Poll<Result<JsValue, JsValue>> {
        if let Some(settled) = self.shared.settled.take() {
            return Poll::Ready(settled);
        }
        let before = self.shared.waker.replace(Some(cx.waker().clone()));
        // Its own statement: what a waker does when it is dropped may come back to this waiter.
        drop(before);
        Poll::Pending
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let waker = self.shared.waker.take();
        drop(waker);
        if self.shared.is_pending.get() {
            self.shared.left.replace(self.functions.take());
        }
    }
}

impl Future for Waiter {
    type Output = Result<JsValue, JsValue>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_settled(cx)
    }
}

/// A future of what `value` settles to.
pub(crate) fn of(value: &JsValue) -> Result<Waiter, JsValue> {
    let mut waiter = Waiter::default();
    waiter.begin(value).map(|()| waiter)
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
