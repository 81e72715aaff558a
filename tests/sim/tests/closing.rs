//! `Client::close` ends everything at once: no socket is open, no timer is set and no task runs any
//! more, before any time passes, with and without background tasks. Later calls fail at once.

use futures::future::{BoxFuture, FutureExt};
use slotcar::command::ScanOptions;
use slotcar::prelude::*;
use slotcar::{Client, Error, ErrorKind, ReadFrom, Update, cmd};
use slotcar_sim::{Sim, SimBuilder, SimTransport};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// A call, and whether it ended with an error of a closed client.
type Pending = (&'static str, BoxFuture<'static, Result<(), Error>>);

/// Lets all tasks run that are ready, without time.
async fn settle(sim: &Sim) {
    let now = sim.now();
    for _ in 0..300 {
        let mut is_first = true;
        std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }
    assert_eq!(sim.now(), now, "no time passes");
}

/// After the close: the client holds nothing of its host.
async fn nothing_is_left(sim: &Sim, host: &SimTransport, what: &str) {
    settle(sim).await;
    let usage = host.usage();
    let left = (usage.sockets, usage.timers, usage.tasks);
    assert_eq!(left, (0, 0, 0), "sockets, timers, tasks: {what}");
}

/// Every deployment, with and without background tasks.
fn each(test: impl AsyncFn(&Sim, SimTransport, &str)) {
    let deployments: [(&str, SimBuilder); 4] = [
        ("standalone", Sim::standalone()),
        ("replicated", Sim::replicated(1)),
        ("cluster", Sim::cluster(3, 1)),
        ("sentinel", Sim::sentinel(1, 3)),
    ];
    for (name, builder) in deployments {
        for seed in 0..3 {
            builder.clone().seed(seed).run(async |sim| {
                test(&sim, sim.transport_of("one"), &format!("{name}, {seed}")).await;
                let two = sim.transport_of("two").without_background();
                test(&sim, two, &format!("{name} without background, {seed}")).await;
            });
        }
    }
}

async fn client(sim: &Sim, host: &SimTransport) -> Client {
    Client::connect(host.clone(), sim.config()).await.expect("the deployment is there")
}

/// Calls of every kind that wait for something.
fn calls(client: &Client) -> Vec<Pending> {
    let own = || client.clone();
    let call = |name, call: BoxFuture<'static, Result<(), Error>>| (name, call);
    let (get, list, wait, pipe, multi, watch, all, scan, refresh, subscribe, replica) =
        (own(), own(), own(), own(), own(), own(), own(), own(), own(), own(), own());
    vec![
        call("GET", async move { get.get::<Option<String>>("k").await.map(drop) }.boxed()),
        call("BLPOP", async move { list.blpop::<()>("no", Duration::ZERO).await }.boxed()),
        call("XREAD", {
            let client = own();
            let read = cmd("XREAD").arg("BLOCK").arg(0).arg("STREAMS").key("s").arg("$");
            async move { client.send::<()>(read).await }.boxed()
        }),
        call(
            "SET and WAIT",
            async move {
                let mut pipeline = wait.pipeline();
                pipeline.push(cmd("SET").key("k").arg("v"));
                let waited = pipeline.wait_replicas(5, Duration::from_secs(9));
                let replies = waited.run_each().await?;
                replies.into_value().into_iter().try_for_each(|reply| reply.map(drop))
            }
            .boxed(),
        ),
        call(
            "pipeline",
            async move {
                let mut pipeline = pipe.pipeline();
                ["a", "b", "c"].iter().for_each(|key| pipeline.push(cmd("GET").key(key)));
                let replies = pipeline.run_each().await?;
                replies.into_iter().try_for_each(|reply| reply.map(drop))
            }
            .boxed(),
        ),
        call(
            "transaction",
            async move {
                let mut transaction = multi.transaction();
                transaction.push(cmd("GET").key("k"));
                transaction.run::<()>().await
            }
            .boxed(),
        ),
        call("WATCH", async move { watch.watch(["k"]).await.map(drop) }.boxed()),
        call("MGET", async move { all.mget::<Vec<()>>(["a", "b", "c"]).await.map(drop) }.boxed()),
        call(
            "scan",
            async move {
                let mut keys = scan.scan_all::<String>(ScanOptions::new());
                while let Some(key) = keys.next().await {
                    key?;
                }
                Ok(())
            }
            .boxed(),
        ),
        call("refresh", async move { refresh.refresh().await }.boxed()),
        call("subscribe", async move { subscribe.subscribe("news").await.map(drop) }.boxed()),
        call(
            "read from a replica",
            async move {
                let view = replica.with_read_from(ReadFrom::Replica);
                view.with_max_staleness(MS * 100).get::<Option<String>>("k").await.map(drop)
            }
            .boxed(),
        ),
    ]
}

