//! The databases of one server, and the only way to read and change them.
//!
//! Handlers use a [`Store`]: the keyspace at one moment, in one database. The store keeps a list of
//! touched keys. That list drives all consequences of a change: waking blocked clients, `WATCH`,
//! invalidation, replication.
//!
//! **Invariants**:
//! - an expired key is never visible, and is removed when it is next touched;
//! - an empty collection is no key: [`Store::changed`] removes it.

use super::command::{Stop, WRONG_TYPE};
use super::value::{Kind, Value};
use crate::rng::Rng;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// A value and its time to live.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What the key holds.
    pub(crate) value: Value,
    /// Unix time in milliseconds at which it expires.
    pub(crate) expires_at: Option<u64>,
    /// Unix time in milliseconds of the last use.
    pub(crate) used_at: u64,
    /// The encoding of a string, where it is not the one that its content asks for: one that was
    /// changed in place is `raw`.
    pub(crate) form: Option<&'static str>,
}

/// One numbered database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Database {
    /// All keys, expired ones included until they are noticed.
    pub(crate) entries: BTreeMap<Bytes, Entry>,
    /// Keys with a time to live, by that time.
    pub(crate) expiries: BTreeSet<(u64, Bytes)>,
}

impl Database {
    /// Adds or replaces a key.
    pub(crate) fn insert(&mut self, key: Bytes, entry: Entry) -> Option<Entry> {
        let expires_at = entry.expires_at;
        let old = self.entries.insert(key.clone(), entry);
        if let Some(at) = old.as_ref().and_then(|old| old.expires_at) {
            self.expiries.remove(&(at, key.clone()));
        }
        if let Some(at) = expires_at {
            self.expiries.insert((at, key));
        }
        old
    }

    /// Takes a key out.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let (key, entry) = self.entries.remove_entry(key)?;
        if let Some(at) = entry.expires_at {
            self.expiries.remove(&(at, key));
        }
        Some(entry)
    }

    /// Changes when a key expires; false when there is no such key.
    pub(crate) fn set_expiry(&mut self, key: &Bytes, expires_at: Option<u64>) -> bool {
        let Some(entry) = self.entries.get_mut(key) else { return false };
        if let Some(old) = std::mem::replace(&mut entry.expires_at, expires_at) {
            self.expiries.remove(&(old, key.clone()));
        }
        if let Some(at) = expires_at {
            self.expiries.insert((at, key.clone()));
        }
        true
    }
}

/// All databases of a server.
#[derive(Clone, Debug)]
pub(crate) struct Keyspace {
    /// By number.
    pub(crate) databases: Vec<Database>,
}

impl Keyspace {
    pub(crate) fn new(databases: usize) -> Self {
        Self { databases: vec![Database::default(); databases] }
    }

    /// When the next key expires, in Unix milliseconds.
    pub(crate) fn next_expiry(&self) -> Option<u64> {
        self.databases.iter().filter_map(|db| db.expiries.first().map(|(at, _)| *at)).min()
    }
}

/// What a command did to the keyspace.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Keys that were changed, with their database, in order.
    pub(crate) touched: Vec<(usize, Bytes)>,
    /// Keys among them that expired.
    pub(crate) expired: Vec<(usize, Bytes)>,
    /// All keys were removed: of one database, or of all.
    pub(crate) flushed: Vec<Option<usize>>,
    /// How many changes a replica has to apply; 0 means that the command changed nothing.
    pub(crate) dirty: u64,
}

/// The keyspace as one command sees it.
#[derive(Debug)]
pub(crate) struct Store<'a> {
    /// The data.
    pub(crate) keyspace: &'a mut Keyspace,
    /// The selected database.
    pub(crate) db: usize,
    /// Unix time in milliseconds; the primary's when a replica applies a command.
    pub(crate) now_ms: u64,
    /// A random generator, seeded per command so that a replica draws the same numbers.
    pub(crate) rng: Rng,
    /// What was changed so far.
    pub(crate) changes: Changes,
    /// Differs from server to server, so that a cursor of one means nothing to another.
    pub(crate) salt: u64,
}

