//! The callers of a run: reads, writes, pipelines and blocking commands, in several tasks over one
//! client. Some calls have a long timeout, some a short one, some are dropped half-way. Scripts
//! have a workload of their own (`scripts.rs`).

use super::history::History;
use super::{CALLS, RECOVERY, Workload, scripts};
use crate::faults::Faults;
use crate::journal::TOKEN_PREFIX;
use crate::rng::Rng;
use crate::sim::Sim;
use futures::future::{Either, join_all, select};
use slotcar::prelude::*;
use slotcar::{Client, Error, cmd};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

/// How often the recovery is tried.
const RETRY: Duration = Duration::from_millis(200);

/// The whole of a run.
pub(super) async fn run(
    sim: Sim,
    mut rng: Rng,
    faults: Faults,
    history: History,
    workload: Workload,
) {
    if workload == Workload::Scripts {
        scripts::register(&sim);
    }
    let transport =
        if rng.chance(700) { sim.transport() } else { sim.transport().without_background() };
    let mut config = sim.config().command_timeout(Duration::from_millis(200 + rng.below(5000)));
    let limit = (workload == Workload::Limited).then(|| 1 + rng.below(4) as u32);
    config = config.connections_max(limit);
    let client = match Client::connect_lazy(transport.clone(), config) {
        Ok(client) => client,
        Err(error) => return history.find(format!("cannot create the client: {error}")),
    };
    let tasks = 1 + rng.index(8);
    let pause = faults.span / u32::try_from(CALLS / tasks).unwrap_or(1);
    let callers = (0..tasks).map(|number| {
        let caller = Caller {
            sim: sim.clone(),
            client: client.clone(),
            history: history.clone(),
            rng: rng.fork(number as u64),
            number,
            made: 0,
            workload,
        };
        caller.run(CALLS / tasks, pause)
    });
    let callers = join_all(callers.collect::<Vec<_>>());
    futures::future::join(callers, sim.suffer(&faults)).await;
    sim.recover();
    require_progress(&sim, &client, &history, &mut rng).await;
    let most = transport.usage().sockets_max;
    if let Some(limit) = limit.filter(|limit| most > *limit as usize) {
        history.find(format!("there were {most} sockets at once, with a limit of {limit}"));
    }
}

/// One task that makes calls.
pub(super) struct Caller {
    /// The simulation.
    pub(super) sim: Sim,
    /// The client under test.
    pub(super) client: Client,
    /// The record of calls.
    pub(super) history: History,
    /// Its random generator.
    pub(super) rng: Rng,
    /// The number of the task.
    number: usize,
    /// Calls so far.
    made: usize,
    /// What it calls.
    workload: Workload,
}

impl Caller {
    async fn run(mut self, calls: usize, pause: Duration) {
        while self.made < calls {
            self.made += 1;
            self.call().await;
            if self.rng.chance(700) {
                let pause = self.rng.duration(pause * 2);
                self.sim.advance(pause).await;
            }
        }
    }

    async fn call(&mut self) {
        let timeout = Duration::from_millis(20 + self.rng.below(4000));
        if self.workload == Workload::Scripts {
            return self.speak(timeout).await;
        }
        if self.workload == Workload::Limited && self.rng.chance(60) {
            return self.subscribe(timeout).await;
        }
        let key = format!("key:{}", self.rng.below(40));
        match self.rng.below(100) {
            0..35 => self.read(&key, timeout).await,
            35..45 => self.echo(timeout).await,
            45..60 => self.write("SET", &format!("str:{key}"), timeout).await,
            60..70 => self.write("APPEND", &format!("log:{key}"), timeout).await,
            70..80 => self.write("RPUSH", &format!("list:{key}"), timeout).await,
            80..86 => self.count(timeout).await,
            86..92 => self.pipeline(timeout).await,
            92..96 => self.wait_for_list(timeout).await,
            _ => self.write("SADD", &format!("set:{key}"), timeout).await,
        }
    }

    pub(super) fn token(&self, part: usize) -> String {
        format!("{TOKEN_PREFIX}{}:{}:{part}", self.number, self.made)
    }

