//! GETs beside a drop of many subscriptions: a real server, a thread each, real time.
//!
//! What it prints means something on a quiet machine only.

use crate::section::cpu_time;
use slotcar::prelude::*;
use slotcar::{Client, Config, Smol, Subscription};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long GETs are timed before and after.
const AWHILE: Duration = Duration::from_secs(1);

/// Drops so many subscriptions of one channel each, alone and beside GETs, and prints what it found
/// as `NAME VALUE` in nanoseconds.
pub(crate) fn run(host: &str, port: &str, count: usize) {
    let url = format!("redis://{host}:{port}");
    let config = Config::from_url(&url).expect("an address");
    let client = smol::block_on(Client::connect(Smol::new(), config)).expect("the server answers");
    let all = subscribe(&client, count);
    let before = cpu_time();
    drop(all);
    settle(&client);
    println!("cpu-of-drop {}", (cpu_time() - before).as_nanos());
    let all = subscribe(&client, count);
    let (ends, drops) = (AtomicBool::new(false), AtomicBool::new(false));
    let (usual, beside) = std::thread::scope(|scope| {
        let gets = scope.spawn(|| smol::block_on(gets(&client, &ends, &drops)));
        std::thread::sleep(AWHILE);
        drops.store(true, Ordering::Release);
        drop(all);
        settle(&client);
        ends.store(true, Ordering::Release);
        gets.join().expect("GETs succeed")
    });
    println!("get-usual {}", median(usual).as_nanos());
    println!("get-beside {}", median(beside).as_nanos());
}

fn subscribe(client: &Client, count: usize) -> Vec<Subscription> {
    smol::block_on(async {
        let mut all = Vec::with_capacity(count);
        for n in 0..count {
            all.push(client.subscribe(format!("c{n}")).start().expect("it is open"));
        }
        for one in &mut all {
            one.ready().await.expect("the server confirms it");
        }
        all
    })
}

/// Waits until the server has no subscriber any more.
fn settle(client: &Client) {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        let asked = client.send(slotcar::cmd("PUBSUB").arg("CHANNELS"));
        let channels: Vec<String> = smol::block_on(asked.into_future()).expect("PUBSUB succeeds");
        if channels.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Times GETs, before and while the subscriptions are dropped.
async fn gets(
    client: &Client,
    ends: &AtomicBool,
    drops: &AtomicBool,
) -> (Vec<Duration>, Vec<Duration>) {
    let (mut usual, mut beside) = (Vec::new(), Vec::new());
    while !ends.load(Ordering::Acquire) {
        let begin = Instant::now();
        let _: Option<String> = client.get("k").await.expect("GET succeeds");
        let took = begin.elapsed();
        if drops.load(Ordering::Acquire) { beside.push(took) } else { usual.push(took) }
    }
    (usual, beside)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
