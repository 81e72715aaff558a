//! rustis on tokio: one client, or its cluster client.
//!
//! Settings are rustis's own, but for a limit on subscriptions that holds a burst.

use futures_util::StreamExt;
use harness::args::Mode;
use harness::data::MESSAGE;
use harness::{BoxFuture, Client as BenchClient, Counted, Peer, Target, entry};
use rustis::client::{
    BatchPreparedCommand, Client, ClusterConfig, Config, ReadPreference, ServerConfig,
};
use rustis::commands::{HashCommands, PubSubCommands, StringCommands};
use rustis::resp::BulkString;
use std::collections::HashMap;
use std::process::ExitCode;

fn main() -> ExitCode {
    entry::main::<Rustis>()
}

#[derive(Clone)]
struct Handle(Client);

fn total(values: &[BulkString]) -> usize {
    values.iter().map(|value| value.len()).sum()
}

impl BenchClient for Handle {
    async fn get(&mut self, key: &str) -> usize {
        let value: BulkString = self.0.get(key).await.expect("GET succeeds");
        value.len()
    }

    async fn set(&mut self, key: &str, value: &str) {
        self.0.set(key, value).await.expect("SET succeeds")
    }

    async fn pipeline_get(&mut self, keys: &[String]) -> usize {
        let mut pipeline = self.0.create_pipeline();
        pipeline.reserve(keys.len());
        for key in keys {
            pipeline.get::<BulkString>(key).queue();
        }
        let values: Vec<BulkString> = pipeline.execute().await.expect("the pipeline succeeds");
        total(&values)
    }

    async fn mget(&mut self, keys: &[String]) -> usize {
        let values: Vec<BulkString> = self.0.mget(keys).await.expect("MGET succeeds");
        total(&values)
    }

    async fn hgetall(&mut self, key: &str) -> usize {
        let fields: HashMap<String, BulkString> =
            self.0.hgetall(key).await.expect("HGETALL succeeds");
        fields.len()
    }
}

fn config(target: &Target) -> Config {
    let mut config = Config::default();
    config.server = if target.cluster {
        let mut cluster = ClusterConfig::default();
        cluster.nodes = target.addrs.clone();
        if target.replica_reads {
            cluster.read_preference = ReadPreference::PreferReplica;
        }
        ServerConfig::Cluster(cluster)
    } else {
        let (host, port) = target.addrs[0].clone();
        ServerConfig::Standalone { host, port }
    };
    // The default drops messages of a long burst.
    config.backpressure.max_pubsub_bytes = 1 << 30;
    config
}

struct Rustis;

impl Peer for Rustis {
    type Client = Handle;
    const NAME: &'static str = "rustis 0.27";
    const MODES: &'static [Mode] = on_tokio::MODES;

    fn block_on<T>(mode: Mode, future: impl Future<Output = T>) -> T {
        on_tokio::block_on(mode, future)
    }

    fn spawn(task: BoxFuture<()>) {
        on_tokio::spawn(task);
    }

    async fn connect(target: Target) -> Handle {
        Handle(Client::connect(config(&target)).await.expect("the server answers"))
    }

    async fn subscribe(
        target: Target,
        channel: &str,
        count: u64,
        ready: impl FnOnce() + Send,
    ) -> Counted {
        let client = Client::connect(config(&target)).await.expect("the server answers");
        let subscribed = if target.cluster {
            client.ssubscribe(channel).await
        } else {
            client.subscribe(channel).await
        };
        let mut messages = subscribed.expect("the subscription is confirmed");
        ready();
        let mut received = 0;
        while received < count {
            let message = messages.next().await.expect("the connection lives");
            let message = message.expect("no message is lost");
            assert_eq!(message.payload().len(), MESSAGE.len());
            received += 1;
        }
        Counted { received, lost: 0 }
    }
}
