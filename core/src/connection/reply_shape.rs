//! Which replies an entry may get, and what is wrong with others: the one place that decides
//! whether a connection is still in the state that all its users take it to be in.
//!
//! `+QUEUED` as a simple string means that the server queues commands for an EXEC. So it is right
//! inside of a transaction and nowhere else, but for commands whose words are not the server's: a
//! script may return it. A transaction's replies are right when each command was queued or refused
//! and EXEC has one result for each, null, or an error.
//!
//! **Invariants**: pure; any bytes give a verdict, never a panic. After `Err` nobody knows which
//! reply belongs to which command, or whether the server still queues: the connection is closed.
//! Spec: <https://redis.io/docs/latest/develop/interact/transactions/>, "Usage", "Errors inside a
//! transaction".

use crate::resp::{Elements, ErrorClass, ServerError, is_null};

/// The reply to a command that waits for EXEC.
const QUEUED: &[u8] = b"+QUEUED\r\n";
/// Bytes of a reply that an error shows.
const SHOWN_BYTES_MAX: usize = 60;

/// Which replies a new entry may get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Expected<'a> {
    /// Any but `+QUEUED`.
    #[default]
    Values,
    /// Any at all: a script or a module may speak for itself.
    Anything,
    /// Any but `+QUEUED`; any at all for the commands at these positions, ascending.
    ValuesBut(&'a [u32]),
    /// Those of a transaction of so many commands; `asking`: behind an ASKING.
    Transaction {
        /// Commands between MULTI and EXEC.
        commands: u32,
        /// Whether an ASKING stands before MULTI.
        asking: bool,
    },
}

impl<'a> Expected<'a> {
    /// Of several commands, of which those at these positions may be answered by anything.
    #[inline]
    pub(crate) fn values_but(exempt: &'a [u32]) -> Self {
        if exempt.is_empty() { Self::Values } else { Self::ValuesBut(exempt) }
    }
}

/// What a reply that is right means for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on.
    GoesOn,
    /// It takes no new commands: EXEC was refused in a way that may leave the transaction open, as
    /// Redis before 6.0.6 does.
    TakesNoMore,
}

/// The replies of an entry of which not all may be the same, so far.
#[derive(Debug)]
pub(crate) struct ReplyShape {
    /// Replies that have come.
    seen: u32,
    /// What they may be.
    kind: Kind,
}

/// See [`Expected`].
#[derive(Debug)]
enum Kind {
    /// See [`Expected::ValuesBut`].
    ValuesBut(Box<[u32]>),
    /// See [`Expected::Transaction`].
    Transaction {
        /// Commands between MULTI and EXEC.
        commands: u32,
        /// Replies before that to MULTI.
        before: u32,
        /// How MULTI was answered.
        multi: Multi,
        /// A command was refused while it was queued.
        has_refusal: bool,
    },
}

/// How MULTI was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Multi {
    /// By OK, or not yet.
    Accepted,
    /// By an error: the commands run one by one, and EXEC is refused.
    Refused,
}

/// Whether a reply says that its command waits for EXEC.
#[inline]
pub(crate) fn is_queued(frame: &[u8]) -> bool {
    frame.len() == QUEUED.len() && frame == QUEUED
}

/// What is wrong with a `+QUEUED` outside of a transaction.
#[cold]
pub(crate) fn queued_outside() -> String {
    "QUEUED outside of a transaction: the server queues commands that nobody will run".to_owned()
}

impl ReplyShape {
    /// `None` for an entry whose replies may all be the same.
    pub(crate) fn of(expected: Expected<'_>) -> Option<Self> {
        let kind = match expected {
            Expected::Values | Expected::Anything => return None,
            Expected::ValuesBut(exempt) => Kind::ValuesBut(exempt.into()),
            Expected::Transaction { commands, asking } => Kind::Transaction {
                commands,
                before: u32::from(asking),
                multi: Multi::Accepted,
                has_refusal: false,
            },
        };
        Some(Self { seen: 0, kind })
    }

    /// Judges the next reply.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn judge(&mut self, frame: &[u8]) -> Result<Verdict, String> {
        let at = self.seen;
        self.seen += 1;
        let queued = is_queued(frame);
        match &mut self.kind {
            Kind::ValuesBut(exempt) if queued && exempt.binary_search(&at).is_err() => {
                Err(queued_outside())
            }
            Kind::ValuesBut(_) => Ok(Verdict::GoesOn),
            Kind::Transaction { before, .. } if at < *before => {
                if queued {
                    Err(queued_outside())
                } else {
                    Ok(Verdict::GoesOn)
                }
            }
            Kind::Transaction { before, multi, .. } if at == *before => {
                match ServerError::from_frame(frame) {
                    Some(_) => {
                        *multi = Multi::Refused;
                        Ok(Verdict::GoesOn)
                    }
                    None if frame == b"+OK\r\n" => Ok(Verdict::GoesOn),
                    None => Err(format!("MULTI was answered by {}, not by OK", shown(frame))),
                }
            }
            Kind::Transaction { commands, before, multi, has_refusal } => {
                let number = at - *before;
                if number > *commands {
                    return judge_exec(frame, *commands, *multi, *has_refusal);
                }
                let refused = ServerError::from_frame(frame).is_some();
                *has_refusal |= refused;
                match multi {
                    Multi::Refused if queued => Err(queued_outside()),
                    Multi::Accepted if !queued && !refused => Err(format!(
                        "command {number} of a transaction was answered by {}, not by QUEUED",
                        shown(frame)
                    )),
                    Multi::Refused | Multi::Accepted => Ok(Verdict::GoesOn),
                }
            }
        }
    }
}

