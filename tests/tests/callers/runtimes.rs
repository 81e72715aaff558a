//! A client in a static, and tokio runtimes that come and go around it: that end, are abandoned
//! with calls in flight, stand still, or lack I/O or timers.
//!
//! **Invariant**: every call has a reply, or ends with an error in time; none panics or hangs.

use super::{config, server};
use futures::future::join_all;
use slotcar::prelude::*;
use slotcar::{Client, Error, Update, cmd};
use slotcar_tcp::{Smol, Tokio};
use slotcar_tests::polling::bounded;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Server, Version};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Kinds of runtimes.
type Make = fn() -> Runtime;

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

const KINDS: [Make; 2] = [multi_thread, current_thread];

/// Ways to end a runtime.
const ENDS: [fn(Runtime); 3] =
    [drop, Runtime::shutdown_background, |runtime| runtime.shutdown_timeout(Duration::ZERO)];

/// A client over the reactor of this runtime.
fn connect(runtime: &Runtime, url: &str) -> Client {
    let transport = Tokio::new(runtime.handle().clone());
    let client = runtime.block_on(bounded(Client::connect(transport, config(url))));
    client.expect("the server is there")
}

/// One call after the other, many at once, a blocking one, and a pipeline.
async fn calls(client: &Client) {
    for i in 0..20_u32 {
        client.set(i, i).await.expect("SET");
        assert_eq!(client.get::<u32>(i).await.expect("GET"), i);
    }
    let crowd = join_all((0..50_u32).map(|i| client.send::<u32>(cmd("ECHO").arg(i)))).await;
    assert!(crowd.into_iter().zip(0..).all(|(reply, i)| reply.is_ok_and(|reply| reply == i)));
    let brief = cmd("BLPOP").key("nothing").arg("0.01");
    assert_eq!(client.send::<Option<(String, String)>>(brief).await.expect("BLPOP"), None);
    let pipeline = (0..20_u32).fold(client.pipeline(), |p, i| p.add(slotcar::command::get(i)));
    assert_eq!(pipeline.run::<Vec<u32>>().await.expect("a pipeline"), Vec::from_iter(0..20));
}

/// The client is used in further runtimes, and outside of any.
fn used_everywhere(client: &Client) {
    for make in KINDS {
        make().block_on(bounded(calls(client)));
    }
    smol::block_on(bounded(calls(client)));
    futures::executor::block_on(bounded(calls(client)));
    let runtime = multi_thread();
    let its = client.clone();
    let task = runtime.spawn(async move { calls(&its).await });
    runtime.block_on(bounded(task)).expect("no panic");
}

#[test]
fn a_client_outlives_the_runtime_that_made_it() {
    let server = server();
    for make in KINDS {
        for end in ENDS {
            let first = make();
            let client = connect(&first, &server.url());
            first.block_on(bounded(calls(&client)));
            end(first);
            used_everywhere(&client);
        }
    }
}

/// A client of smol's reactor does not care.
#[test]
fn a_client_on_smol_outlives_every_runtime() {
    let server = server();
    for make in KINDS {
        let first = make();
        let client = first.block_on(Client::connect(Smol::new(), config(&server.url())));
        let client = client.expect("the server is there");
        first.block_on(bounded(calls(&client)));
        drop(first);
        used_everywhere(&client);
    }
}

/// It has made no connection yet when its runtime ends.
#[test]
fn a_lazy_client_outlives_its_runtime() {
    let server = server();
    for make in KINDS {
        let first = make();
        let transport = Tokio::new(first.handle().clone());
        let client = Client::connect_lazy(transport, config(&server.url())).expect("good");
        drop(first);
        used_everywhere(&client);
    }
}

/// Dials of a name, whose addresses are tried one by one, find out as well.
#[test]
fn a_name_is_dialled_after_the_end_of_the_runtime() {
    let server = Server::of(&Version::any()).ip(Ipv4Addr::LOCALHOST).start();
    let url = format!("redis://localhost:{}", server.address().port());
    for make in KINDS {
        let first = make();
        let client = connect(&first, &url);
        drop(first);
        server.kill_clients("normal");
        used_everywhere(&client);
    }
}

