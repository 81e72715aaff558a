//! What an error has to tell, checked field by field.
//!
//! A failed call is only worth something to its caller when it says what went wrong, where, and
//! whether the command may have run: so every test of a fault checks all of it, and a field that
//! the test does not mention must be empty. Used by the suites about one server.

use slotcar::{Delivery, Endpoint, Error, ErrorKind};
use std::error::Error as _;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// The texts of everything below an error, from the top.
pub fn causes(error: &Error) -> Vec<String> {
    let mut texts = Vec::new();
    let mut cause = error.source();
    while let Some(below) = cause {
        texts.push(below.to_string());
        cause = below.source();
    }
    texts
}

/// What an error has to tell; see the head of this file.
#[derive(Clone, Debug)]
pub struct Told {
    /// Of any of these kinds.
    kinds: Vec<ErrorKind>,
    /// With any of these.
    deliveries: Vec<Delivery>,
    /// The command's name.
    command: Option<String>,
    /// The node.
    endpoint: Option<Endpoint>,
    /// How often it was tried.
    attempts: RangeInclusive<u32>,
    /// What the text says.
    words: Vec<String>,
    /// What some cause below it says.
    causes: Vec<String>,
    /// The code of the server's error.
    code: Option<String>,
}

impl Told {
    /// An error of this kind, that names nothing.
    pub fn new(kind: ErrorKind, delivery: Delivery) -> Told {
        Told {
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

    /// A delivery that is right as well: which one it is depends on who was faster.
    pub fn or(mut self, delivery: Delivery) -> Told {
        self.deliveries.push(delivery);
        self
    }

    /// A kind that is right as well: which one it is depends on who was faster.
    pub fn or_kind(mut self, kind: ErrorKind) -> Told {
        self.kinds.push(kind);
        self
    }

    /// Names this command, tried once.
    pub fn command(mut self, name: &str) -> Told {
        self.command = Some(name.to_owned());
        self.attempts = 1..=1;
        self
    }

    /// Names this node.
    pub fn at(self, address: SocketAddr) -> Told {
        self.at_endpoint(Endpoint::tcp(&address.ip().to_string(), address.port()))
    }

    /// Names this node.
    pub fn at_endpoint(mut self, endpoint: Endpoint) -> Told {
        self.endpoint = Some(endpoint);
        self
    }

    /// Was tried so often.
    pub fn attempts(mut self, attempts: RangeInclusive<u32>) -> Told {
        self.attempts = attempts;
        self
    }

    /// Says this.
    pub fn says(mut self, words: &str) -> Told {
        self.words.push(words.to_owned());
        self
    }

    /// Has a cause that says this.
    pub fn because(mut self, words: &str) -> Told {
        self.causes.push(words.to_owned());
        self
    }

    /// Carries the server's error with this code.
    pub fn code(mut self, code: &str) -> Told {
        self.code = Some(code.to_owned());
        self
    }

    /// Fails the test unless `error` tells all of it.
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

    /// [`Told::check`] for the error of a result that must be one.
    #[track_caller]
    pub fn check_err<T>(&self, result: Result<T, Error>) {
        match result {
            Ok(_) => panic!("no error, wanted {self:?}"),
            Err(error) => self.check(&error),
        }
    }
}
