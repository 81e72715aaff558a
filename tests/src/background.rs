//! Background work of a test: the load that runs while the test breaks servers and waits.
//!
//! Here the work is a thread. A component has no threads, so it has a twin of this file, where the
//! work runs whenever the test waits. This is why a load is a future and each pause is a [`nap`].

use std::thread;
use std::time::Duration;

/// Work that runs. Dropping it does not end it.
#[derive(Debug)]
pub struct BackgroundWork(thread::JoinHandle<()>);

/// Starts work.
pub fn spawn(work: impl Future<Output = ()> + Send + 'static) -> BackgroundWork {
    BackgroundWork(thread::spawn(move || smol::block_on(work)))
}

impl BackgroundWork {
    /// Waits until the work has ended; panics if the work panicked.
    #[track_caller]
    pub fn join(self) {
        self.0.join().expect("the background work of the test panicked");
    }
}

/// Waits for `duration`; the work runs meanwhile.
pub fn nap(duration: Duration) {
    thread::sleep(duration);
}
