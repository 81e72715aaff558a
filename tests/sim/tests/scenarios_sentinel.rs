//! Named scenarios of a service behind sentinels, each with its figure in virtual time.
//!
//! S50 (sentinels with old opinions, a half-open link, the old primary alive), in both forms: with
//! one announcement that arrives, and with none; and what the simulated sentinels themselves do.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

mod load;
mod raw;

use load::{MS, SECOND};
use raw::Raw;
use slotcar::Client;
use slotcar_sim::Sim;
use std::time::Duration;

/// What a client that writes all the time goes through.
#[derive(Debug)]
struct Trouble {
    /// From the promotion to the first write on the new primary.
    until_new: Duration,
    /// Writes on the old primary after the first one on the new primary.
    back: usize,
    /// Writes that failed.
    failed: usize,
}

/// Writes for a while after a failover that most of the sentinels have forgotten.
async fn write_on(sim: &Sim, client: &Client, span: Duration) -> Trouble {
    let (_, promoted, _) = sim.promotions().pop().unwrap();
    let new = sim.believed_by("s1");
    let hasty = client.with_deadline(MS * 200);
    let mut trouble = Trouble { until_new: Duration::MAX, back: 0, failed: 0 };
    let end = sim.now().after(span);
    let mut number = 0;
    while sim.now() < end {
        number += 1;
        let value = format!("v{number}");
        match hasty.set("k", &value).await {
            Ok(()) if sim.peek(&new, "k").as_deref() == Some(value.as_bytes()) => {
                trouble.until_new = trouble.until_new.min(sim.now().since(promoted));
            }
            Ok(()) if trouble.until_new < Duration::MAX => trouble.back += 1,
            Ok(()) => {}
            Err(_) => trouble.failed += 1,
        }
        sim.advance(MS * 10).await;
    }
    trouble
}

/// Fails over by s1, and makes the two others forget it, as if restarted with old files. `pushed`:
/// whether its announcement reaches the client.
async fn fail_over_and_forget(sim: &Sim, pushed: bool) -> String {
    let silent: &[&str] = if pushed { &["s2", "s3"] } else { &["s1", "s2", "s3"] };
    for sentinel in silent {
        // Half-open: what the sentinel sends on its present connections is lost.
        sim.partition_one_way(sentinel, "client");
    }
    sim.sentinel_failover("s1");
    while sim.promotions().is_empty() || sim.believed_by("s1") == "a" {
        sim.advance(MS).await;
    }
    let new = sim.believed_by("s1");
    for sentinel in ["s2", "s3"] {
        // They hear nothing any more.
        for server in sim.servers() {
            if server != *sentinel {
                sim.partition_one_way(&server, sentinel);
            }
        }
        sim.mislead(sentinel, "a", 0);
    }
    for sentinel in silent {
        sim.mend(sentinel, "client");
        sim.reset_connections(sentinel);
    }
    new
}

#[test]
fn s50_old_opinions_and_one_announcement() {
    Sim::sentinel(2, 3).seed(50).run(|sim| async move {
        let client = sim.client(sim.config()).await.unwrap();
        client.set("k", "v0").await.unwrap();
        sim.advance(MS * 100).await;
        let new = fail_over_and_forget(&sim, true).await;
        let trouble = write_on(&sim, &client, SECOND * 30).await;
        println!("S50 with a push: {trouble:?}");
        assert_ne!(new, "a");
        assert!(trouble.until_new <= SECOND, "{trouble:?}");
        assert_eq!(trouble.back, 0);
    });
}

#[test]
fn s50_old_opinions_and_no_announcement() {
    Sim::sentinel(2, 3).seed(51).run(|sim| async move {
        let config = sim.config();
        let interval = config.sentinel_interval;
        let client = sim.client(config).await.unwrap();
        client.set("k", "v0").await.unwrap();
        sim.advance(MS * 100).await;
        fail_over_and_forget(&sim, false).await;
        let trouble = write_on(&sim, &client, SECOND * 30).await;
        println!("S50 without a push: {trouble:?}, interval {interval:?}");
        assert!(trouble.until_new <= interval + SECOND, "{trouble:?}");
        assert_eq!(trouble.back, 0);
    });
}