/// Polls all calls once; those that have ended are left out.
async fn begin(calls: Vec<Pending>) -> Vec<Pending> {
    let mut calls = calls;
    std::future::poll_fn(|cx| {
        calls.retain_mut(|(_, call)| Pin::new(call).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    calls
}

/// Ends the calls, in no time, with the error of a closed client.
async fn all_fail(calls: Vec<Pending>, what: &str) {
    for (name, call) in calls {
        let result = call.now_or_never().unwrap_or_else(|| panic!("{name} does not end: {what}"));
        // The write itself has its reply before the client is closed.
        if name == "SET and WAIT" && result.is_ok() && what.starts_with("there") {
            continue;
        }
        let error = result.err().unwrap_or_else(|| panic!("{name} has no error: {what}"));
        assert_eq!(error.kind(), ErrorKind::Closed, "{name}: {error}: {what}");
    }
}

#[test]
fn an_idle_client_leaves_nothing() {
    each(async |sim, host, what| {
        let client = client(sim, &host).await;
        client.set("k", "v").await.expect("it is there");
        sim.advance(20 * MS).await;
        client.close();
        nothing_is_left(sim, &host, what).await;
        client.close();
    });
}

#[test]
fn calls_after_the_end_fail_at_once() {
    each(async |sim, host, what| {
        for is_connected in [true, false] {
            let client = if is_connected {
                client(sim, &host).await
            } else {
                Client::connect_lazy(host.clone(), sim.config()).expect("the configuration fits")
            };
            client.close();
            let calls = begin(calls(&client)).await;
            assert!(calls.is_empty(), "{} waits: {what}", calls[0].0);
            all_fail(self::calls(&client), what).await;
            assert!(client.subscribe("c").start().is_err_and(|e| e.kind() == ErrorKind::Closed));
            assert!(client.events().next().now_or_never().is_some_and(|event| event.is_none()));
            nothing_is_left(sim, &host, what).await;
        }
    });
}

/// In flight to servers that answer, that hang, that are gone, and that were never reached.
#[test]
fn calls_in_flight_fail_at_once() {
    for state in ["there", "hung", "dead", "unreached"] {
        each(async |sim, host, what| {
            let what = format!("{state}, {what}");
            let client = match state {
                "unreached" => Client::connect_lazy(host.clone(), sim.config()).expect("it fits"),
                _ => client(sim, &host).await,
            };
            let subscription = client.subscribe("c").start().expect("the client is open");
            if state != "unreached" {
                client.set("k", "v").await.expect("it is there");
            }
            let servers = sim.servers();
            match state {
                "hung" => servers.iter().for_each(|name| sim.hang(name)),
                "dead" | "unreached" => servers.iter().for_each(|name| sim.kill(name)),
                _ => {}
            }
            let mut calls = begin(calls(&client)).await;
            for _ in 0..60 {
                sim.advance(5 * MS).await;
                calls = begin(calls).await;
            }
            assert!(state == "there" || calls.len() > 2, "{what}");
            client.close();
            settle(sim).await;
            all_fail(calls, &what).await;
            nothing_is_left(sim, &host, &what).await;
            drop(subscription);
            servers.iter().for_each(|name| sim.restart(name));
            sim.advance(Duration::from_secs(20)).await;
        });
    }
}

/// A reader that is not polled holds no timer, and gets its end when it is.
#[test]
fn subscriptions_end() {
    each(async |sim, host, what| {
        let client = client(sim, &host).await;
        let mut classic = client.subscribe("c").await.expect("it is there");
        let mut sharded = client.ssubscribe(["a", "b", "d"]).await.expect("it is there");
        let mut own = client.psubscribe("p*").own_connection().await.expect("it is there");
        let begun = client.subscribe("later").start().expect("the client is open");
        client.publish("c", "x").await.expect("it is there");
        sim.advance(10 * MS).await;
        client.close();
        nothing_is_left(sim, &host, what).await;
        for subscription in [&mut classic, &mut sharded, &mut own] {
            let mut messages = 0;
            while let Some(update) = subscription.next().now_or_never().expect("it has ended") {
                messages += usize::from(matches!(update, Update::Message(_)));
            }
            assert!(messages <= 1, "{what}");
            assert!(!subscription.is_live());
        }
        drop(begun);
        nothing_is_left(sim, &host, what).await;
    });
}

/// Watched keys, a scan between two pages, and keys that another task waits for.
#[test]
fn what_is_half_done_ends() {
    each(async |sim, host, what| {
        let client = client(sim, &host).await;
        for n in 0..40 {
            client.set(format!("k{n}"), n).await.expect("it is there");
        }
        let watch = client.watch(["k1"]).await.expect("it is there");
        let mut keys = client.scan_all::<String>(ScanOptions::new().count(2));
        keys.next().await.expect("there are more").expect("it is there");
        client.close();
        nothing_is_left(sim, &host, what).await;
        let error = watch.send::<()>(cmd("GET").key("k1")).now_or_never().expect("at once");
        assert_eq!(error.expect_err("the client is closed").kind(), ErrorKind::Closed, "{what}");
        let rest = async {
            while let Some(key) = keys.next().await {
                key?;
            }
            Ok::<_, Error>(())
        };
        let error = rest.now_or_never().expect("at once").expect_err("the client is closed");
        assert_eq!(error.kind(), ErrorKind::Closed, "{what}");
    });
}

/// The same by the drop of the last handle.
#[test]
fn the_last_handle_leaves_nothing() {
    each(async |sim, host, what| {
        let client = client(sim, &host).await;
        client.set("k", "v").await.expect("it is there");
        let subscription = client.subscribe("c").await.expect("it is there");
        drop((client, subscription));
        nothing_is_left(sim, &host, what).await;
    });
}
