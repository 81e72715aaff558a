//! The load of a service: INCRs, one after the other.
//!
//! Each is recorded with its times and its result; tests assert on this record.

use slotcar::prelude::*;
use slotcar::{Client, Config};
use slotcar_tcp::Smol;
use slotcar_tests::background::{self, BackgroundWork};
use slotcar_tests::real::Sentinels;
use slotcar_tests::real::wait::until_true;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Each call has a timeout of one second.
pub(crate) fn config(sentinels: &Sentinels) -> Config {
    let config = Config::from_url(&sentinels.url()).expect("a service has a good URL");
    config.command_timeout(Duration::from_secs(1))
}

/// One INCR: when it began and ended, and its result.
pub(crate) type Ended = (Instant, Instant, Result<i64, slotcar::Error>);

/// INCRs, one after the other, until stopped.
pub(crate) struct Load {
    /// Set to end it.
    stop: Arc<AtomicBool>,
    /// What has ended.
    ended: Arc<Mutex<Vec<Ended>>>,
    /// The loop.
    work: BackgroundWork,
}

impl Load {
    pub(crate) fn start(config: Config) -> Load {
        let (stop, ended) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<Ended>>>::default());
        let work = {
            let (stop, ended) = (stop.clone(), ended.clone());
            background::spawn(async move {
                let client = Client::connect(Smol::new(), config).await.unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let result = client.incr("count").await;
                    ended.lock().unwrap().push((began, Instant::now(), result));
                    smol::Timer::after(Duration::from_millis(1)).await;
                }
            })
        };
        let load = Load { stop, ended, work };
        load.wait_for_success(Instant::now());
        load
    }

    /// Waits for an INCR that began after `since` and succeeded.
    pub(crate) fn wait_for_success(&self, since: Instant) {
        until_true("an INCR to succeed", || {
            let ended = self.ended.lock().unwrap();
            ended.iter().any(|(began, _, result)| *began >= since && result.is_ok())
        });
    }

    pub(crate) fn stop(self) -> Vec<Ended> {
        self.stop.store(true, Ordering::Relaxed);
        self.work.join();
        std::mem::take(&mut *self.ended.lock().unwrap())
    }
}

/// From `since` to the end of the first success after it.
pub(crate) fn first_success(record: &[Ended], since: Instant) -> Duration {
    let good = |(_, ended, result): &&Ended| *ended >= since && result.is_ok();
    record.iter().find(good).expect("a success after the fault").1 - since
}
