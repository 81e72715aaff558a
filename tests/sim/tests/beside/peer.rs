//! The two servers that are compared: a real redis, and a simulated one in simulated time.
//!
//! A case is sent in one piece: the fixtures if the case before changed them, the requests,
//! `RESET`, and probes of the state. Markers between them say whose reply is whose. When no reply
//! comes for a moment, a request may be blocked: a second connection unblocks it, as if its time
//! were over. So nothing depends on how fast a server is.
//!
//! The real server has little memory, and dies rather than take more: some requests have it
//! allocate what a count near 2^63 says. What it printed last is a part of the panic when it is
//! gone.
//!
//! Redis 8.0 ends itself when CLIENT UNBLOCK names a client that waits for a FLUSHALL to be over
//! (`networking.c`, `c->duration == 0`): such a case is only waited for.
//!
//! Used by the tests of `beside_redis.rs`.

use super::frames::{Answer, Frame};
use super::mutate::{CLEAR, Case, FIXTURES, PROBES, encode, words};
use futures::future::{Either, select};
use futures::io::{AsyncReadExt as _, AsyncWriteExt as _};
use slotcar::{ByteStream, Transport as _};
use slotcar_sim::Sim;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a server may be silent before its client may be blocked.
const SILENCE: Duration = Duration::from_millis(20);
/// How often a blocked client is unblocked before that is a failure.
const UNBLOCKS_MAX: usize = 200;

/// Cases that share fixtures, where nobody asks what a case does to them.
const UNPROBED_MAX: usize = 16;

/// How often a server is started on another port.
const STARTS_MAX: usize = 5;

/// Lines of a server's log that a panic shows.
const LOG_LINES: usize = 200;

/// Starts a program with 2 GB of address space, where the shell can limit that.
const LIMITED: &str = "ulimit -v 2000000 2>/dev/null; exec \"$@\"";
/// The data of a server; see [`SETUP`].
const MEMORY_MAX: &str = "209715200";
/// The replies of a server that nobody has read.
const OUTPUT_MAX: &str = "67108864";

/// What both servers are told once, so that their configurations agree.
const SETUP: &[&str] = &["CONFIG SET maxmemory 209715200", "CONFIG SET slowlog-log-slower-than -1"];

/// What a read gave.
pub(crate) enum Got {
    /// Bytes.
    Bytes(Vec<u8>),
    /// Nothing, for a moment.
    Nothing,
    /// The end of the connection.
    End,
}

/// A connection to a server, and a second one.
pub(crate) trait Peer {
    /// Connects again.
    async fn connect(&mut self);
    async fn send(&mut self, bytes: &[u8]);
    async fn read(&mut self) -> Got;
    /// A request on the second connection, and its reply.
    async fn aside(&mut self, request: &str) -> Frame;
}

/// Runs cases one after the other on one server.
pub(crate) struct Runner<P> {
    /// The server.
    pub(crate) peer: P,
    /// The number of the connection, for `CLIENT UNBLOCK`; `None` before the first case.
    id: Option<i64>,
    /// The state that the fixtures make.
    clean: String,
    /// The fixtures are as they were made.
    is_clean: bool,
    /// There may be scripts. To forget them costs a server more than all fixtures.
    has_scripts: bool,
    /// The server was set up.
    is_set_up: bool,
    /// Without probes: how many cases ran on the present fixtures.
    unprobed: Option<usize>,
}

impl<P: Peer> Runner<P> {
    pub(crate) fn new(peer: P) -> Self {
        Self {
            peer,
            id: None,
            clean: String::new(),
            is_clean: false,
            has_scripts: false,
            is_set_up: false,
            unprobed: None,
        }
    }

    /// For cases of which nobody asks what they do to the data.
    pub(crate) fn without_probes(peer: P) -> Self {
        Self { unprobed: Some(0), ..Self::new(peer) }
    }

    /// The next case starts with new fixtures.
    pub(crate) fn forget_state(&mut self) {
        self.is_clean = false;
    }

