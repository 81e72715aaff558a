//! Dials the addresses of a name; independent of the reactor.
//!
//! The addresses are dialled in order. If one fails, the next is dialled at once. If one does not
//! answer within `attempt_delay`, the next is dialled too, and both attempts go on. So a dead first
//! address costs `attempt_delay`, and not all of the caller's time.
//!
//! Invariants: the first connection is used, and the sockets of all other attempts are closed. If
//! all attempts fail, the last error is returned; it names its address.
//!
//! Spec: RFC 8305, section 5 ("Connection Attempts"); the order is the resolver's (RFC 6724).

use crate::resolve;
use futures::future::{Either, select};
use futures::stream::{FuturesUnordered, StreamExt};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;

/// Connects to the first of `addresses` that answers.
///
/// `dial` opens one connection, `delay` makes a timer of `attempt_delay`. Dropping the future
/// closes the sockets of all attempts.
pub(crate) async fn first_to_connect<S, Dialled, Delay>(
    addresses: Vec<SocketAddr>,
    dial: impl Fn(SocketAddr) -> Dialled,
    delay: impl Fn() -> Delay,
) -> io::Result<S>
where
    Dialled: Future<Output = io::Result<S>>,
    Delay: Future<Output = ()>,
{
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address to dial");
    loop {
        if let Some(address) = waiting.next() {
            let dialled = dial(address);
            attempts.push(async move { dialled.await.map_err(|e| resolve::at(address, &e)) });
        }
        let outcome = if waiting.len() == 0 {
            attempts.next().await
        } else {
            // Attempts first: a connection that is ready when the delay ends is used.
            match select(attempts.next(), pin!(delay())).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(((), _)) => continue,
            }
        };
        match outcome {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(cause)) => last = cause,
            // Each turn adds an attempt while addresses are left; now there are neither.
            None => return Err(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::future::{pending, ready};
    use std::task::Poll;

    fn addresses(count: u16) -> Vec<SocketAddr> {
        (1..=count).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect()
    }

    fn refused() -> io::Error {
        io::Error::from(io::ErrorKind::ConnectionRefused)
    }

    /// Ends when it is polled for the second time, so that attempts get their turn first.
    async fn one_turn() {
        let mut polled = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[test]
    fn refusals_pass_in_order_and_the_last_one_is_named() {
        let tried = RefCell::new(Vec::new());
        let dial = |address: SocketAddr| {
            tried.borrow_mut().push(address.port());
            ready(Err::<(), _>(refused()))
        };
        let error =
            smol::block_on(first_to_connect(addresses(3), dial, pending)).expect_err("all refuse");
        assert_eq!(*tried.borrow(), [1, 2, 3]);
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().starts_with("127.0.0.1:3: "), "{error}");
    }

    #[test]
    fn the_first_that_answers_ends_the_dialling() {
        let tried = Cell::new(0);
        let dial = |address: SocketAddr| {
            tried.set(tried.get() + 1);
            ready(if address.port() == 2 { Ok(address.port()) } else { Err(refused()) })
        };
        let port = smol::block_on(first_to_connect(addresses(4), dial, pending))
            .expect("the second answers");
        assert_eq!((port, tried.get()), (2, 2));
    }

    /// A silent address neither blocks the ones after it nor hides their connection.
    #[test]
    fn a_silent_address_costs_one_delay() {
        let dial = |address: SocketAddr| async move {
            if address.port() == 1 { pending().await } else { Ok(address.port()) }
        };
        let port = smol::block_on(first_to_connect(addresses(2), dial, one_turn))
            .expect("the second answers");
        assert_eq!(port, 2);
    }

    /// A connection that comes late, while later addresses fail, is still taken.
    #[test]
    fn a_slow_address_may_still_win() {
        let dial = |address: SocketAddr| async move {
            if address.port() != 1 {
                return Err(refused());
            }
            for _ in 0..5 {
                one_turn().await;
            }
            Ok(address.port())
        };
        let port = smol::block_on(first_to_connect(addresses(3), dial, one_turn))
            .expect("the first answers");
        assert_eq!(port, 1);
    }

    #[test]
    fn no_address_is_an_error() {
        let dial = |_| ready(Ok(()));
        let error = smol::block_on(first_to_connect(Vec::new(), dial, pending))
            .expect_err("nothing to dial");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
