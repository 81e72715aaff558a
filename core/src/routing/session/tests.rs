//! Which commands of the table are about their own connection: every one of them is decided here.
//!
//! A command that servers add and that is neither here nor harmless fails the first test when the
//! table is written anew.

use super::*;
use crate::command::{cmd, every_name, get};

/// Change what later commands on the connection mean, or whether they are answered.
const CHANGE: &[&str] = &[
    "ASKING",
    "AUTH",
    "CLIENT REPLY",
    "CLUSTER SYNCSLOTS",
    "DISCARD",
    "EXEC",
    "HELLO",
    "MONITOR",
    "MULTI",
    "PSUBSCRIBE",
    "PSYNC",
    "PUNSUBSCRIBE",
    "QUIT",
    "READONLY",
    "READWRITE",
    "REPLCONF",
    "RESET",
    "SCRIPT DEBUG",
    "SELECT",
    "SSUBSCRIBE",
    "SUBSCRIBE",
    "SUNSUBSCRIBE",
    "SYNC",
    "UNSUBSCRIBE",
    "UNWATCH",
    "WATCH",
];

/// Speak about their connection, or change how the server treats it.
const SPEAK: &[&str] = &[
    "CLIENT",
    "CLIENT CACHING",
    "CLIENT CAPA",
    "CLIENT IMPORT-SOURCE",
    "CLIENT NO-EVICT",
    "CLIENT NO-TOUCH",
    "CLIENT SETINFO",
    "CLIENT SETNAME",
    "CLIENT TRACKING",
    "WAIT",
    "WAITAOF",
];

/// End or show what keeps a connection busy.
const URGENT: &[&str] = &[
    "CLIENT KILL",
    "CLIENT UNBLOCK",
    "CLIENT UNPAUSE",
    "FAILOVER",
    "FUNCTION KILL",
    "FUNCTION STATS",
    "SCRIPT KILL",
    "SHUTDOWN",
];

/// The other subcommands of CLIENT: they only read the connection, or are about others.
const OTHERS_OF_CLIENT: &[&str] = &[
    "CLIENT GETNAME",
    "CLIENT GETREDIR",
    "CLIENT HELP",
    "CLIENT ID",
    "CLIENT INFO",
    "CLIENT LIST",
    "CLIENT PAUSE",
    "CLIENT TRACKINGINFO",
];

/// Goal: every command has one kind, and no subcommand of CLIENT has none.
#[test]
fn every_command_of_the_table_has_the_kind_that_was_decided_for_it() {
    let all = every_name();
    for name in &all {
        let (command, listed) = (cmd(name).arg("x"), |list: &[&str]| list.contains(&name.as_str()));
        let flags = command.spec().flags();
        assert_eq!(flags.contains(Flags::SESSION), listed(CHANGE), "{name}");
        assert_eq!(flags.contains(Flags::CONNECTION), listed(SPEAK), "{name}");
        assert_eq!(command.is_urgent(), listed(URGENT), "{name}");
        assert_eq!(refusal(&command).is_some(), listed(CHANGE) || listed(SPEAK), "{name}");
        let kinds = [CHANGE, SPEAK, URGENT, OTHERS_OF_CLIENT];
        let count = kinds.iter().filter(|kind| listed(kind)).count();
        assert!(count == 1 || (count == 0 && !name.starts_with("CLIENT")), "{name}: {count}");
        let goes_straight = command.goes_straight();
        assert!(!goes_straight || count == 0 || listed(OTHERS_OF_CLIENT), "{name}");
    }
    for name in [CHANGE, SPEAK, URGENT, OTHERS_OF_CLIENT].concat() {
        assert!(all.iter().any(|known| known == name), "{name} is not in the table");
    }
}

