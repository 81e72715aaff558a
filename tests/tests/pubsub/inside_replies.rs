//! Messages that the server writes into the middle of a reply, because the command itself causes
//! them, on the connection that is subscribed.
//!
//! Redis up to 7.0 does so for PUBLISH and for keyspace events, in EXEC and in any other list.
//! **Invariant**: no reply changes, and each message comes once.

use super::reader::next_sorted;
use futures::future::{join, join_all};
use slotcar::command::{cmd, incr, set};
use slotcar::config::{Protocol, SubscriptionConnection};
use slotcar::prelude::*;
use slotcar::{Client, Subscription};
use slotcar_tcp::Smol;
use slotcar_tests::real::{Server, Version};
use smol::block_on;

/// A client on each version, and a subscription of it to one channel.
fn on_each_version(channel: &str, test: impl Fn(&Client, &mut Subscription)) {
    for version in Version::all() {
        let server = Server::start(&version);
        // Commands on the connection that is subscribed: on one of their own nothing stands between
        // their replies.
        let config = slotcar_tests::patient(&server.url()).protocol(Protocol::Resp3);
        let config = config.subscription_connection(SubscriptionConnection::Shared);
        let client = block_on(Client::connect(Smol::new(), config)).unwrap();
        let mut messages = block_on(client.subscribe([channel]).into_future()).unwrap();
        assert_eq!(next_sorted(&mut messages, 1), [format!("+{channel}")]);
        test(&client, &mut messages);
    }
}

/// Sorted messages `channel=0` up to `channel=39`.
fn forty(channel: &str) -> Vec<String> {
    let mut all: Vec<_> = (0..40).map(|number| format!("{channel}={number}")).collect();
    all.sort_unstable();
    all
}

/// Transactions that publish to a channel of their own connection, among reads of other callers.
#[test]
fn a_transaction_that_publishes_to_its_own_channel_takes_nobodys_reply() {
    on_each_version("own", |client, messages| {
        block_on(async {
            let mut keys = client.pipeline();
            (0..4000).for_each(|number| keys.push(set(format!("key:{number}"), number)));
            keys.run::<()>().await.unwrap();
            for round in 0..40_i64 {
                let reads = (100 * round..100 * (round + 1)).map(|number| async move {
                    let value: i64 = client.get(format!("key:{number}")).await.unwrap();
                    assert_eq!(value, number, "the value of another key");
                });
                let publish = cmd("PUBLISH").arg("own").arg(round);
                let transaction = client.transaction().add(publish).add(incr("n"));
                let (result, _) = join(transaction.run::<(i64, i64)>(), join_all(reads)).await;
                assert_eq!(result.unwrap(), (1, round + 1));
            }
        });
        assert_eq!(next_sorted(messages, 40), forty("own"));
    });
}

/// The same for events that the commands of a transaction cause.
#[test]
fn keyspace_events_of_a_transaction_change_no_reply() {
    let channel = "__keyevent@0__:set";
    on_each_version(channel, |client, messages| {
        block_on(async {
            let events = cmd("CONFIG").arg("SET").arg("notify-keyspace-events").arg("E$x");
            client.send::<()>(events).await.unwrap();
            for number in 0..20 {
                let (first, second) = (2 * number, 2 * number + 1);
                let transaction = client.transaction().add(set(first.to_string(), first));
                let transaction = transaction.add(set(second.to_string(), second)).add(incr("n"));
                let (result, echo) =
                    join(transaction.run::<((), (), i64)>(), client.echo::<i64>(number)).await;
                assert_eq!(result.unwrap(), ((), (), number + 1));
                assert_eq!(echo.unwrap(), number);
            }
        });
        assert_eq!(next_sorted(messages, 40), forty(channel));
    });
}

/// A read that finds keys whose time is over: the events stand among the elements of its list.
#[test]
fn keys_that_expire_while_they_are_read_change_no_reply() {
    let channel = "__keyevent@0__:expired";
    on_each_version(channel, |client, messages| {
        let names: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        block_on(async {
            let events = cmd("CONFIG").arg("SET").arg("notify-keyspace-events").arg("Ex");
            client.send::<()>(events).await.unwrap();
            let mut keys = client.pipeline();
            names.iter().for_each(|name| keys.push(set(name, 1).arg("PX").arg(1)));
            keys.run::<()>().await.unwrap();
            loop {
                let (all, echo) =
                    join(client.mget::<Vec<Option<i64>>>(&names), client.echo::<i64>("7")).await;
                let all = all.unwrap();
                assert_eq!((all.len(), echo.unwrap()), (40, 7));
                if all.iter().all(Option::is_none) {
                    break;
                }
            }
        });
        assert_eq!(next_sorted(messages, 40), forty(channel));
    });
}
