//! What the background does for the topology: hears the alarm, keeps the interval, drives the
//! looks.
//!
//! It holds the client weakly and ends with it. On a host without a background nothing of this
//! runs: commands drive the looks that they need, and ask for them when they see that something is
//! wrong. Behind sentinels they also keep the interval, for a primary that was replaced and lives
//! on says nothing. Called by `client/mod.rs`, once per client.

use crate::config::Deployment;
use crate::driver::discovery::live_topology::{LiveTopology, RefreshState};
use crate::driver::discovery::sentinel_query;
use crate::driver::environment::environment::Environment;
use crate::features::{BACKGROUND, SENTINEL};
use crate::topology::refresh::RefreshReason;
use std::sync::{Arc, Weak};

/// Starts the watch, if there is something to watch and the host has a background.
pub(crate) fn start(topology: &Arc<LiveTopology>) {
    if topology.is_dynamic() {
        let env = topology.env();
        let watch = || watch(Arc::downgrade(topology), Arc::clone(env));
        let is_watched = BACKGROUND && env.spawn(Box::pin(watch()));
        if !is_watched && matches!(env.config().deployment, Deployment::Sentinel { .. }) {
            topology.set_next_poll(env.first_refresh_at());
        }
    }
}

async fn watch(topology: Weak<LiveTopology>, env: Arc<Environment>) {
    let mut periodic = env.first_refresh_at();
    loop {
        let listener = env.triggers().listen();
        let wait = {
            let Some(topology) = topology.upgrade() else { return };
            if topology.is_closed() {
                return;
            }
            topology.take_triggers();
            if env.now() >= periodic {
                topology.request_refresh(RefreshReason::Interval);
                periodic = env.next_refresh_at();
            }
            match topology.advance_refresh() {
                RefreshState::Idle => periodic,
                RefreshState::DueAt(until) => until.min(periodic),
                RefreshState::Running(look) => {
                    let sentinels = topology.sentinels();
                    drop(topology);
                    look.await;
                    if let Some((nodes, service)) = sentinels.filter(|_| SENTINEL) {
                        sentinel_query::listen(&env, &nodes, &service).await;
                    }
                    continue;
                }
            }
        };
        env.with_deadline(wait, listener).await;
    }
}
