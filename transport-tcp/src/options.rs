//! What a TCP socket is told before it carries a command.
//!
//! Plain data, applied to each socket right after it connected; unix sockets need none of it.
//! The three defaults that look for a dead peer agree with each other: Linux lets
//! `TCP_USER_TIMEOUT` overrule the count of keepalive probes, so it is set to the same moment.

use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;

/// Options for each TCP socket that a transport opens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpOptions {
    /// Send small writes at once (`TCP_NODELAY`).
    ///
    /// Default: true. The client already puts all waiting commands in one write; Nagle's algorithm
    /// would only hold the last of them back until the server acknowledges the one before.
    pub nodelay: bool,
    /// Probes on an idle connection, or `None` for none.
    ///
    /// Default: [`Keepalive::default`]. Without probes, a firewall that forgot an idle connection,
    /// or a host that lost its power, is found by the next command instead of before it.
    pub keepalive: Option<Keepalive>,
    /// How long written bytes may stay unacknowledged before the OS gives the connection up
    /// (`TCP_USER_TIMEOUT`), or `None` for the OS's own limit, about 15 minutes on Linux.
    ///
    /// Default: 30 s. Whole milliseconds. Only Linux, Android and Fuchsia have it; elsewhere it is
    /// ignored. It is the OS's net below the client's own check for progress.
    pub user_timeout: Option<Duration>,
    /// How long an address of a name may take before the next one is tried beside it.
    ///
    /// Default: 250 ms, the "Connection Attempt Delay" that RFC 8305 recommends. An address that
    /// refuses is left at once; this is for one that does not answer at all.
    pub attempt_delay: Duration,
}

/// When an idle connection is probed, and when it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keepalive {
    /// Silence before the first probe. Default: 15 s. Whole seconds.
    pub idle: Duration,
    /// Time between probes. Default: 5 s. Whole seconds. The OS's own where it cannot be set.
    pub interval: Duration,
    /// Unanswered probes that end the connection. Default: 3. The OS's own where it cannot be set.
    pub retries: u32,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            nodelay: true,
            keepalive: Some(Keepalive::default()),
            user_timeout: Some(Duration::from_secs(30)),
            attempt_delay: Duration::from_millis(250),
        }
    }
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(15), interval: Duration::from_secs(5), retries: 3 }
    }
}

impl TcpOptions {
    /// Sets [`nodelay`](Self::nodelay).
    #[must_use]
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Sets [`keepalive`](Self::keepalive).
    #[must_use]
    pub fn keepalive(mut self, keepalive: Option<Keepalive>) -> Self {
        self.keepalive = keepalive;
        self
    }

    /// Sets [`user_timeout`](Self::user_timeout).
    #[must_use]
    pub fn user_timeout(mut self, user_timeout: Option<Duration>) -> Self {
        self.user_timeout = user_timeout;
        self
    }

    /// Sets [`attempt_delay`](Self::attempt_delay).
    #[must_use]
    pub fn attempt_delay(mut self, attempt_delay: Duration) -> Self {
        self.attempt_delay = attempt_delay;
        self
    }

    /// Tells a connected socket; the error names the option that the OS refused.
    pub(crate) fn apply(&self, socket: SockRef<'_>) -> io::Result<()> {
        socket.set_tcp_nodelay(self.nodelay).map_err(|e| named("TCP_NODELAY", &e))?;
        if let Some(keepalive) = self.keepalive {
            socket
                .set_tcp_keepalive(&keepalive.to_os())
                .map_err(|e| named("the TCP keepalive", &e))?;
        }
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
        if let Some(timeout) = self.user_timeout {
            socket
                .set_tcp_user_timeout(Some(timeout))
                .map_err(|e| named("TCP_USER_TIMEOUT", &e))?;
        }
        Ok(())
    }
}

impl Keepalive {
    /// Sets [`idle`](Self::idle).
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Sets [`interval`](Self::interval).
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets [`retries`](Self::retries).
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    fn to_os(self) -> TcpKeepalive {
        let keepalive = TcpKeepalive::new().with_time(self.idle);
        #[cfg(any(
            target_os = "linux",
            target_os = "android",
            target_os = "fuchsia",
            target_os = "freebsd",
            target_os = "netbsd",
            target_vendor = "apple",
        ))]
        let keepalive = keepalive.with_interval(self.interval).with_retries(self.retries);
        #[cfg(windows)]
        let keepalive = keepalive.with_interval(self.interval);
        keepalive
    }
}

/// `cause` with the option that it is about, its kind kept.
fn named(option: &str, cause: &io::Error) -> io::Error {
    io::Error::new(cause.kind(), format!("cannot set {option}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::Socket;
    use std::net::{TcpListener, TcpStream};

    fn connected() -> Socket {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        Socket::from(TcpStream::connect(address).expect("connect"))
    }

    /// What is asked for is what the socket then says of itself.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_socket_reports_what_was_set() {
        let socket = connected();
        TcpOptions::default().apply(SockRef::from(&socket)).expect("defaults are valid");
        assert!(socket.tcp_nodelay().expect("get"));
        assert!(socket.keepalive().expect("get"));
        assert_eq!(socket.tcp_keepalive_time().expect("get"), Duration::from_secs(15));
        assert_eq!(socket.tcp_keepalive_interval().expect("get"), Duration::from_secs(5));
        assert_eq!(socket.tcp_keepalive_retries().expect("get"), 3);
        assert_eq!(socket.tcp_user_timeout().expect("get"), Some(Duration::from_secs(30)));

        let socket = connected();
        let off = TcpOptions::default().nodelay(false).keepalive(None).user_timeout(None);
        off.apply(SockRef::from(&socket)).expect("valid");
        assert!(!socket.tcp_nodelay().expect("get"));
        assert!(!socket.keepalive().expect("get"));
        assert_eq!(socket.tcp_user_timeout().expect("get"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_refused_option_is_named() {
        let zero = Keepalive::default().idle(Duration::ZERO);
        let options = TcpOptions::default().keepalive(Some(zero));
        let error = options.apply(SockRef::from(&connected())).expect_err("zero seconds");
        assert!(error.to_string().contains("keepalive"), "{error}");
    }
}
