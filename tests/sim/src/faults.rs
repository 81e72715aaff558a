//! Faults drawn from a seed: each run has its own mix, so thousands of runs try thousands of mixes.
//!
//! A run has two phases, after TigerBeetle's simulator: in the first, faults occur; in the second,
//! everything heals and progress is required. A mix defines which kinds of fault a run has and how
//! often. The time and the victim of each fault are drawn while the run goes on.
//!
//! **Invariants**: a mix is a pure function of its seed and of the deployment.

use crate::check::Deployment;
use crate::network::fault_rates::FaultRates;
use crate::rng::Rng;
use crate::server::refusal::Matching;
use crate::sim::Sim;
use std::time::Duration;

/// When the operator of a cluster checks the recovered cluster again.
const SECOND_LOOK: Duration = Duration::from_secs(15);

/// Kinds of fault of a deployment; faults of single connections are separate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// A process dies and comes back.
    Kill,
    /// A machine vanishes and comes back.
    PowerOff,
    /// A process stops answering and goes on.
    Hang,
    /// A server is partitioned from all others.
    Isolate,
    /// A client is partitioned from a server, in one direction or both.
    Partition,
    /// Two servers are partitioned from each other.
    SplitServers,
    /// A server replies slowly.
    Slow,
    /// A replica lags.
    Lag,
    /// All connections of a server are reset.
    Reset,
    /// A server loads its data.
    Loading,
    /// A server refuses some requests with an error.
    Refuse,
    /// Names do not resolve.
    Names,
    /// A server comes back at another address.
    Readdress,
    /// A replica takes its primary's place by a manual failover.
    Failover,
    /// A slot moves at once.
    MoveSlot,
    /// A slot starts to move, and some of its keys are moved.
    BeginMove,
    /// A slot has no owner for a while.
    Uncover,
    /// A sentinel gets the command to fail over.
    SentinelFailover,
    /// A sentinel goes back to an earlier view.
    Mislead,
}

impl Fault {
    /// Kinds that any deployment can have.
    const ANYWHERE: [Self; 11] = [
        Self::Kill,
        Self::PowerOff,
        Self::Hang,
        Self::Isolate,
        Self::Partition,
        Self::Slow,
        Self::Reset,
        Self::Loading,
        Self::Refuse,
        Self::Names,
        Self::Lag,
    ];
    /// Kinds that only a cluster can have.
    const CLUSTER: [Self; 6] = [
        Self::SplitServers,
        Self::Readdress,
        Self::Failover,
        Self::MoveSlot,
        Self::BeginMove,
        Self::Uncover,
    ];
    /// Kinds that only a service with sentinels can have.
    const SENTINEL: [Self; 3] = [Self::SplitServers, Self::SentinelFailover, Self::Mislead];
}

/// A mix of faults.
#[derive(Clone, Debug)]
pub struct Faults {
    /// The seed for time and victim of each fault.
    seed: u64,
    /// Kinds that occur.
    pub kinds: Vec<Fault>,
    /// How long the first phase lasts.
    pub span: Duration,
    /// Longest pause between two faults.
    pub pause: Duration,
    /// Longest duration of a fault that ends by itself.
    pub lasting: Duration,
    /// Faults of single connections.
    fault_rates: FaultRates,
}

impl Faults {
    /// The mix of a seed.
    #[must_use]
    pub fn draw(seed: u64, deployment: Deployment) -> Self {
        let mut rng = Rng::new(seed ^ 0x5EED_0FFA_0175);
        let mut possible = Fault::ANYWHERE.to_vec();
        match deployment {
            Deployment::Standalone => {}
            Deployment::Cluster => possible.extend(Fault::CLUSTER),
            Deployment::Sentinel => possible.extend(Fault::SENTINEL),
        }
        // Each kind is left out of half of the mixes, so that each also occurs alone.
        let kinds: Vec<Fault> = possible.into_iter().filter(|_| rng.chance(350)).collect();
        Self {
            seed: rng.next_u64(),
            kinds,
            span: Duration::from_millis(500 + rng.below(4500)),
            pause: Duration::from_millis(20 + rng.below(1000)),
            lasting: Duration::from_millis(50 + rng.below(3000)),
            fault_rates: draw_fault_rates(&mut rng),
        }
    }

