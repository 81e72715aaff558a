//! Keyspace events: a server tells its own subscribers of the keys that its commands changed.
//!
//! **Invariant**: no event leaves the server. A replica tells of what it repeats, as real ones do.
//! Limits: an event has the name of the command that made it; `notify-keyspace-events` is looked
//! at for `K` and `E` only, not for classes of events.
//!
//! Spec: "Redis keyspace notifications"; `notify.c`.

use super::Server;
use super::keyspace::Changes;
use bytes::Bytes;

impl Server {
    /// Tells of the keys that a command changed.
    pub(crate) fn tell_of_changes(&mut self, event: &str, changes: &Changes) {
        for (db, key) in &changes.touched {
            self.tell_of_key(event, *db, key);
        }
        for (db, key) in &changes.expired {
            self.tell_of_key("expired", *db, key);
        }
    }

    fn tell_of_key(&mut self, event: &str, db: usize, key: &Bytes) {
        let classes = self.config.parameters.get("notify-keyspace-events");
        let Some(classes) = classes.filter(|classes| !classes.is_empty()) else { return };
        let (keyspace, keyevent) = (classes.contains('K'), classes.contains('E'));
        let event = Bytes::copy_from_slice(event.as_bytes());
        let channel = |family: &str, name: &[u8]| {
            let mut channel = format!("__{family}@{db}__:").into_bytes();
            channel.extend_from_slice(name);
            Bytes::from(channel)
        };
        if keyspace {
            self.deliver(&channel("keyspace", key), &event);
        }
        if keyevent {
            self.deliver(&channel("keyevent", &event), key);
        }
    }
}
