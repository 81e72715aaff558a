//! Each failure, for each kind of command, with attempts left or without.

use super::*;
use crate::command::{Learned, cmd, get, incr};
use crate::error::Delivery;
use crate::resp::plain_value;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Failures by name: error replies, lost connections before and after all bytes were written, and
/// what can be wrong before there is a connection.
fn failure(name: &str) -> AttemptFailure {
    let (what, written) = match name.strip_suffix(" unsent") {
        Some(what) => (what, 7),
        None => (name, 8),
    };
    let lost = |lost| Failure::Lost(Arc::new(lost));
    let failure = match what {
        "timed out" => Failure::TimedOut,
        "by peer" => lost(Lost::ByPeer),
        "by us" => lost(Lost::ByUs),
        "panicked" => lost(Lost::Panicked),
        "retired" => lost(Lost::Retired),
        "turned away" => lost(Lost::TurnedAway("ERR max number of clients reached".into())),
        "io" => lost(Lost::Io(io::ErrorKind::ConnectionReset.into())),
        "no progress" => lost(Lost::NoProgress(Duration::from_secs(1))),
        "protocol" => lost(Lost::Protocol("?".into())),
        "final" => {
            return AttemptFailure::Final(Error::new(ErrorKind::Server, Delivery::Unknown, "x"));
        }
        _ => match what.strip_prefix("no link: ") {
            None => return AttemptFailure::ErrorReply(ServerError::from_text(what.as_bytes())),
            Some(kind) => {
                let kinds = [
                    ErrorKind::Closed,
                    ErrorKind::Config,
                    ErrorKind::Connect,
                    ErrorKind::Handshake,
                    ErrorKind::Limit,
                    ErrorKind::Protocol,
                    ErrorKind::Timeout,
                ];
                let kind = kinds.into_iter().find(|k| format!("{k:?}") == kind).expect(kind);
                return AttemptFailure::NoLink(Error::new(kind, Delivery::NotSent, "x"));
            }
        },
    };
    AttemptFailure::NoReply(Box::new(Failed { failure, replies: Vec::new(), written, len: 8 }))
}

/// Name, what an ordinary command does, what one does that may run twice, what a read under a
/// policy does, and whether it may have run.
const TABLE: [(&str, &str, &str, &str, Delivery); 31] = [
    ("MOVED 7 10.0.0.1:7", "follow", "follow", "follow", Delivery::Refused),
    ("ASK 7 10.0.0.1:7", "follow", "follow", "follow", Delivery::Refused),
    ("BUSY", "later", "later", "now", Delivery::Refused),
    ("CLUSTERDOWN", "later", "later", "now", Delivery::Refused),
    ("LOADING", "later", "later", "now", Delivery::Refused),
    ("MASTERDOWN", "later", "later", "now", Delivery::Refused),
    ("READONLY", "later", "later", "fail", Delivery::Refused),
    ("TRYAGAIN", "later", "later", "later", Delivery::Refused),
    ("UNBLOCKED client unblocked", "fail", "fail", "fail", Delivery::Answered),
    ("NOAUTH", "fail", "fail", "fail", Delivery::Refused),
    ("ERR no", "fail", "fail", "fail", Delivery::Answered),
    ("no link: Connect", "now", "now", "now", Delivery::NotSent),
    ("no link: Handshake", "fail", "fail", "now", Delivery::NotSent),
    ("no link: Config", "fail", "fail", "now", Delivery::NotSent),
    ("no link: Timeout", "fail", "fail", "now", Delivery::NotSent),
    ("no link: Limit", "fail", "fail", "fail", Delivery::NotSent),
    ("no link: Closed", "fail", "fail", "fail", Delivery::NotSent),
    ("no link: Protocol", "fail", "fail", "fail", Delivery::NotSent),
    ("timed out", "fail", "fail", "fail", Delivery::Unknown),
    ("timed out unsent", "fail", "fail", "fail", Delivery::NotSent),
    ("by peer", "fail", "now", "now", Delivery::Unknown),
    ("by peer unsent", "now", "now", "now", Delivery::NotSent),
    ("turned away unsent", "now", "now", "now", Delivery::NotSent),
    ("io", "fail", "now", "now", Delivery::Unknown),
    ("no progress", "fail", "now", "now", Delivery::Unknown),
    ("panicked", "fail", "now", "now", Delivery::Unknown),
    ("retired", "fail", "now", "now", Delivery::Unknown),
    ("by us", "fail", "fail", "fail", Delivery::Unknown),
    ("protocol", "fail", "fail", "fail", Delivery::Unknown),
    ("protocol unsent", "now", "now", "now", Delivery::NotSent),
    ("final", "fail", "fail", "fail", Delivery::Unknown),
];

