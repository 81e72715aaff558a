//! Handshakes that fail: each error comes at once, names the reason, and nothing was sent. Only
//! what may pass later is dialled again.

use super::{SHARED, carriers, config, lazy, tls, tls_kind, trusting};
use slotcar::prelude::*;
use slotcar::{Client, Delivery, Error, ErrorKind};
use slotcar_tcp::Smol;
use slotcar_tests::polling::run;
use slotcar_tests::real::{Fault, Pem, Proxy, Script, Server, Version};
use slotcar_tests::{ExpectedError, Watched};
use slotcar_tls::{Tls, TlsConfig, TlsErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Shorter than any deadline of these tests: the error came at once.
const AT_ONCE: Duration = Duration::from_secs(10);

fn server(pem: &Pem) -> Server {
    Server::of(&Version::any()).config(&pem.listening()).start()
}

/// The error of a first command.
#[track_caller]
fn first_error(client: &Client) -> Error {
    run(client.set("k", "v")).expect_err("there is no connection to have")
}

/// A final error: kind handshake, nothing sent, this node, these words, one dial.
#[track_caller]
fn check_final(error: &Error, at: SocketAddr, kind: TlsErrorKind, words: &str) {
    ExpectedError::new(ErrorKind::Handshake, Delivery::NotSent)
        .command("SET")
        .at(at)
        .says(words)
        .check(error);
    assert_eq!(tls_kind(error), kind, "{error:?}");
}

#[test]
fn certificates_that_prove_nothing_end_the_first_call() {
    use TlsErrorKind as Kind;
    let (authority, stranger) = (&SHARED.authority, &SHARED.stranger);
    let here = slotcar_tests::real::address::fresh();
    let block: Vec<String> = (1..=250)
        .map(|n| format!("{}.{}.{}.{n}", here.octets()[0], here.octets()[1], here.octets()[2]))
        .collect();
    let block: Vec<&str> = block.iter().map(String::as_str).collect();
    let table = [
        (stranger.sign(&block), Kind::UnknownIssuer, "signed by no authority"),
        (authority.sign(&["other.test"]), Kind::WrongName, "valid for other.test only"),
        (authority.sign_expired(&block), Kind::Expired, "has expired"),
    ];
    for (pem, kind, words) in table {
        let server = server(&pem);
        for carrier in carriers() {
            let began = Instant::now();
            let error = first_error(&lazy(carrier, server.tls_address()));
            assert!(began.elapsed() < AT_ONCE, "{error}");
            check_final(&error, server.tls_address(), kind, words);
        }
    }
}

/// Each text says what is wrong with the server's file, and how to make a right one.
#[test]
fn a_wrong_certificate_is_explained() {
    use TlsErrorKind as Kind;
    use rcgen::{DnType, ExtendedKeyUsagePurpose, date_time_ymd};
    let authority = &SHARED.authority;
    let at = slotcar_tests::real::address::fresh().octets();
    let names: Vec<String> =
        (1..=250).map(|last| format!("{}.{}.{}.{last}", at[0], at[1], at[2])).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (middle, no_authority) =
        (authority.intermediate("middle", true), authority.intermediate("none", false));
    let old = Pem {
        chain: include_str!("certificates/version_1.pem").to_owned(),
        key: include_str!("certificates/version_1.key").to_owned(),
        authority: authority.pem().to_owned(),
    };
    let by_no_authority = no_authority.sign(&names);
    let chain = by_no_authority.chain.clone() + no_authority.pem();
    let table = [
        (authority.own(), Kind::BadCertificate, ["is that of an authority", "sign another one"]),
        (old, Kind::BadCertificate, ["X.509 version 1", "subjectAltName"]),
        (
            // Servers complete the chain with what they trust themselves.
            Pem { authority: SHARED.stranger.pem().to_owned(), ..middle.sign(&names) },
            Kind::UnknownIssuer,
            ["signed by no authority", "intermediate"],
        ),
        (
            Pem { chain, ..by_no_authority },
            Kind::BadCertificate,
            ["signed by a certificate that is none of an authority", "CA:TRUE"],
        ),
        (
            authority.sign_changed(&[], |params| {
                params.distinguished_name.push(DnType::CommonName, "redis.test");
            }),
            Kind::WrongName,
            ["a common name is no name", "-addext"],
        ),
        (authority.sign(&["other.test"]), Kind::WrongName, ["other.test only", "server_name"]),
        (
            authority.sign_changed(&names, |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
            Kind::BadCertificate,
            ["not meant for a server", "serverAuth"],
        ),
        (authority.sign_expired(&names), Kind::Expired, ["days ago", "tls-cert-file"]),
        (
            authority.sign_changed(&names, |params| params.not_before = date_time_ymd(3900, 1, 1)),
            Kind::Expired,
            ["not valid yet, but in", "clock"],
        ),
    ];
    for (pem, kind, words) in table {
        let server = server(&pem);
        for carrier in carriers() {
            let error = first_error(&lazy(carrier, server.tls_address()));
            for words in words {
                check_final(&error, server.tls_address(), kind, words);
            }
        }
    }
}

/// What the files of the client may have instead of what they should.
#[test]
fn a_wrong_file_of_the_client_is_named_and_explained() {
    let (pem, folder) = (&SHARED.addresses, slotcar_tests::real::scratch::folder("client-files"));
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    };
    let (chain, key) =
        (file("chain.pem", pem.chain.as_bytes()), file("key.pem", pem.key.as_bytes()));
    let encrypted = file("locked.key", include_bytes!("certificates/encrypted.key"));
    let (empty, der) = (file("empty.pem", b""), file("der.crt", &[0x30, 0x82, 1, 2]));
    let other = file("other.key", SHARED.authority.sign(&["c"]).key.as_bytes());
    let missing = folder.join("missing.pem");
    let identity = |chain: &std::path::Path, key: &std::path::Path| {
        trusting().identity_pem_files(chain, key).and_then(TlsConfig::build).map(drop)
    };
    let trust = |path: &std::path::Path| TlsConfig::new().trust_pem_file(path).map(drop);
    let table = [
        (identity(&chain, &encrypted), "locked.key", "is encrypted", "openssl pkey"),
        (identity(&chain, &chain), "chain.pem", "BEGIN PRIVATE KEY", "it has CERTIFICATE"),
        (identity(&key, &key), "key.pem", "BEGIN CERTIFICATE", "it has PRIVATE KEY"),
        (identity(&chain, &other), "", "do not belong together", "the client's certificate"),
        (trust(&empty), "empty.pem", "BEGIN CERTIFICATE", "is empty"),
        (trust(&der), "der.crt", "looks like DER", "openssl x509 -inform der"),
        (trust(&missing), "missing.pem", "No such file", ""),
    ];
    for (built, file, why, remedy) in table {
        let error = built.expect_err(file);
        let text = error.to_string();
        assert_eq!(error.kind(), TlsErrorKind::Setup, "{text}");
        assert!([file, why, remedy].into_iter().all(|words| text.contains(words)), "{text}");
        assert!(!text.contains(&pem.key[40..60]), "no key is shown: {text}");
    }
    identity(&chain, &key).expect("the right files");
}

/// The same from the client's side: it trusts another authority, or expects another name.
#[test]
fn a_client_that_trusts_others_or_means_others_is_not_served() {
    let server = server(&SHARED.addresses);
    let at = server.tls_address();
    for carrier in carriers() {
        let strangers = SHARED.stranger.pem().as_bytes();
        let strangers = TlsConfig::new().trust_pem(strangers).expect("PEM").build().expect("good");
        let config = config(&format!("rediss://{at}"));
        let transport = Tls::new(carrier.clone(), strangers);
        let client = Client::connect_lazy(transport, config.clone()).expect("good");
        check_final(
            &first_error(&client),
            at,
            TlsErrorKind::UnknownIssuer,
            "signed by no authority",
        );
        let transport = tls(carrier).server_name("redis.test").expect("a name");
        let client = Client::connect_lazy(transport, config).expect("good");
        check_final(&first_error(&client), at, TlsErrorKind::WrongName, "TLS with redis.test");
    }
}

/// There is only one dial for a final error.
#[test]
fn a_verdict_is_not_asked_for_twice() {
    let server = server(&SHARED.stranger.sign(&["other.test"]));
    let proxy = Proxy::to(server.tls_address());
    for (carrier, dials) in carriers().into_iter().zip(1..) {
        let error = first_error(&lazy(carrier, proxy.address()));
        assert_eq!((error.attempts(), proxy.accepted()), (1, dials), "{error}");
    }
}

/// In TLS 1.3 the server refuses only after the client may write: still nothing was sent.
#[test]
fn a_missing_or_strange_certificate_of_the_client_is_told() {
    let strange = SHARED.stranger.sign(&["client.test"]);
    for protocol in ["TLSv1.2", "TLSv1.3"] {
        let server = Server::of(&Version::any())
            .config(&SHARED.addresses.listening())
            .config(&format!("tls-auth-clients yes\ntls-protocols \"{protocol}\""))
            .start();
        let at = server.tls_address();
        for carrier in carriers() {
            let config = config(&format!("rediss://{at}"));
            let with_strange =
                trusting().identity_pem(strange.chain.as_bytes(), strange.key.as_bytes());
            // TLS 1.2 has no alert for a missing certificate.
            let missing = match protocol {
                "TLSv1.2" => TlsErrorKind::Refused,
                _ => TlsErrorKind::ClientCertificate,
            };
            for (built, kind) in [
                (trusting(), missing),
                (with_strange.expect("PEM"), TlsErrorKind::ClientCertificate),
            ] {
                let transport = Tls::new(carrier.clone(), built.build().expect("good"));
                let client = Client::connect_lazy(transport, config.clone()).expect("good");
                let began = Instant::now();
                let error = first_error(&client);
                assert!(began.elapsed() < AT_ONCE, "{error}");
                assert_eq!(error.delivery(), Delivery::NotSent, "{protocol}: {error:?}");
                assert_eq!(error.kind(), ErrorKind::Handshake, "{protocol}: {error:?}");
                assert_eq!(tls_kind(&error), kind, "{protocol}: {error}");
                assert!(error.to_string().contains("certificate"), "{error}");
            }
        }
        let calls = server.command_calls();
        assert!(!calls.contains_key("set"), "{calls:?}");
    }
}

#[test]
fn no_version_in_common_is_told() {
    let server = Server::of(&Version::any())
        .config(&SHARED.addresses.listening())
        .config("tls-protocols \"TLSv1.2\"")
        .start();
    let at = server.tls_address();
    let provider = slotcar_tls::rustls::crypto::ring::default_provider();
    let newest = slotcar_tls::rustls::ClientConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[&slotcar_tls::rustls::version::TLS13])
        .expect("good")
        .with_root_certificates(slotcar_tls::rustls::RootCertStore::empty())
        .with_no_client_auth();
    for carrier in carriers() {
        let transport = Tls::new(carrier, newest.clone().into());
        let client =
            Client::connect_lazy(transport, config(&format!("rediss://{at}"))).expect("good");
        let error = first_error(&client);
        check_final(&error, at, TlsErrorKind::Incompatible, "nothing in common");
    }
}

