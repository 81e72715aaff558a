//! A minimal blocking RESP client, with which the harness talks to its servers.
//!
//! It shares no code with slotcar: one bug in both decoders would stay hidden. It reads RESP2 and
//! RESP3, trusts its peer, and does not follow redirects.
//! **Limits**: connecting, one read and one write take at most [`BOUND`], unless changed: a server
//! that gets no time on the processor is slow, not dead.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use super::socket::Socket;
use super::wait::BOUND;

/// A server's reply; types that no test distinguishes are one type here.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// An array or a set.
    Array(Vec<Reply>),
    /// Bytes with a length, also verbatim strings.
    Bulk(Vec<u8>),
    /// An error line, or a bulk error.
    Error(String),
    /// A number.
    Integer(i64),
    /// RESP3's map.
    Map(Vec<(Reply, Reply)>),
    /// Any of the three nulls.
    Null,
    /// RESP3's out-of-band message.
    Push(Vec<Reply>),
    /// A simple string, and RESP3's double, boolean and big number in their wire form.
    Status(String),
}

impl Reply {
    /// The text of a status, bulk, error or number; empty for anything else.
    pub fn text(&self) -> String {
        match self {
            Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Reply::Error(line) | Reply::Status(line) => line.clone(),
            Reply::Integer(number) => number.to_string(),
            _ => String::new(),
        }
    }

    /// The number of an integer, or of a text that is one.
    pub fn integer(&self) -> Option<i64> {
        self.text().parse().ok()
    }

    /// The elements of an array or push; empty for anything else.
    pub fn items(&self) -> &[Reply] {
        match self {
            Reply::Array(items) | Reply::Push(items) => items,
            _ => &[],
        }
    }

    /// The value of a named field, in a map or in an array of alternating names and values.
    pub fn field(&self, name: &str) -> Option<&Reply> {
        match self {
            Reply::Map(pairs) => pairs.iter().find(|(k, _)| k.text() == name).map(|(_, v)| v),
            _ => self.items().chunks(2).find(|c| c[0].text() == name).and_then(|c| c.get(1)),
        }
    }

    /// Whether this is an error whose line starts with `code`.
    pub fn is_error(&self, code: &str) -> bool {
        matches!(self, Reply::Error(line) if line.starts_with(code))
    }

    /// Itself, unless it is an error: then a panic that shows it.
    #[track_caller]
    pub fn ok(self) -> Reply {
        if let Reply::Error(line) = &self {
            panic!("the server answered: {line}");
        }
        self
    }
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    /// Buffered for reading; writes go to the stream inside.
    stream: BufReader<Socket>,
}

impl Conn {
    /// Connects; no handshake, so the protocol is RESP2 until a HELLO says otherwise.
    pub fn open(address: SocketAddr) -> io::Result<Conn> {
        Ok(Conn { stream: BufReader::new(Socket::connect(address, BOUND)?) })
    }

    /// Changes how long one read or write may take.
    pub fn set_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.stream.get_mut().set_timeout(timeout)
    }

    /// Sends a command and reads one reply.
    pub fn call(&mut self, arguments: &[&str]) -> io::Result<Reply> {
        self.send(arguments)?;
        self.receive()
    }

    /// Sends a command; its reply is read later.
    pub fn send(&mut self, arguments: &[&str]) -> io::Result<()> {
        let bytes: Vec<&[u8]> = arguments.iter().map(|a| a.as_bytes()).collect();
        self.send_raw(&encode(&bytes))
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads one reply or push.
    pub fn receive(&mut self) -> io::Result<Reply> {
        let line = self.line()?;
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| invalid("empty line"))?;
        Ok(match kind {
            "+" | "," | "#" | "(" => Reply::Status(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(rest.parse().map_err(|_| invalid(&line))?),
            "_" => Reply::Null,
            "$" | "=" | "!" => match self.bulk(rest)? {
                None => Reply::Null,
                Some(bytes) if kind == "!" => {
                    Reply::Error(String::from_utf8_lossy(&bytes).into_owned())
                }
                Some(bytes) if kind == "=" => Reply::Bulk(bytes.get(4..).unwrap_or(&[]).to_vec()),
                Some(bytes) => Reply::Bulk(bytes),
            },
            "*" | "~" | ">" => match count(rest)? {
                None => Reply::Null,
                Some(n) => {
                    let items = (0..n).map(|_| self.receive()).collect::<io::Result<_>>()?;
                    if kind == ">" { Reply::Push(items) } else { Reply::Array(items) }
                }
            },
            "%" => {
                let n = count(rest)?.unwrap_or(0);
                let pair = |_| Ok((self.receive()?, self.receive()?));
                Reply::Map((0..n).map(pair).collect::<io::Result<_>>()?)
            }
            "|" => {
                for _ in 0..2 * count(rest)?.unwrap_or(0) {
                    self.receive()?;
                }
                self.receive()?
            }
            _ => return Err(invalid(&line)),
        })
    }

    /// Reads whatever bytes come next, at most `limit`; 0 means that the peer closed.
    pub fn receive_raw(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; limit];
        let n = read(&mut self.stream, &mut bytes)?;
        bytes.truncate(n);
        Ok(bytes)
    }

    /// Closes the connection, and waits until the server has closed it: a starved server would go
    /// on counting it among its clients.
    pub fn close(mut self) {
        // An error means that it is closed already.
        let _ = self.stream.get_mut().end();
        while matches!(self.receive_raw(1024), Ok(bytes) if !bytes.is_empty()) {}
    }

    fn line(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        self.stream.read_until(b'\n', &mut bytes)?;
        if !bytes.ends_with(b"\r\n") {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        bytes.truncate(bytes.len() - 2);
        String::from_utf8(bytes).map_err(|_| invalid("a line that is not UTF-8"))
    }

    fn bulk(&mut self, length: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(length) = count(length)? else { return Ok(None) };
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(Some(bytes))
    }
}

/// A command's bytes: an array of bulk strings.
pub fn encode(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Reads once, again after an interruption: a read with a time-out ends early when its process is
/// stopped and continued, even without a signal handler.
pub(super) fn read(stream: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(bytes) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// A length: `None` for RESP2's null.
fn count(text: &str) -> io::Result<Option<usize>> {
    if text == "-1" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| invalid(text))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not RESP: {what:?}"))
}
