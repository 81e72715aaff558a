//! The client's methods for publishing, subscribing, and asking who subscribes.
//!
//! Subscribers are known to the node that they are connected to alone, so what the PUBSUB commands
//! say is gathered from all nodes. Called by users; subscriptions are `client/subscription.rs`.

use crate::client::{Call, Client, Subscribe, Target};
use crate::command::{self, Command, ToArg, ToArgs};
use crate::error::Error;
use crate::resp::Blob;
use crate::subscription::kind::ChannelKind;
use std::collections::{BTreeMap, BTreeSet};

impl Client {
    /// Subscribes to channels by their names. Awaited, it gives a
    /// [`Subscription`](crate::Subscription) once every channel is confirmed.
    ///
    /// In a cluster every node knows the messages of these channels, so they cost every node work;
    /// see [`Client::ssubscribe`] for those that do not.
    pub fn subscribe(&self, channels: impl ToArgs) -> Subscribe<'_> {
        Subscribe::new(self, ChannelKind::Classic, channels)
    }

    /// Subscribes to all channels whose names match patterns: `news.*`, `h?llo`, `[ab]c`.
    pub fn psubscribe(&self, patterns: impl ToArgs) -> Subscribe<'_> {
        Subscribe::new(self, ChannelKind::Pattern, patterns)
    }

    /// Subscribes to sharded channels, of any slots: each at the shard that owns its slot, and at
    /// the next owner when the slot moves.
    ///
    /// Servers since Redis 7.0.
    pub fn ssubscribe(&self, channels: impl ToArgs) -> Subscribe<'_> {
        Subscribe::new(self, ChannelKind::Sharded, channels)
    }

    /// `PUBLISH channel message`: how many subscribers received it, in a cluster those of one node.
    ///
    /// Since 2.0.0. <https://redis.io/commands/publish/>
    pub fn publish(&self, channel: impl ToArg, message: impl ToArg) -> Call<'_, u64> {
        self.send(command::publish(channel, message))
    }

    /// `SPUBLISH shardchannel message`: how many subscribers received it.
    ///
    /// Since 7.0.0. <https://redis.io/commands/spublish/>
    pub fn spublish(&self, channel: impl ToArg, message: impl ToArg) -> Call<'_, u64> {
        self.send(command::spublish(channel, message))
    }

    /// `PUBSUB CHANNELS [pattern]` of all nodes: every channel that somebody subscribes to.
    ///
    /// # Errors
    /// Those of [`Client::send_each`], and the first node's that failed.
    ///
    /// Since 2.8.0. <https://redis.io/commands/pubsub-channels/>
    pub async fn pubsub_channels(&self, pattern: impl ToArgs) -> Result<Vec<Blob>, Error> {
        self.union(command::pubsub_channels(pattern)).await
    }

    /// `PUBSUB NUMSUB [channel ...]` of all nodes: each channel with its subscribers, those by
    /// pattern not counted.
    ///
    /// # Errors
    /// Those of [`Client::send_each`], and the first node's that failed.
    ///
    /// Since 2.8.0. <https://redis.io/commands/pubsub-numsub/>
    pub async fn pubsub_numsub(&self, channels: impl ToArgs) -> Result<BTreeMap<Blob, u64>, Error> {
        self.sums(command::pubsub_numsub(channels)).await
    }

    /// `PUBSUB NUMPAT` of all nodes: how many patterns are subscribed to; one that is so at several
    /// nodes counts at each.
    ///
    /// # Errors
    /// Those of [`Client::send_each`], and the first node's that failed.
    ///
    /// Since 2.8.0. <https://redis.io/commands/pubsub-numpat/>
    pub async fn pubsub_numpat(&self) -> Result<u64, Error> {
        let mut sum = 0;
        for reply in self.send_each(Target::AllNodes, command::pubsub_numpat()).await? {
            sum += reply.decode::<u64>()?;
        }
        Ok(sum)
    }

    /// `PUBSUB SHARDCHANNELS [pattern]` of all nodes: every sharded channel that somebody
    /// subscribes to.
    ///
    /// # Errors
    /// Those of [`Client::send_each`], and the first node's that failed.
    ///
    /// Since 7.0.0. <https://redis.io/commands/pubsub-shardchannels/>
    pub async fn pubsub_shardchannels(&self, pattern: impl ToArgs) -> Result<Vec<Blob>, Error> {
        self.union(command::pubsub_shardchannels(pattern)).await
    }

    /// `PUBSUB SHARDNUMSUB [shardchannel ...]` of all nodes: each channel with its subscribers.
    ///
    /// # Errors
    /// Those of [`Client::send_each`], and the first node's that failed.
    ///
    /// Since 7.0.0. <https://redis.io/commands/pubsub-shardnumsub/>
    pub async fn pubsub_shardnumsub(
        &self,
        channels: impl ToArgs,
    ) -> Result<BTreeMap<Blob, u64>, Error> {
        self.sums(command::pubsub_shardnumsub(channels)).await
    }

    /// Every element of all nodes' lists, once, in their order.
    async fn union(&self, command: Command) -> Result<Vec<Blob>, Error> {
        let mut all = BTreeSet::new();
        for reply in self.send_each(Target::AllNodes, command).await? {
            all.extend(reply.decode::<Vec<Blob>>()?);
        }
        Ok(all.into_iter().collect())
    }

    /// The sums of all nodes' numbers, by name.
    async fn sums(&self, command: Command) -> Result<BTreeMap<Blob, u64>, Error> {
        let mut all = BTreeMap::new();
        for reply in self.send_each(Target::AllNodes, command).await? {
            let own: BTreeMap<Blob, u64> = reply.decode()?;
            own.into_iter().for_each(|(name, count)| *all.entry(name).or_default() += count);
        }
        Ok(all)
    }
}
