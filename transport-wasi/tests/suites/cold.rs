//! A cold start: from nothing to the first reply of a cluster, in round trips.
//!
//! Two dials and three round trips, one after the other: to a seed, which replies with the
//! topology, and to the owner of the key, which says who it is before it gets the command.

use crate::block_on;
use crate::real::cluster::key_in;
use crate::real::{Cluster, Fault, Proxy, Version};
use slotcar::config::Deployment;
use slotcar::prelude::*;
use slotcar::{Config, Endpoint};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Half a round trip: long compared with everything else on a busy machine.
const DELAY: Duration = Duration::from_millis(250);
/// Round trips on connections, without dials.
const EXCHANGES: u32 = 3;

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::tcp(&address.ip().to_string(), address.port())
}

#[test]
fn the_first_reply_of_a_cluster_takes_two_dials_and_three_exchanges() {
    let cluster = Cluster::of(&Version::any()).replicas(0).start();
    let proxies: Vec<Proxy> = cluster.addresses().into_iter().map(Proxy::to).collect();
    proxies.iter().for_each(|proxy| proxy.set(Fault::Delay(DELAY)));
    let pairs = cluster.addresses().into_iter().zip(&proxies);
    let map = pairs.map(|(inside, proxy)| (endpoint(inside), endpoint(proxy.address())));
    let config = Config::default()
        .deployment(Deployment::Cluster)
        .endpoints([endpoint(proxies[0].address())])
        .address_map(map.collect::<BTreeMap<_, _>>());
    block_on(async {
        let began = Instant::now();
        let client = slotcar::connect_with(config).await.expect("connect");
        // A key of another node than the seed.
        client.get::<Option<String>>(key_in(9000)).await.expect("get");
        let took = began.elapsed();
        let dials: u64 = proxies.iter().map(Proxy::accepted).sum();
        println!("{took:?} at {:?} a round trip, {dials} dials", 2 * DELAY);
        assert!(took >= 2 * DELAY * EXCHANGES, "{took:?}: the delay does not count");
        assert!(took < 2 * DELAY * EXCHANGES + 2 * DELAY, "{took:?}: one round trip too many");
    });
}
