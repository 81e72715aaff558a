//! Users that may say almost nothing, at real servers: what `docs/courtesies.md` calls the smallest
//! rights of each deployment is enough, and each courtesy is done without where an ACL forbids it.
//!
//! The rights are read from the page, so that it cannot promise less than is needed.

use super::{config, connect};
use slotcar::prelude::*;
use slotcar::{Client, Config, ErrorKind, ReadFrom, Update};
use slotcar_tests::polling::run;
use slotcar_tests::real::wait::{until, until_true};
use slotcar_tests::real::{Cluster, Sentinels, Server, Version};

const PAGE: &str = include_str!("../../../docs/courtesies.md");

/// The rights in the page's line of this name.
fn rights(row: &str) -> Vec<&'static str> {
    let line = PAGE.lines().find(|line| line.starts_with(&format!("- {row}: ")));
    let line = line.unwrap_or_else(|| panic!("{row} in docs/courtesies.md"));
    let text = line.split('`').nth(1).expect("rights in backticks");
    text.split(' ').collect()
}

/// A user of this name, with the password `pw`, all keys and all channels, and these rights only.
fn allow(server: &Server, rights: &[&str]) {
    let user = ["ACL", "SETUSER", "app", "reset", "on", ">pw", "~*", "&*"];
    server.call(&[&user, rights].concat()).ok();
}

fn app(config: Config) -> Config {
    config.username("app").password("pw")
}

async fn write_and_read(client: &Client, what: &str) {
    client.set("k", "v").await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let value: Result<String, _> = client.get("k").await;
    assert_eq!(value.unwrap_or_else(|error| panic!("{what}: {error:?}")), "v", "{what}");
}

/// The versions whose rights are told in the page.
fn told() -> impl Iterator<Item = Version> {
    ["redis-7.0", "redis-8.0", "valkey-9.1"].into_iter().filter_map(Version::named)
}

#[test]
fn the_smallest_rights_at_one_server() {
    for version in told() {
        let server = Server::start(&version);
        allow(&server, &rights("one server"));
        let client = run(connect(app(config(&server.url())))).expect("any answer to PING will do");
        run(write_and_read(&client, version.name()));
    }
}

#[test]
fn the_smallest_rights_for_messages() {
    for version in told() {
        let server = Server::start(&version);
        allow(&server, &rights("messages"));
        run(async {
            let client = connect(app(config(&server.url()))).await.expect("it may publish");
            let mut messages = client.subscribe("ch").await.expect("it may subscribe");
            client.publish("ch", "hello").await.expect("it may publish");
            loop {
                match messages.next().await {
                    Some(Update::Message(message)) => {
                        assert_eq!(message.payload(), b"hello");
                        break;
                    }
                    Some(_) => {}
                    None => panic!("it ended"),
                }
            }
        });
    }
}

#[test]
fn the_smallest_rights_in_a_cluster() {
    for version in told() {
        let cluster = Cluster::of(&version).primaries(2).replicas(1).start();
        let all = |rights: &[&str]| cluster.nodes().iter().for_each(|node| allow(node, rights));
        all(&rights("a cluster"));
        let client = run(connect(app(config(&cluster.url())))).expect("SLOTS is enough");
        run(write_and_read(&client, version.name()));
        // Reads from replicas fail at once, and the error says what they lack.
        let strict = app(config(&cluster.url())).read_from(ReadFrom::Replica);
        // CLUSTER SLOTS names a replica once it follows its primary.
        let client = until("the replicas to be announced", || {
            let client = run(connect(strict.clone())).expect("SLOTS is enough");
            let knows = client.topology().shards.iter().all(|shard| shard.replicas.len() == 1);
            knows.then_some(client)
        });
        for _ in 0..3 {
            let error = run(client.get::<Option<String>>("k")).expect_err("no READONLY");
            assert_eq!(error.kind(), ErrorKind::Topology, "{error:?}");
            assert!(error.to_string().contains("READONLY"), "{error}");
            assert!(error.attempts() <= 2, "{error:?}");
        }
        let client = run(connect(strict.clone().read_from(ReadFrom::PreferReplica))).expect("well");
        assert_eq!(run(client.get::<String>("k")).expect("the primary has it"), "v");
        all(&rights("replicas of a cluster"));
        let client = run(connect(strict)).expect("READONLY is allowed");
        until_true("the replica to have it", || {
            run(client.get::<Option<String>>("k")).expect("a replica answers").is_some()
        });
    }
}

#[test]
fn the_smallest_rights_behind_sentinels() {
    for version in told() {
        let group = Sentinels::of(&version).start();
        group.servers().iter().for_each(|server| allow(server, &rights("one server")));
        let config = app(config(&group.url()));
        let at_sentinels = |rights: &[&str]| {
            group.sentinels().iter().for_each(|sentinel| allow(sentinel, rights));
            let slotcar::config::Deployment::Sentinel { service, tls, .. } =
                config.deployment.clone()
            else {
                panic!("sentinels")
            };
            config.clone().deployment(slotcar::config::Deployment::Sentinel {
                service,
                username: Some("app".to_owned()),
                password: Some("pw".into()),
                tls,
            })
        };
        let config = at_sentinels(&rights("sentinels"));
        let client = run(connect(config)).expect("the address is enough");
        run(write_and_read(&client, version.name()));
        assert_eq!(client.topology().shards[0].replicas.len(), 0, "it may not ask");
        // What redis.io allows a client of sentinels.
        let published = [
            "-@all",
            "+auth",
            "+client|getname",
            "+client|id",
            "+client|setname",
            "+command",
            "+hello",
            "+ping",
            "+role",
            "+sentinel|get-master-addr-by-name",
            "+sentinel|master",
            "+sentinel|myid",
            "+sentinel|replicas",
            "+sentinel|sentinels",
            "+sentinel|masters",
        ];
        let client = run(connect(at_sentinels(&published))).expect("the published rights");
        run(write_and_read(&client, version.name()));
        assert_eq!(client.topology().shards[0].replicas.len(), 2);
    }
}

