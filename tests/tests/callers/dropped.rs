//! What is left of a client when the last of its clones is dropped: nothing, at once.
//!
//! Not a connection that waits for replies to callers who have gone, not a task that would end only
//! when bytes move once more. The fuzz target `connection` asks the same at the end of each run.

use super::fuzzed;
use super::memory::{Memory, Task};
use slotcar::{Client, Config, cmd};
use std::path::Path;
use std::time::Duration;

/// How calls are given up before the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GivenUp {
    /// Not at all: they have ended.
    Ended,
    /// In flight, with the client.
    InFlight,
    /// In flight, and their connection was given up before: the client knows of it no more.
    Replaced,
    /// While the first dial was under way.
    Dialling,
}

/// Runs everything that can go on; the server answers if it may.
fn settle(memory: &Memory, tasks: &mut [Task], answers: bool) {
    for _ in 0..1000 {
        let moved = (answers && memory.step(true)) | memory.run_background();
        if !tasks.iter_mut().fold(moved, |ran, task| task.run() | ran) {
            return;
        }
    }
}

fn client(memory: &Memory) -> Client {
    let config = Config::from_url("redis://memory").expect("a good URL").connections_per_node(2);
    Client::connect_lazy(memory.clone(), config).expect("a good configuration")
}

/// A call of one kind: a value, a pipeline, a blocking command, a transaction, a watch.
fn call(client: &Client, kind: u32) -> Task {
    let client = client.clone();
    Task::new(Box::pin(async move {
        let echo = || cmd("ECHO").arg(kind);
        match kind % 5 {
            0 => drop(client.send::<String>(echo()).await),
            1 => drop(client.pipeline().add(echo()).add(echo()).run::<[String; 2]>().await),
            2 => drop(client.send::<[String; 2]>(cmd("BLPOP").key("k").arg(0)).await),
            3 => drop(client.transaction().add(echo()).run::<(String,)>().await),
            _ => drop(client.watch(["k"]).await),
        }
    }))
}

#[test]
fn nothing_outlives_the_last_clone() {
    let kinds = [GivenUp::Ended, GivenUp::InFlight, GivenUp::Replaced, GivenUp::Dialling];
    for given_up in kinds {
        for background in [true, false] {
            for seed in 0..20 {
                let memory = Memory::new(seed, background);
                let client = client(&memory);
                if given_up != GivenUp::Dialling {
                    // The connections are there.
                    let mut first: Vec<_> = (0..10).map(|kind| call(&client, kind)).collect();
                    settle(&memory, &mut first, true);
                    assert!(memory.open_connections() > 0);
                }
                let mut calls: Vec<_> = (0..10).map(|kind| call(&client, kind)).collect();
                match given_up {
                    GivenUp::Ended => settle(&memory, &mut calls, true),
                    GivenUp::InFlight => settle(&memory, &mut calls, false),
                    GivenUp::Replaced => {
                        settle(&memory, &mut calls, false);
                        // A server that is silent for so long is given up.
                        memory.advance(Duration::from_secs(100));
                        settle(&memory, &mut calls, false);
                    }
                    GivenUp::Dialling => _ = calls[0].run(),
                }
                drop(calls);
                drop(client);
                while memory.run_background() {}
                let left = (memory.open_connections(), memory.background_tasks());
                assert_eq!(left, (0, 0), "{given_up:?}, background {background}, seed {seed}");
            }
        }
    }
}

/// Clones and views keep it.
#[test]
fn a_clone_keeps_the_connections() {
    let memory = Memory::new(1, true);
    let first = client(&memory);
    let view = first.with_timeout(Duration::from_secs(1));
    settle(&memory, &mut [call(&first, 0)], true);
    drop(first);
    assert!(memory.open_connections() > 0);
    settle(&memory, &mut [call(&view, 0)], true);
    drop(view);
    while memory.run_background() {}
    assert_eq!((memory.open_connections(), memory.background_tasks()), (0, 0));
}

/// What the fuzz target has found once.
#[test]
fn the_corpus_of_the_fuzz_target_finds_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/connection");
    for file in std::fs::read_dir(folder).expect("the corpus") {
        let input = std::fs::read(file.expect("a file").path()).expect("an input");
        fuzzed::run(&input);
    }
}
