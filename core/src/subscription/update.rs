//! The items of a subscription's stream: messages and, in order among them, what the reader has to
//! know to trust them.

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
    /// A message was published.
    Message(Message),
    /// The server confirmed the subscription: messages that are published from now on arrive.
    Subscribed {
        /// The channel.
        channel: Channel,
        /// The node that sends its messages; of a channel that every primary sends (keyspace events
        /// in a cluster), one of them.
        endpoint: Arc<Endpoint>,
    },
    /// The channel was removed from this subscription: no message of it follows.
    Unsubscribed {
        /// The channel.
        channel: Channel,
    },
    /// Another node sends the channel's messages now. If no `Gap` follows, no message is missing:
    /// for a short time both nodes sent the messages, so some may have come twice.
    Moved {
        /// The channel.
        channel: Channel,
        /// The node that sent its messages until now.
        from: Arc<Endpoint>,
        /// The node that sends them from now on.
        to: Arc<Endpoint>,
    },
    /// The subscription was interrupted, and works again from here on. Messages that were published
    /// in between are missing; none of them comes later. Comes once for each interruption and
    /// channel.
    Gap {
        /// The channel.
        channel: Channel,
        /// The cause of the interruption.
        cause: GapCause,
        /// How long the interruption lasted, at most: the subscription was known to work so long
        /// ago.
        duration: Duration,
    },
    /// The reader was too slow: so many messages, whose place was here, were dropped.
    Lagged(u64),
    /// The server refuses the channel, for instance for lack of permission. The client goes on
    /// asking, with pauses; this comes once until the server accepts the channel.
    Refused {
        /// The channel.
        channel: Channel,
        /// The server's error.
        error: ServerError,
    },
    /// The subscription has ended because its reader was too slow (`WhenLagging::Disconnect`).
    /// Nothing follows.
    Disconnected(Error),
}

/// The cause of an interruption.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapCause {
    /// The connection was closed or failed.
    ConnectionLost,
    /// The client closed the connection: the node has left the deployment, or another server
    /// listens at its address.
    NodeLeft,
    /// Another node has become the owner of the channel, or has come to own keys that the channel
    /// tells of. Messages that were sent there before this client knew may be missing.
    OwnerChanged,
    /// The server ended the subscription, because the channel's slot has moved to another node.
    SlotMoved,
    /// The server sent nothing for longer than `Config::progress_timeout`, not even a reply.
    Silent,
}