/// Callers on other threads wait for replies when the runtime ends: their connections move, and all
/// get their reply.
#[test]
fn calls_in_flight_survive_the_end_of_the_runtime() {
    let server = server();
    for make in KINDS {
        for end in ENDS {
            let first = make();
            let client = connect(&first, &server.url());
            server.call(&["DEL", "late"]).ok();
            let waiting = |client: Client, number: u32| {
                std::thread::spawn(move || {
                    smol::block_on(bounded(async {
                        let pop = cmd("BLPOP").key("late").arg(20);
                        let (popped, echoed) = futures::future::join(
                            client.send::<(String, String)>(pop),
                            client.send::<u32>(cmd("ECHO").arg(number)),
                        )
                        .await;
                        assert_eq!(echoed.expect("ECHO"), number);
                        popped.map(|(_, value)| value)
                    }))
                })
            };
            let threads = Vec::from_iter((0..4).map(|number| waiting(client.clone(), number)));
            until_true("all callers to wait", || {
                server.call(&["INFO", "clients"]).ok().text().contains("blocked_clients:4")
            });
            end(first);
            server.call(&["RPUSH", "late", "a", "b", "c", "d"]).ok();
            let mut values = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic").expect("a reply"))
                .collect::<Vec<String>>();
            values.sort();
            assert_eq!(values, ["a", "b", "c", "d"]);
            used_everywhere(&client);
        }
    }
}

/// The runtime lives, but nobody is in its `block_on`: nothing in it runs.
#[test]
fn a_runtime_that_stands_still_keeps_nobody_waiting() {
    let (server, parked) = (server(), current_thread());
    let client = connect(&parked, &server.url());
    // Both with and without a connection that was used by many callers at once.
    parked.block_on(bounded(calls(&client)));
    used_everywhere(&client);
    // And it is used again, and again stands still.
    parked.block_on(bounded(calls(&client)));
    used_everywhere(&client);
    // Its server's connections are lost while it stands still.
    server.kill_clients("normal");
    used_everywhere(&client);
    parked.block_on(bounded(calls(&client)));
}

/// The first users after the runtime stands still are many at once: they count on its task.
#[test]
fn a_crowd_is_served_beside_a_runtime_that_stands_still() {
    let (server, parked) = (server(), current_thread());
    let client = connect(&parked, &server.url());
    parked.block_on(bounded(calls(&client)));
    let crowd = async {
        let echo = |i: u32| client.send::<u32>(cmd("ECHO").arg(i));
        join_all((0..100).map(echo)).await
    };
    let replies: Vec<Result<u32, Error>> = smol::block_on(bounded(crowd));
    assert!(replies.into_iter().zip(0..).all(|(reply, i)| reply.is_ok_and(|reply| reply == i)));
}

/// Messages come while the runtime runs, stands still, and after its end.
#[test]
fn a_subscription_outlives_its_runtime() {
    let server = server();
    for make in KINDS {
        let first = make();
        let client = connect(&first, &server.url());
        let mut news = first.block_on(bounded(async { client.subscribe("news").await }));
        let news = news.as_mut().expect("SUBSCRIBE");
        let mut expect = |executor: &dyn Fn(&mut slotcar::Subscription) -> Option<Update>| {
            server.call(&["PUBLISH", "news", "extra"]).ok();
            loop {
                match executor(news) {
                    Some(Update::Message(message)) if message.payload() == b"extra" => return,
                    Some(Update::Subscribed { .. }) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        expect(&|news| first.block_on(bounded(news.next())));
        expect(&|news| smol::block_on(bounded(news.next())));
        first.block_on(bounded(calls(&client)));
        drop(first);
        expect(&|news| smol::block_on(bounded(news.next())));
        expect(&|news| multi_thread().block_on(bounded(news.next())));
    }
}
