//! redis-rs, both versions: one multiplexed connection, or its cluster connection, on tokio.
//!
//! The blocking interface is measured too, where it has the workload.

use bytes::Bytes;
use futures_util::StreamExt;
use harness::args::{Addr, Args, Mode};
use harness::data::{BATCH, BIG_KEY, BIG_LEN, HASH_KEY, KEYS, MESSAGE, VALUE_LEN, keys};
use harness::measure::Measure;
use harness::rng::Rng;
use harness::workload::{Place, Shape, Workload};
use harness::{BoxFuture, Client, Counted, Peer, Target, entry};
use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    entry::main::<Redis>()
}

#[derive(Clone)]
enum Handle {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Handle {
    async fn query<T: redis::FromRedisValue>(&mut self, command: &redis::Cmd) -> T {
        let reply = match self {
            Self::One(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        };
        reply.expect("the command succeeds")
    }
}

fn total(values: &[Bytes]) -> usize {
    values.iter().map(Bytes::len).sum()
}

impl Client for Handle {
    async fn get(&mut self, key: &str) -> usize {
        let value: Bytes = self.query(redis::cmd("GET").arg(key)).await;
        value.len()
    }

    async fn set(&mut self, key: &str, value: &str) {
        self.query(redis::cmd("SET").arg(key).arg(value)).await
    }

    async fn pipeline_get(&mut self, keys: &[String]) -> usize {
        let mut pipeline = redis::pipe();
        for key in keys {
            pipeline.cmd("GET").arg(key);
        }
        let values: redis::RedisResult<Vec<Bytes>> = match self {
            Self::One(connection) => pipeline.query_async(connection).await,
            Self::Cluster(connection) => pipeline.query_async(connection).await,
        };
        total(&values.expect("the pipeline succeeds"))
    }

    async fn mget(&mut self, keys: &[String]) -> usize {
        let values: Vec<Bytes> = self.query(redis::cmd("MGET").arg(keys)).await;
        total(&values)
    }

    async fn hgetall(&mut self, key: &str) -> usize {
        let fields: HashMap<String, Bytes> = self.query(redis::cmd("HGETALL").arg(key)).await;
        fields.len()
    }
}

struct Redis;

fn url(addr: &Addr) -> String {
    format!("redis://{}:{}/", addr.0, addr.1)
}

fn open(target: &Target) -> redis::Client {
    redis::Client::open(url(&target.addrs[0])).expect("the URL is valid")
}

fn cluster(target: &Target) -> ClusterClientBuilder {
    ClusterClient::builder(target.addrs.iter().map(url).collect::<Vec<_>>())
}

async fn connect_cluster(builder: ClusterClientBuilder) -> ClusterConnection {
    let client = builder.build().expect("the configuration is valid");
    client.get_async_connection().await.expect("the cluster answers")
}

impl Peer for Redis {
    type Client = Handle;
    const NAME: &'static str =
        if cfg!(feature = "v2") { "redis-rs 2.0rc2" } else { "redis-rs 1.8" };
    // The blocking interface is the same in both: once is enough.
    const MODES: &'static [Mode] =
        if cfg!(feature = "v2") { on_tokio::MODES } else { &[Mode::Ct, Mode::Mt, Mode::Sync] };

    fn block_on<T>(mode: Mode, future: impl Future<Output = T>) -> T {
        on_tokio::block_on(mode, future)
    }

    fn spawn(task: BoxFuture<()>) {
        on_tokio::spawn(task);
    }

    async fn connect(target: Target) -> Handle {
        if !target.cluster {
            let connection = open(&target).get_multiplexed_async_connection().await;
            return Handle::One(connection.expect("the server answers"));
        }
        let mut builder = cluster(&target);
        if target.replica_reads {
            #[expect(deprecated, reason = "its successor takes the same path")]
            {
                builder = builder.read_from_replicas();
            }
        }
        Handle::Cluster(connect_cluster(builder).await)
    }

