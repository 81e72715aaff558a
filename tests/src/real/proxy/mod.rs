//! A TCP proxy that breaks connections as a network does, and never changes a byte.
//!
//! It listens on a loopback address of its own. A fault holds for all connections, open ones too,
//! from the moment [`Proxy::set`] returns. Plain threads: one accepts, four serve a connection.
//! **Invariant**: bytes pass in order and unchanged, or not at all. Only [`Fault::Answer`] sends
//! bytes of its own, on connections that do not reach the server.
//! **Limits**: up to 1024 chunks of 16 KiB wait per connection and direction; then reading stops.

mod link;
mod unreachable;

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::wait::BOUND;
use super::{address, wire};
use link::Link;

pub use unreachable::Unreachable;

/// What a proxy does to connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// New connections are accepted and closed at once.
    AcceptAndClose,
    /// New connections get these bytes in reply to whatever they send first.
    Answer {
        /// What is sent: a page of HTTP, garbage, half a frame.
        bytes: Vec<u8>,
        /// Whether the connection is closed afterwards, or stays open in silence.
        close: bool,
    },
    /// Connections are accepted and stay open; nothing passes, not even the end of a connection.
    BlackHole,
    /// Each connection closes after so many more bytes of replies.
    CutRepliesAfter(u64),
    /// Each connection closes after so many more bytes of requests.
    CutRequestsAfter(u64),
    /// Everything arrives this much later, in each direction.
    Delay(Duration),
    /// Requests pass, replies do not: the server runs commands and no caller gets the reply.
    HoldReplies,
    /// Replies arrive one byte at a time.
    OneByte,
    /// Everything passes.
    Pass,
    /// The port is closed: connecting is refused. Open connections stay.
    Refuse,
}

/// A proxy; dropping it closes all its connections.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    address: SocketAddr,
    /// What its threads share.
    shared: Arc<Shared>,
}

/// What the threads of a proxy share.
#[derive(Debug)]
struct Shared {
    /// The present fault and what goes with it.
    state: Mutex<State>,
    /// Notified at every change of the state.
    changed: Condvar,
    /// Connections accepted so far.
    accepted: AtomicU64,
    /// Bytes handed to the server so far.
    request_bytes: AtomicU64,
    /// Bytes handed to clients so far.
    reply_bytes: AtomicU64,
}

/// See [`Shared::state`].
#[derive(Debug)]
struct State {
    /// What happens now.
    fault: Fault,
    /// Grows with each fault set: byte counts start again.
    generation: u64,
    /// Where new connections go.
    target: SocketAddr,
    /// Whether the port is open.
    listening: bool,
    /// The proxy was dropped.
    stopped: bool,
    /// Connections that may still be open.
    links: Vec<Weak<Link>>,
}

