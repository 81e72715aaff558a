//! Commands whose keys live in several slots, and commands that are for many nodes.
//!
//! The cheap tests run on every version of the servers; those with a dead shard on two versions.

use slotcar::command::{cmd, dbsize, get, set};
use slotcar::prelude::*;
use slotcar::{Blob, Client, Delivery, ErrorDetail, ErrorKind, NodeReply, Slot, Target};
use slotcar_tcp::Smol;
use slotcar_tests::real::cluster::{key_in, slot_of};
use slotcar_tests::real::{Cluster, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

async fn connect(cluster: &Cluster) -> Client {
    let config = slotcar_tests::patient(&cluster.url());
    Client::connect(Smol::new(), config).await.expect("the cluster is up")
}

/// How often the primaries have run a command, by their own count.
fn calls(cluster: &Cluster, command: &str) -> u64 {
    let word = format!("cmdstat_{command}:calls=");
    let count = |index: usize| {
        let text = cluster.node(index).call(&["INFO", "commandstats"]).ok().text();
        let line = text.lines().find_map(|line| line.strip_prefix(&word).map(str::to_owned));
        line.and_then(|rest| rest.split(',').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    (0..cluster.nodes().len()).map(count).sum()
}

/// A hundred keys over all slots, in no order.
fn keys() -> Vec<String> {
    (0..100_u32).map(|n| key_in((n * 6151 % 16384) as u16)).collect()
}

#[test]
fn commands_over_several_slots_are_split_and_keep_their_order() {
    for version in Version::all() {
        let cluster = Cluster::of(&version).replicas(0).start();
        smol::block_on(async {
            let client = connect(&cluster).await;
            let keys = keys();
            client.mset(keys.iter().map(|key| (key, key))).await.unwrap();
            let mut asked = keys.clone();
            asked.insert(7, "nobody".to_owned());
            asked.push(keys[3].clone());
            let values: Vec<Option<String>> = client.mget(&asked).await.unwrap();
            let expected = |key: &String| (key != "nobody").then(|| key.clone());
            assert_eq!(values, asked.iter().map(expected).collect::<Vec<_>>(), "{version}");
            assert_eq!(client.exists(&asked).await.unwrap(), 101, "{version}");
            assert_eq!(client.touch(&keys).await.unwrap(), 100, "{version}");
            assert_eq!(client.dbsize().await.unwrap(), 100, "{version}");
            assert_eq!(client.del(&keys[..50]).await.unwrap(), 50, "{version}");
            assert_eq!(client.unlink(&keys).await.unwrap(), 50, "{version}");
            assert_eq!(client.dbsize().await.unwrap(), 0, "{version}");
        });
    }
}

#[test]
fn a_command_that_cannot_be_split_is_refused_before_a_byte_is_sent() {
    let cluster = Cluster::of(&Version::any()).replicas(0).start();
    smol::block_on(async {
        let client = connect(&cluster).await;
        let (a, b) = (key_in(100), key_in(9000));
        client.set(&a, 1).await.unwrap();
        let rename = client.rename(&a, &b).await.unwrap_err();
        assert_eq!(rename.details(), Some(&ErrorDetail::CrossSlot { first: 100, second: 9000 }));
        assert_eq!((rename.kind(), rename.delivery()), (ErrorKind::Config, Delivery::NotSent));
        assert_eq!(rename.to_string(), "keys in two slots, 100 and 9000: RENAME");
        let whole = client.msetnx([(&a, 1), (&b, 2)]).await.unwrap_err();
        let blocking = client.blpop::<()>([&b, &a], Duration::from_secs(9)).await.unwrap_err();
        let script = cmd("EVAL").arg("return 1").arg(2).arg(&a).arg(&b);
        let script = client.send::<()>(script).await.unwrap_err();
        // Nor does a pipeline run half of itself.
        let pipeline = client.pipeline().add(set(&a, 2)).add(cmd("SINTER").arg(&a).arg(&b));
        let pipeline = pipeline.run::<((), Blob)>().await.unwrap_err();
        for error in [whole, blocking, script, pipeline] {
            assert!(matches!(error.details(), Some(ErrorDetail::CrossSlot { .. })), "{error}");
        }
        for command in ["rename", "msetnx", "blpop", "eval", "sinter"] {
            assert_eq!(calls(&cluster, command), 0, "{command}");
        }
        assert_eq!(client.get::<i32>(&a).await.unwrap(), 1);
        // In one slot, all of them go through.
        let (a1, a2) = (format!("{a}1"), format!("{a}2"));
        client.rename(&a, &a1).await.unwrap();
        assert!(client.msetnx([(&a, 1), (&a2, 2)]).await.unwrap());
    });
}

#[test]
fn a_single_server_is_asked_as_the_caller_wrote_it() {
    let server = slotcar_tests::real::Server::of(&Version::any()).start();
    smol::block_on(async {
        let config = slotcar_tests::patient(&server.url());
        let client = Client::connect(Smol::new(), config).await.unwrap();
        let (a, b) = (key_in(100), key_in(9000));
        assert!(client.msetnx([(&a, 1), (&b, 2)]).await.unwrap());
        assert_eq!(client.mget::<Vec<i32>>([&b, &a]).await.unwrap(), [2, 1]);
        assert_eq!(client.dbsize().await.unwrap(), 2);
        let each = client.send_each(Target::AllNodes, dbsize()).await.unwrap();
        assert_eq!(each.len(), 1);
        assert_eq!(client.send_to::<i32>(Target::key(&a), get(&a)).await.unwrap(), 1);
        let values = client.mget_each::<i32>([&b, &a]).await;
        let values: Vec<i32> = values.into_iter().map(Result::unwrap).collect();
        assert_eq!(values, [2, 1]);
        let text = server.call(&["INFO", "commandstats"]).ok().text();
        assert!(text.contains("cmdstat_mget:calls=3"), "one whole, two by key: {text}");
    });
}

#[test]
fn commands_for_many_nodes_reach_all_of_them() {
    for version in Version::all() {
        let cluster = Cluster::of(&version).start();
        smol::block_on(async {
            let client = connect(&cluster).await;
            let keys = keys();
            client.mset(keys.iter().map(|key| (key, 1))).await.unwrap();
            let found: BTreeSet<String> = client.keys("*").await.unwrap();
            assert_eq!(found, keys.iter().cloned().collect(), "{version}");
            assert!(keys.contains(&client.randomkey::<String>().await.unwrap()), "{version}");
            // A script is known to every node, replicas too.
            let load = || cmd("SCRIPT LOAD").arg("return 7");
            let sha: String = client.send(load()).await.unwrap();
            for node in cluster.nodes() {
                let known = node.call(&["SCRIPT", "EXISTS", &sha]).ok();
                assert_eq!(known.items()[0].integer(), Some(1), "{version}");
            }
            let exists = cmd("SCRIPT EXISTS").arg(&sha).arg("0".repeat(40));
            assert_eq!(client.send::<Vec<bool>>(exists).await.unwrap(), [true, false], "{version}");
            client.send::<()>(cmd("SCRIPT FLUSH")).await.unwrap();
            assert_eq!(calls(&cluster, "config|set") + calls(&cluster, "config"), 0);
            client.send::<()>(cmd("CONFIG SET").arg("slowlog-max-len").arg(77)).await.unwrap();
            for node in cluster.nodes() {
                let text = node.call(&["CONFIG", "GET", "slowlog-max-len"]).ok();
                assert_eq!(text.items()[1].text(), "77", "{version}");
            }
            // In a pipeline, they see what earlier commands did, at every node.
            let (first, sizes, gone, after): (i64, u64, (), u64) = client
                .pipeline()
                .add(cmd("DEL").args(&keys[..10]))
                .add(dbsize())
                .add(cmd("FLUSHALL"))
                .add(dbsize())
                .run()
                .await
                .unwrap();
            assert_eq!((first, sizes, gone, after), (10, 90, (), 0), "{version}");
        });
    }
}

#[test]
fn commands_without_a_key_are_spread_over_the_living() {
    let cluster = Cluster::of(&Version::any()).config("cluster-require-full-coverage no");
    let cluster = cluster.replicas(0).start();
    smol::block_on(async {
        let client = connect(&cluster).await;
        // Connects to each node: a command without a key prefers nodes with a connection.
        client.mget::<Vec<Option<Blob>>>(keys()).await.unwrap();
        let pings = |cluster: &Cluster| -> Vec<u64> {
            let text = |node: usize| cluster.node(node).call(&["INFO", "commandstats"]).ok().text();
            let count = |text: String| {
                let line = text.lines().find(|line| line.starts_with("cmdstat_echo:"))?.to_owned();
                line.split(['=', ',']).nth(1)?.parse().ok()
            };
            (0..3).map(|node| count(text(node)).unwrap_or(0)).collect()
        };
        for _ in 0..30 {
            client.echo::<String>("x").await.unwrap();
        }
        assert_eq!(pings(&cluster), [10, 10, 10]);
        cluster.node(0).kill();
        cluster.wait_until_failed(0, true);
        let began = Instant::now();
        for _ in 0..30 {
            client.echo::<String>("x").await.unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    });
}

#[test]
fn a_command_runs_where_the_caller_says() {
    let cluster = Cluster::of(&Version::any()).start();
    smol::block_on(async {
        let client = connect(&cluster).await;
        let key = key_in(100);
        client.set(&key, 5).await.unwrap();
        let my_id = || cmd("CLUSTER MYID");
        let id: String =
            client.send_to(Target::Slot(Slot::new(100).unwrap()), my_id()).await.unwrap();
        assert_eq!(cluster.index_of(&id), Some(0));
        let shard =
            client.send_each(Target::Shard(Slot::new(100).unwrap()), my_id()).await.unwrap();
        let ids: BTreeSet<String> = shard.iter().map(|r| r.decode().unwrap()).collect();
        assert_eq!(ids, [0, 3].map(|at| cluster.id(at).to_owned()).into());
        for reply in client.send_each(Target::AllNodes, my_id()).await.unwrap() {
            assert_eq!(reply.decode::<String>().unwrap(), reply.node.as_str());
            let at = cluster.index_of(reply.node.as_str()).expect("a node of this cluster");
            let address = reply.endpoint.expect("it was reached").to_string();
            assert_eq!(address, cluster.node(at).address().to_string());
            let named: String =
                client.send_to(Target::Node(reply.node.clone()), my_id()).await.unwrap();
            assert_eq!(named, reply.node.as_str());
        }
        let primaries = client.send_each(Target::AllPrimaries, my_id()).await.unwrap();
        assert_eq!(primaries.len(), 3);
        let each = client.send_each(Target::AllPrimaries, get(&key)).await.unwrap();
        let right: Vec<_> = each.iter().filter(|reply| reply.result.is_ok()).collect();
        assert_eq!(right.len(), 1, "the two others answer with MOVED");
        assert_eq!(right[0].node.as_str(), cluster.id(0));
        // A node that is named does not send the command on.
        let other = primaries.iter().find(|r| r.node.as_str() != cluster.id(0)).unwrap();
        let moved =
            client.send_to::<i32>(Target::Node(other.node.clone()), get(&key)).await.unwrap_err();
        assert_eq!(moved.server_error().map(|e| e.code().to_owned()), Some("MOVED".to_owned()));
        assert_eq!((moved.delivery(), moved.attempts()), (Delivery::Refused, 1));
        let nowhere = slotcar::Endpoint::tcp("127.0.0.1", 1);
        let none = client.send_to::<()>(Target::Endpoint(nowhere), cmd("PING")).await.unwrap_err();
        assert_eq!((none.kind(), none.delivery()), (ErrorKind::Topology, Delivery::NotSent));
    });
}

#[test]
fn one_dead_shard_leaves_the_others_values() {
    for name in ["redis-7.0", "valkey-9.1"] {
        let Some(version) = Version::named(name) else { continue };
        let cluster = Cluster::of(&version).config("cluster-require-full-coverage no");
        let cluster = cluster.replicas(0).quick_failover().start();
        smol::block_on(async {
            let client = connect(&cluster).await.with_timeout(Duration::from_secs(1));
            let keys = keys();
            client.mset(keys.iter().map(|key| (key, key))).await.unwrap();
            let per_node = client.send_each(Target::AllPrimaries, dbsize()).await.unwrap();
            let sizes: BTreeMap<String, u64> = per_node
                .iter()
                .map(|reply| (reply.node.to_string(), reply.decode().unwrap()))
                .collect();
            assert_eq!(sizes.values().sum::<u64>(), 100);
            cluster.node(0).kill();
            cluster.wait_until_failed(0, true);
            let began = Instant::now();
            let error = client.mget::<Vec<Option<String>>>(&keys).await.unwrap_err();
            assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
            assert!(matches!(error.details(), Some(ErrorDetail::Partial { .. })), "{error:?}");
            let results = client.mget_each::<String>(&keys).await;
            assert_eq!(results.len(), 100);
            for (key, result) in keys.iter().zip(&results) {
                match result {
                    Ok(value) => assert_eq!(value, key),
                    Err(error) => assert!(slot_of(key) <= 5460, "{key}: {error}"),
                }
            }
            let lost = keys.iter().filter(|key| slot_of(key) <= 5460).count();
            assert_eq!(results.iter().filter(|result| result.is_err()).count(), lost);
            // The sum would be wrong, so there is an error, which names the nodes that answered.
            let error = client.dbsize().await.unwrap_err();
            let Some(ErrorDetail::Partial { succeeded, failed }) = error.details() else {
                panic!("{error:?}")
            };
            assert_eq!((*succeeded, failed.len()), (2, 1), "{error:?}");
            let each = client.send_each(Target::AllPrimaries, dbsize()).await.unwrap();
            let dead = |reply: &&NodeReply| reply.result.is_err();
            let dead: Vec<_> = each.iter().filter(dead).map(|r| r.node.as_str()).collect();
            assert_eq!(dead, [cluster.id(0)], "{name}");
            for reply in each.iter().filter(|reply| reply.result.is_ok()) {
                assert_eq!(reply.decode::<u64>().unwrap(), sizes[reply.node.as_str()]);
            }
        });
    }
}

/// Commands of modules and of newer servers are not in the client's table. A renamed command plays
/// one of them: the client does not know its name, and the server describes it correctly.
#[test]
fn a_command_that_no_table_has_is_asked_about_once() {
    for version in Version::all() {
        let lines = "rename-command GET MYGET\nrename-command INCRBY MYINCR";
        let cluster = Cluster::of(&version).config(lines).replicas(0).start();
        smol::block_on(async {
            let client = connect(&cluster).await;
            for key in (0..30).map(|n| format!("key:{n}")) {
                client.set(&key, 7).await.unwrap();
                let sum: i64 = client.send(cmd("MYINCR").arg(&key).arg(3)).await.unwrap();
                let value: i64 = client.send(cmd("myget").arg(&key)).await.unwrap();
                assert_eq!((sum, value), (10, 10), "{version}");
            }
            let mut pipeline = client.pipeline();
            (0..30).for_each(|n| pipeline.push(cmd("MYGET").arg(format!("key:{n}"))));
            assert_eq!(pipeline.run::<Vec<i64>>().await.unwrap(), [10; 30], "{version}");
            assert_eq!(client.metrics().redirects, 0, "{version}: each went to its owner");
            let asked = calls(&cluster, "command|info") + calls(&cluster, "command");
            assert_eq!(asked, 2, "{version}: each name is queried once");
            let error = client.send::<()>(cmd("NOSUCH").arg("x")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Server, "{error}");
        });
    }
}