    // A cluster pipeline over several slots is refused ("received crossed slots in pipeline").
    fn supports(workload: &Workload, _mode: Mode) -> bool {
        !(workload.shape == Shape::Pipeline && workload.place == Place::Cluster)
    }

    async fn subscribe(
        target: Target,
        channel: &str,
        count: u64,
        ready: impl FnOnce() + Send,
    ) -> Counted {
        let mut received = 0;
        if target.cluster {
            let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
            let protocol = redis::ProtocolVersion::RESP3;
            let builder = cluster(&target).use_protocol(protocol).push_sender(sender);
            let mut connection = connect_cluster(builder).await;
            connection.ssubscribe(channel).await.expect("the subscription is confirmed");
            ready();
            while received < count {
                let push = receiver.recv().await.expect("the connection lives");
                if push.kind == redis::PushKind::SMessage
                    && let Some(redis::Value::BulkString(payload)) = push.data.last()
                {
                    assert_eq!(payload.len(), MESSAGE.len());
                    received += 1;
                }
            }
        } else {
            let mut pubsub = open(&target).get_async_pubsub().await.expect("the server answers");
            pubsub.subscribe(channel).await.expect("the subscription is confirmed");
            ready();
            let mut messages = pubsub.into_on_message();
            while received < count {
                let message = messages.next().await.expect("the connection lives");
                assert_eq!(message.get_payload_bytes().len(), MESSAGE.len());
                received += 1;
            }
        }
        Counted { received, lost: 0 }
    }

    fn run_sync(args: &Args, measure: &mut Measure) -> bool {
        let tasks = matches!(args.workload.shape, Shape::Mixed(_) | Shape::Reads(_));
        let other = matches!(args.workload.shape, Shape::Messages | Shape::Cold);
        if tasks || other || args.workload.place != Place::One {
            return false;
        }
        let client = redis::Client::open(url(&args.addrs[0])).expect("the URL is valid");
        let mut connection = client.get_connection().expect("the server answers");
        let keys = keys();
        let mut rng = Rng::new(1);
        let per_call = args.workload.ops_per_call();
        let calls = (args.ops / per_call).max(1);
        let warm_up = (calls / 10).max(1);
        for _ in 0..warm_up {
            once(&mut connection, args.workload.shape, &keys, &mut rng);
        }
        measure.start();
        for _ in 0..calls {
            let begin = Instant::now();
            once(&mut connection, args.workload.shape, &keys, &mut rng);
            measure.latency(begin);
        }
        measure.stop(calls * per_call, warm_up * per_call);
        true
    }
}

/// One call of the blocking interface.
fn once(connection: &mut redis::Connection, shape: Shape, keys: &[String], rng: &mut Rng) {
    let expect = "the command succeeds";
    match shape {
        Shape::Pipeline => {
            let mut pipeline = redis::pipe();
            for _ in 0..BATCH {
                pipeline.cmd("GET").arg(&keys[rng.below(KEYS)]);
            }
            let values: Vec<Bytes> = pipeline.query(connection).expect(expect);
            assert_eq!(values.len(), BATCH);
        }
        Shape::Mget => {
            let at = rng.below(KEYS - BATCH);
            let mut command = redis::cmd("MGET");
            let values: Vec<Bytes> =
                command.arg(&keys[at..at + BATCH]).query(connection).expect(expect);
            assert_eq!(values.len(), BATCH);
        }
        Shape::Hgetall => {
            let mut command = redis::cmd("HGETALL");
            let fields: HashMap<String, Bytes> =
                command.arg(HASH_KEY).query(connection).expect(expect);
            assert_eq!(fields.len(), BATCH);
        }
        shape => {
            let big = shape == Shape::Big;
            let key = if big { BIG_KEY } else { &keys[rng.below(KEYS)] };
            let value: Bytes = redis::cmd("GET").arg(key).query(connection).expect(expect);
            assert_eq!(value.len(), if big { BIG_LEN } else { VALUE_LEN });
        }
    }
}
