//! The commands that were written on one connection and are not answered yet, oldest first.
//!
//! A server answers a subscribe command by one push for each of its channels, or by one error. It
//! answers an unsubscribe command likewise, and may send the same pushes unasked. So a reply
//! belongs to the oldest unanswered command. Every write ends with a marker, a command that always
//! has a reply: what is unanswered when that reply comes was not answered at all.
//!
//! Invariant: a reply is never taken for that of a command of a later write.

use super::kind::ChannelKind;
use bytes::Bytes;
use std::collections::VecDeque;

/// A channel of a subscribe command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestedChannel {
    /// Its name.
    pub(crate) name: Bytes,
    /// Which request for that name it belongs to.
    pub(crate) serial: u64,
}

/// A command, or the end of a write.
#[derive(Debug)]
enum Sent {
    /// The end of a write: commands before it that are unanswered at its reply have no reply.
    Marker,
    /// A command that subscribes.
    Subscribe {
        /// The kind of its channels.
        kind: ChannelKind,
        /// Its channels that are not confirmed yet.
        left: VecDeque<RequestedChannel>,
        /// How many channels it had.
        count: usize,
    },
    /// A command that unsubscribes.
    Unsubscribe {
        /// The kind of its channels.
        kind: ChannelKind,
        /// Its channels that are not confirmed yet.
        left: VecDeque<Bytes>,
    },
}

/// Channels of one subscribe command that were not confirmed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnconfirmedChannels {
    /// Their kind.
    pub(crate) kind: ChannelKind,
    /// The channels.
    pub(crate) names: Vec<RequestedChannel>,
    /// How many channels the command had, with those that were confirmed.
    pub(crate) count: usize,
}

/// What was not answered before the reply to a marker.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unanswered {
    /// Of commands that subscribe.
    pub(crate) channels: Vec<UnconfirmedChannels>,
    /// Any command, also one that unsubscribes.
    pub(crate) any: bool,
}

/// The unanswered commands of one connection.
#[derive(Debug, Default)]
pub(crate) struct PendingCommands {
    /// Oldest first.
    sent: VecDeque<Sent>,
}

impl PendingCommands {
    /// A command that subscribes was written.
    pub(crate) fn subscribe(&mut self, kind: ChannelKind, names: Vec<RequestedChannel>) {
        let count = names.len();
        self.sent.push_back(Sent::Subscribe { kind, left: names.into(), count });
    }

    /// A command that unsubscribes was written.
    pub(crate) fn unsubscribe(&mut self, kind: ChannelKind, names: Vec<Bytes>) {
        self.sent.push_back(Sent::Unsubscribe { kind, left: names.into() });
    }

    /// The channels whose end is asked for and not confirmed.
    pub(crate) fn unsubscribing(&self) -> impl Iterator<Item = (ChannelKind, &Bytes)> {
        let of_command = |sent| match sent {
            &Sent::Unsubscribe { kind, ref left } => {
                Some(left.iter().map(move |name| (kind, name)))
            }
            Sent::Subscribe { .. } | Sent::Marker => None,
        };
        self.sent.iter().filter_map(of_command).flatten()
    }

    /// The marker was written.
    pub(crate) fn end_write(&mut self) {
        self.sent.push_back(Sent::Marker);
    }

    /// A channel was confirmed. Returns its serial, if it was asked for.
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

    /// The end of a subscription was confirmed. Returns whether it was asked for.
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

    /// The oldest command failed. Returns its channels, if it was one that subscribes.
    pub(crate) fn handle_error(&mut self) -> Option<UnconfirmedChannels> {
        if matches!(self.sent.front(), Some(Sent::Marker)) {
            return None;
        }
        unconfirmed(self.sent.pop_front()?)
    }

    /// The reply to a marker came. Returns what of its write has no reply.
    pub(crate) fn handle_marker(&mut self) -> Unanswered {
        let mut unanswered = Unanswered::default();
        while let Some(sent) = self.sent.pop_front() {
            if matches!(sent, Sent::Marker) {
                break;
            }
            unanswered.any = true;
            unanswered.channels.extend(unconfirmed(sent));
        }
        unanswered
    }
}

fn unconfirmed(sent: Sent) -> Option<UnconfirmedChannels> {
    match sent {
        Sent::Subscribe { kind, left, count } => {
            Some(UnconfirmedChannels { kind, names: left.into(), count })
        }
        Sent::Marker | Sent::Unsubscribe { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ChannelKind::Sharded;

    fn named(name: &'static str, serial: u64) -> RequestedChannel {
        RequestedChannel { name: Bytes::from_static(name.as_bytes()), serial }
    }

    #[test]
    fn answers_belong_to_the_oldest_command() {
        let mut out = PendingCommands::default();
        out.subscribe(Sharded, vec![named("a", 1), named("b", 2)]);
        out.subscribe(Sharded, vec![named("c", 3)]);
        out.end_write();
        assert_eq!(out.handle_subscribed(Sharded, b"c"), None, "not its turn");
        assert_eq!(out.handle_subscribed(ChannelKind::Classic, b"a"), None);
        assert_eq!(out.handle_subscribed(Sharded, b"a"), Some(1));
        assert_eq!(out.handle_subscribed(Sharded, b"b"), Some(2));
        let failed = out.handle_error().expect("c's");
        assert_eq!(failed.names, [named("c", 3)]);
        assert_eq!(failed.count, 1);
        assert_eq!(out.handle_error(), None, "an error of the marker's own, or one too many");
        assert_eq!(out.handle_marker(), Unanswered::default());
    }

    /// A slot moves while its unsubscribe is under way: the push comes unasked and is taken for the
    /// answer, then the command is refused. The next write is not disturbed.
    #[test]
    fn an_answer_too_many_does_not_reach_the_next_write() {
        let mut out = PendingCommands::default();
        out.unsubscribe(Sharded, vec![Bytes::from_static(b"a")]);
        out.end_write();
        out.subscribe(Sharded, vec![named("a", 2)]);
        out.end_write();
        assert!(out.handle_unsubscribed(Sharded, b"a"));
        assert!(!out.handle_unsubscribed(Sharded, b"a"), "unasked");
        assert_eq!(out.handle_error(), None);
        assert_eq!(out.handle_marker(), Unanswered::default());
        assert_eq!(out.handle_subscribed(Sharded, b"a"), Some(2));
    }

    #[test]
    fn what_a_marker_finds_was_not_answered() {
        let mut out = PendingCommands::default();
        out.subscribe(Sharded, vec![named("a", 1), named("b", 2)]);
        out.end_write();
        assert_eq!(out.handle_subscribed(Sharded, b"a"), Some(1));
        let Unanswered { channels, any } = out.handle_marker();
        assert!(any);
        assert_eq!(channels.len(), 1);
        assert_eq!((&channels[0].names[..], channels[0].count), (&[named("b", 2)][..], 2));
    }
}
