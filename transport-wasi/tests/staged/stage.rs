//! What native tests take for threads and executors: everything of a test within one reactor.
//!
//! A native test calls `block_on` many times, keeps connections from one call to the next, and has
//! load on other threads while it waits. A component has one thread, and a connection lives in the
//! one reactor that it was made in. So the whole test runs inside of one future ([`run`]), and
//! whoever waits in it, in [`block_on`] or in [`nap`], lets everything else go on meanwhile
//! ([`turn`]).
//!
//! The reactor itself never gets a turn while a test runs, so nobody is woken by the host: whoever
//! waits for a socket or a timer is called at every turn and asks again (`transport`). That wakes
//! more often than a host does, and is what these suites cannot find: a wake that is lost. The
//! crate `suites` runs on the reactor alone, and can.
//!
//! Limits: a turn each millisecond, which is what hosts' timers give; [`BOUND`] for one `block_on`.

use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// No future of a suite takes longer, unless it hangs: a wait within it may have all of its bound.
const BOUND: Duration = crate::real::wait::BOUND.saturating_mul(2);
/// Between two turns.
const PAUSE: Duration = Duration::from_micros(100);
/// Polls in a row of a future that has woken itself.
const POLLS_MAX: usize = 64;

/// Work beside a test.
type Work = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    /// What goes on beside the test; what is being polled is not here.
    static WORK: RefCell<Vec<Option<Work>>> = const { RefCell::new(Vec::new()) };
    /// Who asked the host in vain since the last turn.
    static WAITING: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// Runs a test: what its `#[test]` calls.
pub(crate) fn run(test: impl FnOnce()) {
    wstd::runtime::block_on(async {
        test();
        // What goes on holds sockets of this reactor.
        drop(WORK.take());
        drop(WAITING.take());
    });
}

/// Lets `work` go on whenever the test waits.
pub(crate) fn begin(work: impl Future<Output = ()> + 'static) {
    WORK.with_borrow_mut(|all| all.push(Some(Box::pin(work))));
}

/// `waker` is called at the next turn: it asked the host for something that has not come.
pub(crate) fn remember(waker: &Waker) {
    WAITING.with_borrow_mut(|all| all.push(waker.clone()));
}

/// Runs a future to its end, and lets everything else go on meanwhile.
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

/// Waits so long, and lets everything else go on.
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

/// Calls whoever waits for the host, and then everything that goes on beside the test, once.
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
