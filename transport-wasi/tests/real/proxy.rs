//! A proxy that breaks connections, seen from a component: it runs outside.
//!
//! The twin of the native file of that name, which documents it.

use super::remote::ask;
use std::net::SocketAddr;
use std::time::Duration;

/// What a proxy does to connections.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the native harness has the words")]
pub enum Fault {
    AcceptAndClose,
    Answer { bytes: Vec<u8>, close: bool },
    BlackHole,
    CutRepliesAfter(u64),
    CutRequestsAfter(u64),
    Delay(Duration),
    HoldReplies,
    OneByte,
    Pass,
    Refuse,
}

impl Fault {
    /// The fault as a name and a parameter, as in `tests/tests/wasi/control.rs`.
    fn words(&self) -> [String; 2] {
        let (word, with) = match self {
            Fault::AcceptAndClose => ("accept_and_close", String::new()),
            Fault::Answer { bytes, close } => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                (if *close { "answer_and_close" } else { "answer" }, hex)
            }
            Fault::BlackHole => ("black_hole", String::new()),
            Fault::CutRepliesAfter(bytes) => ("cut_replies_after", bytes.to_string()),
            Fault::CutRequestsAfter(bytes) => ("cut_requests_after", bytes.to_string()),
            Fault::Delay(delay) => ("delay", delay.as_micros().to_string()),
            Fault::HoldReplies => ("hold_replies", String::new()),
            Fault::OneByte => ("one_byte", String::new()),
            Fault::Pass => ("pass", String::new()),
            Fault::Refuse => ("refuse", String::new()),
        };
        [word.to_owned(), with]
    }
}

/// A proxy; dropping it closes all its connections.
#[derive(Debug)]
pub struct Proxy {
    /// Its id outside.
    id: String,
    /// Where it listens.
    address: SocketAddr,
}

impl Proxy {
    /// A proxy in front of a server, passing everything.
    pub fn to(target: SocketAddr) -> Proxy {
        let (id, address) = started(&["proxy", &target.to_string()]);
        Proxy { id, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL of a standalone server.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Changes the fault; it holds when this returns.
    pub fn set(&self, fault: Fault) {
        let [word, with] = fault.words();
        ask(&["fault", &self.id, &word, &with]);
    }

    /// Lets everything pass again, also what was held back.
    pub fn clear(&self) {
        self.set(Fault::Pass);
    }

    /// Sends new connections to another server.
    pub fn retarget(&self, target: SocketAddr) {
        ask(&["retarget", &self.id, &target.to_string()]);
    }

    /// Closes all open connections; both sides see an orderly end.
    pub fn cut_now(&self) {
        ask(&["cut_now", &self.id]);
    }

    /// Resets all open connections: both sides see an error, not an end.
    pub fn reset_now(&self) {
        ask(&["reset_now", &self.id]);
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> u64 {
        self.counts()[0]
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        usize::try_from(self.counts()[1]).expect("it is a small number")
    }

    /// Bytes handed to the server so far.
    pub fn request_bytes(&self) -> u64 {
        self.counts()[2]
    }

    /// Bytes handed to clients so far.
    pub fn reply_bytes(&self) -> u64 {
        self.counts()[3]
    }

    fn counts(&self) -> Vec<u64> {
        let words = ask(&["counts", &self.id]);
        words.iter().map(|word| word.parse().expect("a number")).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        ask(&["drop", &self.id]);
    }
}

/// An address that swallows connection attempts for as long as it lives.
#[derive(Debug)]
pub struct Unreachable {
    /// Its id outside.
    id: String,
    /// The address that does not answer.
    address: SocketAddr,
}

impl Unreachable {
    /// Opens one.
    pub fn open() -> Unreachable {
        let (id, address) = started(&["unreachable"]);
        Unreachable { id, address }
    }

    /// The address that does not answer.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Unreachable {
    fn drop(&mut self) {
        ask(&["drop", &self.id]);
    }
}

fn started(question: &[&str]) -> (String, SocketAddr) {
    let address = ask(question);
    let [id, address] = address.as_slice() else { panic!("{address:?}: an id, an address") };
    (id.clone(), address.parse().expect("an address"))
}
