//! Time and chance: timers, the clock, the seed.
//!
//! Invariants:
//! - the clock is `performance.now`, never `Date.now`, which goes back when somebody sets it; if
//!   the host's goes back all the same, the time stands still until it has caught up;
//! - a timer ends at or after its deadline: hosts cut fractions of a millisecond off and may be
//!   early, so the clock is looked at again when it fires;
//! - a dropped timer is cleared. If the host does not clear it, what it will call stays in memory.
//!
//! Limit: a deadline that is farther than 2^31 - 1 ms is waited for in parts, since hosts fire such
//! timers at once. In Workers the clock stands still between two inputs; timers still fire.

use crate::host;
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
        if self.timer.as_ref().is_some_and(|timer| !timer.shared.fired.get()) {
            self.timer.iter().for_each(|timer| timer.shared.wait(cx));
            return Poll::Pending;
        }
        let left = self.deadline.since(now());
        if left == Duration::ZERO {
            self.timer = None;
            return Poll::Ready(());
        }
        // Without a timer it is tried again at the next poll.
        self.timer = Timer::set(left);
        self.timer.iter().for_each(|timer| timer.shared.wait(cx));
        Poll::Pending
    }
}

/// A timer of the host.
struct Timer {
    /// By which the host knows it.
    id: JsValue,
    /// What the host calls; `None` once it is dropped.
    callback: Option<Closure<dyn FnMut()>>,
    /// What the callback changes.
    shared: Rc<Shared>,
}

/// What a timer and its callback share.
#[derive(Default)]
struct Shared {
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
}

impl Timer {
    /// Sets a timer; `None` if the host does not let us.
    fn set(left: Duration) -> Option<Self> {
        let shared = Rc::new(Shared::default());
        let callback = Closure::<dyn FnMut()>::new({
            let shared = Rc::clone(&shared);
            move || {
                shared.fired.set(true);
                let waker = shared.waker.borrow_mut().take();
                waker.into_iter().for_each(Waker::wake);
            }
        });
        let millis = (left.as_secs_f64() * 1e3).ceil().min(MILLIS_MAX);
        let id = host::set_timeout(callback.as_ref(), millis).ok()?;
        Some(Self { id, callback: Some(callback), shared })
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // Dropped here, not when the host forgets the callback.
        let waker = self.shared.waker.borrow_mut().take();
        drop(waker);
        if !self.shared.fired.get() && host::clear_timeout(&self.id).is_err() {
            self.callback.take().into_iter().for_each(Closure::forget);
        }
    }
}
