//! Which connections go through TLS, and that none goes without where it should.

use super::*;
use crate::client::Client;
use crate::transport::ConnectTls;
use futures::FutureExt;

/// A transport that records how it is asked to connect, and opens nothing.
#[derive(Debug, Default)]
struct Recording {
    /// Whether it has TLS.
    secure: bool,
    /// The error of each attempt; refused if `None`.
    cause: Option<io::ErrorKind>,
    /// The attempts, in order.
    dials: Arc<Mutex<Vec<&'static str>>>,
}

impl Recording {
    fn note<'a>(&self, how: &'static str) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        lock(&self.dials).push(how);
        let cause = self.cause.unwrap_or(io::ErrorKind::ConnectionRefused);
        Box::pin(std::future::ready(Err(cause.into())))
    }
}

impl ConnectTls for Recording {
    fn connect_tls<'a>(
        &'a self,
        _: &'a Endpoint,
        _: &'a DialNotes,
    ) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        self.note("tls")
    }
}

impl Transport for Recording {
    fn connect<'a>(&'a self, _: &'a Endpoint) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>> {
        self.note("plain")
    }

    fn tls(&self) -> Option<&dyn ConnectTls> {
        self.secure.then_some(self)
    }

    fn sleep_until(&self, _: Timestamp) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn now(&self) -> Timestamp {
        Timestamp::ZERO
    }

    fn seed(&self) -> u64 {
        7
    }
}

/// Connects to a server of this kind. Returns the error and the attempts that the transport saw.
fn dial(transport: Recording, config: Config, profile: Profile) -> (Error, Vec<&'static str>) {
    let dials = Arc::clone(&transport.dials);
    let env = Environment::new(Arc::new(transport), config);
    let (endpoint, notes) = (Endpoint::tcp("h", 1), DialNotes::default());
    let opened = env.open(&endpoint, profile, Timestamp::FAR_FUTURE, &notes).now_or_never();
    let error = opened.expect("nothing to wait for").err().expect("nothing opens");
    let dials = lock(&dials).clone();
    (error, dials)
}

fn behind_sentinels(tls: bool, own: Option<bool>) -> Config {
    Config::default().endpoints([Endpoint::tcp("s", 26379)]).tls(tls).deployment(
        Deployment::Sentinel { service: "m".into(), username: None, password: None, tls: own },
    )
}

#[test]
fn servers_and_sentinels_use_tls_as_the_configuration_says() {
    let table = [
        (false, None, ["plain", "plain"]),
        (true, None, ["tls", "tls"]),
        (true, Some(false), ["plain", "tls"]),
        (false, Some(true), ["tls", "plain"]),
    ];
    for (tls, own, [sentinel, server]) in table {
        for (profile, how) in [
            (Profile::Sentinel, sentinel),
            (Profile::Primary, server),
            (Profile::Replica, server),
            (Profile::Server, server),
        ] {
            let transport = Recording { secure: true, ..Recording::default() };
            let (error, dials) = dial(transport, behind_sentinels(tls, own), profile);
            assert_eq!(error.kind(), ErrorKind::Connect);
            assert_eq!(dials, [how], "{tls} {own:?} {profile:?}");
        }
    }
}

/// A transport without TLS is not even asked to connect, and no client is made over it.
#[test]
fn nothing_secret_goes_over_a_transport_without_tls() {
    let configs = [
        Config::default().endpoints([Endpoint::tcp("h", 1)]).tls(true),
        behind_sentinels(true, None),
        behind_sentinels(false, Some(true)),
        behind_sentinels(true, Some(false)),
    ];
    for config in configs {
        assert!(config.needs_tls());
        let transport = Recording::default();
        let dials = Arc::clone(&transport.dials);
        let refused = Client::connect_lazy(transport, config.clone()).expect_err("it has no TLS");
        assert_eq!((refused.kind(), refused.delivery()), (ErrorKind::Config, Delivery::NotSent));
        let text = refused.to_string();
        assert!(text.contains("slotcar_tls::Tls") && text.contains("feature `tls`"), "{text}");
        let sentinels = config.sentinels_tls();
        let profile = if sentinels { Profile::Sentinel } else { Profile::Primary };
        let (error, dialled) = dial(Recording::default(), config, profile);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(lock(&dials).is_empty() && dialled.is_empty());
    }
}

/// A certificate that is refused is refused again at the next attempt.
#[test]
fn a_refused_certificate_is_final_and_a_lost_stream_is_not() {
    let table = [
        (io::ErrorKind::InvalidData, ErrorKind::Handshake),
        (io::ErrorKind::ConnectionReset, ErrorKind::Connect),
        (io::ErrorKind::TimedOut, ErrorKind::Connect),
    ];
    for (cause, kind) in table {
        let transport = Recording { secure: true, cause: Some(cause), ..Recording::default() };
        let (error, _) = dial(transport, behind_sentinels(true, None), Profile::Primary);
        assert_eq!((error.kind(), error.delivery()), (kind, Delivery::NotSent), "{error}");
        assert_eq!(error.endpoint(), Some(&Endpoint::tcp("h", 1)));
    }
}