/// A server that takes the first bytes of TLS for a command, and replies.
#[test]
fn a_server_that_answers_in_plain_text_is_told_apart() {
    let script = Script::start(|peer| {
        peer.send(b"-ERR unknown command\r\n");
        peer.wait_for_close();
    });
    for carrier in carriers() {
        let error = first_error(&lazy(carrier, script.address()));
        check_final(&error, script.address(), TlsErrorKind::NotTls, "does not speak TLS");
    }
}

/// A real plain port waits for the rest of the supposed command: the deadline ends it.
#[test]
fn a_plain_port_and_a_silent_server_end_with_the_deadline() {
    let server = server(&SHARED.addresses);
    let proxy = Proxy::to(server.tls_address());
    proxy.set(Fault::BlackHole);
    for at in [server.address(), proxy.address()] {
        for carrier in carriers() {
            let short = Duration::from_millis(300);
            let config = config(&format!("rediss://{at}"));
            let config = config.connect_timeout(short).command_timeout(short * 4);
            let client = Client::connect_lazy(tls(carrier), config).expect("good");
            let error = first_error(&client);
            assert_eq!(error.delivery(), Delivery::NotSent, "{error:?}");
            let told =
                [vec![error.to_string()], slotcar_tests::expected_error::causes(&error)].concat();
            let why = "no TLS handshake within 300ms: the server is silent";
            // The other possible error, if the random part of the handshake contained a line end.
            let answered = told.iter().any(|text| text.contains("does not speak TLS"));
            assert!(answered || told.iter().any(|text| text.contains(why)), "{told:?}");
        }
    }
}

