//! Subscribe, add, remove and end, on each version, in both protocols.
//!
//! Where it matters, the server's own list of subscribers is compared.

use super::reader::{next_sorted, next_words};
use slotcar::command::cmd;
use slotcar::config::{Protocol, SubscriptionConnection};
use slotcar::prelude::*;
use slotcar::{Client, Config, ErrorKind, Update};
use slotcar_tcp::Smol;
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::wait::{BOUND, until_true};
use slotcar_tests::real::{Cluster, Reply, Server, Version};
use smol::block_on;
use std::collections::BTreeMap;
use std::time::Duration;

fn client(url: &str, protocol: Protocol) -> Client {
    let config = slotcar_tests::patient(url).protocol(protocol);
    block_on(Client::connect(Smol::new(), config)).unwrap()
}

#[test]
fn what_is_published_comes_on_every_version_in_both_protocols() {
    for version in Version::all() {
        let server = Server::start(&version);
        let shared = format!("{}?subscription_connection=shared", server.url());
        let ways = [
            (server.url(), Protocol::Resp3),
            (server.url(), Protocol::Resp2),
            (shared, Protocol::Resp3),
        ];
        for (url, protocol) in ways {
            let client = client(&url, protocol);
            let mut names = block_on(client.subscribe(["a", "b"]).into_future()).unwrap();
            assert_eq!(next_sorted(&mut names, 2), ["+a", "+b"], "{version} {protocol:?}");
            let mut pattern = block_on(client.psubscribe("a*").into_future()).unwrap();
            assert_eq!(next_words(&mut pattern, 1), ["+a*"]);
            for number in 0..100 {
                block_on(client.publish("a", number)).unwrap();
                let got: String = block_on(client.echo(format!("{number}"))).unwrap();
                assert_eq!(got, format!("{number}"), "commands go on beside messages");
            }
            let expected: Vec<_> = (0..100).map(|number| format!("a={number}")).collect();
            assert_eq!(next_words(&mut names, 100), expected);
            assert_eq!(next_words(&mut pattern, 100), expected);
            names.unsubscribe("a");
            names.subscribe("c");
            assert_eq!(next_sorted(&mut names, 2), ["+c", "-a"]);
            block_on(client.publish("a", "nobody")).unwrap();
            block_on(client.publish("c", "here")).unwrap();
            assert_eq!(next_words(&mut names, 1), ["c=here"]);
            drop((names, pattern));
            until_true("no subscriber to be left", || {
                block_on(client.pubsub_channels([""; 0])).unwrap().is_empty()
                    && block_on(client.pubsub_numpat()).unwrap() == 0
            });
        }
    }
}

#[test]
fn sharded_channels_work_on_one_server_too() {
    for version in Version::all().into_iter().filter(Version::since_7) {
        let server = Server::start(&version);
        for protocol in [Protocol::Resp3, Protocol::Resp2] {
            let client = client(&server.url(), protocol);
            let mut all = block_on(client.ssubscribe(["a", "b"]).into_future()).unwrap();
            assert_eq!(next_sorted(&mut all, 2), ["+a", "+b"]);
            assert_eq!(block_on(client.spublish("b", "hi")).unwrap(), 1);
            assert_eq!(next_words(&mut all, 1), ["b=hi"]);
            let counts = block_on(client.pubsub_shardnumsub(["a", "c"])).unwrap();
            assert_eq!(counts.into_values().collect::<Vec<_>>(), [1, 0]);
        }
    }
}

/// Two subscriptions share a channel; when one ends, the other keeps the channel.
#[test]
fn subscriptions_share_what_they_have_in_common() {
    let server = Server::start(&Version::any());
    let client = client(&server.url(), Protocol::Resp3);
    let mut first = block_on(client.subscribe("a").into_future()).unwrap();
    let mut second = block_on(client.subscribe(["a", "b"]).into_future()).unwrap();
    assert_eq!(next_words(&mut first, 1), ["+a"]);
    assert_eq!(next_sorted(&mut second, 2), ["+a", "+b"]);
    assert_eq!(block_on(client.publish("a", 1)).unwrap(), 1, "one subscriber on the wire");
    assert_eq!(next_words(&mut first, 1), ["a=1"]);
    assert_eq!(next_words(&mut second, 1), ["a=1"]);
    drop(first);
    assert_eq!(block_on(client.publish("a", 2)).unwrap(), 1);
    assert_eq!(next_words(&mut second, 1), ["a=2"]);
}

