//! The table of query keys: each setting that has a text of its own, by its field's name.
//!
//! Fields that a URL writes elsewhere (endpoints, credentials, database, TLS) and those with a
//! shape of their own (replicas, tables, sentinels) are not here but in `url`. Called by `url` and,
//! for its list of names, by `error`.

use super::Config;
use super::error::ConfigError;
use super::text::Setting;

/// A setting in a URL's query.
pub(super) struct Key {
    /// The field's name.
    pub(super) name: &'static str,
    /// What it takes, to stand after "is not".
    pub(super) allowed: &'static str,
    /// Sets the field; false when the text is not its.
    pub(super) read: fn(&mut Config, &str) -> bool,
}

/// The text that a setting of the field's type takes.
const fn allowed<T: Setting>(_: fn(&Config) -> &T) -> &'static str {
    T::ALLOWED
}

/// Writes the table from the fields' names.
macro_rules! keys {
    ($($field:ident),+ $(,)?) => {
        /// In the order in which a URL is written.
        pub(super) const KEYS: &[Key] = &[$(Key {
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

        /// The text of each field, in the order of `KEYS`. Apart from it: programs that only read
        /// URLs do without.
        pub(super) const TEXTS: &[fn(&Config) -> String] =
            &[$(|config| config.$field.to_text()),+];
    };
}

keys![
    client_name,
    protocol,
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
    retry_unknown,
    dials_per_second,
    refreshes_per_second,
    refresh_interval,
    sentinel_interval,
    connections_per_node,
    exclusive_connections_max,
    node_bytes_max,
    when_full,
    pipeline_commands_max,
    reply_bytes_max,
    reply_depth_max,
    subscription_bytes_max,
    subscription_messages_max,
    when_lagging,
];

/// Keys with a shape of their own, which `url` reads and writes.
pub(super) const SHAPED: [&str; 8] = [
    "address_map",
    "db",
    "replicas",
    "sentinel_password",
    "sentinel_tls",
    "sentinel_username",
    "service",
    "zones",
];

/// Every query key.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    SHAPED.into_iter().chain(KEYS.iter().map(|key| key.name))
}

/// The error for a query key that is no setting: it lists those that are.
#[cold]
pub(super) fn unknown_key(key: &str) -> ConfigError {
    let allowed = names().collect::<Vec<_>>().join(", ");
    ConfigError::UnknownKey { key: key.to_owned(), allowed }
}