    async fn ensure_connected(&mut self) {
        if self.id.is_some() {
            return;
        }
        self.peer.connect().await;
        self.peer.send(&encode(&words("CLIENT ID"))).await;
        let mut frames = Frames::default();
        loop {
            match frames.next(&mut self.peer).await {
                Next::Frame(Frame::Line(b':', id)) => {
                    self.id = id.parse().ok();
                    return;
                }
                Next::Silence => {}
                _ => panic!("no reply to CLIENT ID"),
            }
        }
    }

    /// Sends a case and reads everything that comes.
    pub(crate) async fn run(&mut self, case: &Case) -> Answer {
        if let Some(cases) = self.unprobed {
            self.is_clean = cases % UNPROBED_MAX != 0;
            self.unprobed = Some(cases + 1);
            return self.send(case).await;
        }
        if self.clean.is_empty() {
            self.clean = self.send(&Case::nothing()).await.state;
        }
        let answer = self.send(case).await;
        let mentions = |names: &[&str]| names.iter().any(|name| case.text.contains(name));
        self.has_scripts = mentions(&["SCRIPT", "EVAL"]);
        // Other databases are not probed.
        let elsewhere = self.has_scripts || mentions(&["COPY", "MOVE", "SWAPDB", "SELECT"]);
        self.is_clean = answer.state == self.clean && !elsewhere;
        answer
    }

    async fn send(&mut self, case: &Case) -> Answer {
        self.ensure_connected().await;
        let mut bytes = Vec::new();
        if !std::mem::replace(&mut self.is_set_up, true) {
            SETUP.iter().for_each(|line| bytes.extend(encode(&words(line))));
        }
        if self.has_scripts {
            bytes.extend(encode(&words("SCRIPT FLUSH")));
        }
        if !self.is_clean {
            bytes.extend(encode(&words(CLEAR)));
            FIXTURES.iter().for_each(|line| bytes.extend(encode(&words(line))));
        }
        if case.resp3 {
            bytes.extend(encode(&words("HELLO 3")));
        }
        bytes.extend(encode(&words("PING begin")));
        bytes.extend(&case.bytes);
        ["RESET", "PING end"].iter().for_each(|line| bytes.extend(encode(&words(line))));
        if self.unprobed.is_none() {
            PROBES.iter().for_each(|(_, line)| bytes.extend(encode(&words(line))));
            bytes.extend(encode(&words("PING over")));
        }
        self.peer.send(&bytes).await;
        let mut frames = Frames::default();
        self.until("begin", &mut frames, case).await;
        let (mut replies, closed) = self.until("end", &mut frames, case).await;
        if closed {
            self.id = None;
            return Answer { replies, closed, ..Answer::default() };
        }
        let reset = replies.pop();
        assert!(reset == Some(Frame::Line(b'+', "RESET".to_owned())), "{reset:?}: {}", case.text);
        if self.unprobed.is_some() {
            return Answer { replies, closed, ..Answer::default() };
        }
        let (probed, _) = self.until("over", &mut frames, case).await;
        let text = |shape: bool| {
            let texts = PROBES.iter().zip(&probed).map(|((mark, line), reply)| {
                format!("{line}: {}", probe_text(*mark, reply, shape))
            });
            texts.collect::<Vec<_>>().join("\n")
        };
        Answer { replies, closed, state: text(false), shape: text(true) }
    }

    /// Reads up to a marker; true when the connection ended before.
    async fn until(
        &mut self,
        marker: &str,
        frames: &mut Frames,
        case: &Case,
    ) -> (Vec<Frame>, bool) {
        let mut found = Vec::new();
        let mut silences = 0;
        loop {
            match frames.next(&mut self.peer).await {
                Next::Frame(frame) if frame.is_text(marker) => return (found, false),
                Next::Frame(frame) => found.push(frame),
                Next::End => return (found, true),
                Next::Silence => {
                    silences += 1;
                    assert!(silences < UNBLOCKS_MAX, "no reply, and not blocked: {}", case.text);
                    // Each silence is counted once the server has replied to this.
                    let id = self.id.unwrap_or_default();
                    let may_flush = case.text.to_ascii_uppercase().contains("FLUSH");
                    let request = match may_flush {
                        true => "PING".to_owned(),
                        false => format!("CLIENT UNBLOCK {id} TIMEOUT"),
                    };
                    self.peer.aside(&request).await;
                }
            }
        }
    }
}

