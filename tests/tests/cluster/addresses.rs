//! Addresses that differ from what the nodes announce: translated addresses, host names, names that
//! change, and nodes that all announce one address.

use super::load::Load;
use slotcar::config::Deployment;
use slotcar::prelude::*;
use slotcar::{BoxFuture, ByteStream, Client, Config, Endpoint, ErrorKind, Event, Transport};
use slotcar_tcp::Smol;
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::{Cluster, Proxy, Script, Version};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A transport that resolves names by a table.
#[derive(Debug)]
struct Names {
    /// What dials.
    tcp: Smol,
    /// Names and their addresses.
    table: BTreeMap<String, SocketAddr>,
}

impl Transport for Names {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move {
            let Endpoint::Tcp { host, port } = endpoint else {
                return self.tcp.connect(endpoint).await;
            };
            let ip = self.table.get(&**host).map(|address| address.ip().to_string());
            let host = ip.as_deref().unwrap_or(host);
            self.tcp.connect(&Endpoint::tcp(host, *port)).await
        })
    }

    slotcar_tests::forward_transport!(tcp: spawn, sleep_until, now, seed);
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::tcp(&address.ip().to_string(), address.port())
}

/// Each node is behind a translated address: the client translates the addresses in SHARDS, SLOTS,
/// MOVED and ASK, and dials no node directly.
#[test]
fn a_cluster_behind_translated_addresses_is_reached_through_the_map() {
    for version in Version::all() {
        let cluster = Cluster::of(&version).replicas(0).start();
        let proxies: Vec<Proxy> = cluster.addresses().into_iter().map(Proxy::to).collect();
        let pairs = cluster.addresses().into_iter().zip(&proxies);
        let map = pairs.map(|(inside, proxy)| (endpoint(inside), endpoint(proxy.address())));
        let config = Config::default()
            .deployment(Deployment::Cluster)
            .endpoints([endpoint(proxies[0].address())])
            .address_map(map.collect::<BTreeMap<_, _>>());
        smol::block_on(async {
            let client = Client::connect(Smol::new(), config).await.unwrap();
            let mut events = client.events();
            let key = key_in(100);
            for slot in [100, 6000, 12000] {
                client.set(key_in(slot), slot).await.unwrap();
            }
            cluster.begin_move(100, 1);
            cluster.migrate(&[&key], 0, 1);
            assert_eq!(client.get::<u16>(&key).await.unwrap(), 100, "{version}: by ASK");
            cluster.finish_move(100, 0, 1);
            assert_eq!(client.get::<u16>(&key).await.unwrap(), 100, "{version}: by MOVED");
            assert_eq!(client.metrics().redirects, 2, "{version}");
            client.close();
            while let Some(event) = events.next().await {
                if let Event::Connected { endpoint: to, .. } = event {
                    let known = proxies.iter().any(|proxy| endpoint(proxy.address()) == to);
                    assert!(known, "{version}: {to} was dialled directly");
                }
            }
        });
    }
}

/// Servers announce an address, then a host name, then the address again: the nodes are the same.
#[test]
fn names_that_come_and_go_cost_no_connection() {
    let Some(version) = Version::all().into_iter().find(Version::since_7) else { return };
    let cluster = Cluster::of(&version).replicas(0).start();
    let name = |at: usize| format!("node-{at}.test");
    let table = cluster.addresses().into_iter().enumerate().map(|(at, to)| (name(at), to));
    let names = Names { tcp: Smol::new(), table: table.collect() };
    let client = Client::connect(names, Config::from_url(&cluster.url()).unwrap());
    let load = Load::of(smol::block_on(client).unwrap());
    let dials = load.client.metrics().dials;
    let tells = |client: &Client, name: bool| {
        let shards = client.topology().shards;
        shards.iter().all(|s| {
            s.primary.endpoint.as_ref().is_some_and(|e| e.to_string().contains("test") == name)
        })
    };
    for preferred in ["hostname", "ip", "hostname"] {
        cluster.announce(preferred, name);
        slotcar_tests::real::wait::until_true("the map to have the new names", || {
            smol::block_on(load.client.refresh()).unwrap();
            tells(&load.client, preferred == "hostname")
        });
        load.wait_until_recovered(Instant::now());
    }
    assert_eq!(load.client.metrics().dials, dials, "no connection was made anew");
    // A name is dialled like any other, once its connection is lost.
    for node in cluster.nodes() {
        let _ = node.kill_clients("normal");
    }
    load.wait_until_recovered(Instant::now());
    let client = load.client.clone();
    let record = load.stop();
    record.assert_no_error();
    record.assert_counted_once(&client);
}

/// Nodes announce names that nobody here can look up: the error says what maps them.
#[test]
fn announced_names_that_lead_nowhere_are_told_with_the_map() {
    let Some(version) = Version::all().into_iter().find(Version::since_7) else { return };
    let cluster = Cluster::of(&version).replicas(0).start();
    let name = |at: usize| format!("node-{at}.invalid");
    cluster.announce("hostname", name);
    let config =
        || Config::from_url(&cluster.url()).unwrap().command_timeout(Duration::from_secs(2));
    let names = (0..3)
        .map(|at| (Endpoint::tcp(&name(at), cluster.node(at).address().port()), cluster.node(at)));
    let map: BTreeMap<_, _> = names.map(|(name, node)| (name, endpoint(node.address()))).collect();
    smol::block_on(async {
        let client = Client::connect(Smol::new(), config()).await.unwrap();
        let error = client.set(key_in(100), 1).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(".invalid") && text.contains("with address_map"), "{text}");
        let client = Client::connect(Smol::new(), config().address_map(map)).await.unwrap();
        client.set(key_in(100), 1).await.expect("the map leads there");
    });
}

/// With one announced address for all nodes, each redirect would lead back to its sender.
#[test]
fn nodes_that_are_folded_into_one_address_are_refused_with_a_reason() {
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let node = |id: char| {
        format!("*3\r\n{}:7000\r\n{}", bulk("10.9.9.9"), bulk(&id.to_string().repeat(40)))
    };
    let half = |from: u16, to: u16, id| format!("*3\r\n:{from}\r\n:{to}\r\n{}", node(id));
    let slots = format!("*2\r\n{}{}", half(0, 8191, 'a'), half(8192, 16383, 'b'));
    let script = Script::answering(move |command| {
        let words: Vec<String> =
            command.iter().map(|w| String::from_utf8_lossy(w).to_uppercase()).collect();
        Some(match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["CLUSTER", "SLOTS"] => slots.clone().into_bytes(),
            ["PING"] => b"+PONG\r\n".to_vec(),
            _ => b"-ERR unknown command\r\n".to_vec(),
        })
    });
    smol::block_on(async {
        let config = Config::from_url(&format!("redis-cluster://{}", script.address())).unwrap();
        let began = Instant::now();
        let error = Client::connect(Smol::new(), config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Topology, "{error:?}");
        let text = error.to_string();
        assert!(text.contains("both reached at 10.9.9.9:7000"), "{text}");
        assert!(text.contains("address_map"), "{text}");
        assert!(began.elapsed() < Duration::from_secs(5));
    });
}
