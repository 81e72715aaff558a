//! Tests of encoding, and of what is read back from a command.

use super::*;

fn wire(command: &Command) -> String {
    let mut out = Vec::new();
    command.write_to(&mut out);
    assert_eq!(out.len(), command.encoded_len(), "{command:?}");
    String::from_utf8(out).unwrap()
}

/// A command from words, by `arg` alone.
fn from_words(text: &str) -> Command {
    let mut words = text.split(' ');
    cmd(words.next().unwrap()).args(words)
}

/// What goes over the wire.
#[test]
fn encodes_as_an_array_of_bulk_strings() {
    let table = [
        (get("k"), "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
        (set("k", 12), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n12\r\n"),
        (cmd("client setname").arg("x"), "*3\r\n$6\r\nclient\r\n$7\r\nsetname\r\n$1\r\nx\r\n"),
        (cmd("PING"), "*1\r\n$4\r\nPING\r\n"),
        (cmd("X").arg(""), "*2\r\n$1\r\nX\r\n$0\r\n\r\n"),
        (cmd("X").args(Some("0123456789")), "*2\r\n$1\r\nX\r\n$10\r\n0123456789\r\n"),
        (cmd("X").args(None::<&str>), "*1\r\n$1\r\nX\r\n"),
    ];
    for (command, expected) in table {
        assert_eq!(wire(&command), expected);
    }
}

/// The first key and all keys, as the servers' own key specs have them.
#[test]
fn keys_are_found_in_known_commands() {
    let table = [
        ("GET a", "a"),
        ("get a", "a"),
        ("MGET a b c", "a b c"),
        ("MSET a 1 b 2", "a b"),
        ("SET a 1 EX 5", "a"),
        ("BLPOP a b 0", "a b"),
        ("LMOVE a b LEFT RIGHT", "a b"),
        ("BITOP AND d a b", "d a b"),
        ("OBJECT ENCODING a", "a"),
        ("XINFO STREAM a FULL", "a"),
        ("XGROUP CREATE a g $", "a"),
        ("MEMORY USAGE a", "a"),
        ("EVAL s 2 a b x y", "a b"),
        ("EVAL s 0 x", ""),
        ("EVAL s nonsense x", ""),
        ("EVAL s -1 x", ""),
        ("EVAL s 9 x", ""),
        ("EVAL s 99999999999999999999 x", ""),
        ("EVAL", ""),
        ("ZUNION 2 a b WITHSCORES", "a b"),
        ("ZUNIONSTORE d 2 a b", "d a b"),
        ("BLMPOP 0 2 a b LEFT", "a b"),
        ("XREAD COUNT 2 BLOCK 5 STREAMS a b 0 0", "a b"),
        ("XREAD STREAMS a", ""),
        ("XREADGROUP GROUP g c STREAMS a >", "a"),
        ("MSETEX 2 a 1 b 2 EX 5", "a b"),
        ("SORT a BY w* STORE d", "a d"),
        ("SORT_RO a", "a"),
        ("GEORADIUS a 1 2 3 m STORE d", "a d"),
        ("MIGRATE h 1 a 0 5", "a"),
        ("SPUBLISH c m", "c"),
        ("SSUBSCRIBE c d", "c d"),
        ("PUBLISH c m", ""),
        ("PING", ""),
        ("CONFIG GET a", ""),
        ("CONFIG", ""),
        ("NOSUCH a b", ""),
    ];
    for (text, expected) in table {
        let command = from_words(text);
        let keys: Vec<&str> =
            command.keys().map(|(_, key)| std::str::from_utf8(key).unwrap()).collect();
        assert_eq!(keys.join(" "), expected, "{text}");
        let first = expected.split(' ').next().filter(|key| !key.is_empty());
        assert_eq!(command.first_key(), first.map(str::as_bytes), "{text}");
    }
    let migrate = from_words("MIGRATE h 1").arg("").args(["0", "5", "KEYS", "a", "b"]);
    let keys: Vec<_> = migrate.keys().collect();
    assert_eq!(keys, [(7, &b"a"[..]), (8, &b"b"[..])]);
    assert_eq!(migrate.first_key(), Some(&b"a"[..]));
}

/// A marked key routes a command that the table lacks.
#[test]
fn a_marked_key_is_the_first_key() {
    let command = cmd("JSON.SET").key("doc").arg("$").arg("{}");
    assert_eq!(command.first_key(), Some(&b"doc"[..]));
    assert_eq!(cmd("JSON.SET").arg("doc").first_key(), None);
    assert_eq!(cmd("X").key("").first_key(), Some(&b""[..]));
    assert_eq!(get("k").first_key(), Some(&b"k"[..]));
}

/// What decides about a second try, and about a connection of its own.
#[test]
fn flags_are_strict() {
    let table = [
        // command, read-only, blocking
        ("GET a", true, false),
        ("SET a 1", false, false),
        ("GETEX a", false, false),
        ("GETDEL a", false, false),
        ("RANDOMKEY", true, false),
        ("SRANDMEMBER a", true, false),
        ("SPOP a", false, false),
        ("SORT a", false, false),
        ("SORT_RO a", true, false),
        ("EVAL_RO s 0", true, false),
        ("EVAL s 0", false, false),
        ("FCALL_RO f 0", true, false),
        ("GEORADIUS a 1 2 3 m", false, false),
        ("GEORADIUS_RO a 1 2 3 m", true, false),
        ("INCR a", false, false),
        ("PUBLISH c m", false, false),
        ("XREAD STREAMS block 0", true, false),
        ("XREAD block 0 STREAMS a 0", true, true),
        ("XREADGROUP GROUP g c BLOCK 1 STREAMS a >", false, true),
        ("XREADGROUP GROUP g c STREAMS a >", false, false),
        ("BLPOP a 0", false, true),
        ("WAIT 1 0", false, true),
        ("WAITAOF 1 0 0", false, true),
        ("OBJECT ENCODING a", true, false),
        ("OBJECT", false, false),
        ("NOSUCH a", false, false),
    ];
    for (text, readonly, blocking) in table {
        let command = from_words(text);
        assert_eq!(command.is_readonly(), readonly, "{text}");
        assert_eq!(command.is_blocking(), blocking, "{text}");
    }
}

/// Names for errors.
#[test]
fn names_say_the_subcommand_of_a_container_and_no_more() {
    let table = [
        ("get secret", "GET"),
        ("client setname me", "CLIENT SETNAME"),
        ("client nonsense", "CLIENT"),
        ("client", "CLIENT"),
        ("ft.search idx", "FT.SEARCH"),
    ];
    for (text, expected) in table {
        assert_eq!(from_words(text).name(), expected);
    }
    assert_eq!(cmd(&"x".repeat(99)).name().len(), 60);
    assert_eq!(cmd("").name(), "");
    assert!(!format!("{:?}", set("k", "secret")).contains("secret"));
}

/// The table can be searched.
#[test]
fn the_table_is_sorted_and_in_upper_case() {
    fn check(specs: &[Spec]) {
        assert!(specs.windows(2).all(|pair| pair[0].name < pair[1].name));
        for spec in specs {
            assert!(!spec.name.bytes().any(|byte| byte.is_ascii_lowercase()), "{}", spec.name);
            check(spec.subcommands);
        }
    }
    check(&table::TABLE);
    for spec in &table::TABLE {
        assert!(std::ptr::eq(lookup::find(spec.name.to_lowercase().as_bytes()).unwrap(), spec));
    }
    for name in ["", "~", "0", "GE", "GETT", "ZZZ", "\u{7f}"] {
        assert_eq!(lookup::find(name.as_bytes()), None, "{name}");
    }
}

proptest::proptest! {
    /// Arguments come back as they went in, through a parser that shares nothing with the encoder.
    #[test]
    fn arguments_round_trip(args: Vec<Vec<u8>>) {
        let command = cmd("X").args(&args);
        let mut out = Vec::new();
        command.write_to(&mut out);
        let mut rest = &out[..];
        let line = |rest: &mut &[u8], mark: u8| -> usize {
            let end = rest.windows(2).position(|pair| pair == b"\r\n").unwrap();
            assert_eq!(rest[0], mark);
            let number = std::str::from_utf8(&rest[1..end]).unwrap().parse().unwrap();
            *rest = &rest[end + 2..];
            number
        };
        let count = line(&mut rest, b'*');
        let mut parsed = Vec::new();
        for _ in 0..count {
            let len = line(&mut rest, b'$');
            parsed.push(rest[..len].to_vec());
            assert_eq!(&rest[len..len + 2], b"\r\n");
            rest = &rest[len + 2..];
        }
        assert!(rest.is_empty());
        assert_eq!(parsed[0], b"X");
        assert_eq!(parsed[1..], args[..]);
        assert!(command.args_iter().skip(1).eq(args.iter().map(Vec::as_slice)));
    }

    /// Whatever the arguments are, looking for keys ends and stays inside them.
    #[test]
    fn keys_are_arguments(at in 0..table::TABLE.len(), words: Vec<String>) {
        let command = cmd(table::TABLE[at].name).args(&words).arg("3").args(&words);
        let args: Vec<&[u8]> = command.args_iter().collect();
        for (position, key) in command.keys() {
            assert_eq!(args[position], key);
        }
    }
}
