//! The table of all that the client says without being asked to: courtesies.
//!
//! A server need not know or allow them. One that refuses a courtesy, in any words, is used without
//! it; what is lost then stands in the table. The refusals that count are those of the credentials,
//! and of a server that is not ready yet (loading, busy). A server that hangs up on a courtesy, or
//! does not answer it, is dialled again without it; [`Withheld`] is what a node is not told then
//! (`driver/link/dial_target.rs`). `Config::courtesies` leaves out the rows that say so.
//!
//! AUTH, SELECT and ASKING are none: without them a command runs as the wrong user, in the wrong
//! database, or not at all.
//! `docs/courtesies.md` shows the table; a test compares them.
//! Spec: redis.io/commands, each by its name.

use crate::command::{Command, cmd};

/// Something that the client says without being asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Courtesy {
    /// HELLO 3, in a handshake and before SUBSCRIBE at a sentinel.
    Hello,
    /// CLIENT SETINFO.
    SetInfo,
    /// CLIENT SETNAME, where HELLO does not set the name.
    SetName,
    /// PING.
    Ping,
    /// READONLY.
    ReadOnly,
    /// ROLE.
    Role,
    /// CLUSTER MYID.
    MyId,
    /// CLUSTER SHARDS.
    Shards,
    /// CLUSTER SLOTS.
    Slots,
    /// CLUSTER NODES.
    Nodes,
    /// SENTINEL GET-MASTER-ADDR-BY-NAME.
    PrimaryAddress,
    /// SENTINEL MASTER.
    Primary,
    /// SENTINEL REPLICAS.
    Replicas,
    /// SENTINEL SENTINELS.
    Sentinels,
    /// COMMAND INFO.
    CommandInfo,
}

/// A set of courtesies that a server is not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Withheld(pub(crate) u16);

impl Withheld {
    /// None.
    pub(crate) const NONE: Self = Self(0);
    /// Every one.
    pub(crate) const ALL: Self = Self(u16::MAX);
    /// What a client says about itself: no proxy needs it, and some hang up on it.
    pub(crate) const INTRODUCTION: Self = Self(
        Self::of(Courtesy::Hello).0 | Self::of(Courtesy::SetInfo).0 | Self::of(Courtesy::SetName).0,
    );
    /// What belongs to a handshake.
    pub(crate) const OF_HANDSHAKE: Self = Self(
        Self::INTRODUCTION.0
            | Self::of(Courtesy::ReadOnly).0
            | Self::of(Courtesy::Role).0
            | Self::of(Courtesy::MyId).0,
    );
    /// What `Config::courtesies` leaves out of a handshake.
    const BY_CONFIG: Self = Self(
        Self::INTRODUCTION.0
            | Self::of(Courtesy::Ping).0
            | Self::of(Courtesy::Role).0
            | Self::of(Courtesy::MyId).0,
    );

    /// What the configuration leaves out. `courtesies`: that of `Config`.
    pub(crate) const fn by_config(courtesies: bool) -> Self {
        if courtesies { Self::NONE } else { Self::BY_CONFIG }
    }

    /// This one only.
    pub(crate) const fn of(courtesy: Courtesy) -> Self {
        Self(1 << courtesy as u16)
    }

    /// Whether it is in the set.
    pub(crate) const fn has(self, courtesy: Courtesy) -> bool {
        self.0 & Self::of(courtesy).0 != 0
    }

    /// Both sets.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    pub(crate) const fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of `other` is in this set.
    pub(crate) const fn has_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Courtesy {
    /// The words that it begins with, as errors name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hello => "HELLO",
            Self::SetInfo => "CLIENT SETINFO",
            Self::SetName => "CLIENT SETNAME",
            Self::Ping => "PING",
            Self::ReadOnly => "READONLY",
            Self::Role => "ROLE",
            Self::MyId => "CLUSTER MYID",
            Self::Shards => "CLUSTER SHARDS",
            Self::Slots => "CLUSTER SLOTS",
            Self::Nodes => "CLUSTER NODES",
            Self::PrimaryAddress => "SENTINEL GET-MASTER-ADDR-BY-NAME",
            Self::Primary => "SENTINEL MASTER",
            Self::Replicas => "SENTINEL REPLICAS",
            Self::Sentinels => "SENTINEL SENTINELS",
            Self::CommandInfo => "COMMAND INFO",
        }
    }

    /// The command, to which arguments may be added.
    pub(crate) fn command(self) -> Command {
        cmd(self.name())
    }
}

/// One row of the table.
#[cfg(test)]
struct Row {
    /// What is said.
    said: &'static str,
    /// When.
    when: &'static str,
    /// What is lost without it.
    lost: &'static str,
    /// Whether `courtesies=false` leaves it out.
    off: bool,
}

#[cfg(test)]
const fn row(said: &'static str, when: &'static str, lost: &'static str, off: bool) -> Row {
    Row { said, when, lost, off }
}