fn probe_text(mark: char, reply: &Frame, shape: bool) -> String {
    match (mark, reply) {
        // A time that is left depends on the clock; that there is none does not.
        ('?', Frame::Line(b':', number)) if !number.starts_with('-') => "some".to_owned(),
        _ => reply.text(mark == '~', shape),
    }
}

/// Bytes that were read and not used yet.
#[derive(Default)]
struct Frames(Vec<u8>);

enum Next {
    Frame(Frame),
    Silence,
    End,
}

impl Frames {
    async fn next(&mut self, peer: &mut impl Peer) -> Next {
        loop {
            if let Some((frame, len)) = Frame::read(&self.0) {
                self.0.drain(..len);
                return Next::Frame(frame);
            }
            match peer.read().await {
                Got::Bytes(bytes) => self.0.extend(bytes),
                Got::Nothing => return Next::Silence,
                Got::End => return Next::End,
            }
        }
    }
}

/// A server of the simulator.
pub(crate) struct Simulated {
    /// The simulation.
    pub(crate) sim: Sim,
    /// The connection.
    stream: Option<Box<dyn ByteStream>>,
    /// The second one.
    second: Option<Box<dyn ByteStream>>,
}

impl Simulated {
    pub(crate) fn new(sim: Sim) -> Self {
        Self { sim, stream: None, second: None }
    }

    async fn open(&self) -> Box<dyn ByteStream> {
        let endpoint = self.sim.endpoint("a");
        self.sim.transport().connect(&endpoint).await.expect("a simulated server runs")
    }

    async fn read_from(sim: &Sim, stream: &mut Box<dyn ByteStream>) -> Got {
        let transport = sim.transport();
        let mut buffer = vec![0; 1 << 16];
        let result = {
            let read = pin!(stream.read(&mut buffer));
            let pause = transport.sleep_until(transport.now().after(SILENCE));
            match select(read, pause).await {
                Either::Left((result, _)) => result,
                Either::Right(_) => return Got::Nothing,
            }
        };
        match result {
            Ok(0) | Err(_) => Got::End,
            Ok(len) => Got::Bytes(buffer[..len].to_vec()),
        }
    }
}

impl Peer for Simulated {
    async fn connect(&mut self) {
        self.stream = Some(self.open().await);
    }

    async fn send(&mut self, bytes: &[u8]) {
        let stream = self.stream.as_mut().expect("connected");
        // A server that closed is seen when it is read from.
        let _ = stream.write_all(bytes).await;
        let _ = stream.flush().await;
    }

    async fn read(&mut self) -> Got {
        Self::read_from(&self.sim, self.stream.as_mut().expect("connected")).await
    }

    async fn aside(&mut self, request: &str) -> Frame {
        if self.second.is_none() {
            self.second = Some(self.open().await);
        }
        let stream = self.second.as_mut().expect("connected");
        let _ = stream.write_all(&encode(&words(request))).await;
        let mut buffer = Vec::new();
        loop {
            match Self::read_from(&self.sim, stream).await {
                Got::Bytes(bytes) => buffer.extend(bytes),
                Got::Nothing => {}
                Got::End => panic!("the second connection was closed"),
            }
            if let Some((frame, _)) = Frame::read(&buffer) {
                return frame;
            }
        }
    }
}

