//! Servers restart on other addresses while the component runs.
//!
//! The client learns it from the other nodes, or resolves the name again.

use crate::block_on;
use crate::load::Load;
use crate::real::cluster::key_in;
use crate::real::{Cluster, Conn, Server, Version, address};
use slotcar::Config;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

fn config(url: &str) -> Config {
    Config::from_url(url).expect("a good URL").command_timeout(Duration::from_secs(1))
}

#[test]
fn a_node_of_a_cluster_moves() {
    let options = Cluster::of(&Version::any()).config("cluster-require-full-coverage no");
    let cluster = options.replicas(0).start();
    block_on(async {
        let client = slotcar::connect_with(config(&cluster.url())).await.expect("connect");
        let keys = [100, 8000, 14000].map(key_in);
        Load::beside(&client, &keys, async |load| {
            let ip = address::fresh();
            let new = SocketAddr::from((ip, address::free_port(ip)));
            cluster.node(1).relaunch_on(new);
            load.until("the node to listen again", || Conn::open(new).ok()).await;
            load.until("the others to hear of it", || {
                let lines = cluster.view(0)?;
                lines.iter().any(|line| line.address == Some(new)).then_some(())
            })
            .await;
            load.until_well().await;
        })
        .await;
    });
}

/// One name with two addresses: the server moves from one of them to the other.
#[test]
fn a_name_is_resolved_again() {
    let named = ("localhost", 0).to_socket_addrs().expect("localhost resolves");
    if !named.into_iter().any(|at| at.ip() == Ipv6Addr::LOCALHOST) {
        println!("SKIPPED: this machine does not call ::1 localhost");
        return;
    }
    let server = Server::of(&Version::any()).ip(Ipv4Addr::LOCALHOST).start();
    let port = server.address().port();
    block_on(async {
        let url = format!("redis://localhost:{port}");
        let client = slotcar::connect_with(config(&url)).await.expect("connect");
        Load::beside(&client, &["count".to_owned()], async |load| {
            server.kill();
            server.config_at_restart("bind ::1");
            server.relaunch_on(server.address());
            let new = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
            load.until("the server to listen again", || Conn::open(new).ok()).await;
            load.until_well().await;
        })
        .await;
    });
}
