//! Callers that wait: for replies of a server that sends none for now, or for room in the budget.
//!
//! Each has a waker of its own, and is polled only when that was called.

use crate::host::Host;
use crate::section::{counted, section};
use crate::server::Servers;
use slotcar::prelude::*;
use slotcar_core::config::Deployment;
use slotcar_core::{Blob, Client, Config, Endpoint, Error};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// The least number of operations of a section.
const ROUNDS: usize = 300;

/// Commands that are in flight beside those that are counted.
const IN_FLIGHT: usize = 16;

/// A caller, and whether it was woken.
struct Caller {
    future: Pin<Box<dyn Future<Output = Result<Option<Blob>, Error>>>>,
    waker: Waker,
}

/// Puts the number of its caller into the list of those to poll.
struct Woken {
    number: usize,
    list: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.list.lock().expect("no panic under it").push(self.number);
    }
}

/// Callers by their numbers.
struct Callers {
    all: Vec<Option<Caller>>,
    woken: Arc<Mutex<Vec<usize>>>,
    ended: usize,
}

impl Callers {
    fn new() -> Self {
        Self { all: Vec::new(), woken: Arc::default(), ended: 0 }
    }

    /// Adds a caller, and polls it once.
    fn add(&mut self, client: &Client, timeout: Duration) {
        let view = client.with_timeout(timeout);
        let future = Box::pin(async move { view.get("k").await });
        let woken = Woken { number: self.all.len(), list: Arc::clone(&self.woken) };
        self.all.push(Some(Caller { future, waker: Waker::from(Arc::new(woken)) }));
        self.poll(self.all.len() - 1);
    }

    fn poll(&mut self, number: usize) {
        let Some(caller) = &mut self.all[number] else { return };
        let Caller { future, waker } = caller;
        let cx = &mut Context::from_waker(waker);
        let is_ready = counted(|| future.as_mut().poll(cx).is_ready());
        if is_ready {
            self.leave(number);
            self.ended += 1;
        }
    }

    /// Drops a caller.
    fn leave(&mut self, number: usize) {
        let mut caller = self.all[number].take();
        counted(|| drop(caller.take()));
    }

    /// Polls those that were woken, and lets the host run, until nothing happens any more.
    fn run(&mut self, host: &Host) {
        loop {
            host.run();
            let woken = std::mem::take(&mut *self.woken.lock().expect("no panic under it"));
            if woken.is_empty() {
                return;
            }
            woken.into_iter().for_each(|number| self.poll(number));
        }
    }

    fn waiting(&self) -> Vec<usize> {
        (0..self.all.len()).filter(|number| self.all[*number].is_some()).collect()
    }
}

/// How long callers wait that are not to time out.
const LONG: Duration = Duration::from_secs(3600);

fn client(host: &Host, config: Config) -> Client {
    let endpoints = vec![Endpoint::tcp("n0", 7000)];
    // A server that owes replies for an hour is not to be taken for dead.
    let mut config = config;
    config.endpoints = endpoints;
    config.deployment = Deployment::Standalone;
    config.progress_timeout = LONG;
    let client = host.finish(Client::connect(host.clone(), config)).expect("the server answers");
    let first: Option<Blob> = host.finish(client.get("k")).expect("GET succeeds");
    assert!(first.is_some());
    host.servers(|servers| servers.holds = true);
    client
}

/// So many callers wait for replies.
pub(crate) fn run(size: usize) {
    wait(size, "", Config::default());
}

/// So many callers wait for room in the budget, behind one command that takes it all.
pub(crate) fn run_for_room(size: usize) {
    let mut config = Config::default();
    // A GET counts for its 20 bytes and 128 more.
    config.node_bytes_max = 148 * IN_FLIGHT;
    wait(size, "room-", config);
}

fn wait(size: usize, prefix: &str, config: Config) {
    let host = Host::new(Servers::standalone());
    let client = client(&host, config);
    let mut callers = Callers::new();
    // These are in flight throughout, so that each other one is one of several.
    (0..IN_FLIGHT).for_each(|_| callers.add(&client, LONG));
    callers.run(&host);
    let connection = host.servers(|servers| servers.last_get);
    (0..size).for_each(|_| callers.add(&client, LONG));
    callers.run(&host);
    let named = |name: &str| format!("{prefix}{name}");
    section(&named("enter-and-leave"), ROUNDS as u64, || {
        for _ in 0..ROUNDS {
            let number = callers.all.len();
            callers.add(&client, LONG);
            callers.run(&host);
            callers.leave(number);
            callers.run(&host);
        }
    });
    // In no order: each has its own moment.
    let ended = callers.ended;
    let late = size.max(ROUNDS);
    for n in 0..late {
        callers.add(&client, Duration::from_millis(100 + (n * 7919 % late) as u64));
    }
    callers.run(&host);
    section(&named("time-out"), late as u64, || {
        for _ in 0..late + 200 {
            host.advance(Duration::from_millis(1));
            callers.run(&host);
        }
    });
    assert_eq!(callers.ended - ended, late, "each times out");
    let waiting = callers.waiting();
    let (leaving, staying): (Vec<usize>, Vec<usize>) = waiting.iter().partition(|n| **n % 2 == 0);
    section(&named("leave"), leaving.len() as u64, || {
        for n in &leaving {
            callers.leave(*n);
            callers.run(&host);
        }
    });
    // To those that wait and to those that have gone, one by one.
    let owed = || host.servers(|servers| servers.owed);
    let in_room = if prefix.is_empty() { 0 } else { staying.len().saturating_sub(IN_FLIGHT) };
    section(&named("reply"), (owed() + in_room) as u64, || {
        while owed() > 0 {
            host.servers(|servers| servers.owed -= 1);
            host.send(connection, b"$1\r\nv\r\n");
            callers.run(&host);
        }
    });
    assert!(staying.iter().all(|n| callers.all[*n].is_none()), "each has its reply");
    drop(client);
}
