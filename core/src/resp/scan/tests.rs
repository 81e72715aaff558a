//! Frames in any chunking, and everything that a scanner must refuse.

use super::*;

const LIMITS: ScanLimits = ScanLimits { reply_bytes_max: 1 << 20, reply_depth_max: 8 };

/// One complete frame of every type, RESP2 and RESP3.
const FRAMES: &[&[u8]] = &[
    b"+OK\r\n",
    b"+\r\n",
    b"+a\rb\nc\r\n",
    b"-ERR no\r\n",
    b":-42\r\n",
    b"$0\r\n\r\n",
    b"$4\r\n\r\n\r\n\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
    b"_\r\n",
    b",1.5\r\n",
    b"#t\r\n",
    b"!5\r\nERR x\r\n",
    b"=7\r\ntxt:abc\r\n",
    b"(123456789012345678901234567890\r\n",
    b"~2\r\n+a\r\n+b\r\n",
    b"%0\r\n",
    b"%2\r\n+a\r\n:1\r\n+b\r\n*0\r\n",
    b">3\r\n+message\r\n$1\r\nc\r\n$1\r\nm\r\n",
    b">0\r\n",
    b">2\r\n*1\r\n%1\r\n:1\r\n:2\r\n_\r\n",
    b"|1\r\n+ttl\r\n:3600\r\n$1\r\na\r\n",
    b"|0\r\n+OK\r\n",
    b"|1\r\n+k\r\n*1\r\n|1\r\n+i\r\n+j\r\n+v\r\n~1\r\n+x\r\n",
    b"*3\r\n:1\r\n|1\r\n+k\r\n+v\r\n:2\r\n:3\r\n",
    b"*2\r\n*2\r\n*1\r\n*0\r\n*0\r\n%1\r\n*0\r\n~1\r\n_\r\n",
    b"$0000\r\n\r\n",
];

fn scan(bytes: &[u8]) -> Result<Found, ScanError> {
    Scanner::new(LIMITS).scan(bytes)
}

#[test]
fn every_type_ends_where_it_ends() {
    let mut scanner = Scanner::new(LIMITS);
    for frame in FRAMES {
        let shown = frame.escape_ascii();
        let mut buf = frame.to_vec();
        buf.extend_from_slice(b"+next\r\n");
        assert_eq!(scanner.scan(&buf), Ok(Found::Frame(frame.len())), "{shown}");
    }
}

#[test]
fn bytes_one_at_a_time_give_the_same_frames() {
    let mut scanner = Scanner::new(LIMITS);
    for frame in FRAMES {
        for length in 0..frame.len() {
            let shown = frame[..length].escape_ascii();
            assert_eq!(scanner.scan(&frame[..length]), Ok(Found::Incomplete), "{shown}");
            let missing = scanner.missing();
            assert!((1..=frame.len() - length).contains(&missing), "{shown}: {missing}");
        }
        assert_eq!(scanner.scan(frame), Ok(Found::Frame(frame.len())));
    }
}

#[test]
fn missing_covers_the_rest_of_a_bulk() {
    let mut scanner = Scanner::new(LIMITS);
    assert_eq!(scanner.scan(b"*2\r\n$1000\r\nabc"), Ok(Found::Incomplete));
    assert_eq!(scanner.missing(), 997 + 2);
}

#[test]
fn a_long_line_is_searched_once() {
    let mut scanner = Scanner::new(LIMITS);
    let mut line = b"+".to_vec();
    line.extend(std::iter::repeat_n(b'x', 60_000));
    for length in 1..line.len() {
        assert_eq!(scanner.scan(&line[..length]), Ok(Found::Incomplete));
        assert!(scanner.line_searched + 1 >= length, "searched again from an earlier byte");
    }
    line.extend_from_slice(b"\r\n");
    assert_eq!(scanner.scan(&line), Ok(Found::Frame(line.len())));
}

