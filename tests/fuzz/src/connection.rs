//! A whole client over a server in memory. The input decides when callers start, are polled and are
//! dropped, when the server sends a part of its replies, sends what it was not asked for, or closes
//! the connection, and when time passes.
//!
//! Each byte is an event, some with the byte that follows as their argument. Checked: nothing
//! panics; every caller ends once the server answers again; as long as the server has sent nothing
//! that was not asked for, every caller gets the reply to its own command; once the client is
//! dropped, its connections and its background tasks have ended.

use super::memory::{Memory, Task};
use slotcar::config::WhenFull;
use slotcar::{Client, Config, cmd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Callers of one run.
const CALLERS_MAX: usize = 60;

/// What the server sends without being asked, in addition to bytes of the input.
const WORDS: &[&[u8]] = &[
    b"+wrong\r\n",
    b">2\r\n+message\r\n:1\r\n",
    b"$5\r\nwro",
    b"-ERR max number of clients reached\r\n",
    b"-LOADING not yet\r\n",
    b"*2\r\n:1\r\n",
    b"$-1\r\n",
    b"$99999999999999999999\r\n",
    b"*2\r\n>1\r\n+x\r\n",
    b"+QUEUED\r\n",
    b"|1\r\n+k\r\n",
];

/// A caller. Its reply is checked unless the server was `odd` by then.
fn caller(client: &Client, kind: u8, number: usize, odd: &Arc<AtomicBool>) -> Task {
    let (client, odd) = (client.clone(), Arc::clone(odd));
    Task::new(Box::pin(async move {
        let token = number.to_string();
        let good = match kind % 4 {
            0 | 1 => client.send::<String>(cmd("ECHO").arg(&token)).await.map(|r| r == token),
            2 => {
                let echo = || cmd("ECHO").arg(&token);
                let all = client.pipeline().add(echo()).add(echo()).run::<[String; 2]>().await;
                all.map(|all| all.iter().all(|reply| *reply == token))
            }
            _ => {
                // Without a timeout, a server that stops in the middle of a frame is waited for
                // forever.
                let client = client.with_timeout(Duration::from_secs(10));
                let pop = cmd("BLPOP").key(&token).arg(0);
                client.send::<[String; 2]>(pop).await.map(|all| all[1] == token)
            }
        };
        assert!(odd.load(Ordering::SeqCst) || matches!(good, Ok(true)), "{number}: {good:?}");
    }))
}

pub(crate) fn run(input: &[u8]) {
    let Some((&first, events)) = input.split_first() else { return };
    let memory = Memory::new(u64::from(first), first & 1 == 0);
    let config = Config::from_url("redis://memory").expect("good");
    let config = config.connections_per_node(1 + u32::from(first >> 1 & 1)).node_bytes_max(2000);
    let config = config.when_full(WhenFull::Wait).reply_bytes_max(1 << 16);
    let client = Client::connect_lazy(memory.clone(), config).expect("good");
    let odd = Arc::new(AtomicBool::new(false));
    let mut tasks: Vec<Task> = Vec::new();
    let mut started = 0;
    let mut events = events.iter().copied();
    while let Some(event) = events.next() {
        let mut argument = || usize::from(events.next().unwrap_or(0));
        match event % 16 {
            0..4 if started < CALLERS_MAX => {
                tasks.push(caller(&client, event >> 4, started, &odd));
                started += 1;
            }
            4..7 if !tasks.is_empty() => {
                let index = argument() % tasks.len();
                tasks[index].run();
            }
            7 | 8 => drop(memory.run_background()),
            9 | 10 => drop(memory.step(false)),
            11 if !tasks.is_empty() => {
                let index = argument() % tasks.len();
                drop(tasks.swap_remove(index));
            }
            12 => {
                odd.store(true, Ordering::SeqCst);
                let word = WORDS[usize::from(event >> 4) % WORDS.len()];
                memory.say(argument(), word);
            }
            13 => {
                odd.store(true, Ordering::SeqCst);
                let (number, byte) = (argument(), argument());
                memory.say(number, &[byte as u8]);
            }
            14 => {
                odd.store(true, Ordering::SeqCst);
                memory.hang_up(argument());
            }
            15 => {
                let millis = 1 << (event >> 4);
                // A deadline may pass, or the server may count as dead.
                odd.store(true, Ordering::SeqCst);
                memory.advance(Duration::from_millis(millis));
            }
            _ => {}
        }
    }
    for _ in 0..100_000 {
        let moved = memory.step(true) | memory.run_background();
        let ran = tasks.iter_mut().fold(moved, |ran, task| task.run() | ran);
        tasks.retain(|task| task.future.is_some());
        if tasks.is_empty() {
            drop(client);
            while memory.run_background() {}
            assert_eq!(memory.open_connections(), 0, "connections outlive the client");
            assert_eq!(memory.background_tasks(), 0, "tasks outlive the client");
            return;
        }
        if !ran {
            // The client pauses, or the server stopped in the middle of a frame.
            odd.store(true, Ordering::SeqCst);
            memory.advance(Duration::from_millis(100));
        }
    }
    panic!("{} callers never end", tasks.len());
}
