//! What each function writes, word for word.

use super::super::*;
use std::collections::BTreeMap;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const HALF: Duration = Duration::from_millis(500);

/// The arguments, and the keys among them, as a generic command of the same words has them.
fn check(command: &Command, expected: &str) {
    let words: Vec<&str> =
        command.args_iter().map(|arg| std::str::from_utf8(arg).unwrap()).collect();
    assert_eq!(words.join(" "), expected);
    let generic = cmd(words[0]).args(&words[1..]);
    assert_eq!(command.first_key(), generic.first_key(), "{expected}");
    assert_eq!(command.name(), generic.name());
    assert_eq!(command.spec(), generic.spec());
}

#[test]
fn strings_and_counters() {
    let table = [
        (get("k"), "GET k"),
        (set("k", "v"), "SET k v"),
        (set_with("k", "v", SetOptions::new()), "SET k v"),
        (set_with("k", "v", SetOptions::new().nx().ex(SECOND)), "SET k v NX EX 1"),
        (set_with("k", "v", SetOptions::new().xx().get().ex(HALF)), "SET k v XX GET PX 500"),
        (set_with("k", "v", SetOptions::new().keep_ttl()), "SET k v KEEPTTL"),
        (set_with("k", "v", SetOptions::new().exat(SECOND)), "SET k v EXAT 1"),
        (setnx("k", "v"), "SETNX k v"),
        (setex("k", SECOND, "v"), "SETEX k 1 v"),
        (setex("k", HALF, "v"), "PSETEX k 500 v"),
        (getdel("k"), "GETDEL k"),
        (getex("k", GetexOptions::new()), "GETEX k"),
        (getex("k", GetexOptions::new().persist()), "GETEX k PERSIST"),
        (getex("k", GetexOptions::new().ex(SECOND)), "GETEX k EX 1"),
        (getex("k", GetexOptions::new().exat(HALF)), "GETEX k PXAT 500"),
        (getset("k", "v"), "GETSET k v"),
        (mget(["a", "b"]), "MGET a b"),
        (mget("a"), "MGET a"),
        (mset([("a", 1), ("b", 2)]), "MSET a 1 b 2"),
        (msetnx(BTreeMap::from([("a", 1)])), "MSETNX a 1"),
        (append("k", "v"), "APPEND k v"),
        (strlen("k"), "STRLEN k"),
        (getrange("k", 0, -1), "GETRANGE k 0 -1"),
        (setrange("k", 5, "v"), "SETRANGE k 5 v"),
        (incr("k"), "INCR k"),
        (incrby("k", -2), "INCRBY k -2"),
        (incrbyfloat("k", 0.1), "INCRBYFLOAT k 0.1"),
        (decr("k"), "DECR k"),
        (decrby("k", 2), "DECRBY k 2"),
    ];
    table.iter().for_each(|(command, expected)| check(command, expected));
}

#[test]
fn keys_and_expiry() {
    let all = ScanOptions::new().matching("a*").count(7).of_type("hash");
    let table = [
        (del(["a", "b"]), "DEL a b"),
        (del(b"abc"), "DEL abc"),
        (unlink("a"), "UNLINK a"),
        (exists("a"), "EXISTS a"),
        (touch(vec!["a"]), "TOUCH a"),
        (rename("a", "b"), "RENAME a b"),
        (renamenx("a", "b"), "RENAMENX a b"),
        (copy("a", "b"), "COPY a b"),
        (key_type("a"), "TYPE a"),
        (dump("a"), "DUMP a"),
        (restore("a", None, "x"), "RESTORE a 0 x"),
        (restore("a", Some(SECOND), "x"), "RESTORE a 1000 x"),
        (object_encoding("a"), "OBJECT ENCODING a"),
        (randomkey(), "RANDOMKEY"),
        (keys("*"), "KEYS *"),
        (scan(0, ScanOptions::new()), "SCAN 0"),
        (scan(9, all), "SCAN 9 MATCH a* COUNT 7 TYPE hash"),
        (expire("k", SECOND), "EXPIRE k 1"),
        (expire("k", HALF), "PEXPIRE k 500"),
        (expire("k", Duration::ZERO), "PEXPIRE k 0"),
        (expire("k", Duration::from_nanos(1)), "PEXPIRE k 1"),
        (expire("k", Duration::from_micros(1_500_001)), "PEXPIRE k 1501"),
        (expire_with("k", SECOND, ExpireOptions::new()), "EXPIRE k 1"),
        (expire_with("k", SECOND, ExpireOptions::new().nx()), "EXPIRE k 1 NX"),
        (expire_with("k", HALF, ExpireOptions::new().xx()), "PEXPIRE k 500 XX"),
        (expire_with("k", SECOND, ExpireOptions::new().gt()), "EXPIRE k 1 GT"),
        (expire_with("k", SECOND, ExpireOptions::new().lt()), "EXPIRE k 1 LT"),
        (pexpire("k", SECOND), "PEXPIRE k 1000"),
        (expireat("k", SECOND), "EXPIREAT k 1"),
        (expireat("k", HALF), "PEXPIREAT k 500"),
        (pexpireat("k", SECOND), "PEXPIREAT k 1000"),
        (ttl("k"), "TTL k"),
        (pttl("k"), "PTTL k"),
        (expiretime("k"), "EXPIRETIME k"),
        (pexpiretime("k"), "PEXPIRETIME k"),
        (persist("k"), "PERSIST k"),
    ];
    table.iter().for_each(|(command, expected)| check(command, expected));
}