/// The server closes in the middle of the handshake: dialled again, and good when the fault ends.
#[test]
fn a_handshake_that_is_cut_is_begun_again() {
    let server = server(&SHARED.addresses);
    let proxy = Proxy::to(server.tls_address());
    for carrier in carriers() {
        proxy.set(Fault::CutRepliesAfter(100));
        let transport = tls(carrier);
        // The proxy has an address of the same block.
        let client =
            Client::connect_lazy(transport, config(&format!("rediss://{}", proxy.address())));
        let client = client.expect("good");
        let brief = client.with_timeout(Duration::from_millis(500));
        let error = run(brief.set("k", "v")).expect_err("it is cut each time");
        assert_eq!(error.delivery(), Delivery::NotSent, "{error:?}");
        assert_ne!(error.kind(), ErrorKind::Handshake, "{error:?}");
        let told =
            [vec![error.to_string()], slotcar_tests::expected_error::causes(&error)].concat();
        assert!(told.iter().any(|text| text.contains("hung up in the middle")), "{told:?}");
        proxy.set(Fault::Pass);
        run(client.set("k", "v")).expect("a later dial");
    }
}

/// Nothing is sent unencrypted: a transport without TLS is not even dialled.
#[test]
fn a_plain_transport_is_refused_before_it_dials() {
    let server = server(&SHARED.addresses);
    for url in [
        format!("rediss://{}", server.tls_address()),
        format!("rediss-cluster://{}", server.tls_address()),
        format!("rediss-sentinel://{}?service=m&sentinel_tls=false", server.address()),
        format!("redis-sentinel://{}?service=m&sentinel_tls=true", server.tls_address()),
    ] {
        let watched = Watched::new(Smol::new());
        let error = run(Client::connect(watched.clone(), config(&url))).expect_err("refused");
        ExpectedError::new(ErrorKind::Config, Delivery::NotSent)
            .says("speaks no TLS")
            .says("feature `tls`")
            .check(&error);
        assert_eq!(watched.dialled(), []);
    }
}

/// The opposite mistake: a client without TLS at a TLS port. The server closes and sends nothing
/// that a Redis client could read.
#[test]
fn a_plain_client_at_a_tls_port_is_told_what_that_may_mean() {
    let server = server(&SHARED.addresses);
    let config = config(&format!("redis://{}", server.tls_address()));
    let config = config.connect_timeout(Duration::from_millis(500));
    let words = "; does this port require TLS?";
    let error = run(Client::connect(Smol::new(), config.clone())).expect_err("it is no plain port");
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.to_string().contains(words), "{error:?}");
    // A read is retried until its deadline.
    let client = Client::connect_lazy(Smol::new(), config).expect("good");
    let brief = client.with_timeout(Duration::from_millis(500));
    let error = run(brief.get::<Option<String>>("k")).expect_err("it is no plain port");
    let told = [vec![error.to_string()], slotcar_tests::expected_error::causes(&error)].concat();
    assert!(told.iter().any(|text| text.contains(words)), "{told:?}");
}
