//! A server that refuses to end a subscription: its user may subscribe, and not unsubscribe.
//!
//! **Invariant**: what the caller has given up costs the subscriptions that go on nothing.

use super::reader::next_words;
use slotcar::config::Protocol;
use slotcar::prelude::*;
use slotcar::{Client, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::real::{Server, Version};

#[test]
fn a_refused_unsubscribe_costs_the_other_channels_nothing() {
    let versions = ["redis-7.0", "redis-8.0", "valkey-9.1"];
    for version in versions.into_iter().filter_map(Version::named) {
        for protocol in [Protocol::Resp3, Protocol::Resp2] {
            let what = format!("{version} {protocol:?}");
            let server = Server::start(&version);
            let ends = ["-unsubscribe", "-punsubscribe", "-sunsubscribe"];
            let user = ["ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all"];
            server.call(&[&user[..], &ends[..]].concat()).ok();
            let url = format!("redis://app:pw@{}", server.address());
            let config = slotcar_tests::patient(&url).protocol(protocol);
            smol::block_on(async {
                let client = Client::connect(Smol::new(), config).await.expect(&what);
                let mut stays = client.subscribe("stays").await.expect(&what);
                assert_eq!(next_words(&mut stays, 1), ["+stays"], "{what}");
                let mut other = client.subscribe("other").await.expect(&what);
                assert_eq!(next_words(&mut other, 1), ["+other"], "{what}");
                drop(other);
                let refused = || {
                    let stats = server.info("errorstats");
                    stats.get("errorstat_NOPERM").cloned()
                };
                slotcar_tests::real::wait::until_true("the server to refuse", || {
                    refused().is_some()
                });
                // What comes for the channel that nobody wants is nobody's.
                for n in 0..3 {
                    client.publish("other", n).await.expect(&what);
                    client.publish("stays", n).await.expect(&what);
                }
                let words = next_words(&mut stays, 3);
                assert_eq!(words, ["stays=0", "stays=1", "stays=2"], "{what}");
                // It is wanted again.
                let mut again = client.subscribe("other").await.expect(&what);
                assert_eq!(next_words(&mut again, 1), ["+other"], "{what}");
                client.publish("other", 7).await.expect(&what);
                assert_eq!(next_words(&mut again, 1), ["other=7"], "{what}");
                client.publish("stays", 8).await.expect(&what);
                assert_eq!(next_words(&mut stays, 1), ["stays=8"], "{what}");
                let count: i64 = client.send(cmd("PUBSUB NUMPAT")).await.expect(&what);
                assert_eq!(count, 0, "{what}");
            });
        }
    }
}
