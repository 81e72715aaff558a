//! Shortens and escapes bytes for an error message or a log.
//!
//! A message must neither hold a value of 512 MiB nor disturb a terminal.
//! Invariant: at most [`SHOWN_BYTES_MAX`] bytes and `...` are returned; control characters and
//! invalid UTF-8 are escaped.

/// The longest text that is returned, in bytes, without the `...` of a shortened one.
const SHOWN_BYTES_MAX: usize = 57;

/// `bytes` as printable text, shortened.
#[cold]
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    // Each character takes at least a byte, so no more bytes than these can be shown.
    let head = bytes.get(..SHOWN_BYTES_MAX + 4).unwrap_or(bytes);
    let mut text = String::new();
    let mut shown_bytes = 0;
    for chunk in head.utf8_chunks() {
        let valid = chunk.valid().chars().map(|c| (c.len_utf8(), c.escape_debug().to_string()));
        let invalid = chunk.invalid().iter().map(|byte| (1, byte.escape_ascii().to_string()));
        for (length, piece) in valid.chain(invalid) {
            if text.len() + piece.len() > SHOWN_BYTES_MAX {
                text.push_str("...");
                return text;
            }
            text.push_str(&piece);
            shown_bytes += length;
        }
    }
    if shown_bytes < bytes.len() {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_binary_bytes_come_out_short_and_printable() {
        let table: [(&[u8], &str); 5] = [
            (b"", ""),
            (b"abc", "abc"),
            ("gr\u{fc}n".as_bytes(), "gr\u{fc}n"),
            (b"a\r\n\x00\"\xff", "a\\r\\n\\0\\\"\\xff"),
            (&[b'x'; 57], &"x".repeat(57)),
        ];
        for (bytes, text) in table {
            assert_eq!(excerpt(bytes), text);
        }
        assert_eq!(excerpt(&[b'x'; 58]), "x".repeat(57) + "...");
        assert_eq!(excerpt(&[0xff; 1 << 20]), "\\xff".repeat(14) + "...");
        assert!(excerpt("\u{1f600}".repeat(20).as_bytes()).len() <= 60);
    }
}
