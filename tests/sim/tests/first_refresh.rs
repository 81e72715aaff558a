//! Commands before the client knows any server: they wait for the first refresh, or for a server,
//! under their own deadline. This holds for a command, a pipeline and a transaction.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

mod load;

use load::{MS, SECOND};
use slotcar::{Client, Delivery, Error, ErrorKind, cmd};
use slotcar_sim::{Sim, SimBuilder};
use std::time::Duration;

/// Every deployment; the servers that its clients dial first are down until later.
fn deployments() -> [(&'static str, SimBuilder); 3] {
    [
        ("standalone", Sim::standalone()),
        ("cluster", Sim::cluster(3, 1)),
        ("sentinel", Sim::sentinel(2, 3)),
    ]
}

/// The servers that a client dials first.
fn first_dialled(sim: &Sim) -> Vec<String> {
    match sim.sentinels() {
        none if none.is_empty() => sim.servers(),
        sentinels => sentinels,
    }
}

/// A client that gets no reply yet.
fn unconnected_client(sim: &Sim, background: bool) -> Client {
    first_dialled(sim).iter().for_each(|server| sim.kill(server));
    let transport = sim.transport();
    let transport = if background { transport } else { transport.without_background() };
    Client::connect_lazy(transport, sim.config()).unwrap()
}

/// One INCR, in one of three ways.
async fn increase(client: &Client, way: &str) -> Result<i64, Error> {
    let incr = cmd("INCR").arg("count");
    match way {
        "command" => client.send(incr).await,
        "pipeline" => client.pipeline().add(incr).run::<(i64,)>().await.map(|(count,)| count),
        _ => client.transaction().add(incr).run::<(i64,)>().await.map(|(count,)| count),
    }
}

#[test]
fn commands_pipelines_and_transactions_wait_for_the_first_refresh() {
    for (name, builder) in deployments() {
        builder.run(|sim| async move {
            for (number, background) in [(0, true), (3, false)] {
                for (at, way) in (1..).zip(["command", "pipeline", "transaction"]) {
                    let client = unconnected_client(&sim, background);
                    let servers = first_dialled(&sim);
                    sim.later(MS * 800, move |sim| servers.iter().for_each(|s| sim.restart(s)));
                    let began = sim.now();
                    let count = increase(&client.with_timeout(SECOND * 20), way).await;
                    let took = sim.now().since(began);
                    println!("{name}, {way}, background {background}: {took:?}");
                    let restarted = name == "standalone" || name == "cluster";
                    let count = count.unwrap();
                    assert!(restarted || count == number + at, "{name}, {way}: {count}");
                    assert!(took >= MS * 800, "{name}, {way}: {took:?}");
                    sim.advance(SECOND * 5).await;
                }
            }
        });
    }
}

#[test]
fn without_any_reply_the_deadline_ends_the_call() {
    for (name, builder) in deployments() {
        builder.run(|sim| async move {
            for way in ["command", "pipeline", "transaction"] {
                let client = unconnected_client(&sim, true);
                let began = sim.now();
                let error = increase(&client.with_timeout(MS * 300), way).await.unwrap_err();
                let took = sim.now().since(began);
                println!("{name}, {way}: {took:?}, {error}");
                let about = (MS * 250)..=(MS * 305);
                assert!(about.contains(&took), "{name}, {way}: {took:?}");
                assert_eq!(error.delivery(), Delivery::NotSent, "{name}, {way}: {error}");
                if name == "sentinel" {
                    assert_eq!(error.kind(), ErrorKind::Topology, "{way}: {error}");
                    assert!(error.to_string().contains("s1.sim"), "names who: {error}");
                }
            }
        });
    }
}

/// A pipeline is sent as soon as the first refresh has ended, all of it at once.
#[test]
fn a_cold_pipeline_behind_sentinels_costs_what_a_command_does() {
    let mut took: Vec<Duration> = Vec::new();
    for way in ["command", "pipeline", "transaction"] {
        took.push(Sim::sentinel(2, 3).run(|sim| async move {
            let client = Client::connect_lazy(sim.transport(), sim.config()).unwrap();
            let began = sim.now();
            increase(&client, way).await.unwrap();
            sim.now().since(began)
        }));
    }
    println!("{took:?}");
    let (least, most) = (took.iter().min().unwrap(), took.iter().max().unwrap());
    assert!(*most <= *least + MS * 5, "{took:?}");
}
