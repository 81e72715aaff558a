//! Keys of any type, and their expiry.
//!
//! Redis 6.2 added COPY; 7.0 added conditions on an expiry and commands that read its time.

use super::{on_every_server, s};
use slotcar::Blob;
use slotcar::command::{ExpireOptions, ScanOptions};
use slotcar::prelude::*;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const FAR: Duration = Duration::from_secs(1 << 32);

#[test]
fn keys() {
    on_every_server(async |client, version| {
        client.mset([("a", 1), ("b", 2), ("c", 3)]).await?;
        assert_eq!(client.exists(["a", "a", "none"]).await?, 2);
        assert_eq!(client.exists("a").await?, 1);
        assert_eq!(client.touch(["a", "none"]).await?, 1);
        assert_eq!(client.del(["a", "none"]).await?, 1);
        assert_eq!(client.unlink("b").await?, 1);
        client.rename("c", "d").await?;
        assert!(client.rename("none", "d").await.is_err());
        assert!(client.renamenx("d", "e").await?);
        assert_eq!(client.key_type("e").await?, "string");
        assert_eq!(client.key_type("none").await?, "none");
        let dump: Blob = client.dump("e").await?;
        assert_eq!(client.dump::<Option<Blob>>("none").await?, None);
        client.restore("copy", Some(MINUTE), &dump).await?;
        client.restore("copy2", None, &dump).await?;
        assert_eq!(client.object_encoding("e").await?, Some(s("int")));
        assert_eq!(client.object_encoding("none").await?, None);
        assert!(client.randomkey::<Option<String>>().await?.is_some());
        let mut keys: Vec<String> = client.keys("c*").await?;
        keys.sort();
        assert_eq!(keys, ["copy", "copy2"]);
        let options = ScanOptions::new().matching("copy?").count(1000).of_type("string");
        assert_eq!(client.scan::<Vec<String>>(0, options).await?, (0, vec![s("copy2")]));
        if version.since((6, 2), (7, 0)) {
            assert!(client.copy("e", "f").await?);
            assert!(!client.copy("e", "f").await?);
        }
        Ok(())
    });
}

#[test]
fn expiry() {
    on_every_server(async |client, version| {
        client.set("k", "v").await?;
        assert_eq!(client.ttl("k").await?, -1);
        assert_eq!(client.ttl("none").await?, -2);
        assert!(!client.expire("none", MINUTE).await?);
        assert!(client.expire("k", MINUTE).await?);
        assert!((59..=60).contains(&client.ttl("k").await?));
        assert!(client.expire("k", Duration::from_millis(1_000_500)).await?);
        assert!(client.pttl("k").await? > 999_000);
        assert!(client.pexpire("k", MINUTE).await?);
        assert!(client.persist("k").await?);
        assert!(!client.persist("k").await?);
        assert!(client.expireat("k", FAR).await?);
        assert!(client.expireat("k", FAR + Duration::from_millis(5)).await?);
        if version.since_7() {
            assert_eq!(client.expiretime("k").await?, 1 << 32);
            assert_eq!(client.pexpiretime("k").await?, (1 << 32) * 1000 + 5);
            assert!(client.expire_with("k", MINUTE, ExpireOptions::new().lt()).await?);
            assert!(!client.expire_with("k", MINUTE, ExpireOptions::new().nx()).await?);
            assert!(client.expire_with("k", 2 * MINUTE, ExpireOptions::new().gt()).await?);
            assert!(client.expire_with("k", MINUTE, ExpireOptions::new().xx()).await?);
        }
        assert!(client.pexpireat("k", FAR).await?);
        assert!(client.expire("k", Duration::ZERO).await?);
        assert_eq!(client.exists("k").await?, 0);
        Ok(())
    });
}
