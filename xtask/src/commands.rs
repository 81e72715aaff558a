//! `cargo xtask commands [--check]`: writes `core/src/command/table.rs` from real servers.
//!
//! Starts the newest Redis and Valkey of `tests/servers.txt`, asks both COMMAND, and merges the
//! answers: a command is read-only only if every server that has it says so, and has any other flag
//! if one server says so. Where servers describe keys or policies differently, Valkey's description
//! is taken. What COMMAND cannot express is added here: see `complete_keys`, `OWN_FLAGS` and
//! `OWN_POLICIES`.
//! With `--check` nothing is written, and a table that would change is an error.
//! Spec: <https://redis.io/docs/latest/commands/command/>.

mod ask;
mod render;

use crate::Outcome;
use ask::Reply;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The servers asked: name in `tests/servers.txt`, and family.
const SERVERS: [(&str, &str); 2] = [("redis-8.0", "redis"), ("valkey-9.1", "valkey")];

/// The flags that the table keeps, as COMMAND names them, and those of `OWN_FLAGS`.
const FLAGS: [&str; 11] = [
    "readonly",
    "write",
    "blocking",
    "pubsub",
    "noscript",
    "movablekeys",
    "no_multi",
    "admin",
    "session",
    "connection",
    "urgent",
];

/// Flags that COMMAND has no name for, with the commands that have them. A subcommand stands after
/// its container; a container alone means also the subcommands that the table does not know.
const OWN_FLAGS: [(&str, &[&str]); 3] =
    [("session", SESSION), ("connection", CONNECTION), ("urgent", URGENT)];

/// Commands that change the state of their connection, and with it the meaning or the reply of
/// later commands: the user (AUTH), the database (SELECT), the protocol, transactions,
/// subscriptions, the mode of a replica's or a debugger's connection.
const SESSION: &[&str] = &[
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

/// Commands that speak about what their own connection wrote (WAIT), or change how the server
/// treats that connection and no other. What a program means is lost when another connection
/// carries its next command, and when the connection is replaced. CLIENT itself: most subcommands
/// that servers have added were of this kind.
const CONNECTION: &[&str] = &[
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

/// Commands that end, or show, what keeps a server or a connection busy: a script, a blocked or
/// paused client, a failover that pauses writes. Behind it on the same connection, they would wait
/// for what they are to end.
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

/// Policies that servers do not tell: for commands that one node answers for itself alone, without
/// a sign that other nodes have more to say.
///
/// `slot:2`: the argument at this position is the number of a slot, and any node but its owner has
/// none of its keys. Commands that change what a node thinks of a slot (ADDSLOTS, SETSLOT) are not
/// meant: they are about the node. PUBSUB: a subscriber is known only to its own node.
const OWN_POLICIES: [(&str, &str, &str); 9] = [
    ("CLUSTER COUNTKEYSINSLOT", "slot:2", "default"),
    ("CLUSTER FLUSHSLOT", "slot:2", "default"),
    ("CLUSTER GETKEYSINSLOT", "slot:2", "default"),
    ("CLUSTER MIGRATESLOTS", "slot:3", "default"),
    ("PUBSUB CHANNELS", "all_nodes", "union"),
    ("PUBSUB NUMPAT", "all_nodes", "agg_sum"),
    ("PUBSUB NUMSUB", "all_nodes", "sum_by_name"),
    ("PUBSUB SHARDCHANNELS", "all_nodes", "union"),
    ("PUBSUB SHARDNUMSUB", "all_nodes", "sum_by_name"),
];

/// A command's facts, as one server tells them or as merged from several.
#[derive(Clone, Debug, Default)]
struct Facts {
    /// Those of `FLAGS` that apply.
    flags: BTreeSet<String>,
    /// Key specs, in the server's order.
    keys: Vec<Keys>,
    /// Request policy, as in `request_policy:NAME`; `slot:2` of `OWN_POLICIES`.
    request: Option<String>,
    /// Response policy, as in `response_policy:NAME`.
    response: Option<String>,
    /// By name.
    subcommands: Commands,
}

/// Commands by upper-case name.
type Commands = BTreeMap<String, Facts>;

/// One key spec.
#[derive(Clone, Debug, PartialEq)]
struct Keys {
    /// Where to begin.
    begin: Begin,
    /// `lastkey, keystep, limit` of a range, or `keynumidx, firstkey, keystep` of a count.
    find: (Find, [i64; 3]),
}

/// How a key spec finds its beginning.
#[derive(Clone, Debug, PartialEq)]
enum Begin {
    /// A position whose argument must not be empty.
    Filled(i64),
    /// A position.
    Index(i64),
    /// A word and where the search for it starts.
    Keyword(String, i64),
}

/// How a key spec goes on from its beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Find {
    /// Numbered by an argument.
    Count,
    /// A range.
    Range,
}

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err("usage: cargo xtask commands [--check]".to_owned()),
    };
    let names = SERVERS.map(|(name, _)| name).join(",");
    crate::servers::run(&["--only".to_owned(), names])?;
    let mut merged = Commands::new();
    let mut versions = Vec::new();
    for (name, family) in SERVERS {
        let answer = ask::ask(name, family)?;
        versions.push(answer.version);
        merge(&mut merged, commands(&answer.commands)?);
    }
    complete_keys(&mut merged)?;
    mark_own_flags(&mut merged)?;
    set_own_policies(&mut merged)?;
    let text = render::table(&merged, &versions);
    let path = table_path();
    let old = fs::read_to_string(&path).unwrap_or_default();
    if old == text {
        println!("{} commands, nothing new", merged.len());
        return Ok(());
    }
    if check {
        return Err(format!("{} is out of date: run cargo xtask commands", path.display()));
    }
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    println!("wrote {} commands to {}", merged.len(), path.display());
    Ok(())
}

