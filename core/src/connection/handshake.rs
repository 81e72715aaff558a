//! The commands of a connection's handshake, and what follows from the replies.
//!
//! The first flight is written in one piece: HELLO with credentials and name, CLIENT SETINFO,
//! SELECT, READONLY or ROLE, CLUSTER MYID. A server that refuses HELLO, in any words but those
//! about the credentials, gets a second flight in RESP2. All but credentials and database are
//! courtesies (`courtesy.rs`): what is refused is done without.
//!
//! **Invariants**: a connection carries no command before its handshake is complete, because a
//! command must never run in the wrong database, as the wrong user or on the wrong server. A server
//! that cannot say who it is because it is loading or busy gets none either; one that does not know
//! CLUSTER MYID or ROLE, or forbids it, is taken as it is. Credentials are never left out: a
//! refusal of AUTH or of the credentials in HELLO ends the handshake.
//!
//! Spec: HELLO (redis.io/commands/hello), CLIENT SETINFO (servers before 7.2 do not know it),
//! CLUSTER MYID (since 3.0).

use crate::command::{Command, cmd};
use crate::config::{Config, Deployment, Protocol, Secret};
use crate::connection::courtesy::{Courtesy, Withheld};
use crate::resp::{ServerError, plain_value};
use crate::routing::error_policy::{ErrorOrigin, HelloRefusal, NodeFinding, reply_policy};
use crate::topology::identity::Identity;
use crate::topology::node_id::NodeId;
use bytes::Bytes;

/// The kind of server that a connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Any data server.
    Server,
    /// A server that sentinels name the primary: its ROLE reply has to confirm that.
    Primary,
    /// A cluster's replica: it serves reads only to connections that have sent READONLY.
    Replica,
    /// A sentinel, with credentials of its own.
    Sentinel,
}

/// The handshake of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    /// User and password. Without a user, the server's default user is meant.
    credentials: Option<(Option<String>, String)>,
    /// The name that CLIENT LIST shows.
    client_name: Option<String>,
    /// The database; selected if it is not 0.
    database: u32,
    /// Whether the server must confirm that it is a primary.
    primary: bool,
    /// Whether a step may be refused because the server runs a script.
    tolerates_busy: bool,
    /// Whether READONLY is sent, for reads from a replica.
    readonly: bool,
    /// Whether the server is asked who it is.
    asks_identity: bool,
    /// What it answered.
    identity: Option<Identity>,
    /// How it refused READONLY.
    readonly_refusal: Option<ServerError>,
    /// What the server is not told.
    withheld: Withheld,
    /// The protocol of the current flight.
    stage: Stage,
    /// What each command of that flight is for.
    steps: Vec<HandshakeStep>,
}

/// ```text
/// Resp3 ──HELLO refused──► Resp2
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// HELLO 3 is tried.
    Resp3,
    /// RESP2, with AUTH and CLIENT SETNAME as separate commands.
    Resp2,
}

/// What a command of the handshake is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HandshakeStep {
    /// Must succeed. The error names it if it does not.
    Required(&'static str),
    /// May be refused.
    Courtesy(Courtesy),
}

/// What follows after a flight was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The handshake is complete: the connection may carry commands.
    Complete,
    /// Another flight is needed.
    NextFlight,
}

