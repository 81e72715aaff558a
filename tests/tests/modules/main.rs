//! Commands of modules, at a Redis Stack: JSON, search, time series, Bloom filters.
//!
//! The client knows none of them. It asks the server once where their keys are, decodes their
//! replies by the rules of all replies (docs/decoding.md), and takes a module's errors for the
//! command's own words: they are not sent again and not followed.
//! `cargo xtask servers --only redis-stack-7.4` fetches the server; without it nothing
//! is tested.

mod cluster;
mod errors;

use serde::Deserialize;
use slotcar::prelude::*;
use slotcar::{Client, Command, Error, Value, cmd};
use slotcar_tests::real::{Server, Version};
use std::collections::BTreeMap;

/// The server with modules, if it was fetched.
fn stack() -> Option<Version> {
    Version::asked("redis-stack-7.4")
}

/// Runs a suite on a new server in both protocols; `true` says that it is RESP3.
fn in_both_protocols(suite: impl AsyncFn(&Client, bool) -> Result<(), Error>) {
    let Some(version) = stack() else { return };
    let server = Server::start(&version);
    for is_3 in [false, true] {
        let url = format!("{}?protocol=resp{}", server.url(), if is_3 { 3 } else { 2 });
        let result = smol::block_on(async {
            let client = slotcar::connect_with(slotcar_tests::patient(&url)).await?;
            client.flushall().await?;
            suite(&client, is_3).await
        });
        result.unwrap_or_else(|error| panic!("RESP3 is {is_3}: {error}"));
    }
}

/// `words("JSON.GET d $")`: a command and its arguments.
fn words(line: &str) -> Command {
    let mut words = line.split(' ');
    let name = cmd(words.next().unwrap_or_default());
    words.fold(name, |command, word| command.arg(word))
}

