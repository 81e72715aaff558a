//! A client that follows the primary of a service, against real sentinels.
//!
//! Each test has a primary, two replicas and three sentinels of its own. Each call has a timeout of
//! one second.

#![expect(clippy::unwrap_used, reason = "a harness of tests: a surprise is a failure")]

mod load;

use load::{Ended, Load, config, first_success};
use slotcar::prelude::*;
use slotcar::{Client, Config, Delivery, Endpoint, ErrorDetail, ErrorKind, NodeState, cmd};
use slotcar_tcp::Smol;
use slotcar_tests::background;
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Fault, Proxy, Sentinels, Version};
use std::time::{Duration, Instant};

/// Half a second or one is usual on an idle machine; a busy one gets more. The times are printed.
const SOON: Duration = Duration::from_secs(4);

#[test]
fn a_service_is_opened_and_written_to_on_every_version() {
    for version in Version::all() {
        let sentinels = Sentinels::of(&version).start();
        smol::block_on(async {
            let client = Client::connect(Smol::new(), config(&sentinels)).await.unwrap();
            client.set("name", "Ada").await.unwrap();
            assert_eq!(client.get::<String>("name").await.unwrap(), "Ada", "{version}");
            assert_eq!(client.topology().shards[0].replicas.len(), 2, "{version}");
        });
    }
}

/// The sentinels answer; the server behind them decides.
#[test]
fn connecting_needs_a_primary_that_takes_the_client() {
    for version in Version::all() {
        let sentinels = Sentinels::of(&version).replicas(0).sentinels(1).password("right").start();
        let primary = sentinels.server(0).address();
        let connect = |config| smol::block_on(Client::connect(Smol::new(), config));
        let config = || config(&sentinels).password("right");
        let client = connect(config()).expect("the password is right");
        assert_eq!(client.metrics().nodes[0].state, NodeState::Connected, "{version}");
        let error = connect(config().password("wrong")).unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Handshake, Delivery::NotSent));
        assert!(error.to_string().contains("WRONGPASS"), "{version}: {error}");
        assert!(error.to_string().contains(&primary.to_string()), "{version}: {error}");
        let mut without = config();
        without.password = None;
        let error = connect(without).unwrap_err();
        assert!(error.to_string().contains("NOAUTH"), "{version}: {error}");
        sentinels.server(0).kill();
        let error = connect(config()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{version}: {error}");
        assert!(error.to_string().contains(&primary.to_string()), "{version}: {error}");
    }
}

#[test]
fn a_killed_primary_is_followed() {
    let sentinels = Sentinels::of(&Version::any()).down_after_ms(1000).start();
    let load = Load::start(config(&sentinels));
    let old = sentinels.primary().unwrap();
    sentinels.server(old).kill();
    sentinels.wait_for_new_primary(old);
    let promoted = Instant::now();
    load.wait_for_success(promoted);
    let record = load.stop();
    let took = first_success(&record, promoted);
    println!("{took:?} after the promotion");
    assert!(took < SOON, "{took:?}");
}

#[test]
fn writes_leave_a_demoted_primary_that_is_alive() {
    let sentinels = Sentinels::of(&Version::any()).start();
    let load = Load::start(config(&sentinels));
    let old = sentinels.primary().unwrap();
    let began = Instant::now();
    let new = sentinels.failover();
    let named = Instant::now();
    load.wait_for_success(named + Duration::from_secs(1));
    let record = load.stop();
    assert_ne!(old, new);
    let value = sentinels.server(new).call(&["GET", "count"]).text().parse::<i64>().unwrap();
    let late = |(began, ..): &&Ended| *began >= named + Duration::from_secs(1);
    let last = record.iter().filter(late).filter_map(|(_, _, r)| r.as_ref().ok()).max().unwrap();
    println!("named after {:?}; the new primary counts {value}, last reply {last}", named - began);
    // The first reply from which on the count on the new primary goes on without a step back.
    let counts: Vec<(Instant, i64)> =
        record.iter().filter_map(|(_, at, r)| Some((*at, *r.as_ref().ok()?))).collect();
    let back = counts.windows(2).rposition(|pair| pair[1].1 <= pair[0].1);
    let moved = back.map(|index| counts[index + 1].0.saturating_duration_since(began));
    println!("the last step back was {moved:?} after the order to fail over");
    assert_eq!(value, *last, "what was acknowledged a second later is on the new primary");
    let unknown = |(_, _, result): &&Ended| {
        result.as_ref().is_err_and(|error| error.delivery() == Delivery::Unknown)
    };
    println!("{} of {} unknown", record.iter().filter(unknown).count(), record.len());
}

