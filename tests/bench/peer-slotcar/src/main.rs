//! slotcar: its transport for smol, in three ways of calling it, and the one for tokio, in two.
//!
//! The mode decides which transport a client gets. Reads from replicas follow the policy that
//! `SLOTCAR_READ_FROM` names; by default they go to the less loaded of two nodes.

use harness::args::{Mode, format_addrs};
use harness::data::MESSAGE;
use harness::{BoxFuture, Client as BenchClient, Counted, Peer, Target, entry};
use slotcar::command::get;
use slotcar::prelude::*;
use slotcar::{Blob, Client, Config, Smol, Tokio, Update};
use smol::Executor;
use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::OnceLock;

/// The executor of [`Mode::Smol`] and [`Mode::Smolt`], on the one thread of `main`.
static EXECUTOR: Executor<'static> = Executor::new();

/// The mode of this process: set by `block_on`, before anything is spawned or connected.
static MODE: OnceLock<Mode> = OnceLock::new();

fn main() -> ExitCode {
    entry::main::<Slotcar>()
}

fn mode() -> Mode {
    *MODE.get().expect("`block_on` sets it first")
}

#[derive(Clone)]
struct Handle(Client);

fn total(values: &[Blob]) -> usize {
    values.iter().map(|value| value.len()).sum()
}

impl BenchClient for Handle {
    async fn get(&mut self, key: &str) -> usize {
        let value: Option<Blob> = self.0.get(key).await.expect("GET succeeds");
        value.expect("the key exists").len()
    }

    async fn set(&mut self, key: &str, value: &str) {
        self.0.set(key, value).await.expect("SET succeeds");
    }

    async fn pipeline_get(&mut self, keys: &[String]) -> usize {
        let mut pipeline = self.0.pipeline();
        for key in keys {
            pipeline.push(get(key));
        }
        let values: Vec<Blob> = pipeline.run().await.expect("the pipeline succeeds");
        total(&values)
    }

    async fn mget(&mut self, keys: &[String]) -> usize {
        let values: Vec<Blob> = self.0.mget(keys).await.expect("MGET succeeds");
        total(&values)
    }

    async fn hgetall(&mut self, key: &str) -> usize {
        let fields: HashMap<String, Blob> = self.0.hgetall(key).await.expect("HGETALL succeeds");
        fields.len()
    }
}

struct Slotcar;

impl Peer for Slotcar {
    type Client = Handle;
    const NAME: &'static str = "slotcar";
    const MODES: &'static [Mode] = &[Mode::Smol, Mode::Smolt, Mode::Smolg, Mode::Ct, Mode::Mt];

    fn block_on<T>(mode: Mode, future: impl Future<Output = T>) -> T {
        MODE.set(mode).expect("one run per process");
        match mode {
            Mode::Smol | Mode::Smolt => smol::block_on(EXECUTOR.run(future)),
            Mode::Smolg => smol::block_on(future),
            _ => on_tokio::block_on(mode, future),
        }
    }

    fn spawn(task: BoxFuture<()>) {
        match mode() {
            Mode::Smol | Mode::Smolt => EXECUTOR.spawn(task).detach(),
            Mode::Smolg => smol::spawn(task).detach(),
            _ => on_tokio::spawn(task),
        }
    }

    async fn connect(target: Target) -> Handle {
        let scheme = if target.cluster { "redis-cluster" } else { "redis" };
        let seeds = if target.cluster { &target.addrs[..] } else { &target.addrs[..1] };
        let mut url = format!("{scheme}://{}", format_addrs(seeds));
        if target.replica_reads {
            let policy = std::env::var("SLOTCAR_READ_FROM");
            let policy = policy.as_deref().unwrap_or("least_loaded:replicas");
            url.push_str(&format!("?read_from={policy}"));
        }
        let config: Config = url.parse().expect("the URL is valid");
        let client = match mode() {
            Mode::Ct | Mode::Mt => {
                let transport = Tokio::current().expect("the mode's runtime is tokio");
                Client::connect(transport, config).await
            }
            Mode::Smol | Mode::Smolt => {
                let transport = Smol::new().spawning(|task| EXECUTOR.spawn(task).detach());
                Client::connect(transport, config).await
            }
            _ => Client::connect(Smol::new(), config).await,
        };
        Handle(client.expect("the server answers"))
    }

    async fn subscribe(
        target: Target,
        channel: &str,
        count: u64,
        ready: impl FnOnce() + Send,
    ) -> Counted {
        let cluster = target.cluster;
        let Handle(client) = Self::connect(target).await;
        let begin = if cluster { client.ssubscribe(channel) } else { client.subscribe(channel) };
        // A publisher without mercy is not what is measured here: nothing is dropped.
        let begin = begin.bytes_max(1 << 30).messages_max(1 << 30);
        let mut messages = begin.await.expect("the subscription is confirmed");
        ready();
        let (mut received, mut lost) = (0, 0);
        while received + lost < count {
            match messages.next().await.expect("the client lives") {
                Update::Message(message) => {
                    assert_eq!(message.payload().len(), MESSAGE.len());
                    received += 1;
                }
                Update::Lagged(dropped) => lost += dropped,
                Update::Gap { .. } => panic!("the connection lives"),
                _ => {}
            }
        }
        Counted { received, lost }
    }
}
