//! Requests: arrays of bulk strings, or inline commands as a person types them.
//!
//! Takes bytes in any chunking. A complete argument is a slice of the input, not a copy.
//!
//! **Limits**, as in servers: [`ARGUMENTS_MAX`] arguments, [`BULK_BYTES_MAX`] each,
//! [`LINE_BYTES_MAX`] for a line; far less for a connection that has not authenticated.

use bytes::{Bytes, BytesMut};

/// Arguments of one request.
const ARGUMENTS_MAX: i64 = 1024 * 1024;
/// Bytes of one argument.
const BULK_BYTES_MAX: i64 = 512 * 1024 * 1024;
/// Bytes of a length line or an inline request.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Arguments of a request before authentication.
const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;
/// Bytes of an argument before authentication.
const UNAUTHENTICATED_BULK_BYTES_MAX: i64 = 16 * 1024;

/// A protocol error, with the server's text; the connection is closed after it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProtocolError(pub(crate) String);

/// Splits a stream of bytes into requests.
#[derive(Debug, Default)]
pub(crate) struct RequestReader {
    /// Bytes that are not part of a complete argument yet.
    buffer: BytesMut,
    /// Complete arguments of the request being read.
    arguments: Vec<Bytes>,
    /// How many arguments are missing; 0 between requests.
    missing: usize,
    /// Length of the argument being read, once its line is read.
    bulk: Option<usize>,
}

impl RequestReader {
    /// Takes bytes as they arrive.
    pub(crate) fn feed(&mut self, bytes: Bytes) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::from(bytes);
        } else {
            self.buffer.extend_from_slice(&bytes);
        }
    }

    /// Bytes of an incomplete request, or of requests not read yet.
    pub(crate) fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next complete request; `None` when more bytes are needed. Empty requests are skipped.
    pub(crate) fn next(
        &mut self,
        authenticated: bool,
    ) -> Result<Option<Vec<Bytes>>, ProtocolError> {
        loop {
            if self.missing > 0 {
                match self.next_argument(authenticated)? {
                    Some(argument) => self.arguments.push(argument),
                    None => return Ok(None),
                }
                self.missing -= 1;
                if self.missing == 0 {
                    return Ok(Some(std::mem::take(&mut self.arguments)));
                }
                continue;
            }
            match self.buffer.first() {
                None => return Ok(None),
                Some(b'*') => {
                    let Some(count) = self.length_line("too big mbulk count string")? else {
                        return Ok(None);
                    };
                    self.begin_array(count, authenticated)?;
                }
                Some(_) => match self.inline()? {
                    Some(arguments) if arguments.is_empty() => {}
                    other => return Ok(other),
                },
            }
        }
    }

    fn begin_array(
        &mut self,
        count: Option<i64>,
        authenticated: bool,
    ) -> Result<(), ProtocolError> {
        match count {
            Some(count) if count > ARGUMENTS_MAX => Err(protocol("invalid multibulk length")),
            Some(count) if count > UNAUTHENTICATED_ARGUMENTS_MAX && !authenticated => {
                Err(protocol("unauthenticated multibulk length"))
            }
            Some(count) => {
                self.missing = usize::try_from(count).unwrap_or(0);
                Ok(())
            }
            None => Err(protocol("invalid multibulk length")),
        }
    }

    fn next_argument(&mut self, authenticated: bool) -> Result<Option<Bytes>, ProtocolError> {
        let len = match self.bulk {
            Some(len) => len,
            None => {
                match self.buffer.first() {
                    None => return Ok(None),
                    Some(b'$') => {}
                    Some(other) => {
                        let text = format!("expected '$', got '{}'", char::from(*other));
                        return Err(protocol(&text));
                    }
                }
                let Some(len) = self.length_line("too big bulk count string")? else {
                    return Ok(None);
                };
                let len = match len {
                    Some(len) if (0..=BULK_BYTES_MAX).contains(&len) => len,
                    _ => return Err(protocol("invalid bulk length")),
                };
                if len > UNAUTHENTICATED_BULK_BYTES_MAX && !authenticated {
                    return Err(protocol("unauthenticated bulk length"));
                }
                *self.bulk.insert(len as usize)
            }
        };
        if self.buffer.len() < len + 2 {
            return Ok(None);
        }
        self.bulk = None;
        let argument = self.buffer.split_to(len).freeze();
        let _line_end = self.buffer.split_to(2);
        Ok(Some(argument))
    }

    /// A line with a marker and a number. The outer option: whether the line is complete; the inner
    /// one: whether it holds a number.
    fn length_line(&mut self, too_long: &str) -> Result<Option<Option<i64>>, ProtocolError> {
        let Some(line) = self.line(too_long)? else { return Ok(None) };
        let number = std::str::from_utf8(&line[1..]).ok().and_then(|text| text.parse().ok());
        Ok(Some(number))
    }

    /// Takes a line, without its end.
    fn line(&mut self, too_long: &str) -> Result<Option<BytesMut>, ProtocolError> {
        match self.buffer.iter().take(LINE_BYTES_MAX).position(|b| *b == b'\n') {
            Some(end) => {
                let mut line = self.buffer.split_to(end + 1);
                line.truncate(end);
                if line.last() == Some(&b'\r') {
                    line.truncate(end - 1);
                }
                Ok(Some(line))
            }
            None if self.buffer.len() >= LINE_BYTES_MAX => Err(protocol(too_long)),
            None => Ok(None),
        }
    }

    fn inline(&mut self) -> Result<Option<Vec<Bytes>>, ProtocolError> {
        let Some(line) = self.line("too big inline request")? else { return Ok(None) };
        split_inline(&line).map(Some).ok_or_else(|| protocol("unbalanced quotes in request"))
    }
}

