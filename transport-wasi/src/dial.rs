//! Dials the addresses of a name.
//!
//! The addresses are dialled in order. If one fails, the next is dialled at once. If one does not
//! answer within `attempt_delay`, the next is dialled too, and both attempts go on. So a dead first
//! address costs `attempt_delay`, and not all of the caller's time.
//!
//! Invariants: the first connection is used, and the sockets of all other attempts are closed. If
//! all attempts fail, the last error is returned; it names its address.
//!
//! Spec: RFC 8305, section 5 ("Connection Attempts"); the order is the resolver's (RFC 6724).

use crate::errors;
use crate::interest::Interest;
use crate::stream::Stream;
use slotcar_core::BoxFuture;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use wasip2::io::streams::{InputStream, OutputStream};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

/// An attempt to connect to one address.
struct Attempt {
    /// Waits for the host; dropped before the socket.
    interest: Interest,
    /// The socket that connects.
    socket: TcpSocket,
    /// The address.
    address: SocketAddr,
}

/// Connects to the first of `addresses` that answers. `delay` makes a timer of `attempt_delay`.
///
/// Dropping the future closes the sockets of all attempts.
pub(crate) async fn first_to_connect<'a>(
    addresses: Vec<SocketAddr>,
    delay: impl Fn() -> BoxFuture<'a, ()>,
) -> io::Result<Stream> {
    let mut waiting = addresses.into_iter();
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut timer: Option<BoxFuture<'a, ()>> = None;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address to dial");
    let connected = poll_fn(|cx| {
        loop {
            let mut at = 0;
            while at < attempts.len() {
                match attempts[at].poll(cx) {
                    Poll::Pending => at += 1,
                    Poll::Ready(Ok((input, output))) => {
                        let Attempt { interest, socket, .. } = attempts.remove(at);
                        drop(interest);
                        return Poll::Ready(Some(Stream::new(socket, input, output)));
                    }
                    Poll::Ready(Err(cause)) => {
                        last = errors::at(attempts.remove(at).address, &cause);
                        timer = None;
                    }
                }
            }
            // Attempts first: a connection that is ready when the delay ends is used.
            if let Some(running) = &mut timer {
                ready!(running.as_mut().poll(cx));
                timer = None;
            }
            match waiting.next() {
                Some(address) => match Attempt::begin(address) {
                    Ok(attempt) => {
                        attempts.push(attempt);
                        timer = (waiting.len() > 0).then(&delay);
                    }
                    Err(code) => last = errors::at(address, &errors::from_code(code)),
                },
                None if attempts.is_empty() => return Poll::Ready(None),
                None => return Poll::Pending,
            }
        }
    });
    connected.await.ok_or(last)
}

impl Attempt {
    fn begin(address: SocketAddr) -> Result<Self, ErrorCode> {
        let family = match address {
            SocketAddr::V4(_) => IpAddressFamily::Ipv4,
            SocketAddr::V6(_) => IpAddressFamily::Ipv6,
        };
        let socket = create_tcp_socket(family)?;
        socket.start_connect(&instance_network(), to_wasi(address))?;
        let interest = Interest::new(socket.subscribe());
        Ok(Self { interest, socket, address })
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<(InputStream, OutputStream)>> {
        loop {
            match self.socket.finish_connect() {
                Err(ErrorCode::WouldBlock) => ready!(self.interest.poll(cx)),
                connected => return Poll::Ready(connected.map_err(errors::from_code)),
            }
        }
    }
}

fn to_wasi(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(v4) => {
            let [a, b, c, d] = v4.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: v4.port(), address: (a, b, c, d) })
        }
        SocketAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.ip().segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: v6.port(),
                flow_info: v6.flowinfo(),
                address: (a, b, c, d, e, f, g, h),
                scope_id: v6.scope_id(),
            })
        }
    }
}
