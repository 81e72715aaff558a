//! The TCP socket below `Conn`, which waits as a test waits: other work of the component goes on.
//!
//! The twin of the native harness's file of that name. A blocking read would hold up the one
//! thread of the component, and with it the load that the test has beside it.
//! **Limits**: connecting, one read and one write each take at most the time-out that was given.

use crate::background::nap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(1);

/// A connected socket.
#[derive(Debug)]
pub struct Socket {
    /// Does not block.
    stream: TcpStream,
    /// How long one read or one write may take.
    timeout: Duration,
}

impl Socket {
    /// Connects. Other work has a turn first: a test may do nothing but connect, again and again.
    pub fn connect(address: SocketAddr, timeout: Duration) -> io::Result<Socket> {
        nap(Duration::ZERO);
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Socket { stream, timeout })
    }

    /// Changes how long one read or one write may take.
    pub fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.timeout = timeout;
        Ok(())
    }

    /// Ends what is sent; reading goes on.
    pub fn end(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Tries `work` until the socket is ready for it.
    fn until_ready<T>(
        &mut self,
        mut work: impl FnMut(&mut TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        let began = Instant::now();
        loop {
            match work(&mut self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if began.elapsed() >= self.timeout {
                        return Err(ErrorKind::TimedOut.into());
                    }
                    nap(PAUSE);
                }
                result => return result,
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.until_ready(|stream| stream.read(bytes))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.until_ready(|stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
