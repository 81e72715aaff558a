//! Hashes and lists.
//!
//! Redis 6.2 added LMOVE, LPOS, counts for LPOP, and HRANDFIELD.

use super::{on_every_server, s};
use serde::Deserialize;
use slotcar::command::{End, ScanOptions, Side};
use slotcar::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// A short timeout of a blocking command; only an empty list waits for it.
const MOMENT: Duration = Duration::from_millis(50);

#[derive(Debug, Deserialize, PartialEq)]
struct User {
    name: String,
    age: u8,
    email: Option<String>,
}

#[test]
fn hashes() {
    on_every_server(async |client, version| {
        assert_eq!(client.hset("u", [("name", "Ada"), ("age", "36")]).await?, 2);
        assert_eq!(client.hset("u", HashMap::from([("age", 37)])).await?, 0);
        assert!(!client.hsetnx("u", "name", "Eve").await?);
        let ada = User { name: s("Ada"), age: 37, email: None };
        assert_eq!(client.hgetall::<User>("u").await?, ada);
        assert_eq!(client.hgetall::<BTreeMap<String, String>>("none").await?, BTreeMap::new());
        assert_eq!(client.hget::<u64>("u", "age").await?, 37);
        assert_eq!(client.hget::<Option<u64>>("u", "none").await?, None);
        let both: (String, Option<String>) = client.hmget("u", ["name", "none"]).await?;
        assert_eq!(both, (s("Ada"), None));
        let mut fields: Vec<String> = client.hkeys("u").await?;
        fields.sort();
        assert_eq!(fields, ["age", "name"]);
        assert_eq!(client.hvals::<Vec<String>>("u").await?.len(), 2);
        assert_eq!(client.hlen("u").await?, 2);
        assert_eq!(client.hstrlen("u", "name").await?, 3);
        assert!(client.hexists("u", "name").await?);
        assert_eq!(client.hincrby("u", "age", -1).await?, 36);
        assert_eq!(client.hincrbyfloat("u", "age", 0.5).await?, 36.5);
        let (next, all): (u64, BTreeMap<String, String>) =
            client.hscan("u", 0, ScanOptions::new().matching("n*")).await?;
        assert_eq!((next, all), (0, BTreeMap::from([(s("name"), s("Ada"))])));
        assert_eq!(client.hdel("u", ["age", "none"]).await?, 1);
        if version.since((6, 2), (7, 0)) {
            assert_eq!(client.hrandfield::<Vec<String>>("u", -2).await?, ["name", "name"]);
        }
        Ok(())
    });
}

#[test]
fn lists() {
    on_every_server(async |client, version| {
        assert_eq!(client.rpush("l", ["b", "c"]).await?, 2);
        assert_eq!(client.lpush("l", "a").await?, 3);
        assert_eq!(client.lpushx("none", "a").await?, 0);
        assert_eq!(client.rpushx("l", ["d", "e"]).await?, 5);
        assert_eq!(client.lrange::<Vec<char>>("l", 0, -2).await?, ['a', 'b', 'c', 'd']);
        assert_eq!(client.llen("l").await?, 5);
        assert_eq!(client.lindex::<Option<char>>("l", -1).await?, Some('e'));
        assert_eq!(client.lindex::<Option<char>>("l", 9).await?, None);
        client.lset("l", 0, "A").await?;
        assert_eq!(client.linsert("l", Side::Before, "b", "x").await?, 6);
        assert_eq!(client.linsert("l", Side::After, "none", "x").await?, -1);
        assert_eq!(client.lrem("l", 0, "x").await?, 1);
        client.ltrim("l", 0, 2).await?;
        assert_eq!(client.lpop::<Option<String>>("l").await?, Some(s("A")));
        assert_eq!(client.rpop::<Option<String>>("l").await?, Some(s("c")));
        assert_eq!(client.rpop::<Option<String>>("none").await?, None);
        let popped: Option<(String, String)> = client.blpop(["none", "l"], MOMENT).await?;
        assert_eq!(popped, Some((s("l"), s("b"))));
        assert_eq!(client.brpop::<Option<(String, String)>>("l", MOMENT).await?, None);
        if version.since((6, 2), (7, 0)) {
            client.rpush("l", [1, 2, 3]).await?;
            assert_eq!(client.lpos("l", 2).await?, Some(1));
            assert_eq!(client.lpos("l", 9).await?, None);
            assert_eq!(client.lmove::<u8>("l", "m", End::Left, End::Right).await?, 1);
            assert_eq!(client.lpop_many::<Vec<u8>>("l", 5).await?, [2, 3]);
            assert_eq!(client.rpop_many::<Option<Vec<u8>>>("l", 5).await?, None);
            let moved = client.blmove::<Option<u8>>("m", "l", End::Right, End::Left, MOMENT);
            assert_eq!(moved.await?, Some(1));
            let moved = client.blmove::<Option<u8>>("m", "l", End::Right, End::Left, MOMENT);
            assert_eq!(moved.await?, None);
        }
        Ok(())
    });
}
