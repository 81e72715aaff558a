//! An address where connecting neither succeeds nor fails: the host behind it seems to be gone.
//!
//! A listener whose queue is full drops the first packet of every further connection, as a firewall
//! or a vanished pod does. Linux only; nothing of it needs root.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::real::address;

/// An address that swallows connection attempts for as long as it lives.
#[derive(Debug)]
pub struct Unreachable {
    /// Where nobody answers.
    address: SocketAddr,
    /// Accepts nothing.
    _listener: Socket,
    /// Fill the queue.
    _queued: Vec<TcpStream>,
}

impl Unreachable {
    /// Opens one.
    pub fn open() -> Unreachable {
        let ip = address::fresh();
        let address = SocketAddr::from((ip, address::free_port(ip)));
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
        listener.bind(&address.into()).expect("the port is free");
        listener.listen(0).expect("the socket is bound");
        let mut queued = Vec::new();
        // The kernel's queue is a little longer than asked for; the first time-out says it is full.
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            queued.push(stream);
            assert!(queued.len() < 64, "the queue of {address} never fills");
        }
        Unreachable { address, _listener: listener, _queued: queued }
    }

    /// Where nobody answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
