//! The wire limit: one thread, blocking sockets, request bytes made beforehand, replies skipped.
//!
//! No client can be cheaper with the same number of writes and reads. Concurrent workloads become
//! one batch of as many commands as there are tasks.

use harness::args::{Args, Mode};
use harness::data::{
    BATCH, BIG_KEY, BIG_LEN, CHANNEL, HASH_KEY, KEYS, VALUE, VALUE_LEN, key, keys,
};
use harness::entry::{FIRST, dispatch};
use harness::measure::Measure;
use harness::publish;
use harness::rng::Rng;
use harness::wire::{Wire, encode, owner};
use harness::workload::{Place, Shape};
use std::io;
use std::process::ExitCode;
use std::time::Instant;

/// Different batches, taken in turn.
const BATCHES: usize = 256;

/// What the hash's field names add to the bytes of its values, each.
const FIELD_LEN: usize = "field:0000".len();

fn main() -> ExitCode {
    dispatch("wire limit", &[Mode::Sync], |args| {
        let mut measure = Measure::new(args.count_alloc);
        let outcome = match args.workload.shape {
            Shape::Messages => messages(args, &mut measure),
            Shape::Cold => cold(args, &mut measure),
            _ => batches(args, &mut measure),
        };
        outcome.map(|()| Some(measure)).map_err(|error| error.to_string())
    })
}

fn messages(args: &Args, measure: &mut Measure) -> io::Result<()> {
    let sharded = args.workload.place == Place::Cluster;
    let (name, node): (&[u8], _) =
        if sharded { (b"SSUBSCRIBE", owner(CHANNEL)) } else { (b"SUBSCRIBE", 0) };
    let mut wire = Wire::connect(&args.addrs[node])?;
    wire.call(&[name, CHANNEL.as_bytes()])?;
    measure.start();
    let mut publisher = publish::start(&args.addrs, sharded, args.ops)?;
    for _ in 0..args.ops {
        wire.skip()?;
    }
    measure.stop(args.ops, 0);
    publisher.wait()?;
    Ok(())
}

fn cold(args: &Args, measure: &mut Measure) -> io::Result<()> {
    let key = key(7);
    measure.start();
    let mut wire = Wire::connect(&args.addrs[owner(&key)])?;
    assert_eq!(wire.call(&[b"GET", key.as_bytes()])?, VALUE_LEN);
    println!("{FIRST}");
    measure.stop(1, 0);
    Ok(())
}

/// Commands that are written together.
#[derive(Default)]
struct Batch {
    /// For each node, the bytes to write and the replies that they give.
    nodes: Vec<(Vec<u8>, usize)>,
    /// Bytes that all replies carry.
    payload: usize,
}

fn batches(args: &Args, measure: &mut Measure) -> io::Result<()> {
    let nodes = if args.workload.place == Place::One { 1 } else { 3 };
    let first = if args.workload.place == Place::Replicas { 3 } else { 0 };
    let addrs = &args.addrs[first..first + nodes];
    let mut wires = addrs.iter().map(Wire::connect).collect::<io::Result<Vec<_>>>()?;
    if first > 0 {
        for wire in &mut wires {
            wire.call(&[b"READONLY"])?;
        }
    }
    let mut rng = Rng::new(1);
    let keys = keys();
    let batches: Vec<Batch> = (0..BATCHES).map(|_| batch(args, nodes, &keys, &mut rng)).collect();
    let ops_per_batch = args.workload.ops_per_call().max(args.workload.tasks() as u64);
    let rounds = (args.ops / ops_per_batch).max(1);
    let warm_up = (rounds / 10).max(1);
    for round in 0..warm_up {
        exchange(&mut wires, &batches[round as usize % BATCHES])?;
    }
    measure.start();
    for round in 0..rounds {
        let begin = Instant::now();
        exchange(&mut wires, &batches[round as usize % BATCHES])?;
        measure.latency(begin);
    }
    measure.stop(rounds * ops_per_batch, warm_up * ops_per_batch);
    Ok(())
}

/// Writes to all nodes, then reads from all.
fn exchange(wires: &mut [Wire], batch: &Batch) -> io::Result<()> {
    for (wire, (bytes, _)) in wires.iter_mut().zip(&batch.nodes) {
        wire.write(bytes)?;
    }
    let mut payload = 0;
    for (wire, (_, replies)) in wires.iter_mut().zip(&batch.nodes) {
        for _ in 0..*replies {
            payload += wire.skip()?;
        }
    }
    assert_eq!(payload, batch.payload);
    Ok(())
}

fn batch(args: &Args, nodes: usize, keys: &[String], rng: &mut Rng) -> Batch {
    let mut batch = Batch { nodes: vec![(Vec::new(), 0); nodes], payload: 0 };
    let mut add = |node_key: &str, parts: &[&[u8]], payload| {
        let node = if nodes == 1 { 0 } else { owner(node_key) };
        encode(&mut batch.nodes[node].0, parts);
        batch.nodes[node].1 += 1;
        batch.payload += payload;
    };
    let mut one = || keys[rng.below(KEYS)].as_str();
    match args.workload.shape {
        Shape::Big => add(BIG_KEY, &[b"GET", BIG_KEY.as_bytes()], BIG_LEN),
        Shape::Hgetall => {
            let payload = BATCH * (VALUE_LEN + FIELD_LEN);
            add(HASH_KEY, &[b"HGETALL", HASH_KEY.as_bytes()], payload);
        }
        // On a cluster, the cheapest that gives the same values: a GET for each key.
        Shape::Mget if nodes == 1 => {
            let mut parts: Vec<&[u8]> = vec![b"MGET"];
            parts.extend((0..BATCH).map(|_| one().as_bytes()));
            add("", &parts, BATCH * VALUE_LEN);
        }
        Shape::Mixed(tasks) => {
            for index in 0..tasks {
                let key = one();
                if index % 2 == 1 {
                    add(key, &[b"SET", key.as_bytes(), VALUE.as_bytes()], 0);
                } else {
                    add(key, &[b"GET", key.as_bytes()], VALUE_LEN);
                }
            }
        }
        shape => {
            let count = match shape {
                Shape::Reads(tasks) => tasks,
                Shape::Sequential => 1,
                _ => BATCH,
            };
            for _ in 0..count {
                let key = one();
                add(key, &[b"GET", key.as_bytes()], VALUE_LEN);
            }
        }
    }
    batch
}
