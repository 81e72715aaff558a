//! One entry on one link, as a future: enqueued when first polled, abandoned when dropped.
//!
//! Invariant: a dropped exchange never moves a reply to somebody else; the queue drops what comes
//! for it. Called by `client/call.rs` (one command), `client/pipeline.rs` and `driver/lane.rs`
//! (handshakes).

use crate::connection::outcome::Outcome;
use crate::connection::queue::{Deadline, NewEntry, Rejected, Ticket};
use crate::driver::link::link::Link;
use std::sync::Arc;
use std::task::{Context, Poll};

/// An entry that a caller waits for.
#[derive(Debug)]
pub(crate) struct PendingReply {
    /// Where it was enqueued.
    link: Arc<Link>,
    /// Its name there; gone once the outcome was taken.
    ticket: Option<Ticket>,
}

impl PendingReply {
    /// Enqueues. `write` appends exactly `entry.len` bytes.
    #[inline]
    pub(crate) fn enqueue(
        link: Arc<Link>,
        entry: NewEntry,
        write: impl FnOnce(&mut Vec<u8>),
        cx: &Context<'_>,
    ) -> Result<Self, Rejected> {
        let ticket = link.enqueue(entry, write, cx)?;
        Ok(Self::new(link, ticket))
    }

    /// An entry that was enqueued on this link.
    #[inline]
    pub(crate) fn new(link: Arc<Link>, ticket: Ticket) -> Self {
        Self { link, ticket: Some(ticket) }
    }

    /// The outcome, once.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Outcome> {
        self.poll_with_deadline(cx).map(|(outcome, _)| outcome)
    }

    /// The outcome, once, and when it was due.
    #[inline]
    pub(crate) fn poll_with_deadline(&mut self, cx: &Context<'_>) -> Poll<(Outcome, Deadline)> {
        let ticket = self.ticket.expect("an exchange is not polled again after its outcome");
        let outcome = std::task::ready!(self.link.poll(ticket, cx));
        self.ticket = None;
        Poll::Ready(outcome)
    }
}

impl Drop for PendingReply {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.link.abandon(ticket);
        }
    }
}

#[cfg(test)]
mod tests;
