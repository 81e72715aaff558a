//! Strings and counters.
//!
//! Redis 6.2 added GETEX, GETDEL, and more options for SET.

use super::{on_every_server, s};
use slotcar::command::{GetexOptions, SetOptions};
use slotcar::prelude::*;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn strings() {
    on_every_server(async |client, version| {
        client.set("k", "v").await?;
        assert_eq!(client.get::<String>("k").await?, "v");
        assert_eq!(client.get::<Option<String>>("none").await?, None);
        assert_eq!(client.get::<Vec<u8>>(b"k").await?, b"v");
        assert!(!client.setnx("k", "w").await?);
        assert!(client.setnx("n", "w").await?);
        client.setex("e", MINUTE, "x").await?;
        client.setex("e", Duration::from_millis(59_500), "x").await?;
        assert!((59..=60).contains(&client.ttl("e").await?));
        assert_eq!(client.getset::<String>("k", "new").await?, "v");
        client.mset([("a", 1), ("b", 2)]).await?;
        assert_eq!(client.mget::<(u8, u8, Option<u8>)>(["a", "b", "c"]).await?, (1, 2, None));
        assert!(!client.msetnx([("b", 1), ("c", 2)]).await?);
        assert_eq!(client.append("a", "23").await?, 3);
        assert_eq!(client.strlen("a").await?, 3);
        assert_eq!(client.getrange::<String>("a", 1, -1).await?, "23");
        assert_eq!(client.setrange("a", 1, "99").await?, 3);
        let nx = SetOptions::new().nx().ex(MINUTE);
        assert_eq!(client.set_with::<Option<String>>("a", "x", nx).await?, None);
        assert_eq!(client.set_with::<Option<String>>("x", "x", nx).await?, Some(s("OK")));
        let keep = SetOptions::new().xx().keep_ttl();
        assert!(client.set_with::<bool>("x", "y", keep).await?);
        assert!(client.ttl("x").await? > 0);
        if version.since((6, 2), (7, 0)) {
            let old = SetOptions::new().get().exat(Duration::from_secs(1 << 32));
            assert_eq!(client.set_with::<String>("x", "z", old).await?, "y");
            assert_eq!(client.getex::<String>("x", GetexOptions::new().persist()).await?, "z");
            assert_eq!(client.getex::<String>("x", GetexOptions::new().ex(MINUTE)).await?, "z");
            assert_eq!(client.getdel::<Option<String>>("x").await?, Some(s("z")));
            assert_eq!(client.getdel::<Option<String>>("x").await?, None);
        }
        Ok(())
    });
}

#[test]
fn counters() {
    on_every_server(async |client, _| {
        assert_eq!(client.incr("n").await?, 1);
        assert_eq!(client.incrby("n", 41).await?, 42);
        assert_eq!(client.decr("n").await?, 41);
        assert_eq!(client.decrby("n", 42).await?, -1);
        assert_eq!(client.incrbyfloat("n", 0.5).await?, -0.5);
        assert_eq!(client.incrbyfloat("n", 1e17).await?, 1e17);
        Ok(())
    });
}
