//! What a test can do to sentinels and read from them: their view of the primary, old state, and
//! manual failovers.

use super::Sim;
use crate::rng::Rng;
use crate::sentinel::{Instance, Sentinel};
use std::collections::BTreeMap;

impl Sim {
    /// The names of all sentinels.
    #[must_use]
    pub fn sentinels(&self) -> Vec<String> {
        self.shared.with_world(|world| {
            let sentinels = world.fleet.servers().filter(|server| server.sentinel.is_some());
            sentinels.map(|server| server.name.clone()).collect()
        })
    }

    /// The name of the service that the sentinels watch; nothing where there are none.
    #[must_use]
    pub fn service(&self) -> Option<String> {
        self.shared.with_world(|world| {
            let mut sentinels = world.fleet.servers().filter_map(|s| s.sentinel.as_deref());
            sentinels.next().map(|sentinel| sentinel.settings.service.to_string())
        })
    }

    /// The primary in the view of a sentinel.
    ///
    /// # Panics
    /// When the server is no sentinel.
    #[must_use]
    pub fn believed_by(&self, sentinel: &str) -> String {
        let address = self.with_sentinel(sentinel, |sentinel| sentinel.primary_address());
        self.shared.with_world(|world| {
            let host = world.network.host_at(address);
            host.map_or_else(|| address.to_string(), |host| world.network.host(host).name.clone())
        })
    }

    /// The primary in the view of most running sentinels, if more than half of all sentinels agree.
    #[must_use]
    pub fn agreed_primary(&self) -> Option<String> {
        let sentinels = self.sentinels();
        let mut votes: BTreeMap<String, usize> = BTreeMap::new();
        for sentinel in &sentinels {
            *votes.entry(self.believed_by(sentinel)).or_default() += 1;
        }
        let (primary, count) = votes.into_iter().max_by_key(|(_, count)| *count)?;
        (count * 2 > sentinels.len()).then_some(primary)
    }

    /// Gives a sentinel an old view, as if it had restarted with an old file: this server is the
    /// primary, since the failover of that epoch.
    pub fn mislead(&self, sentinel: &str, primary: &str, epoch: u64) {
        let host = self.host(primary);
        let (address, now) = self.shared.with_world(|world| {
            world.note_fault(format!(
                "{sentinel} believes that {primary} is the primary of epoch {epoch}"
            ));
            (world.network.host(host).address, world.now())
        });
        let Some(address) = address else { return };
        self.with_sentinel(sentinel, |sentinel| {
            let old = std::mem::replace(&mut sentinel.primary, Instance::new(address, now));
            sentinel.replicas.remove(&address);
            if old.address != address {
                sentinel.replicas.insert(old.address, Instance::new(old.address, now));
            }
            sentinel.past.retain(|(past, _)| *past < epoch);
            (sentinel.config_epoch, sentinel.failover, sentinel.o_down) = (epoch, None, None);
        });
        let host = self.host(sentinel);
        self.shared.with_world(|world| {
            let (mut env, _, fleet) = world.split();
            fleet.with(host, |server| server.note_reported_primary(&mut env));
        });
    }

    /// `SENTINEL FAILOVER`: a sentinel replaces the primary without a vote.
    pub fn sentinel_failover(&self, sentinel: &str) {
        let host = self.host(sentinel);
        self.shared.with_world(|world| {
            world.note_fault(format!("{sentinel} gets SENTINEL FAILOVER"));
            let (mut env, _, fleet) = world.split();
            fleet.with(host, |server| {
                if server.sentinel.as_ref().is_some_and(|sentinel| sentinel.failover.is_none()) {
                    server.start_failover(&mut env, true);
                }
                server.settle(&mut env);
            });
        });
    }

    /// Makes a sentinel go back to an earlier view, if it ever had a different one.
    pub(crate) fn forget_latest_view(&self, sentinel: &str, rng: &mut Rng) {
        let past = self.with_sentinel(sentinel, |sentinel| sentinel.past.clone());
        let Some((epoch, address)) = rng.pick(&past).copied() else { return };
        let name = self.shared.with_world(|world| {
            let host = world.network.host_at(address);
            host.map(|host| world.network.host(host).name.clone())
        });
        if let Some(name) = name {
            self.mislead(sentinel, &name, epoch);
        }
    }

    /// Whether no sentinel sees a problem, so that an operator may fail over.
    pub(crate) fn sentinels_can_fail_over(&self) -> bool {
        let now = self.now();
        let up = |name: &String| self.is_up(name);
        let ready =
            |name: &String| self.with_sentinel(name, |sentinel| sentinel.can_fail_over(now));
        self.sentinels().iter().all(|name| up(name) && ready(name))
    }

    /// Two manual failovers of one epoch, on both sides of a partition, leave sentinels that never
    /// agree by themselves. Here the operator makes them agree.
    pub(crate) fn settle_sentinels(&self) {
        let opinions: Vec<(u64, String, String)> = self
            .sentinels()
            .into_iter()
            .map(|name| (self.config_epoch(&name), self.believed_by(&name), name))
            .collect();
        let Some((newest, primary, _)) = opinions.iter().max().cloned() else { return };
        for (epoch, other, sentinel) in opinions {
            if epoch == newest && other != primary {
                self.mislead(&sentinel, &primary, newest);
            }
        }
    }

    /// The epoch of a sentinel's view: how many failovers it knows of.
    #[must_use]
    pub fn config_epoch(&self, sentinel: &str) -> u64 {
        self.with_sentinel(sentinel, |sentinel| sentinel.config_epoch)
    }

    fn with_sentinel<T>(&self, name: &str, work: impl FnOnce(&mut Sentinel) -> T) -> T {
        self.with_server(name, |server| {
            let sentinel = server.sentinel.as_deref_mut();
            work(sentinel.unwrap_or_else(|| panic!("{name} is not the name of a sentinel")))
        })
    }
}