#[test]
fn json() {
    in_both_protocols(async |client, is_3| {
        let set = cmd("JSON.SET").arg("d").arg("$").arg(r#"{"a":1,"b":["x",true,null]}"#);
        client.send::<()>(set).await?;
        let text: String = client.send(words("JSON.GET d")).await?;
        assert_eq!(text, r#"{"a":1,"b":["x",true,null]}"#);
        assert_eq!(client.send::<Option<String>>(words("JSON.GET none")).await?, None);
        let not_set: Option<String> = client.send(words("JSON.SET d $ 1 NX")).await?;
        assert_eq!(not_set, None);
        let texts: Vec<Option<String>> = client.send(words("JSON.MGET d none $.a")).await?;
        assert_eq!(texts, [Some("[1]".to_owned()), None]);
        assert_eq!(client.send::<Vec<Option<i64>>>(words("JSON.ARRLEN d $.b")).await?, [Some(3)]);
        // RESP3 has a list of numbers where RESP2 has one text.
        let number = client.send::<Value>(words("JSON.NUMINCRBY d $.a 2")).await?;
        match is_3 {
            true => assert_eq!(number.as_slice().map(|each| each[0].as_i64()), Some(Some(3))),
            false => assert_eq!(number.as_str(), Some("[3]")),
        }
        let pipeline = client.pipeline().add(words("JSON.SET e $ 7")).add(words("JSON.GET e"));
        let (done, seven): (String, i64) = pipeline.run().await?;
        assert_eq!((done.as_str(), seven), ("OK", 7));
        let both = client.transaction().add(words("JSON.GET e")).add(words("JSON.DEL e"));
        assert_eq!(both.run::<(i64, bool)>().await?, (7, true));
        Ok(())
    });
}

/// A reply to FT.SEARCH in RESP3.
#[derive(Debug, Deserialize, PartialEq)]
struct Found {
    total_results: u64,
    results: Vec<Hit>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Hit {
    id: String,
    extra_attributes: Person,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Person {
    name: String,
    age: u8,
}

/// What FT.SEARCH finds, however the protocol tells it.
async fn search(client: &Client, query: &str, is_3: bool) -> Result<Vec<Hit>, Error> {
    let command = cmd("FT.SEARCH").arg("idx").arg(query);
    if is_3 {
        let found: Found = client.send(command).await?;
        assert_eq!(found.total_results, found.results.len() as u64);
        return Ok(found.results);
    }
    // The number, and then in turns a key and its fields.
    let reply: Value = client.send(command).await?;
    let list = reply.as_slice().expect("a list");
    let hits = list[1..].chunks(2).map(|pair| {
        let field = |name| pair[1].get(name).and_then(Value::as_str).expect("a field");
        let age = field("age").parse().expect("a number");
        let extra_attributes = Person { name: field("name").to_owned(), age };
        Hit { id: pair[0].as_str().expect("a key").to_owned(), extra_attributes }
    });
    let hits: Vec<Hit> = hits.collect();
    assert_eq!(list[0].as_i64(), i64::try_from(hits.len()).ok());
    Ok(hits)
}

#[test]
fn search_finds_the_same_in_both_protocols() {
    in_both_protocols(async |client, is_3| {
        let create = "FT.CREATE idx ON HASH PREFIX 1 p: SCHEMA name TEXT age NUMERIC";
        client.send::<()>(words(create)).await?;
        assert_eq!(search(client, "*", is_3).await?, []);
        client.hset("p:1", [("name", "Ann"), ("age", "41")]).await?;
        client.hset("p:2", [("name", "Bob"), ("age", "7")]).await?;
        let ann = Hit {
            id: "p:1".to_owned(),
            extra_attributes: Person { name: "Ann".to_owned(), age: 41 },
        };
        assert_eq!(search(client, "ann", is_3).await?, [ann]);
        assert_eq!(search(client, "@age:[0 50]", is_3).await?.len(), 2);
        let names: Vec<String> = client.send(cmd("FT._LIST")).await?;
        assert_eq!(names, ["idx"]);
        if !is_3 {
            // One hit fits a tuple.
            type One = (u64, String, BTreeMap<String, String>);
            let (count, key, fields): One = client.send(words("FT.SEARCH idx bob")).await?;
            assert_eq!((count, key.as_str(), fields["age"].as_str()), (1, "p:2", "7"));
        }
        let info: Value = client.send(words("FT.INFO idx")).await?;
        let count = info.get("num_docs").expect("a map, or a list of pairs");
        assert_eq!(count.as_i64(), Some(2));
        Ok(())
    });
}

#[test]
fn time_series() {
    in_both_protocols(async |client, _| {
        client.send::<()>(words("TS.CREATE t LABELS place attic")).await?;
        assert_eq!(client.send::<i64>(words("TS.ADD t 1000 1.5")).await?, 1000);
        assert_eq!(client.send::<i64>(words("TS.ADD t 2000 2")).await?, 2000);
        let range: Vec<(i64, f64)> = client.send(words("TS.RANGE t - +")).await?;
        assert_eq!(range, [(1000, 1.5), (2000, 2.0)]);
        assert_eq!(client.send::<(i64, f64)>(words("TS.GET t")).await?, (2000, 2.0));
        let empty: Vec<(i64, f64)> = client.send(words("TS.RANGE t 5000 +")).await?;
        assert_eq!(empty, []);
        let added: Vec<i64> = client.send(words("TS.MADD t 3000 1 t 4000 2")).await?;
        assert_eq!(added, [3000, 4000]);
        Ok(())
    });
}

#[test]
fn bloom_filters() {
    in_both_protocols(async |client, _| {
        assert!(client.send::<bool>(words("BF.ADD f x")).await?);
        assert!(!client.send::<bool>(words("BF.ADD f x")).await?);
        assert_eq!(client.send::<Vec<bool>>(words("BF.MADD f x y")).await?, [false, true]);
        let exist: (bool, bool) = (
            client.send(words("BF.EXISTS f y")).await?,
            client.send(words("BF.EXISTS f none")).await?,
        );
        assert_eq!(exist, (true, false));
        // A number in RESP2, a boolean in RESP3.
        let pipeline = client.pipeline().add(words("BF.EXISTS f x")).add(words("BF.EXISTS f z"));
        assert_eq!(pipeline.run::<(u8, bool)>().await?, (1, false));
        Ok(())
    });
}
