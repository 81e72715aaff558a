//! Publish and subscribe: channels, patterns, and sharded channels.
//!
//! A message goes to every session that is subscribed on this server. How it reaches other servers
//! depends on the deployment: a primary's replicas repeat a `PUBLISH`, a cluster sends it to all
//! nodes, and `SPUBLISH` to the nodes of one shard.
//!
//! Spec: command pages of the "pubsub" group; RESP3, "Push data".

use super::call::Call;
use super::command::Keys::Range;
use super::command::{FAST, LOADING, MAY_REPLICATE, NOSCRIPT, Outcome, PUBSUB, STALE, Spec, fail};
use super::data::scan::glob;
use super::session::Session;
use super::{Server, arguments};
use crate::env::Env;
use crate::ids::ConnId;
use crate::resp::Reply;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

const SUBSCRIBE_FLAGS: u32 = PUBSUB | NOSCRIPT | LOADING | STALE;

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::server("psubscribe", -2, SUBSCRIBE_FLAGS, |c, a| subscribe(c, a, Kind::Pattern)),
    Spec::server("publish", 3, PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE, publish),
    Spec::server("punsubscribe", -1, SUBSCRIBE_FLAGS, |c, a| unsubscribe(c, a, Kind::Pattern)),
    Spec::server("spublish", 3, PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE, spublish)
        .keyed(Range(1, 1, 1))
        .since(7, 0),
    Spec::server("ssubscribe", -2, SUBSCRIBE_FLAGS, |c, a| subscribe(c, a, Kind::Shard))
        .keyed(Range(1, -1, 1))
        .since(7, 0),
    Spec::server("subscribe", -2, SUBSCRIBE_FLAGS, |c, a| subscribe(c, a, Kind::Channel)),
    Spec::server("sunsubscribe", -1, SUBSCRIBE_FLAGS, |c, a| unsubscribe(c, a, Kind::Shard))
        .keyed(Range(1, -1, 1))
        .since(7, 0),
    Spec::server("unsubscribe", -1, SUBSCRIBE_FLAGS, |c, a| unsubscribe(c, a, Kind::Channel)),
];

/// The three kinds of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By name.
    Channel,
    /// By pattern.
    Pattern,
    /// By name, within a shard.
    Shard,
}

impl Kind {
    fn subscribed(self) -> &'static str {
        match self {
            Self::Channel => "subscribe",
            Self::Pattern => "psubscribe",
            Self::Shard => "ssubscribe",
        }
    }

    fn unsubscribed(self) -> &'static str {
        match self {
            Self::Channel => "unsubscribe",
            Self::Pattern => "punsubscribe",
            Self::Shard => "sunsubscribe",
        }
    }

    fn of_session(self, session: &mut Session) -> &mut BTreeSet<Bytes> {
        match self {
            Self::Channel => &mut session.channels,
            Self::Pattern => &mut session.patterns,
            Self::Shard => &mut session.shard_channels,
        }
    }

    /// The count that confirmations carry.
    fn count(self, session: &Session) -> usize {
        match self {
            Self::Channel | Self::Pattern => session.subscriptions(),
            Self::Shard => session.shard_channels.len(),
        }
    }
}

type Subscribers = BTreeMap<Bytes, BTreeSet<ConnId>>;

/// The subscriptions on one server.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// By channel.
    pub(crate) channels: Subscribers,
    /// By pattern.
    pub(crate) patterns: Subscribers,
    /// By sharded channel.
    pub(crate) shard: Subscribers,
}

impl Channels {
    fn of(&mut self, kind: Kind) -> &mut Subscribers {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shard,
        }
    }

    fn add(&mut self, kind: Kind, name: &Bytes, conn: ConnId) {
        self.of(kind).entry(name.clone()).or_default().insert(conn);
    }

    fn remove(&mut self, kind: Kind, name: &Bytes, conn: ConnId) {
        let subscribers = self.of(kind);
        if let Some(conns) = subscribers.get_mut(name) {
            conns.remove(&conn);
            if conns.is_empty() {
                subscribers.remove(name);
            }
        }
    }

    /// A session is gone: removes its subscriptions.
    pub(crate) fn forget(&mut self, conn: ConnId, session: &Session) {
        self.forget_names(conn, &session.channels, &session.patterns, &session.shard_channels);
    }

    /// A session is not subscribed to any of these any more.
    pub(crate) fn forget_names(
        &mut self,
        conn: ConnId,
        channels: &BTreeSet<Bytes>,
        patterns: &BTreeSet<Bytes>,
        shard: &BTreeSet<Bytes>,
    ) {
        let all = [(Kind::Channel, channels), (Kind::Pattern, patterns), (Kind::Shard, shard)];
        for (kind, names) in all {
            for name in names {
                self.remove(kind, name, conn);
            }
        }
    }
}

fn confirmation(word: &'static str, name: Option<&Bytes>, count: usize) -> Reply {
    let name = name.map_or(Reply::Null, |name| Reply::Bulk(name.clone()));
    Reply::Push(vec![Reply::text(word), name, Reply::count(count)])
}

fn subscribe(call: &mut Call<'_, '_>, arguments: &[Bytes], kind: Kind) -> Outcome {
    let conn = call.conn;
    if call.in_exec && kind == Kind::Shard {
        return Err(fail("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"));
    }
    let mut confirmations = Vec::with_capacity(arguments.len() - 1);
    for name in &arguments[1..] {
        call.server.channels.add(kind, name, conn);
        let session = call.session();
        kind.of_session(session).insert(name.clone());
        confirmations.push(confirmation(kind.subscribed(), Some(name), kind.count(session)));
    }
    Ok(Reply::Many(confirmations))
}

