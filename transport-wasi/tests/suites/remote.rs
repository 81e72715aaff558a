//! Asks the outside for what a component cannot do: processes, signals, files, free addresses.
//!
//! A question is a list of words, an answer another one, each behind its length. The other side is
//! `tests/tests/wasi/control.rs`. A question that fails there is a panic here, with its words.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};

/// Between words, of which none holds it.
const SEPARATOR: &str = "\u{1f}";

static CONNECTION: Mutex<Option<TcpStream>> = Mutex::new(None);

/// Ends the component with a loud word where nobody listens.
fn connect() -> TcpStream {
    let Ok(address) = std::env::var("SLOTCAR_CONTROL") else {
        println!("SKIPPED: SLOTCAR_CONTROL is not set; `cargo xtask wasi` runs the suites");
        std::process::exit(0);
    };
    TcpStream::connect(address).expect("the suite listens")
}

/// One question, and the words of its answer.
#[track_caller]
pub(crate) fn ask(words: &[&str]) -> Vec<String> {
    let mut connection = CONNECTION.lock().unwrap_or_else(PoisonError::into_inner);
    let stream = connection.get_or_insert_with(connect);
    let question = words.join(SEPARATOR);
    let length = u32::try_from(question.len()).expect("questions are short");
    let bytes = [&length.to_be_bytes(), question.as_bytes()].concat();
    stream.write_all(&bytes).expect("the suite listens");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("the suite answers");
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).expect("the suite answers");
    let answer = String::from_utf8(answer).expect("answers are text");
    match answer.split_at_checked(1) {
        Some(("+", answer)) => answer.split(SEPARATOR).map(str::to_owned).collect(),
        _ => panic!("{}: {answer}", words.join(" ")),
    }
}

/// One question with one word for an answer.
#[track_caller]
pub(crate) fn ask_one(words: &[&str]) -> String {
    ask(words).swap_remove(0)
}