/// See the head of this file.
#[cfg(test)]
#[rustfmt::skip]
const TABLE: &[Row] = &[
    row("HELLO 3", "dial; before SUBSCRIBE at a sentinel",
        "RESP3: the connection speaks RESP2, with AUTH. `subscription_connection=shared` has no \
         effect; sentinels announce nothing and are asked every `sentinel_interval`", true),
    row("CLIENT SETINFO", "dial", "the library's name in CLIENT LIST", true),
    row("CLIENT SETNAME", "dial over RESP2, with a `client_name`",
        "the name in CLIENT LIST", true),
    row("READONLY", "dial of a cluster's replica",
        "reads from that replica. A policy that allows no other node fails, and names READONLY",
        false),
    row("ROLE", "dial of the primary that sentinels name; where sentinels differ",
        "that a server which is no primary any more is found out before its first READONLY reply",
        true),
    row("CLUSTER MYID", "dial of a cluster's node",
        "that another server at a node's address is found out before it gets a command", true),
    row("PING", "`Client::connect`; dial of a server that is told nothing else",
        "nothing: any answer will do, and a handshake that was answered", true),
    row("PING", "silent connections, behind SUBSCRIBE, health checks",
        "nothing: any answer is a sign of life", false),
    row("CLIENT LIST ID", "a connection whose server is silent",
        "a slow command may be taken for a lost connection, once another one answers", false),
    row("CLUSTER SHARDS", "topology of a cluster",
        "health and zones of nodes; CLUSTER SLOTS is asked instead", false),
    row("CLUSTER SLOTS", "topology of a cluster, if SHARDS is refused",
        "the topology, if both are refused: the client cannot connect", false),
    row("CLUSTER NODES", "topology of a cluster; scans over all keys of a cluster",
        "epochs: views of nodes that differ are chosen by majority", false),
    row("SENTINEL GET-MASTER-ADDR-BY-NAME", "topology behind sentinels",
        "nothing while SENTINEL MASTER is answered; without both the client cannot connect",
        false),
    row("SENTINEL MASTER", "topology behind sentinels",
        "the epoch, which says which of two sentinels is newer: servers are asked for their ROLE",
        false),
    row("SENTINEL REPLICAS", "topology behind sentinels",
        "SENTINEL SLAVES is asked instead; without both, reads from replicas", false),
    row("SENTINEL SENTINELS", "topology behind sentinels",
        "sentinels that are not configured", false),
    row("SENTINEL MASTERS", "a sentinel that does not know the service",
        "the known names in the error", false),
    row("SUBSCRIBE", "two sentinels, where the host has background tasks",
        "announcements: a failover is noticed by lost connections, READONLY, and by asking",
        true),
    row("COMMAND INFO", "the first use of a command that the client does not know",
        "where its keys are: it goes to any primary, and a redirect leads on", true),
    row("INFO replication, INFO server", "health checks, only with a read policy",
        "lag and role of replicas; `max_staleness` then finds no replica", false),
    row("INFO server", "scans over all keys or elements, after a lost connection",
        "going on after a lost connection: the scan begins anew", false),
];

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "<!-- The table is written by core/src/connection/courtesy.rs. -->\n";
    const END: &str = "<!-- End of the table. -->\n";

    fn rendered() -> String {
        let mut text = String::from("| said | when | lost without it | `courtesies=false` |\n");
        text.push_str("|---|---|---|---|\n");
        for Row { said, when, lost, off } in TABLE {
            let off = if *off { "left out" } else { "said" };
            text.push_str(&format!("| {said} | {when} | {lost} | {off} |\n"));
        }
        text
    }

    /// The page shows the table. `SLOTCAR_BLESS=1` writes it.
    #[cfg(not(target_os = "wasi"))]
    #[test]
    fn the_page_shows_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/courtesies.md");
        let page = std::fs::read_to_string(path).expect("docs/courtesies.md");
        let (before, rest) = page.split_once(BEGIN).expect("the table's begin");
        let (shown, after) = rest.split_once(END).expect("the table's end");
        if shown != rendered() && std::env::var_os("SLOTCAR_BLESS").is_some() {
            let page = format!("{before}{BEGIN}{}{END}{after}", rendered());
            std::fs::write(path, page).expect("the page can be written");
            return;
        }
        assert_eq!(shown, rendered(), "run this test with SLOTCAR_BLESS=1");
    }

    #[test]
    fn each_courtesy_has_a_row() {
        use Courtesy as C;
        let all = [
            C::Hello,
            C::SetInfo,
            C::SetName,
            C::Ping,
            C::ReadOnly,
            C::Role,
            C::MyId,
            C::Shards,
            C::Slots,
            C::Nodes,
            C::PrimaryAddress,
            C::Primary,
            C::Replicas,
            C::Sentinels,
            C::CommandInfo,
        ];
        for courtesy in all {
            let row = TABLE.iter().find(|row| row.said.starts_with(courtesy.name()));
            let row = row.unwrap_or_else(|| panic!("{courtesy:?}"));
            let off = Withheld::BY_CONFIG.has(courtesy);
            assert!(!off || row.off, "{courtesy:?}");
        }
    }
}