#[test]
fn what_is_no_resp_is_refused_by_name() {
    let table: &[(&[u8], ScanError, &str)] = &[
        (b"x", ScanError::Type { byte: b'x' }, "unknown type byte 0x78 'x'"),
        (b"\r\n", ScanError::Type { byte: b'\r' }, "unknown type byte 0x0d '\\r'"),
        (b"\x15\x03\x01", ScanError::Type { byte: 0x15 }, "as TLS would"),
        (b"HTTP/1.1 400 Bad Request\r\n", ScanError::Http, "HTTP"),
        (b"HTTX", ScanError::Type { byte: b'H' }, "unknown type byte"),
        (b"*1\r\n;4\r\n", ScanError::Type { byte: b';' }, "unknown type byte"),
        (b"$a\r\n", ScanError::Length { kind: b'$' }, "malformed length after '$'"),
        (b"$\r\n", ScanError::Length { kind: b'$' }, "malformed length"),
        (b"$1\n", ScanError::Length { kind: b'$' }, "malformed length"),
        (b"$1\rx", ScanError::Length { kind: b'$' }, "malformed length"),
        (b"*+1\r\n", ScanError::Length { kind: b'*' }, "malformed length"),
        (b"$-\r\n", ScanError::Length { kind: b'$' }, "malformed length"),
        (b"*00000000000000000001\r\n", ScanError::Length { kind: b'*' }, "malformed length"),
        (b"$-2\r\n", ScanError::Negative { kind: b'$' }, "negative length after '$'"),
        (b"*-10\r\n", ScanError::Negative { kind: b'*' }, "negative length"),
        (b"%-1\r\n", ScanError::Negative { kind: b'%' }, "negative length"),
        (b"=-1\r\n", ScanError::Negative { kind: b'=' }, "negative length"),
        (b"~-1\r\n", ScanError::Negative { kind: b'~' }, "negative length"),
        (b"_x\r\n", ScanError::Null, "null '_' with a value"),
        (b"_\r\x01\r\n", ScanError::Null, "null"),
        (b"$1\r\nabc", ScanError::Terminator { kind: b'$' }, "does not end in CRLF"),
        (b"=5\r\ntxt:xy\r\n", ScanError::Terminator { kind: b'=' }, "does not end in CRLF"),
        (b"=?\r\n", ScanError::Streamed { kind: b'=' }, "type '=' cannot be streamed"),
        (b">?\r\n", ScanError::Streamed { kind: b'>' }, "as '>?' says"),
        (b"|?\r\n", ScanError::Streamed { kind: b'|' }, "cannot be streamed"),
        (b"*?1\r\n", ScanError::Length { kind: b'*' }, "malformed length after '*'"),
        (b"$?\n", ScanError::Length { kind: b'$' }, "malformed length after '$'"),
        (b".\r\n", ScanError::Type { byte: b'.' }, "unknown type byte 0x2e '.'"),
        (b"*1\r\n.\r\n", ScanError::Type { byte: b'.' }, "unknown type byte"),
        (b"$?\r\n.\r\n", ScanError::Type { byte: b'.' }, "unknown type byte"),
        (b"*?\r\n;1\r\n", ScanError::Type { byte: b';' }, "unknown type byte"),
        (b"*?\r\n.1\r\n", ScanError::Type { byte: b'.' }, "unknown type byte"),
        (b"*?\r\n*1\r\n.\r\n", ScanError::Type { byte: b'.' }, "unknown type byte"),
        (b"$?\r\n;-1\r\n", ScanError::Negative { kind: b';' }, "negative length after ';'"),
        (b"$?\r\n;?\r\n", ScanError::Streamed { kind: b';' }, "type ';' cannot be streamed"),
        (b"$?\r\n;1\r\nabc", ScanError::Terminator { kind: b';' }, "does not end in CRLF"),
        (b"$?\r\n;1048570\r\n", ScanError::Size { bytes_max: 1 << 20 }, "exceeds"),
        (b"$1000000000000000000\r\n", ScanError::Size { bytes_max: 1 << 20 }, "exceeds 1048576"),
        (b"*1000000000000000000\r\n", ScanError::Size { bytes_max: 1 << 20 }, "exceeds 1048576"),
        (b"%9999999999999999999\r\n", ScanError::Size { bytes_max: 1 << 20 }, "exceeds"),
        (b"$1048570\r\n", ScanError::Size { bytes_max: 1 << 20 }, "exceeds"),
    ];
    for (bytes, error, text) in table {
        let shown = bytes.escape_ascii();
        assert_eq!(scan(bytes), Err(error.clone()), "{shown}");
        assert!(error.to_string().contains(text), "{shown}: {error}");
        // The same error, or an earlier one of the same kind, when the bytes come one at a time.
        let mut scanner = Scanner::new(LIMITS);
        let last = (0..=bytes.len()).map(|n| scanner.scan(&bytes[..n])).find(Result::is_err);
        assert_eq!(last, Some(Err(error.clone())), "{shown}");
    }
}

