//! No request costs a simulated server its life: the corpus of the fuzz target `server`, whole and
//! request by request, as an ordinary test.

#![allow(clippy::unwrap_used, reason = "a corpus that cannot be read has failed")]

#[path = "../../fuzz/src/server.rs"]
mod server;

use std::path::Path;

#[test]
fn the_corpus_of_the_fuzz_target_finds_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/server");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        println!("{}", path.display());
        let input = std::fs::read(path).unwrap();
        server::run(&input);
        // In the other deployment and version, too.
        for choice in 0..4 {
            server::run(&[&[choice], &input[1..]].concat());
        }
    }
}

/// Indexes at both ends of the numbers, in every command that takes one.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn numbers_at_the_edge_are_numbers() {
    let numbers = ["9223372036854775807", "-9223372036854775808", "-1", "0", "4294967296", "1e308"];
    let setup = "SET k abc\r\nRPUSH l a b\r\nSADD s a b\r\nHSET h f 1\r\nZADD z 1 a 2 b\r\n\
                 XADD x 1-1 f v\r\nXGROUP CREATE x g 0\r\n";
    let commands = [
        "GETRANGE k N M",
        "SUBSTR k N M",
        "SETRANGE k N a",
        "BITCOUNT k N M",
        "BITCOUNT k N M BIT",
        "BITPOS k 1 N M",
        "BITPOS k 0 N M BIT",
        "SETBIT k N 1",
        "GETBIT k N",
        "INCRBY k N",
        "DECRBY k N",
        "INCRBYFLOAT k N",
        "EXPIRE k N",
        "PEXPIRE k N",
        "EXPIREAT k N",
        "PEXPIREAT k N",
        "SET n v EX N",
        "SET n v PXAT N",
        "GETEX k PX N",
        "SETEX n N v",
        "LRANGE l N M",
        "LTRIM l N M",
        "LINDEX l N",
        "LSET l N v",
        "LREM l N a",
        "LPOP l N",
        "RPOP l N",
        "LPOS l a RANK N COUNT M",
        "LPOS l a MAXLEN N",
        "LMPOP 1 l LEFT COUNT N",
        "LMPOP N l LEFT",
        "SPOP s N",
        "SRANDMEMBER s N",
        "SINTERCARD N s LIMIT M",
        "HRANDFIELD h N WITHVALUES",
        "HINCRBY h f N",
        "HINCRBYFLOAT h f N",
        "ZRANGE z N M",
        "ZREVRANGE z N M",
        "ZRANGE z N M BYSCORE LIMIT N M",
        "ZRANGEBYSCORE z N M LIMIT N M",
        "ZRANGEBYLEX z - + LIMIT N M",
        "ZRANGESTORE d z N M",
        "ZREMRANGEBYRANK z N M",
        "ZREMRANGEBYSCORE z N M",
        "ZRANDMEMBER z N WITHSCORES",
        "ZPOPMIN z N",
        "ZPOPMAX z N",
        "ZINCRBY z N a",
        "ZMPOP N z MIN COUNT M",
        "ZUNIONSTORE d N z WEIGHTS M",
        "ZINTERCARD N z",
        "ZUNION N z",
        "ZDIFF N z",
        "XADD x MAXLEN N * f v",
        "XADD x MINID N-M * f v",
        "XADD x N-M f v",
        "XRANGE x N M COUNT N",
        "XREVRANGE x + - COUNT N",
        "XREAD COUNT N STREAMS x 0",
        "XTRIM x MAXLEN N LIMIT M",
        "XSETID x N-M",
        "XPENDING x g - + N",
        "XPENDING x g IDLE N - + M",
        "XCLAIM x g c N 1-1",
        "XCLAIM x g c 0 1-1 IDLE N",
        "XCLAIM x g c 0 1-1 TIME N RETRYCOUNT M",
        "XAUTOCLAIM x g c N 0 COUNT M",
        "XGROUP SETID x g N-M ENTRIESREAD N",
        "XREADGROUP GROUP g c COUNT N STREAMS x >",
        "SCAN N COUNT M",
        "HSCAN h N COUNT M",
        "SSCAN s N COUNT M",
        "ZSCAN z N COUNT M",
        "SELECT N",
        "SWAPDB N M",
        "MOVE k N",
        "COPY k n DB N",
        "SLOWLOG GET N",
        "CLIENT PAUSE N",
        "CLIENT KILL ID N",
        "CLIENT UNBLOCK N",
        "WAIT N M",
        "EVAL x N k",
        "EVALSHA x N k",
        "OBJECT FREQ N",
        "MEMORY USAGE k SAMPLES N",
        "BLPOP m N",
        "BLMPOP N M m LEFT",
        "BZPOPMIN m N",
        "BLMOVE m m LEFT RIGHT N",
        "XREAD BLOCK N STREAMS x $",
        "CLUSTER KEYSLOT N",
        "CLUSTER COUNTKEYSINSLOT N",
        "CLUSTER GETKEYSINSLOT N M",
        "CLUSTER ADDSLOTS N",
        "CLUSTER ADDSLOTSRANGE N M",
        "CLUSTER SETSLOT N NODE M",
        "CLUSTER SET-CONFIG-EPOCH N",
        "CLUSTER MEET h N M",
        "CONFIG SET maxmemory N",
        "CONFIG SET hz N",
        "DEBUG SLEEP N",
        "RESTORE n N x",
        "BITFIELD k SET u8 N M",
        "HELLO N",
        "PSYNC N M",
        "REPLICAOF h N",
        "LATENCY HISTORY N",
        "SENTINEL CKQUORUM N",
        "FAILOVER TIMEOUT N",
    ];
    for command in commands {
        let mut input = vec![0];
        for first in numbers {
            for second in numbers {
                input.extend_from_slice(setup.as_bytes());
                let line = command.split(' ').map(|word| match word {
                    "N" => first.to_owned(),
                    "M" => second.to_owned(),
                    "N-M" => format!("{first}-{second}"),
                    word => word.to_owned(),
                });
                let line = line.collect::<Vec<_>>().join(" ");
                // In pieces that two clients send: one that blocks does not keep the other.
                input.extend_from_slice(line.as_bytes());
                input.extend_from_slice(b"\r\n\0");
                if input.len() > 3500 {
                    server::run(&input);
                    input.truncate(1);
                }
            }
        }
        server::run(&input);
    }
}
