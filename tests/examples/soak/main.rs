//! A real cluster under load and faults, for as long as one likes: `cargo xtask soak`.
//!
//! Callers count and subscribers listen, on one client, while nodes are killed, stopped, promoted,
//! cut off and resharded one after the other. At the end a table says what happened. The run fails
//! when a reply went to the wrong command, an acknowledged write is lost, an increment ran twice, a
//! message is missing without a gap, a call does not end, or memory or descriptors grow.
//!
//! What counts as lost: see `faults.rs`; as doubled: `counter.rs`; as missing: `messages.rs`.

#![allow(clippy::unwrap_used, reason = "as in the tests: a surprise ends it")]

mod counter;
mod faults;
mod messages;
mod options;
mod report;
mod resources;
mod tally;
mod worker;

use counter::Counter;
use faults::{Fault, Faults};
use messages::Channel;
use options::{Options, Runtime};
use report::Report;
use resources::Resources;
use slotcar::{Client, Config, Endpoint};
use slotcar_tcp::{Smol, Tokio};
use slotcar_tests::real::cluster::{key_in, slot_of};
use slotcar_tests::real::wait::{BOUND, until_true};
use slotcar_tests::real::{Cluster, Proxy, Version};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tally::Tally;
use worker::Worker;

/// Each call has this timeout; a server that is silent for as long is given up.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The nodes that are reached through proxies: one shard.
const PROXIED: [usize; 2] = [0, 3];
/// Slots of the sharded channels, one in each shard.
const CHANNELS: [u16; 3] = [700, 7000, 13000];

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            return ExitCode::FAILURE;
        }
    };
    let Some(version) = Version::named(&options.server) else {
        eprintln!("error: SLOTCAR_VERSIONS leaves {} out", options.server);
        return ExitCode::FAILURE;
    };
    println!("{options:?}");
    let tally = Arc::new(Tally::default());
    let report = soak(&options, &version, &tally);
    let counts = tally.counts();
    report.print(&options, &counts);
    let failures = report.failures(&counts);
    failures.iter().for_each(|failure| println!("FAILED: {failure}"));
    counts.notes.iter().for_each(|note| println!("  {note}"));
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the load under faults.
fn soak(options: &Options, version: &Version, tally: &Arc<Tally>) -> Report {
    let cluster = Cluster::of(version).config(faults::CONFIG).start();
    let proxies: Vec<(usize, Proxy)> =
        PROXIED.map(|node| (node, Proxy::to(cluster.node(node).address()))).into();
    let executor = Executor::new(options.runtime);
    // The first client starts the reactor, and the first timer that of smol: their own descriptors
    // stay.
    smol::block_on(smol::Timer::after(Duration::from_millis(1)));
    drop(executor.connect(config(&cluster, &proxies)));
    until_true("the first client to be gone", || proxies.iter().all(|(_, p)| p.open() == 0));
    let before = Resources::now();
    let client = executor.connect(config(&cluster, &proxies));
    let channels = channels(version);
    let slots = (0..options.workers).flat_map(worker::slots).chain(CHANNELS).collect();
    let mut faults = Faults::new(cluster, proxies, slots, options.seed);
    let stop = Arc::new(AtomicBool::new(false));
    let load = Load::start(&executor, &client, &channels, options, tally, &stop);

    let began = Instant::now();
    let mut applied = BTreeMap::<Fault, u64>::new();
    let mut early = Resources::now();
    while began.elapsed() < options.length {
        let fault_began = Instant::now();
        let fault = faults.apply_next();
        *applied.entry(fault).or_default() += 1;
        let took = fault_began.elapsed();
        let (at, so_far) = (began.elapsed(), Resources::now());
        println!("{:>5.0?} {fault:?} took {took:.1?}; {so_far}", at);
        if at < options.length / 3 {
            early = so_far;
        }
        let left = options.length.saturating_sub(at);
        std::thread::sleep(options.every.saturating_sub(took).min(left));
    }
    let length = began.elapsed();
    let late = Resources::now();
    let counters = load.stop(&executor, &channels, tally, &stop);
    drop(client);
    // What is still open then is in the report.
    let dropped = Instant::now();
    while Resources::now().descriptors > before.descriptors && dropped.elapsed() < BOUND / 4 {
        std::thread::sleep(Duration::from_millis(50));
    }
    let after = Resources::now();
    counters.into_iter().for_each(|counter| judge(counter, &faults.cluster, tally));
    Report { faults: applied, early, late, before, after, length }
}

/// The configuration of the client: nodes behind proxies are translated.
fn config(cluster: &Cluster, proxies: &[(usize, Proxy)]) -> Config {
    let at = |address: SocketAddr| Endpoint::tcp(&address.ip().to_string(), address.port());
    let map = proxies
        .iter()
        .map(|(node, proxy)| (at(cluster.node(*node).address()), at(proxy.address())));
    let config = Config::from_url(&cluster.url()).expect("a cluster has a good URL");
    config.command_timeout(TIMEOUT).progress_timeout(TIMEOUT).address_map(map)
}

