//! Replies of real servers into types of the caller's: the same from each server and protocol, and
//! from a command alone, in a pipeline and in a transaction. docs/decoding.md has the rules.

use super::{on_every_server, s};
use serde::Deserialize;
use slotcar::command::{hgetall, incr, smembers};
use slotcar::prelude::*;
use slotcar::{Value, cmd};
use std::collections::BTreeSet;

#[derive(Debug, Deserialize, PartialEq)]
struct Sides {
    left: i64,
    right: i64,
}

/// Its defaults stand in for fields of a hash, and not for replies.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct SidesOrZero {
    left: i64,
    right: i64,
}

#[test]
fn a_struct_takes_the_replies_of_a_pipeline_and_of_a_transaction_in_order() {
    on_every_server(async |client, _| {
        client.set("b", 10).await?;
        let pipeline = || client.pipeline().add(incr("a")).add(incr("b"));
        let transaction = || client.transaction().add(incr("a")).add(incr("b"));
        assert_eq!(pipeline().run::<Sides>().await?, Sides { left: 1, right: 11 });
        assert_eq!(pipeline().run::<SidesOrZero>().await?, SidesOrZero { left: 2, right: 12 });
        assert_eq!(transaction().run::<Sides>().await?, Sides { left: 3, right: 13 });
        assert_eq!(transaction().run::<SidesOrZero>().await?, SidesOrZero { left: 4, right: 14 });
        let watch = client.watch(["a"]).await?;
        let both = watch.commit::<Sides>(transaction()).await?;
        assert_eq!(both, Some(Sides { left: 5, right: 15 }));
        let watch = client.watch(["a"]).await?;
        let both = watch.commit::<SidesOrZero>(transaction()).await?;
        assert_eq!(both, Some(SidesOrZero { left: 6, right: 16 }));
        // One reply for two fields: the default is not taken for one.
        let one = client.transaction().add(incr("a")).run::<SidesOrZero>().await;
        let error = one.expect_err("one reply").to_string();
        assert!(error.contains("expected a reply for each part of SidesOrZero"), "{error}");
        let one = client.pipeline().add(incr("a")).run::<SidesOrZero>().await;
        assert!(one.is_err());
        assert_eq!(client.get::<i64>("a").await?, 8, "both ran");
        Ok(())
    });
}

