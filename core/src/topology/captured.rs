//! Replies of real servers, for tests, in the scenes that matter.
//!
//! Clusters of three primaries and three replicas, nodes 1 to 6 at 127.77.V.1 to 127.77.V.6 (V
//! counts the versions), port 7000, the TLS port 7443. From Redis 7 on the first four have host
//! names, Valkey has zones. Node 1 was asked, unless said:
//! `fresh` before it met another node; `settled`; `hostname` and `unknown-endpoint` with that
//! preferred endpoint type; `migrating` and `importing` (node 2 asked) with slot 100 on its way
//! from 1 to 2; `hole` after slot 9000 was deleted (node 2 asked); `failed-over` after 3 died and 6
//! took over; `shard-lost` after 5 and then 2 died as well; `tls` with both ports, `tls-only` with
//! one. Each is `== scene command protocol bytes` and the reply as it came.

use crate::endpoint::Endpoint;
use crate::resp::{Value, from_frame};
use crate::topology::parse::announced_address::AddressRule;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Name, and what was captured, of each version.
pub(super) const SERVERS: [(&str, &[u8]); 6] = [
    ("redis-6.0", include_bytes!("captured/redis-6.0.txt")),
    ("redis-7.0", include_bytes!("captured/redis-7.0.txt")),
    ("redis-8.0", include_bytes!("captured/redis-8.0.txt")),
    ("valkey-8.0", include_bytes!("captured/valkey-8.0.txt")),
    ("valkey-8.1", include_bytes!("captured/valkey-8.1.txt")),
    ("valkey-9.1", include_bytes!("captured/valkey-9.1.txt")),
];

/// A reply, and how it came about.
#[derive(Clone, Debug)]
pub(super) struct Captured {
    /// The server's name.
    pub(super) server: &'static str,
    /// The scene.
    pub(super) scene: String,
    /// The word after CLUSTER; or MOVED, where the reply is that redirect.
    pub(super) command: String,
    /// 2 or 3.
    pub(super) protocol: u32,
    /// The reply.
    pub(super) reply: Value,
}

/// All that was captured.
pub(super) fn all() -> Vec<Captured> {
    SERVERS.iter().flat_map(|(server, bytes)| read(server, bytes)).collect()
}

/// The reply of one server, in one scene, to one command in RESP3.
pub(super) fn reply(server: &str, scene: &str, command: &str) -> Option<Value> {
    let wanted = |it: &Captured| {
        (it.server, it.scene.as_str(), it.command.as_str(), it.protocol)
            == (server, scene, command, 3)
    };
    all().into_iter().find(wanted).map(|found| found.reply)
}

/// The address rule for a connection to node 1, without an address map.
pub(super) fn rule(tls: bool) -> AddressRule<'static> {
    static ASKED: LazyLock<Endpoint> = LazyLock::new(|| Endpoint::tcp("asked.test", 7000));
    static NO_MAP: BTreeMap<Endpoint, Endpoint> = BTreeMap::new();
    AddressRule { asked: &ASKED, tls, address_map: &NO_MAP }
}

fn read(server: &'static str, mut bytes: &'static [u8]) -> Vec<Captured> {
    let mut captured = Vec::new();
    while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let words: Vec<&str> = head.split(' ').collect();
        let [_, scene, command, protocol, length] = words[..] else { panic!("{head}") };
        let (frame, rest) = bytes[end + 1..].split_at(length.parse().unwrap());
        captured.push(Captured {
            server,
            scene: scene.to_owned(),
            command: command.to_owned(),
            protocol: protocol.parse().unwrap(),
            reply: from_frame(&Bytes::from_static(frame)).unwrap(),
        });
        bytes = &rest[1..];
    }
    captured
}