/// Two channels that are published at every node, and one of each shard where the server has them.
fn channels(version: &Version) -> Vec<Channel> {
    let plain = ["news", "more news"].map(|name| Channel::new(name.to_owned(), false));
    let sharded = CHANNELS.map(|slot| Channel::new(format!("{}:channel", key_in(slot)), true));
    let count = if version.since_7() { sharded.len() } else { 0 };
    plain.into_iter().chain(sharded.into_iter().take(count)).collect()
}

/// Judges a counter by what its primary has, when no connection of the client is left.
fn judge(mut counter: Counter, cluster: &Cluster, tally: &Tally) {
    let primary = cluster.primary_of(slot_of(&counter.key));
    let text = cluster.node(primary).call(&["GET", &counter.key]).ok().text();
    let value = text.parse().unwrap_or_default();
    let finding = counter.read(value);
    tally.finding(finding, || format!("at the end {} is {text}: {counter:?}", counter.key));
}

/// The tasks of a load.
struct Load {
    /// They return their counters.
    workers: Vec<Task<Vec<Counter>>>,
    /// They publish.
    publishers: Vec<Task<()>>,
    /// They read messages.
    readers: Vec<Task<()>>,
    /// Ends the readers.
    stop_reading: Arc<AtomicBool>,
}

impl Load {
    fn start(
        executor: &Executor,
        client: &Client,
        channels: &[Channel],
        options: &Options,
        tally: &Arc<Tally>,
        stop: &Arc<AtomicBool>,
    ) -> Load {
        let stop_reading = Arc::new(AtomicBool::new(false));
        let readers = channels.iter().map(|channel| {
            let (client, tally) = (client.clone(), Arc::clone(tally));
            executor.spawn(channel.clone().read(client, tally, Arc::clone(&stop_reading)))
        });
        let readers = readers.collect();
        let workers = (0..options.workers).map(|number| {
            let worker = Worker::new(client, number, tally, options.seed);
            executor.spawn(worker.run(Arc::clone(stop)))
        });
        let workers = workers.collect();
        let publishers = channels.iter().map(|channel| {
            let (client, tally) = (client.clone(), Arc::clone(tally));
            executor.spawn(channel.clone().publish(client, tally, Arc::clone(stop)))
        });
        let publishers = publishers.collect();
        until_true("the load to run", || tally.counts().messages > 0);
        Load { workers, publishers, readers, stop_reading }
    }

    /// Ends the load, and waits for all of its calls and messages.
    fn stop(
        self,
        executor: &Executor,
        channels: &[Channel],
        tally: &Tally,
        stop: &AtomicBool,
    ) -> Vec<Counter> {
        stop.store(true, Ordering::Relaxed);
        let workers = executor.join("a call to end", self.workers);
        executor.join("a publisher's call to end", self.publishers);
        // What does not come within the time is counted as missing below.
        let began = Instant::now();
        while channels.iter().any(Channel::waits) && began.elapsed() < BOUND / 4 {
            std::thread::sleep(Duration::from_millis(50));
        }
        self.stop_reading.store(true, Ordering::Relaxed);
        executor.join("a subscription to end", self.readers);
        channels.iter().for_each(|channel| channel.count_missing(tally, Duration::ZERO));
        workers.into_iter().flatten().collect()
    }
}

/// Where the tasks run.
enum Executor {
    /// On smol's global executor.
    Smol,
    /// On a tokio runtime.
    Tokio(tokio::runtime::Runtime),
}

/// A task of either; its output.
type Task<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;

impl Executor {
    fn new(runtime: Runtime) -> Executor {
        match runtime {
            Runtime::Smol => Executor::Smol,
            Runtime::Tokio => {
                let mut builder = tokio::runtime::Builder::new_multi_thread();
                let runtime = builder.worker_threads(2).enable_all().build();
                Executor::Tokio(runtime.expect("a runtime"))
            }
        }
    }

    fn connect(&self, config: Config) -> Client {
        let client = match self {
            Executor::Smol => smol::block_on(Client::connect(Smol::new(), config)),
            Executor::Tokio(runtime) => {
                let transport = Tokio::new(runtime.handle().clone());
                runtime.block_on(Client::connect(transport, config))
            }
        };
        client.expect("the cluster is well yet")
    }

    fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Task<T> {
        match self {
            Executor::Smol => Box::pin(smol::spawn(task)),
            Executor::Tokio(runtime) => {
                let task = runtime.spawn(task);
                Box::pin(async move { task.await.expect("no task panics") })
            }
        }
    }

    /// Waits for tasks; panics with `what` if one of them does not end.
    fn join<T: Send + 'static>(&self, what: &str, tasks: Vec<Task<T>>) -> Vec<T> {
        let late = async {
            smol::Timer::after(BOUND).await;
            panic!("this did not happen within {BOUND:?}: {what}");
        };
        smol::block_on(smol::future::or(futures::future::join_all(tasks), late))
    }
}
