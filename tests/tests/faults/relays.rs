//! Real proxies: twemproxy, which knows neither HELLO nor CLIENT and hangs up on what it does not
//! know, and HAProxy as the one name of two servers that change roles.

use super::{BACKGROUNDS, config, versions};
use slotcar::prelude::*;
use slotcar::{Client, Config, Delivery, Error, ErrorKind, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::polling::{bounded, run};
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Conn, Relay, Server};
use slotcar_tests::{ExpectedError, Watched};
use std::time::Duration;

fn connected(config: Config, background: bool) -> Result<Client, Error> {
    let smol = Watched::new(Smol::new());
    let transport = if background { smol } else { smol.without_background() };
    run(Client::connect(transport, config))
}

/// Connections until a client is ready: HELLO and CLIENT cost one each, unless nothing is asked.
const DIALS: [(bool, u64); 2] = [(true, 3), (false, 1)];

#[test]
fn twemproxy_is_asked_only_what_it_knows() {
    for version in versions() {
        let servers = [Server::start(&version), Server::start(&version)];
        let Some(relay) = Relay::twemproxy(&[&servers[0], &servers[1]], None) else { return };
        for background in BACKGROUNDS {
            for (courtesies, dials) in DIALS {
                let config = config(&relay.url()).courtesies(courtesies);
                let client = connected(config, background).expect("it answers without HELLO");
                assert_eq!(client.metrics().dials, dials);
                servers.iter().for_each(|server| drop(server.call(&["FLUSHALL"])));
                run(use_keys(&client)).expect("twemproxy knows these");
                assert_eq!(client.metrics().dials, dials, "no connection was lost");
            }
        }
        let own = servers.map(|server| server.call(&["DBSIZE"]).integer());
        assert!(own.iter().all(|size| *size > Some(0)), "both servers have keys: {own:?}");
    }
}

/// Commands that twemproxy knows, on keys of both servers.
async fn use_keys(client: &Client) -> Result<(), Error> {
    let keys: Vec<String> = (0..100).map(|n| format!("k{n}")).collect();
    let mut pipeline = client.pipeline();
    keys.iter().for_each(|key| pipeline.push(cmd("SET").key(key).arg(key)));
    pipeline.run::<()>().await?;
    assert_eq!(client.mget::<Vec<String>>(&keys).await?, keys);
    assert_eq!(client.incr("n").await?, 1);
    client.hset("h", [("f", "1"), ("g", "2")]).await?;
    let hash: std::collections::BTreeMap<String, u8> = client.hgetall("h").await?;
    assert_eq!(hash.into_values().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(client.get::<Option<String>>("none").await?, None);
    let script = cmd("EVAL").arg("return redis.call('GET', KEYS[1])").arg(1).key("k7");
    assert_eq!(client.send::<String>(script).await?, "k7");
    Ok(())
}

/// The error names the command, and the next one has a connection again.
#[test]
fn twemproxy_hangs_up_on_what_it_does_not_know() {
    for version in versions() {
        let server = Server::start(&version);
        let Some(relay) = Relay::twemproxy(&[&server], None) else { return };
        for background in BACKGROUNDS {
            let client = connected(config(&relay.url()), background).expect("it answers");
            let told = ExpectedError::new(ErrorKind::Connect, Delivery::Unknown);
            let told = told.at(relay.address()).says("the server closed the connection");
            for name in ["PUBLISH", "BLPOP", "INFO"] {
                let command = cmd(name).key("k").arg("1");
                let failed = run(bounded(client.send::<()>(command)));
                told.clone().command(name).check_err(failed);
                run(bounded(client.set("k", name))).expect("a connection is made for it");
            }
            let transaction = client.transaction().add(cmd("INCR").key("n"));
            told.command("EXEC").check_err(run(bounded(transaction.run::<(i64,)>())));
            assert_eq!(run(client.get::<String>("k")).expect("it goes on"), "INFO");
        }
    }
}

#[test]
fn twemproxy_wants_a_password() {
    for version in versions() {
        let server = Server::of(&version).password("pw").start();
        let Some(relay) = Relay::twemproxy(&[&server], Some("pw")) else { return };
        for (courtesies, _) in DIALS {
            let config = config(&relay.url()).courtesies(courtesies);
            let client = connected(config.clone().password("pw"), true).expect("the right one");
            run(client.set("k", "v")).expect("good");
            let error = connected(config.clone().password("no"), true).expect_err("a wrong one");
            assert_eq!(error.kind(), ErrorKind::Handshake, "{error:?}");
            assert!(error.to_string().contains("AUTH"), "{error}");
            // It answers PING all the same.
            let client = connected(config, true).expect("nobody has asked for it yet");
            let error = run(client.get::<String>("k")).expect_err("no password");
            assert_eq!(error.delivery(), Delivery::Refused, "{error:?}");
            assert!(error.to_string().contains("Authentication required"), "{error:?}");
        }
    }
}

/// A replica of `primary` that is in step.
fn replicate(replica: &Server, primary: &Server) {
    let (ip, port) = (primary.address().ip().to_string(), primary.address().port().to_string());
    replica.call(&["REPLICAOF", &ip, &port]);
    let is_up = || replica.info("replication").get("master_link_status").cloned();
    until_true("the replica to be in step", || is_up().as_deref() == Some("up"));
}

/// The proxy asks ROLE. Whether it closes the old connections or keeps them, each write finds the
/// new primary, and runs once.
#[test]
fn haproxy_leads_to_the_new_primary() {
    for version in versions() {
        for closes in [false, true] {
            let servers = [Server::start(&version), Server::start(&version)];
            let Some(relay) = Relay::haproxy(&[&servers[0], &servers[1]], closes) else { return };
            replicate(&servers[1], &servers[0]);
            let config = config(&relay.url()).attempts_max(10_000);
            let config = config.backoff_base(Duration::from_millis(20));
            for (round, background) in (1_i64..).zip(BACKGROUNDS) {
                let [old, new] = if round == 1 { [0, 1] } else { [1, 0] };
                let run_id =
                    |told: &str| told.lines().find(|l| l.starts_with("run_id")).map(str::to_owned);
                let primary = run_id(&servers[old].call(&["INFO", "server"]).text());
                until_true("the proxy to lead to the primary", || {
                    let info = Conn::open(relay.address())
                        .and_then(|mut conn| conn.call(&["INFO", "server"]));
                    info.is_ok_and(|info| run_id(&info.text()) == primary)
                });
                let client = connected(config.clone(), background).expect("there is a primary");
                let before = run(bounded(client.incr("n"))).expect("good").to_string();
                until_true("the replica to have it", || {
                    servers[new].call(&["GET", "n"]).text() == before
                });
                servers[new].call(&["REPLICAOF", "NO", "ONE"]);
                replicate(&servers[old], &servers[new]);
                // A connection that the proxy closes may take a write with it.
                let written = loop {
                    match run(bounded(client.incr("n"))) {
                        Ok(n) => break n,
                        Err(error) => {
                            assert!(closes && error.delivery() == Delivery::Unknown, "{error:?}");
                        }
                    }
                };
                let stored = servers[new].call(&["GET", "n"]).text().to_owned();
                assert_eq!(stored, written.to_string(), "on the new primary");
                assert_eq!(written, round * 2, "each ran once");
                let pop = cmd("BLPOP").key("list").arg(30);
                run(bounded(client.rpush("list", "v"))).expect("good");
                let popped: (String, String) = run(bounded(client.send(pop))).expect("good");
                assert_eq!(popped.1, "v");
            }
        }
    }
}