/// Goal: however the words of a command are given, its kind is the same.
#[test]
fn the_kind_does_not_depend_on_how_the_name_is_written() {
    for name in CHANGE.iter().chain(SPEAK) {
        let (first, second) = name.split_once(' ').unwrap_or((name, ""));
        let case = |word: &str, upper: bool| -> String {
            let each = word.chars().enumerate();
            each.map(|(at, c)| if upper == (at % 2 == 0) { c } else { c.to_ascii_lowercase() })
                .collect()
        };
        let mixed = |word: &str| [word.to_owned(), word.to_lowercase(), case(word, true)];
        for (first, second) in mixed(first).iter().zip(mixed(second)) {
            let mut ways =
                vec![cmd(&format!("{first} {second}")), cmd(&format!(" {first}  {second} "))];
            if !second.is_empty() {
                ways.push(cmd(first).arg(second.as_str()));
                ways.push(cmd(first).arg(second.as_bytes()).arg("x"));
                ways.push(cmd(first).args([second.as_str(), "x"]));
                ways.push(cmd(first).key(second.as_str()));
                ways.push(cmd(first).keys_from([second.as_bytes()]));
            }
            for way in ways {
                let error = refusal(&way).unwrap_or_else(|| panic!("{first} {second}"));
                assert_eq!(error.command(), Some(*name));
            }
        }
    }
}

/// Goal: every command of the kinds, with what to use instead.
#[test]
fn the_error_says_what_to_use_instead() {
    let table = [
        ("select", "Config::database"),
        ("AUTH", "Config::username"),
        ("HELLO", "Config::username"),
        ("MULTI", "Client::transaction"),
        ("exec", "Client::transaction"),
        ("DISCARD", "Client::transaction"),
        ("WATCH", "Client::watch"),
        ("UNWATCH", "Client::watch"),
        ("SUBSCRIBE", "Client::subscribe"),
        ("ssubscribe", "Client::subscribe"),
        ("PUNSUBSCRIBE", "Client::subscribe"),
        ("READONLY", "Client::with_read_from"),
        ("QUIT", "Client::close"),
        ("ASKING", "followed by the client"),
        ("CLIENT REPLY", "take their replies away"),
        ("SCRIPT DEBUG", "change the connection"),
        ("MONITOR", "change the connection"),
        ("RESET", "change the connection"),
        ("PSYNC", "change the connection"),
        ("CLUSTER SYNCSLOTS", "change the connection"),
        ("WAIT", "Pipeline::wait_replicas"),
        ("WAIT", "Transaction::wait_replicas"),
        ("wait", "Call::wait_replicas"),
        ("WAITAOF", "Pipeline::wait_aof"),
        ("CLIENT SETNAME", "Config::client_name"),
        ("CLIENT SETINFO", "Config::client_name"),
        ("CLIENT TRACKING", "Client::psubscribe"),
        ("CLIENT CACHING", "Client::psubscribe"),
        ("CLIENT CAPA", "Config::deployment"),
        ("CLIENT NO-EVICT", "maxmemory-clients"),
        ("CLIENT NO-TOUCH", "outside of this client"),
        ("CLIENT IMPORT-SOURCE", "outside of this client"),
    ];
    for (name, way) in table {
        let error = refusal(&cmd(name).arg("x")).expect(name);
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Config, Delivery::NotSent));
        let text = error.to_string();
        assert!(text.contains(way) && text.contains(&name.to_uppercase()), "{name}: {text}");
    }
}

/// Goal: a subcommand of CLIENT that a newer server adds is refused until it is decided.
#[test]
fn an_unknown_subcommand_of_client_is_refused() {
    let table = [
        ("CLIENT MAINT_NOTIFICATIONS", "Config::deployment"),
        ("client maint_notifications", "Config::deployment"),
        ("CLIENT FUTURE", "unknown subcommand of CLIENT"),
        ("CLIENT", "unknown subcommand of CLIENT"),
    ];
    for (name, way) in table {
        let error = refusal(&cmd(name)).expect(name);
        assert!(error.to_string().contains(way), "{error}");
    }
    assert!(refusal(&cmd("CLIENT").arg("")).is_some());
}

#[test]
fn what_only_reads_or_concerns_data_is_not_refused() {
    let names = ["CLIENT ID", "client info", "CONFIG RESETSTAT", "SCRIPT LOAD", "PING"];
    for name in names.iter().chain(OTHERS_OF_CLIENT).chain(URGENT) {
        assert!(refusal(&cmd(name).arg("x")).is_none(), "{name}");
    }
    assert!(refusal(&get("k")).is_none());
    assert!(refusal(&cmd("FUTURE.COMMAND")).is_none());
}
