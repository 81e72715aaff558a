//! Each failure, for each kind of command, with attempts left or without.

use super::*;
use crate::command::{get, incr};
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
    ("UNBLOCKED", "later", "later", "later", Delivery::Refused),
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
        CallAction::RetryIfRepeatable => "undecided",
        CallAction::RetryAfterPause => "later",
    }
}

#[test]
fn a_command_is_tried_again_only_where_that_does_no_harm() {
    for (name, ordinary, repeatable, _, delivery) in TABLE {
        let failure = failure(name);
        let origin = ErrorOrigin::of(&incr("n"));
        assert_eq!(failure.delivery(origin), delivery, "{name}");
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
    for (name, ordinary, ..) in TABLE {
        assert_eq!(failure(name).is_redirect(), ordinary == "follow", "{name}");
    }
    // It has the code of a redirect, and leads nowhere: what to do about it is decided with those.
    assert!(failure("MOVED").is_redirect());
}
