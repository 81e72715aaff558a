//! One proxied connection: two directions, each with a thread that reads and one that writes.
//!
//! Reading and writing are separate, so that a delay adds latency but keeps the throughput. The
//! writing thread reads the fault before each chunk, and waits while nothing may pass.
//! **Invariant**: a link that is cut ends its four threads, whatever the fault.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::{Fault, Shared};
use crate::real::wire;

/// Chunks that may wait in one direction.
const CHUNKS_MAX: usize = 1024;
/// Bytes of a chunk.
const CHUNK: usize = 16 * 1024;
/// Between two single bytes, so that the reader sees most of them alone.
const BYTE_PAUSE: Duration = Duration::from_micros(30);

/// The two sockets of a connection.
#[derive(Debug)]
pub(super) struct Link {
    /// Towards the client.
    client: TcpStream,
    /// Towards the server.
    server: TcpStream,
    /// Cut: nothing passes.
    dead: AtomicBool,
    /// The connection ends with a reset, so no orderly end may be sent before.
    reset: AtomicBool,
    /// Directions that ended.
    ended: AtomicU64,
}

/// Bytes and when they arrived.
type Chunk = (Instant, Vec<u8>);

/// One way through a link.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Client to server.
    Requests,
    /// Server to client.
    Replies,
}

impl Link {
    pub(super) fn new(client: TcpStream, server: TcpStream) -> Link {
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let (dead, reset) = (AtomicBool::new(false), AtomicBool::new(false));
        Link { client, server, dead, reset, ended: AtomicU64::new(0) }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst) || self.ended.load(Ordering::SeqCst) == 2
    }

    /// Ends the connection in order.
    pub(super) fn cut(&self) {
        self.dead.store(true, Ordering::SeqCst);
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }

    /// Ends the connection with a reset, when the four threads have dropped it.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::SeqCst);
        self.dead.store(true, Ordering::SeqCst);
        for stream in [&self.client, &self.server] {
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            // Wakes the reading threads and sends nothing to the peer.
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    fn ends(&self, way: Way) -> (&TcpStream, &TcpStream) {
        match way {
            Way::Requests => (&self.client, &self.server),
            Way::Replies => (&self.server, &self.client),
        }
    }
}

/// Starts the four threads.
pub(super) fn start(shared: &Arc<Shared>, link: &Arc<Link>) {
    for way in [Way::Requests, Way::Replies] {
        let (sender, receiver) = sync_channel(CHUNKS_MAX);
        let reading = Arc::clone(link);
        thread::spawn(move || read_all(&reading, way, &sender));
        let (writing, shared) = (Arc::clone(link), Arc::clone(shared));
        thread::spawn(move || write_all(&shared, &writing, way, &receiver));
    }
}

fn read_all(link: &Link, way: Way, sender: &SyncSender<Chunk>) {
    let mut from = link.ends(way).0;
    loop {
        let mut bytes = vec![0; CHUNK];
        match wire::read(&mut from, &mut bytes) {
            Ok(n) if n > 0 => bytes.truncate(n),
            _ => return, // an end or an error: the writer learns it from the closed channel
        }
        if sender.send((Instant::now(), bytes)).is_err() {
            return;
        }
    }
}

fn write_all(shared: &Shared, link: &Link, way: Way, receiver: &Receiver<Chunk>) {
    // Bytes that may still pass, and the generation of the fault that said so.
    let mut budget: Option<(u64, u64)> = None;
    while let Ok((arrived, bytes)) = receiver.recv() {
        let Some((fault, generation)) = permission(shared, link, way) else { break };
        if !pass(shared, link, way, (arrived, bytes), (fault, generation), &mut budget) {
            link.cut();
            break;
        }
    }
    // The end of a stream passes only when bytes may pass.
    if permission(shared, link, way).is_some() && !link.reset.load(Ordering::SeqCst) {
        let _ = link.ends(way).1.shutdown(Shutdown::Write);
    }
    link.ended.fetch_add(1, Ordering::SeqCst);
}

/// Waits until something may pass; `None` when the link or the proxy has ended.
fn permission(shared: &Shared, link: &Link, way: Way) -> Option<(Fault, u64)> {
    let holds = |fault: &Fault| match fault {
        Fault::BlackHole => true,
        Fault::HoldReplies => way == Way::Replies,
        _ => false,
    };
    let dead = || link.dead.load(Ordering::SeqCst);
    let state = shared.wait_while(|state| !dead() && holds(&state.fault));
    (!dead() && !state.stopped).then(|| (state.fault.clone(), state.generation))
}

/// Writes a chunk as the fault says; `false` when the connection must end here.
fn pass(
    shared: &Shared,
    link: &Link,
    way: Way,
    (arrived, bytes): Chunk,
    (fault, generation): (Fault, u64),
    budget: &mut Option<(u64, u64)>,
) -> bool {
    let limit = match fault {
        Fault::CutRepliesAfter(limit) if way == Way::Replies => Some(limit),
        Fault::CutRequestsAfter(limit) if way == Way::Requests => Some(limit),
        Fault::Delay(delay) => {
            thread::sleep((arrived + delay).saturating_duration_since(Instant::now()));
            None
        }
        _ => None,
    };
    let Some(limit) = limit else {
        let single = fault == Fault::OneByte && way == Way::Replies;
        return write(shared, link, way, &bytes, single);
    };
    let left = match *budget {
        Some((left, since)) if since == generation => left,
        _ => limit,
    };
    let n = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    *budget = Some((left - n as u64, generation));
    write(shared, link, way, &bytes[..n], false) && left > n as u64
}

fn write(shared: &Shared, link: &Link, way: Way, bytes: &[u8], single: bool) -> bool {
    let mut to = link.ends(way).1;
    let count = match way {
        Way::Requests => &shared.request_bytes,
        Way::Replies => &shared.reply_bytes,
    };
    let chunk = if single { 1 } else { bytes.len().max(1) };
    bytes.chunks(chunk).all(|part| {
        if single {
            thread::sleep(BYTE_PAUSE);
        }
        count.fetch_add(part.len() as u64, Ordering::SeqCst);
        to.write_all(part).is_ok()
    })
}
