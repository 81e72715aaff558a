//! Tests of the network and the executor together, with servers that echo their input.

use super::Power;
use super::fault_rates::FaultRates;
use crate::executor::{RunLimits, Shared};
use crate::failure::Failure;
use crate::ids::HostId;
use crate::transport::SimTransport;
use futures::future::join_all;
use futures::io::{AsyncReadExt as _, AsyncWriteExt as _};
use slotcar::{ByteStream, Endpoint, Timestamp, Transport as _};
use std::future::Future;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

/// One client and two echo servers, `a` and `b`.
struct Bench {
    shared: Arc<Shared>,
    transport: SimTransport,
    client: HostId,
    a: HostId,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let shared = Shared::new(seed);
        let (client, a) = shared.with_world(|world| {
            let client = world.add_host("client", None);
            let a = world.add_host("a", Some("10.0.0.1:6379".parse().unwrap()));
            world.add_host("b", Some("10.0.0.2:6379".parse().unwrap()));
            (client, a)
        });
        let transport = SimTransport::new(Arc::clone(&shared), client, seed);
        Self { shared, transport, client, a }
    }

    fn run<T>(&self, root: impl Future<Output = T>) -> T {
        self.shared.block_on(root, &RunLimits::default()).unwrap()
    }

    fn fault_rates(&self, change: impl FnOnce(&mut FaultRates)) {
        self.shared.with_world(|world| change(&mut world.network.fault_rates));
    }

    fn power(&self, power: Power) {
        self.shared.with_world(|world| world.set_power(self.a, power));
    }

    async fn dial(&self, host: &str) -> std::io::Result<Box<dyn ByteStream>> {
        self.transport.connect(&Endpoint::tcp(host, 6379)).await
    }

    async fn sleep(&self, time: Duration) {
        self.transport.sleep_until(self.transport.now().after(time)).await;
    }

    fn elapsed(&self) -> Duration {
        self.transport.now().since_epoch()
    }

    fn hash(&self) -> u64 {
        self.shared.with_world(|world| world.trace.hash())
    }
}

const MS: Duration = Duration::from_millis(1);

async fn echo(stream: &mut Box<dyn ByteStream>, text: &[u8]) -> std::io::Result<()> {
    stream.write_all(text).await?;
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).await?;
    assert_eq!(back, text);
    Ok(())
}

#[test]
fn a_round_trip_takes_a_millisecond_and_real_time_nothing() {
    let bench = Bench::new(1);
    bench.run(async {
        let mut stream = bench.dial("10.0.0.1").await.unwrap();
        assert_eq!(bench.elapsed(), MS);
        echo(&mut stream, b"hello").await.unwrap();
        assert_eq!(bench.elapsed(), MS * 2);
        bench.sleep(Duration::from_secs(3600)).await;
    });
}

