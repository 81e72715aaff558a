//! Readers that are slower than the messages: each policy, with exact counts.
//!
//! Messages are numbers in order, so a missing one is found at once.

use super::reader::{next, words};
use slotcar::config::WhenLagging;
use slotcar::{Client, ErrorKind, Subscription, Update};
use slotcar_tcp::Smol;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Server, Version};
use smol::block_on;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const COUNT: u64 = 100_000;

fn connected(server: &Server) -> Client {
    block_on(Client::connect(Smol::new(), slotcar_tests::patient(&server.url()))).unwrap()
}

fn publish(client: &Client, channel: &str, numbers: std::ops::Range<u64>) {
    for part in numbers.clone().step_by(1000) {
        let mut pipeline = client.pipeline();
        for number in part..(part + 1000).min(numbers.end) {
            pipeline.push(slotcar::command::publish(channel, number));
        }
        let _: Vec<u64> = block_on(pipeline.run()).unwrap();
    }
}

/// Reads all of these numbers, and returns how many were delivered and how many were lost. No
/// number may be missing without a `Lagged`.
fn read_all(all: &mut Subscription, numbers: std::ops::Range<u64>) -> (u64, u64) {
    let (mut delivered, mut lost, mut expected) = (0, 0, numbers.start);
    while expected < numbers.end {
        match block_on(all.next()).unwrap() {
            Update::Message(message) => {
                assert_eq!(message.text().unwrap().parse::<u64>().unwrap(), expected);
                expected += 1;
                delivered += 1;
            }
            Update::Lagged(count) => {
                expected += count;
                lost += count;
            }
            other => panic!("{other:?}"),
        }
    }
    (delivered, lost)
}

/// Another reader and commands keep their speed while one reader does not read at all.
#[test]
fn a_slow_reader_loses_by_its_policy_and_slows_no_other() {
    let server = Server::start(&Version::any());
    let client = connected(&server);
    for policy in [WhenLagging::DropOldest, WhenLagging::DropNewest] {
        let slow = client.subscribe("a").messages_max(1000).bytes_max(1 << 20).when_lagging(policy);
        let mut slow = block_on(slow.into_future()).unwrap();
        let quick = client.subscribe("a").messages_max(1 << 20).bytes_max(64 << 20);
        let mut quick = block_on(quick.into_future()).unwrap();
        for all in [&mut slow, &mut quick] {
            assert_eq!(words(&next(all)), "+a");
        }
        publish(&client, "a", 0..COUNT);
        assert_eq!(read_all(&mut quick, 0..COUNT), (COUNT, 0));
        let stand = slow.backlog();
        assert_eq!((stand.received, stand.messages), (COUNT, 1000), "{stand:?}");
        assert!(stand.bytes <= 1 << 20);
        assert_eq!(read_all(&mut slow, 0..COUNT), (1000, COUNT - 1000), "{policy:?}");
    }
}

#[test]
fn a_slow_reader_may_be_disconnected() {
    let server = Server::start(&Version::any());
    let client = connected(&server);
    let slow = client.subscribe("a").messages_max(1000).when_lagging(WhenLagging::Disconnect);
    let mut slow = block_on(slow.into_future()).unwrap();
    assert_eq!(words(&next(&mut slow)), "+a");
    publish(&client, "a", 0..COUNT);
    assert_eq!(read_all(&mut slow, 0..1001), (1000, 1));
    let Update::Disconnected(error) = next(&mut slow) else { panic!("the end") };
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(block_on(slow.next()).is_none());
    until_true("the server to know", || {
        block_on(client.pubsub_channels([""; 0])).unwrap().is_empty()
    });
}

/// A paused connection loses nothing while the server's own buffers have room.
#[test]
fn a_slow_reader_may_pause_its_connection() {
    let server = Server::start(&Version::any());
    let client = connected(&server);
    let slow = client.subscribe("a").messages_max(1000).when_lagging(WhenLagging::PauseReading);
    let mut slow = block_on(slow.into_future()).unwrap();
    assert_eq!(words(&next(&mut slow)), "+a");
    publish(&client, "a", 0..COUNT);
    let stand = slow.backlog();
    println!("{stand:?}");
    assert!(stand.messages < 10_000, "what one read brought, and no more: {stand:?}");
    assert_eq!(read_all(&mut slow, 0..COUNT), (COUNT, 0));
}

/// A million messages to a reader that keeps up, with the default limits. The publisher waits for
/// the reader, which may get little time on the processor.
#[test]
fn a_million_messages_come() {
    let server = Server::start(&Version::any());
    let (client, publisher) = (connected(&server), connected(&server));
    let mut all = block_on(client.subscribe("a").into_future()).unwrap();
    assert_eq!(words(&next(&mut all)), "+a");
    let (end, part) = (1_000_000, 10_000);
    let read = Arc::<AtomicU64>::default();
    let progress = Arc::clone(&read);
    let reader = std::thread::spawn(move || {
        let began = std::time::Instant::now();
        let (mut delivered, mut lost) = (0, 0);
        for start in (0..end).step_by(part) {
            let counts = read_all(&mut all, start..start + part as u64);
            (delivered, lost) = (delivered + counts.0, lost + counts.1);
            progress.store(delivered + lost, Ordering::Relaxed);
        }
        ((delivered, lost), began.elapsed(), all.backlog())
    });
    for start in (0..end).step_by(part) {
        publish(&publisher, "a", start..start + part as u64);
        // Half of the default limit at most is on its way.
        until_true("the reader to keep up", || read.load(Ordering::Relaxed) + 40_000 >= start);
    }
    let ((delivered, lost), took, backlog) = reader.join().unwrap();
    println!("{delivered} delivered, {lost} lost to lag, in {took:?}; {backlog:?}");
    assert_eq!((delivered, lost), (end, 0));
}

/// A channel on an exclusive connection does not use the shared one.
#[test]
fn a_connection_of_its_own_is_counted_and_closed() {
    let server = Server::start(&Version::any());
    let config = slotcar_tests::patient(&server.url()).exclusive_connections_max(1);
    let client = block_on(Client::connect(Smol::new(), config)).unwrap();
    let mut own = block_on(client.subscribe("a").own_connection().into_future()).unwrap();
    assert_eq!(words(&next(&mut own)), "+a");
    let subscribers = || server.call(&["CLIENT", "LIST", "TYPE", "pubsub"]).text().lines().count();
    assert_eq!(subscribers(), 1);
    let error = client.subscribe("b").own_connection().start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    drop(own);
    until_true("its connection to close", || subscribers() == 0);
    assert!(client.subscribe("b").own_connection().start().is_ok());
}
