//! Calls that wait at a server while its role changes: they end with an error, or go on at the new
//! primary.

use slotcar::{Client, Config, Delivery, Error, ErrorKind, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::background;
use slotcar_tests::real::cluster::key_in;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Cluster, Failover, Version};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A result, once there is one.
type Ended = Arc<Mutex<Option<Result<(String, String), Error>>>>;

/// A BLPOP without an end on a key of slot 100, begun on a connection of its own.
fn blocked(cluster: &Cluster) -> (Ended, background::BackgroundWork) {
    let config = Config::from_url(&cluster.url()).expect("a cluster has a good URL");
    let config = config.command_timeout(Duration::from_secs(2));
    let (ended, key) = (Ended::default(), key_in(100));
    let result = Arc::clone(&ended);
    let work = background::spawn(async move {
        let client = Client::connect(Smol::new(), config).await.expect("good");
        let popped = client.send(cmd("BLPOP").key(key.as_str()).arg(0)).await;
        *result.lock().expect("no panic") = Some(popped);
    });
    until_true("the call to be blocked", || {
        cluster.node(0).call(&["INFO", "clients"]).text().contains("blocked_clients:1")
    });
    (ended, work)
}

fn cluster() -> Cluster {
    Cluster::of(&Version::any()).quick_failover().start()
}

#[test]
fn a_primary_that_hangs_and_is_replaced_ends_its_blocked_calls() {
    let cluster = cluster();
    let (ended, work) = blocked(&cluster);
    cluster.node(0).pause();
    let began = Instant::now();
    cluster.wait_for_new_primary(100, 0);
    until_true("the call to end", || ended.lock().expect("no panic").is_some());
    println!("ended {:?} after its primary hung", began.elapsed());
    let error = ended.lock().expect("no panic").take().expect("it ended").expect_err("no reply");
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::Unknown));
    cluster.node(0).resume();
    work.join();
}

#[test]
fn a_primary_that_dies_ends_its_blocked_calls() {
    let cluster = cluster();
    let (ended, work) = blocked(&cluster);
    cluster.node(0).kill();
    until_true("the call to end", || ended.lock().expect("no panic").is_some());
    let error = ended.lock().expect("no panic").take().expect("it ended").expect_err("no reply");
    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::Unknown));
    work.join();
}

/// The old primary tells its clients that they are not blocked any more, and has run nothing.
#[test]
fn a_blocked_call_goes_on_at_the_new_primary() {
    let cluster = cluster();
    let (ended, work) = blocked(&cluster);
    let replica = cluster.replica_of(0);
    cluster.failover(replica, Failover::Graceful);
    until_true("the call to be blocked again", || {
        cluster.node(replica).call(&["INFO", "clients"]).text().contains("blocked_clients:1")
    });
    cluster.node(replica).call(&["RPUSH", &key_in(100), "late"]);
    work.join();
    let popped = ended.lock().expect("no panic").take().expect("it ended").expect("good");
    assert_eq!(popped.1, "late");
}