/// Judges the reply to EXEC.
fn judge_exec(
    frame: &[u8],
    commands: u32,
    multi: Multi,
    has_refusal: bool,
) -> Result<Verdict, String> {
    if let Some(error) = ServerError::from_frame(frame) {
        let is_over = multi == Multi::Refused || ends_transaction(&error);
        return Ok(if is_over { Verdict::GoesOn } else { Verdict::TakesNoMore });
    }
    if multi == Multi::Refused || has_refusal {
        let what = if has_refusal { "a command" } else { "MULTI" };
        return Err(format!("EXEC was answered by {}, though {what} was refused", shown(frame)));
    }
    match Elements::of(frame).filter(Elements::is_array) {
        Some(elements) if elements.len() == commands as usize => Ok(Verdict::GoesOn),
        Some(elements) => Err(format!(
            "EXEC was answered by {} results, though the transaction has {commands} commands",
            elements.len()
        )),
        None if is_null(frame) => Ok(Verdict::GoesOn),
        None => Err(format!("EXEC was answered by {}, not by a list of results", shown(frame))),
    }
}

/// Whether a server that answers EXEC so has surely left the transaction.
// spec: redis, src/server.c, processCommand: a redirect of EXEC discards the transaction; since
// 6.0.6, rejectCommand makes an EXECABORT of every other error.
fn ends_transaction(error: &ServerError) -> bool {
    matches!(
        error.class(),
        ErrorClass::TransactionAborted
            | ErrorClass::Moved
            | ErrorClass::Ask
            | ErrorClass::ClusterDown
            | ErrorClass::SlotSplit
    ) || error.message() == "EXEC without MULTI"
}

