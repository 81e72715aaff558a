//! What one errand writes on a link, in one piece, and what the replies to it mean: a command by
//! itself or a whole transaction, behind an ASKING where a redirect says so.
//!
//! Invariants: nothing comes between an ASKING and its command, or between MULTI and EXEC; a
//! transaction ends well only with the reply of its EXEC, and whatever else happened is told as
//! what it means: that nothing ran, unless the server let the commands run without their MULTI.
//! Spec: cluster-spec, "ASK redirection"; <https://redis.io/docs/latest/develop/interact/transactions/>,
//! "Errors inside a transaction". Called by `driver/dispatch.rs` and `driver/transaction.rs`.

use crate::command::{Command, cmd};
use crate::connection::outcome::Reply;
use crate::connection::queue::Entry;
use crate::driver::link::submit::{error_in, sole_reply};
use crate::error::{Delivery, Error};
use crate::resp::ServerError;
use crate::routing::error_policy::{ErrorOrigin, reply_policy};
use crate::routing::retry::AttemptFailure;
use crate::time::Timestamp;
use bytes::Bytes;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Payload<'a> {
    /// Written first, for a slot that is on its way to this node.
    asking: Option<Command>,
    /// What runs.
    contents: Contents<'a>,
}

/// What runs.
#[derive(Debug)]
enum Contents<'a> {
    /// A command by itself.
    Single(&'a Command),
    /// These, between a MULTI and an EXEC.
    Transaction(&'a [Command]),
}

impl<'a> Payload<'a> {
    /// `ask`: the node serves the slot only to those who ask.
    pub(crate) fn single(command: &'a Command, ask: bool) -> Self {
        Self { asking: ask.then(|| cmd("ASKING")), contents: Contents::Single(command) }
    }

    /// The same for a transaction. The server keeps an ASKING in force until EXEC.
    pub(crate) fn transaction(commands: &'a [Command], ask: bool) -> Self {
        Self { asking: ask.then(|| cmd("ASKING")), contents: Contents::Transaction(commands) }
    }

    /// Its size and how many replies it is owed.
    pub(crate) fn entry(&self, deadline: Timestamp) -> Entry {
        let (mut len, mut replies) = (0, 0);
        self.each(|command| {
            len += command.encoded_len();
            replies += 1;
        });
        Entry { len, replies, deadline }
    }

    /// Appends it as the server wants it.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        self.each(|command| command.write_to(out));
    }

    fn each(&self, mut each: impl FnMut(&Command)) {
        self.asking.iter().for_each(&mut each);
        match self.contents {
            Contents::Single(command) => each(command),
            Contents::Transaction(commands) => {
                each(&cmd("MULTI"));
                commands.iter().for_each(&mut each);
                each(&cmd("EXEC"));
            }
        }
    }

    /// The reply that answers it all, or what came instead.
    pub(crate) fn judge(&self, reply: Reply) -> Result<Bytes, AttemptFailure> {
        match self.contents {
            Contents::Single(_) => sole_reply(reply),
            Contents::Transaction(_) => {
                let frames = reply.into_all();
                judge_transaction(frames.get(usize::from(self.asking.is_some())..).unwrap_or(&[]))
            }
        }
    }
}

/// `frames` answer MULTI, each command, and EXEC.
fn judge_transaction(frames: &[Bytes]) -> Result<Bytes, AttemptFailure> {
    let (exec, queued) = frames.split_last().expect("a transaction has a reply of its EXEC");
    let Some(abort) = error_in(exec) else { return Ok(exec.clone()) };
    let mut errors = queued.iter().map(error_in);
    let without_multi = errors.clone().next().flatten();
    let cause = errors.find_map(|error| error).unwrap_or(abort);
    if without_multi.is_some() && queued.iter().skip(1).any(|frame| error_in(frame).is_none()) {
        // Without its MULTI, a command ran by itself.
        return Err(AttemptFailure::Final(Error::server(Delivery::Unknown, cause)));
    }
    Err(refusal(cause))
}

