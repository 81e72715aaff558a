//! The callers that wait for a node's byte budget (`core/src/connection/budget.rs`).
//!
//! Changes that make these models fail: a caller that begins to wait is not offered the room that
//! was given back meanwhile; `give` wakes no caller; a caller that waits reads `used` by a plain
//! load.

use crate::connection::budget::Budget;
use crate::connection::entry::Admission;
use crate::connection::wakers::{Wakers, wake_all};
use crate::explore;
use crate::time::Timestamp;
use loom::future::block_on;
use loom::thread;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

/// Takes one byte, waiting for it if that must be, and gives it back.
fn call(budget: &Arc<Budget>) {
    let mut waits = None;
    block_on(poll_fn(|cx| {
        let admission = if waits.is_some() { Admission::Waited } else { Admission::New };
        if budget.take(1, admission) {
            waits = None;
            return Poll::Ready(());
        }
        let mut wakers = Wakers::new();
        let request = (cx.waker(), Timestamp::FAR_FUTURE, 1);
        waits = Some(budget.wait(waits.take(), request, &mut wakers));
        wake_all(&mut wakers);
        Poll::Pending
    }));
    let mut wakers = Wakers::new();
    budget.give(1, &mut wakers);
    wake_all(&mut wakers);
}

/// Room for one, which is taken, and wanted by two: each gets it, and nothing is charged or waited
/// for at the end.
pub fn every_caller_that_waits_gets_its_room() {
    explore(|| {
        let budget = Budget::new(1);
        assert!(budget.take(1, Admission::New));
        let threads = [(); 2].map(|()| {
            let budget = Arc::clone(&budget);
            thread::spawn(move || call(&budget))
        });
        let mut wakers = Wakers::new();
        budget.give(1, &mut wakers);
        wake_all(&mut wakers);
        threads.into_iter().for_each(|thread| thread.join().expect("no model panics"));
        assert!(!budget.is_awaited() && !budget.is_full(1));
    });
}

/// A caller that gives up while it waits holds no other up.
pub fn a_caller_that_leaves_holds_no_other_up() {
    explore(|| {
        let budget = Budget::new(1);
        assert!(budget.take(1, Admission::New));
        let leaving = Arc::clone(&budget);
        let leaves = thread::spawn(move || {
            let mut wakers = Wakers::new();
            let waker = std::task::Waker::noop();
            drop(leaving.wait(None, (waker, Timestamp::FAR_FUTURE, 1), &mut wakers));
            wake_all(&mut wakers);
        });
        let waiting = Arc::clone(&budget);
        let waits = thread::spawn(move || call(&waiting));
        let mut wakers = Wakers::new();
        budget.give(1, &mut wakers);
        wake_all(&mut wakers);
        leaves.join().expect("no model panics");
        waits.join().expect("no model panics");
        assert!(!budget.is_awaited() && !budget.is_full(1));
    });
}