fn shown(frame: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&frame[..frame.len().min(SHOWN_BYTES_MAX)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdicts on all replies, or what is wrong with the first that is.
    fn judge(expected: Expected<'_>, replies: &[&str]) -> Result<Verdict, String> {
        let mut shape = ReplyShape::of(expected).expect("a shape");
        let mut last = Verdict::GoesOn;
        for reply in replies {
            last = shape.judge(format!("{reply}\r\n").as_bytes())?;
        }
        Ok(last)
    }

    const ABORT: &str = "-EXECABORT Transaction discarded because of previous errors.";
    const OK: &str = "+OK";
    const Q: &str = "+QUEUED";

    // spec: interact/transactions, "Errors inside a transaction"; redis, src/multi.c.
    #[test]
    fn what_servers_answer_to_a_transaction_is_right() {
        let table: &[[&str; 4]] = &[
            [OK, Q, Q, "*2\r\n:1\r\n:2"],
            [OK, Q, Q, "*2\r\n+QUEUED\r\n-ERR no"],
            [OK, Q, Q, "|1\r\n+k\r\n+v\r\n*2\r\n*1\r\n:1\r\n_"],
            [OK, Q, Q, "*-1"],
            [OK, Q, Q, "_"],
            [OK, Q, Q, "$-1"],
            [OK, Q, "-ERR unknown command", ABORT],
            [OK, Q, "!7\r\nERR no!", ABORT],
            [OK, "-MOVED 7 h:1", "-MOVED 7 h:1", ABORT],
            [OK, Q, Q, "-MOVED 7 h:1"],
            [OK, Q, Q, "-ASK 7 h:1"],
            [OK, Q, Q, "-TRYAGAIN later"],
            [OK, Q, Q, "-CLUSTERDOWN down"],
            [OK, Q, Q, "-EXECABORT Transaction discarded because of: LOADING"],
            ["-NOPERM multi", "-NOPERM get", "-NOPERM incr", "-ERR EXEC without MULTI"],
            ["-NOPERM multi", "$1\r\na", ":1", "-ERR EXEC without MULTI"],
            ["-NOPERM multi", "$1\r\na", ":1", "-NOPERM exec"],
            ["-LOADING", "-LOADING", "-LOADING", "-LOADING"],
        ];
        for replies in table {
            for asking in [false, true] {
                let all = [&["+OK"][usize::from(!asking)..], replies].concat();
                let expected = Expected::Transaction { commands: 2, asking };
                assert_eq!(judge(expected, &all), Ok(Verdict::GoesOn), "{all:?}");
            }
        }
    }

    /// Redis before 6.0.6 stays in the transaction after these.
    #[test]
    fn an_exec_that_is_refused_for_other_reasons_may_leave_the_transaction_open() {
        for error in ["-NOPERM exec", "-LOADING", "-OOM no", "-READONLY no", "-ERR no", "-"] {
            let expected = Expected::Transaction { commands: 1, asking: false };
            assert_eq!(judge(expected, &[OK, Q, error]), Ok(Verdict::TakesNoMore), "{error}");
        }
    }

    #[test]
    fn what_no_transaction_is_answered_by_is_told() {
        let table: &[(&[&str], &str)] = &[
            (&[Q], "MULTI was answered by \"+QUEUED\\r\\n\", not by OK"),
            (&["$2\r\nOK"], "MULTI was answered by"),
            (&["+Ok"], "MULTI was answered by"),
            (&["*2\r\n:1\r\n:2"], "MULTI was answered by"),
            (&[OK, OK], "command 1 of a transaction was answered by \"+OK\\r\\n\", not by QUEUED"),
            (&[OK, "$6\r\nQUEUED"], "command 1 of a transaction was answered by"),
            (&[OK, "+queued"], "command 1 of a transaction was answered by"),
            (&[OK, Q, ":1"], "command 2 of a transaction was answered by"),
            (&[OK, Q, "_"], "command 2 of a transaction was answered by"),
            (&[OK, Q, "*2\r\n:1\r\n:2"], "command 2 of a transaction was answered by"),
            (&[OK, Q, Q, Q], "EXEC was answered by \"+QUEUED\\r\\n\", not by a list of results"),
            (&[OK, Q, Q, OK], "EXEC was answered by \"+OK"),
            (&[OK, Q, Q, ":2"], "EXEC was answered by \":2"),
            (&[OK, Q, Q, "$3\r\nabc"], "EXEC was answered by"),
            (&[OK, Q, Q, "~2\r\n:1\r\n:2"], "EXEC was answered by"),
            (&[OK, Q, Q, "%1\r\n:1\r\n:2"], "EXEC was answered by"),
            (&[OK, Q, Q, "*0"], "EXEC was answered by 0 results, though the transaction has 2"),
            (&[OK, Q, Q, "*1\r\n:1"], "EXEC was answered by 1 results"),
            (&[OK, Q, Q, "*3\r\n:1\r\n:2\r\n:3"], "EXEC was answered by 3 results"),
            (&[OK, Q, "-ERR no", "*2\r\n:1\r\n:2"], "though a command was refused"),
            (&[OK, Q, "-ERR no", "*1\r\n:1"], "though a command was refused"),
            (&[OK, Q, "-ERR no", "_"], "though a command was refused"),
            (&["-NOPERM", Q], "QUEUED outside of a transaction"),
            (&["-NOPERM", ":1", ":2", "*2\r\n:1\r\n:2"], "though MULTI was refused"),
        ];
        for (replies, text) in table {
            for asking in [false, true] {
                let all = [&["-ERR no"][usize::from(!asking)..], replies].concat();
                let wrong = judge(Expected::Transaction { commands: 2, asking }, &all);
                assert!(wrong.as_ref().is_err_and(|w| w.contains(text)), "{all:?}: {wrong:?}");
            }
        }
        let asking = Expected::Transaction { commands: 1, asking: true };
        assert!(judge(asking, &[Q]).is_err());
    }

    #[test]
    fn only_a_simple_string_says_queued_and_scripts_may_say_it() {
        assert!(is_queued(b"+QUEUED\r\n"));
        for other in ["$6\r\nQUEUED\r\n", "+QUEUED \r\n", "+queued\r\n", "-QUEUED\r\n"] {
            assert!(!is_queued(other.as_bytes()), "{other:?}");
        }
        assert!(ReplyShape::of(Expected::Values).is_none());
        assert!(ReplyShape::of(Expected::Anything).is_none());
        let some = || Expected::ValuesBut(&[1, 3]);
        assert_eq!(judge(some(), &[":1", Q, "$6\r\nQUEUED", Q]), Ok(Verdict::GoesOn));
        assert!(judge(some(), &[":1", Q, Q]).is_err());
        assert!(judge(some(), &[Q]).is_err());
    }

    /// Any bytes at any place.
    #[test]
    fn no_bytes_make_it_panic() {
        let pieces =
            ["", "+", "*", "*2", "*-2\r\n", "*99999999999999999999\r\n", "|1\r\n", "-", "\r"];
        for first in pieces {
            for second in pieces {
                let expected = Expected::Transaction { commands: 1, asking: false };
                let mut shape = ReplyShape::of(expected).expect("a shape");
                for _ in 0..4 {
                    let _ = shape.judge(format!("{first}{second}").as_bytes());
                }
            }
        }
    }
}