/// A step of the handshake that failed.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The command that the server refused.
    pub(crate) step: &'static str,
    /// The server's error; `None` if the reply was not an error, but not a valid reply either.
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
            // `redis://:@host` is a template without a password.
            credentials: password
                .as_ref()
                .map(clear)
                .filter(|(user, password)| user.is_some() || !password.is_empty()),
            client_name: config.client_name.clone(),
            database: if profile == Profile::Sentinel { 0 } else { config.database },
            primary: profile == Profile::Primary,
            tolerates_busy: false,
            readonly: profile == Profile::Replica,
            asks_identity: false,
            identity: None,
            readonly_refusal: None,
            withheld: Withheld::NONE,
            stage,
            steps: Vec::new(),
        }
    }

    /// The same, which also asks the server who it is. For nodes of clusters.
    pub(crate) fn asking_identity(self) -> Self {
        Self { asks_identity: true, ..self }
    }

    /// The same, which does not say these courtesies.
    pub(crate) fn withholding(self, withheld: Withheld) -> Self {
        Self { withheld, ..self }
    }

    /// Who the server says it is, `None` if it was not asked; and how it refused READONLY, if it
    /// did.
    pub(crate) fn into_told(self) -> (Option<Identity>, Option<ServerError>) {
        (self.identity, self.readonly_refusal)
    }

    /// What to leave out for a server that hangs up, or falls silent, after so many replies to this
    /// flight: the courtesy that it did not answer. `None` if that was none, or if it had answered
    /// nothing to a client that had not introduced itself: it may be gone.
    pub(crate) fn unanswered(&self, replies: usize) -> Option<Withheld> {
        let more = match self.steps.get(replies)? {
            _ if replies == 0 => Withheld::INTRODUCTION,
            HandshakeStep::Courtesy(courtesy) => match Withheld::of(*courtesy) {
                one if one.within(Withheld::INTRODUCTION) == one => Withheld::INTRODUCTION,
                one => one.within(Withheld::OF_HANDSHAKE),
            },
            HandshakeStep::Required(_) => return None,
        };
        let said = |step: &HandshakeStep| match step {
            HandshakeStep::Courtesy(courtesy) => more.has(*courtesy),
            HandshakeStep::Required(_) => false,
        };
        self.steps.iter().any(said).then_some(more)
    }

    /// The same, for a connection that is to end what keeps the server busy: a busy server takes
    /// AUTH and HELLO, and refuses SELECT, ROLE and CLIENT.
    // spec: <https://redis.io/commands/script-kill/>; the flag `allow_busy` of COMMAND.
    pub(crate) fn tolerating_busy(self) -> Self {
        Self { tolerates_busy: true, ..self }
    }

    /// Whether commands may be sent before the replies have come, because there are no credentials,
    /// no name and no database to set. A server that does not know HELLO then goes on in RESP2.
    pub(crate) fn can_precede_commands(&self) -> bool {
        self.credentials.is_none()
            && self.client_name.is_none()
            && self.database == 0
            && !self.primary
    }

    /// The commands of the next flight, to be written in one piece.
    pub(crate) fn flight(&mut self) -> Vec<Command> {
        let mut commands = Vec::with_capacity(5);
        // Sent once. But a server that wants a password ignores it until then.
        let sends_info = self.steps.is_empty() || self.credentials.is_some();
        self.steps.clear();
        let withheld = self.withheld;
        if self.asks_identity && withheld.has(Courtesy::MyId) {
            self.identity = Some(Identity::Untold);
        }
        let mut push = |step, command| {
            if !matches!(step, HandshakeStep::Courtesy(it) if withheld.has(it)) {
                self.steps.push(step);
                commands.push(command);
            }
        };
        if withheld.has(Courtesy::Hello) {
            self.stage = Stage::Resp2;
        }
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
                push(HandshakeStep::Courtesy(Courtesy::Hello), hello);
            }
            Stage::Resp2 => {
                if let Some((user, password)) = &self.credentials {
                    let mut auth = cmd("AUTH");
                    if let Some(user) = user {
                        auth = auth.arg(user.as_str());
                    }
                    push(HandshakeStep::Required("AUTH"), auth.arg(password.as_str()));
                } else if withheld.has_all(Withheld::INTRODUCTION) {
                    // That it answers this is the only proof that it is there.
                    push(HandshakeStep::Courtesy(Courtesy::Ping), Courtesy::Ping.command());
                }
                if let Some(name) = &self.client_name {
                    let command = Courtesy::SetName.command().arg(name.as_str());
                    push(HandshakeStep::Courtesy(Courtesy::SetName), command);
                }
            }
        }
        if sends_info {
            let info = |key, value| Courtesy::SetInfo.command().arg(key).arg(value);
            let step = HandshakeStep::Courtesy(Courtesy::SetInfo);
            push(step, info("LIB-NAME", "slotcar"));
            push(step, info("LIB-VER", env!("CARGO_PKG_VERSION")));
        }
        if self.database != 0 {
            push(HandshakeStep::Required("SELECT"), cmd("SELECT").arg(self.database));
        }
        // If it is refused, reads are answered by redirects.
        // spec: cluster-spec, "Scaling reads using replica nodes"
        if self.readonly {
            push(HandshakeStep::Courtesy(Courtesy::ReadOnly), Courtesy::ReadOnly.command());
        }
        if self.primary {
            push(HandshakeStep::Courtesy(Courtesy::Role), Courtesy::Role.command());
        }
        if self.asks_identity {
            push(HandshakeStep::Courtesy(Courtesy::MyId), Courtesy::MyId.command());
        }
        commands
    }

    /// What follows from the replies to the last flight. They may be fewer than its commands if the
    /// connection was lost.
    pub(crate) fn handle_replies(&mut self, replies: &[Bytes]) -> Result<Progress, Refusal> {
        for (step, reply) in self.steps.iter().zip(replies) {
            let error = ServerError::from_frame(reply);
            if error.as_ref().is_some_and(|error| self.tolerates_busy && is_busy(error)) {
                continue;
            }
            match (step, error) {
                (HandshakeStep::Courtesy(Courtesy::Hello), Some(error)) => {
                    if speaks_resp2_only(&error, self.credentials.is_some()) {
                        self.stage = Stage::Resp2;
                        return Ok(Progress::NextFlight);
                    }
                    return Err(Refusal { step: "HELLO", error: Some(error) });
                }
                (HandshakeStep::Courtesy(Courtesy::Role), None) => check_role(reply)?,
                // It is not ready, whatever it is.
                (HandshakeStep::Courtesy(Courtesy::Role), Some(error)) if is_unready(&error) => {
                    return Err(Refusal { step: "ROLE", error: Some(error) });
                }
                (HandshakeStep::Courtesy(Courtesy::MyId), _) => {
                    self.identity = Some(identity_of(reply)?);
                }
                (HandshakeStep::Courtesy(Courtesy::ReadOnly), Some(error)) => {
                    self.readonly_refusal = Some(error);
                }
                (HandshakeStep::Courtesy(_), _) | (HandshakeStep::Required(_), None) => {}
                (HandshakeStep::Required(step), error) => return Err(Refusal { step, error }),
            }
        }
        Ok(Progress::Complete)
    }
}

