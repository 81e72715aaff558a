//! One entry on one link, as a future: enqueued when first polled, abandoned when dropped.
//!
//! Invariant: a dropped exchange never moves a reply to somebody else; the queue drops what comes
//! for it. Called by `client/call.rs` (one command), `client/pipeline.rs` and `driver/lane.rs`
//! (handshakes).

use super::link::Link;
use crate::connection::budget::Place;
use crate::connection::outcome::Outcome;
use crate::connection::queue::{Entry, Rejected, Ticket};
use std::sync::Arc;
use std::task::{Context, Poll};

/// An entry that a caller waits for.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Where it was enqueued.
    link: Arc<Link>,
    /// Its name there; gone once the outcome was taken.
    ticket: Option<Ticket>,
}

impl Exchange {
    /// Enqueues, for a caller that has a `place` in the budget's row or none. `write` appends
    /// exactly `entry.len` bytes.
    pub(crate) fn begin(
        link: Arc<Link>,
        entry: Entry,
        place: Option<&Place>,
        write: impl FnOnce(&mut Vec<u8>),
        cx: &Context<'_>,
    ) -> Result<Self, Rejected> {
        let ticket = link.enqueue(entry, place.is_some(), write, cx)?;
        Ok(Self { link, ticket: Some(ticket) })
    }

    /// The outcome, once.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Outcome> {
        let ticket = self.ticket.expect("an exchange is not polled again after its outcome");
        let outcome = std::task::ready!(self.link.poll(ticket, cx));
        self.ticket = None;
        Poll::Ready(outcome)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.link.abandon(ticket);
        }
    }
}

#[cfg(test)]
mod tests;
