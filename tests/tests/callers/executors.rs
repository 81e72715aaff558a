//! The same calls on each executor that users have, over smol's reactor and over tokio's: single
//! and concurrent calls, pipelines, blocking commands, deadlines and lost connections.

use super::{config, server};
use futures::future::join_all;
use slotcar::prelude::*;
use slotcar::{Client, Delivery, ErrorKind, cmd};
use slotcar_tcp::{Smol, Tokio};
use slotcar_tests::polling::bounded;
use slotcar_tests::real::Server;
use std::collections::HashMap;
use std::time::Duration;

/// Single and concurrent calls, a pipeline, blocking commands, a deadline and a lost connection.
/// The server is a URL, because the future must be a task of any executor.
async fn suite(client: Client, url: String) {
    client.send::<()>(cmd("FLUSHALL")).await.expect("FLUSHALL");
    for i in 0..50_u32 {
        client.set(i, i).await.expect("SET");
        assert_eq!(client.get::<u32>(i).await.expect("GET"), i);
    }
    let crowd = join_all((0..200_u32).map(|i| client.send::<u32>(cmd("ECHO").arg(i)))).await;
    assert!(crowd.into_iter().zip(0..).all(|(reply, i)| reply.is_ok_and(|reply| reply == i)));
    let pipeline = (0..50_u32).fold(client.pipeline(), |p, i| p.add(slotcar::command::get(i)));
    assert_eq!(pipeline.run::<Vec<u32>>().await.expect("a pipeline"), Vec::from_iter(0..50));
    client.hset("h", [("a", 1), ("b", 2)]).await.expect("HSET");
    let hash: HashMap<String, u8> = client.hgetall("h").await.expect("HGETALL");
    assert_eq!((hash["a"], hash["b"]), (1, 2));

    // One blocking call waits on its own connection while the other runs.
    let pop = client.send::<(String, String)>(cmd("BLPOP").key("list").arg(20));
    let push = async {
        client.ping().await.expect("PING");
        client.rpush("list", ["x"]).await.expect("RPUSH")
    };
    let (popped, _) = futures::future::join(pop, push).await;
    assert_eq!(popped.expect("BLPOP"), ("list".to_owned(), "x".to_owned()));
    let brief = client.with_timeout(Duration::from_millis(50));
    let late = brief.send::<Option<(String, String)>>(cmd("BLPOP").key("none").arg(0)).await;
    let late = late.expect_err("the list stays empty");
    assert_eq!((late.kind(), late.delivery()), (ErrorKind::Timeout, Delivery::Unknown), "{late}");

    let id: u64 = client.send(cmd("CLIENT").arg("ID")).await.expect("CLIENT ID");
    let killer = Client::connect_lazy(Smol::new(), config(&url)).expect("good");
    let killed: u32 = killer.send(cmd("CLIENT KILL").arg("ID").arg(id)).await.expect("KILL");
    assert_eq!(killed, 1);
    assert_eq!(client.get::<u32>(7).await.expect("a read is sent again"), 7);
}

/// A client over smol's reactor.
async fn on_smol(url: &str) -> Client {
    Client::connect(Smol::new(), config(url)).await.expect("the server is there")
}

/// A client over the reactor of the runtime that this runs in.
async fn on_tokio(url: &str) -> Client {
    let transport = Tokio::current().expect("inside of tokio");
    Client::connect(transport, config(url)).await.expect("the server is there")
}

/// The server of a test, and its URL.
fn served() -> (Server, String) {
    let server = server();
    let url = server.url();
    (server, url)
}

#[test]
fn smol_block_on() {
    let (_server, url) = served();
    smol::block_on(bounded(async { suite(on_smol(&url).await, url.clone()).await }));
}

#[test]
fn a_task_of_smols_global_executor() {
    let (_server, url) = served();
    let task = smol::spawn(async move { suite(on_smol(&url).await, url.clone()).await });
    smol::block_on(bounded(task));
}

/// The background task runs next to the callers, on their executor.
#[test]
fn a_task_of_an_executor_of_ones_own() {
    static EXECUTOR: smol::Executor<'static> = smol::Executor::new();
    let (_server, url) = served();
    let transport = Smol::new().spawning(|task| EXECUTOR.spawn(task).detach());
    let task = EXECUTOR.spawn(async move {
        let client = Client::connect(transport, config(&url)).await.expect("it is there");
        suite(client, url.clone()).await;
    });
    smol::block_on(bounded(EXECUTOR.run(task)));
}

#[test]
fn futures_block_on() {
    let (_server, url) = served();
    futures::executor::block_on(bounded(async { suite(on_smol(&url).await, url.clone()).await }));
}

#[test]
fn tokio_current_thread() {
    let (_server, url) = served();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let tokio = tokio.expect("tokio");
    tokio.block_on(bounded(async { suite(on_tokio(&url).await, url.clone()).await }));
    // Sockets of smol's reactor, awaited from tokio.
    tokio.block_on(bounded(async { suite(on_smol(&url).await, url.clone()).await }));
}

#[test]
fn tokio_multi_thread() {
    let (_server, url) = served();
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let tokio = tokio.expect("tokio");
    let its = url.clone();
    let task = tokio.spawn(async move { suite(on_tokio(&its).await, its.clone()).await });
    tokio.block_on(bounded(task)).expect("no panic");
    // Sockets of tokio's reactor, awaited from outside of it.
    let transport = Tokio::new(tokio.handle().clone());
    smol::block_on(bounded(async {
        let client = Client::connect(transport.clone(), config(&url)).await.expect("it is there");
        suite(client, url.clone()).await;
    }));
    futures::executor::block_on(bounded(async {
        let client = Client::connect(transport, config(&url)).await.expect("it is there");
        suite(client, url.clone()).await;
    }));
}

/// One client, and callers on three executors at once.
#[test]
fn one_client_from_everywhere_at_once() {
    let (_server, url) = served();
    let client = smol::block_on(on_smol(&url));
    let calls = |client: Client, from: u32| async move {
        for i in from..from + 500 {
            assert_eq!(client.send::<u32>(cmd("ECHO").arg(i)).await.expect("ECHO"), i);
        }
    };
    let threads: Vec<std::thread::JoinHandle<()>> = vec![
        std::thread::spawn({
            let client = client.clone();
            move || smol::block_on(bounded(calls(client, 0)))
        }),
        std::thread::spawn({
            let client = client.clone();
            move || futures::executor::block_on(bounded(calls(client, 1000)))
        }),
        std::thread::spawn({
            let client = client.clone();
            move || {
                let tokio = tokio::runtime::Runtime::new().expect("tokio");
                let tasks = (2..6).map(|n| tokio.spawn(calls(client.clone(), n * 1000)));
                let tasks = join_all(tasks.collect::<Vec<_>>());
                for ended in tokio.block_on(bounded(tasks)) {
                    ended.expect("no panic");
                }
            }
        }),
    ];
    smol::block_on(bounded(calls(client, 10_000)));
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}