fn table_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src/command/table.rs")
}

/// The facts in a reply to COMMAND, or in the list of a container's subcommands.
fn commands(reply: &Reply) -> Result<Commands, String> {
    reply.list()?.iter().map(command).collect()
}

fn command(entry: &Reply) -> Result<(String, Facts), String> {
    let fields = entry.list()?;
    let [name, _, flags, _, _, _, _, tips, keys, subcommands] = fields else {
        return Err(format!("COMMAND: an entry with {} fields instead of 10", fields.len()));
    };
    let name = name.text()?.to_uppercase();
    let name = name.rsplit('|').next().unwrap_or(&name).to_owned();
    let mut facts = Facts { subcommands: commands(subcommands)?, ..Facts::default() };
    for flag in flags.list()? {
        facts.flags.insert(flag.text()?.to_owned());
    }
    facts.flags.retain(|flag| FLAGS.contains(&flag.as_str()));
    for tip in tips.list()? {
        match tip.text()?.split_once(':') {
            Some(("request_policy", policy)) => facts.request = Some(policy.to_owned()),
            Some(("response_policy", policy)) => facts.response = Some(policy.to_owned()),
            _ => {}
        }
    }
    for spec in keys.list()? {
        facts.keys.extend(key_spec(spec).map_err(|e| format!("{name}: {e}"))?);
    }
    Ok((name, facts))
}

/// One key spec; none if the server itself calls it unknown.
fn key_spec(spec: &Reply) -> Result<Option<Keys>, String> {
    let (begin, find) = (spec.field("begin_search")?, spec.field("find_keys")?);
    let number = |of: &Reply, name: &str| of.field("spec")?.field(name)?.number();
    let begin = match begin.field("type")?.text()? {
        "unknown" => return Ok(None),
        "index" => Begin::Index(number(begin, "index")?),
        "keyword" => {
            let word = begin.field("spec")?.field("keyword")?.text()?.to_owned();
            Begin::Keyword(word, number(begin, "startfrom")?)
        }
        other => return Err(format!("unheard-of begin_search {other}")),
    };
    let (find_kind, names) = match find.field("type")?.text()? {
        "range" => (Find::Range, ["lastkey", "keystep", "limit"]),
        "keynum" => (Find::Count, ["keynumidx", "firstkey", "keystep"]),
        other => return Err(format!("unheard-of find_keys {other}")),
    };
    let mut numbers = [0; 3];
    for (place, name) in numbers.iter_mut().zip(names) {
        *place = number(find, name)?;
    }
    Ok(Some(Keys { begin, find: (find_kind, numbers) }))
}

