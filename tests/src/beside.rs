//! Work that goes on beside a test, while the test waits, breaks servers and looks.
//!
//! Here it is a thread. A host without threads has a twin of this file, in which the work goes on
//! whenever the test waits; so a load is given as a future, and a wait is a [`nap`].

use std::thread;
use std::time::Duration;

/// Work that goes on. Dropping it lets it go on.
#[derive(Debug)]
pub struct Beside(thread::JoinHandle<()>);

/// Begins work.
pub fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Beside {
    Beside(thread::spawn(move || smol::block_on(work)))
}

impl Beside {
    /// Waits for its end; panics if it panicked.
    #[track_caller]
    pub fn join(self) {
        self.0.join().expect("the work beside the test ended well");
    }
}

/// Waits so long, and lets the work go on.
pub fn nap(duration: Duration) {
    thread::sleep(duration);
}