#[test]
fn nesting_stops_at_the_limit() {
    let nested = |depth: usize| [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
    assert_eq!(scan(&nested(8)), Ok(Found::Frame(8 * 4 + 4)));
    assert_eq!(scan(&nested(9)), Err(ScanError::Deep { depth_max: 8 }));
    assert_eq!(scan(&nested(100_000)), Err(ScanError::Deep { depth_max: 8 }));
    let attributes = b"|1\r\n+k\r\n".repeat(100_000);
    assert_eq!(scan(&attributes), Err(ScanError::Deep { depth_max: 8 }));
    let limits = ScanLimits { reply_depth_max: usize::MAX, ..LIMITS };
    let scanned = Scanner::new(limits).scan(&nested(DEPTH_MAX + 1));
    assert_eq!(scanned, Err(ScanError::Deep { depth_max: DEPTH_MAX }));
}

#[test]
fn size_is_limited_for_frames_that_never_announce_it() {
    let limits = ScanLimits { reply_bytes_max: 100, ..LIMITS };
    let frame = [b"*20\r\n".to_vec(), b"+abc\r\n".repeat(20)].concat();
    assert_eq!(Scanner::new(limits).scan(&frame), Err(ScanError::Size { bytes_max: 100 }));
    assert_eq!(Scanner::new(limits).scan(&frame[..100]), Err(ScanError::Size { bytes_max: 100 }));
    let exact = [b"*16\r\n".to_vec(), b"+abc\r\n".repeat(15), b"+abc\r".to_vec()].concat();
    let exact = [&exact[..4], &exact[4..]].concat();
    assert_eq!(Scanner::new(limits).scan(&exact), Err(ScanError::Size { bytes_max: 100 }));
    let bulk = [b"$93\r\n".to_vec(), vec![b'x'; 93], b"\r\n".to_vec()].concat();
    assert_eq!(bulk.len(), 100);
    assert_eq!(Scanner::new(limits).scan(&bulk), Ok(Found::Frame(100)));
    assert_eq!(Scanner::new(limits).scan(b"$94\r\n"), Err(ScanError::Size { bytes_max: 100 }));
}

#[test]
fn a_line_without_an_end_is_refused() {
    for kind in [b'+', b'-', b':', b'('] {
        let line = [vec![kind], vec![b'1'; LINE_BYTES_MAX]].concat();
        let error = ScanError::Line { kind, bytes_max: LINE_BYTES_MAX };
        assert_eq!(scan(&line), Err(error));
    }
}

#[test]
fn frame_kinds_are_told_apart_behind_attributes() {
    let table: &[(&[u8], FrameKind)] = &[
        (b"+OK\r\n", FrameKind::Reply),
        (b"-ERR\r\n", FrameKind::Error),
        (b"!3\r\nERR\r\n", FrameKind::Error),
        (b">1\r\n+x\r\n", FrameKind::Push),
        (b"*1\r\n-ERR\r\n", FrameKind::Reply),
        (b"|1\r\n+k\r\n~1\r\n-ERR\r\n:1\r\n", FrameKind::Reply),
        (b"|1\r\n+k\r\n$1\r\n-\r\n-ERR\r\n", FrameKind::Error),
        (b"|1\r\n|1\r\n+i\r\n:1\r\n+k\r\n%1\r\n+a\r\n*-1\r\n|0\r\n:1\r\n", FrameKind::Reply),
        (b"", FrameKind::Reply),
        (b"|9\r\n", FrameKind::Reply),
    ];
    for (frame, kind) in table {
        assert_eq!(frame_kind(frame), *kind, "{}", frame.escape_ascii());
    }
}

/// What is found in `bytes`, all of it at once and a byte at a time.
fn found(bytes: &[u8], limits: ScanLimits) -> Result<Vec<Found>, ScanError> {
    let run = |step: usize| {
        let (mut scanner, mut all) = (Scanner::new(limits), Vec::new());
        let mut len = step.min(bytes.len());
        loop {
            match scanner.scan(&bytes[..len])? {
                Found::Incomplete if len == bytes.len() => return Ok(all),
                Found::Incomplete => len = (len + step).min(bytes.len()),
                end @ Found::Frame(_) => {
                    all.push(end);
                    return Ok(all);
                }
                lifted => all.push(lifted),
            }
        }
    };
    let at_once = run(usize::MAX);
    let slowly = run(1);
    assert_eq!(at_once.is_err(), slowly.is_err(), "{}", bytes.escape_ascii());
    assert!(at_once.is_err() || at_once == slowly, "{}", bytes.escape_ascii());
    at_once
}

/// Redis 7.0.15 on a connection that is subscribed to `c`: MULTI, PUBLISH c m, INCR n, EXEC.
#[test]
fn a_push_inside_of_a_frame_is_no_element_of_it() {
    let push = ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n";
    let table: &[(&str, &str)] = &[
        ("*2\r\n", ":1\r\n:2\r\n"),
        ("*2\r\n:1\r\n", ":2\r\n"),
        ("*2\r\n*1\r\n", "$1\r\na\r\n:2\r\n"),
        ("*2\r\n*1\r\n:1\r\n", ":2\r\n"),
        ("%1\r\n+k\r\n", "+v\r\n"),
        ("~1\r\n", "$-1\r\n"),
        ("*1\r\n|1\r\n", "+k\r\n+v\r\n:1\r\n"),
        ("*1\r\n|1\r\n+k\r\n+v\r\n", ":1\r\n"),
        ("|1\r\n+k\r\n", "+v\r\n:1\r\n"),
        ("|1\r\n+k\r\n+v\r\n", ":1\r\n"),
        (">1\r\n", "+x\r\n"),
    ];
    for (before, after) in table {
        let at = before.len();
        let all = [before, push, after].concat();
        let expected = vec![Found::Lifted(at..at + push.len()), Found::Frame(all.len())];
        assert_eq!(found(all.as_bytes(), LIMITS), Ok(expected), "{before:?}");
    }
}

/// The inner push is complete first. Both are out of band.
#[test]
fn a_push_inside_of_a_push_is_lifted_out_of_it() {
    let bytes = b"*1\r\n>2\r\n>1\r\n>0\r\n+a\r\n+b\r\n>0\r\n+c\r\n:1\r\n";
    let lifted = [12..16, 8..20, 24..28, 4..32].map(Found::Lifted);
    let expected = [lifted.to_vec(), vec![Found::Frame(bytes.len())]].concat();
    assert_eq!(found(bytes, LIMITS), Ok(expected));
}

/// Before a reply that may never come, the attributes of pushes do not pile up.
#[test]
fn attributes_in_front_of_pushes_are_kept_once() {
    let bytes = b"|1\r\n+a\r\n:1\r\n>0\r\n|1\r\n+b\r\n:1\r\n>0\r\n|1\r\n+c\r\n:1\r\n+OK\r\n";
    let lifted = [12..16, 0..16, 28..32, 0..32].map(Found::Lifted);
    let expected = [lifted.to_vec(), vec![Found::Frame(bytes.len())]].concat();
    assert_eq!(found(bytes, LIMITS), Ok(expected));
    // Without a push, all of them are the reply's.
    let bytes = b"|1\r\n+a\r\n:1\r\n|1\r\n+b\r\n:1\r\n+OK\r\n";
    assert_eq!(found(bytes, LIMITS), Ok(vec![Found::Frame(bytes.len())]));
}

/// A reply of the greatest size and depth takes a push of the greatest size and depth.
#[test]
fn a_push_has_limits_of_its_own() {
    let limits = ScanLimits { reply_bytes_max: 20, reply_depth_max: 2 };
    let push = |fill: usize| format!(">1\r\n*1\r\n+{}\r\n", "x".repeat(fill));
    let reply = |push: &str| format!("*1\r\n*1\r\n{push}+{}\r\n", "y".repeat(9));
    let (largest, larger) = (reply(&push(9)), reply(&push(10)));
    assert_eq!((push(9).len(), reply("").len()), (20, 20));
    let expected = vec![Found::Lifted(8..28), Found::Frame(40)];
    assert_eq!(found(largest.as_bytes(), limits), Ok(expected));
    let many = reply(&push(9).repeat(50));
    assert_eq!(found(many.as_bytes(), limits).map(|all| all.len()), Ok(51));
    assert_eq!(found(larger.as_bytes(), limits), Err(ScanError::Size { bytes_max: 20 }));
    let long = reply(&push(9)).replace("yy", "yyy");
    assert_eq!(found(long.as_bytes(), limits), Err(ScanError::Size { bytes_max: 20 }));
    let deep = Err(ScanError::Deep { depth_max: 2 });
    assert_eq!(found(b"*1\r\n>1\r\n*1\r\n*1\r\n:1\r\n", limits), deep);
    assert_eq!(found(b"*1\r\n>1\r\n>1\r\n>1\r\n:1\r\n", limits), deep);
}

/// A reply that is too long already is no place for a push: whether the push came in the same read
/// must not decide whether it is delivered.
#[test]
fn a_push_behind_the_limit_of_its_frame_is_not_found() {
    let limits = ScanLimits { reply_bytes_max: 20, reply_depth_max: 2 };
    let reply = |fill: usize| format!("*2\r\n+{}\r\n>1\r\n+v\r\n+y\r\n", "x".repeat(fill));
    let (just, over) = (reply(12), reply(13));
    let error = ScanError::Size { bytes_max: 20 };
    assert_eq!(Scanner::new(limits).scan(just.as_bytes()), Ok(Found::Lifted(19..27)));
    assert_eq!(Scanner::new(limits).scan(over.as_bytes()), Err(error.clone()));
    assert_eq!(Scanner::new(limits).scan(&over.as_bytes()[..20]), Err(error));
}
