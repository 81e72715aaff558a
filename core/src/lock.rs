//! Locks that are held for moments and never across an await.
//!
//! Called by everything that shares state between callers: links, lanes, nodes.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a panic of another holder: every critical section leaves its data whole or the
/// connection lost.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
