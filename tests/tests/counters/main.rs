//! What `Client::metrics` and `Client::events` tell, on real servers: each count is compared with
//! what the servers or the events say of the same.
//!
//! The complete list of counters and events, each with the test that shows it, is in
//! `core/src/client/counted.rs`.

mod cluster;
mod standalone;

use slotcar::{Client, Config, Event, Events};
use slotcar_tcp::Smol;
use slotcar_tests::patience::retrying as config;
use slotcar_tests::polling::run;
use slotcar_tests::real::Version;

/// The versions that differ: the oldest with all features, and the newest.
fn versions() -> Vec<Version> {
    ["redis-7.0", "valkey-9.1"].into_iter().filter_map(Version::named).collect()
}

/// A client that dials with its first command, so that events tell of its first dial, too.
fn lazy(config: Config) -> (Client, Events) {
    let client = Client::connect_lazy(Smol::new(), config).expect("the configuration is good");
    let events = client.events();
    (client, events)
}

/// All events up to now, and the end of the client.
fn told(client: Client, mut events: Events) -> Vec<Event> {
    client.close();
    run(async {
        let mut all = Vec::new();
        while let Some(event) = events.next().await {
            all.push(event);
        }
        all
    })
}

/// How many of the events are of a kind.
fn number(events: &[Event], is: impl Fn(&Event) -> bool) -> usize {
    events.iter().filter(|event| is(event)).count()
}
