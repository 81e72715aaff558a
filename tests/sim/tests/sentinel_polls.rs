//! The refresh that a client makes without a cause: what it finds alone, and how rare it is.
//!
//! Sentinels of Redis 5 announce nothing to this client, which subscribes over RESP3 only. Here
//! they also cannot reach the primary that they have replaced: it stays alive as a primary, keeps
//! every connection and sends nothing. So only the poll can find out.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

mod load;

use load::{MS, SECOND};
use slotcar::prelude::*;
use slotcar::{Client, Config};
use slotcar_sim::{Sim, SimBuilder, Version};
use std::time::Duration;

/// A service whose sentinels send no announcements.
fn sentinels_without_announcements() -> SimBuilder {
    Sim::sentinel(2, 3).version(Version::redis(5, 0, 14)).time_limit(SECOND * 600)
}

/// A client with or without background tasks.
async fn client(sim: &Sim, background: bool, config: Config) -> Client {
    let transport = sim.transport();
    let transport = if background { transport } else { transport.without_background() };
    let client = Client::connect(transport, config).await.unwrap();
    client.set("k", "first").await.unwrap();
    client
}

/// Another server becomes the primary; `a` stays one, too. Returns the new one.
async fn fail_over_past_the_old_primary(sim: &Sim) -> String {
    sim.advance(SECOND * 3).await;
    sim.sentinel_failover("s1");
    while ["s1", "s2", "s3"].iter().any(|sentinel| sim.believed_by(sentinel) == "a") {
        sim.advance(MS).await;
    }
    for sentinel in sim.sentinels() {
        sim.partition(&sentinel, "a");
    }
    sim.believed_by("s1")
}

/// Refreshes of the topology so far.
fn refreshes(client: &Client) -> u64 {
    client.metrics().refreshes
}

/// How often sentinels were asked for the primary.
fn questions(sim: &Sim) -> u64 {
    sim.sentinels().iter().map(|sentinel| sim.calls(sentinel, "sentinel|master")).sum()
}

/// Writes until one is on the new primary; how long that took, and how many were not.
async fn write_until_new(
    sim: &Sim,
    client: &Client,
    new: &str,
    pause: Duration,
) -> (Duration, u32) {
    let began = sim.now();
    for number in 0..10_000 {
        let value = format!("v{number}");
        client.set("k", &value).await.unwrap();
        if sim.peek(new, "k").as_deref() == Some(value.as_bytes()) {
            return (sim.now().since(began), number);
        }
        sim.advance(pause).await;
    }
    panic!("never on {new}");
}

#[test]
fn a_poll_alone_leaves_a_demoted_primary_that_is_alive() {
    for background in [true, false] {
        for interval in [SECOND * 10, SECOND] {
            sentinels_without_announcements().run(|sim| async move {
                let config = sim.config().sentinel_interval(interval);
                let client = client(&sim, background, config).await;
                let new = fail_over_past_the_old_primary(&sim).await;
                let before = refreshes(&client);
                let (took, lost) = write_until_new(&sim, &client, &new, MS * 10).await;
                println!("background {background}, interval {interval:?}: {took:?}, {lost} lost");
                assert!(took <= interval + MS * 100, "background {background}: {took:?}");
                assert!(sim.is_primary("a"), "nothing else has told it");
                assert!(refreshes(&client) <= before + 1, "one refresh found it");
                let before = sim.calls("a", "set");
                for _ in 0..100 {
                    client.set("k", "new").await.unwrap();
                }
                assert_eq!(sim.calls("a", "set"), before, "nothing is written there any more");
            });
        }
    }
}

/// Without background tasks there is no refresh while there are no calls. The first command after a
/// rest starts the refresh, and is the last one on the old primary.
#[test]
fn the_first_command_after_a_rest_refreshes() {
    sentinels_without_announcements().run(|sim| async move {
        let client = client(&sim, false, sim.config()).await;
        let new = fail_over_past_the_old_primary(&sim).await;
        sim.advance(SECOND * 60).await;
        let before = (refreshes(&client), sim.calls("a", "set"));
        let (took, lost) = write_until_new(&sim, &client, &new, MS).await;
        println!("{took:?}, {lost} lost");
        assert!(took <= MS * 20, "{took:?}");
        assert!(sim.calls("a", "set") <= before.1 + 6, "{lost} lost");
        assert_eq!(refreshes(&client), before.0 + 1);
    });
}

