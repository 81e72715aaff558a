//! The workloads: what a client is made to do between the start and the end of a measurement.
//!
//! Every reply's size is checked. Each workload runs a tenth of its operations before it starts the
//! clock, and reports how many: a tool that counts the whole process divides by the sum.

use crate::args::Args;
use crate::data::{BATCH, BIG_KEY, BIG_LEN, CHANNEL, HASH_KEY, VALUE, VALUE_LEN, key, keys};
use crate::latch::Latch;
use crate::measure::Measure;
use crate::rng::Rng;
use crate::workload::{Place, Shape};
use crate::{Client, Peer, Target, publish};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Different sets of keys that the calls take in turn.
const SETS: usize = 64;

/// What a cold start writes once its first reply is there.
pub const FIRST: &str = "FIRST";

/// Connects and runs the workload.
pub(crate) async fn drive<P: Peer>(args: &Args) -> Measure {
    let mut measure = Measure::new(args.count_alloc);
    match args.workload.shape {
        Shape::Messages => return messages::<P>(args, measure).await,
        Shape::Cold => {
            measure.start();
            let mut client = P::connect(Target::of(args)).await;
            assert_eq!(client.get(&key(7)).await, VALUE_LEN);
            println!("{FIRST}");
            measure.stop(1, 0);
        }
        Shape::Mixed(tasks) | Shape::Reads(tasks) => {
            let client = P::connect(Target::of(args)).await;
            tasks_at_once::<P>(&client, args, tasks, &mut measure).await;
        }
        shape => {
            let mut client = P::connect(Target::of(args)).await;
            one_by_one(&mut client, args, shape, &mut measure).await;
        }
    }
    measure
}

/// One call after the other.
async fn one_by_one<C: Client>(client: &mut C, args: &Args, shape: Shape, measure: &mut Measure) {
    let per_call = args.workload.ops_per_call();
    let keys = keys();
    let mut rng = Rng::new(3);
    let mut set = || (0..per_call).map(|_| keys[rng.below(keys.len())].clone()).collect();
    let sets: Vec<Vec<String>> = (0..SETS).map(|_| set()).collect();
    let expected = match shape {
        Shape::Big => BIG_LEN,
        Shape::Hgetall => BATCH,
        Shape::Pipeline | Shape::Mget => BATCH * VALUE_LEN,
        _ => VALUE_LEN,
    };
    let calls = (args.ops / per_call).max(1);
    let warm_up = (calls / 10).max(1);
    for call in 0..warm_up {
        once(client, shape, &sets[call as usize % SETS]).await;
    }
    measure.start();
    for call in 0..calls {
        let begin = Instant::now();
        let size = once(client, shape, &sets[call as usize % SETS]).await;
        measure.latency(begin);
        assert_eq!(size, expected);
    }
    measure.stop(calls * per_call, warm_up * per_call);
}

async fn once<C: Client>(client: &mut C, shape: Shape, keys: &[String]) -> usize {
    match shape {
        Shape::Pipeline => client.pipeline_get(keys).await,
        Shape::Mget => client.mget(keys).await,
        Shape::Hgetall => client.hgetall(HASH_KEY).await,
        Shape::Big => client.get(BIG_KEY).await,
        _ => client.get(&keys[0]).await,
    }
}

/// Many tasks over clones of one client.
async fn tasks_at_once<P: Peer>(client: &P::Client, args: &Args, tasks: usize, out: &mut Measure) {
    let keys = Arc::new(keys());
    let each = (args.ops / tasks as u64).max(1);
    let warm_up = (each / 10).max(1);
    let reads_only = args.workload.place == Place::Replicas;
    let spawn = |ops: u64| {
        let latch = Latch::new(tasks);
        for task in 0..tasks as u64 {
            let (client, keys, latch) = (client.clone(), keys.clone(), latch.clone());
            let work = Work { task, ops, reads_only, latency_every: args.latency_every };
            P::spawn(Box::pin(async move { latch.arrive(work.run(client, &keys).await) }));
        }
        latch
    };
    spawn(warm_up).await;
    out.start();
    let latencies = spawn(each).await;
    out.stop(each * tasks as u64, warm_up * tasks as u64);
    latencies.into_iter().flatten().for_each(|latency| out.record(latency));
}

/// One of many tasks.
struct Work {
    /// Its number: it seeds the choice of keys, and says whether it begins with a GET or a SET.
    task: u64,
    /// How many operations.
    ops: u64,
    /// Whether to leave out the SETs.
    reads_only: bool,
    /// Take the time of one operation in so many.
    latency_every: u64,
}

impl Work {
    /// Does it; returns the latencies taken.
    async fn run<C: Client>(self, mut client: C, keys: &[String]) -> Vec<Duration> {
        let mut rng = Rng::new(self.task + 1);
        let mut latencies = Vec::with_capacity((self.ops / self.latency_every + 1) as usize);
        for index in 0..self.ops {
            let key = &keys[rng.below(keys.len())];
            let write = !self.reads_only && (index + self.task) % 2 == 1;
            let begin = (index % self.latency_every == 0).then(Instant::now);
            if write {
                client.set(key, VALUE).await;
            } else {
                assert_eq!(client.get(key).await, VALUE_LEN);
            }
            latencies.extend(begin.map(|begin| begin.elapsed()));
        }
        latencies
    }
}

/// A subscriber, while another process publishes.
async fn messages<P: Peer>(args: &Args, measure: Measure) -> Measure {
    let sharded = args.workload.place == Place::Cluster;
    let shared: Arc<Mutex<(Measure, Option<Child>)>> = Arc::new(Mutex::new((measure, None)));
    let (begin, addrs, count) = (shared.clone(), args.addrs.clone(), args.ops);
    let ready = move || {
        let mut shared = begin.lock().expect("nobody panicked with it");
        shared.0.start();
        shared.1 = Some(publish::start(&addrs, sharded, count).expect("this program is there"));
    };
    let counted = P::subscribe(Target::of(args), CHANNEL, count, ready).await;
    let mut shared = shared.lock().expect("nobody panicked with it");
    shared.0.stop(counted.received, 0);
    shared.0.lose(counted.lost);
    if let Some(mut publisher) = shared.1.take() {
        publisher.wait().expect("a child may be waited for");
    }
    std::mem::replace(&mut shared.0, Measure::new(false))
}
