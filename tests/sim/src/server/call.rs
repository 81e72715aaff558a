//! The context of a command on the server: the server, the requesting session, and the means of the
//! simulated world.

use super::command::Stop;
use super::session::{Blocked, Session};
use super::{Server, Timer};
use crate::env::Env;
use crate::ids::ConnId;
use std::time::Duration;

/// One request on its way through the server.
#[derive(Debug)]
pub(crate) struct Call<'a, 'e> {
    /// The server.
    pub(crate) server: &'a mut Server,
    /// Clock, random generator, trace, event queue.
    pub(crate) env: &'a mut Env<'e>,
    /// The requesting session.
    pub(crate) conn: ConnId,
    /// It runs inside EXEC, where nothing may block.
    pub(crate) in_exec: bool,
}

impl Call<'_, '_> {
    /// The requesting session. It exists for as long as its request runs.
    pub(crate) fn session(&mut self) -> &mut Session {
        self.server.sessions.get_mut(&self.conn).expect("a request runs only while its session is")
    }

    /// Unix time in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.env.unix_ms()
    }

    /// Blocks the session until something unblocks it, or `timeout_ms` have passed.
    pub(crate) fn block(&mut self, blocked: Blocked, timeout_ms: Option<u64>) {
        let conn = self.conn;
        let session = self.session();
        session.blocked = Some(blocked);
        session.block_count += 1;
        let count = session.block_count;
        if let Some(ms) = timeout_ms {
            let at = self.env.now().after(Duration::from_millis(ms));
            self.server.timer(self.env, at, Timer::Unblock(conn, count));
        }
    }

    /// Refuses when the server is no cluster node.
    pub(crate) fn require_cluster(&self) -> Result<(), Stop> {
        if self.server.cluster.is_some() {
            Ok(())
        } else {
            Err(super::command::fail("ERR This instance has cluster support disabled"))
        }
    }
}
