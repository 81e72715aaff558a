//! Requests to the suite outside for what a component cannot do: processes, signals, files, free
//! addresses.
//!
//! A request is a list of strings, and so is its reply; each is sent behind its length. The other
//! side is `tests/tests/wasi/control.rs`. A request that fails there is a panic here.

use crate::background::nap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Separates strings; none contains it.
const SEPARATOR: &str = "\u{1f}";

/// The pause between two reads of a reply.
const PAUSE: Duration = Duration::from_millis(1);

static CONNECTION: Mutex<Option<TcpStream>> = Mutex::new(None);

/// Without a suite outside, prints that the tests are skipped and ends the component.
fn connect() -> TcpStream {
    let Ok(address) = std::env::var("SLOTCAR_CONTROL") else {
        println!("SKIPPED: SLOTCAR_CONTROL is not set; `cargo xtask wasi` runs the suites");
        std::process::exit(0);
    };
    let stream = TcpStream::connect(address).expect("the suite listens");
    stream.set_nonblocking(true).expect("sockets of components can");
    stream
}

/// Sends one request and returns its reply.
#[track_caller]
pub(crate) fn ask(words: &[&str]) -> Vec<String> {
    let mut connection = CONNECTION.lock().unwrap_or_else(PoisonError::into_inner);
    let stream = connection.get_or_insert_with(connect);
    let question = words.join(SEPARATOR);
    let length = u32::try_from(question.len()).expect("questions are short");
    let bytes = [&length.to_be_bytes(), question.as_bytes()].concat();
    stream.write_all(&bytes).expect("the suite listens");
    let mut length = [0; 4];
    read(stream, &mut length);
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    read(stream, &mut answer);
    let answer = String::from_utf8(answer).expect("answers are text");
    match answer.split_at_checked(1) {
        Some(("+", "")) => Vec::new(),
        Some(("+", answer)) => answer.split(SEPARATOR).map(str::to_owned).collect(),
        _ => panic!("{}: {answer}", words.join(" ")),
    }
}

/// Other work of the test runs meanwhile: some requests take long.
fn read(stream: &mut TcpStream, mut bytes: &mut [u8]) {
    while !bytes.is_empty() {
        match stream.read(bytes) {
            Ok(0) => panic!("the suite has gone"),
            Ok(count) => bytes = &mut bytes[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => nap(PAUSE),
            Err(error) => panic!("the suite: {error}"),
        }
    }
}

/// Sends one request whose reply is one string.
#[track_caller]
pub(crate) fn ask_one(words: &[&str]) -> String {
    ask(words).into_iter().next().unwrap_or_default()
}