/// Whether the server refuses every command but those that end what it is busy with.
fn is_busy(error: &ServerError) -> bool {
    reply_policy(error, ErrorOrigin::Server).node == NodeFinding::Busy
}

/// Whether a refusal says nothing of the command: the server takes none for now, or none of a
/// client that has not authenticated.
pub(crate) fn is_unready(error: &ServerError) -> bool {
    let policy = reply_policy(error, ErrorOrigin::Server);
    policy.dial_again
        || matches!(policy.node, NodeFinding::AuthRequired | NodeFinding::OutOfCluster)
}

/// Checks the reply to ROLE, a list that begins with the name of the role.
fn check_role(reply: &Bytes) -> Result<(), Refusal> {
    let role = plain_value(reply).ok();
    let first = role.as_ref().and_then(|role| role.as_slice()?.first()?.as_str());
    if first == Some("master") { Ok(()) } else { Err(Refusal { step: "ROLE", error: None }) }
}

/// Reads the reply to CLUSTER MYID.
///
/// # Errors
/// The server cannot say for now: it is loading, or runs a long script.
pub(crate) fn identity_of(reply: &Bytes) -> Result<Identity, Refusal> {
    let Some(error) = ServerError::from_frame(reply) else {
        let text = plain_value(reply).ok();
        let id = text.as_ref().and_then(|text| NodeId::told(text.as_str()?));
        return Ok(id.map_or(Identity::Untold, Identity::Node));
    };
    if reply_policy(&error, ErrorOrigin::Server).dial_again {
        return Err(Refusal { step: "CLUSTER MYID", error: Some(error) });
    }
    // spec: cluster.c, `clusterCommand`: the text of every server that runs without cluster mode
    let is_standalone = error.message().contains("cluster support disabled");
    Ok(if is_standalone { Identity::Standalone } else { Identity::Untold })
}

