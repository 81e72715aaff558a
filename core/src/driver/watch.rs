//! What the background does for the topology: hears the alarm, keeps the interval, drives the
//! looks.
//!
//! It holds the client weakly and ends with it. On a host without a background nothing of this
//! runs: commands drive the looks that they need, and ask for them when they see that something is
//! wrong. Called by `client/mod.rs`, once per client.

use super::host::Host;
use super::sentinels;
use super::topology::{Keeper, Step};
use crate::config::Deployment;
use crate::parts::{BACKGROUND, SENTINEL};
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use std::sync::{Arc, Weak};

/// Starts the watch, if there is something to watch and the host has a background.
pub(crate) fn start(keeper: &Arc<Keeper>) {
    if BACKGROUND && keeper.is_dynamic() {
        let watch = watch(Arc::downgrade(keeper), Arc::clone(keeper.host()));
        let _ = keeper.host().transport().spawn(Box::pin(watch));
    }
}

async fn watch(keeper: Weak<Keeper>, host: Arc<Host>) {
    let mut periodic = next_interval(&host);
    loop {
        let listener = host.alarm().listen();
        let wait = {
            let Some(keeper) = keeper.upgrade() else { return };
            if keeper.is_closed() {
                return;
            }
            keeper.hear();
            if host.now() >= periodic {
                keeper.want(RefreshReason::Interval);
                periodic = next_interval(&host);
            }
            match keeper.step() {
                Step::Nothing => periodic,
                Step::Wait(until) => until.min(periodic),
                Step::Drive(look) => {
                    let sentinels = keeper.sentinels();
                    drop(keeper);
                    look.await;
                    if let Some((nodes, service)) = sentinels.filter(|_| SENTINEL) {
                        sentinels::listen(&host, &nodes, &service).await;
                    }
                    continue;
                }
            }
        };
        host.by(wait, listener).await;
    }
}

/// When to look without a cause: the configured interval, give or take a tenth, so that clients
/// that started together do not stay together.
fn next_interval(host: &Host) -> Timestamp {
    let interval = match host.config().deployment {
        Deployment::Sentinel { .. } => Some(host.config().sentinel_interval),
        _ => host.config().refresh_interval,
    };
    match interval {
        Some(time) => host.now().after(time / 10 * 9 + host.chance().jitter(time / 5)),
        None => Timestamp::FAR_FUTURE,
    }
}
