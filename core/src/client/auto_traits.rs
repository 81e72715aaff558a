//! Checks at compile time: public types and futures are `Send`, `Sync` and `Unpin` as documented.
//!
//! Invariant: what a program holds across an `.await` in a task that may change its thread is
//! `Send`. A change that breaks this does not compile. The checks ask for `MaybeSend` and
//! `MaybeSync`, so that the rule of `bounds.rs` holds here, too: on `wasm32-unknown-unknown` they
//! ask for nothing.

use super::client::Client;
use super::{
    Acknowledged, AcknowledgedBy, Call, Explanation, KeyScan, NodeExplanation, NodeReply, Pipeline,
    Reply, Scan, Script, ShardAcknowledgement, StreamConsumer, StreamEntry, Subscribe,
    Subscription, Target, Transaction, Waited, Watch,
};
use crate::bounds::{MaybeSend, MaybeSync};
use crate::command::Command;
use crate::config::{Config, ConfigError, ReadFrom};
use crate::driver::environment::events::{Event, Events};
use crate::driver::environment::metrics::{Metrics, NodeMetrics};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::resp::{Blob, ServerError, Value};
use crate::routing::sweep::ScanCursor;
use crate::subscription::backlog::Backlog;
use crate::subscription::kind::Channel;
use crate::subscription::message::Message;
use crate::subscription::update::Update;
use crate::topology::node_id::NodeId;
use crate::topology::refresh::RefreshReason;
use crate::topology::snapshot::Topology;
use crate::transport::{AbortFlag, ByteStream, ConnectTls, DialNotes, Transport};
use std::cell::Cell;
use std::future::IntoFuture;
use std::time::Duration;

const fn is_send<T: MaybeSend + ?Sized>() {}
const fn is_send_and_sync<T: MaybeSend + MaybeSync + ?Sized>() {}
const fn is_unpin<T: Unpin>() {}

/// A reply of a type that is not `Sync`: that says nothing about what is waited for.
type Reluctant = Cell<u8>;

const _: () = {
    // Handles, and what is shared between tasks.
    is_send_and_sync::<Client>();
    is_send_and_sync::<Script>();
    is_send_and_sync::<StreamConsumer>();
    is_send_and_sync::<Subscription>();
    is_send_and_sync::<Events>();
    // Commands on their way.
    is_send_and_sync::<Command>();
    is_send_and_sync::<Pipeline<'_>>();
    is_send_and_sync::<Subscribe<'_>>();
    is_send_and_sync::<Transaction<'_>>();
    is_send_and_sync::<Waited<Pipeline<'_>>>();
    is_send_and_sync::<Waited<Transaction<'_>>>();
    is_send_and_sync::<Watch<'_>>();
    is_send::<Call<'_, Reluctant>>();
    is_send::<KeyScan<Reluctant>>();
    is_send::<Scan<Reluctant>>();
    is_send::<<Subscribe<'_> as IntoFuture>::IntoFuture>();
    // Replies, errors, and what else is plain data.
    is_send_and_sync::<Acknowledged<()>>();
    is_send_and_sync::<AcknowledgedBy>();
    is_send_and_sync::<ShardAcknowledgement>();
    is_send_and_sync::<Backlog>();
    is_send_and_sync::<Blob>();
    is_send_and_sync::<Channel>();
    is_send_and_sync::<Config>();
    is_send_and_sync::<ConfigError>();
    is_send_and_sync::<AbortFlag>();
    is_send_and_sync::<DialNotes>();
    is_send_and_sync::<Endpoint>();
    is_send_and_sync::<Error>();
    is_send_and_sync::<Event>();
    is_send_and_sync::<Explanation>();
    is_send_and_sync::<Message>();
    is_send_and_sync::<Metrics>();
    is_send_and_sync::<NodeExplanation>();
    is_send_and_sync::<NodeId>();
    is_send_and_sync::<NodeMetrics>();
    is_send_and_sync::<NodeReply>();
    is_send_and_sync::<ReadFrom>();
    is_send_and_sync::<RefreshReason>();
    is_send_and_sync::<Reply>();
    is_send_and_sync::<ScanCursor>();
    is_send_and_sync::<ServerError>();
    is_send_and_sync::<StreamEntry>();
    is_send_and_sync::<Target>();
    is_send_and_sync::<Topology>();
    is_send_and_sync::<Update>();
    is_send_and_sync::<Value>();
    // What a transport gives.
    is_send_and_sync::<dyn Transport>();
    is_send_and_sync::<dyn ConnectTls>();
    is_send::<dyn ByteStream>();
    // Polled in place, without a pin.
    is_unpin::<Call<'_, Reluctant>>();
    is_unpin::<Events>();
    is_unpin::<KeyScan<Reluctant>>();
    is_unpin::<Scan<Reluctant>>();
    is_unpin::<Subscription>();
};

/// The futures of the async methods, whose types have no name. Compiled, never called.
#[expect(dead_code, reason = "checked when it is compiled")]
fn futures(client: &Client, transport: impl Transport, config: Config) {
    fn is_send(_: impl MaybeSend) {}
    let command = || crate::command::cmd("PING");
    let time = Duration::ZERO;
    is_send(Client::connect(transport, config));
    is_send(client.refresh());
    is_send(client.run_script::<Reluctant>(&Script::new(""), "key", "arg"));
    is_send(client.send_to::<Reluctant>(Target::AnyPrimary, command()));
    is_send(client.send_each(Target::AllNodes, command()));
    is_send(client.mget_each::<Reluctant>("key"));
    is_send(client.mset_each([("key", "value")]));
    is_send(client.del_each("key"));
    is_send(client.pubsub_channels("pattern"));
    is_send(client.pubsub_numsub("channel"));
    is_send(client.pubsub_numpat());
    is_send(client.pipeline().run::<Reluctant>());
    is_send(client.pipeline().run_each());
    is_send(client.transaction().run::<Reluctant>());
    is_send(client.transaction().run_each());
    is_send(client.send::<Reluctant>(command()).wait_replicas(1, time));
    is_send(client.send::<Reluctant>(command()).wait_aof(true, 1, time));
    is_send(client.pipeline().wait_replicas(1, time).run::<Reluctant>());
    is_send(client.pipeline().wait_aof(true, 1, time).run_each());
    is_send(client.transaction().wait_replicas(1, time).run::<Reluctant>());
    is_send(client.transaction().wait_aof(true, 1, time).run_each());
    is_send(client.watch(["key"]));
    is_send(async {
        let watch = client.watch(["key"]).await?;
        drop(watch.send::<Reluctant>(command()).await);
        watch.commit::<Reluctant>(client.transaction()).await
    });
    is_send(async {
        let transaction = client.transaction().wait_replicas(1, time);
        client.watch(["key"]).await?.commit_and_wait::<Reluctant>(transaction).await
    });
    is_send(async {
        let mut subscription = client.subscribe("channel").await?;
        subscription.ready().await?;
        subscription.next().await;
        subscription.next_within(time).await
    });
    is_send(async {
        let mut consumer = client.consume("stream", "group", "name");
        let entry = consumer.next().await?;
        consumer.ack(&entry.id).await
    });
    is_send(async {
        client.scan_all::<Reluctant>(crate::command::ScanOptions::new()).next().await;
        client.sscan_all::<Reluctant>("key", crate::command::ScanOptions::new()).next().await;
        client.events().next().await
    });
}
