//! Drops callers at a hundred thousand random moments.
//!
//! **Invariant**: no caller gets the reply of another, and each caller that waits gets its own.

use super::memory::{Memory, Task};
use slotcar::{BoxFuture, Client, Config, cmd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many callers are dropped before their end, over all runs.
const CANCELS: usize = 100_000;
/// Callers of one run.
const CALLERS: usize = 120;

/// What a caller sends and the reply that it expects, for each kind of call.
fn caller(client: &Client, kind: usize, number: usize, ended: Arc<AtomicUsize>) -> Task {
    let client = client.clone();
    let token = move |part: usize| format!("{number}.{part}");
    let future: BoxFuture<'static, ()> = match kind {
        // A single call.
        0..4 => Box::pin(async move {
            let reply: String = client.send(cmd("ECHO").arg(token(0))).await.expect("answered");
            assert_eq!(reply, token(0));
            ended.fetch_add(1, Ordering::SeqCst);
        }),
        // Calls one after the other.
        4..6 => Box::pin(async move {
            for part in 0..3 {
                let echo = client.send::<String>(cmd("ECHO").arg(token(part)));
                assert_eq!(echo.await.expect("answered"), token(part));
            }
            ended.fetch_add(1, Ordering::SeqCst);
        }),
        // A pipeline.
        6..8 => Box::pin(async move {
            let mut pipeline = client.pipeline();
            (0..5).for_each(|part| pipeline.push(cmd("ECHO").arg(token(part))));
            let replies: Vec<String> = pipeline.run().await.expect("answered");
            assert!(replies.into_iter().enumerate().all(|(part, reply)| reply == token(part)));
            ended.fetch_add(1, Ordering::SeqCst);
        }),
        // Blocking, on a connection of its own.
        _ => Box::pin(async move {
            let pop = client.send::<[String; 2]>(cmd("BLPOP").key(token(0)).arg(0));
            assert_eq!(pop.await.expect("answered"), [token(0), token(0)]);
            ended.fetch_add(1, Ordering::SeqCst);
        }),
    };
    Task::new(future)
}

/// One run; returns how many callers were dropped before their end.
fn run(seed: u64, background: bool) -> usize {
    let memory = Memory::new(seed, background);
    let config = Config::from_url("redis://memory").expect("good").connections_per_node(1);
    let config = config.exclusive_connections_max(CALLERS as u32);
    let client = Client::connect_lazy(memory.clone(), config).expect("good");
    let ended = Arc::new(AtomicUsize::new(0));
    let mut tasks: Vec<Task> = Vec::new();
    let (mut started, mut cancelled) = (0, 0);
    while started < CALLERS {
        match memory.below(10) {
            0..3 => {
                tasks.push(caller(&client, memory.below(9), started, Arc::clone(&ended)));
                started += 1;
            }
            3..6 if !tasks.is_empty() => {
                let index = memory.below(tasks.len());
                tasks[index].run();
            }
            6 => drop(memory.run_background()),
            7 | 8 => drop(memory.step(false)),
            9 if !tasks.is_empty() => {
                let task = tasks.swap_remove(memory.below(tasks.len()));
                cancelled += usize::from(task.future.is_some());
            }
            _ => {}
        }
    }
    let settled = (0..100_000).any(|_| {
        let moved = memory.step(true) | memory.run_background();
        !tasks.iter_mut().fold(moved, |ran, task| task.run() | ran)
    });
    assert!(settled, "seed {seed}, background {background}: they wake each other without end");
    let left = tasks.iter().filter(|task| task.future.is_some()).count();
    assert_eq!(left, 0, "seed {seed}, background {background}: callers wait without end");
    assert_eq!(ended.load(Ordering::SeqCst) + cancelled, CALLERS);
    drop((tasks, client));
    // The background ends with its connections.
    while memory.run_background() {}
    cancelled
}

#[test]
fn dropped_at_a_hundred_thousand_moments() {
    let mut cancelled = 0;
    for seed in 0.. {
        cancelled += run(seed, seed % 2 == 0);
        if cancelled >= CANCELS {
            break;
        }
    }
}