fn protocol(text: &str) -> ProtocolError {
    ProtocolError(format!("Protocol error: {text}"))
}

/// Splits a typed line at spaces, with quotes; `None` when a quote is left open.
fn split_inline(line: &[u8]) -> Option<Vec<Bytes>> {
    let mut arguments = Vec::new();
    let mut rest = line;
    loop {
        while let Some((first, tail)) = rest.split_first()
            && first.is_ascii_whitespace()
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Some(arguments);
        }
        let mut argument = Vec::new();
        while let Some((first, tail)) = rest.split_first() {
            rest = tail;
            match first {
                b'"' | b'\'' => {
                    rest = quoted(*first, rest, &mut argument)?;
                    if rest.first().is_some_and(|b| !b.is_ascii_whitespace()) {
                        return None;
                    }
                }
                b if b.is_ascii_whitespace() => break,
                b => argument.push(*b),
            }
        }
        arguments.push(Bytes::from(argument));
    }
}

/// Reads up to the closing quote and returns what follows it.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], argument: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (first, tail) = rest.split_first()?;
        rest = tail;
        if *first == quote {
            return Some(rest);
        }
        if *first != b'\\' {
            argument.push(*first);
            continue;
        }
        let (escape, tail) = rest.split_first()?;
        if quote == b'\'' {
            if *escape == b'\'' {
                argument.push(b'\'');
                rest = tail;
            } else {
                argument.push(b'\\');
            }
            continue;
        }
        rest = tail;
        let hex = rest.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        match (escape, hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'x', Some(byte)) => {
                argument.push(byte);
                rest = &rest[2..];
            }
            (b'n', _) => argument.push(b'\n'),
            (b'r', _) => argument.push(b'\r'),
            (b't', _) => argument.push(b'\t'),
            (b'b', _) => argument.push(8),
            (b'a', _) => argument.push(7),
            (other, _) => argument.push(*other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8], chunk: usize) -> Result<Vec<Vec<Bytes>>, ProtocolError> {
        let mut reader = RequestReader::default();
        let mut requests = Vec::new();
        for piece in bytes.chunks(chunk) {
            reader.feed(Bytes::copy_from_slice(piece));
            while let Some(request) = reader.next(true)? {
                requests.push(request);
            }
        }
        Ok(requests)
    }

    #[test]
    fn any_chunking_gives_the_same_requests() {
        let bytes = b"*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\nPING\r\n\r\n*0\r\n\
            set \"a b\\x41\" 'c\\'d'\r\n*1\r\n$0\r\n\r\n";
        let expected: Vec<Vec<Bytes>> = vec![
            vec!["GET".into(), "\r\n".into()],
            vec!["PING".into()],
            vec!["set".into(), "a bA".into(), "c'd".into()],
            vec!["".into()],
        ];
        for chunk in 1..=bytes.len() {
            assert_eq!(read_all(bytes, chunk), Ok(expected.clone()), "chunks of {chunk}");
        }
    }

    #[test]
    fn nonsense_is_refused_in_the_servers_words() {
        let table: [(&[u8], &str); 6] = [
            (b"*x\r\n", "invalid multibulk length"),
            (b"*1048577\r\n", "invalid multibulk length"),
            (b"*1\r\n:3\r\n", "expected '$', got ':'"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*1\r\n$536870913\r\n", "invalid bulk length"),
            (b"set \"a\r\n", "unbalanced quotes in request"),
        ];
        for (bytes, text) in table {
            assert_eq!(read_all(bytes, 64), Err(protocol(text)));
        }
        let mut reader = RequestReader::default();
        reader.feed(Bytes::from_static(b"*11\r\n"));
        assert_eq!(reader.next(false), Err(protocol("unauthenticated multibulk length")));
    }
}