/// In a cluster, one subscription has channels of all kinds and of any slots, from all shards.
#[test]
fn a_cluster_is_one_publisher() {
    for version in Version::all() {
        let cluster = Cluster::of(&version).replicas(0).start();
        for protocol in [Protocol::Resp3, Protocol::Resp2] {
            let client = client(&cluster.url(), protocol);
            let mut all = block_on(client.subscribe(["x", "y", "z"]).into_future()).unwrap();
            all.psubscribe("x*");
            block_on(all.ready()).unwrap();
            assert_eq!(next_sorted(&mut all, 4), ["+x", "+x*", "+y", "+z"]);
            block_on(client.publish("x", 1)).unwrap();
            block_on(client.publish("y", 1)).unwrap();
            assert_eq!(next_sorted(&mut all, 3), ["x=1", "x=1", "y=1"]);
            if !version.since_7() {
                continue;
            }
            let names: Vec<String> = [100, 6000, 11000, 16000].map(key_in).into();
            all.ssubscribe(&names);
            block_on(all.ready()).unwrap();
            assert_eq!(next_words(&mut all, 4).len(), 4);
            for name in &names {
                assert_eq!(block_on(client.spublish(name, "hi")).unwrap(), 1);
                assert_eq!(next_words(&mut all, 1), [format!("{name}=hi")]);
            }
            let mut pipeline = client.pipeline();
            names.iter().for_each(|n| pipeline.push(slotcar::command::spublish(n, "all")));
            assert_eq!(block_on(pipeline.run::<Vec<u64>>()).unwrap(), [1; 4]);
            assert_eq!(next_words(&mut all, 4).len(), 4);
            assert_eq!(block_on(client.pubsub_shardchannels([""; 0])).unwrap().len(), 4);
        }
    }
}

