//! One connection: two pipes, two ends, and what is wrong with it.
//!
//! The client's end is a stream object; the server's end is a session. Either can be gone while the
//! other still believes in the connection, which is what half-open means.

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
    /// Who dialled.
    pub(crate) client: HostId,
    /// Who was dialled.
    pub(crate) server: HostId,
    /// Client to server.
    pub(crate) up: Pipe,
    /// Server to client.
    pub(crate) down: Pipe,
    /// The client's stream object exists.
    pub(crate) client_holds: bool,
    /// The client has said that it will not write any more.
    pub(crate) client_finished: bool,
    /// The server's process has the connection open, or its kernel will hand it over.
    pub(crate) server_holds: bool,
    /// The server's process has seen the connection.
    pub(crate) accepted: bool,
    /// Nothing passes, and nobody is told.
    pub(crate) black_hole: bool,
    /// It is reset once the bytes under way have reached the server.
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