/// A primary is killed: the client writes again as soon as its successor takes writes.
#[test]
fn a_killed_primary_is_replaced() {
    for seed in 0..20 {
        Sim::sentinel(2, 3).seed(seed).run(|sim| async move {
            let client = sim.client(sim.config()).await.unwrap();
            client.set("k", "v").await.unwrap();
            sim.advance(MS * 10).await;
            sim.kill("a");
            let before = sim.calls("a", "set");
            let patient = client.with_deadline(SECOND * 30);
            // The first may have reached the old primary and was not answered; it is not sent
            // again.
            while patient.set("k", "w").await.is_err() {}
            let (_, promoted, _) = sim.promotions().pop().unwrap();
            let late = sim.now().since(promoted);
            println!("seed {seed}: served {late:?} after the promotion");
            assert!(late <= SECOND, "{late:?}");
            sim.restart("a");
            for _ in 0..200 {
                patient.set("k", "x").await.unwrap();
                sim.advance(MS * 100).await;
            }
            // The old primary is a replica now, and nothing was written there meanwhile.
            assert!(!sim.is_primary("a"));
            assert_eq!(sim.calls("a", "set"), before);
        });
    }
}

/// What a sentinel tells, on the wire.
#[test]
fn sentinels_answer_as_real_ones_do() {
    Sim::sentinel(1, 3).seed(1).run(|sim| async move {
        sim.advance(SECOND * 3).await;
        let mut s1 = Raw::connect(&sim, "s1").await;
        s1.expect(&[
            ("PING", "PONG"),
            ("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", r#"["10.0.0.1" "6379"]"#),
            ("SENTINEL GET-MASTER-ADDR-BY-NAME other", "nil"),
            ("SENTINEL MASTER other", "! ERR No such master with that name"),
            ("SENTINEL REPLICAS other", "! ERR No such master with that name"),
            ("ROLE", r#"["sentinel" ["mymaster"]]"#),
            (
                "SENTINEL CKQUORUM mymaster",
                "OK 3 usable Sentinels. Quorum and failover authorization can be reached",
            ),
            ("GET k", "! ERR unknown command 'GET', with args beginning with: 'k' "),
            ("SENTINEL RESET no*", "0"),
        ])
        .await;
        sim.kill("s2");
        sim.kill("s3");
        sim.advance(SECOND * 5).await;
        s1.expect(&[(
            "SENTINEL CKQUORUM mymaster",
            "! NOQUORUM 1 usable Sentinels. Not enough available Sentinels to reach the specified \
             quorum for this master. Not enough available Sentinels to reach the majority and \
             authorize a failover",
        )])
        .await;
        // Alone it does not fail over.
        sim.kill("a");
        sim.advance(SECOND * 60).await;
        assert!(sim.promotions().is_empty());
        assert!(s1.ask("INFO sentinel").await.contains("status=sdown"));
        sim.restart("s2");
        while sim.believed_by("s1") != "a1" {
            sim.advance(MS * 100).await;
        }
        s1.expect(&[("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", r#"["10.0.0.2" "6379"]"#)]).await;
        // The old primary comes back, and is made a replica.
        sim.restart("a");
        while sim.is_primary("a") {
            sim.advance(MS * 100).await;
        }
        sim.advance(SECOND * 3).await;
        assert_eq!(sim.agreed_primary().as_deref(), Some("a1"));
        s1.expect(&[("SENTINEL FAILOVER mymaster", "OK")]).await;
        while sim.agreed_primary().as_deref() != Some("a") {
            sim.advance(MS * 100).await;
        }
    });
}
