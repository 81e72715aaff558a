//! Streamed types at every cut of the bytes, at the limits, and malformed ones.

use super::*;
use crate::resp::ScanLimits;

const LIMITS: ScanLimits = ScanLimits { reply_bytes_max: 200, reply_depth_max: 4 };

/// What a server sends, and the plain frame that it means.
const FRAMES: &[(&[u8], &[u8])] = &[
    (b"*?\r\n.\r\n", b"*0\r\n"),
    (b"~?\r\n.\r\n", b"~0\r\n"),
    (b"%?\r\n.\r\n", b"%0\r\n"),
    (b"$?\r\n;0\r\n", b"$0\r\n\r\n"),
    (b"*?\r\n:1\r\n$1\r\na\r\n$1\r\nb\r\n.\r\n", b"*3\r\n:1\r\n$1\r\na\r\n$1\r\nb\r\n"),
    (b"%?\r\n+a\r\n:1\r\n+b\r\n:2\r\n.\r\n", b"%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n"),
    (b"$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n", b"$5\r\nHello\r\n"),
    // What looks like an end is none inside of a chunk.
    (b"$?\r\n;7\r\n;0\r\n.\r\n\r\n;0\r\n", b"$7\r\n;0\r\n.\r\n\r\n"),
    // In plain ones, and plain ones in them.
    (b"*2\r\n*?\r\n:1\r\n.\r\n:2\r\n", b"*2\r\n*1\r\n:1\r\n:2\r\n"),
    (b"*?\r\n*?\r\n*?\r\n.\r\n.\r\n.\r\n", b"*1\r\n*1\r\n*0\r\n"),
    (b"*?\r\n*0\r\n*2\r\n:1\r\n_\r\n*-1\r\n.\r\n", b"*3\r\n*0\r\n*2\r\n:1\r\n_\r\n*-1\r\n"),
    (b"%1\r\n$?\r\n;1\r\nk\r\n;0\r\n~?\r\n#t\r\n.\r\n", b"%1\r\n$1\r\nk\r\n~1\r\n#t\r\n"),
    (b"*?\r\n$-1\r\n-ERR x\r\n!3\r\nERR\r\n.\r\n", b"*3\r\n$-1\r\n-ERR x\r\n!3\r\nERR\r\n"),
    // With attributes, before an element and before the whole.
    (b"*?\r\n|1\r\n+k\r\n*?\r\n.\r\n:1\r\n.\r\n", b"*1\r\n|1\r\n+k\r\n*0\r\n:1\r\n"),
    (b"|1\r\n+k\r\n+v\r\n*?\r\n|0\r\n:1\r\n.\r\n", b"|1\r\n+k\r\n+v\r\n*1\r\n|0\r\n:1\r\n"),
    // At the top level, a push is a frame like others.
    (b">2\r\n+message\r\n*?\r\n:1\r\n.\r\n", b">2\r\n+message\r\n*1\r\n:1\r\n"),
];

#[test]
fn a_streamed_frame_means_a_plain_one_however_it_is_cut() {
    let mut scanner = Scanner::new(LIMITS);
    for (sent, plain) in FRAMES {
        let shown = sent.escape_ascii();
        for length in 0..sent.len() {
            assert_eq!(scanner.scan(&sent[..length]), Ok(Found::Incomplete), "{shown}: {length}");
            let missing = scanner.missing();
            assert!((1..=sent.len() - length).contains(&missing), "{shown}: {length}: {missing}");
        }
        let more = [*sent, b"+next\r\n"].concat();
        assert_eq!(scanner.scan(&more), Ok(Found::Streamed(sent.len())), "{shown}");
        // The scanner takes plain frames as before.
        assert_eq!(scanner.scan(b"*1\r\n+next\r\n"), Ok(Found::Frame(11)));
        assert_eq!(rewrite(sent), Ok(Some(plain.to_vec())), "{shown}");
        assert_eq!(rewrite(plain), Ok(None), "{shown}");
        let mut at_once = Scanner::new(LIMITS);
        assert_eq!(at_once.scan(sent), Ok(Found::Streamed(sent.len())), "{shown}");
    }
}

#[test]
fn what_is_no_streamed_type_is_refused() {
    let table: &[(&[u8], u8)] = &[
        (b"%?\r\n:1\r\n.\r\n", b'%'),
        (b"$?\r\n:1\r\n;0\r\n", b'$'),
        (b"$?\r\n$1\r\na\r\n;0\r\n", b'$'),
        (b"$?\r\n|1\r\n+k\r\n+v\r\n;1\r\na\r\n;0\r\n", b'$'),
        (b"*?\r\n|1\r\n+k\r\n+v\r\n.\r\n", b'.'),
    ];
    for (sent, kind) in table {
        let shown = sent.escape_ascii();
        assert_eq!(Scanner::new(LIMITS).scan(sent), Ok(Found::Streamed(sent.len())), "{shown}");
        let error = rewrite(sent).unwrap_err();
        assert_eq!(error, ScanError::StreamedPart { kind: *kind }, "{shown}");
        assert!(error.to_string().contains("malformed streamed type"), "{error}");
    }
}

/// A stream without an end is refused at the same number of bytes, whatever it consists of.
#[test]
fn streams_without_end_stop_at_the_limits() {
    let parts: &[(&[u8], &[u8])] = &[
        (b"*?\r\n", b":1\r\n"),
        (b"%?\r\n", b"_\r\n"),
        (b"$?\r\n", b";1\r\nx\r\n"),
        (b"*?\r\n$?\r\n", b";1\r\nx\r\n"),
    ];
    for (begin, part) in parts {
        let sent = [begin.to_vec(), part.repeat(100)].concat();
        let shown = begin.escape_ascii();
        let error = Err(ScanError::Size { bytes_max: 200 });
        assert_eq!(Scanner::new(LIMITS).scan(&sent), error, "{shown}");
        let mut scanner = Scanner::new(LIMITS);
        let mut ends = (0..=sent.len()).map(|n| (n, scanner.scan(&sent[..n])));
        assert_eq!(ends.find(|(_, found)| found.is_err()), Some((200, error)), "{shown}");
    }
    let deep = Err(ScanError::Deep { depth_max: 4 });
    assert_eq!(Scanner::new(LIMITS).scan(&b"*?\r\n".repeat(4)), Ok(Found::Incomplete));
    assert_eq!(Scanner::new(LIMITS).scan(&b"*?\r\n".repeat(5)), deep);
    assert_eq!(Scanner::new(LIMITS).scan(&b"$?\r\n".repeat(9)), deep);
    let string = [b"*1\r\n".repeat(4), b"$?\r\n;1\r\na\r\n;0\r\n".to_vec()].concat();
    assert_eq!(Scanner::new(LIMITS).scan(&string), Ok(Found::Streamed(string.len())));
    let flat = ScanLimits { reply_depth_max: 0, ..LIMITS };
    assert_eq!(Scanner::new(flat).scan(b"$?\r\n;0\r\n"), Ok(Found::Streamed(8)));
    assert_eq!(Scanner::new(flat).scan(b"*?\r\n"), Err(ScanError::Deep { depth_max: 0 }));
}