#[test]
fn hashes_and_lists() {
    let table = [
        (hset("k", [("f", 1), ("g", 2)]), "HSET k f 1 g 2"),
        (hsetnx("k", "f", 1), "HSETNX k f 1"),
        (hget("k", "f"), "HGET k f"),
        (hmget("k", ["f", "g"]), "HMGET k f g"),
        (hgetall("k"), "HGETALL k"),
        (hkeys("k"), "HKEYS k"),
        (hvals("k"), "HVALS k"),
        (hdel("k", "f"), "HDEL k f"),
        (hexists("k", "f"), "HEXISTS k f"),
        (hlen("k"), "HLEN k"),
        (hstrlen("k", "f"), "HSTRLEN k f"),
        (hincrby("k", "f", 1), "HINCRBY k f 1"),
        (hincrbyfloat("k", "f", 1.5), "HINCRBYFLOAT k f 1.5"),
        (hrandfield("k", -2), "HRANDFIELD k -2"),
        (hscan("k", 0, ScanOptions::new().count(5)), "HSCAN k 0 COUNT 5"),
        (lpush("k", ["a", "b"]), "LPUSH k a b"),
        (rpush("k", 1), "RPUSH k 1"),
        (lpushx("k", "a"), "LPUSHX k a"),
        (rpushx("k", "a"), "RPUSHX k a"),
        (lpop("k"), "LPOP k"),
        (rpop("k"), "RPOP k"),
        (lpop_many("k", 2), "LPOP k 2"),
        (rpop_many("k", 2), "RPOP k 2"),
        (lrange("k", 0, -1), "LRANGE k 0 -1"),
        (llen("k"), "LLEN k"),
        (lindex("k", 0), "LINDEX k 0"),
        (lpos("k", "a"), "LPOS k a"),
        (lset("k", 0, "a"), "LSET k 0 a"),
        (linsert("k", Side::Before, "a", "b"), "LINSERT k BEFORE a b"),
        (linsert("k", Side::After, "a", "b"), "LINSERT k AFTER a b"),
        (ltrim("k", 0, 9), "LTRIM k 0 9"),
        (lrem("k", 0, "a"), "LREM k 0 a"),
        (lmove("a", "b", End::Left, End::Right), "LMOVE a b LEFT RIGHT"),
        (blpop(["a", "b"], HALF), "BLPOP a b 0.5"),
        (brpop("a", Duration::ZERO), "BRPOP a 0"),
        (blmove("a", "b", End::Right, End::Left, SECOND), "BLMOVE a b RIGHT LEFT 1"),
    ];
    table.iter().for_each(|(command, expected)| check(command, expected));
}

