//! The table as text: one row for each code that servers send, and for each failure without one.

use super::*;

/// A row in short: call, delivery, refresh, node, and the flags that are set.
fn show(policy: ErrorPolicy) -> String {
    let call = match policy.call {
        CallAction::Fail => "fail",
        CallAction::FollowRedirect => "follow",
        CallAction::RetryNow => "now",
        CallAction::RetryIfRepeatable => "if-repeatable",
        CallAction::RetryAfterPause => "later",
        CallAction::RetryAfterPauseIfRepeatable => "later-if-repeatable",
        CallAction::Confirm => "confirm",
    };
    let refresh = policy.refresh.map_or("-".to_owned(), |reason| format!("{reason:?}"));
    let mut text = format!("{call} {:?} {refresh} {:?}", policy.delivery, policy.node);
    let flags = [
        (policy.node.is_strike(), " strike"),
        (policy.node.refuses_everything(), " refuses-all"),
        (policy.dial_again, " dial-again"),
        (policy.is_well, " well"),
        (policy.is_about_rights, " rights"),
        (policy.hello == HelloRefusal::Final, " hello-final"),
        (policy.hello == HelloRefusal::TryResp2WithPassword, " resp2-with-password"),
    ];
    flags.into_iter().filter(|(holds, _)| *holds).for_each(|(_, flag)| text.push_str(flag));
    text
}

/// Error replies as servers write them, and what follows from each.
#[test]
fn each_error_reply_has_its_row() {
    let plain = "fail Answered - Unchanged";
    let refused = "fail Refused - Unchanged";
    let table = [
        ("ASK 7 10.0.0.1:7", "follow Refused Moved Unchanged"),
        ("MOVED 7 10.0.0.1:7", "follow Refused Moved Unchanged"),
        (
            "BUSY Redis is busy running a script.",
            "later Refused - Busy strike refuses-all dial-again hello-final",
        ),
        ("CLUSTERDOWN Hash slot not served", "later Refused ClusterDown OutOfCluster strike"),
        (
            "LOADING Redis is loading the dataset in memory",
            "later Refused - Loading strike refuses-all dial-again hello-final",
        ),
        (
            "MASTERDOWN Link with MASTER is down",
            "later Refused NodeLost PrimaryLost strike refuses-all dial-again hello-final",
        ),
        (
            "READONLY You can't write against a read only replica.",
            "later Refused ReadOnly NotPrimary",
        ),
        (
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "later Refused - Unchanged dial-again",
        ),
        (
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> \
             replica?)",
            "later Refused ReadOnly NotPrimary",
        ),
        ("UNBLOCKED client unblocked via CLIENT UNBLOCK", plain),
        ("UNBLOCKED the stream key no longer exists", plain),
        (
            "NOAUTH Authentication required.",
            "fail Refused - AuthRequired refuses-all rights resp2-with-password",
        ),
        ("NOPERM this user has no permissions", "fail Refused - Unchanged well rights"),
        ("WRONGPASS invalid username-password pair", "fail Refused - Unchanged rights hello-final"),
        ("DENIED Redis is running in protected mode", "fail Refused - Unchanged hello-final"),
        ("EXECABORT Transaction discarded because of previous errors.", refused),
        ("MISCONF Errors writing to the AOF file", refused),
        ("NOREPLICAS Not enough good replicas to write.", refused),
        ("NOSCRIPT No matching script.", refused),
        ("NOTREADY not yet", refused),
        ("OOM command not allowed when used memory > 'maxmemory'.", refused),
        ("ERR unknown command 'FOO', with args beginning with: ", refused),
        ("NOPROTO unsupported protocol version", plain),
        ("ERR max number of clients reached", "fail Answered - Full dial-again hello-final"),
        ("ERR unknown subcommand 'SHARDS'. Try CLUSTER HELP.", plain),
        ("ERR No such master with that name", plain),
        ("NOGROUP No such key 's' or consumer group 'g'", plain),
        ("BUSYGROUP Consumer Group name already exists", plain),
        ("WRONGTYPE Operation against a key", plain),
        ("CROSSSLOT Keys in request don't hash to the same slot", plain),
        ("ERR value is not an integer or out of range", plain),
        ("CUSTOM said by a script", plain),
        ("", plain),
    ];
    for (text, row) in table {
        let error = ServerError::from_text(text.as_bytes());
        assert_eq!(show(reply_policy(&error, ErrorOrigin::Server)), row, "{text}");
    }
}

