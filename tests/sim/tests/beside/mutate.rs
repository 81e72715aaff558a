//! The requests: the lines of `cases.txt`, and what is made out of each.
//!
//! A line is a request that is right. Out of it come requests with too few and too many arguments,
//! with options twice or in another order, with a key of every type in every place, and with every
//! value of `EDGES` in every place. So a command is covered by one line per form that it has.
//!
//! **Invariants**: the requests are the same in each run. Used by the tests of `beside_redis.rs`.

/// A request: its arguments.
pub(crate) type Request = Vec<Vec<u8>>;

/// Empties a server. Not in the foreground: see `peer` on FLUSHALL.
pub(crate) const CLEAR: &str = "FLUSHALL ASYNC";

/// A key of each type. The state before each case whose forerunner changed it.
pub(crate) const FIXTURES: &[&str] = &[
    "SET str hello",
    "SET int 10",
    "RPUSH list a b c a",
    "HSET hash f1 v1 f2 2",
    "SADD set a b c",
    "SADD set2 b x",
    "ZADD zset 1 a 2 b 3 c",
    "ZADD zset2 5 b 6 x",
    "ZADD lex 0 a 0 b 0 c",
    "XADD stream 1-1 f v",
    "XADD stream 2-1 f v",
    "XGROUP CREATE stream group 0",
    "XREADGROUP GROUP group c1 COUNT 1 STREAMS stream >",
    // Delivered so long ago that the time a case takes does not matter.
    "XCLAIM stream group c1 0 1-1 TIME 1 RETRYCOUNT 1 JUSTID",
];

/// What shows the state after a case, and how it is compared.
pub(crate) const PROBES: &[(char, &str)] = &[
    ('>', "MGET str int none none2"),
    ('>', "DBSIZE"),
    ('>', "LRANGE list 0 -1"),
    ('~', "HGETALL hash"),
    ('~', "SMEMBERS set"),
    ('~', "SMEMBERS set2"),
    ('>', "ZRANGE zset 0 -1 WITHSCORES"),
    ('>', "ZRANGE lex 0 -1 WITHSCORES"),
    ('>', "XRANGE stream - + COUNT 2"),
    ('>', "XPENDING stream group"),
    ('>', "XLEN stream"),
    ('>', "TYPE none"),
    ('>', "OBJECT ENCODING none"),
    ('?', "TTL str"),
    ('?', "TTL none"),
];

/// The keys of the fixtures.
const KEYS: &[&str] =
    &["str", "int", "list", "hash", "set", "set2", "zset", "zset2", "lex", "stream"];

/// Values that every argument takes in turn.
const EDGES: &[&str] = &[
    "str",
    "int",
    "list",
    "hash",
    "set",
    "zset",
    "stream",
    "none",
    "0",
    "1",
    "-1",
    "2",
    "-2",
    "100",
    "+1",
    "01",
    "-0",
    "1.5",
    "1e3",
    "0x10",
    "inf",
    "-inf",
    "nan",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "1e17",
    "1e400",
    "",
    " 1",
    "x",
    "(1",
    "[a",
    "-",
    "+",
    "*",
    "$",
    ">",
    "1-1",
    "1-*",
    "18446744073709551615-18446744073709551615",
    "COUNT",
    "LIMIT",
];

/// Values for two numbers at once.
const NUMBERS: &[&str] =
    &["0", "1", "-1", "2", "-3", "100", "9223372036854775807", "-9223372036854775808"];

/// One comparison.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// How replies are compared: `>`, `~` or `?`.
    pub(crate) mark: char,
    /// What is sent, in the words of `cases.txt`.
    pub(crate) text: String,
    /// What is sent.
    pub(crate) bytes: Vec<u8>,
    /// The connection speaks RESP3.
    pub(crate) resp3: bool,
}

impl Case {
    /// No request at all.
    pub(crate) fn nothing() -> Self {
        Self { mark: '>', text: String::new(), bytes: Vec::new(), resp3: false }
    }
}

/// A line of `cases.txt` and the cases that it stands for.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Its request or requests.
    pub(crate) requests: Vec<Request>,
    /// What is made of it.
    pub(crate) cases: Vec<Case>,
}

/// All lines. Every request is made for RESP2, and `in_both` protocols or, for RESP3, only those
/// with other numbers, which change the form of a reply.
pub(crate) fn lines(in_both: bool) -> Vec<Line> {
    let lines = include_str!("cases.txt").lines();
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|text| line(text, in_both))
        .collect()
}

fn line(line: &str, in_both: bool) -> Line {
    let (mark, rest) = line.split_at(2);
    let mark = mark.trim();
    let case = |mark: char, requests: &[Request], resp3: bool| Case {
        mark,
        text: requests.iter().map(show).collect::<Vec<_>>().join(" ; "),
        bytes: requests.iter().flat_map(encode).collect(),
        resp3,
    };
    match mark {
        "@" => {
            let text = rest.replace("\\r\\n", "\r\n").replace("\\\\", "\\");
            let bytes = text.into_bytes();
            let case = Case { mark: '>', text: line.to_owned(), bytes, resp3: false };
            Line { requests: Vec::new(), cases: vec![case] }
        }
        "!" => {
            let requests: Vec<Request> = rest.split(" ; ").map(words).collect();
            let cases = [false, true].map(|resp3| case('>', &requests, resp3)).to_vec();
            Line { requests, cases }
        }
        _ => {
            let mark = mark.chars().next().unwrap_or('>');
            let request = words(rest);
            let inside = [words("MULTI"), request.clone(), words("EXEC")];
            let mut cases = vec![
                case(mark, std::slice::from_ref(&request), false),
                case(mark, std::slice::from_ref(&request), true),
                case(mark, &inside, false),
                case(mark, &inside, true),
            ];
            let mutants = mutants(&request);
            cases.extend(mutants.iter().map(|m| case(mark, std::slice::from_ref(m), false)));
            let replaced = if in_both { mutants } else { replace_each(&request, NUMBERS) };
            let replaced = replaced.iter().filter(|request| !is_short_lived(request));
            cases.extend(replaced.map(|m| case(mark, std::slice::from_ref(m), true)));
            Line { requests: vec![request], cases }
        }
    }
}

