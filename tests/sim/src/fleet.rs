//! All servers of a world. For now each of them sends back what it is sent.

use crate::env::Env;
use crate::ids::{ConnId, HostId};
use bytes::Bytes;
use std::collections::VecDeque;

/// What a server wants done with a connection.
#[derive(Debug)]
pub(crate) enum Output {
    /// Send these bytes.
    Bytes {
        /// Who writes.
        host: HostId,
        /// To whom.
        conn: ConnId,
        /// What.
        bytes: Bytes,
    },
    /// Close it, once everything is sent.
    #[expect(dead_code, reason = "servers that answer close connections too")]
    Close {
        /// Which.
        conn: ConnId,
    },
}

/// All servers.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    /// What servers want done, in order.
    output: VecDeque<Output>,
}

impl Fleet {
    pub(crate) fn accept(&mut self, _env: &mut Env<'_>, _host: HostId, _conn: ConnId) {}

    pub(crate) fn bytes(&mut self, _env: &mut Env<'_>, host: HostId, conn: ConnId, bytes: Bytes) {
        self.output.push_back(Output::Bytes { host, conn, bytes });
    }

    pub(crate) fn closed(&mut self, _env: &mut Env<'_>, _host: HostId, _conn: ConnId) {}

    pub(crate) fn stopped(&mut self, _env: &mut Env<'_>, _host: HostId) {}

    pub(crate) fn started(&mut self, _env: &mut Env<'_>, _host: HostId) {}

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }
}
