//! Sets.
//!
//! Redis 6.2 added SMISMEMBER; 7.0 added SINTERCARD.

use super::{on_every_server, s};
use slotcar::command::ScanOptions;
use slotcar::prelude::*;
use std::collections::{BTreeSet, HashSet};

#[test]
fn sets() {
    on_every_server(async |client, version| {
        assert_eq!(client.sadd("s", ["a", "b", "c", "a"]).await?, 3);
        assert_eq!(client.sadd("t", HashSet::from(["b", "c", "d"])).await?, 3);
        assert_eq!(client.srem("t", ["d", "none"]).await?, 1);
        assert_eq!(client.smembers::<BTreeSet<char>>("s").await?, BTreeSet::from(['a', 'b', 'c']));
        assert!(client.sismember("s", "a").await?);
        assert!(!client.sismember("s", "z").await?);
        assert_eq!(client.scard("s").await?, 3);
        assert_eq!(client.sinter::<BTreeSet<char>>(["s", "t"]).await?, BTreeSet::from(['b', 'c']));
        assert_eq!(client.sdiff::<Vec<char>>(["s", "t"]).await?, ['a']);
        assert_eq!(client.sunion::<HashSet<char>>(["s", "t"]).await?.len(), 3);
        assert_eq!(client.sinterstore("x", ["s", "t"]).await?, 2);
        assert_eq!(client.sunionstore("x", ["s", "t"]).await?, 3);
        assert_eq!(client.sdiffstore("x", ["s", "t"]).await?, 1);
        assert!(client.smove("s", "x", "b").await?);
        assert!(!client.smove("s", "x", "none").await?);
        assert!(client.srandmember::<Option<char>>("x").await?.is_some());
        assert_eq!(client.srandmember_many::<Vec<char>>("x", -5).await?.len(), 5);
        assert!(client.spop::<Option<char>>("x").await?.is_some());
        assert_eq!(client.spop_many::<Vec<char>>("x", 9).await?.len(), 1);
        assert_eq!(client.spop::<Option<char>>("x").await?, None);
        let all = client.sscan::<BTreeSet<String>>("s", 0, ScanOptions::new()).await?;
        assert_eq!(all, (0, BTreeSet::from([s("a"), s("c")])));
        if version.since((6, 2), (7, 0)) {
            assert_eq!(client.smismember("s", ["a", "z"]).await?, [true, false]);
        }
        if version.since_7() {
            assert_eq!(client.sintercard(["s", "t"]).await?, 1);
        }
        Ok(())
    });
}
