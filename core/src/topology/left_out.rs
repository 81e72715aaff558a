//! The entries of one list that could not be read.
//!
//! Servers list what they and others wrote, over years and versions. One odd entry is one entry: it
//! is left out and counted, and the rest is used. The list fails only where nothing else is left.

use super::view_error::ViewError;

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    /// How many.
    count: u32,
    /// What was wrong with the first one.
    first: Option<ViewError>,
}

impl LeftOut {
    /// What was read; `None` if it is to be left out.
    pub(crate) fn take<T>(&mut self, read: Result<T, ViewError>) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(error) => {
                self.count = self.count.saturating_add(1);
                self.first.get_or_insert(error);
                None
            }
        }
    }

    /// How many entries were left out. `is_empty`: no other entry was there.
    ///
    /// # Errors
    /// What was wrong with the first one, if nothing is left.
    pub(crate) fn finish(self, is_empty: bool) -> Result<u32, ViewError> {
        match self.first {
            Some(error) if is_empty => Err(error),
            _ => Ok(self.count),
        }
    }
}
