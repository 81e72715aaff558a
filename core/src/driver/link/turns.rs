//! Which task drives a link, and whether it has to look again: the hand-over between drivers.
//!
//! A driver runs turns. A turn looks at everything once: the queue, the stream, the timer. A task
//! that wants to drive while another does leaves a request and goes; the driver then runs another
//! turn, which sees what that task has added.
//!
//! **Invariants**:
//! - one driver at a time;
//! - what happened before a call of `run` is seen by a turn that starts after that call, unless the
//!   driver gives up, in which case it wakes another one;
//! - what happened before a call of `Fired::set` is seen by the turn whose `take` returns true.
//!
//! Both are one atomic that is only changed by read-modify-write operations: a request that fails
//! to start a turn releases what it added to the driver's `end`, and no fence is needed.
//!
//! Tested by `tests/models`, which compiles this file against `loom`.

use crate::lock::{AtomicBool, AtomicU8, Ordering};

/// No task drives.
const IDLE: u8 = 0;
/// A task drives.
const RUNNING: u8 = 1;
/// A task drives, and has to run another turn.
const AGAIN: u8 = 2;

/// See the head of this file.
///
/// ```text
/// IDLE ──begin──► RUNNING ──begin──► AGAIN
///   ▲                │ ▲               │ │
///   ├──────end───────┘ └──────end──────┘ │
///   └───────────────limit────────────────┘
/// ```
#[derive(Debug, Default)]
pub(crate) struct Turns(AtomicU8);

impl Turns {
    /// Runs turns until there is nothing left to do; none if another task drives, which then runs
    /// another one. After `turns_max` turns the caller gives up and true is returned: then it has
    /// to wake another task that drives. If `has_driver` says that there is none, it goes on.
    #[inline]
    pub(crate) fn run(
        &self,
        turns_max: u32,
        mut turn: impl FnMut(),
        has_driver: impl Fn() -> bool,
    ) -> bool {
        if !self.begin() {
            return false;
        }
        turn();
        self.end() && self.run_on(turns_max, turn, has_driver)
    }

    /// Other tasks wanted to drive during the first turn.
    #[cold]
    fn run_on(
        &self,
        turns_max: u32,
        mut turn: impl FnMut(),
        has_driver: impl Fn() -> bool,
    ) -> bool {
        let mut turns = 1;
        loop {
            if turns >= turns_max && has_driver() {
                self.0.swap(IDLE, Ordering::AcqRel);
                return true;
            }
            turn();
            turns += 1;
            if !self.end() {
                return false;
            }
        }
    }

    /// True if the caller drives now. False if another task drives and was told to look again.
    #[inline]
    fn begin(&self) -> bool {
        let next = |state| Some(if state == IDLE { RUNNING } else { AGAIN });
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) == Ok(IDLE)
    }

    /// A turn has ended. True if the driver has to run another one.
    #[inline]
    fn end(&self) -> bool {
        let idle = self.0.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire);
        // A request is taken before the turn that serves it, never after: one that comes during
        // that turn asks for one more.
        idle.is_err() && self.0.swap(RUNNING, Ordering::AcqRel) == AGAIN
    }
}

/// Whether a stream or a timer has called its waker.
#[derive(Debug, Default)]
pub(crate) struct Fired(AtomicBool);

impl Fired {
    /// The stream or the timer calls.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it has called since the last time. To be asked before the stream is polled: a call
    /// that comes in between is for the next turn.
    #[inline]
    pub(crate) fn take(&self) -> bool {
        self.0.load(Ordering::Acquire) && self.0.swap(false, Ordering::AcqRel)
    }
}
