//! What the background does for the topology: hears the alarm, keeps the interval, drives the
//! looks.
//!
//! It holds the client weakly and ends with it. On a host without a background nothing of this
//! runs: commands drive the looks that they need, and ask for them when they see that something is
//! wrong. Behind sentinels they also keep the interval, for a primary that was replaced and lives
//! on says nothing. Called by `client/mod.rs`, once per client.

use super::host::Host;
use super::sentinels;
use super::topology::{Keeper, Step};
use crate::config::Deployment;
use crate::parts::{BACKGROUND, SENTINEL};
use crate::topology::refresh::RefreshReason;
use std::sync::{Arc, Weak};

/// Starts the watch, if there is something to watch and the host has a background.
pub(crate) fn start(keeper: &Arc<Keeper>) {
    if keeper.is_dynamic() {
        let host = keeper.host();
        let watch = || watch(Arc::downgrade(keeper), Arc::clone(host));
        let is_watched = BACKGROUND && host.spawn(Box::pin(watch()));
        if !is_watched && matches!(host.config().deployment, Deployment::Sentinel { .. }) {
            keeper.poll_from(host.first_poll());
        }
    }
}

async fn watch(keeper: Weak<Keeper>, host: Arc<Host>) {
    let mut periodic = host.first_poll();
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
                periodic = host.next_poll();
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
