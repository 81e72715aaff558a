//! Modules in a cluster, as far as the keys of their commands lead.
//!
//! Each node has its own series and its own indexes. A command with a key goes to the key's owner,
//! and an index counts as a key; one without a key goes to any primary, which answers for itself.

use super::{stack, words};
use slotcar::prelude::*;
use slotcar::{Client, Delivery, ErrorDetail, Target, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::real::Cluster;
use slotcar_tests::real::cluster::key_in;

/// Slots of both shards.
const SLOTS: [u16; 6] = [0, 100, 8191, 8192, 12000, 16383];

fn in_both_protocols(suite: impl AsyncFn(&Client, &Cluster) -> Result<(), slotcar::Error>) {
    let Some(version) = stack() else { return };
    let cluster = Cluster::of(&version).primaries(2).replicas(0).start();
    for protocol in ["resp2", "resp3"] {
        cluster.nodes().iter().for_each(|node| drop(node.call(&["FLUSHALL"])));
        let config = slotcar_tests::patient(&format!("{}?protocol={protocol}", cluster.url()));
        let result = smol::block_on(async {
            let client = Client::connect(Smol::new(), config).await?;
            suite(&client, &cluster).await
        });
        result.unwrap_or_else(|error| panic!("{protocol}: {error}"));
    }
}

/// Once the server has said where a command's keys are, nothing is redirected.
#[test]
fn commands_of_modules_go_to_the_owners_of_their_keys() {
    in_both_protocols(async |client, _| {
        for slot in SLOTS {
            let key = key_in(slot);
            let name = |kind: &str| format!("{key}{kind}");
            client.send::<()>(words(&format!("JSON.SET {} $ {slot}", name("j")))).await?;
            let text: u16 = client.send(words(&format!("JSON.GET {}", name("j")))).await?;
            assert_eq!(text, slot);
            let line = format!("TS.ADD {} 1000 {slot}", name("t"));
            assert_eq!(client.send::<i64>(words(&line)).await?, 1000);
            let line = format!("TS.RANGE {} - +", name("t"));
            let range: Vec<(i64, f64)> = client.send(words(&line)).await?;
            assert_eq!(range, [(1000, f64::from(slot))]);
            assert!(client.send::<bool>(words(&format!("BF.ADD {} x", name("b")))).await?);
            assert!(client.send::<bool>(words(&format!("BF.EXISTS {} x", name("b")))).await?);
        }
        assert_eq!(client.metrics().redirects, 0);
        let mut pipeline = client.pipeline();
        for slot in SLOTS {
            pipeline.push(words(&format!("JSON.GET {}j", key_in(slot))));
        }
        assert_eq!(pipeline.run::<Vec<u16>>().await?, SLOTS);
        Ok(())
    });
}

/// An index is at one node, the owner of its name, and has the documents of that node.
#[test]
fn an_index_has_the_documents_of_the_owner_of_its_name() {
    in_both_protocols(async |client, cluster| {
        for slot in [0, 16383] {
            let key = key_in(slot);
            let create = format!("FT.CREATE {key}idx ON HASH PREFIX 1 {key} SCHEMA n TEXT");
            client.send::<()>(words(&create)).await?;
            client.hset(format!("{key}doc"), [("n", "word")]).await?;
            let count = || words(&format!("FT.SEARCH {key}idx word LIMIT 0 0"));
            let found: slotcar::Value = client.send(count()).await?;
            let total = found.get("total_results").or(found.as_slice().map(|list| &list[0]));
            assert_eq!(total.and_then(slotcar::Value::as_i64), Some(1));
        }
        assert_eq!(client.metrics().redirects, 0);
        for node in cluster.nodes() {
            let own = node.call(&["FT._LIST"]);
            assert_eq!(own.items().len(), 1, "{own:?}");
        }
        // Without a key, a primary answers for itself; all of them are asked by name.
        let own: Vec<String> = client.send(cmd("FT._LIST")).await?;
        assert_eq!(own.len(), 1);
        let each = client.send_each(Target::AllPrimaries, cmd("FT._LIST")).await?;
        let names = each.iter().map(|reply| reply.decode::<Vec<String>>().expect("a list").len());
        assert_eq!(names.collect::<Vec<_>>(), [1, 1]);
        Ok(())
    });
}

/// RedisJSON tells servers of the first key of JSON.MGET only: they would say null for the others.
#[test]
fn keys_of_two_slots_are_not_taken_for_absent_ones() {
    in_both_protocols(async |client, _| {
        let [a, b] = [key_in(0), key_in(16383)];
        for key in [&a, &b] {
            client.send::<()>(words(&format!("JSON.SET {key} $ 1"))).await?;
        }
        let both = || words(&format!("JSON.MGET {a} {b} $"));
        let marked = cmd("JSON.MGET").key(&a).arg(&b).arg("$");
        let pipeline = client.pipeline().add(both()).run::<()>().await;
        let transaction = client.transaction().add(both()).run::<()>().await;
        let each = [client.send::<()>(both()).await, client.send(marked).await];
        for result in each.into_iter().chain([pipeline, transaction]) {
            let error = result.expect_err("two slots");
            let crossed = ErrorDetail::CrossSlot { first: 0, second: 16383 };
            assert_eq!(error.details(), Some(&crossed), "{error:?}");
            assert_eq!(error.delivery(), Delivery::NotSent, "{error:?}");
        }
        let twice: [String; 2] = client.send(words(&format!("JSON.MGET {b} {b} $"))).await?;
        assert_eq!(twice, ["[1]", "[1]"]);
        Ok(())
    });
}

/// What a module says of keys in two slots is its own.
#[test]
fn keys_of_two_slots_are_for_the_server_to_refuse() {
    in_both_protocols(async |client, _| {
        let [a, b] = [key_in(0), key_in(16383)];
        for line in [format!("JSON.MSET {a} $ 1 {b} $ 2"), format!("TS.MADD {a} 1 1 {b} 1 1")] {
            let error = client.send::<()>(words(&line)).await.expect_err("two slots");
            let code = error.server_error().map(slotcar::ServerError::code);
            assert_eq!((code, error.attempts()), (Some("CROSSSLOT"), 1), "{error:?}");
        }
        Ok(())
    });
}
