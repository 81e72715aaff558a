//! The client inside of WebAssembly components, against real servers outside of them.
//!
//! What is tested is written in `transport-wasi/tests`; here are the servers that it runs against,
//! and what only the outside sees. `cargo xtask test` and `cargo xtask wasi` build the components
//! and their host and say where they are; without them, every test here is skipped, loudly.

mod guest;
mod outside;
mod serving;

use guest::Guest;
use slotcar_tests::real::{Server, Version};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

/// The transport's own logic: errors, waits.
#[test]
fn units() {
    let Some(guest) = Guest::named("slotcar_wasi") else { return };
    guest.run();
}

#[test]
fn sockets() {
    let Some(guest) = Guest::named("sockets") else { return };
    let resetting = outside::resetting_server();
    guest.env("SLOTCAR_RESETTING_SERVER", &resetting.to_string()).run();
}

/// One component for all of them: it is the compilation of a component that takes its time.
#[test]
fn commands_on_every_server() {
    let Some(guest) = Guest::named("commands") else { return };
    let ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let bind = if ipv6 { "bind 127.0.0.1 ::1" } else { "bind 127.0.0.1" };
    let start = |version| Server::of(version).ip(Ipv4Addr::LOCALHOST).config(bind).start();
    let servers: Vec<Server> = Version::all().iter().map(start).collect();
    let listed: Vec<String> =
        servers.iter().map(|s| format!("{}={}", s.version().name(), s.address().port())).collect();
    guest.env("SLOTCAR_SERVERS_AT", &listed.join(",")).run();
}

#[test]
fn a_denial_names_the_permission() {
    for denied in ["names", "tcp"] {
        let Some(guest) = Guest::named("denied") else { return };
        guest.env("WASI_HOST_DENY", denied).env("SLOTCAR_DENIED", denied).run();
    }
}

/// A component asks its host for WASI's interfaces alone, so that every host can run it.
#[test]
fn components_import_nothing_but_wasi() {
    let Some(guest) = Guest::named("commands") else { return };
    let imports = guest.imports();
    assert!(imports.lines().any(|line| line.starts_with("wasi:sockets/tcp@0.2.")), "{imports}");
    for line in imports.lines() {
        assert!(line.starts_with("wasi:"), "{line} is none of WASI's interfaces");
    }
}
