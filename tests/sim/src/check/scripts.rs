//! Calls of scripts that answer with errors: in words of their own under a server's code, or to the
//! letter as servers write them.
//!
//! One text is left out: a redirect of the script's own slot to another node of the cluster. Under
//! failovers it is sometimes the very redirect that the server has a round trip later, and that no
//! client can tell from the server's.
//!
//! Each script counts in a key of its own before it answers, so that one that ran twice shows in
//! what the servers executed (`history.rs`).

use super::workload::Caller;
use crate::server::script::ScriptValue;
use crate::sim::Sim;
use slotcar::command::{eval, evalsha};
use slotcar::{Command, Endpoint, Error, Script, Slot, Value};
use std::time::Duration;

/// The script that is called: it counts, and answers its argument, if there is one.
const SPEAKS: &str = "local n = redis.call('INCR', KEYS[1]) if ARGV[1] == '' then return n end \
                      return redis.error_reply(ARGV[1])";

/// What it answers. `{slot}` is the slot of its keys, `{node}` the address of a node; no node has
/// the other addresses.
const TEXTS: [&str; 42] = [
    "",
    "ASK me later",
    "ASK 1 {node}",
    "ASK {slot} 10.9.9.9:6379",
    "BUSY job is locked",
    "BUSY Redis is busy running a script.",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "BUSY Valkey is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
    "BUSYGROUP Consumer Group name already exists",
    "CLUSTERDOWN Hash slot not served",
    "CLUSTERDOWN The cluster is down",
    "CLUSTERDOWN The cluster is down and only accepts read commands",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "DENIED by the script",
    "ERR max number of clients reached",
    "ERR unknown command 'x', with args beginning with: ",
    "EXECABORT Transaction discarded because of previous errors.",
    "LOADING the truck",
    "LOADING Redis is loading the dataset in memory",
    "LOADING Valkey is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "MISCONF Errors writing to the AOF file",
    "MOVED to another house",
    "MOVED {slot} :6379",
    "MOVED {slot} 10.9.9.9:6379",
    "MOVED 1 {node}",
    "MOVED 99999 {node}",
    "NOAUTH Authentication required.",
    "NOGROUP No such key",
    "NOPERM this user has no permissions",
    "NOPROTO unsupported protocol version",
    "NOREPLICAS Not enough good replicas to write.",
    "NOSCRIPT No matching script. Please use EVAL.",
    "NOSCRIPT No matching script.",
    "NOTREADY yet",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY You can't write against a read only replica.",
    "REDIRECT 10.0.0.1:6379",
    "TRYAGAIN later",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "WRONGPASS invalid username-password pair",
];

/// Lets every server run the script.
pub(super) fn register(sim: &Sim) {
    sim.script(SPEAKS, |script| {
        let key = script.keys().first().cloned().unwrap_or_default();
        let text = script.arguments().first().cloned().unwrap_or_default();
        let count = script.call(&[b"INCR", &key])?;
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(if text.is_empty() { count } else { ScriptValue::Error(text) })
    });
}

/// A call of the script with keys that no other call has: one or two, in a slot that others use.
struct Speech {
    /// Both keys; the first counts.
    keys: [String; 2],
    /// How many of them it has.
    count: usize,
    /// What it answers.
    text: String,
}

impl Speech {
    fn keys(&self) -> &[String] {
        &self.keys[..self.count]
    }

    fn command(&self, by_digest: bool) -> Command {
        match by_digest {
            true => evalsha(Script::new(SPEAKS).digest(), self.keys(), &*self.text),
            false => eval(SPEAKS, self.keys(), &*self.text),
        }
    }
}

impl Caller {
    fn speech(&mut self, part: usize) -> Speech {
        let tag = format!("{{key:{}}}", self.rng.below(40));
        let key = format!("{}:{tag}", self.token(part));
        let slot = Slot::of(key.as_bytes()).number().to_string();
        let servers = self.sim.servers();
        let node = self.rng.pick(&servers).map(|name| self.sim.endpoint(name));
        let node = match node {
            Some(Endpoint::Tcp { host, port }) => format!("{host}:{port}"),
            _ => String::new(),
        };
        let text = TEXTS[self.rng.index(TEXTS.len())];
        let text = text.replace("{slot}", &slot).replace("{node}", &node);
        Speech { keys: [key, format!("{tag}:other")], count: 1 + self.rng.index(2), text }
    }