    /// Runs a call to its end, or drops it half-way.
    pub(super) async fn finish<T>(
        &mut self,
        call: usize,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Option<T> {
        let wait = if self.rng.chance(80) {
            self.rng.duration(Duration::from_millis(30))
        } else {
            Duration::MAX
        };
        let nap = self.sim.advance(wait);
        let ended = match select(pin!(work), pin!(nap)).await {
            Either::Left((result, _)) => Some(result),
            Either::Right(_) => None,
        };
        match ended {
            Some(result) => {
                self.history.end(call, self.sim.now(), &result);
                result.ok()
            }
            None => {
                self.history.cancel(call, self.sim.now());
                None
            }
        }
    }

    async fn read(&mut self, key: &str, timeout: Duration) {
        let key = format!("str:{key}");
        let call = self.history.begin(format!("GET {key}"), None, self.sim.now(), timeout);
        let client = self.client.with_timeout(timeout);
        let value = self.finish(call, async { client.get::<Option<String>>(&*key).await }).await;
        // Every value names the key that it was written under.
        if let Some(Some(value)) = value
            && !value.ends_with(&key)
        {
            self.history.find(format!("GET {key} got the reply {value}"));
        }
    }

    async fn echo(&mut self, timeout: Duration) {
        let word = format!("echo:{}:{}", self.number, self.made);
        let call = self.history.begin(format!("ECHO {word}"), None, self.sim.now(), timeout);
        let client = self.client.with_timeout(timeout);
        let back = self.finish(call, async { client.echo::<String>(&*word).await }).await;
        if let Some(back) = back
            && back != word
        {
            self.history.find(format!("ECHO {word} got the reply {back}"));
        }
    }

    /// A write of a marked value that ends with its key.
    pub(super) async fn write(&mut self, command: &'static str, key: &str, timeout: Duration) {
        let token = format!("{}:{key}", self.token(0));
        let text = format!("{command} {key} {token}");
        let call = self.history.begin(text, Some(&token), self.sim.now(), timeout);
        let client = self.client.with_timeout(timeout);
        let command = cmd(command).arg(key).arg(&*token);
        self.finish(call, async { client.send::<slotcar::Value>(command).await }).await;
    }

    /// A counter of this task alone: a command that ran twice shows in its value.
    async fn count(&mut self, timeout: Duration) {
        let key = self.token(0);
        let call = self.history.begin(format!("INCR {key}"), Some(&key), self.sim.now(), timeout);
        let client = self.client.with_timeout(timeout);
        let count = self.finish(call, async { client.incr(&*key).await }).await;
        if let Some(count) = count
            && count != 1
        {
            self.history.find(format!("INCR {key} got the reply {count}"));
        }
    }

    async fn pipeline(&mut self, timeout: Duration) {
        let client = self.client.with_timeout(timeout);
        let mut pipeline = client.pipeline();
        let mut calls = Vec::new();
        for part in 0..1 + self.rng.index(6) {
            let token = self.token(part);
            let text = format!("INCR {token} in a pipeline");
            calls.push(self.history.begin(text, Some(&token), self.sim.now(), timeout));
            pipeline.push(cmd("INCR").arg(&*token));
        }
        let result = pipeline.run_each().await;
        let now = self.sim.now();
        match result {
            Ok(replies) if replies.len() == calls.len() => {
                for (call, reply) in calls.into_iter().zip(replies) {
                    let count = reply.and_then(|reply| reply.decode::<i64>());
                    self.history.end(call, now, &count);
                    if count.as_ref().is_ok_and(|count| *count != 1) {
                        self.history
                            .find(format!("a counter in a pipeline got the reply {count:?}"));
                    }
                }
            }
            Ok(replies) => {
                let (got, wanted) = (replies.len(), calls.len());
                self.history.find(format!("{wanted} commands got {got} replies"));
            }
            Err(error) => {
                for call in calls {
                    self.history.end::<()>(call, now, &Err(error.clone()));
                }
            }
        }
    }

    /// A subscription that ends as soon as it has begun.
    async fn subscribe(&mut self, timeout: Duration) {
        let channel = format!("channel:{}", self.rng.below(8));
        let text = format!("SUBSCRIBE {channel}");
        let call = self.history.begin(text, None, self.sim.now(), timeout);
        let client = self.client.with_timeout(timeout);
        self.finish(call, async { client.subscribe(&*channel).await }).await;
    }

    /// A blocking command, on a connection of its own.
    async fn wait_for_list(&mut self, timeout: Duration) {
        let key = format!("queue:{}", self.rng.below(4));
        let call = self.history.begin(format!("BLPOP {key}"), None, self.sim.now(), timeout);
        let client = self.client.with_timeout(timeout);
        let wait = Duration::from_millis(1 + self.rng.below(300));
        let popped = async { client.blpop::<Option<(String, String)>>(&*key, wait).await };
        self.finish(call, popped).await;
    }
}

/// The primary in the sentinels' view: the reason why a written value is not where it belongs.
fn misplaced(sim: &Sim, key: &str, value: &str) -> Option<String> {
    sim.service()?;
    let Some(primary) = sim.agreed_primary() else { return Some("no agreement yet".to_owned()) };
    let there = sim.peek(&primary, key).is_some_and(|there| there == value.as_bytes());
    (!there).then(|| format!("{key} was written elsewhere than to {primary}"))
}

/// Everything has healed: every slot that was used must be served again within [`RECOVERY`].
async fn require_progress(sim: &Sim, client: &Client, history: &History, rng: &mut Rng) {
    let limit = sim.now().after(RECOVERY);
    let client = client.with_timeout(Duration::from_secs(5));
    for number in 0..12 {
        let key = format!("after:{}", rng.below(1_000_000));
        loop {
            let value = number.to_string();
            let written = client.set(&*key, &*value).await;
            let result = match written {
                Ok(_) => client.get::<Option<String>>(&*key).await,
                Err(error) => Err(error),
            };
            let last = match result {
                Ok(Some(read)) if read == value => match misplaced(sim, &key, &value) {
                    None => break,
                    Some(misplaced) => misplaced,
                },
                Ok(other) => format!("{key} is {other:?} and not {value}"),
                Err(error) => error.to_string(),
            };
            if sim.now() > limit {
                return history.find(format!("no progress {RECOVERY:?} after the faults: {last}"));
            }
            sim.advance(RETRY).await;
        }
    }
}
