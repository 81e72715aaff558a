//! The hand-over between the drivers of a link (`core/src/driver/link/turns.rs`).
//!
//! Changes that make these models fail: `end` takes a request after the turn that should serve it
//! (it stores `IDLE`, whatever was there); `begin` leaves no request; a driver that gives up wakes
//! no other; a turn takes `Fired` after it polled the stream; all orderings of `Turns` are
//! `Relaxed`.

use crate::driver::turns::{Fired, Turns};
use crate::explore;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// No limit for the turns of one driver.
const UNBOUNDED: u32 = u32::MAX;

/// Each thread adds work and wants to drive: when all have gone, all work is done.
pub fn no_request_for_a_turn_is_lost() {
    #[derive(Default)]
    struct Link {
        turns: Turns,
        added: Mutex<u32>,
        done: Mutex<u32>,
    }
    impl Link {
        fn call(&self) {
            *self.added.lock().expect("not poisoned") += 1;
            let turn = || {
                let mut done = self.done.try_lock().expect("one driver at a time");
                *done += std::mem::take(&mut *self.added.lock().expect("not poisoned"));
            };
            assert!(!self.turns.run(UNBOUNDED, turn, || false));
        }
    }
    explore(|| {
        let link = Arc::new(Link::default());
        let threads = [(); 2].map(|()| {
            let link = Arc::clone(&link);
            thread::spawn(move || link.call())
        });
        link.call();
        threads.into_iter().for_each(|thread| thread.join().expect("no model panics"));
        assert_eq!(*link.done.lock().expect("not poisoned"), 3);
    });
}

/// A stream calls while a caller drives: what it has is read by that driver, or by the one that the
/// call woke.
pub fn no_call_of_a_stream_is_lost() {
    #[derive(Default)]
    struct Stream {
        readable: bool,
        waker_is_registered: bool,
    }
    /// What the driver knows of the stream.
    #[derive(Default)]
    struct Io {
        /// It said "pending" and has not called since.
        armed: bool,
        read: bool,
    }
    #[derive(Default)]
    struct Link {
        turns: Turns,
        fired: Fired,
        stream: Mutex<Stream>,
        io: Mutex<Io>,
    }
    impl Link {
        fn drive(&self) {
            let turn = || {
                let mut io = self.io.try_lock().expect("one driver at a time");
                if self.fired.take() {
                    io.armed = false;
                }
                if !io.armed {
                    let mut stream = self.stream.lock().expect("not poisoned");
                    if stream.readable {
                        io.read = true;
                    } else {
                        stream.waker_is_registered = true;
                        io.armed = true;
                    }
                }
            };
            assert!(!self.turns.run(UNBOUNDED, turn, || false));
        }

        /// Bytes have come. The task that is woken drives, here on the spot.
        fn become_readable(&self) {
            let mut stream = self.stream.lock().expect("not poisoned");
            stream.readable = true;
            let wakes = std::mem::take(&mut stream.waker_is_registered);
            drop(stream);
            if wakes {
                self.fired.set();
                self.drive();
            }
        }
    }
    explore(|| {
        let link = Arc::new(Link::default());
        let (reactor, caller) = (Arc::clone(&link), Arc::clone(&link));
        let reactor = thread::spawn(move || reactor.become_readable());
        let caller = thread::spawn(move || caller.drive());
        link.drive();
        reactor.join().expect("no model panics");
        caller.join().expect("no model panics");
        assert!(link.io.lock().expect("not poisoned").read);
    });
}

/// Callers that may drive for one turn only, and sleep until they are woken: each gets its reply.
pub fn a_driver_that_gives_up_leaves_no_caller_asleep() {
    #[derive(Clone, Copy, Default)]
    struct Caller {
        waits: bool,
        answered: bool,
        woken: bool,
    }
    #[derive(Default)]
    struct Link {
        turns: Turns,
        callers: Mutex<[Caller; 3]>,
        wakes: Condvar,
    }
    impl Link {
        /// Answers all that wait. The caller that drives needs no waking.
        fn turn(&self, own: usize) {
            let mut callers = self.callers.lock().expect("not poisoned");
            for (index, caller) in callers.iter_mut().enumerate().filter(|(_, c)| c.waits) {
                *caller = Caller { waits: false, answered: true, woken: index != own };
            }
            self.wakes.notify_all();
        }

        fn call(&self, own: usize) {
            self.callers.lock().expect("not poisoned")[own].waits = true;
            loop {
                let has_driver =
                    || self.callers.lock().expect("not poisoned").iter().any(|caller| caller.waits);
                let gives_up = self.turns.run(1, || self.turn(own), has_driver);
                let mut callers = self.callers.lock().expect("not poisoned");
                if gives_up {
                    callers.iter_mut().filter(|c| c.waits).for_each(|c| c.woken = true);
                    self.wakes.notify_all();
                }
                while !callers[own].answered && !callers[own].woken {
                    callers = self.wakes.wait(callers).expect("not poisoned");
                }
                callers[own].woken = false;
                if callers[own].answered {
                    return;
                }
            }
        }
    }
    explore(|| {
        let link = Arc::new(Link::default());
        let threads = [0, 1].map(|own| {
            let link = Arc::clone(&link);
            thread::spawn(move || link.call(own))
        });
        link.call(2);
        threads.into_iter().for_each(|thread| thread.join().expect("no model panics"));
    });
}
