//! The facts that a server reports about a command that is not in the table: one of a module, or of
//! a newer server.
//!
//! They suffice to route the command and to decide whether it may run twice: whether it only reads,
//! whether it blocks, where its first key is. Keys that are found by a keyword stay unknown;
//! callers mark them with [`Command::key`]. Nothing else that the server reports is used.
//! Spec: <https://redis.io/commands/command-info/>;
//! <https://redis.io/docs/latest/develop/reference/key-specs/>.

use super::args::Keys;
use super::spec::{BeginSearch, FindKeys, Flags, KeySpec, RequestPolicy, ResponsePolicy, Spec};
use super::{Args, Command};
use crate::resp::Value;

/// The facts that a server has reported about a command.
#[derive(Clone, Debug)]
pub(crate) struct Learned {
    /// `READS`, `BLOCKS` or `WRITES`.
    spec: &'static Spec,
    /// Where the keys are.
    keys: Vec<KeySpec>,
}

/// The facts of a command of which only the flags are known.
const fn plain(flags: Flags) -> Spec {
    Spec {
        name: "",
        flags: flags.and(Flags::WIDE),
        keys: &[],
        request: RequestPolicy::Default,
        response: ResponsePolicy::Default,
        subcommands: &[],
    }
}

/// For a command that only reads.
static READS: Spec = plain(Flags::READONLY);
/// For a command that may block.
static BLOCKS: Spec = plain(Flags::BLOCKING);
/// For a command that may write.
static WRITES: Spec = plain(Flags::WRITE);

impl Learned {
    /// Reads the reply to `COMMAND INFO name`; `None` if the server does not know the command.
    pub(crate) fn parse(reply: &Value) -> Option<Self> {
        let [info] = reply.as_slice()? else { return None };
        let fields = info.as_slice()?;
        let flags = fields.get(2)?.as_slice()?;
        let has = |flag: &str| flags.iter().any(|value| value.as_str() == Some(flag));
        let spec = if has("blocking") {
            &BLOCKS
        } else if has("readonly") && !has("write") {
            &READS
        } else {
            &WRITES
        };
        let specs = fields.get(8).and_then(Value::as_slice).unwrap_or_default();
        let mut keys: Vec<KeySpec> = specs.iter().map_while(key_spec).collect();
        if keys.is_empty() {
            keys.extend(legacy(fields));
        }
        Some(Self { spec, keys })
    }
}

/// Reads a key specification; `None` if its keys are not found by a fixed position.
fn key_spec(spec: &Value) -> Option<KeySpec> {
    let number = |map: &Value, key| map.get(key).and_then(Value::as_i64);
    let (begin, find) = (spec.get("begin_search")?, spec.get("find_keys")?);
    let (at, how) = (begin.get("spec")?, find.get("spec")?);
    let index = u8::try_from(number(at, "index")?).ok()?;
    let small = |key| u8::try_from(number(how, key)?).ok();
    let find_keys = match find.get("type")?.as_str()? {
        "range" => FindKeys::Range {
            last: i8::try_from(number(how, "lastkey")?).ok()?,
            step: small("keystep")?,
            limit: small("limit")?,
        },
        "keynum" => FindKeys::KeyNum {
            at: small("keynumidx")?,
            first: small("firstkey")?,
            step: small("keystep")?,
        },
        _ => return None,
    };
    Some(KeySpec { begin_search: BeginSearch::Index(index), find_keys })
}

/// Reads the positions of the first and the last key and the step, as servers before 7.0 report
/// them.
fn legacy(fields: &[Value]) -> Option<KeySpec> {
    let number = |at: usize| fields.get(at).and_then(Value::as_i64);
    let (first, last) = (number(3)?, number(4)?);
    let index = u8::try_from(first).ok().filter(|first| *first > 0)?;
    let last = if last < 0 { last } else { last - first };
    let (last, step) = (i8::try_from(last).ok()?, u8::try_from(number(5)?).ok()?);
    let find_keys = FindKeys::Range { last, step, limit: 0 };
    Some(KeySpec { begin_search: BeginSearch::Index(index), find_keys })
}

