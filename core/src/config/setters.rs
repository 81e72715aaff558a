//! A consuming setter for each field of [`Config`], with the field's name.
//!
//! Setters check nothing, because values may fit together only when all are set:
//! [`Config::validate`] checks them.

use super::{
    Config, Deployment, Protocol, ReadFrom, Secret, SubscriptionConnection, WhenFull, WhenLagging,
};
use crate::endpoint::Endpoint;
use std::collections::BTreeMap;
use std::time::Duration;

/// Writes setters that take the type of the field.
macro_rules! setters {
    ($($field:ident: $type:ty),+ $(,)?) => {
        impl Config {
            $(
                /// Sets the field of the same name; its doc says unit, default and reason.
                #[must_use]
                pub fn $field(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )+
        }
    };
}

setters! {
    deployment: Deployment,
    database: u32,
    protocol: Protocol,
    courtesies: bool,
    tls: bool,
    read_from: ReadFrom,
    primary_fallback_percent_max: u32,
    command_timeout: Duration,
    connect_timeout: Duration,
    progress_timeout: Duration,
    backoff_base: Duration,
    backoff_cap: Duration,
    attempts_max: u32,
    redirects_max: u32,
    retry_unknown: bool,
    dials_per_second: u32,
    refreshes_per_second: u32,
    sentinel_interval: Duration,
    connections_per_node: u32,
    exclusive_connections_max: u32,
    subscription_connection: SubscriptionConnection,
    node_bytes_max: usize,
    when_full: WhenFull,
    pipeline_commands_max: u32,
    reply_bytes_max: usize,
    reply_depth_max: u32,
    subscription_bytes_max: usize,
    subscription_messages_max: u32,
    when_lagging: WhenLagging,
}

/// Setters that take a type which is easier to write than that of the field.
impl Config {
    /// Sets the field of the same name.
    #[must_use]
    pub fn endpoints(mut self, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        self.endpoints = endpoints.into_iter().collect();
        self
    }

    /// Sets the field of the same name.
    #[must_use]
    pub fn replicas(mut self, replicas: impl IntoIterator<Item = Endpoint>) -> Self {
        self.replicas = replicas.into_iter().collect();
        self
    }

    /// Sets the field of the same name.
    #[must_use]
    pub fn address_map(
        mut self,
        address_map: impl IntoIterator<Item = (Endpoint, Endpoint)>,
    ) -> Self {
        self.address_map = BTreeMap::from_iter(address_map);
        self
    }

    /// Sets the field of the same name.
    #[must_use]
    pub fn zones(mut self, zones: impl IntoIterator<Item = (Endpoint, String)>) -> Self {
        self.zones = BTreeMap::from_iter(zones);
        self
    }

    /// Sets the field of the same name.
    #[must_use]
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// Sets the field of the same name.
    #[must_use]
    pub fn password(mut self, password: impl Into<Secret>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets the field of the same name.
    #[must_use]
    pub fn client_name(mut self, client_name: impl Into<String>) -> Self {
        self.client_name = Some(client_name.into());
        self
    }

    /// Sets the field of the same name; `None` is `off`.
    #[must_use]
    pub fn max_staleness(mut self, max_staleness: impl Into<Option<Duration>>) -> Self {
        self.max_staleness = max_staleness.into();
        self
    }

    /// Sets the field of the same name; `None` is `off`.
    #[must_use]
    pub fn refusal_wait_max(mut self, refusal_wait_max: impl Into<Option<Duration>>) -> Self {
        self.refusal_wait_max = refusal_wait_max.into();
        self
    }

    /// Sets the field of the same name; `None` is `off`.
    #[must_use]
    pub fn probe_interval(mut self, probe_interval: impl Into<Option<Duration>>) -> Self {
        self.probe_interval = probe_interval.into();
        self
    }

    /// Sets the field of the same name; `None` is `off`.
    #[must_use]
    pub fn connections_max(mut self, connections_max: impl Into<Option<u32>>) -> Self {
        self.connections_max = connections_max.into();
        self
    }

    /// Sets the field of the same name; `None` is `off`.
    #[must_use]
    pub fn refresh_interval(mut self, refresh_interval: impl Into<Option<Duration>>) -> Self {
        self.refresh_interval = refresh_interval.into();
        self
    }
}
