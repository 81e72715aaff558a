//! The beginning of some bytes, fit for an error message or a log.
//!
//! A message must neither carry a whole value of 512 MiB nor break a terminal: at most
//! [`SHOWN_BYTES_MAX`] bytes come out, control characters and what is not UTF-8 escaped.
//! Called by every error type of `resp`.

/// The longest text that comes out, without the `...` behind a shortened one.
const SHOWN_BYTES_MAX: usize = 57;

/// `bytes` as printable text, shortened.
#[cold]
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    // A character of the text never takes less than a byte, so no more than this can be shown.
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
