//! The end of a blocking command that no reply and no deadline ends: its server is suspended,
//! cannot be reached, or was replaced.
//!
//! The connection of such a command may be silent for hours, so that its silence says nothing. The
//! node is asked over another connection, and the topology whether it still has the node.
//!
//! Limits: a node that answers nothing is deserted after `progress_timeout` and the timeout of the
//! call together; one that the topology has replaced after twice the `progress_timeout` or, if it
//! lives, after `DEMOTION` (30 s).

use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::routes::Routes;
use crate::driver::node::node::Node;
use std::sync::Arc;
use std::time::Duration;

/// How long a call stays blocked at a node that was replaced and lives. A server answers its
/// blocked clients when it learns that it has lost its role or its slots (UNBLOCKED, MOVED);
/// sentinels tell an old primary some 10 to 20 s after they have made another one.
const DEMOTION: Duration = Duration::from_secs(30);

/// Ends when a call that is blocked at `node` need not wait any more, and says why. `leads_away`:
/// whether routes name another node for its command. `patience`: how long the node may take for an
/// answer.
pub(super) async fn until_deserted(
    topology: &Arc<LiveTopology>,
    node: &Arc<Node>,
    leads_away: impl Fn(&Routes) -> bool,
    patience: Duration,
) -> &'static str {
    let env = topology.env();
    let interval = env.config().progress_timeout;
    // A redirect leads to a node that the map does not name yet.
    let was_led_here = !leads_away(&topology.routes());
    let mut replaced_at = None;
    loop {
        env.sleep_until(env.now().after(interval)).await;
        let now = env.now();
        if !was_led_here || !leads_away(&topology.routes()) {
            replaced_at = None;
            if !node.shows_life(env, now.after(patience)).await {
                return "the node gives no sign of life";
            }
            continue;
        }
        let since = *replaced_at.get_or_insert(now);
        if now >= since.after(DEMOTION) || !node.shows_life(env, now.after(interval)).await {
            return "the node was replaced, and has not answered";
        }
    }
}
