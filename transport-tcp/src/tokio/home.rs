//! The runtime that a transport was made with, and whether sockets and tasks may be there now.
//!
//! A runtime may end before the client does, may have no I/O, and a current-thread runtime stands
//! still outside of its `block_on`. A task that waits for it then waits forever. So everything that
//! has a place here has another one on smol's reactor, which has a thread of its own.
//!
//! Invariant: a runtime that was left is never used again.

use ::tokio::runtime::{Handle, RuntimeFlavor};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// The text of the error that a socket gives when its runtime has ended. tokio has had a function
/// that compares it since 1.50 only.
const ENDED: &str = "A Tokio 1.x context was found, but it is being shutdown.";

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Home {
    /// The runtime.
    handle: Handle,
    /// It runs without being asked: it has threads of its own.
    runs_by_itself: bool,
    /// It has ended, or has no I/O.
    left: AtomicBool,
}

impl Home {
    pub(super) fn new(handle: Handle) -> Self {
        let runs_by_itself = handle.runtime_flavor() == RuntimeFlavor::MultiThread;
        Self { handle, runs_by_itself, left: AtomicBool::new(false) }
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(super) fn runs_by_itself(&self) -> bool {
        self.runs_by_itself
    }

    /// Whether a socket that is polled from here may be one of the runtime. A current-thread
    /// runtime runs for sure only while the caller is in it.
    #[inline]
    pub(super) fn is_usable(&self) -> bool {
        !self.left.load(Ordering::Relaxed) && (self.runs_by_itself || self.is_here())
    }

    fn is_here(&self) -> bool {
        Handle::try_current().is_ok_and(|current| current.id() == self.handle.id())
    }

    /// Nothing new goes to the runtime.
    pub(super) fn leave(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// Whether the error, behind the address that it is about, says that the runtime has ended;
    /// then nothing new goes there.
    pub(super) fn has_ended(&self, error: &io::Error) -> bool {
        let ended = error.kind() == io::ErrorKind::Other
            && error.get_ref().is_some_and(|inner| inner.to_string().ends_with(ENDED));
        if ended {
            self.leave();
        }
        ended
    }
}