    /// Calls the script on one of the ways that there are.
    pub(super) async fn speak(&mut self, timeout: Duration) {
        match self.rng.below(100) {
            0..35 => self.speak_alone(timeout).await,
            35..60 => self.speak_by_script(timeout).await,
            60..80 => self.speak_in_a_pipeline(timeout).await,
            80..95 => self.speak_in_a_transaction(timeout).await,
            _ => {
                let tag = format!("str:{{key:{}}}", self.rng.below(40));
                self.write("SET", &tag, timeout).await;
            }
        }
    }

    fn begin(&self, way: &str, speech: &Speech, timeout: Duration) -> usize {
        let Speech { keys: [key, _], count, text } = speech;
        let call = format!("{way} of {count} keys, {key}, that says {text:?}");
        self.history.begin(call, Some(key), self.sim.now(), timeout)
    }

    async fn speak_alone(&mut self, timeout: Duration) {
        let speech = self.speech(0);
        let by_digest = self.rng.chance(300);
        let call = self.begin("EVAL", &speech, timeout);
        let client = self.client.with_timeout(timeout);
        let command = speech.command(by_digest);
        let count = self.finish(call, async { client.send::<i64>(command).await }).await;
        self.check_count(&speech, count);
    }

    async fn speak_by_script(&mut self, timeout: Duration) {
        let speech = self.speech(0);
        // Two commands, each with the time-out of the client.
        let call = self.begin("a script", &speech, timeout * 2);
        let client = self.client.with_timeout(timeout);
        let script = Script::new(SPEAKS);
        let ran = async { client.run_script::<i64>(&script, speech.keys(), &*speech.text).await };
        let count = self.finish(call, ran).await;
        self.check_count(&speech, count);
    }

    async fn speak_in_a_pipeline(&mut self, timeout: Duration) {
        let client = self.client.with_timeout(timeout);
        let mut pipeline = client.pipeline();
        let mut calls = Vec::new();
        for part in 0..1 + self.rng.index(5) {
            let speech = self.speech(part);
            calls.push(self.begin("EVAL in a pipeline", &speech, timeout));
            pipeline.push(speech.command(self.rng.chance(300)));
        }
        let results = pipeline.run_each().await;
        self.end_all(calls, results.map(|all| all.into_iter().map(|one| one.map(drop)).collect()));
    }

    async fn speak_in_a_transaction(&mut self, timeout: Duration) {
        let client = self.client.with_timeout(timeout);
        let speech = self.speech(0);
        let call = self.begin("EVAL in a transaction", &speech, timeout);
        let transaction = client.transaction().add(speech.command(false));
        let results = transaction.run_each().await;
        self.end_all(
            vec![call],
            results.map(|all| all.into_iter().map(|one| one.map(drop)).collect()),
        );
    }

    fn end_all(&self, calls: Vec<usize>, results: Result<Vec<Result<(), Error>>, Error>) {
        let now = self.sim.now();
        match results {
            Ok(results) if results.len() == calls.len() => {
                for (call, result) in calls.into_iter().zip(results) {
                    self.history.end(call, now, &result);
                }
            }
            Ok(results) => {
                let (got, wanted) = (results.len(), calls.len());
                self.history.find(format!("{wanted} scripts got {got} replies"));
            }
            Err(error) => {
                for call in calls {
                    self.history.end::<Value>(call, now, &Err(error.clone()));
                }
            }
        }
    }

    fn check_count(&self, speech: &Speech, count: Option<i64>) {
        if let Some(count) = count
            && count != 1
        {
            let Speech { keys: [key, _], text, .. } = speech;
            self.history.find(format!("the script that says {text:?} counted {count} in {key}"));
        }
    }
}