    /// No fault at all.
    #[must_use]
    pub fn none() -> Self {
        Self {
            seed: 0,
            kinds: Vec::new(),
            span: Duration::from_secs(1),
            pause: Duration::from_secs(1),
            lasting: Duration::ZERO,
            fault_rates: FaultRates::default(),
        }
    }
}

fn draw_fault_rates(rng: &mut Rng) -> FaultRates {
    let mut fault_rates = FaultRates::default();
    if rng.chance(300) {
        return fault_rates;
    }
    let mut some = |per_mille: u64| if rng.chance(400) { rng.below(per_mille) as u32 } else { 0 };
    fault_rates.split = some(600);
    fault_rates.short = some(600);
    fault_rates.stall = some(50);
    fault_rates.reset_before = some(30);
    fault_rates.reset_after = some(30);
    fault_rates.half_close = some(20);
    fault_rates.black_hole = some(15);
    fault_rates.refuse = some(300);
    fault_rates.ignore_dial = some(200);
    fault_rates.lookup_fails = some(200);
    fault_rates.lookup_slow = some(300);
    fault_rates.stall_max = Duration::from_millis(1 + rng.below(500));
    fault_rates.lookup_slow_max = Duration::from_millis(1 + rng.below(3000));
    fault_rates
}

impl Sim {
    /// The first phase: injects the faults of a mix for its whole duration. What is broken stays
    /// broken until [`Sim::recover`].
    pub async fn suffer(&self, faults: &Faults) {
        self.set_fault_rates(faults.fault_rates.clone());
        let mut rng = Rng::new(faults.seed);
        let end = self.now().after(faults.span);
        while self.now() < end {
            let pause = rng.duration(faults.pause);
            let left = end.since(self.now());
            self.advance(pause.min(left)).await;
            if let Some(fault) = rng.pick(&faults.kinds).copied()
                && self.now() < end
            {
                let lasting = rng.duration(faults.lasting);
                self.inject(fault, &mut rng, lasting);
            }
        }
    }

    /// The second phase: everything heals, and dead servers start again. The operator of a cluster
    /// has also ended unfinished slot moves, and introduced nodes again that all moved at the same
    /// time. Such nodes would never find each other, as real ones would not.
    pub fn recover(&self) {
        self.heal();
        for server in self.servers() {
            self.restart(&server);
        }
        self.introduce_nodes();
        self.settle_slots();
        self.settle_sentinels();
        // The operator checks once more, because the nodes may have changed their view meanwhile.
        self.later(SECOND_LOOK, Self::settle_slots);
    }

    /// Injects one fault now. A fault that can end by itself does so after `lasting`.
    fn inject(&self, fault: Fault, rng: &mut Rng, lasting: Duration) {
        let servers = self.servers();
        let Some(server) = rng.pick(&servers).cloned() else { return };
        match fault {
            Fault::Kill => self.break_for(&server, lasting, |sim, s| sim.kill(s)),
            Fault::PowerOff => self.break_for(&server, lasting, |sim, s| sim.power_off(s)),
            Fault::Hang => self.break_for(&server, lasting, |sim, s| sim.hang(s)),
            Fault::Isolate => {
                self.isolate(&server);
                self.later(lasting, Self::mend_all);
            }
            Fault::Partition => {
                if rng.chance(500) {
                    self.partition("client", &server);
                } else if rng.chance(500) {
                    self.partition_one_way("client", &server);
                } else {
                    self.partition_one_way(&server, "client");
                }
                self.later(lasting, Self::mend_all);
            }
            Fault::SplitServers => {
                if let Some(other) = rng.pick(&servers).filter(|other| **other != server) {
                    self.partition(&server, other);
                    self.later(lasting, Self::mend_all);
                }
            }
            Fault::Slow => {
                self.slow(&server, rng.duration(Duration::from_millis(300)));
                self.later(lasting, move |sim| sim.slow(&server, Duration::ZERO));
            }
            Fault::Lag => self.lag(&server, rng.duration(Duration::from_millis(500))),
            Fault::Reset => self.reset_connections(&server),
            Fault::Loading => self.loading(&server, lasting),
            Fault::Refuse => self.refuse_something(&server, rng),
            Fault::Names => {
                let name = format!("{server}.sim");
                self.fail_name(&name, true);
                self.later(lasting, move |sim| sim.fail_name(&name, false));
            }
            Fault::Readdress => {
                let [a, b] = [rng.below(250) as u8, rng.below(250) as u8];
                self.restart_at(&server, [10, 100, a, b].into());
            }
            Fault::Failover => {
                if !self.is_primary(&server) {
                    match rng.below(4) {
                        0 => self.take_over(&server),
                        1 => self.force_failover(&server),
                        _ => self.failover(&server),
                    }
                }
            }
            Fault::SentinelFailover | Fault::Mislead => self.disturb_sentinel(fault, rng),
            Fault::MoveSlot | Fault::BeginMove | Fault::Uncover => {
                self.disturb_slot(fault, &server, rng, lasting);
            }
        }
    }

