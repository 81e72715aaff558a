//! The TCP socket below [`Conn`](super::wire::Conn): it blocks the thread while it waits.
//!
//! A component has one thread, so it has a twin of this file, which lets the other work of the test
//! go on while it waits.
//! **Limits**: connecting, one read and one write each take at most the time-out that was given.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// A connected socket.
#[derive(Debug)]
pub struct Socket(TcpStream);

impl Socket {
    /// Connects.
    pub fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Socket> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        let mut socket = Socket(stream);
        socket.set_timeout(timeout)?;
        Ok(socket)
    }

    /// Changes how long one read or one write may take.
    pub fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(timeout))?;
        self.0.set_write_timeout(Some(timeout))
    }

    /// Ends what is sent; reading goes on.
    pub fn end(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
