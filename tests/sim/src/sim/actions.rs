//! What a test can do to servers and network: kill, disconnect, slow down, misconfigure.
//!
//! **Invariants**: every action is recorded in the trace and takes effect at once.

use super::Sim;
use crate::env::Event;
use crate::ids::HostId;
use crate::network::Power;
use crate::server::refusal::{Injection, Matching};
use crate::server::script::{Script, ScriptCall, ScriptValue};
use slotcar::Timestamp;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

impl Sim {
    /// Kills a server's process: its connections are reset, connection attempts are refused.
    pub fn kill(&self, name: &str) {
        self.set_power(name, Power::Down);
    }

    /// Unplugs a server's machine: it answers nothing, and its peers get no reset.
    pub fn power_off(&self, name: &str) {
        self.set_power(name, Power::Off);
    }

    /// Stops a server's process as SIGSTOP does: it accepts connections and never answers.
    ///
    /// Does nothing to a server that is dead already.
    pub fn hang(&self, name: &str) {
        if self.is_up(name) {
            self.set_power(name, Power::Hung);
        }
    }

    /// Starts a dead server again with the data it had, or resumes a stopped one.
    pub fn restart(&self, name: &str) {
        self.set_power(name, Power::Up);
    }

    /// Starts a server again at another address; its data and its identity are the same.
    pub fn restart_at(&self, name: &str, ip: IpAddr) {
        let host = self.host(name);
        self.shared.with_world(|world| {
            if world.network.is_up(host) {
                world.set_power(host, Power::Down);
            }
            let port = world.network.host(host).address.map_or(0, |a| a.port());
            let address = SocketAddr::new(ip, port);
            world.note_fault(format!("{name} moves to {address}"));
            world.network.move_host(host, address);
            if let Some(server) = world.fleet.server_mut(host) {
                server.address = address;
            }
            world.names.set(&format!("{name}.sim"), vec![ip]);
            world.set_power(host, Power::Up);
        });
    }

    fn set_power(&self, name: &str, power: Power) {
        let host = self.host(name);
        self.shared.with_world(|world| {
            if world.network.host(host).power != power {
                world.set_power(host, power);
            }
        });
    }

    /// Cuts the wire between two hosts, in both directions. No side gets an error: what is sent
    /// waits.
    pub fn partition(&self, a: &str, b: &str) {
        self.partition_one_way(a, b);
        self.partition_one_way(b, a);
    }

    /// From now on nothing that `from` sends reaches `to`.
    pub fn partition_one_way(&self, from: &str, to: &str) {
        let (from_id, to_id) = (self.host(from), self.host(to));
        self.shared.with_world(|world| {
            world.note_fault(format!("nothing passes from {from} to {to}"));
            world.network.links.block(from_id, to_id);
        });
    }

    /// Cuts one host off from all others, clients included.
    pub fn isolate(&self, name: &str) {
        let host = self.host(name);
        self.shared.with_world(|world| {
            world.note_fault(format!("{name} is cut off"));
            for other in world.network.host_ids().filter(|other| *other != host).collect::<Vec<_>>()
            {
                world.network.links.block(host, other);
                world.network.links.block(other, host);
            }
        });
    }

    /// Ends the partition between two hosts.
    pub fn mend(&self, a: &str, b: &str) {
        let (a_id, b_id) = (self.host(a), self.host(b));
        self.shared.with_world(|world| {
            world.note_fault(format!("{a} and {b} reach each other again"));
            world.network.links.unblock(a_id, b_id);
            world.network.links.unblock(b_id, a_id);
            world.retransmit();
        });
    }

    /// Ends every partition, slowness, network fault, name lookup failure and injected error. Dead
    /// servers stay dead.
    pub fn heal(&self) {
        self.shared.with_world(crate::world::World::heal);
    }

    /// Delays a server's replies by `by`; zero ends the delay.
    pub fn slow(&self, name: &str, by: Duration) {
        let host = self.host(name);
        self.shared.with_world(|world| {
            world.note_fault(format!("{name} replies {by:?} later"));
            world.network.links.slow_down(host, by);
        });
    }

    /// Makes a replica lag: what its primary sends arrives later by this duration.
    pub fn lag(&self, replica: &str, by: Duration) {
        self.with_server(replica, |server| server.replication.lag = by);
    }

    /// Resets every connection of a server, as a load balancer that restarts does.
    pub fn reset_connections(&self, name: &str) {
        let host = self.host(name);
        self.shared.with_world(|world| {
            world.note_fault(format!("connections of {name} are reset"));
            for conn in world.network.conns_where(|c| c.server == host && c.server_holds) {
                world.reset(conn);
            }
        });
    }

    /// The connections that are open to a server go silent: nothing passes on them, not even their
    /// end, as when a firewall has forgotten them. New ones work. `heal` resets them.
    pub fn silence_connections(&self, name: &str) {
        let host = self.host(name);
        self.shared.with_world(|world| {
            world.note_fault(format!("connections of {name} go silent"));
            world.network.silence(host);
        });
    }

