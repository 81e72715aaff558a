//! The transport: connections, timers, clock and random numbers of the host.
//!
//! Invariant: the epoch is that of the host's monotonic clock, so the timestamps of all transports
//! of a component can be compared.

use crate::interest::Interest;
use crate::{dial, resolve};
use slotcar_core::{BoxFuture, ByteStream, Endpoint, Timestamp, Transport};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use wasip2::clocks::monotonic_clock;

/// How long an address may take before the next one is dialled too: the "Connection Attempt Delay"
/// that RFC 8305 recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// TCP on the sockets of a WASI 0.2 host.
///
/// It has no background tasks: [`Transport::spawn`] returns false.
#[derive(Clone, Debug)]
pub struct Wasi {
    /// See [`Wasi::attempt_delay`].
    attempt_delay: Duration,
}

impl Default for Wasi {
    fn default() -> Self {
        Self { attempt_delay: ATTEMPT_DELAY }
    }
}

impl Wasi {
    /// A transport with default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long an address of a name may take before the next one is dialled too.
    ///
    /// Default: 250 ms. After an address that refuses, the next one is dialled at once; the delay
    /// is for one that does not answer.
    #[must_use]
    pub fn attempt_delay(mut self, attempt_delay: Duration) -> Self {
        self.attempt_delay = attempt_delay;
        self
    }
}

impl Transport for Wasi {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move {
            match endpoint {
                Endpoint::Tcp { host, port } => {
                    let addresses = resolve::resolve(host, *port).await?;
                    let delay = || {
                        Box::pin(Sleep::until(now().after(self.attempt_delay))) as BoxFuture<'_, ()>
                    };
                    let stream = dial::first_to_connect(addresses, delay).await?;
                    Ok(Box::new(stream) as Box<dyn ByteStream>)
                }
                Endpoint::Unix { path } => Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    format!("unix:{}: WASI has no unix sockets", path.display()),
                )),
            }
        })
    }

    fn sleep_until(&self, deadline: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(Sleep::until(deadline))
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn seed(&self) -> u64 {
        wasip2::random::random::get_random_u64()
    }
}

fn now() -> Timestamp {
    Timestamp::from_duration(Duration::from_nanos(monotonic_clock::now()))
}

/// A timer of the host, which is made at the first poll.
#[derive(Debug)]
struct Sleep {
    /// When it ends.
    deadline: Timestamp,
    /// The timer.
    timer: Option<Interest>,
}

impl Sleep {
    fn until(deadline: Timestamp) -> Self {
        Self { deadline, timer: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.deadline == Timestamp::FAR_FUTURE {
            return Poll::Pending;
        }
        let nanos = self.deadline.since_epoch().as_nanos();
        let timer = self.timer.get_or_insert_with(|| {
            let instant = u64::try_from(nanos).unwrap_or(u64::MAX);
            Interest::new(monotonic_clock::subscribe_instant(instant))
        });
        std::task::ready!(timer.poll(cx));
        self.timer = None;
        Poll::Ready(())
    }
}
