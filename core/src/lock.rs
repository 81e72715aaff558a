//! Locks and atomics, and how locks are taken: for a short time and never across an await.
//!
//! Files that `tests/models` compiles against `loom` import these types from here, so that the
//! models can put loom's types in their place.

pub(crate) use std::sync::Mutex;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

use std::sync::{MutexGuard, PoisonError};

/// Locks, also after another holder has panicked: every critical section leaves its data whole, or
/// the connection is lost.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
