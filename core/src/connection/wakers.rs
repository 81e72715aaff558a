//! Wakers that are collected under a lock and woken after it was released.
//!
//! A waker is foreign code and may panic. The panic belongs to the task of that waker, but it
//! happens in whichever caller moves the bytes. So it ends here: the panic hook has reported it,
//! the other wakers of the batch are woken all the same, and no state is left half changed.
//!
//! Where a panic aborts the program (WebAssembly), the catch costs nothing and does nothing.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Wakers to wake once the lock is released.
pub(crate) type Wakers = smallvec::SmallVec<[Waker; 4]>;

/// Wakes all of them, oldest first, also those after one that panics.
#[inline]
pub(crate) fn wake_all(wakers: &mut Wakers) {
    if !wakers.is_empty() {
        wake_each(wakers);
    }
}

fn wake_each(wakers: &mut Wakers) {
    let mut rest = wakers.drain(..);
    while rest.len() > 0 {
        without_panic(|| rest.by_ref().for_each(Waker::wake));
    }
}

/// Wakes one task; a panic of its waker ends here.
#[inline]
pub(crate) fn wake_one(waker: Waker) {
    without_panic(|| waker.wake());
}

/// Runs foreign code; a panic in it ends here.
pub(crate) fn without_panic(run: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        // Dropping what it panicked with is foreign code, too.
        mem::forget(panic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    /// Counts its calls and panics in some of them.
    struct Panics(AtomicUsize, bool);

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
            assert!(!self.1, "on purpose");
        }
    }

    #[test]
    fn a_waker_that_panics_does_not_skip_the_others() {
        let tasks = [false, true, true, false, true].map(|panics| {
            let task = Arc::new(Panics(AtomicUsize::new(0), panics));
            (Arc::clone(&task), Waker::from(task))
        });
        let mut wakers: Wakers = tasks.iter().map(|(_, waker)| waker.clone()).collect();
        wake_all(&mut wakers);
        assert!(wakers.is_empty());
        tasks.iter().for_each(|(_, waker)| wake_one(waker.clone()));
        assert!(tasks.iter().all(|(task, _)| task.0.load(Ordering::Relaxed) == 2));
    }
}