/// Nothing ran: whatever a command was refused with, EXEC refused all of them.
fn refusal(cause: ServerError) -> AttemptFailure {
    // What the server says to a command that it queues is its own word.
    match reply_policy(&cause, ErrorOrigin::Server).delivery {
        Delivery::Refused => AttemptFailure::ErrorReply(cause),
        _ => AttemptFailure::Final(Error::server(Delivery::Refused, cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{get, incr};
    use crate::error::ErrorKind;

    fn frames(lines: &[&str]) -> Reply {
        Reply::Many(lines.iter().map(|line| Bytes::from(format!("{line}\r\n"))).collect())
    }

    fn written(parcel: &Payload<'_>) -> String {
        let mut out = Vec::new();
        parcel.write_to(&mut out);
        let entry = parcel.entry(Timestamp::ZERO);
        assert_eq!(entry.len, out.len());
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches('*').count(), entry.replies as usize);
        text.split("\r\n").filter(|word| word.starts_with(|c: char| c.is_alphabetic())).fold(
            String::new(),
            |all, word| {
                if all.is_empty() { word.to_owned() } else { format!("{all} {word}") }
            },
        )
    }

    // ASKING stands before MULTI: within one, it would be queued like any command.
    #[test]
    fn all_is_written_in_one_piece() {
        let commands = [get("k"), incr("n")];
        assert_eq!(written(&Payload::single(&commands[0], false)), "GET k");
        assert_eq!(written(&Payload::single(&commands[0], true)), "ASKING GET k");
        let transaction = Payload::transaction(&commands, false);
        assert_eq!(written(&transaction), "MULTI GET k INCR n EXEC");
        let transaction = Payload::transaction(&commands, true);
        assert_eq!(written(&transaction), "ASKING MULTI GET k INCR n EXEC");
    }

    // What the server answers to MULTI, two commands and EXEC, and what it means.
    #[test]
    fn a_transaction_is_judged_as_a_whole() {
        let commands = [get("k"), incr("n")];
        let judge = |lines: &[&str]| Payload::transaction(&commands, false).judge(frames(lines));
        let all = ["+OK", "+QUEUED", "+QUEUED", "*2\r\n$1\r\na\r\n:1"];
        assert_eq!(judge(&all).unwrap(), "*2\r\n$1\r\na\r\n:1\r\n");
        // Somebody changed what was watched.
        assert_eq!(judge(&["+OK", "+QUEUED", "+QUEUED", "_"]).unwrap(), "_\r\n");
        let abort = "-EXECABORT Transaction discarded because of previous errors.";
        let cases = [
            // While queueing, and at EXEC itself, after the slot has left.
            (["+OK", "+QUEUED", "-MOVED 7 10.0.0.1:7", abort], "MOVED", None),
            (["+OK", "+QUEUED", "+QUEUED", "-ASK 7 10.0.0.1:7"], "ASK", None),
            (["+OK", "-READONLY it is", "-READONLY it is", abort], "READONLY", None),
            (["+OK", "-ERR unknown subcommand", "+QUEUED", abort], "ERR", Some(Delivery::Refused)),
            (["-NOPERM multi", "-NOPERM get", "-NOPERM incr", "-ERR EXEC"], "NOPERM", None),
            (["-NOPERM multi", "$1\r\na", ":1", "-ERR EXEC"], "NOPERM", Some(Delivery::Unknown)),
        ];
        for (lines, code, ended) in cases {
            match (judge(&lines).unwrap_err(), ended) {
                (AttemptFailure::ErrorReply(error), None) => {
                    assert_eq!(error.code(), code, "{lines:?}")
                }
                (AttemptFailure::Final(error), Some(delivery)) => {
                    assert_eq!((error.kind(), error.delivery()), (ErrorKind::Server, delivery));
                    assert_eq!(error.server_error().unwrap().code(), code, "{lines:?}");
                }
                (seen, _) => panic!("{lines:?}: {seen:?}"),
            }
        }
    }

    #[test]
    fn an_answer_to_asking_is_no_answer() {
        let command = get("k");
        let reply = frames(&["+OK", "$1\r\na"]);
        assert_eq!(Payload::single(&command, true).judge(reply).unwrap(), "$1\r\na\r\n");
        let commands = [command];
        let reply = frames(&["+OK", "+OK", "+QUEUED", "*1\r\n$1\r\na"]);
        assert_eq!(Payload::transaction(&commands, true).judge(reply).unwrap().len(), 11);
    }
}
