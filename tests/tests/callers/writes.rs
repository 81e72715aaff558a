//! One write per flush: a command is never split between two writes, and commands of many callers
//! go out in one write.

use super::{BACKGROUNDS, client, server};
use futures::future::join_all;
use slotcar::cmd;
use slotcar::prelude::*;
use slotcar_tests::polling::run;

/// Concurrent callers.
const CALLERS: usize = 64;

/// A single command is one write, and so is a pipeline.
#[test]
fn a_command_and_a_pipeline_are_one_write_each() {
    let server = server();
    for background in BACKGROUNDS {
        let (client, watched) = client(&server, background);
        let before = watched.write_count();
        for i in 0..50 {
            run(client.set(i, "v".repeat(100))).expect("good");
        }
        assert_eq!(watched.write_count() - before, 50, "background {background}");
        let before = watched.write_count();
        let mut pipeline = client.pipeline();
        (0..100).for_each(|i| pipeline.push(cmd("GET").key(i)));
        run(pipeline.run::<Vec<Option<String>>>()).expect("good");
        assert_eq!(watched.write_count() - before, 1, "background {background}");
    }
}

/// The first command goes out at once, since it may be the only one; all others go with the second
/// write. A background task has its own thread, so on a busy machine there may be more writes: the
/// median of many rounds counts.
#[test]
fn many_callers_share_a_write() {
    let server = server();
    for background in BACKGROUNDS {
        let (client, watched) = client(&server, background);
        let mut rounds = Vec::new();
        for _ in 0..21 {
            let before = watched.write_count();
            let calls = join_all((0..CALLERS).map(|i| client.send::<u8>(cmd("ECHO").arg(i))));
            let replies = run(calls);
            assert!(
                replies
                    .into_iter()
                    .enumerate()
                    .all(|(i, reply)| reply.is_ok_and(|reply| usize::from(reply) == i))
            );
            rounds.push(watched.write_count() - before);
        }
        rounds.sort_unstable();
        assert!((1..=4).contains(&rounds[10]), "{rounds:?} writes, background {background}");
    }
}

/// A handshake that the command does not depend on goes out in one write with the command.
#[test]
fn the_first_command_travels_with_the_greeting() {
    let server = server();
    for background in BACKGROUNDS {
        let (_client, watched) = client(&server, background);
        let writes = watched.writes();
        assert_eq!(writes.len(), 1, "one connection");
        assert_eq!(writes[0].len(), 1, "one write");
        let text = String::from_utf8_lossy(&writes[0][0]).into_owned();
        assert!(text.contains("HELLO") && text.ends_with("$4\r\nPING\r\n"), "{text}");
    }
}
