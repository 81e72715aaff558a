//! Time and chance: timers, the clock, the seed.
//!
//! Invariants:
//! - the clock is `performance.now`, never `Date.now`, which goes back when somebody sets it; if
//!   the host's goes back all the same, the time stands still until it has caught up;
//! - a timer ends at or after its deadline: hosts cut fractions of a millisecond off and may be
//!   early, so the clock is looked at again when they call. A call that is too early wakes nobody:
//!   the core takes a wake before the deadline for one that the timer did not cause;
//! - a dropped timer is cleared. If the host does not clear it, what it will call stays in memory.
//!
//! Limit: a deadline that is farther than 2^31 - 1 ms is waited for in parts, since hosts fire such
//! timers at once. In Workers the clock stands still between two inputs; timers still fire.

use crate::{host, tasks};
use slotcar_core::Timestamp;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;

/// The longest time that a host's timer takes, in milliseconds.
const MILLIS_MAX: f64 = 2_147_483_647.0;

thread_local! {
    /// The latest time that was returned.
    static LATEST: Cell<u64> = const { Cell::new(0) };
}

/// The time since the host's epoch.
pub(crate) fn now() -> Timestamp {
    let nanos = host::performance_now().map_or(0, |millis| (millis * 1e6) as u64);
    let nanos = LATEST.with(|latest| {
        let nanos = nanos.max(latest.get());
        latest.set(nanos);
        nanos
    });
    Timestamp::from_duration(Duration::from_nanos(nanos))
}

/// A number by chance; of the second-best source if the host forbids the best.
pub(crate) fn seed() -> u64 {
    let mut bytes = [0; 8];
    match host::random_values(&mut bytes) {
        Ok(_) => u64::from_le_bytes(bytes),
        Err(_) => host::random_fraction().unwrap_or_default().to_bits() ^ now_in_nanos(),
    }
}

fn now_in_nanos() -> u64 {
    u64::try_from(now().since_epoch().as_nanos()).unwrap_or(u64::MAX)
}

/// Ends at its deadline.
pub(crate) struct Sleep {
    /// When it ends.
    deadline: Timestamp,
    /// The host's timer, set at the first poll.
    timer: Option<Timer>,
}

impl Sleep {
    pub(crate) fn until(deadline: Timestamp) -> Self {
        Self { deadline, timer: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.deadline == Timestamp::FAR_FUTURE {
            return Poll::Pending;
        }
        if let Some(timer) = self.timer.as_ref().filter(|timer| !timer.shared.fired.get()) {
            timer.shared.wait(cx);
            return Poll::Pending;
        }
        if self.deadline <= now() {
            self.timer = None;
            return Poll::Ready(());
        }
        // If the host refuses, it is asked again at the next poll.
        self.timer = Timer::set(self.deadline);
        self.timer.iter().for_each(|timer| timer.shared.wait(cx));
        Poll::Pending
    }
}

/// A timer of the host.
struct Timer {
    /// What the host calls; `None` once it is dropped.
    callback: Option<Closure<dyn FnMut()>>,
    /// What the callback changes.
    shared: Rc<Shared>,
}

/// What a timer and its callback share.
struct Shared {
    /// When it fires.
    deadline: Timestamp,
    /// The callback as the host sees it, for as long as the timer is wanted.
    function: RefCell<JsValue>,
    /// By which the host knows the timer that is set.
    id: RefCell<JsValue>,
    /// Whether the timer has fired.
    fired: Cell<bool>,
    /// Who waits.
    waker: RefCell<Option<Waker>>,
}

impl Shared {
    fn wait(&self, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let before = self.waker.borrow_mut().replace(waker);
        // Its own statement: what a waker does when it is dropped may come back to this timer.
        drop(before);
    }

    /// Asks the host to call the callback, at the deadline or as late as hosts can. False if it
    /// refuses.
    fn set(&self) -> bool {
        let left = self.deadline.since(now());
        let millis = (left.as_secs_f64() * 1e3).ceil().min(MILLIS_MAX);
        let id = host::set_timeout(&self.function.borrow(), millis);
        id.map(|id| *self.id.borrow_mut() = id).is_ok()
    }

    /// The host has called: too early, and then it is asked again, or not.
    fn called(&self) {
        let is_wanted = !self.function.borrow().is_undefined();
        if is_wanted && self.deadline > now() && self.set() {
            return;
        }
        self.fired.set(true);
        let waker = self.waker.borrow_mut().take();
        tasks::enter(|| waker.into_iter().for_each(Waker::wake));
    }
}

impl Timer {
    /// Sets a timer; `None` if the host does not let us.
    fn set(deadline: Timestamp) -> Option<Self> {
        let shared = Rc::new(Shared {
            deadline,
            function: RefCell::default(),
            id: RefCell::default(),
            fired: Cell::default(),
            waker: RefCell::default(),
        });
        let callback = Closure::<dyn FnMut()>::new({
            let shared = Rc::clone(&shared);
            move || shared.called()
        });
        *shared.function.borrow_mut() = callback.as_ref().clone();
        let timer = Self { callback: Some(callback), shared };
        if timer.shared.set() {
            return Some(timer);
        }
        // Nothing to clear.
        timer.shared.fired.set(true);
        None
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // Dropped here, not when the host forgets the callback.
        let waker = self.shared.waker.borrow_mut().take();
        drop(waker);
        *self.shared.function.borrow_mut() = JsValue::UNDEFINED;
        if !self.shared.fired.get() && host::clear_timeout(&self.shared.id.borrow()).is_err() {
            self.callback.take().into_iter().for_each(Closure::forget);
        }
    }
}