/// Requests that cost a server gigabytes, and whose reply depends on whether it has them.
const TOO_COSTLY: &[(&str, &str)] = &[("XAUTOCLAIM", "COUNT 4294967296")];

/// The request with each argument replaced by each value.
fn replace_each(request: &Request, values: &[&str]) -> Vec<Request> {
    let mut made = Vec::new();
    for at in 1..request.len() {
        for value in values {
            let mut other = request.clone();
            other[at] = value.as_bytes().to_vec();
            made.push(other);
        }
    }
    made
}

/// The request with a key that does not exist, or has another type, and another argument that is
/// wrong: what a server says shows what it looks at first.
fn two_faults(request: &Request) -> Vec<Request> {
    let mut made = Vec::new();
    let is_key = |at: &usize| KEYS.iter().any(|key| key.as_bytes() == request[*at]);
    for key in (1..request.len()).filter(is_key) {
        let other_type = if request[key] == b"list" { "str" } else { "list" };
        for replaced in ["none", other_type] {
            let mut one = request.clone();
            one[key] = replaced.as_bytes().to_vec();
            made.push([&one[..], &[b"x".to_vec()]].concat());
            for at in (1..request.len()).filter(|at| *at != key) {
                for wrong in ["x", "-1"] {
                    let mut two = one.clone();
                    two[at] = wrong.as_bytes().to_vec();
                    made.push(two);
                }
            }
        }
    }
    made
}

/// Whether a request gives a key so little time that it may be over before the state is compared.
fn is_short_lived(request: &Request) -> bool {
    let is = |at: usize, word: &str| {
        request.get(at).is_some_and(|own| own.eq_ignore_ascii_case(word.as_bytes()))
    };
    let until = |at: usize, most: i64| {
        let text = request.get(at).and_then(|text| std::str::from_utf8(text).ok());
        text.and_then(|text| text.parse().ok()).is_some_and(|time| (1..=most).contains(&time))
    };
    let first = is(0, "PSETEX") || is(0, "PEXPIRE");
    (first && until(2, 1000))
        || ((is(0, "SETEX") || is(0, "EXPIRE")) && until(2, 2))
        || (1..request.len()).any(|at| is(at, "PX") && until(at + 1, 1000))
        || (1..request.len()).any(|at| is(at, "EX") && until(at + 1, 2))
}

fn mutants(request: &Request) -> Vec<Request> {
    let mut made = replace_each(request, EDGES);
    for len in 1..request.len() {
        made.push(request[..len].to_vec());
    }
    for extra in ["x", "1", "REV"] {
        made.push([&request[..], &[extra.as_bytes().to_vec()]].concat());
    }
    for at in 1..request.len() {
        let mut twice = request.clone();
        twice.insert(at, request[at].clone());
        made.push(twice);
        let mut without = request.clone();
        without.remove(at);
        made.push(without);
        let mut lower = request.clone();
        lower[at].make_ascii_lowercase();
        made.push(lower);
    }
    for at in 2..request.len() {
        let mut swapped = request.clone();
        swapped.swap(at - 1, at);
        made.push(swapped);
        // The options from here on twice: those that may, and those that may not.
        made.push([&request[..], &request[at..]].concat());
    }
    let is_number = |at: &usize| std::str::from_utf8(&request[*at]).is_ok_and(is_number);
    let numbers: Vec<usize> = (1..request.len()).filter(is_number).collect();
    for pair in numbers.windows(2) {
        for first in NUMBERS {
            for second in NUMBERS {
                let mut both = request.clone();
                both[pair[0]] = first.as_bytes().to_vec();
                both[pair[1]] = second.as_bytes().to_vec();
                made.push(both);
            }
        }
    }
    made.extend(two_faults(request));
    made.sort();
    made.dedup();
    made.retain(|request| {
        let text = show(request);
        let costs = |(name, part): &(&str, &str)| text.starts_with(name) && text.contains(part);
        !TOO_COSTLY.iter().any(costs) && !is_short_lived(request)
    });
    made
}

fn is_number(text: &str) -> bool {
    text.trim_start_matches(['(', '[']).parse::<f64>().is_ok()
}

/// Splits a line at spaces; in double quotes a space is a part of a word.
pub(crate) fn words(line: &str) -> Request {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), Vec::new(), false, false);
    for byte in line.bytes() {
        match byte {
            b'"' => {
                quoted = !quoted;
                begun = true;
            }
            b' ' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            _ => {
                word.push(byte);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

/// The reverse.
fn show(request: &Request) -> String {
    let show = |word: &Vec<u8>| {
        let text = word.escape_ascii().to_string();
        if text.is_empty() || text.contains(' ') { format!("\"{text}\"") } else { text }
    };
    request.iter().map(show).collect::<Vec<_>>().join(" ")
}

/// The bytes of a request.
pub(crate) fn encode(request: &Request) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", request.len()).into_bytes();
    for word in request {
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend(word);
        bytes.extend(b"\r\n");
    }
    bytes
}
