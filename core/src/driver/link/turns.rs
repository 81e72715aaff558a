//! Which task drives a link, and whether it has to look again: the hand-over between drivers.
//!
//! A driver runs turns. A turn looks at everything once: the queue, the stream, the timer. A task
//! that wants to drive while another does leaves a request and goes; the driver then runs another
//! turn, which sees what that task has added.
//!
//! **Invariants**:
//! - one driver at a time;
//! - whatever happened before a call of `begin` is seen by a turn that starts after that call,
//!   unless the driver gives up, in which case it wakes another one;
//! - whatever happened before a call of `Fired::set` is seen by the turn whose `take` returns true.
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
///   └──────────────give_up───────────────┘
/// ```
#[derive(Debug, Default)]
pub(crate) struct Turns(AtomicU8);

impl Turns {
    /// True if the caller drives now: it runs a turn and calls `end`. False if another task drives,
    /// which runs another turn.
    #[inline]
    pub(crate) fn begin(&self) -> bool {
        let next = |state| Some(if state == IDLE { RUNNING } else { AGAIN });
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) == Ok(IDLE)
    }

    /// The driver has ended a turn. True if it has to run another one.
    #[inline]
    pub(crate) fn end(&self) -> bool {
        let idle = self.0.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire);
        // The request is taken before the turn that serves it, never after: one that comes during
        // that turn asks for one more.
        idle.is_err() && self.0.swap(RUNNING, Ordering::AcqRel) == AGAIN
    }

    /// The driver runs no more turns, although it has to: it wakes another task afterwards.
    pub(crate) fn give_up(&self) {
        self.0.swap(IDLE, Ordering::AcqRel);
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
