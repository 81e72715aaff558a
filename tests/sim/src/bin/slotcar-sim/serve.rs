//! `slotcar-sim serve`: simulated servers on real loopback sockets, controlled by commands on
//! standard input.
//!
//! Standard input takes one command a line, see [`HELP`]. Without standard input it serves until it
//! is killed.

use slotcar_sim::{Served, Sim, SimBuilder};
use std::io::BufRead as _;

/// The usage text.
pub(crate) const USAGE: &str = "slotcar-sim serve [--deployment standalone|cluster|sentinel] \
                                [--shards N] [--replicas N] [--sentinels N] [--port FIRST] \
                                [--seed N]";

const HELP: &str = "commands: kill|restart|hang|isolate|reset|failover|takeover SERVER,
          partition SERVER SERVER, move SLOT SERVER, heal, status, quit";

/// Serves until standard input says `quit`; without standard input, until it is killed.
pub(crate) fn serve(arguments: &[String]) -> Result<(), String> {
    let (builder, port) = parse(arguments)?;
    let served = match port {
        Some(port) => builder.serve_from(port),
        None => builder.serve(),
    };
    let served = served.map_err(|error| format!("cannot listen: {error}"))?;
    for (name, address) in served.addresses() {
        println!("{name:<4} {address}");
    }
    println!("{}\n{HELP}", served.url());
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["quit"] {
            return Ok(());
        }
        match act(&served, &words) {
            Ok(()) => {}
            Err(text) => println!("{text}"),
        }
    }
    loop {
        std::thread::park();
    }
}

fn parse(arguments: &[String]) -> Result<(SimBuilder, Option<u16>), String> {
    let usage = || format!("usage: {USAGE}");
    let mut deployment = "cluster";
    let (mut shards, mut replicas, mut sentinels, mut seed) = (3, 1, 3, 0);
    let mut port = None;
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return Err(usage()) };
        let number = || value.parse::<u16>().map_err(|_| format!("{name} wants a number: {value}"));
        match name.as_str() {
            "--deployment" => deployment = value,
            "--shards" => shards = usize::from(number()?),
            "--replicas" => replicas = usize::from(number()?),
            "--sentinels" => sentinels = usize::from(number()?),
            "--port" => port = Some(number()?),
            "--seed" => seed = u64::from(number()?),
            _ => return Err(usage()),
        }
    }
    let builder = match deployment {
        "standalone" => Sim::replicated(replicas),
        "cluster" => Sim::cluster(shards, replicas),
        "sentinel" => Sim::sentinel(replicas, sentinels),
        _ => return Err(usage()),
    };
    Ok((builder.seed(seed), port))
}

/// Runs one command on the servers.
fn act(served: &Served, words: &[&str]) -> Result<(), String> {
    let sim = served.sim();
    let known = |name: &str| match served.addresses().contains_key(name) {
        true => Ok(()),
        false => Err(format!("no server is named {name}")),
    };
    match *words {
        [] => {}
        ["heal"] => sim.heal(),
        ["status"] => {
            for name in served.addresses().keys() {
                println!("{name:<4} {}", if sim.is_primary(name) { "primary" } else { "replica" });
            }
        }
        ["move", slot, to] => {
            known(to)?;
            let slot = slot.parse().ok().filter(|slot| *slot < 16384);
            sim.move_slot(slot.ok_or("a slot is a number below 16384")?, to);
        }
        ["partition", a, b] => {
            known(a)?;
            known(b)?;
            sim.partition(a, b);
        }
        [what, name] => {
            known(name)?;
            match what {
                "kill" => sim.kill(name),
                "restart" => sim.restart(name),
                "hang" => sim.hang(name),
                "isolate" => sim.isolate(name),
                "reset" => sim.reset_connections(name),
                "failover" => sim.failover(name),
                "takeover" => sim.take_over(name),
                _ => return Err(HELP.to_owned()),
            }
        }
        _ => return Err(HELP.to_owned()),
    }
    Ok(())
}