    /// Makes a name resolve to the present addresses of these servers; without servers it is
    /// unknown.
    pub fn set_name(&self, name: &str, servers: &[&str]) {
        let hosts: Vec<HostId> = servers.iter().map(|server| self.host(server)).collect();
        self.shared.with_world(|world| {
            let ip = |host: &HostId| world.network.host(*host).address.map(|a| a.ip());
            let addresses = hosts.iter().filter_map(ip).collect();
            world.note_fault(format!("the name {name} resolves to {servers:?}"));
            world.names.set(name, addresses);
        });
    }

    /// Makes lookups of a name fail, or ends that.
    pub fn fail_name(&self, name: &str, failing: bool) {
        self.shared.with_world(|world| world.names.set_failing(name, failing));
    }

    /// How long each lookup of a name takes; 1 ms by default.
    pub fn lookup_delay(&self, delay: Duration) {
        self.shared.with_world(|world| world.names.delay = delay);
    }

    /// Makes a server answer LOADING for this duration.
    pub fn loading(&self, name: &str, time: Duration) {
        let until = self.now().after(time);
        self.with_server(name, |server| server.conditions.loading_until = until);
    }

    /// Makes a server answer BUSY for this duration, or until `SCRIPT KILL`.
    pub fn busy(&self, name: &str, time: Duration) {
        let until = self.now().after(time);
        self.with_server(name, |server| server.conditions.busy_until = until);
    }

    /// Sets whether a server refuses writes for lack of memory.
    pub fn out_of_memory(&self, name: &str, out: bool) {
        self.with_server(name, |server| server.config.out_of_memory = out);
    }

    /// Sets whether a replica answers while its link to the primary is down; if not, it answers
    /// MASTERDOWN.
    pub fn serve_stale(&self, name: &str, serve: bool) {
        self.with_server(name, |server| server.config.serve_stale = serve);
    }

    /// Changes the password of the default user; authenticated connections stay authenticated.
    pub fn set_password(&self, name: &str, password: &str) {
        self.with_server(name, |server| {
            server.config.users.insert("default".to_owned(), password.to_owned());
        });
    }

    /// Limits how many connections a server accepts.
    pub fn set_clients_max(&self, name: &str, clients: usize) {
        self.with_server(name, |server| server.config.clients_max = clients);
    }

    /// Makes a server refuse the next `times` requests that match, with this error line. These
    /// requests are not executed.
    pub fn refuse(&self, name: &str, matching: Matching, text: &str, times: u64) {
        let injection = Injection {
            matching,
            text: text.to_owned(),
            chance: 1000,
            times,
            until: Timestamp::FAR_FUTURE,
        };
        self.with_server(name, |server| server.conditions.injections.push(injection));
    }

    /// Registers a script's text on every server: the closure runs in place of it.
    ///
    /// ```
    /// use slotcar::prelude::*;
    /// use slotcar_sim::{ScriptValue, Sim};
    ///
    /// let sim = Sim::standalone().start();
    /// sim.script("return redis.call('INCRBY', KEYS[1], 2)", |s| {
    ///     let key = s.keys()[0].clone();
    ///     s.call(&[b"INCRBY", &key, b"2"])
    /// });
    /// ```
    pub fn script(
        &self,
        text: &str,
        script: impl Fn(&mut ScriptCall<'_>) -> Result<ScriptValue, String> + Send + Sync + 'static,
    ) {
        let script: Script = Arc::new(script);
        self.shared.with_world(|world| world.fleet.register_script(text, script));
    }

    /// Sets the chances of faults on single connections from now on.
    pub(crate) fn set_fault_rates(&self, fault_rates: crate::network::fault_rates::FaultRates) {
        self.shared.with_world(|world| {
            world.note_fault(format!("faults of connections: {fault_rates:?}"));
            world.network.fault_rates = fault_rates;
        });
    }

    /// Ends every partition and nothing else.
    pub(crate) fn mend_all(&self) {
        self.shared.with_world(|world| {
            world.note_fault("all partitions end");
            world.network.links.mend();
            world.retransmit();
        });
    }

    /// Runs an action after `time`, without a task or a timer of its own: if the run ends before,
    /// nothing is left behind.
    pub fn later(&self, time: Duration, change: impl FnOnce(&Self) + Send + 'static) {
        let (shared, seed, limits) = (Arc::downgrade(&self.shared), self.seed, self.limits);
        let run = Box::new(move || {
            if let Some(shared) = shared.upgrade() {
                change(&Self::new(shared, seed, limits));
            }
        });
        self.shared.with_world(|world| {
            let at = world.now().after(time);
            world.queue.push(at, Event::Run(run));
        });
    }

    /// Runs an action on a server, alive or dead.
    pub(super) fn with_server<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut crate::server::Server) -> T,
    ) -> T {
        let host = self.host(name);
        self.shared.with_world(|world| {
            let server = world.fleet.server_mut(host);
            work(server.unwrap_or_else(|| panic!("{name} is not the name of a server")))
        })
    }
}
