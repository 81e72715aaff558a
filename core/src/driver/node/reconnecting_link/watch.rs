//! Who looks after a connection whose callers cannot: its link while that is silent, and its dial
//! when all callers have gone and another connection needs the room.

use super::{NextLink, ReconnectingLink};
use crate::BoxFuture;
use crate::driver::environment::connection_limit::EndsAbandonedDial;
use crate::driver::environment::environment::Environment;
use crate::driver::environment::events::Event as Notice;
use crate::driver::link::silence_watch::SilenceWatch;
use crate::lock::lock;
use crate::time::Timestamp;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// Looks after the link of a connection while it is silent.
struct LinkWatch {
    /// The connection.
    link: Weak<ReconnectingLink>,
    /// What its dials need.
    env: Arc<Environment>,
}

impl fmt::Debug for LinkWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkWatch").finish_non_exhaustive()
    }
}

impl SilenceWatch for LinkWatch {
    /// Drives the dials of the connection. They are shared with the callers that need a link.
    fn ask(&self) -> BoxFuture<'static, ()> {
        let (link, env) = (Weak::clone(&self.link), Arc::clone(&self.env));
        Box::pin(async move {
            while let Some(next) = link.upgrade().map(|link| link.next_link(&env)) {
                match next {
                    NextLink::Live(_) | NextLink::Closed => return,
                    NextLink::Dialling(dial) => drop(dial.await),
                    NextLink::BackingOff(until) => env.sleep_until(until).await,
                }
            }
        })
    }

    fn handle_progress(&self) {
        let Some(link) = self.link.upgrade() else { return };
        let running = {
            let mut dial = lock(&link.dial);
            dial.failures = 0;
            dial.not_before = Timestamp::ZERO;
            dial.last_error = None;
            if link.reported_lost.swap(false, Ordering::Relaxed) {
                let endpoint = link.target.endpoint();
                self.env.telemetry().emit(|| Notice::NodeBack { endpoint: endpoint.clone() });
            }
            dial.running.take()
        };
        drop(running);
        link.progress.notify(usize::MAX);
    }
}

impl ReconnectingLink {
    /// What looks after the link of this connection while it is silent.
    pub(super) fn watch(link: &Weak<Self>, env: &Arc<Environment>) -> Arc<dyn SilenceWatch> {
        Arc::new(LinkWatch { link: Weak::clone(link), env: Arc::clone(env) })
    }
}

impl EndsAbandonedDial for ReconnectingLink {
    fn end_abandoned_dial(&self) {
        // Other handles are made under this lock only, from this one.
        let abandoned = lock(&self.dial).running.take_if(|dial| dial.is_sole_handle());
        drop(abandoned);
    }
}
