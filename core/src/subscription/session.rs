//! What was asked of one connection and not confirmed yet, in the order of the bytes.
//!
//! A subscribe command is answered by a push for each of its channels, or by one error; an
//! unsubscribe command likewise, and a server may send the same pushes unasked. So an answer
//! belongs to the oldest command that is not done, and whatever is left when the reply to the
//! marker comes, which ends every write, was not answered at all.
//!
//! Invariant: an answer is never taken for that of a command of a later write.
//! Called by `subscription/reconcile.rs`.

use super::kind::ChannelKind;
use bytes::Bytes;
use std::collections::VecDeque;

/// A channel of a command, by name and by which of the channels of that name it was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its name.
    pub(crate) name: Bytes,
    /// Tells it from channels that had the name before and were given up.
    pub(crate) serial: u64,
}

/// A command, or the end of a write.
#[derive(Debug)]
enum Sent {
    /// Whatever was written before and is not done is not going to be.
    Marker,
    /// A command that subscribes.
    Subscribe {
        /// Which kind.
        kind: ChannelKind,
        /// Its channels that are not confirmed yet.
        left: VecDeque<Named>,
        /// How many it had.
        count: usize,
    },
    /// A command that ends subscriptions.
    Unsubscribe {
        /// Which kind.
        kind: ChannelKind,
        /// Its channels that are not confirmed yet.
        left: VecDeque<Bytes>,
    },
}

/// Channels of one command that were not subscribed to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotDone {
    /// Which kind.
    pub(crate) kind: ChannelKind,
    /// Those that are not confirmed.
    pub(crate) names: Vec<Named>,
    /// Whether the command had other channels as well.
    pub(crate) shared: bool,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Outstanding {
    /// Oldest first.
    sent: VecDeque<Sent>,
}

impl Outstanding {
    /// A command that subscribes was written.
    pub(crate) fn subscribe(&mut self, kind: ChannelKind, names: Vec<Named>) {
        let count = names.len();
        self.sent.push_back(Sent::Subscribe { kind, left: names.into(), count });
    }

    /// A command that ends subscriptions was written.
    pub(crate) fn unsubscribe(&mut self, kind: ChannelKind, names: Vec<Bytes>) {
        self.sent.push_back(Sent::Unsubscribe { kind, left: names.into() });
    }

    /// The write ends here.
    pub(crate) fn mark(&mut self) {
        self.sent.push_back(Sent::Marker);
    }

    /// A channel is confirmed: its serial, if it was asked for.
    pub(crate) fn handle_subscribed(&mut self, kind: ChannelKind, name: &[u8]) -> Option<u64> {
        let Some(Sent::Subscribe { kind: asked, left, .. }) = self.sent.front_mut() else {
            return None;
        };
        let at = left.iter().position(|named| *named.name == *name).filter(|_| *asked == kind)?;
        let serial = left.remove(at).map(|named| named.serial);
        if left.is_empty() {
            self.sent.pop_front();
        }
        serial
    }

    /// A channel's end is confirmed. Whether that was asked for.
    pub(crate) fn handle_unsubscribed(&mut self, kind: ChannelKind, name: &[u8]) -> bool {
        let Some(Sent::Unsubscribe { kind: asked, left }) = self.sent.front_mut() else {
            return false;
        };
        let Some(at) = left.iter().position(|left| **left == *name).filter(|_| *asked == kind)
        else {
            return false;
        };
        left.remove(at);
        if left.is_empty() {
            self.sent.pop_front();
        }
        true
    }

    /// A command failed: its channels, if it was one that subscribes.
    pub(crate) fn handle_error(&mut self) -> Option<NotDone> {
        if matches!(self.sent.front(), Some(Sent::Marker)) {
            return None;
        }
        not_done(self.sent.pop_front()?)
    }

    /// The reply to a marker: channels that got no answer.
    pub(crate) fn handle_marker(&mut self) -> Vec<NotDone> {
        let mut left = Vec::new();
        while let Some(sent) = self.sent.pop_front() {
            if matches!(sent, Sent::Marker) {
                break;
            }
            left.extend(not_done(sent));
        }
        left
    }
}

fn not_done(sent: Sent) -> Option<NotDone> {
    match sent {
        Sent::Subscribe { kind, left, count } => {
            Some(NotDone { kind, names: left.into(), shared: count > 1 })
        }
        Sent::Marker | Sent::Unsubscribe { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ChannelKind::Sharded;

    fn named(name: &'static str, serial: u64) -> Named {
        Named { name: Bytes::from_static(name.as_bytes()), serial }
    }

    #[test]
    fn answers_belong_to_the_oldest_command() {
        let mut out = Outstanding::default();
        out.subscribe(Sharded, vec![named("a", 1), named("b", 2)]);
        out.subscribe(Sharded, vec![named("c", 3)]);
        out.mark();
        assert_eq!(out.handle_subscribed(Sharded, b"c"), None, "not its turn");
        assert_eq!(out.handle_subscribed(ChannelKind::Classic, b"a"), None);
        assert_eq!(out.handle_subscribed(Sharded, b"a"), Some(1));
        assert_eq!(out.handle_subscribed(Sharded, b"b"), Some(2));
        let failed = out.handle_error().expect("c's");
        assert_eq!(failed.names, [named("c", 3)]);
        assert!(!failed.shared);
        assert_eq!(out.handle_error(), None, "an error of the marker's own, or one too many");
        assert_eq!(out.handle_marker(), []);
    }

    /// A slot moves while its unsubscribe is under way: the push comes unasked and is taken for the
    /// answer, then the command is refused. The next write is not disturbed.
    #[test]
    fn an_answer_too_many_does_not_reach_the_next_write() {
        let mut out = Outstanding::default();
        out.unsubscribe(Sharded, vec![Bytes::from_static(b"a")]);
        out.mark();
        out.subscribe(Sharded, vec![named("a", 2)]);
        out.mark();
        assert!(out.handle_unsubscribed(Sharded, b"a"));
        assert!(!out.handle_unsubscribed(Sharded, b"a"), "unasked");
        assert_eq!(out.handle_error(), None);
        assert_eq!(out.handle_marker(), []);
        assert_eq!(out.handle_subscribed(Sharded, b"a"), Some(2));
    }

    #[test]
    fn what_a_marker_finds_was_not_answered() {
        let mut out = Outstanding::default();
        out.subscribe(Sharded, vec![named("a", 1), named("b", 2)]);
        out.mark();
        assert_eq!(out.handle_subscribed(Sharded, b"a"), Some(1));
        let left = out.handle_marker();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].names, [named("b", 2)]);
        assert!(left[0].shared);
    }
}
