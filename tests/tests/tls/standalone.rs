//! One server with TLS.
//!
//! Each version, each kind of call, names and addresses, and client certificates.

use super::{LONG, SHARED, carriers, config, lazy, tls, trusting, versions};
use crate::reader::{next_sorted, next_words};
use futures::future::join_all;
use slotcar::prelude::*;
use slotcar::{Client, Config, Endpoint, cmd};
use slotcar_tests::polling::run;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Server, Version};
use slotcar_tls::Tls;

#[test]
fn every_version_serves_calls_of_every_kind() {
    for version in Version::all() {
        let server = Server::of(&version).config(&SHARED.addresses.listening()).start();
        for carrier in carriers() {
            let client = lazy(carrier, server.tls_address());
            run(async {
                client.set("name", "Ada").await.expect("SET");
                assert_eq!(client.get::<String>("name").await.expect("GET"), "Ada", "{version}");
                let crowd = (0..200_u32).map(|i| client.send::<u32>(cmd("ECHO").arg(i)));
                let crowd = join_all(crowd).await;
                assert!(crowd.into_iter().zip(0..).all(|(reply, i)| reply.is_ok_and(|r| r == i)));
                let commands = (0..50_u32).map(slotcar::command::get);
                let pipeline = commands.fold(client.pipeline(), |p, get| p.add(get));
                let replies = pipeline.run::<Vec<Option<u32>>>().await.expect("a pipeline");
                assert_eq!(replies, [None; 50]);
                // On an exclusive connection.
                let pop = client.send::<(String, String)>(cmd("BLPOP").key("list").arg(20));
                let push = async { client.rpush("list", ["x"]).await.expect("RPUSH") };
                let (popped, _) = futures::future::join(pop, push).await;
                assert_eq!(popped.expect("BLPOP").1, "x");
                let done = client.transaction().add(slotcar::command::incr("n")).run::<(u64,)>();
                done.await.expect("EXEC");
            });
            let mut messages = run(client.subscribe(["a", "b"]).into_future()).expect("subscribed");
            assert_eq!(next_sorted(&mut messages, 2), ["+a", "+b"]);
            run(client.publish("b", "hi")).expect("PUBLISH");
            assert_eq!(next_words(&mut messages, 1), ["b=hi"]);
        }
    }
}

/// With a name, the certificate must contain the name; the address may be any that the name
/// resolves to.
#[test]
fn a_server_proves_the_name_that_was_asked_for() {
    let server = Server::of(&Version::any())
        .config(&SHARED.authority.sign(&["redis.test", "*.wild.test"]).listening())
        .start();
    let at = server.tls_address();
    for carrier in carriers() {
        for name in ["redis.test", "REDIS.test", "node-1.wild.test"] {
            let carrier = carrier.clone().naming(name, at);
            let config = config(&format!("rediss://{name}:{}", at.port()));
            let client = run(Client::connect(tls(carrier), config)).expect(name);
            run(client.ping()).expect(name);
        }
        // Known by its address only, so the expected name is configured.
        let by_address = config(&format!("rediss://{at}"));
        let everywhere = tls(carrier.clone()).server_name("redis.test").expect("a name");
        run(Client::connect(everywhere, by_address.clone())).expect("the name is given");
        let endpoint = Endpoint::tcp(&at.ip().to_string(), at.port());
        let there = tls(carrier).server_name("other.test").expect("a name");
        let there = there.server_name_of(endpoint, "redis.test").expect("a name");
        run(Client::connect(there, by_address)).expect("the name is given for this server");
    }
}

/// The expected name is the one that the address map gives.
#[test]
fn a_mapped_address_proves_what_it_is_mapped_to() {
    use slotcar::config::Deployment;
    let Some(version) = Version::named("valkey-9.1") else { return };
    let pem = SHARED.authority.sign(&["inside.test"]);
    let cluster = slotcar_tests::real::Cluster::of(&version)
        .primaries(1)
        .replicas(0)
        .config(&pem.clustered())
        .start();
    let at = cluster.node(0).tls_address();
    for carrier in carriers() {
        let inside = Endpoint::tcp("inside.test", at.port());
        let config = Config::default()
            .endpoints([inside.clone()])
            .deployment(Deployment::Cluster)
            .address_map([(super::to(at), inside)])
            .tls(true)
            .command_timeout(LONG);
        let transport = tls(carrier.naming("inside.test", at));
        let client = run(Client::connect(transport, config)).expect("the map leads to the name");
        run(client.set("k", "v")).expect("SET");
    }
}

#[test]
fn a_client_shows_its_certificate_where_it_is_asked_for() {
    for version in versions() {
        let pem = &SHARED.addresses;
        let server =
            Server::of(&version).config(&pem.listening()).config("tls-auth-clients yes").start();
        let me = SHARED.authority.sign(&["client.test"]);
        for carrier in carriers() {
            let known = trusting().identity_pem(me.chain.as_bytes(), me.key.as_bytes());
            let known = known.expect("PEM").build().expect("they fit");
            let config = config(&format!("rediss://{}", server.tls_address()));
            let client = run(Client::connect(Tls::new(carrier, known), config)).expect("known");
            run(client.set("k", "v")).expect("SET");
        }
    }
}

/// Old servers and middleboxes speak only TLS 1.2.
#[test]
fn both_versions_of_the_protocol_are_spoken() {
    for protocols in ["TLSv1.2", "TLSv1.3"] {
        let server = Server::of(&Version::any())
            .config(&SHARED.addresses.listening())
            .config(&format!("tls-protocols \"{protocols}\""))
            .start();
        for carrier in carriers() {
            let client = lazy(carrier, server.tls_address());
            run(client.ping()).expect(protocols);
        }
    }
}

/// Waits until the client closed its last connection, which it does also without a background task.
#[test]
fn a_client_that_is_dropped_leaves_no_connection() {
    let server = Server::of(&Version::any()).config(&SHARED.addresses.listening()).start();
    for carrier in carriers() {
        let client = lazy(carrier, server.tls_address());
        run(client.ping()).expect("PING");
        drop(client);
        until_true("the client to leave", || server.client_count() == 0);
    }
}