/// Adds what another server says; where both speak, the later one's keys and policies stand.
fn merge(all: &mut Commands, more: Commands) {
    for (name, new) in more {
        let Some(old) = all.get_mut(&name) else {
            all.insert(name, new);
            continue;
        };
        let readonly = old.flags.contains("readonly") && new.flags.contains("readonly");
        old.flags.extend(new.flags);
        if !readonly {
            old.flags.remove("readonly");
        }
        old.keys = new.keys;
        old.request = new.request.or(old.request.take());
        old.response = new.response.or(old.response.take());
        merge(&mut old.subcommands, new.subcommands);
    }
}

/// Adds what the servers find by code of their own. SORT's STORE may stand anywhere, so its place
/// is unknown to COMMAND. MIGRATE has its keys after KEYS if the argument for one key is empty.
fn complete_keys(all: &mut Commands) -> Outcome {
    let sort = all.get_mut("SORT").ok_or("no server has SORT")?;
    let begin = Begin::Keyword("STORE".to_owned(), 2);
    sort.keys.push(Keys { begin, find: (Find::Range, [0, 1, 0]) });
    let migrate = all.get_mut("MIGRATE").ok_or("no server has MIGRATE")?;
    let single = migrate.keys.first_mut().filter(|keys| keys.begin == Begin::Index(3));
    single.ok_or("MIGRATE's first key spec is not position 3")?.begin = Begin::Filled(3);
    Ok(())
}

/// Sets the flags of `OWN_FLAGS`.
fn mark_own_flags(all: &mut Commands) -> Outcome {
    let marks =
        OWN_FLAGS.iter().flat_map(|(flag, paths)| paths.iter().map(move |path| (flag, path)));
    for (flag, path) in marks {
        facts_of(all, path)?.flags.insert((*flag).to_owned());
    }
    Ok(())
}

/// Sets the policies of `OWN_POLICIES`.
fn set_own_policies(all: &mut Commands) -> Outcome {
    for (path, request, response) in OWN_POLICIES {
        let facts = facts_of(all, path)?;
        if let Some(policy) = facts.request.replace(request.to_owned()) {
            return Err(format!("servers tell the policy {policy} of {path} by now"));
        }
        facts.response = Some(response.to_owned());
    }
    Ok(())
}

/// The facts of a command, or of a subcommand after its container.
fn facts_of<'c>(all: &'c mut Commands, path: &str) -> Result<&'c mut Facts, String> {
    let (name, sub) = path.split_once(' ').map_or((path, None), |(name, sub)| (name, Some(sub)));
    let mut found = all.get_mut(name);
    if let Some(sub) = sub {
        found = found.and_then(|container| container.subcommands.get_mut(sub));
    }
    found.ok_or_else(|| format!("no server has {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(flags: &[&str]) -> Facts {
        Facts { flags: flags.iter().map(|&f| f.to_owned()).collect(), ..Facts::default() }
    }

    /// Read-only decides what may run twice, so one server's doubt is enough.
    #[test]
    fn readonly_needs_every_server_and_other_flags_need_one() {
        let table: [(&[&str], &[&str], &[&str]); 4] = [
            (&["readonly"], &["readonly"], &["readonly"]),
            (&["readonly"], &[], &[]),
            (&["readonly"], &["write"], &["write"]),
            (&[], &["blocking"], &["blocking"]),
        ];
        for (one, other, expected) in table {
            for (first, second) in [(one, other), (other, one)] {
                let mut all = Commands::from([("X".to_owned(), facts(first))]);
                merge(&mut all, Commands::from([("X".to_owned(), facts(second))]));
                assert_eq!(all["X"].flags, facts(expected).flags);
            }
        }
        let mut all = Commands::new();
        merge(&mut all, Commands::from([("X".to_owned(), facts(&["readonly"]))]));
        assert!(all["X"].flags.contains("readonly"));
    }

    /// A reply in an unknown shape is refused, not guessed at.
    #[test]
    fn entries_of_another_shape_are_refused() {
        assert!(commands(&Reply::List(vec![Reply::List(vec![])])).is_err());
        assert!(commands(&Reply::Number(1)).is_err());
    }
}
