//! What a first program does: connects in each way, runs typed commands and a pipeline.
//!
//! Native suites test the typed methods; here, that bytes of any size arrive.

use crate::{bounded, on_clients, servers};
use slotcar::prelude::*;
use slotcar::{Error, ErrorKind, cmd};
use std::collections::HashMap;
use std::net::{Ipv6Addr, TcpListener};

#[test]
fn by_name_and_by_both_kinds_of_address() {
    let mut hosts = vec!["localhost", "127.0.0.1"];
    match TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => hosts.push("[::1]"),
        Err(cause) => println!("SKIPPED ::1: this machine has none ({cause})"),
    }
    for (name, port) in servers() {
        for host in &hosts {
            let test = async {
                let client = slotcar::connect(&format!("redis://{host}:{port}")).await?;
                client.ping().await?;
                client.set("typed:host", *host).await?;
                let found: Option<String> = client.get("typed:host").await?;
                assert_eq!(found.as_deref(), Some(*host));
                Ok::<(), Error>(())
            };
            wstd::runtime::block_on(bounded(async {
                test.await.unwrap_or_else(|error| panic!("{name} at {host}: {error}"));
            }));
        }
    }
}

#[test]
fn replies_have_types() {
    on_clients(async |client| {
        client.del(["typed:n", "typed:h", "typed:l"]).await?;
        assert_eq!(client.get::<Option<u64>>("typed:n").await?, None);
        assert_eq!(client.incr("typed:n").await?, 1);
        assert_eq!(client.get::<u64>("typed:n").await?, 1);
        client.send::<u64>(cmd("HSET").arg("typed:h").arg("a").arg(1).arg("b").arg(2)).await?;
        let fields: HashMap<String, u64> = client.hgetall("typed:h").await?;
        assert_eq!(fields, HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]));
        let large = "x".repeat(1 << 20);
        client.set("typed:large", &large).await?;
        assert_eq!(client.get::<String>("typed:large").await?, large);

        client.rpush("typed:l", ["item"]).await?;
        let error = client.incr("typed:l").await.expect_err("a list is no number");
        assert_eq!(error.kind(), ErrorKind::Server);
        assert!(error.server_error().is_some_and(|e| e.code() == "WRONGTYPE"), "{error}");
        client.ping().await
    });
}

#[test]
fn a_pipeline_keeps_its_order() {
    on_clients(async |client| {
        let mut pipeline = client.pipeline();
        for n in 0..1000_u32 {
            pipeline.push(cmd("SET").arg(format!("typed:p{n}")).arg(n));
        }
        for n in 0..1000_u32 {
            pipeline.push(cmd("GET").arg(format!("typed:p{n}")));
        }
        let replies = pipeline.run_each().await?;
        assert_eq!(replies.len(), 2000);
        for (n, reply) in replies.into_iter().skip(1000).enumerate() {
            assert_eq!(reply?.decode::<usize>()?, n);
        }
        Ok(())
    });
}