impl Store<'_> {
    fn database(&self) -> &Database {
        &self.keyspace.databases[self.db]
    }

    pub(crate) fn database_mut(&mut self) -> &mut Database {
        &mut self.keyspace.databases[self.db]
    }

    /// A live key.
    pub(crate) fn entry(&self, key: &[u8]) -> Option<&Entry> {
        let entry = self.database().entries.get(key)?;
        if self.is_due(entry.expires_at) { None } else { Some(entry) }
    }

    /// Whether that time has passed.
    pub(crate) fn is_due(&self, expires_at: Option<u64>) -> bool {
        expires_at.is_some_and(|at| at <= self.now_ms)
    }

    /// A live key's value.
    pub(crate) fn value(&self, key: &[u8]) -> Option<&Value> {
        self.entry(key).map(|e| &e.value)
    }

    pub(crate) fn exists(&self, key: &[u8]) -> bool {
        self.entry(key).is_some()
    }

    /// A live key's value as type `T`.
    pub(crate) fn get<T: Kind>(&self, key: &[u8]) -> Result<Option<&T>, Stop> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => T::of(value).map(Some).ok_or(WRONG_TYPE),
        }
    }

    /// A live key's value as type `T`, to change; the caller reports the change with
    /// [`Store::changed`].
    pub(crate) fn edit<T: Kind>(&mut self, key: &[u8]) -> Result<Option<&mut T>, Stop> {
        self.drop_if_due(key);
        let now_ms = self.now_ms;
        match self.database_mut().entries.get_mut(key) {
            None => Ok(None),
            Some(entry) => {
                entry.used_at = now_ms;
                T::of_mut(&mut entry.value).map(Some).ok_or(WRONG_TYPE)
            }
        }
    }

    /// The same, with an empty value if there is none.
    pub(crate) fn edit_or_create<T: Kind>(&mut self, key: &Bytes) -> Result<&mut T, Stop> {
        self.drop_if_due(key);
        let used_at = self.now_ms;
        let entry = self.database_mut().entries.entry(key.clone()).or_insert_with(|| Entry {
            value: T::default().into_value(),
            expires_at: None,
            used_at,
            form: None,
        });
        entry.used_at = used_at;
        T::of_mut(&mut entry.value).ok_or(WRONG_TYPE)
    }

    /// Reports that `key` was changed; removes an empty collection.
    pub(crate) fn changed<T: Kind>(&mut self, key: &Bytes) {
        let gone =
            self.database().entries.get(key).and_then(|e| T::of(&e.value)).is_some_and(T::is_gone);
        if gone {
            self.database_mut().remove(key);
        }
        self.touch(key);
    }

    /// Reports that `key` was changed in another way.
    pub(crate) fn touch(&mut self, key: &Bytes) {
        self.changes.dirty += 1;
        self.changes.touched.push((self.db, key.clone()));
    }

    /// Sets a key, its time to live included.
    pub(crate) fn put(&mut self, key: &Bytes, value: Value, expires_at: Option<u64>) {
        let used_at = self.now_ms;
        self.database_mut().insert(key.clone(), Entry { value, expires_at, used_at, form: None });
        self.touch(key);
    }

    /// Says how a string is encoded; see [`Entry::form`].
    pub(crate) fn set_form(&mut self, key: &Bytes, form: Option<&'static str>) {
        if let Some(entry) = self.database_mut().entries.get_mut(key) {
            entry.form = form;
        }
    }

    /// Sets a key to a collection, or removes it when that is empty.
    pub(crate) fn put_collection<T: Kind>(&mut self, key: &Bytes, value: T) {
        if value.is_gone() {
            self.delete(key);
        } else {
            self.put(key, value.into_value(), None);
        }
    }

    /// Removes a key; `None` when there is none.
    pub(crate) fn delete(&mut self, key: &Bytes) -> Option<Entry> {
        self.drop_if_due(key);
        let entry = self.database_mut().remove(key)?;
        self.touch(key);
        Some(entry)
    }

    /// Changes when a key expires. A time that has passed removes it.
    pub(crate) fn expire(&mut self, key: &Bytes, expires_at: Option<u64>) {
        if self.is_due(expires_at) {
            self.delete(key);
        } else if self.database_mut().set_expiry(key, expires_at) {
            self.touch(key);
        }
    }

    /// Removes an expired key. A replica need not be told of this change: it has the same clock.
    pub(crate) fn drop_if_due(&mut self, key: &[u8]) {
        let due = self.database().entries.get(key).is_some_and(|e| self.is_due(e.expires_at));
        if due {
            self.database_mut().remove(key);
            self.changes.expired.push((self.db, Bytes::copy_from_slice(key)));
        }
    }

    /// Live keys of the selected database, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&Bytes, &Entry)> {
        let now_ms = self.now_ms;
        self.database()
            .entries
            .iter()
            .filter(move |(_, entry)| entry.expires_at.is_none_or(|at| at > now_ms))
    }

    /// Runs `work` in another database.
    pub(crate) fn in_database<T>(&mut self, db: usize, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.db, db);
        let result = work(self);
        self.db = before;
        result
    }
}
