//! Encodes commands: headers of arrays, and bulk strings.
//!
//! A command is an array of bulk strings, `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`, in RESP2 and RESP3.
//! Nothing is escaped, and no argument can inject a command: its length is written before it.
//! Lengths below 100, which nearly all are, have a fast path: the general one was the slowest part
//! of encoding a command.
//! Spec: RESP, "Sending commands to a Redis server".

/// Writes the header of a command: the number of bulk strings that follow, its name included.
#[inline]
pub(crate) fn put_array_head(out: &mut Vec<u8>, count: usize) {
    put_head(out, b'*', count);
}

/// Writes one argument as a bulk string.
#[inline]
pub(crate) fn put_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    put_head(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// The number of bytes that [`put_bulk`] appends for an argument of `length` bytes.
#[inline]
pub(crate) fn bulk_bytes(length: usize) -> usize {
    1 + digits(length) + 2 + length + 2
}

/// Writes a type byte, a length and CRLF.
#[inline]
pub(super) fn put_head(out: &mut Vec<u8>, kind: u8, length: usize) {
    match length {
        0..10 => out.extend_from_slice(&[kind, b'0' + length as u8, b'\r', b'\n']),
        10..100 => {
            let (tens, ones) = (length / 10, length % 10);
            out.extend_from_slice(&[kind, b'0' + tens as u8, b'0' + ones as u8, b'\r', b'\n']);
        }
        _ => {
            out.extend_from_slice(&[kind]);
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn digits(length: usize) -> usize {
    length.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_bulks_have_their_length_in_every_size() {
        for length in [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 65_536, 1_000_000] {
            let argument = vec![b'x'; length];
            let mut out = Vec::new();
            put_bulk(&mut out, &argument);
            let mut expected = format!("${length}\r\n").into_bytes();
            expected.extend_from_slice(&argument);
            expected.extend_from_slice(b"\r\n");
            assert!(out == expected, "length {length}");
            assert_eq!(bulk_bytes(length), out.len(), "length {length}");
        }
    }

    #[test]
    fn a_command_reads_as_the_specification_shows_it() {
        let mut out = Vec::new();
        put_array_head(&mut out, 3);
        put_bulk(&mut out, b"LLEN");
        put_bulk(&mut out, b"");
        put_bulk(&mut out, b"mylist");
        assert_eq!(out, b"*3\r\n$4\r\nLLEN\r\n$0\r\n\r\n$6\r\nmylist\r\n");
        let mut out = Vec::new();
        put_array_head(&mut out, 1024);
        assert_eq!(out, b"*1024\r\n");
    }
}