/// The bytes are the same with all splits, delays and short reads; and the run is the same for the
/// same seed.
#[test]
fn bytes_survive_any_chunking_and_seeds_replay() {
    let run = |seed| {
        let bench = Bench::new(seed);
        bench.fault_rates(|m| {
            (m.split, m.short, m.stall, m.stall_max) = (500, 500, 100, MS * 20);
        });
        bench.shared.with_world(|w| w.network.links.jitter = MS);
        let text: Vec<u8> = (0..3000_u32).map(|i| (i % 251) as u8).collect();
        bench.run(join_all((0..4).map(|i| {
            let (bench, text) = (&bench, &text);
            async move {
                let mut stream = bench.dial(["10.0.0.1", "10.0.0.2"][i % 2]).await.unwrap();
                echo(&mut stream, text).await.unwrap();
                bench.sleep(MS * i as u32).await;
                echo(&mut stream, &text[i..]).await.unwrap();
            }
        })));
        bench.hash()
    };
    let hashes: Vec<u64> = (0..20).map(run).collect();
    assert_eq!(hashes, (0..20).map(run).collect::<Vec<_>>());
    assert!(hashes.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn what_a_partition_holds_back_arrives_after_it_heals() {
    let bench = Bench::new(2);
    bench.run(async {
        let mut stream = bench.dial("10.0.0.1").await.unwrap();
        bench.shared.with_world(|w| w.network.links.block(bench.client, bench.a));
        let heal = async {
            bench.sleep(MS * 500).await;
            bench.shared.with_world(|world| {
                let (mut env, network, _) = world.split();
                network.links.heal();
                network.retransmit(&mut env);
            });
        };
        let (answered, ()) = futures::join!(echo(&mut stream, b"late"), heal);
        answered.unwrap();
        assert!(bench.elapsed() > MS * 500 && bench.elapsed() < MS * 800);
        // Meanwhile a connection attempt gets no answer; its next try, a second later, gets one.
        bench.shared.with_world(|w| w.network.links.block(bench.a, bench.client));
        let start = bench.elapsed();
        let heal = async {
            bench.sleep(MS * 700).await;
            bench.shared.with_world(|w| w.network.links.heal());
        };
        let (dialled, ()) = futures::join!(bench.dial("10.0.0.1"), heal);
        dialled.unwrap();
        assert!(bench.elapsed() - start < MS * 1010);
    });
}

#[test]
fn a_hung_server_accepts_and_answers_when_it_wakes() {
    let bench = Bench::new(3);
    bench.run(async {
        bench.power(Power::Hung);
        let mut stream = bench.dial("10.0.0.1").await.unwrap();
        let wake = async {
            bench.sleep(MS * 50).await;
            bench.power(Power::Up);
        };
        let (answered, ()) = futures::join!(echo(&mut stream, b"x"), wake);
        answered.unwrap();
        assert!(bench.elapsed() >= MS * 50);
    });
}

#[test]
fn a_writer_waits_for_a_server_that_does_not_read() {
    let bench = Bench::new(4);
    bench.run(async {
        bench.power(Power::Hung);
        let mut stream = bench.dial("10.0.0.1").await.unwrap();
        let wake = async {
            bench.sleep(MS * 50).await;
            bench.power(Power::Up);
        };
        let big = vec![7; 3 * super::pipe::WINDOW_BYTES];
        let (mut read, mut write) = futures::AsyncReadExt::split(&mut stream);
        let sender = async {
            write.write_all(&big).await.unwrap();
            assert!(bench.elapsed() >= MS * 50);
        };
        let receiver = async {
            let mut back = vec![0; big.len()];
            read.read_exact(&mut back).await.unwrap();
        };
        futures::join!(sender, receiver, wake);
    });
}

#[test]
fn dead_servers_refuse_and_reset_and_unplugged_ones_send_nothing() {
    let bench = Bench::new(5);
    bench.run(async {
        let mut stream = bench.dial("10.0.0.1").await.unwrap();
        bench.power(Power::Down);
        let error = echo(&mut stream, b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let refused = bench.dial("10.0.0.1").await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let nobody = bench.dial("10.9.9.9").await.map(drop).unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::ConnectionRefused);

        bench.power(Power::Up);
        let mut stream = bench.dial("10.0.0.1").await.unwrap();
        bench.power(Power::Off);
        let start = bench.elapsed();
        let silent = bench.dial("10.0.0.1").await.map(drop).unwrap_err();
        assert_eq!(silent.kind(), ErrorKind::TimedOut);
        assert!((bench.elapsed() - start).as_secs() >= 127);
        // The machine is back, and its kernel does not know the old connection.
        bench.power(Power::Up);
        let error = echo(&mut stream, b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn each_random_fault_has_its_effect() {
    type Change = fn(&mut FaultRates);
    let table: [(Change, Option<ErrorKind>); 4] = [
        (|m| m.reset_before = 1000, Some(ErrorKind::ConnectionReset)),
        (|m| m.reset_after = 1000, Some(ErrorKind::ConnectionReset)),
        (|m| m.half_close = 1000, Some(ErrorKind::UnexpectedEof)),
        (|m| m.black_hole = 1000, None),
    ];
    for (change, expected) in table {
        let bench = Bench::new(6);
        bench.run(async {
            let mut stream = bench.dial("10.0.0.1").await.unwrap();
            bench.fault_rates(change);
            let limit = bench.sleep(Duration::from_secs(60));
            let echoed = std::pin::pin!(echo(&mut stream, b"x"));
            let got = match futures::future::select(echoed, std::pin::pin!(limit)).await {
                futures::future::Either::Left((result, _)) => Some(result.unwrap_err().kind()),
                futures::future::Either::Right(_) => None,
            };
            assert_eq!(got, expected);
            bench.fault_rates(|m| *m = FaultRates::default());
            bench.fault_rates(|m| m.refuse = 1000);
            let refused = bench.dial("10.0.0.2").await.map(drop).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        });
    }
}

#[test]
fn names_resolve_at_each_dial_and_every_address_is_tried() {
    let bench = Bench::new(7);
    bench.run(async {
        let ip = |s: &str| s.parse().unwrap();
        let unknown = bench.dial("redis.local").await.map(drop).unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::NotFound);
        let set = |ips| bench.shared.with_world(|w| w.names.set("redis.local", ips));
        set(vec![ip("10.9.9.9"), ip("10.0.0.2")]);
        echo(&mut bench.dial("redis.local").await.unwrap(), b"x").await.unwrap();
        set(vec![ip("10.9.9.9")]);
        assert!(bench.dial("redis.local").await.is_err());
    });
}

#[test]
fn dropping_everything_leaves_nothing() {
    let bench = Bench::new(8);
    bench.run(async {
        let stream = bench.dial("10.0.0.1").await.unwrap();
        let abandoned = bench.dial("10.0.0.2");
        let nap = bench.sleep(MS);
        assert!(matches!(
            futures::future::select(Box::pin(abandoned), Box::pin(nap)).await,
            futures::future::Either::Left(_) | futures::future::Either::Right(_)
        ));
        drop(stream);
    });
    let left = bench.shared.with_world(|w| (w.sleepers(), w.network.open_streams().len()));
    assert_eq!((left, bench.shared.tasks()), ((0, 0), 0));
}

#[test]
fn background_is_a_choice_of_the_host() {
    let bench = Bench::new(9);
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = Arc::clone(&done);
    let task = move || {
        let flag = Arc::clone(&flag);
        Box::pin(async move { flag.store(true, std::sync::atomic::Ordering::Relaxed) })
    };
    assert!(!bench.transport.clone().without_background().spawn(task()));
    assert!(bench.transport.spawn(task()));
    assert_eq!(bench.shared.tasks(), 1);
    bench.run(bench.sleep(MS));
    assert!(done.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(bench.shared.tasks(), 0);
}

#[test]
fn a_run_that_cannot_end_is_ended() {
    let limits = RunLimits { polls_at_once: 1000, total: MS * 100, ..RunLimits::default() };
    let bench = Bench::new(10);
    let never = bench.shared.block_on(std::future::pending::<()>(), &limits);
    assert_eq!(never, Err(Failure::Deadlock));
    let forever = bench.transport.sleep_until(Timestamp::FAR_FUTURE);
    assert_eq!(bench.shared.block_on(forever, &limits), Err(Failure::Deadlock));
    let spinning = std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        std::task::Poll::<()>::Pending
    });
    let failure = bench.shared.block_on(spinning, &limits);
    assert!(matches!(failure, Err(Failure::Livelock { .. })), "{failure:?}");
    let ticking = async {
        loop {
            bench.sleep(MS).await;
        }
    };
    let failure = bench
        .shared
        .block_on::<std::pin::Pin<Box<dyn Future<Output = ()>>>>(Box::pin(ticking), &limits);
    assert_eq!(failure, Err(Failure::TimeLimit { limit: MS * 100 }));
}
