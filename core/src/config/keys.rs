//! The table of query keys: the settings whose value is one text, by the names of their fields.
//!
//! `url` reads and writes the fields that are elsewhere in a URL (endpoints, credentials, database,
//! TLS) and those with another form (replicas, tables, sentinels); the latter's names are in
//! `OTHER_KEYS`.
//! Invariant: `KEYS` and `TEXTS` have the same order, in which a URL is written.

use super::Config;
use super::error::ConfigError;
use super::text::Setting;

/// A setting in a URL's query.
pub(super) struct QueryKey {
    /// The field's name.
    pub(super) name: &'static str,
    /// The values that are allowed, worded to follow "is not".
    pub(super) allowed: &'static str,
    /// Sets the field; false if the text is no value of it.
    pub(super) read: fn(&mut Config, &str) -> bool,
}

/// The values that are allowed for the field's type.
const fn allowed<T: Setting>(_: fn(&Config) -> &T) -> &'static str {
    T::ALLOWED
}

/// Writes the tables from the fields' names.
macro_rules! keys {
    ($($field:ident),+ $(,)?) => {
        /// The query keys.
        pub(super) const KEYS: &[QueryKey] = &[$(QueryKey {
            name: stringify!($field),
            allowed: allowed(|config| &config.$field),
            read: |config, text| match Setting::from_text(text) {
                Some(value) => {
                    config.$field = value;
                    true
                }
                None => false,
            },
        }),+];

        /// The functions that write each field, in the order of `KEYS`. A table of its own, so that
        /// the linker drops it from programs that only read URLs.
        pub(super) const TEXTS: &[fn(&Config) -> String] =
            &[$(|config| config.$field.to_text()),+];
    };
}

keys![
    client_name,
    protocol,
    courtesies,
    read_from,
    max_staleness,
    primary_fallback_percent_max,
    command_timeout,
    connect_timeout,
    progress_timeout,
    probe_interval,
    backoff_base,
    backoff_cap,
    attempts_max,
    redirects_max,
    refusal_wait_max,
    retry_unknown,
    dials_per_second,
    refreshes_per_second,
    refresh_interval,
    sentinel_interval,
    connections_per_node,
    exclusive_connections_max,
    connections_max,
    subscription_connection,
    node_bytes_max,
    when_full,
    pipeline_commands_max,
    reply_bytes_max,
    reply_depth_max,
    subscription_bytes_max,
    subscription_messages_max,
    when_lagging,
];

/// Query keys that `url` reads and writes itself.
pub(super) const OTHER_KEYS: [&str; 8] = [
    "address_map",
    "db",
    "replicas",
    "sentinel_password",
    "sentinel_tls",
    "sentinel_username",
    "service",
    "zones",
];

/// The names of all query keys.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    OTHER_KEYS.into_iter().chain(KEYS.iter().map(|key| key.name))
}

/// The error for a query key that is no setting: it lists those that are.
#[cold]
pub(super) fn unknown_key(key: &str) -> ConfigError {
    let allowed = names().collect::<Vec<_>>().join(", ");
    ConfigError::UnknownKey { key: key.to_owned(), allowed }
}
