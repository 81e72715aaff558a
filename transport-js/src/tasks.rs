//! Runs futures: where the host has called us, or as a microtask.
//!
//! Invariants:
//! - what a settled promise or a timer wakes runs before the host goes on, with what that wakes in
//!   turn; so a reply reaches its caller in one step of the host;
//! - what a call of a user wakes runs in a microtask, so that calls that are made together are sent
//!   together;
//! - no future is polled while another one is: a call in the middle of one is queued;
//! - a future is dropped when it ends; who still holds its waker wakes nothing.
//!
//! Limit: a future that wakes itself over and over goes on in microtasks after `ROUNDS_MAX` rounds,
//! as other microtasks of the program have to run.

use crate::host;
use slab::Slab;
use slotcar_core::BoxFuture;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Wake, Waker};
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;

/// How often what was woken is run before other microtasks of the program are.
const ROUNDS_MAX: u32 = 32;

thread_local! {
    /// The tasks of this module.
    static TASKS: Tasks = const { Tasks::new() };
}

/// All tasks.
struct Tasks {
    /// The futures; one that is being polled is not there.
    futures: RefCell<Slab<Option<BoxFuture<'static, ()>>>>,
    /// Those that were woken, in order.
    woken: RefCell<VecDeque<Arc<Task>>>,
    /// A future is being polled.
    is_polling: Cell<bool>,
    /// Tasks are being run: what is woken will be, too.
    is_running: Cell<bool>,
    /// A microtask will run what was woken.
    is_scheduled: Cell<bool>,
    /// What the microtask calls.
    microtask: OnceCell<Closure<dyn Fn()>>,
}

/// The handle of a future. The module has one thread; a waker has to promise more.
struct Task {
    /// Where the future is.
    at: usize,
    /// Whether it has been woken, or has ended.
    is_woken: AtomicBool,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if !self.is_woken.swap(true, Relaxed) {
            TASKS.with(|tasks| tasks.push(self));
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Relaxed) {
            TASKS.with(|tasks| tasks.push(Arc::clone(self)));
        }
    }
}

impl Tasks {
    const fn new() -> Self {
        Self {
            futures: RefCell::new(Slab::new()),
            woken: RefCell::new(VecDeque::new()),
            is_polling: Cell::new(false),
            is_running: Cell::new(false),
            is_scheduled: Cell::new(false),
            microtask: OnceCell::new(),
        }
    }

    fn add(&self, future: BoxFuture<'static, ()>) -> Arc<Task> {
        let at = self.futures.borrow_mut().insert(Some(future));
        Arc::new(Task { at, is_woken: AtomicBool::new(true) })
    }

    fn push(&self, task: Arc<Task>) {
        self.woken.borrow_mut().push_back(task);
        self.schedule();
    }

    /// Sees to it that what was woken is run. If the host refuses, it is run when the host calls.
    fn schedule(&self) {
        if self.is_running.get() || self.is_scheduled.replace(true) {
            return;
        }
        let run = || {
            TASKS.with(|tasks| tasks.is_scheduled.set(false));
            enter(|| {});
        };
        let microtask = self.microtask.get_or_init(|| Closure::new(run));
        // A promise of this request, where the host has requests. `queueMicrotask` of Node makes
        // more of it.
        let promise = host::resolve(&JsValue::UNDEFINED);
        let none = JsValue::UNDEFINED;
        if promise.and_then(|it| host::then(&it, microtask.as_ref(), &none)).is_err() {
            self.is_scheduled.set(false);
        }
    }

    fn poll(&self, task: Arc<Task>) {
        let Some(mut future) = self.futures.borrow_mut().get_mut(task.at).and_then(Option::take)
        else {
            return;
        };
        task.is_woken.store(false, Relaxed);
        let waker = Waker::from(Arc::clone(&task));
        self.is_polling.set(true);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        self.is_polling.set(false);
        if polled.is_pending() {
            self.futures.borrow_mut()[task.at] = Some(future);
            return;
        }
        task.is_woken.store(true, Relaxed);
        drop(future);
        self.futures.borrow_mut().remove(task.at);
    }
}

/// Runs what the host has called us for, and then what it woke.
pub(crate) fn enter(wake: impl FnOnce()) {
    TASKS.with(|tasks| {
        if tasks.is_polling.get() || tasks.is_running.replace(true) {
            return wake();
        }
        wake();
        for _ in 0..ROUNDS_MAX {
            let count = tasks.woken.borrow().len();
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let next = tasks.woken.borrow_mut().pop_front();
                next.into_iter().for_each(|task| tasks.poll(task));
            }
        }
        tasks.is_running.set(false);
        if !tasks.woken.borrow().is_empty() {
            tasks.schedule();
        }
    });
}

/// Runs a future in the background, from the next microtask on.
pub fn spawn(future: BoxFuture<'static, ()>) {
    TASKS.with(|tasks| tasks.push(tasks.add(future)));
}

/// Runs a future in the background. It is polled at once, unless another one is being polled; what
/// it wakes runs in a microtask.
///
/// For calls that JavaScript makes into a module: it costs less than a future that wasm-bindgen
/// runs. Dropping the program ends it; nothing else does.
pub fn start(future: impl Future<Output = ()> + 'static) {
    TASKS.with(|tasks| {
        let task = tasks.add(Box::pin(future));
        if tasks.is_polling.get() { tasks.push(task) } else { tasks.poll(task) }
    });
}