/// Commands with pauses longer than the interval: the command that starts the refresh also ends it.
/// Otherwise the map would be out of date at each command.
#[test]
fn a_rare_command_ends_the_refresh_that_it_starts() {
    sentinels_without_announcements().run(|sim| async move {
        let client = client(&sim, false, sim.config()).await;
        let new = fail_over_past_the_old_primary(&sim).await;
        sim.advance(SECOND * 15).await;
        let (took, lost) = write_until_new(&sim, &client, &new, SECOND * 15).await;
        println!("{took:?}, {lost} lost");
        assert_eq!(lost, 1, "the first of them");
        // Sentinels that hang delay a call only briefly.
        sim.sentinels().iter().for_each(|sentinel| sim.hang(sentinel));
        for _ in 0..3 {
            sim.advance(SECOND * 15).await;
            let began = sim.now();
            client.set("k", "v").await.unwrap();
            assert!(sim.now().since(began) <= MS * 110, "{:?}", sim.now().since(began));
        }
    });
}

/// A pipeline, and a read from a replica, start the refresh as well.
#[test]
fn pipelines_and_reads_from_replicas_refresh_too() {
    sentinels_without_announcements().run(|sim| async move {
        let client = client(&sim, false, sim.config()).await;
        let new = fail_over_past_the_old_primary(&sim).await;
        let known = || {
            let primary = client.topology().shards[0].primary.endpoint.clone();
            primary == Some(sim.endpoint(&new))
        };
        sim.advance(SECOND * 20).await;
        for _ in 0..20 {
            client.pipeline().add(slotcar::cmd("PING")).run_each().await.unwrap();
        }
        assert!(known(), "by pipelines");
    });
    sentinels_without_announcements().run(|sim| async move {
        let config = sim.config().read_from(slotcar::ReadFrom::PreferReplica);
        let client = client(&sim, false, config).await;
        sim.advance(SECOND * 20).await;
        let before = refreshes(&client);
        for _ in 0..20 {
            client.get::<Option<String>>("k").await.unwrap();
            sim.advance(MS).await;
        }
        assert_eq!(refreshes(&client), before + 1);
    });
}

/// The cost of the steady state: no command asks a sentinel, and polls are an interval apart.
#[test]
fn the_steady_state_asks_once_in_ten_seconds() {
    for version in [Version::redis(5, 0, 14), Version::valkey(8, 1, 1)] {
        for background in [true, false] {
            let sim = Sim::sentinel(2, 3).version(version).time_limit(SECOND * 600);
            sim.run(|sim| async move {
                let client = client(&sim, background, sim.config()).await;
                let (start, mut commands) = (sim.now(), 0);
                let (mut polls, mut last) = (Vec::new(), refreshes(&client));
                let asked = questions(&sim);
                while sim.now() < start.after(SECOND * 120) {
                    client.set("k", commands).await.unwrap();
                    commands += 1;
                    if refreshes(&client) != last {
                        assert_eq!(refreshes(&client), last + 1);
                        last += 1;
                        polls.push(sim.now());
                    }
                    sim.advance(MS * 5).await;
                }
                let asked = questions(&sim) - asked;
                println!(
                    "background {background}: {commands} commands, {} polls, {asked} questions",
                    polls.len()
                );
                let apart = polls.windows(2).map(|pair| pair[1].since(pair[0]));
                let least = apart.min().unwrap();
                assert!(least >= SECOND * 10 - MS * 20, "{least:?}");
                assert!((10..=12).contains(&polls.len()), "{} polls in 120 s", polls.len());
                assert!(asked <= polls.len() as u64 * 3, "{asked} questions");
            });
        }
    }
}
