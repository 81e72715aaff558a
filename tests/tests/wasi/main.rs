//! The client inside of WebAssembly components, against real servers outside of them.
//!
//! The tests are in `transport-wasi/tests`; here are the servers that they use, and what only the
//! outside sees. `cargo xtask test` and `cargo xtask wasi` build the components and their host and
//! name them in variables; without these, each test here prints that it is skipped.

mod control;
mod edge;
mod guest;
mod http;
mod native;
mod outside;
mod serving;
mod tls;

use guest::Guest;
use slotcar_tests::real::{Server, Version};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

/// Unit tests of the transport: errors, waits.
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

/// One component for all servers: compiling a component takes long.
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

/// Runs the tests whose names begin so, on the reactor alone; `native` runs the others.
fn suite(prefixes: &[&str]) {
    native::run("suites", prefixes);
}

#[test]
fn suite_of_commands() {
    suite(&["commands::"]);
}

#[test]
fn suite_of_clusters() {
    suite(&["routing::", "spread::"]);
}

#[test]
fn suite_of_replicas() {
    suite(&["replicas::"]);
}

#[test]
fn suite_of_subscriptions() {
    suite(&["subscriptions::"]);
}

#[test]
fn faults_while_a_component_runs() {
    suite(&["cold::", "failover::", "moves::", "limits::"]);
}

#[test]
fn a_denial_names_the_permission() {
    for denied in ["names", "tcp"] {
        let Some(guest) = Guest::named("denied") else { return };
        guest.env("WASI_HOST_DENY", denied).env("SLOTCAR_DENIED", denied).run();
    }
}

/// What a component may import: packages of WASI 0.2, which each host of components has. The
/// standard library needs `filesystem`; only a server needs `http`.
const PACKAGES: [&str; 7] = ["cli", "clocks", "filesystem", "http", "io", "random", "sockets"];

#[test]
fn components_import_nothing_but_wasi() {
    for name in ["commands", "get", "slotcar-edge"] {
        let Some(guest) = Guest::named(name) else { return };
        let imports = guest.imports();
        println!("{name}:\n{imports}");
        assert!(imports.lines().any(|line| line.starts_with("wasi:sockets/tcp@0.2.")), "{imports}");
        for line in imports.lines() {
            let package = line.strip_prefix("wasi:").and_then(|line| line.split_once('/'));
            let known = package.is_some_and(|(package, interface)| {
                let serves = package != "http" || name == "slotcar-edge";
                serves && PACKAGES.contains(&package) && interface.contains("@0.2.")
            });
            assert!(known, "{name}: {line} is not what it may import");
        }
    }
}