#[test]
fn sets_and_sorted_sets() {
    let by_score = ZrangeOptions::new().by_score().rev().limit(1, 2).with_scores();
    let table = [
        (sadd("k", ["a", "b"]), "SADD k a b"),
        (srem("k", "a"), "SREM k a"),
        (smembers("k"), "SMEMBERS k"),
        (sismember("k", "a"), "SISMEMBER k a"),
        (smismember("k", ["a"]), "SMISMEMBER k a"),
        (scard("k"), "SCARD k"),
        (spop("k"), "SPOP k"),
        (spop_many("k", 2), "SPOP k 2"),
        (srandmember("k"), "SRANDMEMBER k"),
        (srandmember_many("k", -2), "SRANDMEMBER k -2"),
        (smove("a", "b", "m"), "SMOVE a b m"),
        (sinter(["a", "b"]), "SINTER a b"),
        (sinterstore("d", ["a", "b"]), "SINTERSTORE d a b"),
        (sunion(["a", "b"]), "SUNION a b"),
        (sunionstore("d", "a"), "SUNIONSTORE d a"),
        (sdiff(["a", "b"]), "SDIFF a b"),
        (sdiffstore("d", "a"), "SDIFFSTORE d a"),
        (sintercard(["a", "b"]), "SINTERCARD 2 a b"),
        (sscan("k", 0, ScanOptions::new()), "SSCAN k 0"),
        (zadd("k", [(1, "a"), (2, "b")]), "ZADD k 1 a 2 b"),
        (zadd("k", [(f64::NEG_INFINITY, "a")]), "ZADD k -inf a"),
        (zadd_with("k", ZaddOptions::new().xx().gt().ch(), [(1, "a")]), "ZADD k XX GT CH 1 a"),
        (zadd_with("k", ZaddOptions::new().nx(), [(1, "a")]), "ZADD k NX 1 a"),
        (zadd_with("k", ZaddOptions::new().lt(), [(1, "a")]), "ZADD k LT 1 a"),
        (zrem("k", "a"), "ZREM k a"),
        (zscore("k", "a"), "ZSCORE k a"),
        (zmscore("k", ["a", "b"]), "ZMSCORE k a b"),
        (zincrby("k", 1.0, "a"), "ZINCRBY k 1 a"),
        (zcard("k"), "ZCARD k"),
        (zcount("k", "(1", "+inf"), "ZCOUNT k (1 +inf"),
        (zlexcount("k", "-", "[b"), "ZLEXCOUNT k - [b"),
        (zrank("k", "a"), "ZRANK k a"),
        (zrevrank("k", "a"), "ZREVRANK k a"),
        (zrange("k", 0, -1), "ZRANGE k 0 -1"),
        (zrange_with("k", 9, 1, by_score), "ZRANGE k 9 1 BYSCORE REV LIMIT 1 2 WITHSCORES"),
        (zrange_with("k", "-", "+", ZrangeOptions::new().by_lex()), "ZRANGE k - + BYLEX"),
        (zrevrange("k", 0, 1), "ZREVRANGE k 0 1"),
        (zrangebyscore("k", 1, 2.5), "ZRANGEBYSCORE k 1 2.5"),
        (zrandmember("k", 1), "ZRANDMEMBER k 1"),
        (zpopmin("k", 1), "ZPOPMIN k 1"),
        (zpopmax("k", 1), "ZPOPMAX k 1"),
        (bzpopmin("k", SECOND), "BZPOPMIN k 1"),
        (bzpopmax(["a", "b"], SECOND), "BZPOPMAX a b 1"),
        (zremrangebyrank("k", 0, 1), "ZREMRANGEBYRANK k 0 1"),
        (zremrangebyscore("k", 0, 1), "ZREMRANGEBYSCORE k 0 1"),
        (zinterstore("d", ["a", "b"]), "ZINTERSTORE d 2 a b"),
        (zunionstore("d", ["a", "b"]), "ZUNIONSTORE d 2 a b"),
        (zscan("k", 0, ScanOptions::new().matching("a")), "ZSCAN k 0 MATCH a"),
    ];
    table.iter().for_each(|(command, expected)| check(command, expected));
}

#[test]
fn server_and_scripts() {
    let none: [&str; 0] = [];
    let table = [
        (ping(), "PING"),
        (echo("hi"), "ECHO hi"),
        (time(), "TIME"),
        (info(none), "INFO"),
        (info(["server", "memory"]), "INFO server memory"),
        (dbsize(), "DBSIZE"),
        (flushall(), "FLUSHALL"),
        (flushdb(), "FLUSHDB"),
        (publish("c", "m"), "PUBLISH c m"),
        (spublish("c", "m"), "SPUBLISH c m"),
        (eval("s", ["a", "b"], [1, 2]), "EVAL s 2 a b 1 2"),
        (eval("s", none, "x"), "EVAL s 0 x"),
        (eval_ro("s", "a", none), "EVAL_RO s 1 a"),
        (evalsha("d", "a", none), "EVALSHA d 1 a"),
        (evalsha_ro("d", "a", none), "EVALSHA_RO d 1 a"),
        (fcall("f", "a", "x"), "FCALL f 1 a x"),
        (fcall_ro("f", "a", "x"), "FCALL_RO f 1 a x"),
        (script_load("s"), "SCRIPT LOAD s"),
        (script_exists(["d", "e"]), "SCRIPT EXISTS d e"),
        (script_flush(), "SCRIPT FLUSH"),
    ];
    table.iter().for_each(|(command, expected)| check(command, expected));
}
