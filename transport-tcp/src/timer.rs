//! Timers on a thread of their own, beside smol's reactor.
//!
//! Each timer that the reactor holds makes every turn of it dearer (some 600 instructions and an
//! armed timer in the kernel), and setting one costs it a turn. A connection that carries commands
//! always has a timer, and it hardly ever ends; here one that waits costs nothing, and one that is
//! set for later than the next one to end costs no system call.
//!
//! Invariants: the thread sleeps no longer than the earliest moment in `waiting`; no waker is
//! called, cloned or dropped under the lock. The thread begins with the first timer and lasts as
//! long as the process, as the reactor's own does. Called by `smol`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// All timers of the process.
static TIMERS: Timers = Timers {
    queue: Mutex::new(Queue { waiting: BTreeMap::new(), drawn: 0, until: None }),
    earlier: Condvar::new(),
};

/// How long the thread sleeps when nobody waits: it is woken by whoever comes.
const IDLE: Duration = Duration::from_secs(3600);

/// See the head of this file.
struct Timers {
    /// Who waits.
    queue: Mutex<Queue>,
    /// Something ends before the thread would wake.
    earlier: Condvar,
}

/// Who waits, and what the thread does about it.
struct Queue {
    /// Wakers by moment, and by number among equals.
    waiting: BTreeMap<(Instant, u64), Waker>,
    /// How many numbers were drawn.
    drawn: u64,
    /// When the thread wakes; `None` while it is awake and will look again.
    until: Option<Instant>,
}

/// Ends at or after a moment.
#[derive(Debug)]
pub(crate) struct Sleep {
    /// When.
    at: Instant,
    /// Its number in the queue, once it waits there.
    number: Option<u64>,
}

/// A timer for `at`; `None` where the system gives no thread to wait for it.
pub(crate) fn sleep_until(at: Instant) -> Option<Sleep> {
    static RUNS: OnceLock<bool> = OnceLock::new();
    let spawn = || Builder::new().name("slotcar-timers".into()).spawn(|| TIMERS.run()).is_ok();
    RUNS.get_or_init(spawn).then_some(Sleep { at, number: None })
}

impl Timers {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread.
    fn run(&self) {
        let mut queue = self.lock();
        loop {
            let now = Instant::now();
            let later = queue.waiting.split_off(&(now, u64::MAX));
            let ended = std::mem::replace(&mut queue.waiting, later);
            if !ended.is_empty() {
                drop(queue);
                for waker in ended.into_values() {
                    // A waker that panics must not take everybody's timers with it.
                    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
                }
                queue = self.lock();
                continue;
            }
            let next = queue.waiting.first_key_value().map(|((at, _), _)| *at);
            let pause = next.map_or(IDLE, |next| next.saturating_duration_since(now));
            queue.until = Some(next.unwrap_or(now + IDLE));
            let woken = self.earlier.wait_timeout(queue, pause);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
            queue.until = None;
        }
    }

    /// Keeps a waker until `at`, in the place of this number, or in a new one. Returns the number
    /// and the waker that was there before.
    fn keep(&self, at: Instant, number: Option<u64>, waker: Waker) -> (u64, Option<Waker>) {
        let mut queue = self.lock();
        let number = number.unwrap_or_else(|| {
            queue.drawn += 1;
            queue.drawn
        });
        let before = queue.waiting.insert((at, number), waker);
        if queue.until.is_some_and(|until| at < until) {
            // The next one that comes meanwhile need not call again.
            queue.until = None;
            self.earlier.notify_one();
        }
        (number, before)
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        let (number, before) = TIMERS.keep(self.at, self.number, cx.waker().clone());
        self.number = Some(number);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let left = TIMERS.lock().waiting.remove(&(self.at, number));
            drop(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    fn timer(ms: u64) -> Sleep {
        sleep_until(Instant::now() + Duration::from_millis(ms)).expect("there is a thread")
    }

    /// Timers end in the order of their moments, none before its own, whatever order they were set
    /// in; those in the past end at once.
    #[test]
    fn timers_end_in_order_and_not_before_their_time() {
        let begin = Instant::now();
        let ended = Mutex::new(Vec::new());
        let one = async |ms: u64| {
            timer(ms).await;
            assert!(begin.elapsed() >= Duration::from_millis(ms), "{ms} ms ended early");
            ended.lock().expect("nobody panics").push(ms);
        };
        smol::block_on(async {
            let all = [400, 0, 200, 300].map(|ms| Box::pin(one(ms)));
            futures::future::join_all(all).await;
        });
        assert_eq!(*ended.lock().expect("nobody panics"), [0, 200, 300, 400]);
    }

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A timer that is dropped keeps no waker and calls nobody; one that is polled by another waker
    /// calls that one.
    #[test]
    fn the_last_waker_is_called_and_a_dropped_timer_calls_nobody() {
        let counts: Vec<_> = (0..3).map(|_| Arc::new(Count(AtomicUsize::new(0)))).collect();
        let wakers: Vec<Waker> = counts.iter().map(|it| Waker::from(Arc::clone(it))).collect();
        let (mut kept, mut dropped) = (timer(50), timer(50));
        let poll = |sleep: &mut Sleep, by: usize| {
            assert!(Pin::new(sleep).poll(&mut Context::from_waker(&wakers[by])).is_pending());
        };
        poll(&mut kept, 0);
        poll(&mut kept, 1);
        poll(&mut dropped, 2);
        drop(dropped);
        assert_eq!(Arc::strong_count(&counts[2]), 2, "only the test holds it");
        smol::block_on(timer(100));
        let called: Vec<_> = counts.iter().map(|count| count.0.load(Ordering::Relaxed)).collect();
        assert_eq!(called, [0, 1, 0]);
    }

    /// A waker that panics, in the thread that all share, harms nobody else.
    #[test]
    fn a_waker_that_panics_harms_nobody_else() {
        struct Panics;
        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("on purpose");
            }
        }
        let waker = Waker::from(Arc::new(Panics));
        let mut sleep = timer(20);
        assert!(Pin::new(&mut sleep).poll(&mut Context::from_waker(&waker)).is_pending());
        smol::block_on(timer(60));
        smol::block_on(timer(10));
    }
}
