//! What one attempt writes to a link in one piece, and what the replies mean: a command or a whole
//! transaction, behind an ASKING after an ASK redirect.
//!
//! **Invariants**: nothing is written between an ASKING and its command, nor between MULTI and
//! EXEC; a transaction succeeds only with the reply to EXEC. In all other cases nothing ran, unless
//! the server refused MULTI and ran the commands one by one. Replies that a transaction cannot have
//! never come here: they end the connection (`connection/reply_shape.rs`).
//! Spec: cluster-spec, "ASK redirection"; <https://redis.io/docs/latest/develop/interact/transactions/>,
//! "Errors inside a transaction".

use crate::command::{Command, cmd};
use crate::connection::outcome::{Outcome, Replies};
use crate::connection::queue::Entry;
use crate::connection::reply_shape::Expected;
use crate::driver::environment::environment::Environment;
use crate::driver::link::link::Link;
use crate::driver::link::submit::{error_in, sole_reply, submit_expecting};
use crate::error::{Delivery, Error};
use crate::resp::ServerError;
use crate::routing::error_policy::{ErrorOrigin, reply_policy};
use crate::routing::retry::AttemptFailure;
use crate::time::Timestamp;
use bytes::Bytes;
use std::sync::Arc;

/// What one attempt writes.
#[derive(Debug)]
pub(crate) struct Payload<'a> {
    /// Written first, for a slot that this node imports.
    asking: Option<Command>,
    /// The command or the transaction.
    contents: Contents<'a>,
}

/// The command or the transaction.
#[derive(Debug)]
enum Contents<'a> {
    /// One command.
    Single(&'a Command),
    /// These commands, between MULTI and EXEC.
    Transaction(&'a [Command]),
}

impl<'a> Payload<'a> {
    /// `ask`: the node imports the slot, and serves it only behind an ASKING.
    pub(crate) fn single(command: &'a Command, ask: bool) -> Self {
        Self { asking: ask.then(|| cmd("ASKING")), contents: Contents::Single(command) }
    }

    /// The same for a transaction. On the server an ASKING stays in force until EXEC.
    pub(crate) fn transaction(commands: &'a [Command], ask: bool) -> Self {
        Self { asking: ask.then(|| cmd("ASKING")), contents: Contents::Transaction(commands) }
    }

    /// Its length and the number of its replies.
    pub(crate) fn entry(&self, deadline: Timestamp) -> Entry {
        let (mut len, mut replies) = (0, 0);
        self.each(|command| {
            len += command.encoded_len();
            replies += 1;
        });
        Entry { len, replies, deadline }
    }

    /// Sends it, and waits for its replies.
    ///
    /// # Errors
    /// It was never enqueued.
    pub(crate) async fn submit(
        &self,
        env: &Environment,
        link: &Arc<Link>,
        deadline: Timestamp,
    ) -> Result<Outcome, Error> {
        let write = |out: &mut Vec<u8>| self.write_to(out);
        let terms = (self.expected(), false);
        submit_expecting(env, link, self.entry(deadline), terms, &write).await
    }

    /// Which replies it may get.
    pub(crate) fn expected(&self) -> Expected<'static> {
        match self.contents {
            Contents::Single(command) => expected_of(command),
            Contents::Transaction(commands) => Expected::Transaction {
                commands: u32::try_from(commands.len())
                    .expect("the number of commands in a transaction is limited"),
                asking: self.asking.is_some(),
            },
        }
    }

    /// Appends it, encoded for the server.
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

    /// The reply to the command or to EXEC, or how the attempt failed.
    pub(crate) fn judge(&self, reply: Replies) -> Result<Bytes, AttemptFailure> {
        match self.contents {
            Contents::Single(_) => sole_reply(reply),
            Contents::Transaction(_) => {
                let frames = reply.into_all();
                judge_transaction(frames.get(usize::from(self.asking.is_some())..).unwrap_or(&[]))
            }
        }
    }
}

/// Which reply a command may get.
#[inline]
pub(crate) fn expected_of(command: &Command) -> Expected<'static> {
    if may_say_queued(command) { Expected::Anything } else { Expected::Values }
}

/// Whether `+QUEUED` may be the reply to a command that is not queued: its words may be those of a
/// script, a function or a module. None of them goes straight.
#[inline]
pub(crate) fn may_say_queued(command: &Command) -> bool {
    !command.goes_straight() && ErrorOrigin::of(command) == ErrorOrigin::Command
}

/// `frames` are the replies to MULTI, to each command, and to EXEC.
fn judge_transaction(frames: &[Bytes]) -> Result<Bytes, AttemptFailure> {
    let (exec, queued) = frames.split_last().expect("a transaction has a reply of its EXEC");
    let Some(abort) = error_in(exec) else { return Ok(exec.clone()) };
    let mut errors = queued.iter().map(error_in);
    let without_multi = errors.clone().next().flatten();
    let cause = errors.find_map(|error| error).unwrap_or(abort);
    if without_multi.is_some() && queued.iter().skip(1).any(|frame| error_in(frame).is_none()) {
        // MULTI was refused, so that a command ran on its own.
        return Err(AttemptFailure::Final(Error::server(Delivery::Unknown, cause)));
    }
    Err(refusal(cause))
}

/// Nothing ran: when a command is refused while it is queued, EXEC refuses all of them.
fn refusal(cause: ServerError) -> AttemptFailure {
    // What the server says to a command that it queues is its own word.
    match reply_policy(&cause, ErrorOrigin::Server).delivery {
        Delivery::Refused => AttemptFailure::Refusal(cause),
        _ => AttemptFailure::Final(Error::server(Delivery::Refused, cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{get, incr};
    use crate::error::ErrorKind;

    fn frames(lines: &[&str]) -> Replies {
        Replies::Many(lines.iter().map(|line| Bytes::from(format!("{line}\r\n"))).collect())
    }

    fn written(payload: &Payload<'_>) -> String {
        let mut out = Vec::new();
        payload.write_to(&mut out);
        let entry = payload.entry(Timestamp::ZERO);
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

    // ASKING is written before MULTI: after it, the server would queue it like any command.
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

    // What the server answers to MULTI, to two commands and to EXEC, and what that means.
    #[test]
    fn a_transaction_is_judged_as_a_whole() {
        let commands = [get("k"), incr("n")];
        let judge = |lines: &[&str]| Payload::transaction(&commands, false).judge(frames(lines));
        let all = ["+OK", "+QUEUED", "+QUEUED", "*2\r\n$1\r\na\r\n:1"];
        assert_eq!(judge(&all).unwrap(), "*2\r\n$1\r\na\r\n:1\r\n");
        // A watched key was changed.
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
                (AttemptFailure::Refusal(error), None) => {
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