impl Proxy {
    /// A proxy in front of a server, passing everything.
    pub fn to(target: SocketAddr) -> Proxy {
        let ip = address::fresh();
        let address = SocketAddr::from((ip, address::free_port(ip)));
        let listener = listen(address);
        let state = State {
            fault: Fault::Pass,
            generation: 0,
            target,
            listening: true,
            stopped: false,
            links: Vec::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            accepted: AtomicU64::new(0),
            request_bytes: AtomicU64::new(0),
            reply_bytes: AtomicU64::new(0),
        });
        let acceptor = Arc::clone(&shared);
        thread::spawn(move || acceptor.accept_all(listener, address));
        Proxy { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL of a standalone server.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Changes the fault; it holds when this returns.
    pub fn set(&self, fault: Fault) {
        let refuse = fault == Fault::Refuse;
        let mut state = self.shared.lock();
        state.fault = fault;
        state.generation += 1;
        self.shared.changed.notify_all();
        drop(state);
        if refuse {
            // Accepting is a blocking call: a connection of our own ends it.
            let _ = TcpStream::connect(self.address);
        }
        drop(self.shared.wait_while(|state| state.listening == refuse));
    }

    /// Lets everything pass again, also what was held back.
    pub fn clear(&self) {
        self.set(Fault::Pass);
    }

    /// Sends new connections to another server: a stable name whose address changes.
    pub fn retarget(&self, target: SocketAddr) {
        self.shared.lock().target = target;
    }

    /// Closes all open connections; both sides see an orderly end.
    pub fn cut_now(&self) {
        for link in self.shared.links() {
            link.cut();
        }
        self.shared.wake_all();
    }

    /// Resets all open connections: both sides see an error, not an end.
    pub fn reset_now(&self) {
        for link in self.shared.links() {
            link.reset();
        }
        self.shared.wake_all();
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.shared.links().len()
    }

    /// Bytes handed to the server so far.
    pub fn request_bytes(&self) -> u64 {
        self.shared.request_bytes.load(Ordering::SeqCst)
    }

    /// Bytes handed to clients so far.
    pub fn reply_bytes(&self) -> u64 {
        self.shared.reply_bytes.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(self.address);
        self.cut_now();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while a condition holds, and the proxy lives; returns what the state is then.
    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let guard = self.lock();
        let wait = self.changed.wait_while(guard, |state| !state.stopped && condition(state));
        wait.unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the threads that wait for a fault to pass: something outside the state changed.
    fn wake_all(&self) {
        // With the lock: a thread between its check and its wait would miss the notification.
        let state = self.lock();
        self.changed.notify_all();
        drop(state);
    }

    /// The connections that are still open; forgets the others.
    fn links(&self) -> Vec<Arc<Link>> {
        let mut state = self.lock();
        let open: Vec<Arc<Link>> =
            state.links.iter().filter_map(Weak::upgrade).filter(|link| !link.is_dead()).collect();
        state.links = open.iter().map(Arc::downgrade).collect();
        open
    }

    /// The accepting thread: listens, and stops listening while connections are to be refused.
    fn accept_all(self: Arc<Shared>, first: TcpListener, address: SocketAddr) {
        let mut listener = Some(first);
        loop {
            let open = listener.take().unwrap_or_else(|| listen(address));
            self.set_listening(true);
            while let Ok((client, _)) = open.accept() {
                let (fault, target) = {
                    let state = self.lock();
                    if state.stopped {
                        return;
                    }
                    (state.fault.clone(), state.target)
                };
                if fault == Fault::Refuse {
                    break;
                }
                self.accepted.fetch_add(1, Ordering::SeqCst);
                self.serve(client, fault, target);
            }
            // Closing alone is not enough: while another thread starts a process, the new process
            // briefly holds a copy of every socket.
            let _ = SockRef::from(&open).shutdown(Shutdown::Both);
            drop(open);
            self.set_listening(false);
            if self.wait_while(|state| state.fault == Fault::Refuse).stopped {
                return;
            }
        }
    }

    fn set_listening(&self, listening: bool) {
        self.lock().listening = listening;
        self.changed.notify_all();
    }

    fn serve(self: &Arc<Shared>, client: TcpStream, fault: Fault, target: SocketAddr) {
        match fault {
            Fault::AcceptAndClose => drop(client),
            Fault::Answer { bytes, close } => {
                let shared = Arc::clone(self);
                thread::spawn(move || shared.answer(client, &bytes, close));
            }
            // If the server is down, the connection ends at once.
            _ => {
                if let Ok(server) = TcpStream::connect_timeout(&target, BOUND) {
                    let link = Arc::new(Link::new(client, server));
                    if self.register(&link) {
                        link::start(self, &link);
                    }
                }
            }
        }
    }

    /// Registers a link before its first byte passes, so that no cut misses it; `false` when the
    /// proxy was dropped.
    fn register(&self, link: &Arc<Link>) -> bool {
        let mut state = self.lock();
        state.links.push(Arc::downgrade(link));
        !state.stopped
    }

    fn answer(self: Arc<Shared>, mut client: TcpStream, bytes: &[u8], close: bool) {
        let Ok(twin) = client.try_clone() else { return };
        // Both ends are the client's own: the link exists to be counted and cut.
        let Ok(other) = client.try_clone() else { return };
        let link = Arc::new(Link::new(twin, other));
        if !self.register(&link) {
            return;
        }
        let mut request = [0; 4096];
        if !matches!(wire::read(&mut client, &mut request), Ok(n) if n > 0) {
            return;
        }
        let sent = client.write_all(bytes).is_ok();
        self.reply_bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        if close {
            // The rest of what the client sends is read below; otherwise it would see a reset.
            let _ = client.shutdown(Shutdown::Write);
        }
        while sent && matches!(wire::read(&mut client, &mut request), Ok(n) if n > 0) {}
    }
}

fn listen(address: SocketAddr) -> TcpListener {
    address::listen(address).unwrap_or_else(|e| panic!("the proxy cannot listen at {address}: {e}"))
}
