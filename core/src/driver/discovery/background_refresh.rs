//! The background task of the topology: takes the triggers, keeps the refresh interval, and drives
//! the refreshes.
//!
//! It holds the topology weakly and ends with it. On a host without a background there is no such
//! task: commands drive the refreshes that they need, and request them when they see that something
//! is wrong. Behind sentinels commands also keep the interval, because a primary that was replaced
//! and lives on reports nothing.

use crate::config::Deployment;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::refresh_wait::RefreshState;
use crate::driver::discovery::sentinel_query;
use crate::driver::environment::environment::Environment;
use crate::features::{BACKGROUND, SENTINEL};
use crate::topology::refresh::RefreshReason;
use std::sync::{Arc, Weak};

/// Starts the task, if the topology can change and the host has a background.
pub(crate) fn start(topology: &Arc<LiveTopology>) {
    if topology.is_dynamic() {
        let env = topology.env();
        let task = || run(Arc::downgrade(topology), Arc::clone(env));
        let is_running = BACKGROUND && env.spawn(Box::pin(task()));
        if !is_running && matches!(env.config().deployment, Deployment::Sentinel { .. }) {
            topology.set_next_poll(env.first_refresh_at());
        }
    }
}

async fn run(topology: Weak<LiveTopology>, env: Arc<Environment>) {
    let mut periodic = env.first_refresh_at();
    loop {
        let listener = env.triggers().listen();
        let until = {
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
                RefreshState::DueAt(at) => at.min(periodic),
                RefreshState::Running(refresh) => {
                    let sentinels = topology.sentinels();
                    drop(topology);
                    refresh.await;
                    if let Some((nodes, service)) = sentinels.filter(|_| SENTINEL) {
                        sentinel_query::subscribe(&env, &nodes, &service).await;
                    }
                    continue;
                }
            }
        };
        env.with_deadline(until, listener).await;
    }
}
