//! Options for the start of a server.
//!
//! Components use this file, too; only the launch differs.

use crate::real::process::Server;
use crate::real::version::Version;
use std::net::Ipv4Addr;

/// Options for the start of a server; made by [`Server::of`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Which program.
    pub(super) version: Version,
    /// The address; a fresh one if not given.
    pub(super) ip: Option<Ipv4Addr>,
    /// The port; a free one if not given.
    pub(super) port: Option<u16>,
    /// Configuration lines. They follow those of the harness, so they override them.
    pub(super) lines: Vec<String>,
    /// The default user's password.
    pub(super) password: Option<String>,
    /// Started as a sentinel.
    pub(super) sentinel: bool,
}

impl Options {
    /// Nothing special.
    pub(super) fn new(version: &Version) -> Options {
        Options {
            version: version.clone(),
            ip: None,
            port: None,
            lines: Vec::new(),
            password: None,
            sentinel: false,
        }
    }

    /// Listens on this address, not on one of its own.
    pub fn ip(mut self, ip: Ipv4Addr) -> Options {
        self.ip = Some(ip);
        self
    }

    /// Listens on this port, and fails if it is taken.
    pub fn port(mut self, port: u16) -> Options {
        self.port = Some(port);
        self
    }

    /// Adds one configuration line, or several separated by line ends.
    pub fn config(mut self, lines: &str) -> Options {
        self.lines.extend(lines.lines().map(|l| l.trim().to_owned()));
        self
    }

    /// Sets the default user's password, which the harness uses as well.
    pub fn password(mut self, password: &str) -> Options {
        self.password = Some(password.to_owned());
        self
    }

    /// Makes it a sentinel.
    pub fn sentinel(mut self) -> Options {
        self.sentinel = true;
        self
    }

    /// Starts the server and waits until it answers.
    pub fn start(self) -> Server {
        let server = self.launch();
        server.wait_until_ready();
        server
    }
}
