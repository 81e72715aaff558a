//! A bound on staleness is kept: no read under it sees data that is older.
//! The data itself shows its age: a writer writes the time.

use super::load::{Group, connect, follow, gets, wait_until_in_sync};
use slotcar::prelude::*;
use slotcar::{Client, ErrorDetail, ReadFrom};
use slotcar_tests::background;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Fault, Proxy, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const BOUND: Duration = Duration::from_millis(400);

/// Writes the time since `epoch`, again and again, until it is stopped.
fn write_times(client: Client, epoch: Instant, stop: Arc<AtomicBool>) {
    drop(background::spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            let now = u64::try_from(epoch.elapsed().as_micros()).unwrap();
            client.set("time", now).await.unwrap();
            smol::Timer::after(Duration::from_millis(2)).await;
        }
    }));
}

/// How old what is read now was when the read began, at most.
fn age(client: &Client, epoch: Instant) -> Result<Duration, slotcar::Error> {
    let began = epoch.elapsed();
    let written: u64 = smol::block_on(client.get("time"))?;
    Ok(began.saturating_sub(Duration::from_micros(written)))
}

#[test]
fn no_read_is_older_than_the_bound() {
    let group = Group::start(&Version::any(), 1, "");
    let upstream = Proxy::to(group.primary.address());
    follow(&group.replicas[0], upstream.address());
    wait_until_in_sync(&group.replicas[0]);
    let config = group.config().max_staleness(BOUND).read_from(ReadFrom::PreferReplica);
    let client = connect(config);
    let (epoch, stop) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    write_times(client.clone(), epoch, Arc::clone(&stop));
    until_true("a time to be written", || age(&client, epoch).is_ok());
    let mut worst = Duration::ZERO;
    let mut read = |count: u64| {
        let before = gets(&group.replicas[0]);
        for _ in 0..count {
            worst = worst.max(age(&client, epoch).unwrap());
        }
        gets(&group.replicas[0]) - before
    };
    let there = read(2000);
    println!("{there} of 2000 reads at the replica while it keeps up");
    assert!(there > 1000, "{there}");
    // From now on the replica learns nothing, and its connection to the primary lives.
    upstream.set(Fault::BlackHole);
    until_true("the replica to be left", || read(100) == 0);
    assert!(read(500) == 0, "a replica that is behind is not read from");
    let strict = client.with_read_from(ReadFrom::Replica);
    let error = age(&strict, epoch).unwrap_err();
    println!("{error}");
    assert!(matches!(error.details(), Some(ErrorDetail::NoReplica { .. })), "{error:?}");
    println!("{}", strict.explain(&slotcar::command::get("time")));
    upstream.set(Fault::Pass);
    upstream.cut_now();
    wait_until_in_sync(&group.replicas[0]);
    until_true("the replica to be read from again", || read(100) > 50);
    stop.store(true, Ordering::Relaxed);
    println!("the oldest read was {worst:?} old, of {BOUND:?}");
    // A write's own way to the server, and the writer's pauses, come on top.
    assert!(worst < BOUND + Duration::from_millis(250), "{worst:?}");
}

#[test]
fn a_replica_of_which_nothing_is_known_is_left_out() {
    let group = Group::start(&Version::any(), 1, "");
    group.replicas[0].call(&["ACL", "SETUSER", "default", "-info"]).ok();
    let client = connect(group.config().max_staleness(BOUND).read_from(ReadFrom::Replica));
    let error = smol::block_on(client.get::<Option<String>>("key")).unwrap_err();
    assert!(error.to_string().contains("its lag is not known"), "{error}");
    // Without a bound it serves.
    let any = client.with_max_staleness(None);
    smol::block_on(any.get::<Option<String>>("key")).unwrap();
}
