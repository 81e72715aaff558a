//! Readers that run in the background of a test.
//!
//! The servers' counters show where their reads went.

use futures::future::join_all;
use slotcar::prelude::*;
use slotcar::{Client, Config, Endpoint, Transport};
use slotcar_tcp::Smol;
use slotcar_tests::background::{self, BackgroundWork};
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Server, Version};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Errors that are kept of a load.
const ERRORS_MAX: usize = 20;

/// Readers of one client.
pub(crate) struct Load {
    /// Set to end them.
    stop: Arc<AtomicBool>,
    /// Reads that succeeded.
    done: Arc<AtomicU64>,
    /// The longest of them, in microseconds.
    worst: Arc<AtomicU64>,
    /// What failed.
    errors: Arc<Mutex<Vec<slotcar::Error>>>,
    /// The loop.
    work: BackgroundWork,
}

impl Load {
    /// Starts so many readers of these keys, each with a pause between its reads.
    pub(crate) fn start(client: Client, readers: usize, keys: Vec<String>) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let (done, worst) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let errors = Arc::<Mutex<Vec<slotcar::Error>>>::default();
        let shared = (stop.clone(), done.clone(), worst.clone(), errors.clone());
        let work = background::spawn(async move {
            let (stop, done, worst, errors) = &shared;
            let (client, keys) = (&client, &keys);
            let reader = |from: usize| async move {
                for key in keys.iter().cycle().skip(from) {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let began = Instant::now();
                    match client.get::<Option<String>>(key).await {
                        Ok(_) => {
                            let took = u64::try_from(began.elapsed().as_micros()).unwrap();
                            worst.fetch_max(took, Ordering::Relaxed);
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            let mut errors = errors.lock().unwrap();
                            if errors.len() < ERRORS_MAX {
                                errors.push(error);
                            }
                        }
                    }
                    smol::Timer::after(Duration::from_micros(500)).await;
                }
            };
            join_all((0..readers).map(reader)).await;
        });
        let load = Load { stop, done, worst, errors, work };
        load.wait_for(100);
        load
    }

    /// Waits for so many more reads.
    pub(crate) fn wait_for(&self, count: u64) {
        let until = self.done.load(Ordering::Relaxed) + count;
        until_true("reads to succeed", || self.done.load(Ordering::Relaxed) >= until);
    }

    /// Ends it. How many succeeded, the longest, and what failed.
    pub(crate) fn stop(self) -> (u64, Duration, Vec<slotcar::Error>) {
        self.stop.store(true, Ordering::Relaxed);
        self.work.join();
        let errors = self.errors.lock().unwrap().clone();
        let worst = Duration::from_micros(self.worst.load(Ordering::Relaxed));
        (self.done.load(Ordering::Relaxed), worst, errors)
    }
}

/// A primary and replicas that no cluster and no sentinel knows.
pub(crate) struct Group {
    /// Takes writes.
    pub(crate) primary: Server,
    /// In sync when this is made.
    pub(crate) replicas: Vec<Server>,
}

impl Group {
    pub(crate) fn start(version: &Version, replicas: usize, lines: &str) -> Group {
        let primary = Server::start(version);
        let start = |_| {
            let server = Server::of(version).config(lines).start();
            follow(&server, primary.address());
            server
        };
        let replicas: Vec<Server> = (0..replicas).map(start).collect();
        replicas.iter().for_each(wait_until_in_sync);
        Group { primary, replicas }
    }

    /// A configuration that lists the replicas by hand.
    pub(crate) fn config(&self) -> Config {
        let at: Vec<String> = self.replicas.iter().map(|r| r.address().to_string()).collect();
        let url = format!("{}?replicas={}", self.primary.url(), at.join(","));
        Config::from_url(&url).unwrap()
    }
}

/// Makes a server the replica of another.
pub(crate) fn follow(server: &Server, primary: SocketAddr) {
    let (ip, port) = (primary.ip().to_string(), primary.port().to_string());
    server.call(&["REPLICAOF", &ip, &port]).ok();
}

/// Waits until a replica's link to its primary is up.
pub(crate) fn wait_until_in_sync(server: &Server) {
    until_true("a replica to be in sync", || {
        server.info("replication").get("master_link_status").is_some_and(|link| link == "up")
    });
}

/// GETs that a server has run.
pub(crate) fn gets(server: &Server) -> u64 {
    server.command_calls().get("get").copied().unwrap_or_default()
}

/// The share that each server has of the next `count` GETs.
pub(crate) fn shares(servers: &[&Server], load: &Load, count: u64) -> Vec<f64> {
    let before: Vec<u64> = servers.iter().map(|server| gets(server)).collect();
    load.wait_for(count);
    let after = servers.iter().map(|server| gets(server));
    let grown: Vec<u64> = after.zip(before).map(|(after, before)| after - before).collect();
    let all = grown.iter().sum::<u64>().max(1) as f64;
    grown.into_iter().map(|count| count as f64 / all).collect()
}

/// A client over sockets.
pub(crate) fn connect(config: Config) -> Client {
    connect_over(Smol::new(), config)
}

pub(crate) fn connect_over(transport: impl Transport, config: Config) -> Client {
    smol::block_on(Client::connect(transport, config)).unwrap()
}

/// Where a server listens.
pub(crate) fn at(address: SocketAddr) -> Endpoint {
    Endpoint::tcp(&address.ip().to_string(), address.port())
}

/// Keys over all slots, without values.
pub(crate) fn keys() -> Vec<String> {
    (0..1000).map(|n| format!("key:{n}")).collect()
}
