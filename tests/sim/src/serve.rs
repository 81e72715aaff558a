//! The same servers on real loopback sockets, in real time, for any client in any language.
//!
//! One thread runs the events of the world as time passes, one thread per server accepts
//! connections, and one per connection reads. Inside, a real connection is an ordinary simulated
//! one from a host called `outside`. So every action on a simulation works here too: kill, hang,
//! move slots, partition servers.
//!
//! **Limits**: loopback only; no TLS; at most [`PIECES_MAX`] pieces of a connection wait for the
//! world; a client that does not read for [`WRITE_TIMEOUT`] is disconnected. A dead server's port
//! still accepts and closes at once, where a real one would refuse. Runs are not replayable,
//! because time is real.

use crate::executor::Shared;
use crate::sim::Sim;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::channel::mpsc;
use futures::future::{Either, select};
use futures::io::{AsyncReadExt as _, AsyncWriteExt as _};
use slotcar::{ByteStream, Endpoint, Transport as _};
use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes read at once.
const PIECE_BYTES: usize = 16 * 1024;
/// Pieces read from a connection that the world has not taken yet, at most.
const PIECES_MAX: usize = 16;
/// How long a write to a client that does not read may wait.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest pause before the world checks for outside input.
const NAP_MAX: Duration = Duration::from_millis(5);
/// The host that all real clients are on.
const OUTSIDE: &str = "outside";

/// Servers on real sockets; they end when this value is dropped.
#[derive(Debug)]
pub struct Served {
    /// The world.
    sim: Sim,
    /// Where each server listens.
    addresses: BTreeMap<String, SocketAddr>,
    /// Tells all threads to end.
    ended: Arc<AtomicBool>,
    /// The threads.
    threads: Vec<JoinHandle<()>>,
}

impl Served {
    /// The simulation, to act on the servers while they run.
    #[must_use]
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// Where each server listens, by name.
    #[must_use]
    pub fn addresses(&self) -> &BTreeMap<String, SocketAddr> {
        &self.addresses
    }

    /// A URL that slotcar connects with.
    #[must_use]
    pub fn url(&self) -> String {
        let sentinels = self.sim.sentinels();
        let wanted = |name: &&String| match &sentinels[..] {
            [] => self.sim.is_cluster() || self.sim.is_primary(name),
            some => some.contains(name),
        };
        let hosts = self.addresses.iter().filter(|(name, _)| wanted(name));
        let hosts: Vec<String> = hosts.map(|(_, address)| address.to_string()).collect();
        let hosts = hosts.join(",");
        match self.sim.service() {
            Some(service) => format!("redis-sentinel://{hosts}/0?service={service}"),
            None if self.sim.is_cluster() => format!("redis-cluster://{hosts}"),
            None => format!("redis://{hosts}"),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for address in self.addresses.values() {
            // A thread in `accept` reads the flag when it wakes; a thread that has ended needs no
            // waking.
            drop(TcpStream::connect(address));
        }
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// Listeners on free ports, or from `first` on, one for each name.
pub(crate) fn listen(
    names: Vec<String>,
    first: Option<u16>,
) -> io::Result<BTreeMap<String, TcpListener>> {
    let mut listeners = BTreeMap::new();
    for (index, name) in (0_u16..).zip(names) {
        let port = first.map_or(0, |first| first.saturating_add(index));
        listeners.insert(name, TcpListener::bind((Ipv4Addr::LOCALHOST, port))?);
    }
    Ok(listeners)
}

/// Accepts connections.
pub(crate) fn serve(
    sim: Sim,
    shared: Arc<Shared>,
    listeners: BTreeMap<String, TcpListener>,
) -> io::Result<Served> {
    let ended = Arc::new(AtomicBool::new(false));
    let mut addresses = BTreeMap::new();
    let mut threads = Vec::new();
    for (name, listener) in listeners {
        let address = listener.local_addr()?;
        addresses.insert(name, address);
        let (sim, shared, ended) = (sim.clone(), Arc::clone(&shared), Arc::clone(&ended));
        threads.push(std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                // If a connection cannot be set up, its client sees it closed.
                drop(admit(&sim, &shared, stream, address));
            }
        }));
    }
    let end = Arc::clone(&ended);
    threads.push(std::thread::spawn(move || {
        let began = Instant::now();
        while !end.load(Ordering::Relaxed) {
            shared.catch_up(began.elapsed(), NAP_MAX);
        }
    }));
    Ok(Served { sim, addresses, ended, threads })
}

/// Connects a real connection to a simulated one to the server at that address.
fn admit(sim: &Sim, shared: &Arc<Shared>, real: TcpStream, to: SocketAddr) -> io::Result<()> {
    real.set_nodelay(true)?;
    real.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let reader = real.try_clone()?;
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    std::thread::spawn(move || read_on(reader, sender));
    let transport = sim.transport_of(OUTSIDE);
    shared.spawn(Box::pin(async move {
        let endpoint = Endpoint::tcp(&to.ip().to_string(), to.port());
        if let Ok(stream) = transport.connect(&endpoint).await {
            // Either side may end at any time; the other side then sees its connection closed.
            drop(carry(stream, &real, receiver).await);
        }
        drop(real.shutdown(Shutdown::Both));
    }));
    Ok(())
}

/// Reads a real connection until it ends, or until the receiver is gone.
fn read_on(mut real: TcpStream, mut sender: mpsc::Sender<Bytes>) {
    let mut buffer = vec![0; PIECE_BYTES];
    while let Ok(count) = real.read(&mut buffer) {
        if count == 0 {
            return;
        }
        let mut piece = Bytes::copy_from_slice(&buffer[..count]);
        while let Err(refused) = sender.try_send(piece) {
            if refused.is_disconnected() {
                return;
            }
            piece = refused.into_inner();
            std::thread::sleep(NAP_MAX);
        }
    }
}

/// Moves bytes in both directions until one of the sides ends.
async fn carry(
    stream: Box<dyn ByteStream>,
    mut real: &TcpStream,
    mut from: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    let (mut read, mut write) = stream.split();
    let up = async {
        while let Some(piece) = from.next().await {
            write.write_all(&piece).await?;
        }
        Ok(())
    };
    let down = async {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let count = read.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            real.write_all(&buffer[..count])?;
        }
    };
    match select(pin!(up), pin!(down)).await {
        Either::Left((ended, _)) | Either::Right((ended, _)) => ended,
    }
}
