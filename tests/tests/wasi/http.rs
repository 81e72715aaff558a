//! A minimal HTTP/1 client for tests: one request on a connection of its own.
//!
//! Bodies are complete or chunked; the framing of chunks is removed.

use slotcar_tests::real::wait::BOUND;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Such as 200.
    pub(crate) status: u16,
    /// Its header lines, in lower case.
    pub(crate) head: String,
    /// Its body.
    pub(crate) body: String,
}

/// Sends a request and reads the whole answer.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> Answer {
    let mut stream = open(address, method, path, body);
    let (status, head) = head(&mut stream);
    let mut body = String::new();
    if head.contains("transfer-encoding: chunked") {
        while let Some(chunk) = chunk(&mut stream) {
            body.push_str(&chunk);
        }
    } else {
        stream.read_to_string(&mut body).expect("read");
    }
    Answer { status, head, body }
}

/// Sends a request; the caller reads the response.
pub(crate) fn open(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).expect("the host accepts");
    stream.set_read_timeout(Some(BOUND)).expect("set");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("write");
    BufReader::new(stream)
}

/// The status and the header of a response.
pub(crate) fn head(stream: &mut impl BufRead) -> (u16, String) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = stream.read_line(&mut head).expect("read");
        assert!(read > 0, "the answer ends in its head: {head:?}");
    }
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    (status.expect("a status"), head.to_ascii_lowercase())
}

/// The next chunk of a chunked body.
pub(crate) fn chunk(stream: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).expect("read");
    let length = usize::from_str_radix(line.trim(), 16).expect("a chunk begins with its length");
    let mut chunk = vec![0; length + 2];
    stream.read_exact(&mut chunk).expect("read");
    chunk.truncate(length);
    (length > 0).then(|| String::from_utf8(chunk).expect("text"))
}