/// A real server that dies with this value.
pub(crate) struct Real {
    /// The process.
    process: Child,
    /// Its port on the loopback.
    port: u16,
    /// Its files.
    folder: PathBuf,
    /// The connection.
    stream: Option<TcpStream>,
    /// The second one.
    second: Option<TcpStream>,
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Real {
    fn binary(name: &str) -> PathBuf {
        let servers = match std::env::var_os("SLOTCAR_SERVERS") {
            Some(folder) => PathBuf::from(folder),
            None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.servers"),
        };
        servers.join(name).join("bin/redis-server")
    }

    /// Whether there is a server of this name in `.servers`, or in `SLOTCAR_SERVERS`.
    pub(crate) fn exists(name: &str) -> bool {
        Self::binary(name).exists()
    }

    /// Starts it; `None` when there is none.
    ///
    /// Its port may be taken between the moment when it is chosen and the start: then another one
    /// is chosen. That a server is the one that was started is known by its log.
    pub(crate) fn start(name: &str) -> Option<Self> {
        let binary = Self::binary(name);
        if !binary.exists() {
            return None;
        }
        for _ in 0..STARTS_MAX {
            let mut server = Self::spawn(&binary);
            loop {
                if server.log().contains("Ready to accept connections") {
                    return Some(server);
                }
                if server.process.try_wait().is_ok_and(|status| status.is_some()) {
                    break;
                }
                std::thread::sleep(SILENCE);
            }
        }
        panic!("{} does not start", binary.display());
    }

    fn spawn(binary: &Path) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a port is free").port();
        let folder = std::env::temp_dir().join(format!("slotcar-beside-{port}"));
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let log = std::fs::File::create(folder.join("log")).expect("a file can be made");
        let process = Command::new("sh")
            .args(["-c", LIMITED, "sh"])
            .arg(binary)
            .args(["--port", &port.to_string(), "--save", "", "--bind", "127.0.0.1"])
            .args(["--maxmemory", MEMORY_MAX])
            .args(["--client-output-buffer-limit", "normal", OUTPUT_MAX, "0", "0"])
            // As in the simulator: nothing is slow, and DEBUG is allowed.
            .args(["--slowlog-log-slower-than", "-1", "--enable-debug-command", "yes"])
            .arg("--dir")
            .arg(&folder)
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        Self { process, port, folder, stream: None, second: None }
    }

    /// What the server printed.
    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// How the process is, and what it printed last.
    fn fate(&mut self) -> String {
        let status = self.process.try_wait();
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
        format!("{status:?}\n{}", last.join("\n"))
    }

    fn open(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server listens");
        stream.set_nodelay(true).expect("a socket has options");
        stream.set_read_timeout(Some(SILENCE)).expect("a socket has options");
        stream
    }

    fn read_from(stream: &mut TcpStream) -> Got {
        let mut buffer = vec![0; 1 << 16];
        match stream.read(&mut buffer) {
            Ok(0) => Got::End,
            Ok(len) => Got::Bytes(buffer[..len].to_vec()),
            // A process that was stopped and goes on reads `Interrupted`.
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {
                    Got::Nothing
                }
                _ => Got::End,
            },
        }
    }
}

impl Peer for Real {
    async fn connect(&mut self) {
        self.stream = Some(self.open());
    }

    async fn send(&mut self, bytes: &[u8]) {
        // A server that closed is seen when it is read from.
        let _ = self.stream.as_mut().expect("connected").write_all(bytes);
    }

    async fn read(&mut self) -> Got {
        Self::read_from(self.stream.as_mut().expect("connected"))
    }

    async fn aside(&mut self, request: &str) -> Frame {
        if self.second.is_none() {
            self.second = Some(self.open());
        }
        let stream = self.second.as_mut().expect("connected");
        let _ = stream.write_all(&encode(&words(request)));
        let mut buffer = Vec::new();
        loop {
            match Self::read_from(stream) {
                Got::Bytes(bytes) => buffer.extend(bytes),
                Got::Nothing => {}
                Got::End => panic!("the server is gone: {}", self.fate()),
            }
            if let Some((frame, _)) = Frame::read(&buffer) {
                return frame;
            }
        }
    }
}