/// A channel that an ACL forbids is named; the other channels of the command are subscribed.
#[test]
fn a_refused_channel_does_not_stop_the_others() {
    let server = Server::start(&Version::any());
    server.call(&["ACL", "SETUSER", "ada", "on", ">pw", "+@all", "~*", "resetchannels", "&ok*"]);
    let config = Config::from_url(&server.url()).unwrap().username("ada").password("pw");
    let client = block_on(Client::connect(Smol::new(), config)).unwrap();
    let mut all = client.subscribe(["ok1", "secret", "ok2"]).start().unwrap();
    assert_eq!(next_sorted(&mut all, 3), ["+ok1", "+ok2", "refused secret: NOPERM"]);
    let error = block_on(client.subscribe("secret").into_future()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
    server.call(&["ACL", "SETUSER", "ada", "&secret"]);
    assert_eq!(next_words(&mut all, 1), ["+secret"], "asked for again");
}

/// A user who may subscribe and not say PING: the server's refusal is as good as a reply.
#[test]
fn a_user_without_ping_can_subscribe() {
    for version in Version::all() {
        let server = Server::start(&version);
        let rules = ["+get", "+publish", "+subscribe", "+unsubscribe", "+hello", "+auth", "~*"];
        let user = ["ACL", "SETUSER", "ada", "on", ">pw"];
        let channels: &[&str] = if version.since((6, 2), (7, 0)) { &["&*"] } else { &[] };
        server.call(&[&user[..], &rules[..], channels].concat()).ok();
        for protocol in [Protocol::Resp3, Protocol::Resp2] {
            for connection in [SubscriptionConnection::Own, SubscriptionConnection::Shared] {
                let config = Config::from_url(&server.url()).unwrap().protocol(protocol);
                let config = config.username("ada").password("pw").database(0);
                let config = config.subscription_connection(connection);
                let config = config.probe_interval(Duration::from_millis(50));
                let client = Client::connect_lazy(Smol::new(), config).unwrap();
                let mut all = block_on(client.subscribe(["a", "b"]).into_future()).unwrap();
                assert_eq!(next_sorted(&mut all, 2), ["+a", "+b"]);
                block_on(client.publish("a", 1)).unwrap();
                assert_eq!(next_words(&mut all, 1), ["a=1"]);
                let probes = || {
                    let calls = server.call(&["INFO", "commandstats"]).text();
                    let line = calls.lines().find(|line| line.starts_with("cmdstat_ping:"));
                    let rejected = line.and_then(|line| line.split("rejected_calls=").nth(1));
                    rejected.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
                };
                let before: u64 = probes();
                if version.since((6, 2), (7, 0)) {
                    // The client gets its turns from its reader.
                    until_true("some probes", || {
                        let nothing = block_on(all.next_within(Duration::from_millis(20)));
                        assert_eq!(nothing.unwrap_err().kind(), ErrorKind::Timeout);
                        probes() >= before + 3
                    });
                }
                block_on(client.publish("a", 2)).unwrap();
                assert_eq!(next_words(&mut all, 1), ["a=2"], "{version} {protocol:?}: no gap");
            }
        }
    }
}

#[test]
fn a_closed_client_ends_its_streams() {
    let server = Server::start(&Version::any());
    let client = client(&server.url(), Protocol::Resp3);
    let mut names = block_on(client.subscribe("a").into_future()).unwrap();
    assert_eq!(next_words(&mut names, 1), ["+a"]);
    client.close();
    let end = block_on(names.next_within(BOUND)).unwrap();
    assert!(end.is_none(), "{end:?}");
}

/// A subscription keeps the client's connections, also when the client was dropped.
#[test]
fn a_subscription_outlives_its_client() {
    let server = Server::start(&Version::any());
    let client = client(&server.url(), Protocol::Resp3);
    let mut names = block_on(client.subscribe("a").into_future()).unwrap();
    drop(client);
    server.call(&["PUBLISH", "a", "1"]);
    assert_eq!(next_words(&mut names, 2), ["+a", "a=1"]);
    drop(names);
    until_true("the connection to close", || {
        server.call(&["PUBSUB", "CHANNELS"]).items().is_empty()
    });
}

/// A message has a text, bytes, a channel and the pattern that matched.
#[test]
fn a_message_tells_where_it_comes_from() {
    let server = Server::start(&Version::any());
    let client = client(&server.url(), Protocol::Resp3);
    let mut all = block_on(client.psubscribe("a*").into_future()).unwrap();
    block_on(client.publish("abc", b"\xff\x00")).unwrap();
    next_words(&mut all, 1);
    let Some(Update::Message(message)) = block_on(all.next()) else { panic!("a message") };
    assert_eq!(message.pattern(), Some(&b"a*"[..]));
    assert_eq!(message.channel(), b"abc");
    assert!(message.text().is_err());
    assert_eq!(message.into_payload(), b"\xff\x00");
}

/// A subscriber is known only to its own node: a plain command asks all nodes, as the typed methods
/// do.
#[test]
fn plain_pubsub_commands_ask_all_nodes() {
    for version in Version::all() {
        let cluster = Cluster::of(&version).start();
        for protocol in [Protocol::Resp3, Protocol::Resp2] {
            let gone = |words: &[&str]| {
                cluster.nodes().iter().all(|node| match node.call(words) {
                    Reply::Integer(count) => count == 0,
                    list => list.items().is_empty(),
                })
            };
            until_true("the client before to be gone", || {
                gone(&["PUBSUB", "CHANNELS"])
                    && gone(&["PUBSUB", "NUMPAT"])
                    && (!version.since_7() || gone(&["PUBSUB", "SHARDCHANNELS"]))
            });
            let client = client(&cluster.url(), protocol);
            // Channels whose names would have slots at each shard, and are spread likewise.
            let names = [100, 6001, 12000].map(key_in);
            let mut all = block_on(client.subscribe(&names).into_future()).unwrap();
            next_words(&mut all, 3);
            let mut pattern = block_on(client.psubscribe("x*").into_future()).unwrap();
            next_words(&mut pattern, 1);
            let send = |words: &str| cmd(words).args(&names);
            let mut channels: Vec<String> =
                block_on(client.send(cmd("PUBSUB CHANNELS")).into_future()).unwrap();
            channels.sort();
            let mut expected = names.to_vec();
            expected.sort();
            assert_eq!(channels, expected, "{version} {protocol:?}");
            let counts: BTreeMap<String, u64> =
                block_on(client.send(send("PUBSUB NUMSUB")).into_future()).unwrap();
            let one_each: BTreeMap<String, u64> =
                names.iter().map(|name| (name.clone(), 1)).collect();
            assert_eq!(counts, one_each, "{version} {protocol:?}");
            let patterns: u64 = block_on(client.send(cmd("PUBSUB NUMPAT")).into_future()).unwrap();
            assert_eq!(patterns, 1, "{version} {protocol:?}");
            if version.since_7() {
                let mut sharded = block_on(client.ssubscribe(&names).into_future()).unwrap();
                next_words(&mut sharded, 3);
                let list: Vec<String> =
                    block_on(client.send(cmd("PUBSUB SHARDCHANNELS")).into_future()).unwrap();
                assert_eq!(list.len(), 3, "{version} {protocol:?}: {list:?}");
                let counts: BTreeMap<String, u64> =
                    block_on(client.send(send("PUBSUB SHARDNUMSUB")).into_future()).unwrap();
                assert_eq!(counts, one_each, "{version} {protocol:?}");
            }
        }
    }
}
