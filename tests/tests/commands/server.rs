//! The server itself, PUBLISH, scripts.
//!
//! Redis 7.0 added sharded channels, functions and read-only scripts.

use super::on_every_server;
use slotcar::prelude::*;

/// No keys, no arguments.
const NONE: [&str; 0] = [];

#[test]
fn server() {
    on_every_server(async |client, version| {
        client.ping().await?;
        assert_eq!(client.echo::<String>("hi").await?, "hi");
        let (seconds, micros) = client.time().await?;
        assert!(seconds > 1_600_000_000 && micros < 1_000_000);
        assert!(client.info(NONE).await?.contains("redis_version:"));
        assert!(client.info("clients").await?.contains("connected_clients:"));
        client.mset([("a", 1), ("b", 2)]).await?;
        assert_eq!(client.dbsize().await?, 2);
        client.flushdb().await?;
        assert_eq!(client.dbsize().await?, 0);
        assert_eq!(client.publish("c", "m").await?, 0);
        if version.since_7() {
            assert_eq!(client.spublish("c", "m").await?, 0);
        }
        Ok(())
    });
}

#[test]
fn scripts() {
    on_every_server(async |client, version| {
        let source = "return {KEYS[1], ARGV[1]}";
        let both: (String, u8) = client.eval(source, "k", 7).await?;
        assert_eq!(both, ("k".to_owned(), 7));
        let digest = client.script_load(source).await?;
        assert_eq!(client.script_exists([&digest, "0".repeat(40).as_str()]).await?, [true, false]);
        assert_eq!(client.evalsha::<(String, u8)>(&digest, "k", 7).await?, both);
        assert_eq!(client.eval::<Option<u8>>("return nil", NONE, NONE).await?, None);
        if version.since_7() {
            assert_eq!(client.eval_ro::<(String, u8)>(source, "k", 7).await?, both);
            assert_eq!(client.evalsha_ro::<(String, u8)>(&digest, "k", 7).await?, both);
            let library = "#!lua name=l\nredis.register_function{function_name='f', \
                           callback=function(k, a) return a[1] end, flags={'no-writes'}}";
            let load = slotcar::cmd("FUNCTION LOAD").arg("REPLACE").arg(library);
            client.send::<String>(load).await?;
            assert_eq!(client.fcall::<u8>("f", "k", 7).await?, 7);
            assert_eq!(client.fcall_ro::<u8>("f", NONE, 7).await?, 7);
        }
        client.script_flush().await?;
        assert_eq!(client.script_exists(&digest).await?, [false]);
        Ok(())
    });
}
