//! A scripted server: the test writes every byte that it sends.
//!
//! For what no real server does: impossible lengths, deep nesting, replies without a command, a
//! handshake that is refused half-way. Each connection runs the test's function on a thread of its
//! own, with a [`Peer`] to read commands from and to write bytes to.
//!
//! ```no_run
//! use slotcar_tests::real::{Script, script};
//!
//! let script = Script::start(|peer| {
//!     let _command = peer.command_after_handshake();
//!     peer.send(&script::nested_arrays(100_000));
//!     peer.wait_for_close();
//! });
//! let _url = script.url();
//! ```

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::{address, wire};

/// The reply of a web server to a request that is not HTTP.
pub const HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
/// Bytes that start no RESP value.
pub const GARBAGE: &[u8] = b"\x16\x03\x01\x02\x00\xff\xfe\x00garbage\r\n\r\n";
/// A bulk string of 100 bytes, of which 3 are sent.
pub const HALF_FRAME: &[u8] = b"$100\r\nabc";
/// A bulk string of 10^18 bytes.
pub const HUGE_BULK: &[u8] = b"$1000000000000000000\r\nabc";
/// An array of 10^18 elements.
pub const HUGE_ARRAY: &[u8] = b"*1000000000000000000\r\n:1\r\n";

/// Arrays in arrays, `depth` deep.
pub fn nested_arrays(depth: usize) -> Vec<u8> {
    b"*1\r\n".repeat(depth)
}

/// A command as it was received.
pub type Command = Vec<Vec<u8>>;

/// A scripted server; dropping it closes all its connections.
#[derive(Debug)]
pub struct Script {
    /// Where it listens.
    address: SocketAddr,
    /// What its threads share.
    shared: Arc<Shared>,
}

/// See [`Script::shared`].
#[derive(Debug, Default)]
struct Shared {
    /// Every command read so far, with the number of its connection.
    commands: Mutex<Vec<(usize, Command)>>,
    /// Handles of the connections, to close them.
    streams: Mutex<Vec<TcpStream>>,
    /// Connections accepted so far.
    accepted: AtomicUsize,
    /// The script was dropped.
    stopped: AtomicBool,
}

impl Script {
    /// Listens on a fresh address and runs `play` for each connection; it closes when `play` ends.
    pub fn start(play: impl Fn(&mut Peer) + Send + Sync + 'static) -> Script {
        let ip = address::fresh();
        Script::start_at((ip, address::free_port(ip)).into(), play)
    }

    /// Listens on a given address, which `play` may need to know (a MOVED to itself).
    pub fn start_at(at: SocketAddr, play: impl Fn(&mut Peer) + Send + Sync + 'static) -> Script {
        let listener = address::listen(at).unwrap_or_else(|e| panic!("{at}: {e}"));
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept_all(&accepting, &listener, &Arc::new(play)));
        Script { address: at, shared }
    }

    /// Does the handshake as a real server would, then replies to each command with `answer`;
    /// `None` closes.
    pub fn answering(
        answer: impl Fn(&[Vec<u8>]) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Script {
        Script::start(move |peer| {
            while let Some(command) = peer.command_after_handshake() {
                match answer(&command) {
                    Some(bytes) => peer.send(&bytes),
                    None => return,
                }
            }
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL of a standalone server.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Every command read so far, in the order of reading, with the number of its connection.
    pub fn commands(&self) -> Vec<(usize, Vec<String>)> {
        let text = |command: &Command| {
            command.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
        };
        lock(&self.shared.commands).iter().map(|(n, command)| (*n, text(command))).collect()
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Accepting is a blocking call: a connection of our own ends it.
        let _ = TcpStream::connect(self.address);
        for stream in lock(&self.shared.streams).iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// One connection of a script.
#[derive(Debug)]
pub struct Peer {
    /// Which connection of the script it is, from 0.
    number: usize,
    /// Buffered for reading; writes go to the stream inside.
    stream: BufReader<TcpStream>,
    /// Where commands are recorded.
    shared: Arc<Shared>,
}

impl Peer {
    /// Which connection of the script this is, from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Reads the next command; `None` when the client closed or sent something else.
    pub fn command(&mut self) -> Option<Command> {
        let command = read_command(&mut self.stream).ok()?;
        lock(&self.shared.commands).push((self.number, command.clone()));
        Some(command)
    }

    /// Answers HELLO, AUTH, CLIENT, SELECT and READONLY as a real server would; returns the first
    /// other command.
    pub fn command_after_handshake(&mut self) -> Option<Command> {
        loop {
            let command = self.command()?;
            match handshake_answer(&command) {
                Some(bytes) => self.send(&bytes),
                None => return Some(command),
            }
        }
    }

    /// Writes bytes as they are; a client that has closed is no failure here.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Sends nothing until the client closes or the script is dropped.
    pub fn wait_for_close(&mut self) {
        let mut bytes = [0; 4096];
        while matches!(wire::read(&mut self.stream, &mut bytes), Ok(n) if n > 0) {}
    }
}

/// What a standalone server of version 7 answers to the commands of a handshake.
pub fn handshake_answer(command: &[Vec<u8>]) -> Option<Vec<u8>> {
    let word = |at: usize| command.get(at).map(|w| w.to_ascii_uppercase()).unwrap_or_default();
    let fields = "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$5\r\nproto\r\n";
    let rest = "$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n\
                $7\r\nmodules\r\n*0\r\n";
    match word(0).as_slice() {
        b"HELLO" if word(1) == b"3" => Some(format!("%7\r\n{fields}:3\r\n{rest}").into_bytes()),
        b"HELLO" => Some(format!("*14\r\n{fields}:2\r\n{rest}").into_bytes()),
        b"CLIENT" if word(1) == b"ID" => Some(b":1\r\n".to_vec()),
        b"AUTH" | b"CLIENT" | b"READONLY" | b"SELECT" => Some(b"+OK\r\n".to_vec()),
        _ => None,
    }
}

type Play = dyn Fn(&mut Peer) + Send + Sync;

fn accept_all<F>(shared: &Arc<Shared>, listener: &TcpListener, play: &Arc<F>)
where
    F: Fn(&mut Peer) + Send + Sync + 'static,
{
    while let Ok((stream, _)) = listener.accept() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
        let _ = stream.set_nodelay(true);
        if let Ok(twin) = stream.try_clone() {
            lock(&shared.streams).push(twin);
        }
        let mut peer = Peer { number, stream: BufReader::new(stream), shared: Arc::clone(shared) };
        let play: Arc<Play> = Arc::<F>::clone(play);
        thread::spawn(move || {
            play(&mut peer);
            // The handle in `streams` keeps the socket open, so it must be shut down here.
            let _ = peer.stream.get_ref().shutdown(Shutdown::Both);
        });
    }
}

fn read_command(stream: &mut BufReader<TcpStream>) -> io::Result<Command> {
    let length = |line: &str, kind: char| -> io::Result<usize> {
        let number = line.strip_prefix(kind).and_then(|n| n.trim_end().parse().ok());
        number.ok_or_else(|| io::Error::other(format!("not a command: {line:?}")))
    };
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let mut command = Vec::new();
    for _ in 0..length(&line, '*')? {
        line.clear();
        stream.read_line(&mut line)?;
        let mut word = vec![0; length(&line, '$')? + 2];
        stream.read_exact(&mut word)?;
        word.truncate(word.len() - 2);
        command.push(word);
    }
    Ok(command)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
