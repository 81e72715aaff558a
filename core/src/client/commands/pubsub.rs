//! Commands that publish messages.
//!
//! Invariant: each method runs the command of the same name in `command/build/`, and nothing else.

use crate::client::execute::Execute;
use crate::command::{self, ToArg};

/// Commands of this group, for everything that runs commands: see [`Execute`].
pub trait PublishCommands: Execute {
    /// `PUBLISH channel message`: how many subscribers received it; in a
    /// cluster, of those at one node.
    ///
    /// Since 2.0.0. <https://redis.io/commands/publish/>
    fn publish(self, channel: impl ToArg, message: impl ToArg) -> Self::Output<u64> {
        self.execute(command::publish(channel, message))
    }

    /// `SPUBLISH shardchannel message`: how many subscribers received it.
    ///
    /// Since 7.0.0. <https://redis.io/commands/spublish/>
    fn spublish(self, channel: impl ToArg, message: impl ToArg) -> Self::Output<u64> {
        self.execute(command::spublish(channel, message))
    }
}

impl<E: Execute> PublishCommands for E {}