/// Whether the server refused HELLO itself, and not the credentials in it.
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

    /// A flight is enqueued as one entry, and an entry is owed a reply: it cannot be empty.
    #[test]
    fn the_first_flight_names_the_library_in_both_protocols() {
        for protocol in [Protocol::Resp3, Protocol::Resp2] {
            let mut handshake =
                Handshake::new(&Config { protocol, ..Config::default() }, Profile::Server);
            assert!(handshake.can_precede_commands());
            let names: Vec<String> = handshake.flight().iter().map(Command::name).collect();
            assert!(names.ends_with(&["CLIENT SETINFO".into(), "CLIENT SETINFO".into()]));
            assert_eq!(names[0] == "HELLO", protocol == Protocol::Resp3);
        }
    }

    /// Redis 8.0.2 does not answer a refused AUTH behind commands whose replies are not sent yet.
    #[test]
    fn credentials_stand_in_front_of_every_flight() {
        for (number, protocol) in
            [Protocol::Resp3, Protocol::Resp2].into_iter().cycle().take(64).enumerate()
        {
            let has = |bit: u32| number >> bit & 1 == 1;
            let config = Config {
                protocol,
                username: has(1).then(|| "me".to_owned()),
                password: Some("pw".into()),
                client_name: has(2).then(|| "name".to_owned()),
                database: u32::from(has(3)),
                ..Config::default()
            };
            let profile = if has(4) { Profile::Primary } else { Profile::Replica };
            let withheld = if has(5) { Withheld::OF_HANDSHAKE } else { Withheld::NONE };
            let mut handshake =
                Handshake::new(&config, profile).asking_identity().withholding(withheld);
            let mut flight = handshake.flight();
            for _ in 0..2 {
                let has_password =
                    |command: &Command| command.args_iter().any(|word| word == b"pw");
                let places: Vec<usize> =
                    (0..).zip(&flight).filter(|(_, c)| has_password(c)).map(|(at, _)| at).collect();
                assert_eq!(places, [0], "{flight:?}");
                // HELLO is refused: a second flight has AUTH.
                if flight[0].name() != "HELLO" {
                    break;
                }
                let mut replies = vec![Bytes::from_static(b"-ERR unknown command\r\n")];
                replies.resize(
                    flight.len(),
                    Bytes::from_static(b"-NOAUTH Authentication required.\r\n"),
                );
                assert_eq!(handshake.handle_replies(&replies).unwrap(), Progress::NextFlight);
                flight = handshake.flight();
            }
        }
    }

    /// A busy server refuses all but HELLO. Only a connection that is to end what keeps it busy is
    /// complete all the same; what else is refused still counts.
    #[test]
    fn a_busy_server_is_tolerated_only_by_the_connection_that_ends_the_script() {
        let config = Config { database: 3, ..Config::default() };
        let busy = Bytes::from_static(b"-BUSY Redis is busy running a script.\r\n");
        let mut replies = vec![Bytes::from_static(b"%0\r\n")];
        replies.resize(5, busy);
        let mut strict = Handshake::new(&config, Profile::Primary);
        assert_eq!(strict.flight().len(), 5);
        assert_eq!(strict.handle_replies(&replies).unwrap_err().step, "SELECT");
        let mut tolerant = Handshake::new(&config, Profile::Primary).tolerating_busy();
        assert_eq!(tolerant.flight().len(), 5);
        assert_eq!(tolerant.handle_replies(&replies).unwrap(), Progress::Complete);
        replies[3] = Bytes::from_static(b"-ERR DB index is out of range\r\n");
        assert_eq!(tolerant.handle_replies(&replies).unwrap_err().step, "SELECT");
        replies[3] = Bytes::from_static(b"+OK\r\n");
        replies[4] = Bytes::from_static(b"*1\r\n$5\r\nslave\r\n");
        assert_eq!(tolerant.handle_replies(&replies).unwrap_err().step, "ROLE");
    }
}
