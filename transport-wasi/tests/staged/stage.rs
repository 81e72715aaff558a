//! The stage: one executor that replaces the threads and executors of native tests.
//!
//! A native test calls `block_on` many times, keeps connections from one call to the next, and has
//! load on other threads while it waits. A component has one thread, and a connection lives in the
//! one reactor that it was made in. So the whole test runs inside of one future ([`run`]), and each
//! wait in it, in [`block_on`] or in [`nap`], lets all other work run meanwhile ([`turn`]).
//!
//! The reactor itself does not run during a test, so the host wakes nothing: each waker that waits
//! for a socket or a timer is called at every turn, and its task polls the host again
//! (`transport`). This wakes more often than a host does, so these suites cannot find a lost wake.
//! The crate `suites` runs on the reactor alone, and can.
//!
//! **Limits**: a turn each millisecond, which is the resolution of hosts' timers; [`BOUND`] for one
//! `block_on`.

use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// The bound of one `block_on`: longer than a wait within it, which may take all of its own bound.
const BOUND: Duration = crate::real::wait::BOUND.saturating_mul(2);
/// The pause between two turns.
const PAUSE: Duration = Duration::from_micros(100);
/// How often a future that wakes itself is polled in a row.
const POLLS_MAX: usize = 64;

/// Background work of a test.
type Work = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    /// Background work, except what is being polled.
    static WORK: RefCell<Vec<Option<Work>>> = const { RefCell::new(Vec::new()) };
    /// Wakers of tasks that got nothing from the host since the last turn.
    static WAITING: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// Runs a test; each `#[test]` calls this.
pub(crate) fn run(test: impl FnOnce()) {
    wstd::runtime::block_on(async {
        test();
        // Background work holds sockets of this reactor.
        drop(WORK.take());
        drop(WAITING.take());
    });
}

/// Runs `work` whenever the test waits.
pub(crate) fn begin(work: impl Future<Output = ()> + 'static) {
    WORK.with_borrow_mut(|all| all.push(Some(Box::pin(work))));
}

/// Calls `waker` at the next turn: the host had nothing for it.
pub(crate) fn remember(waker: &Waker) {
    WAITING.with_borrow_mut(|all| all.push(waker.clone()));
}

/// Runs a future to its end, and all other work meanwhile.
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&flag));
    let began = Instant::now();
    loop {
        for _ in 0..POLLS_MAX {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            if !flag.0.swap(false, Ordering::Relaxed) {
                break;
            }
        }
        assert!(began.elapsed() < BOUND, "no end after {BOUND:?}");
        thread::sleep(PAUSE);
        turn();
    }
}

/// Waits for `duration`, and runs all other work meanwhile.
pub(crate) fn nap(duration: Duration) {
    let began = Instant::now();
    loop {
        turn();
        let left = duration.saturating_sub(began.elapsed());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(PAUSE));
    }
}

/// Calls all wakers that wait for the host, and then polls all background work once.
fn turn() {
    WAITING.take().into_iter().for_each(Waker::wake);
    for at in 0..WORK.with_borrow(Vec::len) {
        let Some(mut work) = WORK.with_borrow_mut(|all| all[at].take()) else { continue };
        if work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            WORK.with_borrow_mut(|all| all[at] = Some(work));
        }
    }
}

/// Set when its waker is called.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
