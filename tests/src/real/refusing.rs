//! A relay in front of a real server that refuses some commands: in any words, by silence, or by
//! hanging up.
//!
//! It reads one command at a time and passes the reply on as it came. **Limits**: pushes wait for
//! the reply to the next command; a command that waits at the server keeps the others waiting.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::script::{Command, Peer, Script};
use super::wire::{Conn, encode};

/// How a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The connection is closed.
    Hangup,
    /// An error with this text.
    Says(&'static str),
    /// No reply, and none to anything after it on this connection.
    Silence,
}

/// A relay; dropping it closes all its connections.
#[derive(Debug)]
pub struct Refusing {
    /// Reads what clients send.
    script: Script,
    /// Commands refused so far.
    count: Arc<AtomicUsize>,
}

impl Refusing {
    /// Leads to this server, and refuses commands that begin with one of these words.
    pub fn start(server: SocketAddr, refused: &[&'static str], how: How) -> Refusing {
        let (count, refused) = (Arc::new(AtomicUsize::new(0)), refused.to_vec());
        let counted = Arc::clone(&count);
        let script = Script::start(move |peer| {
            let Ok(mut conn) = Conn::open(server) else { return };
            while let Some(command) = peer.command() {
                if !refused.iter().any(|words| begins(&command, words)) {
                    if pass_on(&mut conn, peer, &command).is_none() {
                        return;
                    }
                    continue;
                }
                counted.fetch_add(1, Ordering::SeqCst);
                match how {
                    How::Hangup => return,
                    How::Says(text) => peer.send(format!("-{text}\r\n").as_bytes()),
                    How::Silence => peer.wait_for_close(),
                }
            }
        });
        Refusing { script, count }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.script.address()
    }

    /// Commands refused so far.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

/// Whether a command begins with these words.
fn begins(command: &Command, words: &str) -> bool {
    let mut sent = command.iter();
    words
        .split(' ')
        .all(|word| sent.next().is_some_and(|w| w.eq_ignore_ascii_case(word.as_bytes())))
}

/// Sends a command to the server and its reply to the client; `None` if the server has closed.
fn pass_on(conn: &mut Conn, peer: &mut Peer, command: &Command) -> Option<()> {
    let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
    conn.send_raw(&encode(&words)).ok()?;
    // Each channel is confirmed by itself, in RESP3 by a push.
    let confirmed = ["SUBSCRIBE", "UNSUBSCRIBE"].iter().any(|name| begins(command, name));
    let mut left = if confirmed { command.len() - 1 } else { 1 };
    while left > 0 {
        let bytes = conn.receive_bytes().ok()?;
        peer.send(&bytes);
        if confirmed || !bytes.starts_with(b">") {
            left -= 1;
        }
    }
    Some(())
}