#[test]
fn an_unknown_service_is_named_with_the_known_ones() {
    let sentinels = Sentinels::of(&Version::any()).service("orders").start();
    let url = sentinels.url().replace("orders", "order");
    let config = Config::from_url(&url).unwrap();
    let error = smol::block_on(Client::connect(Smol::new(), config)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Topology);
    assert!(error.to_string().contains("orders"), "{error}");
}

#[test]
fn a_hung_primary_is_left_when_another_is_promoted() {
    let sentinels = Sentinels::of(&Version::any()).down_after_ms(1000).start();
    let load = Load::start(config(&sentinels));
    let old = sentinels.primary().unwrap();
    sentinels.server(old).pause();
    sentinels.wait_for_new_primary(old);
    let promoted = Instant::now();
    load.wait_for_success(promoted);
    let record = load.stop();
    sentinels.server(old).resume();
    // The call that was caught by the hang may use up its own deadline; the next one must succeed.
    let took = first_success(&record, promoted);
    println!("{took:?} after the promotion");
    assert!(took < SOON, "{took:?}");
}

#[test]
fn hung_and_dead_sentinels_cost_little() {
    let sentinels = Sentinels::of(&Version::any()).start();
    sentinels.sentinel(0).pause();
    sentinels.sentinel(1).kill();
    let began = Instant::now();
    let load = Load::start(config(&sentinels));
    let opened = began.elapsed();
    let old = sentinels.server(sentinels.primary().unwrap());
    old.call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let cut = Instant::now();
    load.wait_for_success(cut);
    let record = load.stop();
    sentinels.sentinel(0).resume();
    let recovered = first_success(&record, cut);
    println!("open in {opened:?}, recovered {recovered:?} after the cut");
    assert!(opened < SOON && recovered < SOON, "{opened:?}, {recovered:?}");
}

/// The sentinel that is left replaces the primary, which lives on.
#[test]
fn one_sentinel_of_three_is_enough_to_follow_a_failover() {
    let sentinels = Sentinels::of(&Version::any()).start();
    sentinels.sentinel(0).pause();
    sentinels.sentinel(1).kill();
    let load = Load::start(config(&sentinels));
    let new = sentinels.failover();
    let named = Instant::now();
    load.wait_for_success(named + Duration::from_millis(1500));
    let record = load.stop();
    sentinels.sentinel(0).resume();
    let count = sentinels.server(new).call(&["GET", "count"]).text().parse::<i64>().unwrap();
    let late = |(began, ..): &&Ended| *began >= named + Duration::from_millis(1500);
    let last = record.iter().filter(late).filter_map(|(_, _, r)| r.as_ref().ok()).max().unwrap();
    assert_eq!(count, *last, "what was acknowledged 1.5 s later is on the new primary");
}

#[test]
fn without_any_sentinel_the_known_primary_is_dialled_again() {
    let sentinels = Sentinels::of(&Version::any()).start();
    let load = Load::start(config(&sentinels));
    let primary = sentinels.primary().unwrap();
    (0..3).for_each(|index| sentinels.sentinel(index).kill());
    sentinels.server(primary).call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let cut = Instant::now();
    load.wait_for_success(cut);
    let took = first_success(&load.stop(), cut);
    println!("{took:?} after the cut");
    assert!(took < SOON, "{took:?}");
}

#[test]
fn sentinels_with_an_old_view_move_no_client_back() {
    let sentinels = Sentinels::of(&Version::any()).start();
    let memories = [0, 1].map(|index| sentinels.remember(index));
    let old = sentinels.primary().unwrap();
    let load = Load::start(config(&sentinels));
    sentinels.failover();
    let new = sentinels.wait_until_settled();
    load.wait_for_success(Instant::now());
    // The third one is paused, so no sentinel sends them a newer view.
    sentinels.sentinel(2).pause();
    for (index, memory) in memories.iter().enumerate() {
        sentinels.restart_with(index, memory);
    }
    until_true("a sentinel to announce the old view", || {
        sentinels.opinion_of(0) == Some(sentinels.server(old).address())
    });
    let told = Instant::now();
    load.wait_for_success(told + Duration::from_secs(1));
    sentinels.sentinel(2).resume();
    let record = load.stop();
    let last = record.iter().filter_map(|(_, _, result)| result.as_ref().ok()).max().unwrap();
    let count = sentinels.server(new).call(&["GET", "count"]).text().parse::<i64>().unwrap();
    assert_eq!(count, *last, "every acknowledged write is on the new primary");
}

#[test]
fn sentinels_that_want_a_password_say_so_and_take_it() {
    let version = Version::any();
    let sentinels = Sentinels::of(&version).sentinel_password("s3cret").start();
    let error = smol::block_on(Client::connect(Smol::new(), config(&sentinels))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Topology);
    assert!(format!("{error}").contains("NOAUTH"), "{error}");
    let url = format!("{}&sentinel_password=s3cret", sentinels.url());
    let config = slotcar_tests::patient(&url);
    smol::block_on(async {
        let client = Client::connect(Smol::new(), config).await.unwrap();
        client.set("name", "Ada").await.unwrap();
    });
}

