//! Commands that publish, and that list channels and count subscribers.
//!
//! There is no command here that subscribes: see [`Client::subscribe`](crate::Client::subscribe).
//! Spec: <https://redis.io/docs/latest/commands/?group=pubsub>.
//! The methods of [`Client`](crate::Client) with the same names send them.

use crate::command::{Command, EncodedName, ToArg, ToArgs};

/// `PUBLISH channel message`; its reply: [`publish`](crate::commands::PublishCommands::publish).
pub fn publish(channel: impl ToArg, message: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("PUBLISH") }).arg(channel).arg(message)
}

/// `SPUBLISH shardchannel message`; its reply:
/// [`spublish`](crate::commands::PublishCommands::spublish).
pub fn spublish(channel: impl ToArg, message: impl ToArg) -> Command {
    Command::start(const { EncodedName::of("SPUBLISH") }).key(channel).arg(message)
}

/// `PUBSUB CHANNELS [pattern]`, of one node; over all of them:
/// [`Client::pubsub_channels`](crate::Client::pubsub_channels).
pub fn pubsub_channels(pattern: impl ToArgs) -> Command {
    Command::start(const { EncodedName::sub("PUBSUB", "CHANNELS") }).each_arg(&pattern)
}

/// `PUBSUB NUMSUB [channel ...]`, of one node; over all of them:
/// [`Client::pubsub_numsub`](crate::Client::pubsub_numsub).
pub fn pubsub_numsub(channels: impl ToArgs) -> Command {
    Command::start(const { EncodedName::sub("PUBSUB", "NUMSUB") }).each_arg(&channels)
}

/// `PUBSUB NUMPAT`, of one node; over all of them:
/// [`Client::pubsub_numpat`](crate::Client::pubsub_numpat).
pub fn pubsub_numpat() -> Command {
    Command::start(const { EncodedName::sub("PUBSUB", "NUMPAT") })
}

/// `PUBSUB SHARDCHANNELS [pattern]`, of one node; over all of them:
/// [`Client::pubsub_shardchannels`](crate::Client::pubsub_shardchannels).
pub fn pubsub_shardchannels(pattern: impl ToArgs) -> Command {
    Command::start(const { EncodedName::sub("PUBSUB", "SHARDCHANNELS") }).each_arg(&pattern)
}

/// `PUBSUB SHARDNUMSUB [shardchannel ...]`, of one node; over all of them:
/// [`Client::pubsub_shardnumsub`](crate::Client::pubsub_shardnumsub).
pub fn pubsub_shardnumsub(channels: impl ToArgs) -> Command {
    Command::start(const { EncodedName::sub("PUBSUB", "SHARDNUMSUB") }).each_arg(&channels)
}
