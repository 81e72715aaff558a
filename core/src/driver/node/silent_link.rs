//! A link whose server owes replies and sends nothing: is it dead, or is the server busy?
//!
//! The server is asked over a new link. A PING alone does not tell: a server may hold one client
//! back and answer others (CLIENT PAUSE WRITE, a module's command that runs in a thread), so it is
//! also asked what the silent connection waits for. A server that answers neither is busy with one
//! long command, or suspended, or cannot be reached; nothing tells these apart, and there is no
//! finding.
//!
//! Costs: one more connection to the server, only while a link is silent. Behind a proxy that
//! answers PING itself, a link counts as dead although the server behind may be busy.
//! Spec: redis.io/commands/client-list, "flags"; redis.io/commands/eval ("BUSY").

use crate::command::cmd;
use crate::connection::queue::Entry;
use crate::driver::environment::environment::Environment;
use crate::driver::link::io::finding;
use crate::driver::link::link::Link;
use crate::driver::link::submit::submit;
use crate::error::{Delivery, Error, ErrorKind};
use crate::resp::ServerError;
use crate::routing::error_policy::{ErrorOrigin, NodeFinding, reply_policy};
use crate::time::Timestamp;
use bytes::Bytes;
use std::sync::Arc;

/// A link that was just opened. Dropped before it is taken, it is closed.
pub(super) struct NewLink(Option<Arc<Link>>);

impl NewLink {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self(Some(link))
    }

    pub(super) fn take(mut self) -> Arc<Link> {
        self.0.take().expect("it is taken once")
    }
}

impl Drop for NewLink {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            link.close();
        }
    }
}

/// Decides between a silent link and the one that was dialled to replace it, and returns the one
/// that is to be used from now on. The silent one is lost before the other is returned: what was
/// given up on it is not to arrive behind later commands.
///
/// # Errors
/// `Connect` if the server does not answer over the new link either.
pub(super) async fn choose(
    env: &Environment,
    silent: Arc<Link>,
    dialled: Result<NewLink, Error>,
    deadline: Timestamp,
) -> Result<Arc<Link>, Error> {
    let (found, new) = match dialled {
        Err(error) if error.server_error().is_some_and(is_busy) => (finding::BUSY, None),
        Err(error) => return Err(error),
        Ok(new) => {
            let replies = match &new.0 {
                Some(link) if silent.is_silent() => ask(env, link, &silent, deadline).await?,
                _ => Vec::new(),
            };
            (judge(&replies), Some(new))
        }
    };
    silent.end_silence(found).await;
    match new {
        // It has been lost, unless it has made progress meanwhile.
        Some(new) if silent.is_closed() => Ok(new.take()),
        _ => Ok(silent),
    }
}

/// Asks over `link` whether the server has time, and what it knows of the silent link.
async fn ask(
    env: &Environment,
    link: &Arc<Link>,
    silent: &Link,
    deadline: Timestamp,
) -> Result<Vec<Bytes>, Error> {
    let mut commands = vec![cmd("PING")];
    if silent.client_id() != 0 {
        commands.push(cmd("CLIENT").arg("LIST").arg("ID").arg(silent.client_id()));
    }
    let len = commands.iter().map(|command| command.encoded_len()).sum();
    let entry = Entry { len, replies: commands.len() as u32, deadline };
    let write = |out: &mut Vec<u8>| commands.iter().for_each(|command| command.write_to(out));
    match submit(env, link, entry, &write).await? {
        Ok(replies) => Ok(replies.into_all()),
        Err(failed) => {
            let message = format!("no answer to PING while replies are owed: {}", failed.failure);
            let error = Error::new(ErrorKind::Connect, Delivery::NotSent, message);
            Err(error.with_endpoint(link.endpoint()))
        }
    }
}

/// What the replies to PING and CLIENT LIST say of the silent link.
fn judge(replies: &[Bytes]) -> u8 {
    let mut replies = replies.iter();
    let is_held_up = match replies.next() {
        Some(ping) if ServerError::from_frame(ping).is_some_and(|error| is_busy(&error)) => true,
        _ => replies.next().is_some_and(|line| is_blocked(line)),
    };
    if is_held_up { finding::BUSY } else { finding::DEAD }
}

/// Whether a server that says this takes no commands for now.
fn is_busy(error: &ServerError) -> bool {
    let node = reply_policy(error, ErrorOrigin::Server).node;
    matches!(node, NodeFinding::Busy | NodeFinding::Loading)
}

/// Whether the server holds back the client of this line of CLIENT LIST.
fn is_blocked(line: &[u8]) -> bool {
    const FLAGS: &[u8] = b" flags=";
    let at = line.windows(FLAGS.len()).position(|window| window == FLAGS);
    let flags = at.and_then(|at| line[at + FLAGS.len()..].split(|byte| *byte == b' ').next());
    flags.is_some_and(|flags| flags.contains(&b'b'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "id=7 addr=127.0.0.1:1 laddr=127.0.0.1:2 fd=8 name=b age=9 idle=9 flags=";

    /// A bulk string, or a verbatim one.
    fn line(flags: &str) -> String {
        let line = format!("{LINE}{flags} capa= db=0 sub=0 user=default cmd=incr\n");
        format!("${}\r\n{line}\r\n", line.len())
    }

    #[test]
    fn a_free_server_that_has_nothing_to_do_for_a_link_shows_that_it_is_dead() {
        let busy = "-BUSY Redis is busy running a script.\r\n".to_owned();
        let pong = || "+PONG\r\n".to_owned();
        let refused = "-NOPERM no permission\r\n".to_owned();
        let table = [
            (vec![pong(), line("N")], finding::DEAD),
            (vec![pong(), line("b")], finding::BUSY),
            (vec![pong(), line("xb")], finding::BUSY),
            // No such client.
            (vec![pong(), "$0\r\n\r\n".to_owned()], finding::DEAD),
            (vec![pong(), refused.clone()], finding::DEAD),
            (vec![refused, line("b")], finding::BUSY),
            (vec![pong()], finding::DEAD),
            (vec![busy.clone(), busy], finding::BUSY),
        ];
        for (replies, expected) in table {
            let frames: Vec<Bytes> = replies.iter().map(|text| text.clone().into()).collect();
            assert_eq!(judge(&frames), expected, "{replies:?}");
        }
    }
}
