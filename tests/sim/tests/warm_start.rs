//! A client that starts with the topology of an earlier one: its first command has its reply in one
//! round trip after the connection is open, and a client for each request leaves nothing behind.

use slotcar::prelude::*;
use slotcar::{Client, Config, Topology};
use slotcar_sim::{Sim, SimTransport};
use std::time::Duration;

/// There and back, as the simulation is configured.
const ROUND_TRIP: Duration = Duration::from_millis(1);

async fn learn(sim: &Sim, config: &Config) -> Topology {
    let client = Client::connect(sim.transport(), config.clone()).await.expect("it is there");
    client.set("k", "v").await.expect("it is there");
    client.topology()
}

/// How many round trips the first command takes, its dial included, and how many commands the
/// servers got.
async fn first_command(
    sim: &Sim,
    host: &SimTransport,
    config: &Config,
    known: Option<&Topology>,
) -> (u32, u64) {
    let accepted = |sim: &Sim| sim.servers().iter().map(|name| sim.accepted(name)).sum::<u64>();
    let (before, began) = (accepted(sim), sim.now());
    let client = match known {
        Some(known) => Client::with_topology(host.clone(), config.clone(), known),
        None => Client::connect_lazy(host.clone(), config.clone()),
    };
    let client = client.expect("the configuration fits");
    assert_eq!(client.get::<String>("k").await.expect("it is there"), "v");
    let took = sim.now().since(began);
    let dials = accepted(sim) - before;
    client.close();
    drop(client);
    // The background tasks end.
    sim.advance(Duration::from_micros(1)).await;
    let usage = host.usage();
    let left = (usage.sockets, usage.timers, usage.tasks);
    assert_eq!(left, (0, 0, 0), "sockets, timers, tasks");
    ((took.as_micros() as u32).div_ceil(ROUND_TRIP.as_micros() as u32), dials)
}

#[test]
fn the_first_command_needs_one_round_trip_behind_the_dial() {
    for background in [true, false] {
        Sim::cluster(3, 1).run(|sim| async move {
            let mut host = sim.transport_of("one");
            if !background {
                host = host.without_background();
            }
            for config in [sim.config(), sim.config().courtesies(false)] {
                let known = learn(&sim, &config).await;
                // One for the connection, and one for the command. A cluster's node is asked who it
                // is before it gets the command, unless the configuration says otherwise.
                let asks = u32::from(config.courtesies);
                let (trips, dials) = first_command(&sim, &host, &config, Some(&known)).await;
                assert_eq!((trips, dials), (2 + asks, 1), "{config:?}");
                let (without, _) = first_command(&sim, &host, &config, None).await;
                assert!(without > trips, "{without} round trips without the topology");
            }
        });
    }
}

/// Three hundred requests, each with a client of its own.
#[test]
fn a_client_for_each_request_leaves_nothing() {
    Sim::cluster(3, 1).run(|sim| async move {
        let host = sim.transport_of("one");
        let known = learn(&sim, &sim.config()).await;
        for _ in 0..300 {
            let (_, dials) = first_command(&sim, &host, &sim.config(), Some(&known)).await;
            assert_eq!(dials, 1);
        }
        assert_eq!(host.usage().sockets_max, 1);
    });
}
