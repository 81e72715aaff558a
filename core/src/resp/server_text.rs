//! The errors that servers write to the letter when they refuse a command before it runs.
//!
//! A script, a function or a module may answer with any text, and most use a server's codes with
//! words of their own (`BUSY job is locked`). Where the words of a command and those of the server
//! have to be told apart, only what is here can be the server's.
//!
//! **Invariants**: pure; what is not to the letter as servers write it is not the server's. The
//! texts are those of Redis 6.0 to 8.0 and Valkey 8.0 to 9.1, as the tests against real servers
//! record them in `server_text/recorded.txt` (`tests/tests/words/recorded.rs`).
//! Not here: READONLY, OOM, MISCONF, NOREPLICAS, NOPERM. Servers also raise these inside of a
//! script that has begun to run, and the script may pass them on to the letter.

use super::error_class::ErrorClass;
use super::server_error::ServerError;

/// All of them but redirects, which name a slot and a node.
const TEXTS: [&str; 11] = [
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "BUSY Valkey is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
    "BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "CLUSTERDOWN Hash slot not served",
    "CLUSTERDOWN The cluster is down",
    "CLUSTERDOWN The cluster is down and only accepts read commands",
    "LOADING Redis is loading the dataset in memory",
    "LOADING Valkey is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "TRYAGAIN Multiple keys request during rehashing of slot",
];

/// What servers say to EVALSHA about a digest that they do not know: Redis, and Valkey.
const UNKNOWN_SCRIPT: [&str; 2] =
    ["NOSCRIPT No matching script. Please use EVAL.", "NOSCRIPT No matching script."];

impl ServerError {
    /// Whether a server that refuses a command before it runs writes exactly this.
    pub(crate) fn is_server_text(&self) -> bool {
        if matches!(self.class(), ErrorClass::Ask | ErrorClass::Moved) {
            let words = self.message().split(' ').count();
            return words == 2 && matches!(self.redirect(), Some(Ok(_)));
        }
        TEXTS.contains(&self.text())
    }

    /// Whether a server writes exactly this about a digest that it does not know.
    pub(crate) fn is_unknown_script(&self) -> bool {
        UNKNOWN_SCRIPT.contains(&self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> ServerError {
        ServerError::from_text(text.as_bytes())
    }

    /// What servers say to the letter before a command runs is in the table, but for what they also
    /// raise inside of a script.
    #[test]
    fn what_servers_were_heard_to_say_is_known() {
        let recorded = include_str!("server_text/recorded.txt");
        let texts = |when: &'static str| {
            recorded.lines().filter_map(move |line| line.strip_prefix(when)?.strip_prefix(' '))
        };
        let waits = ["BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "TRYAGAIN"];
        for text in texts("before") {
            let error = said(text);
            assert_eq!(error.is_server_text(), waits.contains(&error.code()), "{text}");
            assert_eq!(error.is_unknown_script(), error.code() == "NOSCRIPT", "{text}");
        }
        for text in texts("inside") {
            assert!(!said(text).is_server_text(), "{text}");
        }
        assert!(texts("before").count() > 15 && texts("inside").count() > 3);
    }

    #[test]
    fn other_words_are_not() {
        for text in ["BUSY", "BUSY job", "busy Redis is busy", "TRYAGAIN", "NOSCRIPT", ""] {
            assert!(!said(text).is_server_text() && !said(text).is_unknown_script(), "{text}");
        }
        for text in ["MOVED 1 h:1", "ASK 16383 :6379", "MOVED 1 ?:1"] {
            assert!(said(text).is_server_text(), "{text}");
        }
        for text in ["MOVED 1 h:1 x", "MOVED  1 h:1", "ASK 1", "MOVED 99999 h:1", "ASK 1 h:0"] {
            assert!(!said(text).is_server_text(), "{text}");
        }
    }
}
