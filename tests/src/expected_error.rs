//! The error that a test expects, checked field by field.
//!
//! A caller needs to know what went wrong, at which node, and whether the command may have run. So
//! each test of a fault checks the whole error.
//! **Invariant**: a field that the test does not mention must be empty.

use slotcar::{Delivery, Endpoint, Error, ErrorKind};
use std::error::Error as _;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// The texts of an error's causes, the direct cause first.
pub fn causes(error: &Error) -> Vec<String> {
    let mut texts = Vec::new();
    let mut cause = error.source();
    while let Some(below) = cause {
        texts.push(below.to_string());
        cause = below.source();
    }
    texts
}

/// An expected error.
#[derive(Clone, Debug)]
pub struct ExpectedError {
    /// The kind is one of these.
    kinds: Vec<ErrorKind>,
    /// The delivery is one of these.
    deliveries: Vec<Delivery>,
    /// The command's name.
    command: Option<String>,
    /// The node.
    endpoint: Option<Endpoint>,
    /// How many attempts there were.
    attempts: RangeInclusive<u32>,
    /// Parts of the error's text.
    words: Vec<String>,
    /// Parts of the texts of its causes.
    causes: Vec<String>,
    /// The code of the server's error.
    code: Option<String>,
}

impl ExpectedError {
    /// An error of this kind and delivery, without command, node, attempts and server error.
    pub fn new(kind: ErrorKind, delivery: Delivery) -> ExpectedError {
        ExpectedError {
            kinds: vec![kind],
            deliveries: vec![delivery],
            command: None,
            endpoint: None,
            attempts: 0..=0,
            words: Vec::new(),
            causes: Vec::new(),
            code: None,
        }
    }

    /// Also accepts this delivery: which one comes depends on what happens first.
    pub fn or(mut self, delivery: Delivery) -> ExpectedError {
        self.deliveries.push(delivery);
        self
    }

    /// Also accepts this kind: which one comes depends on what happens first.
    pub fn or_kind(mut self, kind: ErrorKind) -> ExpectedError {
        self.kinds.push(kind);
        self
    }

    /// The error names this command, tried once.
    pub fn command(mut self, name: &str) -> ExpectedError {
        self.command = Some(name.to_owned());
        self.attempts = 1..=1;
        self
    }

    /// The error names this node.
    pub fn at(self, address: SocketAddr) -> ExpectedError {
        self.at_endpoint(Endpoint::tcp(&address.ip().to_string(), address.port()))
    }

    /// The error names this node.
    pub fn at_endpoint(mut self, endpoint: Endpoint) -> ExpectedError {
        self.endpoint = Some(endpoint);
        self
    }

    /// The number of attempts is in this range.
    pub fn attempts(mut self, attempts: RangeInclusive<u32>) -> ExpectedError {
        self.attempts = attempts;
        self
    }

    /// The text contains these words.
    pub fn says(mut self, words: &str) -> ExpectedError {
        self.words.push(words.to_owned());
        self
    }

    /// The text of a cause contains these words.
    pub fn because(mut self, words: &str) -> ExpectedError {
        self.causes.push(words.to_owned());
        self
    }

    /// The error carries a server error with this code.
    pub fn code(mut self, code: &str) -> ExpectedError {
        self.code = Some(code.to_owned());
        self
    }

    /// Fails the test unless `error` has all of this and nothing else.
    #[track_caller]
    pub fn check(&self, error: &Error) {
        let text = error.to_string();
        assert!(self.kinds.contains(&error.kind()), "kind of {error:?}, wanted {self:?}");
        let delivery = error.delivery();
        assert!(self.deliveries.contains(&delivery), "delivery of {error:?}, wanted {self:?}");
        assert_eq!(error.command(), self.command.as_deref(), "command of {error:?}");
        assert_eq!(error.endpoint(), self.endpoint.as_ref(), "endpoint of {error:?}");
        let attempts = error.attempts();
        assert!(self.attempts.contains(&attempts), "{attempts} attempts of {error:?}: {self:?}");
        for words in &self.words {
            assert!(text.contains(words), "`{words}` is not in the text of {error:?}");
        }
        for name in self.command.iter().chain(&self.endpoint.as_ref().map(Endpoint::to_string)) {
            assert!(text.contains(name), "`{name}` is not in the text of {error:?}");
        }
        for words in &self.causes {
            let found = causes(error).iter().any(|cause| cause.contains(words));
            assert!(found, "`{words}` is in no cause of {error:?}");
        }
        let code = error.server_error().map(slotcar::ServerError::code);
        assert_eq!(code, self.code.as_deref(), "server's error of {error:?}");
    }

    /// Fails the test unless `result` is such an error.
    #[track_caller]
    pub fn check_err<T>(&self, result: Result<T, Error>) {
        match result {
            Ok(_) => panic!("no error, wanted {self:?}"),
            Err(error) => self.check(&error),
        }
    }
}
