//! A blocking RESP connection that skips replies instead of decoding them.
//!
//! It is the wire limit that clients are compared with. It also loads the data, publishes the
//! messages and reads the servers' statistics. It trusts its server: an error reply, or a closed
//! connection, ends the call with an `io::Error`.
//!
//! Spec: RESP2 and the RESP3 types that these commands give; no attributes, no streamed types.

use crate::args::Addr;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Bytes of the read buffer.
const BUFFER: usize = 256 * 1024;

/// A connection.
#[derive(Debug)]
pub struct Wire {
    /// The socket.
    stream: TcpStream,
    /// Bytes read; those from `at` to `end` are not yet consumed.
    buffer: Vec<u8>,
    /// See `buffer`.
    at: usize,
    /// See `buffer`.
    end: usize,
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// The socket's.
    pub fn connect(addr: &Addr) -> io::Result<Self> {
        let stream = TcpStream::connect((addr.0.as_str(), addr.1))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER], at: 0, end: 0 })
    }

    /// Writes encoded commands.
    ///
    /// # Errors
    /// The socket's.
    pub fn write(&mut self, commands: &[u8]) -> io::Result<()> {
        self.stream.write_all(commands)
    }

    /// Writes encoded commands and skips so many replies: the bytes that their payloads had.
    ///
    /// # Errors
    /// The socket's; an error reply.
    pub fn exchange(&mut self, commands: &[u8], replies: usize) -> io::Result<usize> {
        self.write(commands)?;
        (0..replies).try_fold(0, |bytes, _| Ok(bytes + self.skip()?))
    }

    /// One command, its reply skipped: the bytes of the payload.
    ///
    /// # Errors
    /// As [`Wire::exchange`].
    pub fn call(&mut self, parts: &[&[u8]]) -> io::Result<usize> {
        let mut bytes = Vec::new();
        encode(&mut bytes, parts);
        self.exchange(&bytes, 1)
    }

    /// One command, whose reply is a string.
    ///
    /// # Errors
    /// As [`Wire::exchange`].
    pub fn call_text(&mut self, parts: &[&str]) -> io::Result<String> {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        let mut bytes = Vec::new();
        encode(&mut bytes, &parts);
        self.write(&bytes)?;
        self.text()
    }

    /// Skips one reply: the bytes of its payload.
    ///
    /// # Errors
    /// The socket's; an error reply.
    pub fn skip(&mut self) -> io::Result<usize> {
        let (kind, number) = self.header()?;
        let count = usize::try_from(number).unwrap_or(0);
        match kind {
            b'$' | b'=' if number >= 0 => {
                self.skip_bytes(count + 2)?;
                Ok(count)
            }
            b'*' | b'>' | b'~' => (0..count).try_fold(0, |bytes, _| Ok(bytes + self.skip()?)),
            b'%' => (0..2 * count).try_fold(0, |bytes, _| Ok(bytes + self.skip()?)),
            _ => Ok(0),
        }
    }

    /// A bulk or simple string.
    fn text(&mut self) -> io::Result<String> {
        let line = loop {
            if let Some(length) = newline(&self.buffer[self.at..self.end]) {
                break String::from_utf8_lossy(&self.buffer[self.at + 1..self.at + length - 1])
                    .into_owned();
            }
            self.fill()?;
        };
        let (kind, number) = self.header()?;
        if kind != b'$' {
            return Ok(line);
        }
        let length = usize::try_from(number).unwrap_or(0);
        while self.end - self.at < length + 2 {
            self.fill()?;
        }
        let text = String::from_utf8_lossy(&self.buffer[self.at..self.at + length]).into_owned();
        self.at += length + 2;
        Ok(text)
    }

    fn skip_bytes(&mut self, mut left: usize) -> io::Result<()> {
        while self.end - self.at < left {
            left -= self.end - self.at;
            self.at = self.end;
            self.fill()?;
        }
        self.at += left;
        Ok(())
    }

    /// The next line's first byte and number.
    fn header(&mut self) -> io::Result<(u8, i64)> {
        let mut scanned = self.at;
        loop {
            if let Some(found) = newline(&self.buffer[scanned..self.end]) {
                let line = &self.buffer[self.at..scanned + found - 1];
                let header = parse_header(line)?;
                self.at = scanned + found + 1;
                return Ok(header);
            }
            let ahead = self.end - self.at;
            self.fill()?;
            scanned = self.at + ahead;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.at == self.end {
            (self.at, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.at..self.end, 0);
            (self.at, self.end) = (0, self.end - self.at);
        }
        let read = self.stream.read(&mut self.buffer[self.end..])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.end += read;
        Ok(())
    }
}

fn newline(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&byte| byte == b'\n')
}

fn parse_header(line: &[u8]) -> io::Result<(u8, i64)> {
    let &[kind, ref rest @ ..] = line else { return Err(io::ErrorKind::InvalidData.into()) };
    match kind {
        b'-' | b'!' => Err(io::Error::other(String::from_utf8_lossy(line).into_owned())),
        b'$' | b'=' | b'*' | b'%' | b'>' | b'~' => {
            let (sign, digits) = match rest {
                [b'-', digits @ ..] => (-1, digits),
                digits => (1, digits),
            };
            let digit = |number: i64, &byte: &u8| number * 10 + i64::from(byte.wrapping_sub(b'0'));
            Ok((kind, sign * digits.iter().fold(0, digit)))
        }
        _ => Ok((kind, 0)),
    }
}

/// Appends one command.
pub fn encode(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

/// A key's slot; no key of the benchmark has a hash tag.
///
/// spec: cluster-spec, "Key distribution model"
pub fn slot(key: &str) -> u16 {
    let crc = key.bytes().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    });
    crc % 16384
}

/// The first and last slot of each primary.
pub const RANGES: [(u16, u16); 3] = [(0, 5460), (5461, 10922), (10923, 16383)];

/// Which of the three primaries owns a key.
pub fn owner(key: &str) -> usize {
    let slot = slot(key);
    RANGES.iter().position(|&(_, last)| slot <= last).expect("the ranges cover every slot")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// spec: cluster-spec, "Key distribution model": the reference value of its CRC16.
    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot("123456789"), 0x31C3);
        assert_eq!(slot("foo"), 12182);
        assert_eq!(owner("foo"), 2);
    }

    /// Every type is skipped to its end, whatever the chunks that it comes in.
    #[test]
    fn skips_whole_replies() {
        let replies: &[(&[u8], usize)] = &[
            (b"+OK\r\n", 0),
            (b":12\r\n", 0),
            (b"$5\r\nhello\r\n", 5),
            (b"$-1\r\n", 0),
            (b"*2\r\n$1\r\na\r\n*1\r\n$2\r\nbc\r\n", 3),
            (b"%1\r\n+k\r\n$3\r\nxyz\r\n", 3),
            (b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n", 10),
        ];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = ("127.0.0.1".to_owned(), listener.local_addr().unwrap().port());
        let bytes: Vec<u8> = replies.iter().flat_map(|reply| reply.0.to_vec()).collect();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            bytes.iter().for_each(|byte| stream.write_all(&[*byte]).unwrap());
            stream.write_all(b"-ERR no\r\n").unwrap();
        });
        let mut wire = Wire::connect(&addr).unwrap();
        for (reply, payload) in replies {
            let text = String::from_utf8_lossy(reply);
            assert_eq!(wire.skip().unwrap(), *payload, "{text}");
        }
        assert_eq!(wire.skip().unwrap_err().to_string(), "-ERR no");
        server.join().unwrap();
    }
}
