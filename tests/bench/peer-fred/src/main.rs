//! fred on tokio: one client, or its cluster client.
//!
//! Settings are fred's own, but for TCP_NODELAY, and for a broadcast channel that holds a burst.

use bytes::Bytes;
use fred::prelude::*;
use fred::types::Builder;
use harness::args::Mode;
use harness::data::MESSAGE;
use harness::workload::{Place, Shape, Workload};
use harness::{BoxFuture, Client as BenchClient, Counted, Peer, Target, entry};
use std::collections::HashMap;
use std::process::ExitCode;
use tokio::sync::broadcast::error::RecvError;

fn main() -> ExitCode {
    entry::main::<Fred>()
}

#[derive(Clone)]
struct Handle {
    /// The client.
    client: Client,
    /// Whether reads go to replicas.
    replicas: bool,
}

fn total(values: &[Bytes]) -> usize {
    values.iter().map(Bytes::len).sum()
}

impl BenchClient for Handle {
    async fn get(&mut self, key: &str) -> usize {
        let value: Result<Bytes, _> = if self.replicas {
            self.client.replicas().get(key).await
        } else {
            self.client.get(key).await
        };
        value.expect("GET succeeds").len()
    }

    async fn set(&mut self, key: &str, value: &str) {
        self.client.set(key, value, None, None, false).await.expect("SET succeeds")
    }

    async fn pipeline_get(&mut self, keys: &[String]) -> usize {
        let pipeline = self.client.pipeline();
        for key in keys {
            let () = pipeline.get(key).await.expect("a queued command has no reply yet");
        }
        let values: Vec<Bytes> = pipeline.all().await.expect("the pipeline succeeds");
        total(&values)
    }

    async fn mget(&mut self, keys: &[String]) -> usize {
        let values: Vec<Bytes> = self.client.mget(keys.to_vec()).await.expect("MGET succeeds");
        total(&values)
    }

    async fn hgetall(&mut self, key: &str) -> usize {
        let fields: HashMap<String, Bytes> =
            self.client.hgetall(key).await.expect("HGETALL succeeds");
        fields.len()
    }
}

fn builder(target: &Target) -> Builder {
    let server = if target.cluster {
        ServerConfig::new_clustered(target.addrs.clone())
    } else {
        ServerConfig::new_centralized(target.addrs[0].0.clone(), target.addrs[0].1)
    };
    let mut builder = Builder::from_config(Config { server, ..Default::default() });
    builder.with_connection_config(|config| config.tcp.nodelay = Some(true));
    builder
}

struct Fred;

impl Peer for Fred {
    type Client = Handle;
    const NAME: &'static str = "fred 10.1";
    const MODES: &'static [Mode] = on_tokio::MODES;

    fn block_on<T>(mode: Mode, future: impl Future<Output = T>) -> T {
        on_tokio::block_on(mode, future)
    }

    fn spawn(task: BoxFuture<()>) {
        on_tokio::spawn(task);
    }

    async fn connect(target: Target) -> Handle {
        let client = builder(&target).build().expect("the configuration is valid");
        client.init().await.expect("the server answers");
        Handle { client, replicas: target.replica_reads }
    }

    // A pipeline's commands go each to its node, but an MGET over several slots is refused.
    fn supports(workload: &Workload, _mode: Mode) -> bool {
        !(workload.shape == Shape::Mget && workload.place == Place::Cluster)
    }

    async fn subscribe(
        target: Target,
        channel: &str,
        count: u64,
        ready: impl FnOnce() + Send,
    ) -> Counted {
        let mut builder = builder(&target);
        // The default of 32 loses messages of any burst.
        builder.with_performance_config(|config| config.broadcast_channel_capacity = 1 << 17);
        let client = builder.build_subscriber_client().expect("the configuration is valid");
        client.init().await.expect("the server answers");
        let mut messages = client.message_rx();
        let confirmed = if target.cluster {
            client.ssubscribe(channel).await
        } else {
            client.subscribe(channel).await
        };
        confirmed.expect("the subscription is confirmed");
        ready();
        let mut counted = Counted { received: 0, lost: 0 };
        while counted.received + counted.lost < count {
            match messages.recv().await {
                Ok(message) => {
                    let length = message.value.as_bytes().map(<[u8]>::len);
                    assert_eq!(length, Some(MESSAGE.len()));
                    counted.received += 1;
                }
                Err(RecvError::Lagged(lost)) => counted.lost += lost,
                Err(RecvError::Closed) => panic!("the connection lives"),
            }
        }
        counted
    }
}
