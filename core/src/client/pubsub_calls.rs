//! The client's methods to subscribe, and to ask all nodes for subscribers.
//!
//! Invariant: a subscriber is known only to the node that it is connected to, so the PUBSUB
//! commands gather their replies from all nodes. Subscriptions themselves are in
//! `client/subscription.rs`.

use super::{Client, Subscribe, Target};
use crate::command::{self, Command, ToArgs};
use crate::error::Error;
use crate::resp::Blob;
use crate::subscription::kind::ChannelKind;
use std::collections::{BTreeMap, BTreeSet};

impl Client {
    /// Subscribes to channels by their names. Awaited, it gives a
    /// [`Subscription`](crate::Subscription) when the servers have confirmed every channel.
    ///
    /// In a cluster, messages of these channels go to every node. Messages of sharded channels
    /// ([`Client::ssubscribe`]) stay in one shard.
    ///
    /// # Keyspace events
    ///
    /// Of a key in a cluster only the node tells that has it. So channels that begin with
    /// `__keyspace@` or `__keyevent@` (Redis 8.8 adds four that begin with `__subkey`) are
    /// subscribed to at every primary that owns slots, and follow the topology: primaries that are
    /// new are asked, those that have left are given up. A read policy does not matter, since
    /// replicas tell `del` where primaries tell `expired`. The same goes for patterns that begin
    /// so, or with `__key` and a wildcard (`__key*__:*`).
    ///
    /// [`Update::Subscribed`](crate::Update::Subscribed) comes when all primaries have confirmed.
    /// An [`Update::Gap`](crate::Update::Gap) comes after the connection to one of them was lost,
    /// and after a node has become a primary or got its first slots: once, when all of them confirm
    /// again. The others are heard meanwhile, also by [`Subscribe::start`], which does not wait for
    /// a primary that is down.
    ///
    /// - A failover that the client has not heard of costs events of that shard, up to the next
    ///   refresh of the topology (`Config::refresh_interval`, or a redirect of any command); the
    ///   gap says since when. While both the old and the new primary are subscribed to, which
    ///   ends with that refresh, some may come twice.
    /// - A pattern that begins otherwise, as `*` or `*:expired`, is at one node, because ordinary
    ///   messages would come from each: it gets the keyspace events of that node only.
    /// - A message that is *published* to such a channel goes to every node, and comes once from
    ///   each primary.
    /// - Servers tell of keys only where `notify-keyspace-events` says so.
    ///
    /// <https://redis.io/docs/latest/develop/use/keyspace-notifications/>
    ///
    /// ```no_run
    /// # extern crate slotcar_core as slotcar;
    /// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
    /// use slotcar::Update;
    /// let mut news = client.subscribe(["news", "weather"]).await?;
    /// news.psubscribe("sport.*");
    /// while let Some(update) = news.next().await {
    ///     if let Update::Message(message) = update {
    ///         println!("{}: {:?}", message.channel_text(), message.text());
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn subscribe(&self, channels: impl ToArgs) -> Subscribe<'_> {
        Subscribe::new(self, ChannelKind::Classic, channels)
    }

    /// Subscribes to all channels whose names match a pattern: `news.*`, `h?llo`, `[ab]c`.
    ///
    /// For events of keys in a cluster see [`Client::subscribe`]: `__keyevent@0__:*` hears all
    /// primaries, `*` hears one.
    pub fn psubscribe(&self, patterns: impl ToArgs) -> Subscribe<'_> {
        Subscribe::new(self, ChannelKind::Pattern, patterns)
    }

    /// Subscribes to sharded channels, in any slots: each at the shard that owns its slot, and at
    /// the new owner when the slot moves.
    ///
    /// Needs server version 7.0.
    pub fn ssubscribe(&self, channels: impl ToArgs) -> Subscribe<'_> {
        Subscribe::new(self, ChannelKind::Sharded, channels)
    }

    /// `PUBSUB CHANNELS [pattern]` of all nodes: every channel with a subscriber.
    ///
    /// `pattern`: one, or none for all channels.
    ///
    /// # Errors
    /// Those of [`Client::send_each`], and the error of the first node that failed.
    ///
    /// Since 2.8.0. <https://redis.io/commands/pubsub-channels/>
    pub async fn pubsub_channels(&self, pattern: impl ToArgs) -> Result<Vec<Blob>, Error> {
        self.union(command::pubsub_channels(pattern)).await
    }

    /// `PUBSUB NUMSUB [channel ...]` of all nodes: the number of subscribers of each
    /// channel, without those by pattern.
    ///
    /// # Errors
    /// Those of [`Client::send_each`], and the error of the first node that failed.
    ///
    /// Since 2.8.0. <https://redis.io/commands/pubsub-numsub/>
    pub async fn pubsub_numsub(&self, channels: impl ToArgs) -> Result<BTreeMap<Blob, u64>, Error> {
        self.sums(command::pubsub_numsub(channels)).await
    }

    /// `PUBSUB NUMPAT` of all nodes: how many patterns have subscribers. A pattern that has them at
    /// several nodes counts once for each node.
    ///
    /// # Errors
    /// Those of [`Client::send_each`], and the error of the first node that failed.
    ///
    /// Since 2.8.0. <https://redis.io/commands/pubsub-numpat/>
    pub async fn pubsub_numpat(&self) -> Result<u64, Error> {
        let mut sum = 0;
        for reply in self.send_each(Target::AllNodes, command::pubsub_numpat()).await? {
            sum += reply.decode::<u64>()?;
        }
        Ok(sum)
    }

    /// `PUBSUB SHARDCHANNELS [pattern]` of all nodes: every sharded channel with a
    /// subscriber.
    ///
    /// `pattern`: one, or none for all channels.
    ///
    /// # Errors
    /// Those of [`Client::send_each`], and the error of the first node that failed.
    ///
    /// Since 7.0.0. <https://redis.io/commands/pubsub-shardchannels/>
    pub async fn pubsub_shardchannels(&self, pattern: impl ToArgs) -> Result<Vec<Blob>, Error> {
        self.union(command::pubsub_shardchannels(pattern)).await
    }

    /// `PUBSUB SHARDNUMSUB [shardchannel ...]` of all nodes: the number of subscribers of
    /// each channel.
    ///
    /// # Errors
    /// Those of [`Client::send_each`], and the error of the first node that failed.
    ///
    /// Since 7.0.0. <https://redis.io/commands/pubsub-shardnumsub/>
    pub async fn pubsub_shardnumsub(
        &self,
        channels: impl ToArgs,
    ) -> Result<BTreeMap<Blob, u64>, Error> {
        self.sums(command::pubsub_shardnumsub(channels)).await
    }

    /// The elements of all nodes' lists, sorted, each once.
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
