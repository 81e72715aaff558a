//! How often the stream asks the OS, and that saving a call never loses an event.

use super::*;
use futures::task::noop_waker;
use futures::{AsyncReadExt, AsyncWriteExt};
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

/// A socket that counts the reads that the OS was asked for.
#[derive(Debug)]
struct Counted {
    /// The socket itself.
    socket: UnixStream,
    /// Reads so far, `EAGAIN` included.
    reads: Rc<Cell<usize>>,
}

impl AsFd for Counted {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Read for &Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reads.set(self.reads.get() + 1);
        (&self.socket).read(buf)
    }
}

impl HalfClose for Counted {
    fn close_write(&self) -> io::Result<()> {
        self.socket.close_write()
    }

    fn reset_at_end(&self) {}
}

/// A stream, the other side, and the count of the stream's reads.
fn pair() -> (Stream<Counted>, UnixStream, Rc<Cell<usize>>) {
    let (socket, other) = UnixStream::pair().expect("pair");
    let reads = Rc::new(Cell::new(0));
    let counted = Counted { socket, reads: Rc::clone(&reads) };
    (Stream::new(Async::new(counted).expect("register"), AbortFlag::default()), other, reads)
}

#[test]
fn a_short_read_is_not_followed_by_one_that_blocks() {
    let (mut stream, mut other, reads) = pair();
    smol::block_on(async {
        let mut buf = [0; 16];
        for round in 1..=100 {
            other.write_all(b"ping").expect("write");
            assert_eq!(stream.read(&mut buf).await.expect("read"), 4);
            assert_eq!(reads.get(), round, "one read for each reply");
        }
    });
}

#[test]
fn a_full_read_asks_for_more_at_once() {
    let (mut stream, mut other, _) = pair();
    smol::block_on(async {
        other.write_all(&[7; 40]).expect("write");
        let mut all = Vec::new();
        let mut buf = [0; 16];
        while all.len() < 40 {
            let filled = stream.read(&mut buf).await.expect("read");
            all.extend_from_slice(&buf[..filled]);
        }
        assert_eq!(all, [7; 40]);
    });
}

/// Polls that nobody's event caused invent neither bytes nor an end.
#[test]
fn spurious_polls_stay_pending_and_lose_nothing() {
    let (mut stream, mut other, reads) = pair();
    smol::block_on(async {
        let mut buf = [0; 16];
        other.write_all(b"one").expect("write");
        assert_eq!(stream.read(&mut buf).await.expect("read"), 3);
        let waker = noop_waker();
        for _ in 0..10 {
            let polled =
                Pin::new(&mut stream).poll_read(&mut Context::from_waker(&waker), &mut buf);
            assert!(polled.is_pending());
        }
        assert_eq!(reads.get(), 10, "the first waits, the others want to know for certain");
        other.write_all(b"two").expect("write");
        assert_eq!(stream.read(&mut buf).await.expect("read"), 3);
        assert_eq!(&buf[..3], b"two");
    });
}

/// Polling a read again finds bytes and an end that the reactor has not noticed: without background
/// tasks, the reactor does not run while the program does something else.
#[test]
fn a_second_poll_asks_the_socket() {
    let (mut stream, mut other, _) = pair();
    let waker = noop_waker();
    let mut cx = Context::from_waker(&waker);
    let mut buf = [0; 16];
    let mut poll = || Pin::new(&mut stream).poll_read(&mut cx, &mut buf).map(Result::unwrap);
    assert_eq!(poll(), Poll::Pending);
    for _ in 0..3 {
        other.write_all(b"late").expect("write");
        assert_eq!(poll(), Poll::Ready(4));
        assert_eq!(poll(), Poll::Pending);
    }
    drop(other);
    assert_eq!(poll(), Poll::Ready(0));
}

/// The other side's end comes after a short read, which took the socket to be drained.
#[test]
fn the_end_is_seen_after_a_short_read_and_stays() {
    let (mut stream, mut other, _) = pair();
    smol::block_on(async {
        let mut buf = [0; 16];
        other.write_all(b"last").expect("write");
        drop(other);
        assert_eq!(stream.read(&mut buf).await.expect("read"), 4);
        assert_eq!(stream.read(&mut buf).await.expect("end"), 0);
        assert_eq!(stream.read(&mut buf).await.expect("end again"), 0);
        assert_eq!(stream.read(&mut []).await.expect("empty buffer"), 0);
    });
}

/// More than the socket holds, with a reader that starts late: every byte arrives in order.
#[test]
fn a_full_socket_takes_the_rest_when_there_is_room() {
    const BYTES: usize = 4 << 20;
    let (socket, other) = UnixStream::pair().expect("pair");
    let mut writer = Stream::new(Async::new(socket).expect("register"), AbortFlag::default());
    let mut reader = Stream::new(Async::new(other).expect("register"), AbortFlag::default());
    let sent: Vec<u8> = (0..BYTES).map(|i| (i % 251) as u8).collect();
    smol::block_on(async {
        let mut received = vec![0; BYTES];
        let write = async {
            writer.write_all(&sent).await.expect("write");
            writer.close().await.expect("close");
        };
        let read = async {
            reader.read_exact(&mut received).await.expect("read");
            assert_eq!(reader.read(&mut [0; 1]).await.expect("end"), 0);
        };
        futures::future::join(write, read).await;
        assert_eq!(received, sent);
    });
}

/// Half-close: what the other side still says after our end arrives.
#[test]
fn closing_the_sending_half_leaves_the_other_open() {
    let (socket, mut other) = UnixStream::pair().expect("pair");
    let mut stream = Stream::new(Async::new(socket).expect("register"), AbortFlag::default());
    smol::block_on(async {
        stream.close().await.expect("close");
        assert_eq!(other.read(&mut [0; 4]).expect("end"), 0);
        other.write_all(b"bye").expect("write");
        let mut buf = [0; 4];
        assert_eq!(stream.read(&mut buf).await.expect("read"), 3);
        let error = stream.write(b"late").await.expect_err("closed for writing");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}
