//! An entry on a link and the caller that waits for its outcome.
//!
//! **Invariant**: dropping it never moves a reply to another entry. The command is sent all the
//! same; the queue drops the replies that come for it.

use crate::connection::outcome::Outcome;
use crate::connection::queue::{Deadline, NewEntry, Rejected, Ticket};
use crate::driver::link::link::Link;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A caller's hold on an entry; see the head of this file.
#[derive(Debug)]
pub(crate) struct PendingReply {
    /// The link that the entry is on.
    link: Arc<Link>,
    /// Names the entry there; `None` once the outcome was taken.
    ticket: Option<Ticket>,
}

impl PendingReply {
    /// Enqueues an entry. `write` appends exactly `entry.len` bytes.
    #[inline]
    pub(crate) fn enqueue(
        link: Arc<Link>,
        entry: NewEntry<'_>,
        write: impl FnOnce(&mut Vec<u8>),
        cx: &Context<'_>,
    ) -> Result<Self, Rejected> {
        let ticket = link.enqueue(entry, write, cx)?;
        Ok(Self::new(link, ticket))
    }

    /// Holds an entry that was enqueued on this link.
    #[inline]
    pub(crate) fn new(link: Arc<Link>, ticket: Ticket) -> Self {
        Self { link, ticket: Some(ticket) }
    }

    /// Whether the link takes no more entries, though it may still bring the outcome.
    #[inline]
    pub(crate) fn is_link_closed(&self) -> bool {
        self.link.is_closed()
    }

    /// The outcome. Not to be polled after it was returned.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Outcome> {
        self.poll_with_deadline(cx).map(|(outcome, _)| outcome)
    }

    /// The outcome and the entry's deadline. Not to be polled after they were returned.
    #[inline]
    pub(crate) fn poll_with_deadline(&mut self, cx: &Context<'_>) -> Poll<(Outcome, Deadline)> {
        let ticket = self.ticket.expect("it is not polled after its outcome");
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
