//! How others end a link: the client when it is closed, and the limit of connections when another
//! one is needed.

use super::{Link, TURNS_MAX};
use crate::connection::queue::Occupancy;
use crate::driver::environment::environment::{Connection, EndsWithClient};
use crate::lock::lock;
use crate::time::Timestamp;
use std::sync::atomic::Ordering;

impl EndsWithClient for Link {
    fn end(&self) {
        self.close();
    }
}

impl Connection for Link {
    fn occupancy(&self) -> Occupancy {
        let has_socket = self.place.strong_count() > 0;
        if has_socket { lock(&self.queue).occupancy() } else { Occupancy::Ended }
    }

    fn opened_at(&self) -> Timestamp {
        self.opened_at
    }

    fn idle_since(&self) -> Timestamp {
        let mut at = None;
        // A turn like any other: it also notices that the server has closed the connection.
        let turn = || {
            self.turn(None);
            at = Some(lock(&self.io).last_progress());
        };
        if self.turns.run(TURNS_MAX, turn, || lock(&self.queue).has_driver()) {
            self.io_waker.wake_by_ref();
        }
        // Another task drives it at this moment.
        at.unwrap_or(Timestamp::FAR_FUTURE).max(self.opened_at)
    }

    fn make_room(&self) {
        let leaves = lock(&self.queue).leave();
        if leaves {
            self.status.closed.store(true, Ordering::Release);
            self.drive(None);
        }
    }
}