    fn disturb_slot(&self, fault: Fault, server: &str, rng: &mut Rng, lasting: Duration) {
        // In half of the cases, a slot that has keys of the run.
        let used = self.used_slots();
        let slot = match rng.pick(&used) {
            Some(slot) if rng.chance(700) => *slot,
            _ => rng.below(16384) as u16,
        };
        let movable = self.is_primary(server) && self.is_owned_by_other(slot, server);
        match fault {
            Fault::MoveSlot if movable => self.move_slot(slot, server),
            Fault::BeginMove if movable => {
                self.begin_move(slot, server);
                self.move_keys(slot, server, rng.index(4));
                let target = server.to_owned();
                self.later(lasting, move |sim| {
                    sim.move_keys(slot, &target, usize::MAX);
                    sim.finish_move(slot, &target);
                });
            }
            Fault::Uncover => {
                if let Some(owner) = self.find_owner(slot) {
                    self.uncover_slot(slot);
                    self.later(lasting, move |sim| sim.cover_slot(slot, &sim.primary_of(&owner)));
                }
            }
            _ => {}
        }
    }

    fn disturb_sentinel(&self, fault: Fault, rng: &mut Rng) {
        let sentinels = self.sentinels();
        let Some(sentinel) = rng.pick(&sentinels) else { return };
        match fault {
            // Only where there is no problem: two failovers of one epoch would be the operator's
            // fault.
            Fault::SentinelFailover if self.sentinels_can_fail_over() => {
                self.sentinel_failover(sentinel);
            }
            Fault::Mislead => self.forget_latest_view(sentinel, rng),
            _ => {}
        }
    }

    fn break_for(&self, server: &str, lasting: Duration, how: impl FnOnce(&Self, &str)) {
        how(self, server);
        let server = server.to_owned();
        self.later(lasting, move |sim| sim.restart(&server));
    }

    fn refuse_something(&self, server: &str, rng: &mut Rng) {
        let table = [
            (Matching::Writes, "READONLY You can't write against a read only replica."),
            (Matching::Data, "LOADING Redis is loading the dataset in memory"),
            (Matching::Data, "CLUSTERDOWN The cluster is down"),
            (Matching::Data, "TRYAGAIN Multiple keys request during rehashing of slot"),
            (Matching::Data, "BUSY Redis is busy running a script."),
            (Matching::Reads, "MASTERDOWN Link with MASTER is down"),
            (Matching::Writes, "OOM command not allowed when used memory > 'maxmemory'."),
            (
                Matching::Command("HELLO".to_owned()),
                "LOADING Redis is loading the dataset in memory",
            ),
            (Matching::Command("CLUSTER SHARDS".to_owned()), "ERR broken"),
        ];
        if let Some((matching, text)) = rng.pick(&table) {
            self.refuse(server, matching.clone(), text, 1 + rng.below(5));
        }
    }
}