impl Command {
    /// Uses the facts that a server has reported; a key that the caller has marked stays the first.
    pub(crate) fn learn(&mut self, learned: &Learned) {
        self.spec = learned.spec;
        if self.key_start > 0 {
            return;
        }
        let first = Keys::new(self.args_iter(), self.count, &learned.keys).next();
        let Some(at) = first.map(|(at, _)| at) else { return };
        let mut args: Args<'_> = self.args_iter();
        let Some(len) = args.nth(at).map(<[u8]>::len) else { return };
        // Minus the CRLF behind the argument.
        let start = self.bytes.whole().len() - args.bytes_left() - 2 - len;
        if let (Ok(start), Ok(len)) = (u32::try_from(start), u32::try_from(len)) {
            (self.key_start, self.key_len) = (start, len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::cmd;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn info(flags: &[&str], legacy: [i64; 3], specs: Vec<Value>) -> Value {
        let flags = flags.iter().map(|flag| text(flag)).collect();
        let [first, last, step] = legacy.map(Value::Int);
        let none = || Value::Array(Vec::new());
        let (name, arity, flags) = (text("x"), Value::Int(-2), Value::Set(flags));
        let fields =
            vec![name, arity, flags, first, last, step, none(), none(), Value::Array(specs)];
        Value::Array(vec![Value::Array(fields)])
    }

    fn map(pairs: Vec<(&str, Value)>) -> Value {
        Value::Map(pairs.into_iter().map(|(key, value)| (text(key), value)).collect())
    }

    #[test]
    fn keys_and_flags_are_taken_from_either_form() {
        let mut command = cmd("MOD.READ").arg("a").arg("key").arg("b");
        command.learn(&Learned::parse(&info(&["readonly"], [2, 2, 1], Vec::new())).unwrap());
        assert_eq!(command.first_key(), Some(b"key".as_slice()));
        assert!(command.is_readonly() && !command.is_blocking() && !command.is_unknown());
        let begin =
            map(vec![("type", text("index")), ("spec", map(vec![("index", Value::Int(1))]))]);
        let how = [("keynumidx", 0), ("firstkey", 1), ("keystep", 1)];
        let how = map(how.into_iter().map(|(key, n)| (key, Value::Int(n))).collect());
        let find = map(vec![("type", text("keynum")), ("spec", how)]);
        let spec = map(vec![("begin_search", begin), ("find_keys", find)]);
        let mut command = cmd("MOD.WAIT").arg(2).arg("k1").arg("k2").arg("x");
        command
            .learn(&Learned::parse(&info(&["write", "blocking"], [0, 0, 0], vec![spec])).unwrap());
        assert_eq!(command.first_key(), Some(b"k1".as_slice()));
        assert!(command.is_blocking() && !command.is_readonly());
    }

    #[test]
    fn what_a_caller_marked_stays_and_nonsense_teaches_nothing() {
        let learned = Learned::parse(&info(&["readonly"], [1, 1, 1], Vec::new())).unwrap();
        let mut command = cmd("MOD.X").arg("no").key("yes");
        command.learn(&learned);
        assert_eq!(command.first_key(), Some(b"yes".as_slice()));
        let mut short = cmd("MOD.X");
        short.learn(&learned);
        assert_eq!(short.first_key(), None);
        for reply in [Value::Null, Value::Array(vec![Value::Null]), Value::Array(Vec::new())] {
            assert!(Learned::parse(&reply).is_none());
        }
        let far = Learned::parse(&info(&[], [99, -1, 1], vec![text("?")])).unwrap();
        let mut command = cmd("MOD.X").arg("a");
        command.learn(&far);
        assert_eq!(command.first_key(), None);
    }
}