/// Replicas that refuse READONLY serve nothing; the primary is down. A policy that allows the
/// primary waits for it, as a write does, or for the replica that is made the primary.
// A task of a component cannot say whether it is finished.
#[cfg(not(target_os = "wasi"))]
#[test]
fn a_read_waits_for_a_primary_where_replicas_refuse_readonly() {
    const USER: &str = "user app on >pw ~* &* +@all -readonly";
    for (version, comes_back) in
        told().flat_map(|version| [(version.clone(), true), (version, false)])
    {
        let what = format!("{version}, the primary comes back: {comes_back}");
        let cluster = Cluster::of(&version).primaries(1).replicas(1).config(USER).start();
        let both = app(config(&cluster.url())).read_from(ReadFrom::PreferReplica);
        let client = until("the replica to be announced", || {
            let client = run(connect(both.clone())).expect("the primary answers");
            (client.topology().shards[0].replicas.len() == 1).then_some(client)
        });
        run(write_and_read(&client, &what));
        let replica = cluster.node(1);
        until_true("the replica to have it", || {
            let mut conn = replica.conn().expect("it answers");
            conn.call(&["READONLY"]).expect("it answers");
            conn.call(&["GET", "k"]).is_ok_and(|reply| reply.text() == "v")
        });
        cluster.node(0).kill();
        let failed = || client.metrics().dials_failed;
        let (before, waiting) = (failed(), client.clone());
        let read = smol::spawn(async move { waiting.get::<Option<String>>("k").await });
        until_true("the primary to refuse a few connections", || failed() > before + 3);
        assert!(!read.is_finished(), "{what}: it waits");
        if comes_back {
            cluster.node(0).restart();
        } else {
            replica.call(&["CLUSTER", "FAILOVER", "TAKEOVER"]).ok();
        }
        let value = run(read).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        // A primary that comes back has saved nothing.
        assert_eq!(value.is_some(), !comes_back, "{what}");
        // Once for each read, not once for each look at the nodes.
        let errors = replica.info("errorstats");
        let is_few = |count: &String| ["count=1", "count=2", "count=3"].contains(&count.as_str());
        assert!(errors.get("errorstat_MOVED").is_none_or(is_few), "{what}: {errors:?}");
    }
}

/// Every command that a client says unasked is forbidden by itself. Before 7.0 an ACL cannot forbid
/// a part of a command.
#[test]
fn each_courtesy_forbidden_by_itself() {
    for version in Version::all().into_iter().filter(Version::since_7) {
        let server = Server::start(&version);
        for forbidden in ["-hello", "-client", "-ping", "-role", "-command", "-info", "-readonly"] {
            allow(&server, &["+@all", forbidden]);
            for named in [false, true] {
                let config = app(config(&server.url())).database(2);
                let config = if named { config.client_name("me") } else { config };
                let client = run(connect(config)).unwrap_or_else(|e| panic!("{forbidden}: {e:?}"));
                run(write_and_read(&client, forbidden));
            }
        }
        let cluster = Cluster::of(&version).primaries(2).start();
        for forbidden in
            ["-cluster|shards", "-cluster|nodes", "-cluster|myid", "-cluster|slots", "-hello"]
        {
            cluster.nodes().iter().for_each(|node| allow(node, &["+@all", forbidden]));
            let client = run(connect(app(config(&cluster.url()))));
            let client = client.unwrap_or_else(|error| panic!("{forbidden}: {error:?}"));
            run(write_and_read(&client, forbidden));
        }
    }
}

/// The server says which databases a cluster has.
#[test]
fn numbered_databases_in_a_cluster() {
    for version in told() {
        let has_many = version.since((99, 0), (9, 0));
        let lines = if has_many { "cluster-databases 16" } else { "" };
        let cluster = Cluster::of(&version).primaries(2).config(lines).start();
        let config = config(&cluster.url());
        let other = run(connect(config.clone())).expect("database 0");
        run(other.set("k", "zero")).expect("database 0");
        let result = run(connect(config.database(3)));
        if has_many {
            let client = result.expect("there are 16");
            assert_eq!(run(client.get::<Option<String>>("k")).expect("it is empty"), None);
            run(write_and_read(&client, "database 3"));
            assert_eq!(run(other.get::<String>("k")).expect("it is there"), "zero");
        } else {
            let error = result.expect_err("there is one");
            let text = error.to_string();
            assert!(text.contains("SELECT was refused; this cluster may have"), "{error:?}");
        }
    }
}
