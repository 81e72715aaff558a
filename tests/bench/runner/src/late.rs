//! A proxy that holds replies back until the server has been quiet for a while.
//!
//! A client that a tool slows down would find each reply at its first read, so it would never wait
//! as it does in real life. With late replies it always waits, each batch arrives as a whole, and
//! its counts repeat even on a busy machine. The threads end with the process.
//!
//! Limits: one server, and only requests with replies. It would never forward a stream of messages.

use crate::Outcome;
use harness::args::Addr;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// How long the server must be quiet: many times what a slowed client needs to begin to wait.
const QUIET: Duration = Duration::from_millis(3);

/// Replies that are held back at most, in bytes; more are passed on at once.
const HELD_MAX: usize = 4 << 20;

/// Starts one; clients connect to the address that is returned.
pub(crate) fn in_front_of(server: &Addr) -> Outcome<Addr> {
    let text = |error: io::Error| format!("proxy: {error}");
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(text)?;
    let port = listener.local_addr().map_err(text)?.port();
    let server = server.clone();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            // A connection that cannot be served is closed: the client says so.
            let _ = client.and_then(|client| connect(client, &server));
        }
    });
    Ok(("127.0.0.1".to_owned(), port))
}

fn connect(client: TcpStream, server: &Addr) -> io::Result<()> {
    let server = TcpStream::connect((server.0.as_str(), server.1))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut requests, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut requests, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    std::thread::spawn(move || {
        let _ = hold_back(&server, &client);
        let _ = client.shutdown(Shutdown::Both);
    });
    Ok(())
}

fn hold_back(mut server: &TcpStream, mut client: &TcpStream) -> io::Result<()> {
    let mut held = vec![0; HELD_MAX];
    loop {
        let mut length = server.read(&mut held)?;
        if length == 0 {
            return Ok(());
        }
        loop {
            std::thread::sleep(QUIET);
            let more = recv(server.as_raw_fd(), &mut held[length..], MsgFlags::MSG_DONTWAIT);
            match more {
                Ok(0) | Err(Errno::EAGAIN) => break,
                Ok(read) => length += read,
                Err(error) => return Err(error.into()),
            }
        }
        client.write_all(&held[..length])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server writes in pieces comes in one, and the end comes too.
    #[test]
    fn pieces_come_together() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = ("127.0.0.1".to_owned(), listener.local_addr().unwrap().port());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4];
            stream.read_exact(&mut request).unwrap();
            assert_eq!(&request, b"PING");
            stream.write_all(b"+PO").unwrap();
            stream.write_all(b"NG\r\n").unwrap();
        });
        let proxy = in_front_of(&addr).unwrap();
        let mut client = TcpStream::connect((proxy.0.as_str(), proxy.1)).unwrap();
        client.write_all(b"PING").unwrap();
        let mut reply = String::new();
        client.read_to_string(&mut reply).unwrap();
        assert_eq!(reply, "+PONG\r\n");
        server.join().unwrap();
    }
}
