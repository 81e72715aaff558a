//! Takes a place for a connection, and closes others to make room.
//!
//! Who waits first in the queue makes room: it gives up, as many as are waited for, the connections
//! that were idle for the longest time. If none is idle any more, those that carry commands of
//! several callers take no new ones, and close when what is in flight has been answered. What one
//! caller occupies (blocking commands, watched keys, waits for replicas) and what has subscriptions
//! is never given up.
//!
//! Where the configuration sets no limit, nothing of this runs. Limits: a connection is left to
//! those who waited for it for `GRACE` after it was opened; the first in the queue looks again
//! after `GRACE` to `LOOK_MAX`, and each of the others looks every `LOOK_MAX` whether a dial before
//! it has lost all its callers.

use crate::BoxFuture;
use crate::connection::queue::Occupancy;
use crate::driver::environment::connection_limit::{ConnectionLimit, DialWait, Place, Told};
use crate::driver::environment::environment::Environment;
use crate::sorted::sort_by_key;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// How long a new connection is left alone: all who waited for it use it first.
const GRACE: Duration = Duration::from_millis(5);
/// The longest pause between two looks for room.
const LOOK_MAX: Duration = Duration::from_millis(80);

/// Takes a place for a connection; waits for one, without an end. `None` where there is no limit.
/// `wait` tells, meanwhile, that a dial waits.
///
/// Dropping the future leaves the queue.
pub(crate) fn take_place<'a>(
    env: &'a Environment,
    wait: &'a DialWait,
) -> Option<BoxFuture<'a, Arc<Place>>> {
    let limit = env.connection_limit()?;
    Some(Box::pin(async move {
        let place = wait_for_place(env, limit, wait).await;
        wait.end();
        Arc::new(place)
    }))
}

async fn wait_for_place(env: &Environment, limit: &Arc<ConnectionLimit>, wait: &DialWait) -> Place {
    let entered = poll_fn(|cx| Poll::Ready(limit.enter(cx.waker()))).await;
    let mut number = match entered {
        Ok(place) => return place,
        Err(number) => number,
    };
    wait.begin(limit.max());
    // Those before it may be dials that nobody polls any more.
    limit.end_abandoned_dials();
    let (mut pause, mut until) = (GRACE, env.now().after(LOOK_MAX));
    let (mut is_first, mut has_looked) = (false, false);
    loop {
        let told = env.with_deadline(until, poll_fn(|cx| number.poll(cx.waker()))).await;
        match told {
            Some(Told::Place(place)) => return place,
            Some(Told::First) => is_first = true,
            None => {}
        }
        limit.end_abandoned_dials();
        until = env.now().after(LOOK_MAX);
        if is_first {
            make_room(env, limit, has_looked);
            has_looked = true;
            until = env.now().after(pause);
            pause = (pause * 2).min(LOOK_MAX);
        }
    }
}

/// Gives up connections, until as many leave as dials wait. `also_busy`: if too few are idle.
fn make_room(env: &Environment, limit: &Arc<ConnectionLimit>, also_busy: bool) {
    let now = env.now();
    let (mut leaving, mut others) = (0, Vec::new());
    for one in env.connections() {
        if matches!(one.occupancy(), Occupancy::Held | Occupancy::Ended) {
            continue;
        }
        // On a host without background tasks, nobody else drives one whose callers have gone.
        let since = one.idle_since();
        let occupancy = one.occupancy();
        if occupancy == Occupancy::Leaving {
            leaving += 1;
        } else if one.opened_at().after(GRACE) <= now {
            match occupancy {
                Occupancy::Idle => others.push((false, since, one)),
                Occupancy::Busy if also_busy => others.push((true, one.opened_at(), one)),
                _ => {}
            }
        }
    }
    // Those that are idle come first.
    sort_by_key(&mut others, |(is_busy, since, _)| (*is_busy, *since));
    for (_, _, one) in &others {
        if leaving >= limit.waiting() {
            return;
        }
        one.make_room();
        leaving += usize::from(one.occupancy() == Occupancy::Leaving);
    }
}
