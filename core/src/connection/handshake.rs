//! What a connection says before it carries commands, and how the answers are judged.
//!
//! The first flight goes out in one write: HELLO with credentials and name, CLIENT SETINFO, SELECT,
//! READONLY or ROLE.
//! A server that does not know HELLO, or not version 3, or does not allow it, gets a second flight
//! in RESP2. A connection whose handshake is not whole carries nothing: a command must never run in
//! the wrong database or as the wrong user.
//!
//! Spec: HELLO (redis.io/commands/hello), CLIENT SETINFO (its rejection is ignored: servers before
//! 7.2 do not know it). Called by `driver/dial.rs` for every new connection.

use crate::command::{Command, cmd};
use crate::config::{Config, Deployment, Protocol, Secret};
use crate::resp::{FrameKind, ServerError, frame_kind, plain_value};
use crate::routing::error_policy::{ErrorOrigin, HelloRefusal, reply_policy};
use bytes::Bytes;

/// What kind of server a connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Any data server.
    Server,
    /// A server that sentinels call the primary: it has to say so itself.
    Primary,
    /// A cluster's replica: it serves reads only to those who say that old data will do.
    Replica,
    /// A sentinel, with credentials of its own.
    Sentinel,
}

/// What the handshake of one connection must reach.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    /// User and password; the user defaults to the server's.
    credentials: Option<(Option<String>, String)>,
    /// For CLIENT LIST.
    client_name: Option<String>,
    /// Selected when it is not 0.
    database: u32,
    /// Whether the server must say that it is a primary.
    primary: bool,
    /// Whether reads of a replica are wanted.
    readonly: bool,
    /// The flight that is out.
    stage: Stage,
    /// What each command of that flight was for.
    steps: Vec<Step>,
}

/// ```text
/// Resp3 ──HELLO refused──► Resp2
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// HELLO 3 is tried.
    Resp3,
    /// The protocol of old: AUTH and CLIENT SETNAME on their own.
    Resp2,
}

/// What a command of a flight is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Version 3, credentials and name in one.
    Hello,
    /// Must succeed; named in the error if it does not.
    Required(&'static str),
    /// ROLE, which must name a primary.
    Primary,
    /// Nice to have.
    Ignored,
}

/// What to do after a flight was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The connection may carry commands.
    Ready,
    /// Another flight is needed.
    Again,
}

/// A step that failed.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The command that the server refused.
    pub(crate) step: &'static str,
    /// What it said; `None` when the answer was no error but made no sense.
    pub(crate) error: Option<ServerError>,
}

impl Handshake {
    pub(crate) fn new(config: &Config, profile: Profile) -> Self {
        let (username, password) = match (&config.deployment, profile) {
            (Deployment::Sentinel { username, password, .. }, Profile::Sentinel) => {
                (username, password)
            }
            _ => (&config.username, &config.password),
        };
        let clear = |password: &Secret| (username.clone(), password.expose().to_owned());
        let stage = match config.protocol {
            Protocol::Resp3 => Stage::Resp3,
            Protocol::Resp2 => Stage::Resp2,
        };
        Self {
            credentials: password.as_ref().map(clear),
            client_name: config.client_name.clone(),
            database: if profile == Profile::Sentinel { 0 } else { config.database },
            primary: profile == Profile::Primary,
            readonly: profile == Profile::Replica,
            stage,
            steps: Vec::new(),
        }
    }

    /// Whether commands may follow without waiting for the answers: no credentials, no name, no
    /// database depend on them. A server that does not know HELLO then simply goes on in RESP2.
    pub(crate) fn is_harmless(&self) -> bool {
        self.credentials.is_none()
            && self.client_name.is_none()
            && self.database == 0
            && !self.primary
    }

