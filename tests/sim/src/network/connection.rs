//! One connection: two pipes, two ends, and its faults.
//!
//! The client's end is a stream object; the server's end is a session. One end can be gone while
//! the other still exists: then the connection is half-open.

use super::pipe::Pipe;
use crate::ids::HostId;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From client to server.
    Up,
    /// From server to client.
    Down,
}

/// A connection between a client and a server.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The client's host.
    pub(crate) client: HostId,
    /// The server's host.
    pub(crate) server: HostId,
    /// Client to server.
    pub(crate) up: Pipe,
    /// Server to client.
    pub(crate) down: Pipe,
    /// The client's stream object exists.
    pub(crate) client_holds: bool,
    /// The client has shut down its writing side.
    pub(crate) client_finished: bool,
    /// The server's process has the connection open, or its kernel will hand it over.
    pub(crate) server_holds: bool,
    /// The server's process has seen the connection.
    pub(crate) accepted: bool,
    /// Nothing passes, and no side gets an error.
    pub(crate) black_hole: bool,
    /// It is reset once the bytes in flight have reached the server.
    pub(crate) doomed: bool,
}

impl Connection {
    pub(crate) fn new(client: HostId, server: HostId) -> Self {
        Self {
            client,
            server,
            up: Pipe::default(),
            down: Pipe::default(),
            client_holds: true,
            client_finished: false,
            server_holds: true,
            accepted: false,
            black_hole: false,
            doomed: false,
        }
    }

    pub(crate) fn pipe(&mut self, way: Way) -> &mut Pipe {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    /// Sender and receiver of a direction.
    pub(crate) fn ends(&self, way: Way) -> (HostId, HostId) {
        match way {
            Way::Up => (self.client, self.server),
            Way::Down => (self.server, self.client),
        }
    }
}
