//! One handle that follows a service's primary, against real sentinels.
//!
//! Each test has a primary, two replicas and three sentinels of its own, and a load of INCRs that
//! records every outcome with its time.

#![expect(clippy::unwrap_used, reason = "a harness of tests: a surprise is a failure")]

use slotcar::{Client, Config, Delivery, ErrorKind};
use slotcar_tcp::Tcp;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Sentinels, Version};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Every call has one second.
fn config(sentinels: &Sentinels) -> Config {
    let config = Config::from_url(&sentinels.url()).expect("a service has a good URL");
    config.command_timeout(Duration::from_secs(1))
}

/// One INCR: when it began and ended, and its result.
type Ended = (Instant, Instant, Result<i64, slotcar::Error>);

/// INCRs, one after the other, until stopped.
struct Load {
    /// Set to end it.
    stop: Arc<AtomicBool>,
    /// What has ended.
    ended: Arc<Mutex<Vec<Ended>>>,
    /// The loop.
    thread: Option<JoinHandle<()>>,
}

impl Load {
    fn start(config: Config) -> Load {
        let (stop, ended) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<Ended>>>::default());
        let thread = {
            let (stop, ended) = (stop.clone(), ended.clone());
            std::thread::spawn(move || {
                smol::block_on(async {
                    let client = Client::connect(Tcp::new(), config).await.unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        let began = Instant::now();
                        let result = client.incr("count").await;
                        ended.lock().unwrap().push((began, Instant::now(), result));
                        smol::Timer::after(Duration::from_millis(1)).await;
                    }
                });
            })
        };
        let load = Load { stop, ended, thread: Some(thread) };
        load.wait_for_success(Instant::now());
        load
    }

    /// Waits for an INCR that began after `since` and succeeded.
    fn wait_for_success(&self, since: Instant) {
        until_true("an INCR to succeed", Duration::from_secs(20), || {
            let ended = self.ended.lock().unwrap();
            ended.iter().any(|(began, _, result)| *began >= since && result.is_ok())
        });
    }

    fn stop(mut self) -> Vec<Ended> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        std::mem::take(&mut *self.ended.lock().unwrap())
    }
}

/// From `since` to the end of the first success after it.
fn first_success(record: &[Ended], since: Instant) -> Duration {
    let good = |(_, ended, result): &&Ended| *ended >= since && result.is_ok();
    record.iter().find(good).expect("a success after the fault").1 - since
}

#[test]
fn a_service_is_opened_and_written_to_on_every_version() {
    for version in Version::all() {
        let sentinels = Sentinels::of(&version).start();
        smol::block_on(async {
            let client = Client::connect(Tcp::new(), config(&sentinels)).await.unwrap();
            client.set("name", "Ada").await.unwrap();
            assert_eq!(client.get::<String>("name").await.unwrap(), "Ada", "{version}");
            assert_eq!(client.topology().shards[0].replicas.len(), 2, "{version}");
        });
    }
}

#[test]
fn a_killed_primary_is_followed() {
    let sentinels = Sentinels::of(&Version::any()).down_after_ms(1000).start();
    let load = Load::start(config(&sentinels));
    let old = sentinels.primary().unwrap();
    sentinels.server(old).kill();
    sentinels.wait_for_new_primary(old);
    let promoted = Instant::now();
    load.wait_for_success(promoted);
    let record = load.stop();
    let took = first_success(&record, promoted);
    println!("{took:?} after the promotion");
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[test]
fn writes_leave_a_demoted_primary_that_is_alive() {
    let sentinels = Sentinels::of(&Version::any()).start();
    let load = Load::start(config(&sentinels));
    let old = sentinels.primary().unwrap();
    let began = Instant::now();
    let new = sentinels.failover();
    let named = Instant::now();
    load.wait_for_success(named + Duration::from_secs(1));
    let record = load.stop();
    assert_ne!(old, new);
    let value = sentinels.server(new).call(&["GET", "count"]).text().parse::<i64>().unwrap();
    let late = |(began, ..): &&Ended| *began >= named + Duration::from_secs(1);
    let last = record.iter().filter(late).filter_map(|(_, _, r)| r.as_ref().ok()).max().unwrap();
    println!("named after {:?}; the new primary counts {value}, last reply {last}", named - began);
    assert_eq!(value, *last, "what was acknowledged a second later is on the new primary");
    let unknown = |(_, _, result): &&Ended| {
        result.as_ref().is_err_and(|error| error.delivery() == Delivery::Unknown)
    };
    println!("{} of {} unknown", record.iter().filter(unknown).count(), record.len());
}

#[test]
fn an_unknown_service_is_named_with_the_known_ones() {
    let sentinels = Sentinels::of(&Version::any()).service("orders").start();
    let url = sentinels.url().replace("orders", "order");
    let config = Config::from_url(&url).unwrap();
    let error = smol::block_on(Client::connect(Tcp::new(), config)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Topology);
    assert!(format!("{error:?}").contains("orders"), "{error:?}");
}
