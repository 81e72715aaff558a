//! Background work of a test: the twin of the native file of that name. There it is a thread; here
//! the work runs whenever the test waits.

use crate::stage;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) use crate::stage::nap;

/// Work that runs. Dropping it does not end it.
#[derive(Debug)]
pub struct BackgroundWork(Arc<AtomicBool>);

/// Starts work.
pub fn spawn(work: impl Future<Output = ()> + 'static) -> BackgroundWork {
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    stage::begin(async move {
        work.await;
        end.store(true, Ordering::Relaxed);
    });
    BackgroundWork(ended)
}

impl BackgroundWork {
    /// Waits until the work has ended.
    pub fn join(self) {
        while !self.0.load(Ordering::Relaxed) {
            nap(Duration::from_millis(1));
        }
    }
}