#[test]
fn without_any_sentinel_each_is_named_with_its_cause() {
    let sentinels = Sentinels::of(&Version::any()).start();
    (0..3).for_each(|index| sentinels.sentinel(index).kill());
    let error = smol::block_on(Client::connect(Smol::new(), config(&sentinels))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Topology);
    for index in 0..3 {
        let address = sentinels.sentinel(index).address().to_string();
        assert!(error.to_string().contains(&address), "names {address}: {error}");
    }
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn a_primary_that_is_none_gets_no_command() {
    let sentinels = Sentinels::of(&Version::any()).start();
    // The sentinels do not notice it in time.
    let primary = sentinels.server(sentinels.primary().unwrap());
    let address = primary.address();
    let elsewhere = sentinels.servers().iter().find(|s| s.address() != address).unwrap();
    let (ip, port) = (elsewhere.address().ip().to_string(), elsewhere.address().port().to_string());
    primary.call(&["REPLICAOF", &ip, &port]).ok();
    let error = smol::block_on(async {
        let client = Client::connect(Smol::new(), config(&sentinels)).await.unwrap();
        client.with_timeout(Duration::from_millis(500)).set("name", "Ada").await.unwrap_err()
    });
    let text = format!("{error:?}");
    assert!(text.contains("its ROLE reply says otherwise"), "{text}");
    assert_eq!(error.details(), Some(&ErrorDetail::NotPrimary), "{text}");
    assert_ne!(error.delivery(), Delivery::Unknown, "{text}");
    assert_eq!(primary.command_calls().get("set"), None, "{text}");
}

/// Two sentinels are behind connections that stay open and pass nothing: their announcements are
/// lost, and so are queries to them. The third one is queried instead.
#[test]
fn a_half_open_link_to_a_sentinel_is_noticed() {
    let sentinels = Sentinels::of(&Version::any()).start();
    let proxies: Vec<Proxy> =
        sentinels.sentinels().iter().map(|s| Proxy::to(s.address())).collect();
    let at =
        |address: std::net::SocketAddr| Endpoint::tcp(&address.ip().to_string(), address.port());
    let map = sentinels.sentinels().iter().zip(&proxies);
    let config = config(&sentinels)
        .endpoints(proxies.iter().map(|proxy| at(proxy.address())))
        .address_map(map.map(|(server, proxy)| (at(server.address()), at(proxy.address()))))
        .sentinel_interval(Duration::from_secs(1));
    let client = smol::block_on(Client::connect(Smol::new(), config)).unwrap();
    let known = || client.topology().shards[0].primary.endpoint.clone();
    let old = known();
    proxies[..2].iter().for_each(|proxy| proxy.set(Fault::BlackHole));
    sentinels.failover();
    let new = sentinels.wait_until_settled();
    let began = Instant::now();
    // No command is sent: the periodic query finds it.
    until_true("the new primary to be known", || known() != old);
    println!("an idle client knows the new primary {:?} later", began.elapsed());
    assert_eq!(known(), Some(at(sentinels.server(new).address())));
}

#[test]
fn commands_query_no_sentinel() {
    let sentinels = Sentinels::of(&Version::any()).start();
    smol::block_on(async {
        let client = Client::connect(Smol::new(), config(&sentinels)).await.unwrap();
        let before = client.metrics().refreshes;
        for _ in 0..1000 {
            client.incr("count").await.unwrap();
        }
        assert!(client.metrics().refreshes <= before + 1, "at most one refresh in ten seconds");
    });
}

/// A call that is blocked without an end while its primary hangs and another one is promoted.
#[test]
fn a_blocked_call_ends_when_its_primary_hangs() {
    let sentinels = Sentinels::of(&Version::any()).down_after_ms(1000).start();
    let old = sentinels.primary().unwrap();
    let config = config(&sentinels);
    let work = background::spawn(async move {
        let client = Client::connect(Smol::new(), config).await.unwrap();
        let began = Instant::now();
        let pop = cmd("BLPOP").key("q").arg(0);
        let error = client.send::<slotcar::Value>(pop).await.unwrap_err();
        println!("ended after {:?}: {error}", began.elapsed());
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Connect, Delivery::Unknown));
    });
    until_true("the call to be blocked", || {
        let clients = sentinels.server(old).call(&["INFO", "clients"]).text();
        clients.contains("blocked_clients:1")
    });
    sentinels.server(old).pause();
    sentinels.wait_for_new_primary(old);
    work.join();
    sentinels.server(old).resume();
}
