//! Tests of single servers: starts, faults, ends, and the counters that are read.
//!
//! For the reaper, a test process kills itself.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::Duration;

use slotcar_tests::real::wait::{BOUND, until_true};
use slotcar_tests::real::{Conn, Reply, Server, Version, address, scratch};

use crate::versions;

/// The error kinds of a read timeout on Linux.
fn timed_out(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

// Each version starts, reports the number in its name, and has RESP3.
#[test]
fn all_versions_start() {
    for version in Version::all() {
        let server = Server::start(&version);
        let mut conn = server.conn().unwrap();
        let hello = conn.call(&["HELLO", "3"]).unwrap().ok();
        assert_eq!(hello.field("proto").and_then(Reply::integer), Some(3), "{version}");
        let (major, minor, _) = version.number();
        let info = server.info("server");
        let reported = info.get("valkey_version").unwrap_or(&info["redis_version"]);
        assert!(reported.starts_with(&format!("{major}.{minor}.")), "{version}: {reported}");
        assert!(server.url().starts_with("redis://127."));
    }
}

#[test]
fn kill_refuses_and_restart_returns_empty() {
    for version in versions() {
        let server = Server::start(&version);
        let at = server.address();
        server.call(&["SET", "k", "v"]).ok();
        let mut conn = server.conn().unwrap();
        server.kill();
        assert!(!server.is_running());
        assert!(conn.call(&["GET", "k"]).is_err());
        assert_eq!(Conn::open(at).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        server.restart();
        assert_eq!((server.address(), server.call(&["GET", "k"])), (at, Reply::Null));
    }
}

#[test]
fn stop_ends_in_order() {
    for version in versions() {
        let server = Server::start(&version);
        assert!(server.stop().success(), "{version}");
        assert!(!server.is_running() && !server.answers());
        assert!(server.log().contains("bye bye"), "{}", server.log());
    }
}

#[test]
fn pause_is_silence_and_resume_answers() {
    for version in versions() {
        let server = Server::start(&version);
        let mut conn = server.conn().unwrap();
        conn.set_timeout(Duration::from_millis(200)).unwrap();
        server.pause();
        conn.send(&["PING"]).unwrap();
        assert!(timed_out(&conn.receive().unwrap_err()), "{version}");
        assert!(Conn::open(server.address()).is_ok(), "the kernel still accepts");
        assert!(server.is_running() && !server.answers());
        server.resume();
        conn.set_timeout(BOUND).unwrap();
        assert_eq!(conn.receive().unwrap().text(), "PONG", "the question was not lost");
    }
}

#[test]
fn restart_on_moves_the_server() {
    for version in versions() {
        let server = Server::start(&version);
        let old = server.address();
        let ip = address::fresh();
        let new = (ip, address::free_port(ip)).into();
        server.restart_on(new);
        assert_eq!(server.call(&["PING"]).text(), "PONG");
        assert_eq!(server.address(), new);
        assert!(Conn::open(old).is_err());
    }
}

#[test]
fn a_dropped_server_is_reaped_and_its_files_go() {
    let server = Server::start(&Version::any());
    let (pid, folder) = (server.pid(), server.folder().to_owned());
    assert!(folder.join("log").exists() && server.unix_path().exists());
    drop(server);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    // A failed test keeps the files of all tests, also of this one.
    let kept = folder.parent().unwrap().join("keep").exists();
    assert!(kept || !folder.exists());
}

// A test process that is killed runs no destructor: its servers end nevertheless.
#[test]
fn servers_of_a_killed_test_process_are_reaped() {
    let key = "SLOTCAR_HARNESS_CHILD";
    if std::env::var_os(key).is_some() {
        let server = Server::start(&Version::any());
        server.pause(); // the worst case: a frozen server hears no polite signal
        println!("pid {} in {}", server.pid(), server.folder().display());
        rustix_kill_self();
    }
    let name = "server::servers_of_a_killed_test_process_are_reaped";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(key, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|w| *w == "pid").unwrap_or_else(|| panic!("{text}"));
    let (pid, folder) = (words[at + 1], words[at + 3]);
    until_true("the reaper to act", || {
        !std::path::Path::new(&format!("/proc/{pid}")).exists()
            && !std::path::Path::new(folder).exists()
    });
}

fn rustix_kill_self() -> ! {
    let me = std::process::id().to_string();
    let _ = Command::new("kill").args(["-9", &me]).status();
    unreachable!("SIGKILL is not survived")
}

#[test]
fn a_taken_port_is_left_for_another() {
    let version = Version::any();
    let ip = address::fresh();
    // Taken without `free_port`, as another program would.
    let promised = address::free_port(ip);
    let _other = TcpListener::bind((ip, promised + 1)).unwrap();
    let server = Server::of(&version).ip(ip).start();
    assert_ne!(server.address().port(), promised);
    assert_ne!(server.address().port(), promised + 1);
    assert!(Conn::open(address::refused()).is_err());
}

#[test]
fn passwords_change_under_the_server() {
    for version in versions() {
        let server = Server::of(&version).password("first").start();
        assert!(server.url().contains(":first@"));
        let mut plain = Conn::open(server.address()).unwrap();
        assert!(plain.call(&["PING"]).unwrap().is_error("NOAUTH"));
        let mut old = server.conn().unwrap();
        server.set_password(Some("second"));
        assert_eq!(old.call(&["PING"]).unwrap().text(), "PONG", "it stays authenticated");
        assert!(plain.call(&["AUTH", "first"]).unwrap().is_error("WRONGPASS"));
        assert_eq!(plain.call(&["AUTH", "second"]).unwrap().text(), "OK");
        server.restart();
        assert_eq!(server.call(&["PING"]).text(), "PONG");
        server.set_password(None);
        assert_eq!(Conn::open(server.address()).unwrap().call(&["PING"]).unwrap().text(), "PONG");
    }
}

#[test]
fn clients_are_killed_paused_and_counted() {
    for version in versions() {
        let server = Server::start(&version);
        let mut clients: Vec<Conn> = (0..3).map(|_| server.conn().unwrap()).collect();
        for client in &mut clients {
            client.call(&["PING"]).unwrap().ok();
        }
        assert_eq!(server.client_count(), 3, "{version}");
        let received = server.connections_received();
        assert!(received >= 4);
        assert_eq!(server.kill_clients("normal"), 3);
        assert!(clients.iter_mut().all(|c| c.call(&["PING"]).is_err()));

        let mut client = server.conn().unwrap();
        client.set_timeout(Duration::from_millis(100)).unwrap();
        server.pause_clients(1_000);
        client.send(&["GET", "k"]).unwrap();
        assert!(timed_out(&client.receive().unwrap_err()));
        client.set_timeout(BOUND).unwrap();
        assert_eq!(client.receive().unwrap(), Reply::Null);

        server.pause_writes();
        assert_eq!(client.call(&["GET", "k"]).unwrap(), Reply::Null);
        client.set_timeout(Duration::from_millis(100)).unwrap();
        client.send(&["SET", "k", "v"]).unwrap();
        assert!(timed_out(&client.receive().unwrap_err()));
        server.unpause_writes();
        client.set_timeout(BOUND).unwrap();
        assert_eq!(client.receive().unwrap().text(), "OK");
    }
}

#[test]
fn command_counts_prove_what_ran() {
    for version in versions() {
        let server = Server::start(&version);
        server.call(&["SET", "k", "v"]).ok();
        server.reset_command_calls();
        for _ in 0..5 {
            server.call(&["GET", "k"]).ok();
        }
        let calls = server.command_calls();
        assert_eq!((calls.get("get"), calls.get("set")), (Some(&5), None), "{version}");
        assert_eq!(server.role(), "master");
    }
}

#[test]
fn limits_of_the_server_are_reached() {
    for version in versions() {
        let server = Server::of(&version).config("maxclients 4").start();
        let held: Vec<Conn> = (0..4).map(|_| server.conn().unwrap()).collect();
        let reply = Conn::open(server.address()).unwrap().receive().unwrap();
        assert!(reply.is_error("ERR max number of clients"), "{reply:?} {}", held.len());
        drop(held);
        let full = Server::start(&version);
        full.set_config("maxmemory", "1");
        assert!(full.call(&["SET", "k", "v"]).is_error("OOM"), "{version}");
    }
}

#[test]
fn addresses_and_folders_are_never_shared() {
    let ips: Vec<Ipv4Addr> = (0..20).map(|_| address::fresh()).collect();
    let folders: Vec<_> = (0..20).map(|_| scratch::folder("x")).collect();
    for (at, ip) in ips.iter().enumerate() {
        assert!(!ips[..at].contains(ip) && !folders[..at].contains(&folders[at]));
    }
    folders.iter().for_each(|folder| scratch::discard(folder));
}
