//! Sorted sets.
//!
//! Redis 6.2 added ZMSCORE, ZRANDMEMBER, GT and LT, and ranges by score in ZRANGE.

use super::{on_every_server, s};
use slotcar::command::{ScanOptions, ZaddOptions, ZrangeOptions};
use slotcar::prelude::*;
use std::time::Duration;

type Scored = Vec<(String, f64)>;

#[test]
fn members_and_scores() {
    on_every_server(async |client, version| {
        assert_eq!(client.zadd("z", [(1.0, "a"), (2.5, "b"), (f64::INFINITY, "c")]).await?, 3);
        let change = ZaddOptions::new().xx().ch();
        assert_eq!(client.zadd_with("z", change, [(3, "b"), (9, "new")]).await?, 1);
        assert_eq!(client.zscore("z", "b").await?, Some(3.0));
        assert_eq!(client.zscore("z", "c").await?, Some(f64::INFINITY));
        assert_eq!(client.zscore("z", "none").await?, None);
        assert_eq!(client.zincrby("z", -0.5, "b").await?, 2.5);
        assert_eq!(client.zcard("z").await?, 3);
        assert_eq!(client.zcount("z", "(1", "+inf").await?, 2);
        assert_eq!(client.zrank("z", "b").await?, Some(1));
        assert_eq!(client.zrevrank("z", "c").await?, Some(0));
        assert_eq!(client.zrank("z", "none").await?, None);
        let (next, found): (u64, Scored) =
            client.zscan("z", 0, ScanOptions::new().matching("a")).await?;
        assert_eq!((next, found), (0, vec![(s("a"), 1.0)]));
        client.zadd("y", [(5, "a")]).await?;
        assert_eq!(client.zunionstore("u", ["z", "y"]).await?, 3);
        assert_eq!(client.zinterstore("i", ["z", "y"]).await?, 1);
        assert_eq!(client.zscore("i", "a").await?, Some(6.0));
        assert_eq!(client.zrem("z", ["a", "none"]).await?, 1);
        if version.since((6, 2), (7, 0)) {
            assert_eq!(client.zmscore("z", ["b", "none"]).await?, [Some(2.5), None]);
            assert_eq!(client.zrandmember::<Vec<String>>("z", 9).await?.len(), 2);
            let up = ZaddOptions::new().gt().ch();
            assert_eq!(client.zadd_with("z", up, [(1, "b")]).await?, 0);
            let down = ZaddOptions::new().lt().ch();
            assert_eq!(client.zadd_with("z", down, [(1, "b")]).await?, 1);
        }
        Ok(())
    });
}

#[test]
fn ranges() {
    on_every_server(async |client, version| {
        client.zadd("z", [(1, "a"), (2, "b"), (3, "c")]).await?;
        assert_eq!(client.zrange::<Vec<char>>("z", 0, -1).await?, ['a', 'b', 'c']);
        assert_eq!(client.zrevrange::<Vec<char>>("z", 0, 0).await?, ['c']);
        assert_eq!(client.zrangebyscore::<Vec<char>>("z", "(1", 2).await?, ['b']);
        let scores = ZrangeOptions::new().with_scores();
        let pairs: Scored = client.zrange_with("z", 0, 0, scores).await?;
        assert_eq!(pairs, [(s("a"), 1.0)]);
        if version.since((6, 2), (7, 0)) {
            let top = ZrangeOptions::new().by_score().rev().limit(0, 2);
            let best: Vec<char> = client.zrange_with("z", "+inf", "-inf", top).await?;
            assert_eq!(best, ['c', 'b']);
        }
        client.zadd("x", [(0, "a"), (0, "b"), (0, "c")]).await?;
        assert_eq!(client.zlexcount("x", "-", "(c").await?, 2);
        assert_eq!(client.zremrangebyrank("x", 0, 0).await?, 1);
        assert_eq!(client.zremrangebyscore("x", 0, 1).await?, 2);
        assert_eq!(client.zpopmin::<Scored>("z", 1).await?, [(s("a"), 1.0)]);
        assert_eq!(client.zpopmax::<Scored>("z", 1).await?, [(s("c"), 3.0)]);
        let moment = Duration::from_millis(50);
        let low: Option<(String, String, f64)> = client.bzpopmin(["x", "z"], moment).await?;
        assert_eq!(low, Some((s("z"), s("b"), 2.0)));
        let high: Option<(String, String, f64)> = client.bzpopmax("z", moment).await?;
        assert_eq!(high, None);
        Ok(())
    });
}
