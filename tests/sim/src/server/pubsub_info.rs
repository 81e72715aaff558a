//! `PUBSUB`: the subscriptions on this server.
//!
//! Spec: command pages of PUBSUB.

use super::command::{LOADING, Outcome, PUBSUB, STALE, Spec, fail_with};
use super::data::scan::glob;
use crate::ids::ConnId;
use crate::resp::Reply;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

const FLAGS: u32 = PUBSUB | LOADING | STALE;

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::container("pubsub"),
    Spec::server("pubsub|channels", -2, FLAGS, |c, a| names(&c.server.channels.channels, a)),
    Spec::server("pubsub|numpat", 2, FLAGS, |c, _| {
        Ok(Reply::count(c.server.channels.patterns.len()))
    }),
    Spec::server("pubsub|numsub", -2, FLAGS, |c, a| Ok(counts(&c.server.channels.channels, a))),
    Spec::server("pubsub|shardchannels", -2, FLAGS, |c, a| names(&c.server.channels.shard, a))
        .since(7, 0),
    Spec::server("pubsub|shardnumsub", -2, FLAGS, |c, a| Ok(counts(&c.server.channels.shard, a)))
        .since(7, 0),
];

fn names(channels: &BTreeMap<Bytes, BTreeSet<ConnId>>, arguments: &[Bytes]) -> Outcome {
    let pattern = match &arguments[2..] {
        [] => None,
        [pattern] => Some(pattern),
        _ => {
            let sub = String::from_utf8_lossy(&arguments[1]);
            return Err(fail_with(format!(
                "ERR unknown subcommand or wrong number of arguments for '{sub}'. Try PUBSUB HELP."
            )));
        }
    };
    let wanted = |name: &&Bytes| pattern.is_none_or(|pattern| glob(pattern, name));
    Ok(Reply::bulks(channels.keys().filter(wanted).cloned()))
}

fn counts(channels: &BTreeMap<Bytes, BTreeSet<ConnId>>, arguments: &[Bytes]) -> Reply {
    let count = |name: &Bytes| Reply::count(channels.get(name).map_or(0, BTreeSet::len));
    let pairs = arguments[2..].iter().flat_map(|name| [Reply::Bulk(name.clone()), count(name)]);
    Reply::Array(pairs.collect())
}