#[derive(Debug, Deserialize, PartialEq)]
struct User {
    name: String,
    age: u8,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct UserOrNobody {
    name: String,
    age: u8,
}

#[test]
fn an_option_is_none_for_a_hash_or_a_member_that_is_not_there() {
    on_every_server(async |client, _| {
        client.hset("user", [("name", "Ann"), ("age", "41")]).await?;
        assert_eq!(client.hgetall::<Option<User>>("none").await?, None);
        assert_eq!(client.hgetall::<Option<UserOrNobody>>("none").await?, None);
        assert_eq!(client.hgetall::<UserOrNobody>("none").await?, UserOrNobody::default());
        assert!(client.hgetall::<User>("none").await.is_err());
        let ann = User { name: s("Ann"), age: 41 };
        assert_eq!(client.hgetall::<Option<User>>("user").await?, Some(ann));
        let both = client.pipeline().add(hgetall("none")).add(hgetall("user"));
        let (none, ann): (Option<UserOrNobody>, Option<UserOrNobody>) = both.run().await?;
        assert_eq!((none, ann), (None, Some(UserOrNobody { name: s("Ann"), age: 41 })));
        let both = client.transaction().add(hgetall("none")).add(hgetall("user"));
        let (none, ann): (Option<User>, Option<User>) = both.run().await?;
        assert!(none.is_none() && ann.is_some());

        client.zadd("z", [(1.5, "a"), (2.0, "b")]).await?;
        let pop = |key: &str| client.send::<Option<(String, f64)>>(cmd("ZPOPMIN").arg(key));
        assert_eq!(pop("none").await?, None);
        assert_eq!(pop("z").await?, Some((s("a"), 1.5)));
        assert_eq!(client.zpopmin::<Option<(String, f64)>>("z", 1).await?, Some((s("b"), 2.0)));
        assert_eq!(client.zpopmin::<Option<(String, f64)>>("z", 1).await?, None);
        Ok(())
    });
}

#[test]
fn arrays_of_bytes_are_the_bytes_of_a_member_whatever_the_number_of_members() {
    on_every_server(async |client, _| {
        let members = ["12", "34", "56", "78"];
        for count in 1..=members.len() {
            client.sadd("s", &members[..count]).await?;
            client.rpush("l", [members[count - 1]]).await?;
            let expected: Vec<_> = members[..count]
                .iter()
                .map(|m| <[u8; 2]>::try_from(m.as_bytes()).unwrap())
                .collect();
            assert_eq!(client.lrange::<Vec<[u8; 2]>>("l", 0, -1).await?, expected);
            let set: BTreeSet<[u8; 2]> = client.smembers("s").await?;
            assert_eq!(set, expected.into_iter().collect());
            let (found,): (BTreeSet<[u8; 2]>,) =
                client.transaction().add(smembers("s")).run().await?;
            assert_eq!(found, set);
        }
        client.del("l").await?;
        client.rpush("l", ["12", "34", "56"]).await?;
        let three = [[49, 50], [51, 52], [53, 54]];
        assert_eq!(client.lrange::<Vec<[u8; 2]>>("l", 0, -1).await?, three);
        client.rpush("l", ["789"]).await?;
        let error = client.lrange::<Vec<[u8; 2]>>("l", 0, -1).await.expect_err("three bytes");
        assert!(error.to_string().contains("in element 3"), "{error}");
        Ok(())
    });
}

#[test]
fn the_bytes_of_any_scalar_are_read() {
    on_every_server(async |client, _| {
        let info: Vec<u8> = client.send(cmd("INFO").arg("server")).await?;
        assert!(info.starts_with(b"# Server"), "{:?}", &info[..20]);
        let text: String = client.send(cmd("INFO").arg("server")).await?;
        assert_eq!(text.lines().next(), Some("# Server"));
        let list: Vec<u8> = client.send(cmd("CLIENT LIST")).await?;
        assert!(list.starts_with(b"id="));
        client.zadd("z", [(1.5, "a")]).await?;
        assert_eq!(client.send::<Vec<u8>>(cmd("ZSCORE").arg("z").arg("a")).await?, b"1.5");
        assert_eq!(client.send::<[u8; 3]>(cmd("ZSCORE").arg("z").arg("a")).await?, *b"1.5");
        assert_eq!(client.send::<Vec<u8>>(cmd("PING")).await?, b"PONG");
        assert_eq!(client.send::<Vec<u8>>(cmd("INCR").arg("n")).await?, b"1");
        Ok(())
    });
}

#[test]
fn a_list_of_pairs_is_the_same_at_every_size() {
    on_every_server(async |client, _| {
        let names = ["a", "b", "c"];
        for count in 0..=names.len() {
            for (score, name) in names[..count].iter().enumerate() {
                client.zadd("z", [(score, *name)]).await?;
            }
            let range = || cmd("ZRANGE").arg("z").arg(0).arg(-1).arg("WITHSCORES");
            let expected: Vec<_> =
                names[..count].iter().enumerate().map(|(n, m)| (s(m), n as f64)).collect();
            assert_eq!(client.send::<Vec<(String, f64)>>(range()).await?, expected);
            let flat: Vec<String> = client.send(range()).await?;
            let texts = expected.iter().flat_map(|(name, score)| [s(name), score.to_string()]);
            assert_eq!(flat, texts.collect::<Vec<_>>());
            let value: Value = client.send(range()).await?;
            let pairs = value.pairs().expect("pairs").into_iter();
            let pairs = pairs.map(|(k, v)| (s(k.as_str().unwrap()), v.as_f64().unwrap()));
            assert_eq!(pairs.collect::<Vec<_>>(), expected);
            for (name, score) in &expected {
                assert_eq!(value.get(name).and_then(Value::as_f64), Some(*score));
            }
        }
        Ok(())
    });
}

#[derive(Debug, Deserialize, PartialEq)]
struct Account {
    id: u64,
    #[serde(flatten)]
    limits: Limits,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Limits {
    rate: f64,
    code: String,
    open: bool,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Figure {
    Circle { radius: f64 },
    Square { side: u64 },
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "kind")]
enum Tagged {
    Circle { radius: f64 },
    Square { side: u64 },
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Scalar {
    Number(i64),
    Text(String),
}

#[test]
fn numbers_are_read_where_they_are_wanted_also_below_flatten_and_in_enums() {
    on_every_server(async |client, _| {
        let fields = [("id", "7"), ("rate", "1.5"), ("code", "007"), ("open", "1")];
        client.hset("account", fields).await?;
        let limits = Limits { rate: 1.5, code: s("007"), open: true };
        let account = Account { id: 7, limits };
        assert_eq!(client.hgetall::<Account>("account").await?, account);
        assert_eq!(client.hgetall::<Option<Account>>("account").await?, Some(account));
        assert_eq!(client.hgetall::<Option<Account>>("none").await?, None);
        client.hset("circle", [("kind", "Circle"), ("radius", "1.5")]).await?;
        client.hset("square", [("kind", "Square"), ("side", "2")]).await?;
        let both = || client.transaction().add(hgetall("circle")).add(hgetall("square"));
        let figures = vec![Figure::Circle { radius: 1.5 }, Figure::Square { side: 2 }];
        assert_eq!(both().run::<Vec<Figure>>().await?, figures);
        let tagged = (Tagged::Circle { radius: 1.5 }, Tagged::Square { side: 2 });
        assert_eq!(both().run::<(Tagged, Tagged)>().await?, tagged);
        client.rpush("mixed", ["1", "x", "-3"]).await?;
        let mixed = [Scalar::Number(1), Scalar::Text(s("x")), Scalar::Number(-3)];
        assert_eq!(client.lrange::<Vec<Scalar>>("mixed", 0, -1).await?, mixed);
        Ok(())
    });
}
