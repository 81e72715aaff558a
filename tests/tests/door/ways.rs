//! The ways to make a client: from a URL, from a configuration, without a connection, and from a
//! kept topology.

use super::{served, use_client};
use slotcar::prelude::*;
use slotcar::{Config, Error, ErrorKind};
use slotcar_sim::Sim;
use std::io;
use std::net::TcpListener;

#[test]
fn a_url_finds_every_deployment() -> Result<(), Error> {
    for sim in [Sim::standalone(), Sim::cluster(3, 0), Sim::sentinel(1, 3)] {
        let served = sim.seed(1).serve().expect("ports of 127.0.0.1");
        smol::block_on(async { use_client(&slotcar::connect(&served.url()).await?).await })?;
    }
    Ok(())
}

#[test]
fn a_url_that_does_not_parse_is_an_error_of_kind_config() {
    let error = smol::block_on(slotcar::connect("http://127.0.0.1")).expect_err("no such scheme");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}

#[test]
fn a_configuration_connects() -> Result<(), Error> {
    let served = served();
    let config = Config::from_url(&served.url())?.client_name("door");
    smol::block_on(async {
        let client = slotcar::connect_with(config).await?;
        assert_eq!(client.send::<String>(slotcar::cmd("CLIENT GETNAME")).await?, "door");
        Ok(())
    })
}

#[test]
fn a_lazy_client_connects_at_its_first_command() -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("bound");
    smol::block_on(async {
        let config = Config::from_url(&format!("redis://{address}"))?;
        let client = slotcar::connect_lazy(config).await?;
        let accepted = listener.accept().map(|_| ()).map_err(|error| error.kind());
        assert_eq!(accepted, Err(io::ErrorKind::WouldBlock));
        drop((listener, client));

        let served = served();
        let client = slotcar::connect_lazy(Config::from_url(&served.url())?).await?;
        assert_eq!(client.metrics().dials, 0);
        use_client(&client).await?;
        assert_eq!(client.metrics().dials, 1);
        Ok(())
    })
}

#[test]
fn a_kept_topology_leads_the_first_command_to_the_owner() -> Result<(), Error> {
    let served = Sim::cluster(3, 0).seed(1).serve().expect("ports of 127.0.0.1");
    smol::block_on(async {
        let config = Config::from_url(&served.url())?;
        let topology = slotcar::connect_with(config.clone()).await?.topology();
        let client = slotcar::connect_with_topology(config, &topology).await?;
        assert_eq!(client.metrics().dials, 0);
        client.set("k", "v").await?;
        let metrics = client.metrics();
        assert_eq!((metrics.dials, metrics.redirects), (1, 0));
        Ok(())
    })
}

/// With the feature `tls`, `rediss://` is spoken: this server does not speak it.
#[test]
fn tls_is_asked_for_by_the_scheme() {
    let served = served();
    let url = served.url().replace("redis://", "rediss://");
    let error = smol::block_on(slotcar::connect(&url)).expect_err("the server speaks no TLS");
    assert_eq!(error.kind(), ErrorKind::Handshake, "{error}");
    assert!(slotcar::tls::TlsError::of(&error).is_some(), "{error}");
}