/// The same for a command that speaks for itself. Nothing is refused, and nothing is said of the
/// node or the topology.
#[test]
fn each_error_reply_of_a_script_has_its_row() {
    let plain = "fail Answered - Unchanged";
    let confirm = "confirm Answered - Unchanged";
    let later = "later-if-repeatable Answered - Unchanged";
    let table = [
        // To the letter as servers write it.
        ("ASK 7 10.0.0.1:7", confirm),
        ("MOVED 7 10.0.0.1:7", confirm),
        ("MOVED 7 :7", confirm),
        ("MOVED 7 fe80::1:7", confirm),
        ("TRYAGAIN Multiple keys request during rehashing of slot", later),
        (
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN \
             NOSAVE.",
            later,
        ),
        (
            "BUSY Valkey is busy running a script. You can only call FUNCTION KILL or SHUTDOWN \
             NOSAVE.",
            later,
        ),
        ("LOADING Redis is loading the dataset in memory", later),
        ("CLUSTERDOWN Hash slot not served", later),
        ("CLUSTERDOWN The cluster is down", later),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", later),
        // The codes with other words.
        ("ASK 7 10.0.0.1:7 please", plain),
        ("MOVED 7 10.0.0.1", plain),
        ("MOVED 99999 10.0.0.1:7", plain),
        ("MOVED to another house", plain),
        ("TRYAGAIN later", plain),
        ("BUSY job is locked", plain),
        ("BUSY Redis is busy running a script.", plain),
        ("LOADING", plain),
        ("CLUSTERDOWN said by a script", plain),
        ("MASTERDOWN x", plain),
        // Servers also raise these inside of a script that has begun to run.
        ("READONLY You can't write against a read only replica.", plain),
        ("OOM command not allowed when used memory > 'maxmemory'.", plain),
        ("NOREPLICAS Not enough good replicas to write.", plain),
        ("MISCONF Errors writing to the AOF file", plain),
        ("NOPERM User u has no permissions to run the 'eval' command", plain),
        // It does not matter to anybody who says these.
        ("NOAUTH Authentication required.", plain),
        ("WRONGPASS invalid username-password pair", plain),
        ("NOSCRIPT No matching script. Please use EVAL.", plain),
        ("NOPROTO unsupported protocol version", plain),
        ("NOTREADY not yet", plain),
        ("DENIED Redis is running in protected mode", plain),
        ("EXECABORT Transaction discarded because of previous errors.", plain),
        ("ERR max number of clients reached", plain),
        ("ERR unknown command 'FOO', with args beginning with: ", plain),
        ("UNBLOCKED force unblock from blocking operation, instance state changed", plain),
        ("NOGROUP x", plain),
        ("BUSYGROUP x", plain),
        ("WRONGTYPE x", plain),
        ("", plain),
    ];
    for (text, row) in table {
        let error = ServerError::from_text(text.as_bytes());
        assert_eq!(show(reply_policy(&error, ErrorOrigin::Command)), row, "{text}");
    }
}

#[test]
fn each_failure_without_a_reply_has_its_row() {
    use NoReplyClass as Class;
    let table = [
        (Class::NoConnection, false, "now NotSent NodeLost Unreachable strike"),
        (Class::HandshakeRefused, false, "fail NotSent NodeLost Unreachable strike"),
        (Class::NoLinkInTime, false, "fail NotSent NodeLost Unreachable strike"),
        (Class::OverLimit, false, "fail NotSent - Unchanged"),
        (Class::Closed, false, "fail NotSent - Unchanged"),
        (Class::Closed, true, "fail Unknown - Unchanged"),
        (Class::LinkLost, false, "now NotSent NodeLost Unreachable strike"),
        (Class::LinkLost, true, "if-repeatable Unknown NodeLost Unreachable strike"),
        (Class::LinkRetired, false, "now NotSent - Unchanged"),
        (Class::LinkRetired, true, "if-repeatable Unknown - Unchanged"),
        (Class::ProtocolViolated, false, "fail NotSent NodeLost Unchanged"),
        (Class::ProtocolViolated, true, "fail Unknown NodeLost Unchanged"),
        (Class::TimedOut, false, "fail NotSent NodeSilent Unchanged"),
        (Class::TimedOut, true, "fail Unknown NodeSilent Unchanged"),
        (Class::Final, true, "fail Unknown - Unchanged"),
    ];
    for (class, sent, row) in table {
        assert_eq!(show(no_reply_policy(class, sent)), row, "{class:?} {sent}");
    }
}

/// What is tried again whatever the command is has not run.
#[test]
fn nothing_is_repeated_that_may_have_run() {
    use NoReplyClass as Class;
    let codes = ["BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "TRYAGAIN", "ERR", ""];
    let replies = codes
        .iter()
        .map(|code| reply_policy(&ServerError::from_text(code.as_bytes()), ErrorOrigin::Server));
    let others = [Class::NoConnection, Class::LinkLost, Class::LinkRetired, Class::TimedOut];
    let others = others.iter().flat_map(|class| [true, false].map(|s| no_reply_policy(*class, s)));
    for policy in replies.chain(others) {
        let repeats = matches!(policy.call, CallAction::RetryNow | CallAction::RetryAfterPause);
        assert!(!(repeats && policy.delivery.may_have_run()), "{policy:?}");
    }
}