fn show(action: CallAction) -> &'static str {
    match action {
        CallAction::Fail => "fail",
        CallAction::FollowRedirect => "follow",
        CallAction::RetryNow => "now",
        CallAction::RetryAfterPause => "later",
        CallAction::Confirm
        | CallAction::RetryAfterPauseIfRepeatable
        | CallAction::RetryIfRepeatable => "undecided",
    }
}

#[test]
fn a_command_is_tried_again_only_where_that_does_no_harm() {
    for (name, ordinary, repeatable, _, delivery) in TABLE {
        let failure = failure(name);
        let origin = ErrorOrigin::of(&incr("n"));
        assert_eq!(failure.policy(origin).delivery, delivery, "{name}");
        for (readonly, retry_unknown) in
            [(false, false), (true, false), (false, true), (true, true)]
        {
            for is_spent in [false, true] {
                let context = RetryContext { readonly, retry_unknown, is_spent };
                let wanted = if readonly || retry_unknown { repeatable } else { ordinary };
                let wanted = if is_spent && wanted != "follow" { "fail" } else { wanted };
                let action = decide(failure.policy(origin), context);
                assert_eq!(show(action), wanted, "{name} {context:?}");
            }
        }
    }
}

/// A read under a policy has other nodes to go to: what speaks against one of them does not end it.
#[test]
fn a_read_under_a_policy_goes_to_another_node() {
    for (name, .., wanted, _) in TABLE {
        let policy = failure(name).policy(ErrorOrigin::of(&get("k")));
        assert_eq!(show(decide_read(policy, false)), wanted, "{name}");
        let late = if wanted == "follow" { "follow" } else { "fail" };
        assert_eq!(show(decide_read(policy, true)), late, "{name} after the deadline");
    }
}

#[test]
fn only_moved_and_ask_are_redirects() {
    let is_redirect = |name: &str| failure(name).redirect(ErrorOrigin::Server).is_some();
    for (name, ordinary, ..) in TABLE {
        assert_eq!(is_redirect(name), ordinary == "follow", "{name}");
    }
    // It has the code of a redirect, and leads nowhere: what to do about it is decided with those.
    assert!(is_redirect("MOVED"));
    let words = failure("MOVED 7 10.0.0.1:7");
    assert!(words.redirect(ErrorOrigin::Command).is_none(), "unless the server confirms it");
}

/// Scripts, functions, modules and what no table knows; not commands that only manage those.
#[test]
fn commands_that_speak_for_themselves() {
    let own = [
        "EVAL",
        "evalsha",
        "EVAL_RO",
        "EVALSHA_RO",
        "FCALL",
        "FCALL_RO",
        "JSON.SET",
        "my.cmd",
        "FUTURECOMMAND",
        "DEBUG ERROR",
    ];
    for name in own {
        assert_eq!(ErrorOrigin::of(&cmd(name)), ErrorOrigin::Command, "{name}");
    }
    let servers = [
        "GET",
        "INCR",
        "EXEC",
        "PUBLISH",
        "CONFIG SET",
        "SCRIPT LOAD",
        "SCRIPT KILL",
        "FUNCTION LOAD",
        "MIGRATE",
        "XREADGROUP",
        "BLPOP",
        "CLIENT UNBLOCK",
        "COMMAND INFO",
    ];
    for name in servers {
        assert_eq!(ErrorOrigin::of(&cmd(name)), ErrorOrigin::Server, "{name}");
    }
    let mut learned = cmd("MY.CMD").arg("k");
    let info = b"*1\r\n*6\r\n$6\r\nmy.cmd\r\n:2\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n";
    let info = plain_value(&bytes::Bytes::from_static(info)).unwrap();
    learned.learn(&Learned::parse(&info).unwrap());
    assert!(!learned.is_unknown(), "a server has described it");
    assert_eq!(ErrorOrigin::of(&learned), ErrorOrigin::Command);
}

/// Whatever a script says: it is repeated only if it does no harm that it runs twice.
#[test]
fn a_script_is_not_repeated_for_what_it_says() {
    let texts = [
        "BUSY job is locked",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "LOADING Redis is loading the dataset in memory",
        "CLUSTERDOWN The cluster is down",
        "READONLY You can't write against a read only replica.",
        "MOVED 7 10.0.0.1:7",
        "TRYAGAIN Multiple keys request during rehashing of slot",
    ];
    for text in texts {
        let policy = failure(text).policy(ErrorOrigin::Command);
        let context = RetryContext { readonly: false, retry_unknown: false, is_spent: false };
        assert_eq!(show(decide(policy, context)), "fail", "{text}");
        assert_eq!(policy.delivery, Delivery::Answered, "{text}");
        // Confirmed, it is the server's.
        let refusal = AttemptFailure::Refusal(ServerError::from_text(text.as_bytes()));
        let server = failure(text).policy(ErrorOrigin::Server);
        assert_eq!(refusal.policy(ErrorOrigin::Command), server, "{text}");
    }
}
