//! What servers allow a subscribed connection to leave unread, and what that costs other callers.
//!
//! A server closes a connection with subscriptions once 32 MB of its output wait, or 8 MB for a
//! minute (`client-output-buffer-limit pubsub`). Connections without subscriptions have no limit.

use super::reader::{next, next_words, words};
use slotcar::prelude::*;
use slotcar::{Client, Delivery, Value};
use slotcar_tcp::Smol;
use slotcar_tests::background::{self, BackgroundWork};
use slotcar_tests::real::{Server, Version};
use smol::block_on;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bytes of the large value: more than servers let wait for a subscriber.
const LARGE: usize = 48_000_000;
/// GETs of the large value by each task.
const GETS: usize = 5;

/// Small writes, one after the other.
struct Increments {
    /// Set to end them.
    stop: Arc<AtomicBool>,
    /// How many were answered.
    answered: Arc<AtomicU64>,
    /// How many failed, and may have run.
    unknown: Arc<AtomicU64>,
    /// The task.
    work: BackgroundWork,
}

impl Increments {
    fn start(client: &Client) -> Self {
        let (stop, answered, unknown) = <(Arc<AtomicBool>, Arc<_>, Arc<_>)>::default();
        let shared: (Arc<AtomicBool>, Arc<AtomicU64>, Arc<AtomicU64>) =
            (Arc::clone(&stop), Arc::clone(&answered), Arc::clone(&unknown));
        let client = client.clone();
        let work = background::spawn(async move {
            let (stop, answered, unknown) = shared;
            while !stop.load(Ordering::Relaxed) {
                match client.incr("count").await {
                    Ok(_) => answered.fetch_add(1, Ordering::Relaxed),
                    Err(error) => {
                        assert_eq!(error.delivery(), Delivery::Unknown, "{error}");
                        unknown.fetch_add(1, Ordering::Relaxed)
                    }
                };
                smol::future::yield_now().await;
            }
        });
        Self { stop, answered, unknown, work }
    }

    /// How many were answered, and how many may have run.
    fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.work.join();
        (self.answered.load(Ordering::Relaxed), self.unknown.load(Ordering::Relaxed))
    }
}

/// Large replies, small writes and a subscription in one client, with the server's own limits: no
/// connection is closed, every write is answered, and the subscription has no gap.
#[test]
fn large_replies_beside_a_subscription_cost_nobody_a_connection() {
    let versions = ["redis-7.0", "redis-8.0", "valkey-9.1"];
    for version in versions.into_iter().filter_map(Version::named) {
        let server = Server::start(&version);
        server.call(&["SETRANGE", "large", &(LARGE - 1).to_string(), "x"]).ok();
        for tasks in [1, 4] {
            // The writes wait behind some hundred megabytes, on a busy machine for many seconds.
            let config = slotcar_tests::patient(&server.url());
            let client = block_on(Client::connect(Smol::new(), config)).unwrap();
            let mut all = block_on(client.subscribe("ch").into_future()).unwrap();
            assert_eq!(words(&next(&mut all)), "+ch");
            let increments = Increments::start(&client);
            let gets = (0..tasks).map(|_| async {
                for _ in 0..GETS {
                    if let Err(error) = client.get::<Value>("large").await {
                        println!("{version}: {error}");
                    }
                }
            });
            block_on(futures::future::join_all(gets));
            let (answered, unknown) = increments.stop();
            let dials = client.metrics().dials;
            println!("{version}, {tasks} tasks: {answered} answered, {unknown} not, {dials} dials");
            assert_eq!((unknown, dials), (0, 2), "{version}, {tasks} tasks");
            block_on(client.publish("ch", "hi")).unwrap();
            assert_eq!(next_words(&mut all, 1), ["ch=hi"], "{version}: no gap before");
        }
    }
}
