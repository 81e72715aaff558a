//! One client connection on its server.
//!
//! **Invariants**: `out` holds complete replies in the order of their requests; pushes go between
//! replies, never inside one.

use super::tracking::ClientTracking;
use crate::resp::{Proto, Reply, RequestReader};
use bytes::{Bytes, BytesMut};
use slotcar::Timestamp;
use std::collections::BTreeSet;

/// The replies that a client wants, after `CLIENT REPLY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReplyMode {
    /// All of them.
    #[default]
    On,
    /// None.
    Off,
    /// Not that of the next request.
    SkipNext,
    /// Not that of this request.
    Skip,
}

/// A transaction that is being queued.
#[derive(Debug, Default)]
pub(crate) struct Queued {
    /// Requests to run at EXEC.
    pub(crate) requests: Vec<Vec<Bytes>>,
    /// One of them was refused, so EXEC will refuse all.
    pub(crate) aborted: bool,
}

/// Why a session does not run its next request.
#[derive(Debug)]
pub(crate) enum Blocked {
    /// A command waits for keys.
    Keys {
        /// The request, run again when a key changes.
        arguments: Vec<Bytes>,
        /// The keys.
        keys: Vec<Bytes>,
        /// The reply on a timeout.
        on_timeout: Reply,
    },
    /// `WAIT`: until this many replicas have everything up to an offset.
    Replicas {
        /// How many.
        count: usize,
        /// The offset.
        offset: u64,
    },
    /// `WAITAOF`: until its timeout, since no simulated server has an append-only file.
    Files,
    /// `CLIENT PAUSE`: until the pause ends.
    Paused {
        /// The request, which runs then.
        arguments: Vec<Bytes>,
    },
    /// The server talks to another server on behalf of this request.
    Remote,
}

/// A client connection.
#[derive(Debug)]
pub(crate) struct Session {
    /// The server's number for it.
    pub(crate) id: u64,
    /// The client's address.
    pub(crate) address: String,
    /// Cuts the input into requests.
    pub(crate) reader: RequestReader,
    /// Bytes to send.
    pub(crate) out: BytesMut,
    /// RESP2 or RESP3.
    pub(crate) proto: Proto,
    /// The selected database.
    pub(crate) db: usize,
    /// It is authenticated.
    pub(crate) authenticated: bool,
    /// The user.
    pub(crate) user: String,
    /// `CLIENT SETNAME`.
    pub(crate) name: String,
    /// `CLIENT SETINFO LIB-NAME`.
    pub(crate) lib_name: String,
    /// `CLIENT SETINFO LIB-VER`.
    pub(crate) lib_version: String,
    /// `CLIENT REPLY`.
    pub(crate) reply_mode: ReplyMode,
    /// The next command may touch a slot that is being imported.
    pub(crate) asking: bool,
    /// Reads may be served by a replica.
    pub(crate) read_only: bool,
    /// `CLIENT NO-EVICT`.
    pub(crate) no_evict: bool,
    /// `CLIENT NO-TOUCH`.
    pub(crate) no_touch: bool,
    /// The transaction being queued.
    pub(crate) queued: Option<Queued>,
    /// The replication offset behind its last write.
    pub(crate) written_to: u64,
    /// Watched keys by database.
    pub(crate) watched: BTreeSet<(usize, Bytes)>,
    /// A watched key has changed.
    pub(crate) watch_broken: bool,
    /// The reason why it does not run its next request.
    pub(crate) blocked: Option<Blocked>,
    /// Grows with every block, so that an old timer can be ignored.
    pub(crate) block_count: u64,
    /// Subscribed channels.
    pub(crate) channels: BTreeSet<Bytes>,
    /// Subscribed patterns.
    pub(crate) patterns: BTreeSet<Bytes>,
    /// Subscribed sharded channels.
    pub(crate) shard_channels: BTreeSet<Bytes>,
    /// Client-side caching.
    pub(crate) tracking: Option<ClientTracking>,
    /// Messages that wait for the reply to a request of this session's own, while it runs.
    pub(crate) held: Option<BytesMut>,
    /// Closed once everything is sent.
    pub(crate) closing: bool,
    /// When it was accepted.
    pub(crate) created_at: Timestamp,
    /// When it sent its last request.
    pub(crate) active_at: Timestamp,
    /// The last command's name.
    pub(crate) last_command: String,
}

impl Session {
    pub(crate) fn new(id: u64, address: String, authenticated: bool, now: Timestamp) -> Self {
        Self {
            id,
            address,
            reader: RequestReader::default(),
            out: BytesMut::new(),
            proto: Proto::Resp2,
            db: 0,
            authenticated,
            user: "default".to_owned(),
            name: String::new(),
            lib_name: String::new(),
            lib_version: String::new(),
            reply_mode: ReplyMode::On,
            asking: false,
            read_only: false,
            no_evict: false,
            no_touch: false,
            queued: None,
            written_to: 0,
            watched: BTreeSet::new(),
            watch_broken: false,
            blocked: None,
            block_count: 0,
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            shard_channels: BTreeSet::new(),
            tracking: None,
            held: None,
            closing: false,
            created_at: now,
            active_at: now,
            last_command: "NULL".to_owned(),
        }
    }

    /// Queues a reply, unless the client has switched replies off.
    pub(crate) fn reply(&mut self, reply: &Reply) {
        if self.reply_mode == ReplyMode::On {
            reply.encode(self.proto, &mut self.out);
        }
    }

    /// Queues an out-of-band message; one that the client's own request causes comes behind the
    /// reply to it.
    pub(crate) fn push(&mut self, push: &Reply) {
        let out = match self.held.as_mut() {
            Some(held) => held,
            None => &mut self.out,
        };
        push.encode(self.proto, out);
    }

    /// The request is replied to.
    pub(crate) fn release_pushes(&mut self) {
        if let Some(held) = self.held.take() {
            self.out.unsplit(held);
        }
    }

    /// How many channels and patterns count for "subscribed mode".
    pub(crate) fn subscriptions(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// In RESP2 a subscribed connection may do little else.
    pub(crate) fn is_subscriber(&self) -> bool {
        self.subscriptions() + self.shard_channels.len() > 0
    }

    pub(crate) fn resp3(&self) -> bool {
        self.proto == Proto::Resp3
    }
}
