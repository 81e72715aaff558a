//! What a subscription's stream gives: messages and, in order among them, everything that a
//! subscriber has to know to trust them.
//!
//! Called by `subscription/reconcile.rs` and `subscription/backlog.rs`, which make them, and by
//! users.

use super::kind::Channel;
use super::message::Message;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::resp::ServerError;
use std::sync::Arc;
use std::time::Duration;

/// One item of a subscription's stream.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Update {
    /// Something was published.
    Message(Message),
    /// The channel is subscribed to: what is published from here on comes.
    Subscribed {
        /// Which channel.
        channel: Channel,
        /// The node that sends its messages.
        at: Arc<Endpoint>,
    },
    /// The channel was removed from this subscription: no message of it follows.
    Unsubscribed {
        /// Which channel.
        channel: Channel,
    },
    /// Another node sends the channel's messages now. Where no `Gap` follows, it was subscribed to
    /// before the old one was left, which had the same messages: those of that moment may have come
    /// twice.
    Moved {
        /// Which channel.
        channel: Channel,
        /// Who sent its messages.
        from: Arc<Endpoint>,
        /// Who sends them now.
        to: Arc<Endpoint>,
    },
    /// The subscription was interrupted, and holds again from here on: messages that were published
    /// meanwhile are missing. Told once for each interruption and channel.
    Gap {
        /// Which channel.
        channel: Channel,
        /// What interrupted it.
        cause: GapCause,
        /// How long ago it was last known to hold.
        since: Duration,
    },
    /// The reader was too slow, and so many messages, which were to come here, were dropped.
    Lagged(u64),
    /// The server refuses the channel. It is asked again from time to time; told once until it
    /// changes its mind.
    Refused {
        /// Which channel.
        channel: Channel,
        /// What the server said.
        error: ServerError,
    },
    /// The subscription has ended by its own limits; nothing follows.
    Disconnected(Error),
}

/// What interrupted a subscription.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapCause {
    /// The connection was closed, or failed.
    ConnectionLost,
    /// The client gave the connection up, because the deployment has no such node any more or
    /// another server listens there.
    NodeLeft,
    /// Another node has become the owner of the channel, and messages that were published there
    /// before this client knew may be missing.
    OwnerChanged,
    /// The server dropped the subscription: the channel's slot has moved away from it.
    SlotMoved,
    /// The server was silent for longer than `Config::progress_timeout` although it was asked.
    Silent,
}