    /// The commands of the next flight, to be written in one piece.
    pub(crate) fn flight(&mut self) -> Vec<Command> {
        let mut commands = Vec::with_capacity(4);
        // Said once; but a server with a password does not listen to strangers.
        let says_who = self.steps.is_empty() || self.credentials.is_some();
        self.steps.clear();
        let mut push = |step, command| {
            self.steps.push(step);
            commands.push(command);
        };
        match self.stage {
            Stage::Resp3 => {
                let mut hello = cmd("HELLO").arg("3");
                if let Some((user, password)) = &self.credentials {
                    let user = user.as_deref().unwrap_or("default");
                    hello = hello.arg("AUTH").arg(user).arg(password.as_str());
                }
                if let Some(name) = &self.client_name {
                    hello = hello.arg("SETNAME").arg(name.as_str());
                }
                push(Step::Hello, hello);
            }
            Stage::Resp2 => {
                if let Some((user, password)) = &self.credentials {
                    let mut auth = cmd("AUTH");
                    if let Some(user) = user {
                        auth = auth.arg(user.as_str());
                    }
                    push(Step::Required("AUTH"), auth.arg(password.as_str()));
                }
                if let Some(name) = &self.client_name {
                    let command = cmd("CLIENT").arg("SETNAME").arg(name.as_str());
                    push(Step::Required("CLIENT SETNAME"), command);
                }
            }
        }
        if says_who {
            let info = |key, value| cmd("CLIENT").arg("SETINFO").arg(key).arg(value);
            push(Step::Ignored, info("LIB-NAME", "slotcar"));
            push(Step::Ignored, info("LIB-VER", env!("CARGO_PKG_VERSION")));
        }
        if self.database != 0 {
            push(Step::Required("SELECT"), cmd("SELECT").arg(self.database));
        }
        // Refused, reads end in redirects, which tell as much: nothing waits for the answer.
        // spec: cluster-spec, "Scaling reads using replica nodes"
        if self.readonly {
            push(Step::Ignored, cmd("READONLY"));
        }
        if self.primary {
            push(Step::Primary, cmd("ROLE"));
        }
        commands
    }

    /// Judges the answers to the last flight, which may be fewer than its commands when the
    /// connection was lost meanwhile.
    pub(crate) fn handle_replies(&mut self, replies: &[Bytes]) -> Result<Next, Refusal> {
        for (step, reply) in self.steps.iter().zip(replies) {
            let refused = frame_kind(reply) == FrameKind::Error;
            match step {
                Step::Ignored => {}
                Step::Hello if !refused => {}
                Step::Hello => {
                    let error = ServerError::from_frame(reply);
                    if error
                        .as_ref()
                        .is_some_and(|e| speaks_resp2_only(e, self.credentials.is_some()))
                    {
                        self.stage = Stage::Resp2;
                        return Ok(Next::Again);
                    }
                    return Err(Refusal { step: "HELLO", error });
                }
                Step::Required(_) if !refused => {}
                Step::Primary if !refused => check_role(reply)?,
                Step::Primary => {
                    return Err(Refusal { step: "ROLE", error: ServerError::from_frame(reply) });
                }
                Step::Required(step) => {
                    return Err(Refusal { step, error: ServerError::from_frame(reply) });
                }
            }
        }
        Ok(Next::Ready)
    }
}

/// The reply to ROLE: a list that begins with the role's name on the wire.
fn check_role(reply: &Bytes) -> Result<(), Refusal> {
    let role = plain_value(reply).ok();
    let first = role.as_ref().and_then(|role| role.as_slice()?.first()?.as_str());
    if first == Some("master") { Ok(()) } else { Err(Refusal { step: "ROLE", error: None }) }
}

/// Whether HELLO was refused as a command, rather than the credentials in it.
fn speaks_resp2_only(error: &ServerError, knows_password: bool) -> bool {
    match reply_policy(error, ErrorOrigin::Server).hello {
        HelloRefusal::TryResp2 => true,
        HelloRefusal::TryResp2WithPassword => knows_password,
        HelloRefusal::Final => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A greeting is queued as one entry, and an entry is owed a reply: it cannot be empty.
    #[test]
    fn the_first_flight_says_who_we_are_in_both_protocols() {
        for protocol in [Protocol::Resp3, Protocol::Resp2] {
            let mut handshake =
                Handshake::new(&Config { protocol, ..Config::default() }, Profile::Server);
            assert!(handshake.is_harmless());
            let names: Vec<String> = handshake.flight().iter().map(Command::name).collect();
            assert!(names.ends_with(&["CLIENT SETINFO".into(), "CLIENT SETINFO".into()]));
            assert_eq!(names[0] == "HELLO", protocol == Protocol::Resp3);
        }
    }
}
