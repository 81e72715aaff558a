//! An address where connecting neither succeeds nor fails, as if the host had vanished.
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
    /// The address that does not answer.
    address: SocketAddr,
    /// Listens, but does not accept.
    _listener: Socket,
    /// Connections that fill the queue.
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
        // The kernel's queue is a little longer than requested; the first time-out ends it.
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            queued.push(stream);
            assert!(queued.len() < 64, "the queue of {address} never fills");
        }
        Unreachable { address, _listener: listener, _queued: queued }
    }

    /// The address that does not answer.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
