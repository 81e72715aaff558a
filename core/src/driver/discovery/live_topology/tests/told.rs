//! What events tell of refreshes and redirects, in virtual time.

use super::*;
use futures::FutureExt;

/// A slot that no node owned has an owner because a redirect says so.
#[test]
fn a_redirect_that_covers_the_last_slot_is_told() {
    const HOLE: &[(u16, &[&str])] = &[(8191, &["a"]), (16382, &["b"])];
    let script = Script::default();
    for host in ["a", "b"] {
        script.set(&at(host), Server::replying(cluster(HOLE)));
    }
    let config = Config::default().endpoints([at("a")]).deployment(Deployment::Cluster);
    let topology = LiveTopology::start(script.env(config), None);
    let mut events = topology.env().telemetry().listen();
    script.run(topology.wait_for_refresh(Timestamp::FAR_FUTURE));
    let mut told = || {
        let mut told = Vec::new();
        while let Some(Some(event)) = events.next().now_or_never() {
            match event {
                Event::CoverageComplete => told.push("complete".to_owned()),
                Event::CoverageIncomplete { covered } => told.push(format!("{covered} covered")),
                Event::SlotMoved { slot, to } => told.push(format!("{slot} to {to}")),
                _ => {}
            }
        }
        told
    };
    assert_eq!(told(), ["16383 covered"]);
    topology.handle_moved(slot(16383), &at("b"), false);
    assert_eq!(told(), ["16383 to b:1", "complete"]);
    topology.handle_moved(slot(16383), &at("b"), false);
    topology.handle_moved(slot(0), &at("b"), false);
    assert_eq!(told(), ["0 to b:1"]);
}

/// Nodes answer again as they did before: nothing has changed, although callers are told to look.
#[test]
fn a_refresh_after_a_failed_one_tells_what_has_changed() {
    let script = Script::default();
    let topology = started(&script);
    let mut events = topology.env().telemetry().listen();
    let mut refresh = || {
        topology.request_refresh(RefreshReason::Requested);
        script.run(topology.wait_for_refresh(Timestamp::FAR_FUTURE));
        let mut told = Vec::new();
        while let Some(Some(event)) = events.next().now_or_never() {
            match event {
                Event::RefreshFailed { reason: RefreshReason::Requested, .. } => {
                    told.push("failed")
                }
                Event::Refreshed { changed, .. } => {
                    told.push(if changed { "changed" } else { "unchanged" });
                }
                _ => {}
            }
        }
        told
    };
    let stop = || {
        for host in ["a", "b", "c"] {
            script.set(&at(host), Server::refusing(Duration::ZERO));
            script.cut(&at(host));
        }
    };
    stop();
    assert_eq!(refresh(), ["failed"]);
    for host in ["a", "b", "c"] {
        script.set(&at(host), Server::replying(cluster(HALVES)));
    }
    assert_eq!(refresh(), ["unchanged"]);
    stop();
    assert_eq!(refresh(), ["failed"]);
    for host in ["a", "b", "c"] {
        script.set(&at(host), Server::replying(cluster(&[(16383, &["a", "b", "c"])])));
    }
    assert_eq!(refresh(), ["changed"]);
}
