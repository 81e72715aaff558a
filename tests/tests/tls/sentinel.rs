//! Sentinels and servers, each with or without TLS: `sentinel_tls` says how sentinels are dialled,
//! `tls` how servers are.

use super::{SHARED, carriers, config, tls};
use slotcar::prelude::*;
use slotcar::{Client, Error};
use slotcar_tests::polling::run;
use slotcar_tests::real::certificates::TLS_PORT;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Server, Version};
use std::net::SocketAddr;

/// A primary, its replica and one sentinel, which all have a plain and a TLS port; `secure` says
/// how they talk to each other, and so which ports the sentinel announces.
struct Group {
    /// The primary first.
    servers: [Server; 2],
    /// The sentinel.
    sentinel: Server,
}

impl Group {
    fn start(version: &Version, secure: bool) -> Group {
        let replication = if secure { "tls-replication yes" } else { "tls-replication no" };
        let server =
            || Server::of(version).config(&SHARED.addresses.listening()).config(replication);
        let primary = server().start();
        let at = port_of(&primary, secure);
        let replica = server().config(&format!("replicaof {} {}", at.ip(), at.port())).start();
        until_true("the replica to follow", || {
            replica.info("replication").get("master_link_status").is_some_and(|s| s == "up")
        });
        let lines = format!(
            "{replication}\nsentinel announce-ip {{ip}}\nsentinel monitor m {} {} 1\n\
             sentinel down-after-milliseconds m 1000\nsentinel failover-timeout m 5000",
            at.ip(),
            at.port()
        );
        let sentinel = Server::of(version)
            .sentinel()
            .config(&SHARED.addresses.listening())
            .config(&lines)
            .start();
        until_true("the sentinel to find the replica", || {
            let reply = sentinel.call(&["SENTINEL", "MASTER", "m"]);
            reply.field("num-slaves").is_some_and(|n| n.text() == "1")
        });
        Group { servers: [primary, replica], sentinel }
    }
}

fn port_of(server: &Server, secure: bool) -> SocketAddr {
    if secure { server.tls_address() } else { server.address() }
}

/// Writes, reads also from the replica, and checks which ports are dialled.
async fn serve(client: &Client, secure: bool) -> Result<(), Error> {
    client.set("name", "Ada").await?;
    assert_eq!(client.get::<String>("name").await?, "Ada");
    let topology = client.topology();
    let shard = &topology.shards[0];
    let nodes = std::iter::once(&shard.primary).chain(&shard.replicas);
    let ports: Vec<String> =
        nodes.filter_map(|n| n.endpoint.as_ref()).map(ToString::to_string).collect();
    assert_eq!(ports.len(), 2, "{ports:?}");
    let tls_port = format!(":{TLS_PORT}");
    assert!(ports.iter().all(|port| port.ends_with(&tls_port) == secure), "{ports:?}");
    Ok(())
}

#[test]
fn sentinels_and_servers_may_each_speak_tls_or_not() {
    for version in ["redis-7.0", "valkey-9.1"].into_iter().filter_map(Version::named) {
        for secure in [true, false] {
            let group = Group::start(&version, secure);
            let (plain, encrypted) = (group.sentinel.address(), group.sentinel.tls_address());
            let urls = if secure {
                [
                    format!("rediss-sentinel://{encrypted}/0?service=m"),
                    format!("rediss-sentinel://{plain}/0?service=m&sentinel_tls=false"),
                ]
            } else {
                [
                    format!("redis-sentinel://{encrypted}/0?service=m&sentinel_tls=true"),
                    format!("redis-sentinel://{plain}/0?service=m"),
                ]
            };
            for url in urls {
                for carrier in carriers() {
                    run(async {
                        let client = Client::connect(tls(carrier), config(&url)).await?;
                        serve(&client, secure).await
                    })
                    .unwrap_or_else(|error| panic!("{version}: {url}: {error:?}"));
                }
            }
        }
    }
}

/// The primary dies; the client follows to the replica, always through TLS.
#[test]
fn a_failover_is_followed_through_tls() {
    let group = Group::start(&Version::any(), true);
    let url = format!("rediss-sentinel://{}/0?service=m", group.sentinel.tls_address());
    // The kill may fall between a write and its reply.
    let config = config(&url).retry_unknown(true);
    let client = run(Client::connect(tls(carriers()[0].clone()), config)).expect("up");
    run(client.set("k", "before")).expect("SET");
    group.servers[0].kill();
    run(client.set("k", "after")).expect("the replica takes over in time");
    assert_eq!(group.servers[1].call(&["GET", "k"]).text(), "after");
}