fn unsubscribe(call: &mut Call<'_, '_>, arguments: &[Bytes], kind: Kind) -> Outcome {
    let all: Vec<Bytes>;
    let names = if arguments.len() > 1 {
        &arguments[1..]
    } else {
        all = kind.of_session(call.session()).iter().cloned().collect();
        &all[..]
    };
    let conn = call.conn;
    let mut confirmations = Vec::with_capacity(names.len());
    for name in names {
        call.server.channels.remove(kind, name, conn);
        let session = call.session();
        kind.of_session(session).remove(name);
        confirmations.push(confirmation(kind.unsubscribed(), Some(name), kind.count(session)));
    }
    if names.is_empty() {
        let count = kind.count(call.session());
        confirmations.push(confirmation(kind.unsubscribed(), None, count));
    }
    Ok(Reply::Many(confirmations))
}

fn publish(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    if call.server.sentinel.is_some() {
        return Err(fail("ERR Only HELLO messages are accepted by Sentinel instances."));
    }
    Ok(Reply::count(call.server.publish(call.env, &arguments[1], &arguments[2])))
}

fn spublish(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(call.server.publish_shard(call.env, &arguments[1], &arguments[2])))
}

impl Server {
    /// Publishes on this server and on the others of the deployment; returns how many sessions got
    /// it here.
    pub(crate) fn publish(&mut self, env: &mut Env<'_>, channel: &Bytes, payload: &Bytes) -> usize {
        self.record_publish(env, "PUBLISH", channel, payload);
        self.deliver(channel, payload)
    }

    /// The same for a sharded channel.
    pub(crate) fn publish_shard(
        &mut self,
        env: &mut Env<'_>,
        channel: &Bytes,
        payload: &Bytes,
    ) -> usize {
        self.record_publish(env, "SPUBLISH", channel, payload);
        self.deliver_shard(channel, payload)
    }

    /// Outside a cluster a primary's replicas repeat what it publishes.
    fn record_publish(
        &mut self,
        env: &mut Env<'_>,
        name: &'static str,
        channel: &Bytes,
        payload: &Bytes,
    ) {
        if self.cluster.is_none() {
            let request = [Bytes::from_static(name.as_bytes()), channel.clone(), payload.clone()];
            self.record(0, env.unix_ms(), 0, &request);
        } else {
            self.spread_publish(env, channel, payload, name == "SPUBLISH");
        }
    }

    /// Gives a message to the sessions of this server.
    pub(crate) fn deliver(&mut self, channel: &Bytes, payload: &Bytes) -> usize {
        let bulk = |bytes: &Bytes| Reply::Bulk(bytes.clone());
        let mut count = 0;
        if let Some(conns) = self.channels.channels.get(channel) {
            let conns: Vec<ConnId> = conns.iter().copied().collect();
            let message = Reply::Push(vec![Reply::text("message"), bulk(channel), bulk(payload)]);
            count += self.push_to(&conns, &message);
        }
        let matching: Vec<(Bytes, Vec<ConnId>)> = self
            .channels
            .patterns
            .iter()
            .filter(|(pattern, _)| glob(pattern, channel))
            .map(|(pattern, conns)| (pattern.clone(), conns.iter().copied().collect()))
            .collect();
        for (pattern, conns) in matching {
            let message = Reply::Push(vec![
                Reply::text("pmessage"),
                Reply::Bulk(pattern),
                bulk(channel),
                bulk(payload),
            ]);
            count += self.push_to(&conns, &message);
        }
        count
    }

    /// Gives a sharded message to the sessions of this server.
    pub(crate) fn deliver_shard(&mut self, channel: &Bytes, payload: &Bytes) -> usize {
        let Some(conns) = self.channels.shard.get(channel) else { return 0 };
        let conns: Vec<ConnId> = conns.iter().copied().collect();
        let bulk = |bytes: &Bytes| Reply::Bulk(bytes.clone());
        let message = Reply::Push(vec![Reply::text("smessage"), bulk(channel), bulk(payload)]);
        self.push_to(&conns, &message)
    }

    fn push_to(&mut self, conns: &[ConnId], message: &Reply) -> usize {
        for conn in conns {
            if let Some(session) = self.sessions.get_mut(conn) {
                session.push(message);
            }
            self.mark_dirty(*conn);
        }
        conns.len()
    }

    /// A replica repeats its primary's `PUBLISH`.
    pub(crate) fn repeat_publish(&mut self, _env: &mut Env<'_>, request: &[Bytes]) {
        let [name, channel, payload] = request else { return };
        if arguments::is(name, "PUBLISH") {
            self.deliver(channel, payload);
        } else if arguments::is(name, "SPUBLISH") {
            self.deliver_shard(channel, payload);
        }
    }

    /// Ends the sharded subscriptions that satisfy `doomed`, and sends their sessions an
    /// unsubscribe push.
    pub(crate) fn drop_shard_channels(&mut self, doomed: impl Fn(&[u8]) -> bool) {
        let names: Vec<Bytes> =
            self.channels.shard.keys().filter(|name| doomed(name)).cloned().collect();
        for name in names {
            for conn in self.channels.shard.remove(&name).unwrap_or_default() {
                if let Some(session) = self.sessions.get_mut(&conn) {
                    session.shard_channels.remove(&name);
                    let count = session.shard_channels.len();
                    session.push(&confirmation("sunsubscribe", Some(&name), count));
                }
                self.mark_dirty(conn);
            }
        }
    }
}
